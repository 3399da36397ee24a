//! Credentials of single mailboxes, for mail servers without a master user.
//!
//! A TOML file, readable by the server only:
//!
//! ```toml
//! ["alice@example.jp"]
//! password = "…"
//!
//! ["bob@example.jp"]
//! user = "bob"                  # login name; else the mailbox
//! token_file = "tokens/bob"     # OAuth 2 access token, renewed by whoever owns it
//! ```

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

/// One mailbox in the file.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    user: Option<String>,
    password: Option<String>,
    token_file: Option<PathBuf>,
}

type Entries = Arc<HashMap<String, Entry>>;

/// The credentials of a file, read anew when it changes; tokens at every login.
pub struct FileCredentials {
    path: PathBuf,
    read: Mutex<Option<(SystemTime, Entries)>>,
}

impl FileCredentials {
    /// Opens the file.
    ///
    /// # Errors
    /// When it cannot be read; secrets are never part of the error.
    pub fn open(path: &Path) -> Result<Self> {
        let credentials = FileCredentials { path: path.to_owned(), read: Mutex::default() };
        credentials.entries()?;
        Ok(credentials)
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
            return Ok(Arc::clone(entries));
        }
        let text = std::fs::read_to_string(&self.path).with_context(|| format!("read {shown}"))?;
        // the parser's own message quotes the line, and with it the secret
        let entries: HashMap<String, Entry> = toml::from_str(&text).map_err(|error| {
            let line = error.span().map_or(0, |span| text[..span.start.min(text.len())].lines().count());
            anyhow::anyhow!("{shown} is not a list of credentials (near line {line})")
        })?;
        let entries: Entries =
            Arc::new(entries.into_iter().map(|(name, entry)| (name.to_lowercase(), entry)).collect());
        *read = Some((changed, Arc::clone(&entries)));
        Ok(entries)
    }

    fn of_now(&self, mailbox: &str) -> Result<Option<(String, Secret)>> {
        let entries = self.entries()?;
        let Some(entry) = entries.get(&mailbox.to_lowercase()) else { return Ok(None) };
        let user = entry.user.clone().unwrap_or_else(|| mailbox.to_owned());
        let secret = match (&entry.password, &entry.token_file) {
            (Some(password), None) => Secret::Password(password.clone()),
            (None, Some(file)) => {
                let file = self.path.parent().unwrap_or(Path::new(".")).join(file);
                let text = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
                Secret::Token(text.trim().to_owned())
            }
            _ => anyhow::bail!("{mailbox} needs either a password or a token_file"),
        };
        Ok(Some((user, secret)))
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
        let credentials = FileCredentials::open(&path).expect("opens");
        let of = |name: &str| credentials.of_now(name).expect("read");
        assert_eq!(of("alice@x.test"), Some(("alice@x.test".to_owned(), Secret::Password("p1".to_owned()))));
        assert_eq!(of("bob"), Some(("b".to_owned(), Secret::Token("t1".to_owned()))));
        assert_eq!(of("carol"), None);
        std::fs::write(dir.path().join("bob.token"), "t2\n").expect("renewed");
        assert_eq!(of("bob"), Some(("b".to_owned(), Secret::Token("t2".to_owned()))));
        std::fs::write(&path, "[bob]\npassword = \"hunter2\" oops\n").expect("write");
        let error = FileCredentials::open(&path).map(drop).expect_err("damaged").to_string();
        assert!(error.contains("credentials.toml") && !error.contains("hunter2"), "{error}");
    }
}
