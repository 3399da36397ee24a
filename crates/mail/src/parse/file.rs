//! Records a file and takes it apart when it holds others.

use super::container::Container;
use super::reason::{Limit, Reason};
use super::sniff::{Shape, sniff};
use super::url::Location;
use super::{FileFound, Work, charset, document, message, rtf, sha256, tnef};
use super::{cabinet, iso, rar, sevenz, tarball, zipfile};
use hinomi_model::Attachment;
use sha2::Digest;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A file about to be inspected.
pub(super) struct File<'f> {
    pub name: &'f str,
    pub bytes: &'f [u8],
    /// Type the mail declares, lower case.
    pub declared: &'f str,
    pub parent: Option<&'f str>,
    /// Path of what it lies in; empty for the message's own files.
    pub path: &'f str,
}

/// Records a file and takes it apart.
pub(super) fn file(work: &mut Work<'_>, file: File<'_>, depth: usize) {
    if !work.budget.take_file() {
        work.note_once("files", Limit::Files(work.limits.files_max));
        return;
    }
    let (file_type, shape) = sniff(file.bytes, file.declared, file.name);
    let hash = sha256(file.bytes);
    let path = if file.path.is_empty() { file.name.to_owned() } else { format!("{}/{}", file.path, file.name) };
    let index = work.analysis.files.len();
    work.analysis.files.push(FileFound {
        attachment: Attachment {
            name: file.name.to_owned(),
            sha256: hash.clone(),
            size: file.bytes.len() as u64,
            file_type: file_type.clone(),
            parent_sha256: file.parent.map(str::to_owned),
            uninspected: None,
        },
        sha1: hex::encode(sha1::Sha1::digest(file.bytes)),
        md5: hex::encode(md5::Md5::digest(file.bytes)),
        path: path.clone(),
        declared_type: file.declared.to_owned(),
        opened_with_password: false,
        listed: Vec::new(),
    });
    let container = Container { hash: &hash, path: &path, index, depth: depth + 1 };
    // Some of the readers are not ours. A panic in one of them costs this file its verdict, not the
    // message.
    let opened = catch_unwind(AssertUnwindSafe(|| open(work, shape, &file, &file_type, &container)));
    if let Err(reason) = opened.unwrap_or(Err(Reason::ReaderFailed)) {
        work.analysis.files[index].attachment.uninspected = Some(reason.uninspected());
        work.note(&path, reason);
    }
}

fn open(
    work: &mut Work<'_>,
    shape: Shape,
    file: &File<'_>,
    file_type: &str,
    container: &Container<'_>,
) -> Result<(), Reason> {
    let bytes = file.bytes;
    match shape {
        Shape::Opaque => return Ok(()),
        Shape::Closed => return Err(Reason::Unsupported(file_type.to_owned())),
        Shape::Fragment => return Err(Reason::Fragment),
        Shape::External => {
            work.urls_in_text(&charset::decode(bytes, ""), Location::Attachment);
            return Err(Reason::External);
        }
        Shape::Pgp => return Err(Reason::Encrypted { tried: 0 }),
        _ if !work.budget.in_time() => return Err(Limit::Time.into()),
        Shape::Html => {
            work.urls_in_html(&charset::decode(bytes, ""), Location::Attachment);
            return Ok(());
        }
        Shape::Text => {
            work.urls_in_text(&charset::decode(bytes, ""), Location::Attachment);
            return Ok(());
        }
        Shape::Rtf => {
            work.urls_in_text(&rtf::text(bytes), Location::Attachment);
            return Ok(());
        }
        Shape::Pdf => return document::pdf(work, bytes),
        Shape::Ole => return document::ole(bytes),
        _ if container.depth > work.limits.depth_max => return Err(Limit::Depth(work.limits.depth_max).into()),
        _ => {}
    }
    match shape {
        Shape::Message => message::nested(work, bytes, container),
        Shape::Cms => message::enveloped(work, bytes, container),
        Shape::Tnef => tnef::open(work, bytes, container),
        Shape::Zip => zipfile::open(work, bytes, container, false),
        Shape::OfficeZip => zipfile::open(work, bytes, container, true),
        Shape::SevenZip => sevenz::open(work, bytes, container),
        Shape::Tar => tarball::tar(work, bytes, container),
        Shape::Gzip => tarball::gzip(work, bytes, container),
        Shape::Cabinet => cabinet::open(work, bytes, container),
        Shape::Rar => rar::open(work, bytes, container),
        Shape::Iso => iso::open(work, bytes, container),
        _ => Ok(()),
    }
}
