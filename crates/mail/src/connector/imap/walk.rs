//! A whole mailbox, to be read folder by folder.

use super::super::{ConnectorError, Folder, FolderRole};
use super::ImapConnector;
use super::mailbox::folder_of;
use crate::imap::Connection;

/// Special uses (RFC 6154) of folders that show mails of other folders a second time.
const VIEWS: [&str; 2] = ["\\All", "\\Flagged"];

/// A mailbox opened for reading all of it.
pub struct Walk {
    /// The connection.
    pub connection: Connection,
    /// Its folders that hold mail: no drafts, and none that only show mails of others.
    pub folders: Vec<Folder>,
}

impl ImapConnector {
    /// Opens a mailbox for reading all of it.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub async fn walk(&self, mailbox: &str) -> Result<Walk, ConnectorError> {
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
        Ok(Walk { connection, folders })
    }
}
