//! The file system of one mailbox: folders, files, names, flags.

use crate::connector::{ConnectorError, Folder, FolderRole};
use crate::imap::folder_for_people;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Folders of one mailbox, at most.
const FOLDERS_MAX: usize = 2_000;
/// Mails of one folder, at most.
const MAILS_MAX: usize = 1_000_000;
/// Largest mail read, bytes.
pub(super) const MAIL_BYTES_MAX: u64 = 96 << 20;
/// Header block looked at when searching, bytes.
pub(super) const HEADER_BYTES_MAX: u64 = 256 << 10;
/// Do not follow a symbolic link at the end of the path (Linux: asm-generic/fcntl.h).
const O_NOFOLLOW: i32 = 0o400_000;

/// Flags of the info part of a name (<https://cr.yp.to/proto/maildir.html>) as IMAP names them.
const FLAGS: [(u8, &str); 5] =
    [(b'D', "\\Draft"), (b'F', "\\Flagged"), (b'R', "\\Answered"), (b'S', "\\Seen"), (b'T', "\\Deleted")];

/// One mail file.
#[derive(Debug, Clone)]
pub(super) struct MailFile {
    pub path: PathBuf,
    /// Name without flags.
    pub name: String,
    /// Letters behind `:2,`.
    pub letters: Vec<u8>,
}

/// An error of the file system on a path.
pub(super) fn io(attempt: &str, path: &Path, error: std::io::Error) -> ConnectorError {
    let attempt = format!("{attempt} {}", path.display());
    let source: Option<Box<dyn std::error::Error + Send + Sync>> = Some(Box::new(error));
    ConnectorError::Refused { attempt, source }
}

/// Lists the folders of a mailbox; the inbox is first.
pub(super) fn folders(root: &Path) -> Result<Vec<Folder>, ConnectorError> {
    let mut folders = vec![Folder { id: String::new(), name: "INBOX".to_owned(), role: Some(FolderRole::Inbox) }];
    for entry in fs::read_dir(root).map_err(|error| io("list", root, error))? {
        let entry = entry.map_err(|error| io("list", root, error))?;
        let Some(id) = entry.file_name().to_str().map(str::to_owned) else { continue };
        let is_folder = id.len() > 1 && id.starts_with('.') && id != "..";
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !is_folder || !is_dir || !is_plain_dir(&entry.path().join("cur")) {
            continue;
        }
        if folders.len() >= FOLDERS_MAX {
            return Err(ConnectorError::refused(format!("more than {FOLDERS_MAX} folders in {}", root.display())));
        }
        folders.push(folder(&id));
    }
    folders[1..].sort_by(|a, b| a.id.cmp(&b.id));
    Ok(folders)
}

fn folder(id: &str) -> Folder {
    let name = folder_for_people(&id[1..]).replace('.', "/");
    let role = match name.to_lowercase().as_str() {
        "junk" | "spam" | "junk e-mail" => Some(FolderRole::Junk),
        "trash" | "deleted items" | "deleted messages" => Some(FolderRole::DeletedItems),
        "sent" | "sent items" | "sent messages" => Some(FolderRole::Sent),
        "drafts" => Some(FolderRole::Drafts),
        "archive" => Some(FolderRole::Archive),
        _ => None,
    };
    Folder { id: id.to_owned(), name, role }
}

/// The folder that is made for a role.
pub(super) fn folder_for(role: FolderRole) -> Option<Folder> {
    match role {
        FolderRole::Junk => Some(folder(".Junk")),
        FolderRole::DeletedItems => Some(folder(".Trash")),
        FolderRole::Sent => Some(folder(".Sent")),
        _ => None,
    }
}

/// The path of a folder; its id must be one [`folders`] could have given.
pub(super) fn path_of(root: &Path, folder: &Folder) -> Result<PathBuf, ConnectorError> {
    match folder.id.as_str() {
        "" => Ok(root.to_owned()),
        id if id.len() > 1 && id.starts_with('.') && id != ".." && !id.contains(['/', '\0']) => Ok(root.join(id)),
        id => Err(ConnectorError::refused(format!("{id:?} is no folder of a Maildir"))),
    }
}

/// Makes a folder like its mailbox: same owner, same rights.
pub(super) fn make(root: &Path, folder: &Folder) -> Result<PathBuf, ConnectorError> {
    let path = path_of(root, folder)?;
    let like = fs::symlink_metadata(root).map_err(|error| io("look at", root, error))?;
    for part in [path.clone(), path.join("cur"), path.join("new"), path.join("tmp")] {
        match fs::DirBuilder::new().mode(like.mode() & 0o7777).create(&part) {
            Ok(()) => give_to(&part, &like)?,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(io("make", &part, error)),
        }
    }
    if !folder.id.is_empty() {
        let mark = path.join("maildirfolder");
        let made = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&mark);
        if made.is_ok() {
            give_to(&mark, &like)?;
        }
    }
    Ok(path)
}

fn give_to(path: &Path, like: &fs::Metadata) -> Result<(), ConnectorError> {
    std::os::unix::fs::lchown(path, Some(like.uid()), Some(like.gid())).map_err(|error| io("hand over", path, error))
}

pub(super) fn is_plain_dir(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}

