//! One Maildir as a mailbox.

use super::files::{self, MailFile, io};
use crate::connector::{
    Abilities, ConnectorError, Folder, FolderRole, Mail, MailId, Mailbox, Mark, NewMail, Place, Search,
};
use crate::imap::{internal_date_of, internal_date_seconds};
use crate::remediate::OWN_ID_HEADER;
use bytes::Bytes;
use futures::future::BoxFuture;
use hinomi_model::Text;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Bytes of all mails one call returns.
const ANSWER_BYTES_MAX: usize = 256 << 20;

type Answer<'a, T> = BoxFuture<'a, Result<T, ConnectorError>>;

/// A mailbox: the folder that holds `cur`, `new` and `tmp`.
#[derive(Debug, Clone)]
pub(super) struct MaildirMailbox {
    root: PathBuf,
    name: String,
}

impl MaildirMailbox {
    pub(super) async fn open(root: PathBuf, name: &str) -> Result<Self, ConnectorError> {
        let mailbox = MaildirMailbox { root, name: name.to_owned() };
        mailbox
            .run(|mailbox| match files::is_plain_dir(&mailbox.root.join("cur")) {
                true => Ok(()),
                false => Err(ConnectorError::refused(format!(
                    "mailbox {} has no Maildir at {}",
                    mailbox.name,
                    mailbox.root.display()
                ))),
            })
            .await?;
        Ok(mailbox)
    }

    /// Runs work on files where it may block.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&MaildirMailbox) -> Result<T, ConnectorError> + Send + 'static,
    ) -> Result<T, ConnectorError> {
        let mailbox = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&mailbox)).await;
        done.map_err(|error| ConnectorError::refused(format!("work on files failed: {error}")))?
    }

    fn path(&self, folder: &Folder) -> Result<PathBuf, ConnectorError> {
        files::path_of(&self.root, folder)
    }

    fn search(&self, search: &Search, max: usize) -> Result<Vec<Mail>, ConnectorError> {
        let mut found = Vec::new();
        let mut bytes = 0;
        for folder in files::folders(&self.root)? {
            let path = self.path(&folder)?;
            let keywords = files::keywords(&path);
            for file in files::mails(&path)? {
                if !matches(&file.path, search)? {
                    continue;
                }
                let Some(mail) = mail(&folder, &file, &keywords)? else { continue };
                bytes += mail.raw.len();
                if found.len() >= max || bytes > ANSWER_BYTES_MAX {
                    return Err(ConnectorError::refused(format!(
                        "more than {max} mails or {} MiB match in mailbox {}",
                        ANSWER_BYTES_MAX >> 20,
                        self.name
                    )));
                }
                found.push(mail);
            }
        }
        Ok(found)
    }

    fn at(&self, place: &Place) -> Result<Option<MailFile>, ConnectorError> {
        let path = self.path(&place.folder)?;
        if !files::is_plain_dir(&path.join("cur")) {
            return Ok(None);
        }
        files::find(&path, name_of(&place.id)?)
    }

    /// Moves a file; its flags may change meanwhile, which changes its name.
    fn moved(&self, from: &Place, to: &Folder) -> Result<Option<Place>, ConnectorError> {
        let target = files::make(&self.root, to)?;
        for _ in 0..3 {
            let Some(file) = self.at(from)? else { return Ok(None) };
            let words = files::flags(&file.letters, &files::keywords(&self.path(&from.folder)?));
            let letters = files::letters(&words, &files::keywords(&target));
            let path = target.join("cur").join(format!("{}:2,{letters}", file.name));
            match std::fs::rename(&file.path, &path) {
                Ok(()) => {
                    sync(&target.join("cur"))?;
                    sync(file.path.parent().unwrap_or(&self.root))?;
                    let id = MailId::File { name: file.name };
                    return Ok(Some(Place { folder: to.clone(), id }));
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(io("move", &file.path, error)),
            }
        }
        Err(ConnectorError::Changed(format!("a mail in {} keeps changing", from.folder.name)))
    }

    fn removed(&self, place: &Place) -> Result<bool, ConnectorError> {
        for _ in 0..3 {
            let Some(file) = self.at(place)? else { return Ok(false) };
            match std::fs::remove_file(&file.path) {
                Ok(()) => {
                    sync(file.path.parent().unwrap_or(&self.root))?;
                    if self.at(place)?.is_none() {
                        return Ok(true);
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(io("remove", &file.path, error)),
            }
        }
        Err(ConnectorError::Changed(format!("a mail in {} is still there after its removal", place.folder.name)))
    }

    fn stored(&self, mark: &Mark, new: &NewMail) -> Result<Mail, ConnectorError> {
        let path = files::make(&self.root, &mark.folder)?;
        let keywords = files::keywords(&path);
        let letters = files::letters(&new.flags, &keywords);
        let received = internal_date_seconds(&new.internal_date);
        let name = files::store(&self.root, &path, &new.raw, &letters, received)?;
        let there = files::find(&path, &name)?;
        let there = there.map(|file| mail(&mark.folder, &file, &keywords)).transpose()?.flatten();
        there.ok_or_else(|| {
            ConnectorError::Changed(format!("{name} is not in {} after it was stored", mark.folder.name))
        })
    }

    fn arrived(&self, mark: &Mark, max: usize) -> Result<Vec<Mail>, ConnectorError> {
        let path = self.path(&mark.folder)?;
        let since = name_of(&mark.next)?.parse().unwrap_or_default();
        let keywords = files::keywords(&path);
        let mut found = Vec::new();
        for file in files::mails(&path)?.into_iter().filter(|file| changed_since(file, since)) {
            if found.len() >= max {
                return Err(ConnectorError::refused(format!("more than {max} new mails in {}", mark.folder.name)));
            }
            found.extend(mail(&mark.folder, &file, &keywords)?);
        }
        Ok(found)
    }
}

/// True when a file was made, moved or renamed since a second. What cannot be looked at counts.
fn changed_since(file: &MailFile, second: i64) -> bool {
    std::fs::symlink_metadata(&file.path).map_or(true, |found| found.ctime() >= second)
}

fn sync(dir: &Path) -> Result<(), ConnectorError> {
    std::fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| io("sync", dir, error))
}

fn mail(folder: &Folder, file: &MailFile, keywords: &[(u8, String)]) -> Result<Option<Mail>, ConnectorError> {
    let Some((raw, received)) = files::read(&file.path)? else { return Ok(None) };
    Ok(Some(Mail {
        place: Place { folder: folder.clone(), id: MailId::File { name: file.name.clone() } },
        flags: files::flags(&file.letters, keywords),
        internal_date: internal_date_of(received),
        raw: Bytes::from(raw),
    }))
}

fn name_of(id: &MailId) -> Result<&str, ConnectorError> {
    match id {
        MailId::File { name } if !name.contains('/') => Ok(name),
        other => Err(ConnectorError::refused(format!("{other:?} is no name of a Maildir file"))),
    }
}

fn matches(path: &Path, search: &Search) -> Result<bool, ConnectorError> {
    let (header, value) = match search {
        Search::MessageId(id) => ("message-id", id),
        Search::OwnId(id) => (OWN_ID_HEADER, id),
        Search::Body(words) => {
            let Some((raw, _)) = files::read(path)? else { return Ok(false) };
            let parsed = mail_parser::MessageParser::default().parse(&raw);
            let words = words.to_lowercase();
            let texts = |message: &mail_parser::Message<'_>| {
                (0..message.text_body_count())
                    .filter_map(|part| message.body_text(part).map(|text| text.to_lowercase()))
                    .any(|text| text.contains(&words))
            };
            return Ok(parsed.is_some_and(|message| texts(&message)));
        }
    };
    let Some(head) = files::read_head(path)? else { return Ok(false) };
    Ok(header_holds(&head, header, value))
}

