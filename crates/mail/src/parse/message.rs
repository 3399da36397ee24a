//! Reads a message: headers, body parts, files.

use super::fingerprint::Normalised;
use super::reason::{Limit, Reason};
use super::sniff::{Shape, sniff};
use super::url::Location;
use super::{Analysis, FileFound, NAME_CHARS_MAX, Work, sha256, tidy};
use base64::Engine;
use hinomi_model::Attachment;
use mail_parser::decoders::charsets::map::charset_decoder;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use mail_parser::{Address, Encoding, HeaderName, Message, MessageParser, MessagePart, MimeHeaders, PartType};
use sha2::{Digest, Sha256};

/// Words that open a nested message; more of them than this and only the headers are read. The
/// parser keeps nested messages inside each other, so its depth must be bounded before it starts.
const NESTING_WORDS_MAX: usize = 300;
/// Longest text of the body kept for fingerprint and passwords, bytes.
const BODY_BYTES_MAX: usize = 512 << 10;
/// Most addresses of To and Cc kept.
const RECIPIENTS_MAX: usize = 1_000;
/// Most Message-IDs of earlier mails kept.
const REFERENCES_MAX: usize = 100;
/// Longest header value kept, in characters.
const HEADER_CHARS_MAX: usize = 2_000;

/// Reads the message itself.
pub(super) fn read(work: &mut Work<'_>, raw: &[u8]) {
    work.analysis.size = raw.len() as u64;
    let message = match parse(raw) {
        Parsed::Whole(message) => message,
        Parsed::HeadersOnly(message) => {
            work.note("message", Limit::Nesting);
            headers(&mut work.analysis, &message);
            work.analysis.body_sha256 = sha256(raw);
            return;
        }
        Parsed::Nothing => {
            work.note("message", no_headers());
            work.analysis.body_sha256 = sha256(raw);
            return;
        }
    };
    headers(&mut work.analysis, &message);
    let subject = work.analysis.subject.clone();
    work.urls_in_text(&subject, Location::Header);
    work.analysis.body_sha256 = body_hash(&message);
    parts(work, &message, raw, None, "", 0, Location::Body);
    let seen = if work.body.html.trim().is_empty() { &work.body.plain } else { &work.body.html };
    let normalised = Normalised::of(seen);
    work.analysis.text_sha256 = normalised.sha256();
    work.analysis.text_simhash = normalised.simhash();
}

fn no_headers() -> Reason {
    Reason::Damaged("no headers found".to_owned())
}

enum Parsed<'x> {
    Whole(Message<'x>),
    HeadersOnly(Message<'x>),
    Nothing,
}

fn parse(raw: &[u8]) -> Parsed<'_> {
    let parser = MessageParser::default();
    if nesting_words(raw) > NESTING_WORDS_MAX {
        return parser.parse_headers(raw).map_or(Parsed::Nothing, Parsed::HeadersOnly);
    }
    parser.parse(raw).map_or(Parsed::Nothing, Parsed::Whole)
}

/// Counts the words without which a part is never taken for a nested message.
fn nesting_words(raw: &[u8]) -> usize {
    let matches = |window: &[u8], word: &[u8]| window.eq_ignore_ascii_case(word);
    raw.windows(6)
        .filter(|window| {
            matches!(window[0] | 0x20, b'r' | b'g' | b'd')
                && (matches(window, b"rfc822") || matches(window, b"global") || matches(window, b"digest"))
        })
        .count()
}

fn headers(analysis: &mut Analysis, message: &Message<'_>) {
    analysis.message_id = tidy(message.message_id().unwrap_or_default(), 998);
    analysis.subject = tidy(&subject(message), HEADER_CHARS_MAX);
    let hinomi_id = message.header_raw(HeaderName::Other(crate::remediate::OWN_ID_HEADER.into()));
    analysis.hinomi_id = tidy(hinomi_id.unwrap_or_default(), 64);
    let from = message.from().and_then(|from| match from {
        Address::List(list) => list.first(),
        Address::Group(groups) => groups.first().and_then(|group| group.addresses.first()),
    });
    if let Some(from) = from {
        analysis.from_address = tidy(from.address.as_deref().unwrap_or_default(), 320).to_lowercase();
        analysis.from_name = tidy(from.name.as_deref().unwrap_or_default(), HEADER_CHARS_MAX);
    }
    analysis.sender_address = addresses(message.sender()).next().unwrap_or_default();
    analysis.reply_to = addresses(message.reply_to()).next().unwrap_or_default();
    analysis.recipients = addresses(message.to()).chain(addresses(message.cc())).take(RECIPIENTS_MAX).collect();
    let paths = message.headers().iter().find(|header| header.name == HeaderName::ReturnPath);
    let path = paths.and_then(|header| header.value.as_text_list()).and_then(<[_]>::first);
    analysis.return_path =
        path.map_or_else(String::new, |path| tidy(path.trim_matches(['<', '>', ' ']), 320).to_lowercase());
    let named = [message.references(), message.in_reply_to()];
    for id in named.into_iter().flat_map(|ids| ids.as_text_list().unwrap_or_default()) {
        let id = tidy(id, 998);
        if !id.is_empty() && analysis.references.len() < REFERENCES_MAX && !analysis.references.contains(&id) {
            analysis.references.push(id);
        }
    }
    analysis.date = message.date().map(|date| date.to_timestamp());
}