/// Lists the mails of a folder.
pub(super) fn mails(path: &Path) -> Result<Vec<MailFile>, ConnectorError> {
    let mut mails = Vec::new();
    for part in ["cur", "new"] {
        let part = path.join(part);
        if !is_plain_dir(&part) {
            continue;
        }
        for entry in fs::read_dir(&part).map_err(|error| io("list", &part, error))? {
            let entry = entry.map_err(|error| io("list", &part, error))?;
            let name = entry.file_name();
            if name.as_bytes().starts_with(b".") || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
                continue;
            }
            let Some(text) = name.to_str() else { continue };
            if mails.len() >= MAILS_MAX {
                return Err(ConnectorError::refused(format!("more than {MAILS_MAX} mails in {}", path.display())));
            }
            let (base, letters) = text.split_once(":2,").unwrap_or((text, ""));
            mails.push(MailFile { path: entry.path(), name: base.to_owned(), letters: letters.bytes().collect() });
        }
    }
    mails.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(mails)
}

/// Finds a mail by its name, whatever its flags are now.
pub(super) fn find(path: &Path, name: &str) -> Result<Option<MailFile>, ConnectorError> {
    Ok(mails(path)?.into_iter().find(|mail| mail.name == name))
}

/// Opens a mail file for reading; `None` when it is gone.
pub(super) fn open(path: &Path) -> Result<Option<fs::File>, ConnectorError> {
    match fs::OpenOptions::new().read(true).custom_flags(O_NOFOLLOW).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io("read", path, error)),
    }
}

/// Reads a mail with the time it was received; `None` when it is gone.
pub(super) fn read(path: &Path) -> Result<Option<(Vec<u8>, i64)>, ConnectorError> {
    let Some(file) = open(path)? else { return Ok(None) };
    let found = file.metadata().map_err(|error| io("look at", path, error))?;
    if found.len() > MAIL_BYTES_MAX {
        return Err(ConnectorError::refused(format!("{} is larger than a mail may be", path.display())));
    }
    let mut raw = Vec::with_capacity(found.len() as usize);
    file.take(MAIL_BYTES_MAX).read_to_end(&mut raw).map_err(|error| io("read", path, error))?;
    Ok(Some((raw, found.mtime())))
}

/// Reads the beginning of a mail.
pub(super) fn read_head(path: &Path) -> Result<Option<Vec<u8>>, ConnectorError> {
    let Some(file) = open(path)? else { return Ok(None) };
    let mut head = Vec::new();
    file.take(HEADER_BYTES_MAX).read_to_end(&mut head).map_err(|error| io("read", path, error))?;
    Ok(Some(head))
}

/// Keywords of a folder by letter, as Dovecot keeps them (`dovecot-keywords`: `0 $Label1`).
pub(super) fn keywords(path: &Path) -> Vec<(u8, String)> {
    let file = path.join("dovecot-keywords");
    let Ok(Some(file)) = open(&file) else { return Vec::new() };
    let mut text = String::new();
    if file.take(64 << 10).read_to_string(&mut text).is_err() {
        return Vec::new();
    }
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    let numbered = lines.filter_map(|(number, word)| Some((number.parse::<u8>().ok().filter(|n| *n < 26)?, word)));
    numbered.map(|(number, word)| (b'a' + number, word.to_owned())).collect()
}

/// Flags of letters, as IMAP names them.
pub(super) fn flags(letters: &[u8], keywords: &[(u8, String)]) -> Vec<String> {
    let system = FLAGS.iter().filter(|(letter, _)| letters.contains(letter)).map(|(_, flag)| (*flag).to_owned());
    let own = keywords.iter().filter(|(letter, _)| letters.contains(letter)).map(|(_, word)| word.clone());
    let mut flags: Vec<String> = system.chain(own).collect();
    flags.sort();
    flags
}

/// Letters of flags; keywords the folder does not know have none.
pub(super) fn letters(flags: &[String], keywords: &[(u8, String)]) -> String {
    let system = FLAGS.iter().filter(|(_, flag)| flags.iter().any(|have| have.eq_ignore_ascii_case(flag)));
    let own = keywords.iter().filter(|(_, word)| flags.contains(word));
    let mut letters: Vec<u8> = system.map(|(letter, _)| *letter).chain(own.map(|(letter, _)| *letter)).collect();
    letters.sort_unstable();
    letters.into_iter().map(char::from).collect()
}

/// Writes a new mail into a folder, durable, and returns its name without flags.
pub(super) fn store(
    root: &Path,
    folder: &Path,
    raw: &[u8],
    letters: &str,
    received: Option<i64>,
) -> Result<String, ConnectorError> {
    let like = fs::symlink_metadata(root).map_err(|error| io("look at", root, error))?;
    let name = unique_name(raw.len());
    let beside = folder.join("tmp").join(&name);
    let target = folder.join("cur").join(format!("{name}:2,{letters}"));
    let write = || -> std::io::Result<()> {
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(like.mode() & 0o666).open(&beside)?;
        file.write_all(raw)?;
        if let Some(seconds) = received.and_then(|seconds| u64::try_from(seconds).ok()) {
            let at = UNIX_EPOCH + Duration::from_secs(seconds);
            file.set_times(fs::FileTimes::new().set_modified(at).set_accessed(at))?;
        }
        file.sync_all()?;
        std::os::unix::fs::fchown(&file, Some(like.uid()), Some(like.gid()))?;
        fs::rename(&beside, &target)?;
        fs::File::open(folder.join("cur"))?.sync_all()
    };
    write().map_err(|error| io("write", &target, error))?;
    Ok(name)
}

/// A name no other delivery has: time, process, counter, host, size (as Dovecot and Courier do).
fn unique_name(size: usize) -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String = host.trim().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(60).collect();
    format!(
        "{}.M{}P{}Q{}.{},S={size}",
        now.as_secs(),
        now.subsec_micros(),
        std::process::id(),
        COUNTER.fetch_add(1, Ordering::Relaxed),
        if host.is_empty() { "hinomi" } else { &host },
    )
}
