//! Mailboxes of the organisation: find copies, take them out, put them back.
//!
//! Joins the mail room's engine with the house: the journal is the store, the vault is encrypted
//! files, every settled copy updates the message index and writes an EmailPostDeliveryEvents row.

mod directory;
mod journal;
mod open;
pub(crate) mod settle;
mod vault;

pub use directory::{Directory, DirectoryFile};
pub use open::open;
pub use vault::{FileVault, VaultError};

use crate::config::{MailTls, MailboxesConfig};
use crate::ingest::Ingest;
use anyhow::{Context, Result};
use hinomi_mail::imap::{Limits as ImapLimits, Security, Server, Trust, folder_for_people};
use hinomi_mail::parse::Limits;
use hinomi_mail::remediate::{Access, Engine, Finding, Identity, Located as MailLocated, Outcome, Wanted};
use hinomi_model::{
    ActionId, DeliveryLocation, EntityKey, MessageCopy, MessageCopyRef, Receipt, ReceiptState, Text, Timestamp,
};
use hinomi_store::Store;
use journal::StoreJournal;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use tokio::sync::mpsc;

/// Folder of the vault below the data folder.
pub const VAULT_DIR: &str = "vault";

/// Access to all mailboxes.
pub struct Mailboxes {
    engine: Engine,
    directory: DirectoryFile,
    vault: FileVault,
    store: Store,
    ingest: Ingest,
}

/// What a live look into a mailbox found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It is there.
    Located(Located),
    /// Not in any folder.
    NotFound,
    /// The mailbox could not be read, and why.
    Failed(String),
}

/// Where a copy is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// Mailbox.
    pub mailbox: String,
    /// Folder as people read it.
    pub folder: String,
    /// Where that is in the words of the hunting tables.
    pub location: DeliveryLocation,
    /// UID and its validity.
    pub uid: u32,
    /// Validity of the UID.
    pub uid_validity: u32,
    /// Flags.
    pub flags: Vec<String>,
    /// INTERNALDATE as the server writes it.
    pub internal_date: String,
    /// Size in bytes.
    pub size: u64,
    /// Mails of the mailbox that are this message; a user may file several.
    pub mails: usize,
}

impl Located {
    fn of(first: &MailLocated, mails: usize) -> Self {
        Located {
            mailbox: first.mailbox.clone(),
            folder: folder_for_people(&first.folder),
            location: first.location(),
            uid: first.uid,
            uid_validity: first.uid_validity,
            flags: first.flags.clone(),
            internal_date: first.internal_date.clone(),
            size: first.size,
            mails,
        }
    }
}

impl Mailboxes {
    /// Builds the access from its configuration.
    ///
    /// # Errors
    /// When the password or the authorities cannot be read.
    pub fn from_config(
        config: &MailboxesConfig,
        own_domains: Vec<String>,
        vault: FileVault,
        store: Store,
        ingest: Ingest,
    ) -> Result<Mailboxes> {
        let trust = match (config.tls, &config.ca_file) {
            (MailTls::None, _) => Trust::nobody(),
            (_, Some(file)) => Trust::file(file)?,
            (_, None) => Trust::system()?,
        };
        let security = match config.tls {
            MailTls::None => Security::None,
            MailTls::Tls => Security::Tls,
            MailTls::Starttls => Security::StartTls,
        };
        let access = Access {
            server: Server {
                host: config.host.clone(),
                port: config.port,
                security,
                trust,
                limits: ImapLimits::default(),
            },
            master_user: config.master_user.clone(),
            separator: config.master_separator.clone(),
            password: secret(&config.password_file)?,
        };
        Ok(Mailboxes {
            engine: Engine::new(access, config.connections, Limits::default()),
            directory: DirectoryFile { path: config.users_file.clone(), own_domains },
            vault,
            store,
            ingest,
        })
    }

    /// Looks for copies in their mailboxes, now. One answer per copy, in order.
    pub async fn find(&self, copies: &[MessageCopy]) -> Vec<Found> {
        let directory = match self.directory.read().await {
            Ok(directory) => directory,
            Err(error) => return vec![Found::Failed(format!("read the user list: {error}")); copies.len()],
        };
        let known: Vec<Option<Wanted>> = copies.iter().map(|copy| wanted(&directory, copy)).collect();
        let found: Mutex<HashMap<MessageCopyRef, Found>> = Mutex::default();
        let on = |wanted: &Wanted, finding: Finding| {
            let answer = match finding {
                Finding::Seen { present, .. } => match present.first() {
                    Some(first) => Found::Located(Located::of(first, present.len())),
                    None => Found::NotFound,
                },
                Finding::Failed(reason) => Found::Failed(reason),
            };
            let mut found = found.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            found.insert(wanted.copy.clone(), answer);
        };
        self.engine.find(known.iter().flatten().cloned().collect(), &on).await;
        let found = found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let answer = |wanted: Option<Wanted>| match wanted {
            Some(wanted) => found.get(&wanted.copy).cloned().unwrap_or(Found::NotFound),
            None => Found::Failed("the recipient is not in the user list".to_owned()),
        };
        known.into_iter().map(answer).collect()
    }