/// True when a header with this name holds the value; compares without regard to case, as IMAP does.
fn header_holds(head: &[u8], header: &str, value: &str) -> bool {
    let mut inside = false;
    for line in head.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return false;
        }
        if !line.starts_with(b" ") && !line.starts_with(b"\t") {
            let colon = line.iter().position(|byte| *byte == b':');
            inside = colon.is_some_and(|at| line[..at].trim_ascii().eq_ignore_ascii_case(header.as_bytes()));
        }
        if inside && holds(line, value.as_bytes()) {
            return true;
        }
    }
    false
}

fn holds(line: &[u8], value: &[u8]) -> bool {
    !value.is_empty() && line.windows(value.len()).any(|window| window.eq_ignore_ascii_case(value))
}

impl Mailbox for MaildirMailbox {
    fn abilities(&self) -> Abilities {
        let keywords = Text::new(
            "keywords are kept only as far as the folder knows them (dovecot-keywords)",
            "キーワードは、フォルダーの dovecot-keywords にあるものだけ保持されます",
        );
        Abilities { puts: true, hides: false, missing: vec![keywords] }
    }

    fn candidates<'a>(&'a mut self, search: &'a Search, max: usize) -> Answer<'a, Vec<Mail>> {
        let search = search.clone();
        Box::pin(self.run(move |mailbox| mailbox.search(&search, max)))
    }

    fn is_at<'a>(&'a mut self, place: &'a Place) -> Answer<'a, bool> {
        let place = place.clone();
        Box::pin(self.run(move |mailbox| Ok(mailbox.at(&place)?.is_some())))
    }

    fn folder<'a>(&'a mut self, role: FolderRole) -> Answer<'a, Folder> {
        Box::pin(self.run(move |mailbox| {
            if let Some(folder) = files::folders(&mailbox.root)?.into_iter().find(|folder| folder.role == Some(role)) {
                return Ok(folder);
            }
            let folder = files::folder_for(role).ok_or_else(|| {
                ConnectorError::Unable(Text::new(
                    format!("the mailbox has no folder for {role:?}"),
                    format!("メールボックスに {role:?} 用のフォルダーがありません"),
                ))
            })?;
            files::make(&mailbox.root, &folder)?;
            Ok(folder)
        }))
    }

    fn relocate<'a>(&'a mut self, from: &'a Place, to: &'a Folder) -> Answer<'a, Option<Place>> {
        let (from, to) = (from.clone(), to.clone());
        Box::pin(self.run(move |mailbox| mailbox.moved(&from, &to)))
    }

    fn destroy<'a>(&'a mut self, place: &'a Place) -> Answer<'a, bool> {
        let place = place.clone();
        Box::pin(self.run(move |mailbox| mailbox.removed(&place)))
    }

    fn mark<'a>(&'a mut self, folder: &'a Folder) -> Answer<'a, Mark> {
        let folder = folder.clone();
        Box::pin(self.run(move |mailbox| {
            files::make(&mailbox.root, &folder)?;
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            Ok(Mark { folder, next: MailId::File { name: now.as_secs().to_string() } })
        }))
    }

    fn put<'a>(&'a mut self, mark: &'a Mark, mail: &'a NewMail) -> Answer<'a, Mail> {
        let (mark, mail) = (mark.clone(), mail.clone());
        Box::pin(self.run(move |mailbox| mailbox.stored(&mark, &mail)))
    }

    fn since<'a>(&'a mut self, mark: &'a Mark, max: usize) -> Answer<'a, Vec<Mail>> {
        let mark = mark.clone();
        Box::pin(self.run(move |mailbox| mailbox.arrived(&mark, max)))
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}
