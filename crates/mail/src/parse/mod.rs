//! Message analysis: what a mail says, carries and points to, within limits.
//!
//! [`analyse`] never fails and never panics: what cannot be read becomes a [`Note`] or the
//! `uninspected` reason of a file, and the rest of the mail is still reported.

mod message;

mod charset;
mod header;
mod html;
mod url;
mod uuencode;

mod container;
mod file;
mod sniff;

mod cabinet;
mod document;
mod iso;
mod rar;
mod rtf;
mod sevenz;
mod smime;
mod tarball;
mod tnef;
mod zipfile;

mod addresses;
mod budget;
mod fingerprint;
mod password;
mod reason;
mod unwrap;

pub use self::addresses::{Addresses, RECIPIENTS_MAX, addresses};
pub use self::fingerprint::subject_key;
pub use self::reason::{Limit, Reason};
pub use self::url::{Location, UrlFound, normalise_url, registrable_domain, unwrap_url};

use budget::Budget;
use hinomi_model::Attachment;
use std::collections::HashSet;
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
    /// Address of the Sender header, lower case; empty when there is none.
    pub sender_address: String,
    /// Address of the topmost Return-Path header, lower case: what the delivering server wrote.
    /// Empty when there is none or it is the null sender.
    pub return_path: String,
    /// First address of Reply-To, lower case; empty when there is none.
    pub reply_to: String,
    /// Addresses of To and Cc, lower case, at most 1,000.
    pub recipients: Vec<String>,
    /// Message-IDs of In-Reply-To and References, each once, oldest first, at most 100.
    pub references: Vec<String>,
    /// The Date header, seconds since 1970; the sender's word.
    pub date: Option<i64>,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 over the type and whitespace-folded text of every body part, lower-case hex. The
    /// same before and after a mail server re-encodes or re-wraps the mail.
    pub body_sha256: String,
    /// SHA-256 of the normalised text a reader sees (of the HTML body when there is one): the same for
    /// all mails of a campaign that differ in numbers, addresses, layout and case only. Empty for a
    /// mail without text. Normalisation: see `fingerprint.rs`.
    pub text_sha256: String,
    /// 64-bit SimHash over the same normalised text; two texts are near duplicates when few bits
    /// differ (see [`SIMHASH_NEAR_BITS`]). `None` for texts too short to tell.
    pub text_simhash: Option<u64>,
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
    /// Type the mail declares for it, lower case; empty for files from archives.
    pub declared_type: String,
    /// True when a password found in the mail opened it.
    pub opened_with_password: bool,
    /// What an archive says it holds but nobody could unpack (RAR, encrypted archives), at most 200.
    pub listed: Vec<Listed>,
}

/// An entry of an archive that was read by name only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Name with folders (untrusted).
    pub name: String,
    /// Unpacked size in bytes, as the archive says.
    pub size: u64,
    /// True when its content is encrypted.
    pub encrypted: bool,
}

/// Something that was left out or looked wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What it is about: a file's path, or a word for a part of the analysis.
    pub subject: String,
    /// Why.
    pub reason: Reason,
}

/// Differing bits of [`Analysis::text_simhash`] up to which two texts count as near duplicates.
/// 64 bits and 3 differing ones found near-duplicate web pages in Manku, Jain and Das Sarma (2007);
/// mails are shorter, so one changed word moves more bits.
pub const SIMHASH_NEAR_BITS: u32 = 6;

/// Most notes kept.
const NOTES_MAX: usize = 100;
/// Longest name of a file kept, in characters.
const NAME_CHARS_MAX: usize = 512;

/// Analyses a raw message.
pub fn analyse(raw: &[u8], limits: &Limits) -> Analysis {
    guarded(raw, || {
        let mut work = Work::new(limits);
        message::read(&mut work, raw);
        work.analysis
    })
}

/// Analyses a bare file as if it were the one attachment of a message: it is the first of
/// [`Analysis::files`], what lies in it follows.
///
/// ```
/// use hinomi_mail::parse::{Limits, analyse_file};
/// let found = analyse_file("a.txt", b"see https://example.com/", &Limits::default());
/// assert_eq!(found.files[0].attachment.file_type, "text/plain");
/// assert_eq!(found.urls[0].url, "https://example.com/");
/// ```
pub fn analyse_file(name: &str, bytes: &[u8], limits: &Limits) -> Analysis {
    guarded(bytes, || {
        let mut work = Work::new(limits);
        work.analysis.size = bytes.len() as u64;
        let name = tidy(name, NAME_CHARS_MAX);
        file::file(&mut work, file::File { name: &name, bytes, declared: "", parent: None, path: "" }, 0);
        work.analysis
    })
}

/// Runs a parser that is not ours alone. A panic in it costs this message its verdict, not the gateway
/// its thread.
fn guarded(raw: &[u8], work: impl FnOnce() -> Analysis) -> Analysis {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or_else(|_| Analysis {
        size: raw.len() as u64,
        body_sha256: sha256(raw),
        notes: vec![Note { subject: "message".to_owned(), reason: Reason::ReaderFailed }],
        ..Analysis::default()
    })
}

/// An analysis in progress.
struct Work<'l> {
    limits: &'l Limits,
    budget: Budget,
    text_left: usize,
    /// Text of the message's own body as a reader sees it, by kind.
    body: BodyText,
    /// Passwords named in subject and body; found when the first encrypted archive asks.
    passwords: Option<Vec<String>>,
    seen_urls: HashSet<(Location, String)>,
    analysis: Analysis,
}

/// Text of a message's own body.
#[derive(Default)]
struct BodyText {
    plain: String,
    html: String,
}

impl<'l> Work<'l> {
    fn new(limits: &'l Limits) -> Self {
        Work {
            limits,
            budget: Budget::new(limits),
            text_left: limits.text_bytes_max,
            body: BodyText::default(),
            passwords: None,
            seen_urls: HashSet::new(),
            analysis: Analysis::default(),
        }
    }

    fn passwords(&mut self) -> &[String] {
        let text = || format!("{}\n{}\n{}", self.analysis.subject, self.body.plain, self.body.html);
        let found = self.passwords.take().unwrap_or_else(|| password::find(&text()));
        self.passwords.insert(found)
    }

    fn note(&mut self, subject: &str, reason: impl Into<Reason>) {
        if self.analysis.notes.len() < NOTES_MAX {
            self.analysis.notes.push(Note { subject: subject.to_owned(), reason: reason.into() });
        }
    }

    /// The same, at most once per subject.
    fn note_once(&mut self, subject: &str, reason: impl Into<Reason>) {
        if !self.analysis.notes.iter().any(|note| note.subject == subject) {
            self.note(subject, reason);
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
