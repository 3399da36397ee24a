//! Reading whole mailboxes in the background, which IMAP servers and Microsoft 365 are asked for.

use super::Mailboxes;
use anyhow::{Context, Result};
use hinomi_mail::connector::Walk;

impl Mailboxes {
    /// Names of the mailboxes that can be read whole, sorted: those of the
    /// systems that are no Maildir trees.
    ///
    /// # Errors
    /// When a user list cannot be read.
    pub async fn walkable(&self) -> Result<Vec<String>> {
        let homes = self.homes().await?;
        let mut names = Vec::new();
        for (at, list) in homes.0.iter().enumerate().filter(|(at, _)| self.systems[*at].whole.is_some()) {
            // a mailbox that an earlier system has too is read there
            names.extend(list.names().into_iter().filter(|name| homes.of(name).is_some_and(|(home, _)| home == at)));
        }
        names.sort();
        Ok(names)
    }

    /// Opens a mailbox for reading it folder by folder.
    ///
    /// # Errors
    /// When it is in no user list or its system is a Maildir tree, or the mail server cannot be reached or
    /// refuses.
    pub async fn walk(&self, mailbox: &str) -> Result<Box<dyn Walk>> {
        let (system, mailbox) = self.homes().await?.of(mailbox).context("the mailbox is in no user list")?;
        let whole = self.systems[system].whole.as_ref().context("the mailbox lies in a Maildir tree")?;
        Ok(whole.walk(&mailbox).await?)
    }

    /// Which of some recipients has this mailbox.
    pub async fn recipient_of(&self, mailbox: &str, recipients: Vec<String>) -> Option<String> {
        let homes = self.homes().await.ok()?;
        let home = homes.of(mailbox)?;
        recipients.into_iter().find(|one| homes.of(one).as_ref() == Some(&home))
    }
}