/// Addresses of a header, groups opened, lower case.
fn addresses<'m>(header: Option<&'m Address<'m>>) -> impl Iterator<Item = String> + 'm {
    let all = header.into_iter().flat_map(|address| address.iter());
    all.filter_map(|one| one.address.as_deref()).map(|one| tidy(one, 320).to_lowercase()).filter(|one| !one.is_empty())
}

/// The subject; raw 8-bit text that is not UTF-8 is tried in the encodings Japanese mail uses.
fn subject(message: &Message<'_>) -> String {
    let decoded = message.subject().unwrap_or_default();
    let raw = message.headers().iter().find(|header| header.name == HeaderName::Subject);
    let raw =
        raw.and_then(|header| message.raw_message().get(header.offset_start as usize..header.offset_end as usize));
    match raw {
        Some(raw) if decoded.contains('\u{fffd}') || raw.contains(&0x1b) => {
            legacy_text(raw).unwrap_or(decoded.to_owned())
        }
        _ => decoded.to_owned(),
    }
}

/// Decodes bytes of unknown encoding: UTF-8, else the first Japanese encoding without a fault.
pub(super) fn legacy_text(bytes: &[u8]) -> Option<String> {
    let escapes = bytes.contains(&0x1b);
    if let (Ok(text), false) = (std::str::from_utf8(bytes), escapes) {
        return Some(text.to_owned());
    }
    let names: &[&[u8]] = if escapes { &[b"iso-2022-jp"] } else { &[b"shift_jis", b"euc-jp"] };
    names
        .iter()
        .filter_map(|name| charset_decoder(name))
        .map(|decode| decode(bytes))
        .find(|text| !text.contains('\u{fffd}'))
}

/// Hash over type and whitespace-folded text of the body parts, in order.
fn body_hash(message: &Message<'_>) -> String {
    let mut hasher = Sha256::new();
    for (index, part) in message.parts.iter().enumerate() {
        if is_file(message, index, part) {
            continue;
        }
        let (kind, text) = match &part.body {
            PartType::Text(text) => ("text", text),
            PartType::Html(html) => ("html", html),
            _ => continue,
        };
        hasher.update(kind);
        for word in text.split_whitespace() {
            hasher.update(b" ");
            hasher.update(word);
        }
        hasher.update(b"\n");
    }
    hex::encode(hasher.finalize())
}

/// True for parts that a reader sees as a file rather than as the text of the mail.
fn is_file(message: &Message<'_>, index: usize, part: &MessagePart<'_>) -> bool {
    match &part.body {
        PartType::Multipart(_) => false,
        PartType::Text(_) | PartType::Html(_) => {
            let listed = message.attachments.contains(&(index as u32));
            let declared = part.content_disposition().is_some_and(|disposition| disposition.is_attachment());
            declared || (listed && part.attachment_name().is_some())
        }
        _ => true,
    }
}

/// Walks the parts of a message; `parent` is the file it came in when it is a nested one.
fn parts(
    work: &mut Work<'_>,
    message: &Message<'_>,
    raw: &[u8],
    parent: Option<&str>,
    path: &str,
    depth: usize,
    location: Location,
) {
    for (index, part) in message.parts.iter().enumerate() {
        if is_file(message, index, part) {
            let bytes = content(part, raw);
            let name =
                part.attachment_name().map_or_else(|| default_name(part, index), |name| tidy(name, NAME_CHARS_MAX));
            let declared = declared_type(part);
            file(work, File { name: &name, bytes: &bytes, declared: &declared, parent, path }, depth);
            continue;
        }
        match &part.body {
            PartType::Text(text) => {
                work.urls_in_text(text, location);
                if location == Location::Body {
                    append(&mut work.body.plain, text);
                }
            }
            PartType::Html(html) => {
                let visible = work.urls_in_html(html, location);
                if location == Location::Body {
                    append(&mut work.body.html, &visible);
                }
            }
            _ => {}
        }
    }
}

