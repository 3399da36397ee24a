//! An inert mail program: fetches the newest mail of a mailbox, saves the file inside its archive
//! and opens it, as a person would with two clicks. Runs as `thunderbird` on the endpoint.

use crate::mail::ImapUser;
use anyhow::{Context, Result};
use std::io::{Cursor, Read};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What to open.
#[derive(Debug, Clone)]
pub struct OpenMail {
    /// The IMAP server.
    pub imap: SocketAddr,
    /// Mailbox.
    pub user: String,
    /// Password.
    pub password: String,
    /// Folder attachments are saved to.
    pub downloads: PathBuf,
}

/// Fetches, saves and opens the newest attachment; returns the exit code of what was opened, or the
/// error that kept it from starting.
///
/// # Errors
/// When there is no mail, no archive, or the file may not run.
pub async fn open(what: &OpenMail) -> Result<std::process::ExitStatus> {
    let mut mailbox = ImapUser::login(what.imap, &what.user, &what.password).await?;
    let mail = mailbox.mails("INBOX").await?.into_iter().next_back().context("the inbox is empty")?;
    let saved = save(&mail.raw, &what.downloads)?;
    run(&saved)
}

fn run(saved: &Path) -> Result<std::process::ExitStatus> {
    let folder = saved.parent().unwrap_or(Path::new("."));
    Command::new(saved).current_dir(folder).status().with_context(|| format!("open {}", saved.display()))
}

fn save(raw: &[u8], downloads: &Path) -> Result<PathBuf> {
    let mail = mail_parser::MessageParser::default().parse(raw).context("not a mail")?;
    let attachment = mail.attachments().next().context("no attachment")?;
    let mut archive = zip::ZipArchive::new(Cursor::new(attachment.contents()))?;
    let mut inside = archive.by_index(0)?;
    let name = Path::new(&*inside.name()?).file_name().context("no file name")?.to_owned();
    let mut content = Vec::new();
    inside.read_to_end(&mut content)?;
    std::fs::create_dir_all(downloads)?;
    let path = downloads.join(name);
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o755).open(&path)?;
    std::io::Write::write_all(&mut file, &content)?;
    Ok(path)
}
