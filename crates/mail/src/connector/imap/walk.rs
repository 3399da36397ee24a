//! A whole mailbox, to be read folder by folder.

use super::super::{Came, Changes, ConnectorError, Folder, FolderRole, Gone, Held, Walk, Whole};
use super::ImapConnector;
use super::mailbox::folder_of;
use crate::imap::{Connection, ImapError};
use futures::future::BoxFuture;

/// Special uses (RFC 6154) of folders that show mails of other folders a second time.
const VIEWS: [&str; 2] = ["\\All", "\\Flagged"];

/// Mails told of in one answer.
const PAGE: usize = 10_000;

/// How far a folder was read. New mails have higher UIDs, so flags need not be followed and CONDSTORE
/// is not needed: a folder whose next UID and number of mails are as before has not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cursor {
    uid_validity: u32,
    /// Every mail with a smaller UID was told of.
    next: u32,
    /// Mails the folder held when it was read to the end; none = not yet.
    mails: Option<u32>,
}

impl Cursor {
    fn parse(text: &str) -> Option<Cursor> {
        let mut parts = text.splitn(3, ':');
        let (uid_validity, next) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(Cursor { uid_validity, next, mails: parts.next()?.parse().ok() })
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:", self.uid_validity, self.next)?;
        self.mails.map_or(Ok(()), |mails| write!(f, "{mails}"))
    }
}

struct ImapWalk {
    connection: Connection,
    folders: Vec<Folder>,
}

impl Whole for ImapConnector {
    fn walk<'a>(&'a self, mailbox: &'a str) -> BoxFuture<'a, Result<Box<dyn Walk>, ConnectorError>> {
        Box::pin(async move {
            let mut connection = self.connect(mailbox).await?;
            let listed = connection.folders().await;
            self.shared.learn(&connection);
            if !connection.is_logged_in() {
                self.shared.forget();
            }
            let listed = listed?;
            let shown = listed.iter().filter(|one| !one.special_use.is_some_and(|used| VIEWS.contains(&used)));
            let folders = shown.map(|one| folder_of(one, &listed));
            let folders = folders.filter(|folder| folder.role != Some(FolderRole::Drafts)).collect();
            Ok(Box::new(ImapWalk { connection, folders }) as Box<dyn Walk>)
        })
    }
}

impl Walk for ImapWalk {
    fn folders(&self) -> &[Folder] {
        &self.folders
    }

    fn changes<'a>(
        &'a mut self,
        folder: &'a str,
        since: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Option<Changes>, ConnectorError>> {
        Box::pin(async move {
            let open = match self.connection.reselect(folder, true).await {
                Err(ImapError::Refused { text, .. }) => {
                    tracing::debug!("a folder cannot be opened: {text}");
                    return Ok(None);
                }
                open => open?,
            };
            let uid_validity = open.uid_validity;
            let known = since.and_then(Cursor::parse).filter(|known| known.uid_validity == uid_validity);
            let anew = since.is_some() && known.is_none();
            let known = known.unwrap_or(Cursor { uid_validity, next: 1, mails: None });
            if known.mails == Some(open.exists) && known.next == open.uid_next {
                let gone = Gone::These(Vec::new());
                return Ok(Some(Changes { anew, new: Vec::new(), gone, cursor: known.to_string(), more: false }));
            }
            let mut uids = self.connection.uids_from(known.next).await?;
            let more = uids.len() > PAGE;
            uids.truncate(PAGE);
            let after = |uid: u32| uid.saturating_add(1);
            let next = uids.last().map_or(known.next, |last| after(*last));
            let (gone, cursor) = if more {
                (Gone::These(Vec::new()), Cursor { uid_validity, next, mails: None })
            } else {
                let there = self.connection.uids_from(1).await?;
                let mails = u32::try_from(there.len()).ok();
                let there = there.iter().map(u32::to_string).collect();
                (Gone::AllBut(there), Cursor { uid_validity, next: next.max(open.uid_next), mails })
            };
            let came = |uid: u32| {
                let then = Cursor { uid_validity, next: after(uid), mails: None };
                Came { id: uid.to_string(), then: Some(then.to_string()) }
            };
            let new = uids.into_iter().map(came).collect();
            Ok(Some(Changes { anew, new, gone, cursor: cursor.to_string(), more }))
        })
    }

    fn fetch<'a>(&'a mut self, id: &'a str) -> BoxFuture<'a, Result<Option<Held>, ConnectorError>> {
        Box::pin(async move {
            let uid = id.parse().map_err(|_| ConnectorError::refused(format!("{id:?} is no UID")))?;
            let fetched = self.connection.fetch(uid).await?;
            Ok(fetched.map(|mail| Held { internal_date: mail.internal_date, raw: mail.raw }))
        })
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move { self.connection.logout().await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_come_back() {
        for cursor in [
            Cursor { uid_validity: 7, next: 1, mails: None },
            Cursor { uid_validity: u32::MAX, next: 12, mails: Some(0) },
        ] {
            assert_eq!(Cursor::parse(&cursor.to_string()), Some(cursor));
        }
        assert_eq!(Cursor::parse("https://graph.example/delta"), None);
        assert_eq!(Cursor::parse(""), None);
    }
}