    /// Takes copies out of their mailboxes. `on` gets each receipt as it comes; all of them are
    /// returned. Called again with the same action it resumes and tells the same receipts.
    ///
    /// # Errors
    /// When the user list or the store cannot be read; nothing was done then.
    pub async fn soft_delete(
        &self,
        action: ActionId,
        copies: &[MessageCopyRef],
        on: &(dyn Fn(Receipt) + Send + Sync),
    ) -> Result<Vec<Receipt>> {
        let directory = self.directory.read().await.context("read the user list")?;
        let journal = StoreJournal::open(&self.store, action).await.context("read mail journal")?;
        let mut receipts = Vec::new();
        let mut wanted_copies = Vec::new();
        for target in copies {
            let copy = self.store.message(target.message_id, &target.recipient).await?;
            let answer = match copy {
                None => Err(unknown_message(target)),
                Some(copy) if never_delivered(&copy) => Err(not_delivered(target)),
                Some(copy) => wanted(&directory, &copy).ok_or_else(|| no_mailbox(target)),
            };
            match answer {
                Ok(wanted) => wanted_copies.push(wanted),
                Err(receipt) => {
                    on(receipt.clone());
                    receipts.push(receipt);
                }
            }
        }
        let (send, receive) = mpsc::unbounded_channel();
        let work = async {
            // the sender goes into the callback and ends with the work: that ends the other half
            let on_outcome = move |outcome: Outcome| drop(send.send(outcome));
            self.engine.soft_delete(wanted_copies, &journal, &self.vault, &on_outcome).await;
        };
        let (_, settled) = tokio::join!(work, self.settle_all(action, settle::Kind::Removal, receive, on));
        receipts.extend(settled);
        Ok(receipts)
    }

    /// Puts back what action `removal` took out, as far as `open` wants the copy; `action` is the one
    /// that does so. `on` gets each receipt as it comes. Called again with the same action it resumes.
    ///
    /// # Errors
    /// When the store cannot be read; nothing was done then.
    pub async fn restore(
        &self,
        action: ActionId,
        removal: ActionId,
        open: &(dyn Fn(&MessageCopyRef) -> bool + Send + Sync),
        on: &(dyn Fn(Receipt) + Send + Sync),
    ) -> Result<Vec<Receipt>> {
        let mut removed = StoreJournal::open(&self.store, removal).await.context("read mail journal")?.outcomes();
        removed.retain(|outcome| open(&outcome.copy));
        let journal = StoreJournal::open(&self.store, action).await.context("read mail journal")?;
        let (send, receive) = mpsc::unbounded_channel();
        let work = async {
            let on_outcome = move |outcome: Outcome| drop(send.send(outcome));
            self.engine.restore(removed, &journal, &self.vault, &on_outcome).await;
        };
        let (_, receipts) = tokio::join!(work, self.settle_all(action, settle::Kind::Restore, receive, on));
        Ok(receipts)
    }
}

/// What to look for; `None` when the recipient has no mailbox here.
fn wanted(directory: &Directory, copy: &MessageCopy) -> Option<Wanted> {
    Some(Wanted {
        copy: MessageCopyRef { message_id: copy.message_id, recipient: copy.recipient.clone() },
        mailbox: directory.mailbox(&copy.recipient)?,
        identity: Identity::of_copy(copy),
    })
}

fn never_delivered(copy: &MessageCopy) -> bool {
    matches!(copy.delivery_location, DeliveryLocation::Quarantine | DeliveryLocation::Dropped)
}

fn unknown_message(target: &MessageCopyRef) -> Receipt {
    receipt(
        target,
        ReceiptState::Failed,
        Text::new("This message is not known", "このメッセージは登録されていません"),
        None,
    )
}

fn not_delivered(target: &MessageCopyRef) -> Receipt {
    let text = Text::new(
        "Stopped at the gateway: it never reached the mailbox",
        "ゲートウェイで止めたため、メールボックスには届いていません",
    );
    receipt(target, ReceiptState::AlreadyDone, text, None)
}

fn no_mailbox(target: &MessageCopyRef) -> Receipt {
    let text =
        Text::new("The recipient has no mailbox in the user list", "宛先のメールボックスがユーザー一覧にありません");
    receipt(target, ReceiptState::Failed, text, None)
}

fn receipt(target: &MessageCopyRef, state: ReceiptState, detail: Text, proof: Option<String>) -> Receipt {
    Receipt { target: EntityKey::message_copy(target.message_id, &target.recipient), state, detail, proof, at: now() }
}

fn now() -> Timestamp {
    Timestamp::from_micros(jiff::Timestamp::now().as_microsecond())
}

/// Reads a secret file: its first line.
fn secret(path: &Path) -> Result<String> {
    let shown: PathBuf = path.to_owned();
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", shown.display()))?;
    let line = text.lines().next().unwrap_or_default().to_owned();
    anyhow::ensure!(!line.is_empty(), "{} is empty", shown.display());
    Ok(line)
}
