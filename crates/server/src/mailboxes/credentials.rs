//! Credentials of single mailboxes, for mail servers without a master user.
//!
//! TOML, sealed (`hinomi mail secret set`) or in a file:
//!
//! ```toml
//! ["alice@example.jp"]
//! password = "…"
//!
//! ["bob@example.jp"]
//! user = "bob"                  # login name; else the mailbox
//! token_file = "tokens/bob"     # OAuth 2 access token, renewed by whoever owns it
//! ```
//!
//! A relative `token_file` lies beside the file; sealed credentials name absolute ones.

use anyhow::{Context, Result};
use futures::future::BoxFuture;
use hinomi_mail::connector::imap::{Credentials, Secret};
use serde::Deserialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// Longest file read, bytes.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// One mailbox.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    user: Option<String>,
    password: Option<String>,
    token_file: Option<PathBuf>,
}

/// Credentials by mailbox, lower case.
#[derive(Clone)]
pub struct Entries(Arc<HashMap<String, Entry>>);

impl Entries {
    /// Reads the TOML.
    ///
    /// # Errors
    /// Names the line; secrets are never part of the error.
    pub fn parse(text: &str) -> Result<Self> {
        // the parser's own message quotes the line, and with it the secret
        let entries: HashMap<String, Entry> = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(0, |span| text[..span.start.min(text.len())].lines().count());
            anyhow::anyhow!("this is not a list of credentials (near line {line})")
        })?;
        Ok(Entries(Arc::new(entries.into_iter().map(|(name, entry)| (name.to_lowercase(), entry)).collect())))
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Folders of the token files.
    pub fn token_folders(&self, beside: &Path) -> Vec<PathBuf> {
        let files = self.0.values().filter_map(|entry| entry.token_file.as_ref());
        let mut folders: Vec<PathBuf> = files.filter_map(|file| Some(beside.join(file).parent()?.to_owned())).collect();
        folders.sort();
        folders.dedup();
        folders
    }

    fn of(&self, mailbox: &str, beside: &Path) -> Result<Option<(String, Secret)>> {
        let Some(entry) = self.0.get(&mailbox.to_lowercase()) else { return Ok(None) };
        let user = entry.user.clone().unwrap_or_else(|| mailbox.to_owned());
        let secret = match (&entry.password, &entry.token_file) {
            (Some(password), None) => Secret::Password(password.clone()),
            (None, Some(file)) => {
                let file = beside.join(file);
                let text = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
                Secret::Token(text.trim().to_owned())
            }
            _ => anyhow::bail!("{mailbox} needs either a password or a token_file"),
        };
        Ok(Some((user, secret)))
    }
}

impl Credentials for Entries {
    fn of<'a>(&'a self, mailbox: &'a str) -> BoxFuture<'a, Result<Option<(String, Secret)>, String>> {
        Box::pin(async move { self.of(mailbox, Path::new("/")).map_err(|error| format!("{error:#}")) })
    }
}

/// The credentials of a file, read anew when it changes; tokens at every login.
pub struct FileCredentials {
    path: PathBuf,
    read: Mutex<Option<(SystemTime, Entries)>>,
}

impl FileCredentials {
    /// Opens the file; returns the folders that must stay readable for it too.
    ///
    /// # Errors
    /// When it cannot be read; secrets are never part of the error.
    pub fn open(path: &Path) -> Result<(Self, Vec<PathBuf>)> {
        let credentials = FileCredentials { path: path.to_owned(), read: Mutex::default() };
        let mut folders = credentials.entries()?.token_folders(credentials.folder());
        folders.push(credentials.folder().to_owned());
        Ok((credentials, folders))
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    fn entries(&self) -> Result<Entries> {
        let shown = self.path.display();
        let known = std::fs::metadata(&self.path).with_context(|| format!("read {shown}"))?;
        anyhow::ensure!(known.len() <= FILE_BYTES_MAX, "{shown} is too big");
        let changed = known.modified()?;
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, entries)) = &*read
            && *at == changed
        {
            return Ok(entries.clone());
        }
        let text = match (std::fs::read_to_string(&self.path), &*read) {
            // a mail worker without the right to read it again: the server starts another one
            (Err(error), Some((_, entries))) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                return Ok(entries.clone());
            }
            (text, _) => text.with_context(|| format!("read {shown}"))?,
        };
        let entries = Entries::parse(&text).with_context(|| format!("read {shown}"))?;
        *read = Some((changed, entries.clone()));
        Ok(entries)
    }

    fn of_now(&self, mailbox: &str) -> Result<Option<(String, Secret)>> {
        self.entries()?.of(mailbox, self.folder())
    }
}

impl Credentials for FileCredentials {
    fn of<'a>(&'a self, mailbox: &'a str) -> BoxFuture<'a, Result<Option<(String, Secret)>, String>> {
        Box::pin(async move { self.of_now(mailbox).map_err(|error| format!("{error:#}")) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_by_mailbox_and_never_told() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("credentials.toml");
        std::fs::write(
            &path,
            "[\"Alice@x.test\"]\npassword = \"p1\"\n[bob]\nuser = \"b\"\ntoken_file = \"bob.token\"\n",
        )
        .expect("write");
        std::fs::write(dir.path().join("bob.token"), "t1\n").expect("write");
        let (credentials, folders) = FileCredentials::open(&path).expect("opens");
        assert_eq!(folders, [dir.path(), dir.path()]);
        let of = |name: &str| credentials.of_now(name).expect("read");
        assert_eq!(of("alice@x.test"), Some(("alice@x.test".to_owned(), Secret::Password("p1".to_owned()))));
        assert_eq!(of("bob"), Some(("b".to_owned(), Secret::Token("t1".to_owned()))));
        assert_eq!(of("carol"), None);
        std::fs::write(dir.path().join("bob.token"), "t2\n").expect("renewed");
        assert_eq!(of("bob"), Some(("b".to_owned(), Secret::Token("t2".to_owned()))));
        std::fs::write(&path, "[bob]\npassword = \"hunter2\" oops\n").expect("write");
        let error = format!("{:#}", FileCredentials::open(&path).map(drop).expect_err("damaged"));
        assert!(error.contains("credentials.toml") && !error.contains("hunter2"), "{error}");
    }
}