/// Appends a part to the text of the body, up to [`BODY_BYTES_MAX`].
fn append(body: &mut String, text: &str) {
    let room = BODY_BYTES_MAX.saturating_sub(body.len());
    body.push_str(&text[..text.floor_char_boundary(room.min(text.len()))]);
    body.push('\n');
}

fn default_name(part: &MessagePart<'_>, index: usize) -> String {
    let end = if matches!(part.body, PartType::Message(_)) { "eml" } else { "bin" };
    format!("part-{index}.{end}")
}

fn declared_type(part: &MessagePart<'_>) -> String {
    match (&part.body, part.content_type()) {
        (PartType::Message(_), _) => "message/rfc822".to_owned(),
        (_, Some(content_type)) => {
            let subtype = content_type.subtype().unwrap_or_default();
            tidy(&format!("{}/{subtype}", content_type.ctype()), 128).to_lowercase()
        }
        _ => String::new(),
    }
}

/// The decoded bytes of a part. Text is decoded from the raw mail again: the parser's own text went
/// through a character set, and a hash must be that of the file a user would save.
fn content<'m>(part: &'m MessagePart<'_>, raw: &'m [u8]) -> std::borrow::Cow<'m, [u8]> {
    let slice = raw.get(part.offset_body as usize..part.offset_end as usize).unwrap_or_default();
    match &part.body {
        PartType::Binary(bytes) | PartType::InlineBinary(bytes) => bytes.as_ref().into(),
        PartType::Message(message) if part.encoding != Encoding::None => message.raw_message.as_ref().into(),
        PartType::Message(_) => slice.into(),
        PartType::Text(text) | PartType::Html(text) => match part.encoding {
            Encoding::Base64 => decode_base64(slice).into(),
            Encoding::QuotedPrintable => {
                quoted_printable_decode(slice).map_or_else(|| text.as_bytes().into(), Into::into)
            }
            Encoding::None => slice.into(),
        },
        PartType::Multipart(_) => Default::default(),
    }
}

/// Decodes base64 as mail programs do: foreign bytes are skipped, padding is optional.
fn decode_base64(text: &[u8]) -> Vec<u8> {
    const ENGINE: base64::engine::GeneralPurpose = base64::engine::GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        base64::engine::GeneralPurposeConfig::new()
            .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let mut digits: Vec<u8> = text.iter().copied().take_while(|byte| *byte != b'=').filter(is_digit).collect();
    if digits.len() % 4 == 1 {
        digits.pop();
    }
    ENGINE.decode(&digits).unwrap_or_default()
}

/// A file about to be inspected.
pub(super) struct File<'f> {
    pub name: &'f str,
    pub bytes: &'f [u8],
    pub declared: &'f str,
    pub parent: Option<&'f str>,
    /// Path of what it lies in; empty for the message's own files.
    pub path: &'f str,
}

/// Records a file and takes it apart when it holds others.
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
    let outcome = match shape {
        Shape::Opaque => Ok(()),
        Shape::Closed => Err(Reason::Unsupported(file_type)),
        _ if !work.budget.in_time() => Err(Limit::Time.into()),
        Shape::Html => {
            let text = legacy_text(file.bytes).unwrap_or_else(|| String::from_utf8_lossy(file.bytes).into_owned());
            work.urls_in_html(&text, Location::Attachment);
            Ok(())
        }
        Shape::Text => {
            let text = legacy_text(file.bytes).unwrap_or_else(|| String::from_utf8_lossy(file.bytes).into_owned());
            work.urls_in_text(&text, Location::Attachment);
            Ok(())
        }
        _ if depth >= work.limits.depth_max => Err(Limit::Depth(work.limits.depth_max).into()),
        Shape::Message => nested_message(work, file.bytes, &hash, &path, depth + 1),
        Shape::Zip | Shape::OfficeZip | Shape::Tar | Shape::Gzip => {
            super::archive::open(work, shape, file.bytes, &hash, &path, depth + 1)
        }
    };
    if let Err(reason) = outcome {
        work.analysis.files[index].attachment.uninspected = Some(reason.uninspected());
        work.note(&path, reason);
    }
}

fn nested_message(work: &mut Work<'_>, raw: &[u8], hash: &str, path: &str, depth: usize) -> Result<(), Reason> {
    match parse(raw) {
        Parsed::Whole(message) => {
            parts(work, &message, raw, Some(hash), path, depth, Location::Attachment);
            Ok(())
        }
        Parsed::HeadersOnly(_) => Err(Limit::Nesting.into()),
        Parsed::Nothing => Err(no_headers()),
    }
}
