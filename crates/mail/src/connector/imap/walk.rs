//! A whole mailbox, to be read folder by folder.

use super::super::{ConnectorError, Folder, FolderRole, Walk, Whole};
use super::ImapConnector;
use super::mailbox::folder_of;
use crate::imap::{Connection, Fetched, ImapError, Selected};
use futures::future::BoxFuture;

/// Special uses (RFC 6154) of folders that show mails of other folders a second time.
const VIEWS: [&str; 2] = ["\\All", "\\Flagged"];

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

    fn select<'a>(&'a mut self, folder: &'a str) -> BoxFuture<'a, Result<Option<Selected>, ConnectorError>> {
        Box::pin(async move {
            match self.connection.reselect(folder, true).await {
                Ok(selected) => Ok(Some(selected)),
                Err(ImapError::Refused { text, .. }) => {
                    tracing::debug!("a folder cannot be opened: {text}");
                    Ok(None)
                }
                Err(error) => Err(error.into()),
            }
        })
    }

    fn uids_from(&mut self, first: u32) -> BoxFuture<'_, Result<Vec<u32>, ConnectorError>> {
        Box::pin(async move { Ok(self.connection.uids_from(first).await?) })
    }

    fn fetch(&mut self, uid: u32) -> BoxFuture<'_, Result<Option<Fetched>, ConnectorError>> {
        Box::pin(async move { Ok(self.connection.fetch(uid).await?) })
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move { self.connection.logout().await })
    }
}
