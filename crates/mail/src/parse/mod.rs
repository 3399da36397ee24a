//! Message analysis: what a mail says, carries and points to, within limits.
//!
//! [`analyse`] never fails and never panics: what cannot be read becomes a [`Note`] or the
//! `uninspected` reason of a file, and the rest of the mail is still reported.

mod archive;
mod budget;
mod html;
mod message;
mod sniff;
mod url;

pub use self::url::{Location, UrlFound, normalise_url, registrable_domain};

use budget::Budget;
use hinomi_model::Attachment;
use std::time::Duration;

/// How much work one message may cause.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Archives and attached messages inside each other.
    pub depth_max: usize,
    /// Files reported, all levels together.
    pub files_max: usize,
    /// Bytes unpacked from archives, all together.
    pub unpacked_bytes_max: u64,
    /// Bytes unpacked from archives for one file.
    pub file_bytes_max: u64,
    /// Unpacked bytes per packed byte of one file; beyond it the file is a bomb. The first
    /// mebibyte is free: small files compress well.
    pub ratio_max: u64,
    /// URLs reported.
    pub urls_max: usize,
    /// Text searched for URLs, bytes, all parts together.
    pub text_bytes_max: usize,
    /// Time for unpacking and searching; hashing of the message's own parts is always done.
    pub time_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            depth_max: 6,
            files_max: 500,
            unpacked_bytes_max: 256 << 20,
            file_bytes_max: 64 << 20,
            ratio_max: 200,
            urls_max: 1_000,
            text_bytes_max: 4 << 20,
            time_max: Duration::from_secs(5),
        }
    }
}

/// What a message says, carries and points to. All text is untrusted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Analysis {
    /// Message-ID without angle brackets; attacker-controlled, may be empty.
    pub message_id: String,
    /// Our own id from `X-Hinomi-Message-Id`, when there is one.
    pub hinomi_id: String,
    /// Subject, decoded.
    pub subject: String,
    /// Address of the From header, lower case.
    pub from_address: String,
    /// Display name of the From header.
    pub from_name: String,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 over the type and whitespace-folded text of every body part, lower-case hex. The
    /// same before and after a mail server re-encodes or re-wraps the mail.
    pub body_sha256: String,
    /// Files, nested ones after their parent.
    pub files: Vec<FileFound>,
    /// Normalised URLs, each once per location.
    pub urls: Vec<UrlFound>,
    /// What was left out or looked wrong.
    pub notes: Vec<Note>,
}

impl Analysis {
    /// Returns the hashes of the message's own attachments (not of nested files), sorted.
    pub fn attachment_hashes(&self) -> Vec<String> {
        let own = self.files.iter().filter(|file| file.attachment.parent_sha256.is_none());
        let mut hashes: Vec<String> = own.map(|file| file.attachment.sha256.clone()).collect();
        hashes.sort();
        hashes
    }

    /// Returns the domain of the From address, empty when there is none.
    pub fn from_domain(&self) -> &str {
        domain_of(&self.from_address)
    }
}

/// Returns what stands behind the last `@`, empty when there is none.
pub fn domain_of(address: &str) -> &str {
    address.rsplit_once('@').map_or("", |(_, domain)| domain)
}

/// One file of a message.
#[derive(Debug, Clone, PartialEq)]
pub struct FileFound {
    /// Name, hashes, size, type, parent.
    pub attachment: Attachment,
    /// SHA-1 of the content, lower-case hex.
    pub sha1: String,
    /// MD5 of the content, lower-case hex.
    pub md5: String,
    /// Names of the containers it lies in and its own, joined by `/` (`invoice.zip/invoice.sh`).
    pub path: String,
}

/// Something that was left out or looked wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What it is about: a file's path, or a word for a part of the analysis.
    pub subject: String,
    /// Why.
    pub reason: String,
}

/// Most notes kept.
const NOTES_MAX: usize = 100;
/// Longest name of a file kept, in characters.
const NAME_CHARS_MAX: usize = 512;

/// Analyses a raw message.
pub fn analyse(raw: &[u8], limits: &Limits) -> Analysis {
    // The parsers below are not ours. A panic in one of them costs this message its verdict, not
    // the gateway its thread.
    std::panic::catch_unwind(|| {
        let mut work = Work::new(limits);
        message::read(&mut work, raw);
        work.analysis
    })
    .unwrap_or_else(|_| Analysis {
        size: raw.len() as u64,
        body_sha256: sha256(raw),
        notes: vec![Note { subject: "message".to_owned(), reason: "the parser failed on it".to_owned() }],
        ..Analysis::default()
    })
}

/// An analysis in progress.
struct Work<'l> {
    limits: &'l Limits,
    budget: Budget,
    text_left: usize,
    analysis: Analysis,
}

impl<'l> Work<'l> {
    fn new(limits: &'l Limits) -> Self {
        Work { limits, budget: Budget::new(limits), text_left: limits.text_bytes_max, analysis: Analysis::default() }
    }

    fn note(&mut self, subject: &str, reason: impl Into<String>) {
        if self.analysis.notes.len() < NOTES_MAX {
            self.analysis.notes.push(Note { subject: subject.to_owned(), reason: reason.into() });
        }
    }
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(bytes))
}

/// Cuts untrusted text to `max` characters and drops control characters.
fn tidy(text: &str, max: usize) -> String {
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(max).collect()
}
