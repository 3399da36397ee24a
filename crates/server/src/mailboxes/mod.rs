//! Mailboxes of the organisation: find copies, treat them, put them back.
//!
//! Joins the mail room's engine with the house: the journal is the store, the vault is encrypted
//! files, every settled copy updates the message index and writes an EmailPostDeliveryEvents row.

mod access;
mod credentials;
mod directory;
mod journal;
mod look;
mod open;
mod reading;
pub(crate) mod settle;
mod system;
mod tenant;
mod treated;
mod vault;
mod walk;
pub mod worker;

pub use credentials::Entries;
pub use directory::{Directory, DirectoryFile, UserList};
pub use look::Looked;
pub use open::open;
pub use reading::{READ, Reading, Reason, record};
pub use vault::{FileVault, VaultError};

use crate::config::MailboxesConfig;
use crate::ingest::Ingest;
use anyhow::{Context, Result};
use hinomi_mail::connector::Mail;
use hinomi_mail::remediate::{Finding, Identity, Located as MailLocated, Outcome, Probe, Wanted};
use hinomi_model::{
    ActionId, DeliveryLocation, EntityKey, MessageCopy, MessageCopyRef, MessageId, MessageRemedy, Receipt,
    ReceiptState, Text, Timestamp,
};
use hinomi_store::Store;
use journal::StoreJournal;
use settle::{Deed, Kind};
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use system::System;
use tokio::sync::mpsc;
use worker::WorkerOptions;

/// Folder of the vault below the data folder.
pub const VAULT_DIR: &str = "vault";

/// Access to all mailboxes.
pub struct Mailboxes {
    systems: Vec<System>,
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
    /// Flags.
    pub flags: Vec<String>,
    /// When the mail system received it, as IMAP writes INTERNALDATE.
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
            folder: first.place.folder.name.clone(),
            location: first.location(),
            flags: first.flags.clone(),
            internal_date: first.internal_date.clone(),
            size: first.size,
            mails,
        }
    }
}

/// Set when work on mailboxes is to end early: what was begun is finished.
pub type Halt = Arc<AtomicBool>;

/// What is to be done to copies of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// The action: its journal, its receipts.
    pub action: ActionId,
    /// What is done.
    pub remedy: MessageRemedy,
    /// Also to the sender's own copies.
    pub senders_copy: bool,
}

impl Mailboxes {
    /// Builds the access from its configuration alone: workers within this process, no sealed secrets.
    ///
    /// # Errors
    /// When a password or the authorities cannot be read.
    pub fn from_config(
        configs: &[MailboxesConfig],
        own_domains: &[String],
        vault: FileVault,
        store: Store,
        ingest: Ingest,
    ) -> Result<Mailboxes> {
        Mailboxes::new(configs, own_domains, WorkerOptions::default(), vault, store, ingest)
    }

    /// Builds the access with workers where the options say.
    ///
    /// # Errors
    /// For workers within this process: when a secret or the authorities cannot be read.
    pub fn new(
        configs: &[MailboxesConfig],
        own_domains: &[String],
        workers: WorkerOptions,
        vault: FileVault,
        store: Store,
        ingest: Ingest,
    ) -> Result<Mailboxes> {
        let systems = configs.iter().map(|config| System::from_config(config, own_domains.to_vec(), workers.clone()));
        Ok(Mailboxes { systems: systems.collect::<Result<_>>()?, vault, store, ingest })
    }

    /// Starts the workers now, so that what is wrong is told now.
    ///
    /// # Errors
    /// What a worker says is wrong; a secret that is not set yet is only warned about.
    pub async fn start(&self) -> Result<()> {
        let starts = self.systems.iter().map(|system| system.worker.start());
        futures::future::try_join_all(starts).await?;
        Ok(())
    }

    /// A person asked again: systems that did not answer are tried at once.
    pub fn try_now(&self) {
        self.systems.iter().for_each(|system| system.engine.try_now());
    }

    /// Names of the systems that did not answer several times in a row.
    pub fn away(&self) -> Vec<&str> {
        let away = self.systems.iter().filter(|system| system.engine.is_away());
        away.map(|system| system.name.as_str()).collect()
    }

    /// Looks for copies in their mailboxes, now. One answer per copy, in order.
    pub async fn find(&self, reading: &Reading, copies: &[MessageCopy]) -> Vec<Found> {
        let found = |finding: Finding| match finding {
            Finding::Seen { present, .. } => match present.first() {
                Some(first) => Found::Located(Located::of(first, present.len())),
                None => Found::NotFound,
            },
            Finding::Failed(reason) => Found::Failed(reason),
        };
        self.ask(reading, copies).await.into_iter().map(found).collect()
    }

    /// Treats copies in their mailboxes. `on` gets each receipt as it comes; all of them are
    /// returned. Called again with the same action it resumes and tells the same receipts.
    ///
    /// # Errors
    /// When a user list or the store cannot be read; nothing was done then.
    pub async fn treat(
        &self,
        order: Order,
        copies: &[MessageCopyRef],
        on: &(dyn Fn(Receipt) + Send + Sync),
    ) -> Result<Vec<Receipt>> {
        self.treat_until(order, copies, &Halt::default(), on).await
    }

    /// Treats copies as [`Mailboxes::treat`] does until `halt` is set: copies not begun by then have
    /// no receipt.
    ///
    /// # Errors
    /// As there.
    pub async fn treat_until(
        &self,
        order: Order,
        copies: &[MessageCopyRef],
        halt: &Halt,
        on: &(dyn Fn(Receipt) + Send + Sync),
    ) -> Result<Vec<Receipt>> {
        self.treat_under(order, order.action, copies, halt, on).await
    }

    /// Treats a late copy as its action does; its journal and rows are under `entry`.
    ///
    /// # Errors
    /// As in [`Mailboxes::treat`].
    pub async fn treat_late(&self, order: Order, entry: ActionId, copy: &MessageCopyRef) -> Result<Option<Receipt>> {
        let copies = std::slice::from_ref(copy);
        Ok(self.treat_under(order, entry, copies, &Halt::default(), &|_| {}).await?.pop())
    }

    async fn treat_under(
        &self,
        order: Order,
        entry: ActionId,
        copies: &[MessageCopyRef],
        halt: &Halt,
        on: &(dyn Fn(Receipt) + Send + Sync),
    ) -> Result<Vec<Receipt>> {
        let homes = self.homes().await?;
        let journal = StoreJournal::open(&self.store, entry).await.context("read mail journal")?;
        let mut receipts = Vec::new();
        let mut known = Vec::new();
        let mut senders: BTreeMap<MessageCopyRef, (usize, Wanted)> = BTreeMap::new();
        for target in copies {
            let copy = self.store.message(target.message_id, &target.recipient).await?;
            let answer = match copy {
                None => self.untold_copy(&homes, target).await?.ok_or_else(|| unknown_message(target)),
                Some(copy) if never_delivered(&copy) => Err(not_delivered(target)),
                Some(copy) => {
                    if let Some(sent) = homes.senders_copy(&copy).filter(|_| order.senders_copy) {
                        senders.insert(sent.1.copy.clone(), sent);
                    }
                    homes.wanted(&copy).ok_or_else(|| no_mailbox(target))
                }
            };
            match answer {
                Ok(wanted) => known.push(wanted),
                Err(receipt) => {
                    on(receipt.clone());
                    receipts.push(receipt);
                }
            }
        }
        // a sender who is a recipient too has one receipt for both
        senders.retain(|sent, _| !copies.contains(sent));
        known.extend(senders.into_values());
        let reading = Reading::by_system(Reason::Action(order.action));
        self.on_record(&reading, known.iter().map(|(_, wanted)| wanted.mailbox.as_str())).await?;
        let (send, receive) = mpsc::unbounded_channel();
        let work = async {
            // the sender goes into the callback and ends with the work: that ends the other half
            let on_outcome = move |outcome: Outcome| drop(send.send(outcome));
            let (journal, vault) = (&journal, &self.vault);
            let work = by_system(known.into_iter()).into_iter().map(|(system, wanted)| {
                let engine = self.systems[system].engine.halting(halt.clone());
                let on_outcome = &on_outcome;
                async move { engine.treat(order.remedy, wanted, journal, vault, on_outcome).await }
            });
            futures::future::join_all(work).await;
        };
        let deed = Deed { action: order.action, entry, kind: Kind::Remedy(order.remedy) };
        let (_, settled) = tokio::join!(work, self.settle_all(deed, receive, on));
        receipts.extend(settled);
        Ok(receipts)
    }

    /// A copy of a known message that nobody told of: the sender's own, or one that was traced.
    async fn untold_copy(&self, homes: &Homes, target: &MessageCopyRef) -> Result<Option<(usize, Wanted)>> {
        let Some(shared) = self.store.message_shared(target.message_id).await? else { return Ok(None) };
        if shared.sender_from.eq_ignore_ascii_case(&target.recipient) {
            return Ok(homes.senders_copy(&shared));
        }
        Ok(homes.wanted(&MessageCopy { recipient: target.recipient.clone(), ..shared }))
    }

    /// Puts back what action `treated` moved or took out, as far as `open` wants the copy; `action` is
    /// the one that does so. `on` gets each receipt as it comes. Called again with the same action it
    /// resumes.
    ///
    /// # Errors
    /// When the store or a user list cannot be read; nothing was done then.
    pub async fn restore(
        &self,
        action: ActionId,
        treated: ActionId,
        open: &(dyn Fn(&MessageCopyRef) -> bool + Send + Sync),
        on: &(dyn Fn(Receipt) + Send + Sync),
    ) -> Result<Vec<Receipt>> {
        self.restore_until(action, treated, open, &Halt::default(), on).await
    }

    /// Puts back as [`Mailboxes::restore`] does until `halt` is set.
    ///
    /// # Errors
    /// As there.
    pub async fn restore_until(
        &self,
        action: ActionId,
        treated: ActionId,
        open: &(dyn Fn(&MessageCopyRef) -> bool + Send + Sync),
        halt: &Halt,
        on: &(dyn Fn(Receipt) + Send + Sync),
    ) -> Result<Vec<Receipt>> {
        let homes = self.homes().await?;
        let treated = self.treated(&homes, treated, open).await?;
        let reading = Reading::by_system(Reason::Action(action));
        let touched = treated.iter().filter_map(|outcome| outcome.steps.first());
        self.on_record(&reading, touched.map(|step| step.located.mailbox.as_str())).await?;
        let journal = StoreJournal::open(&self.store, action).await.context("read mail journal")?;
        let (send, receive) = mpsc::unbounded_channel();
        let work = async {
            let on_outcome = move |outcome: Outcome| drop(send.send(outcome));
            let (journal, vault) = (&journal, &self.vault);
            let groups = by_system(treated.into_iter().filter_map(|outcome| {
                let mailbox = outcome.steps.first()?.located.mailbox.clone();
                // the first system when the list has lost the mailbox since: it says why it fails
                Some((homes.of(&mailbox).map_or(0, |(system, _)| system), outcome))
            }));
            let work = groups.into_iter().map(|(system, treated)| {
                let engine = self.systems[system].engine.halting(halt.clone());
                let on_outcome = &on_outcome;
                async move { engine.restore(treated, journal, vault, on_outcome).await }
            });
            futures::future::join_all(work).await;
        };
        let (_, receipts) = tokio::join!(work, self.settle_all(Deed::of(action, Kind::Restore), receive, on));
        Ok(receipts)
    }

    /// Searches the bodies of all mails of all mailboxes for words, now.
    ///
    /// # Errors
    /// When a user list cannot be read, or the reason cannot be put on record.
    pub async fn search_bodies(
        &self,
        reading: &Reading,
        words: &str,
    ) -> Result<BTreeMap<String, Result<Vec<Mail>, String>>> {
        let homes = self.homes().await?;
        let names: Vec<String> = homes.0.iter().flat_map(Directory::names).collect();
        self.on_record(reading, names.iter().map(String::as_str)).await?;
        let found: Mutex<BTreeMap<String, Result<Vec<Mail>, String>>> = Mutex::default();
        let on = |mailbox: &str, mails: Result<Vec<Mail>, String>| {
            let mut found = found.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            found.insert(mailbox.to_owned(), mails);
        };
        let work = self.systems.iter().zip(&homes.0);
        let work = work.map(|(system, list)| system.engine.search_bodies(list.names(), words, &on));
        futures::future::join_all(work).await;
        Ok(found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Checks a mail system end to end with a probe mail in one of its mailboxes; `None` when there is
    /// no system of this name.
    ///
    /// # Errors
    /// When the mailbox is not in its user list, or that cannot be read.
    pub async fn probe(&self, name: &str, mailbox: &str, id: MessageId, actor: &str) -> Option<Result<Probe, Text>> {
        let system = self.systems.iter().find(|system| system.name == name)?;
        let list = match system.directory.read().await {
            Ok(list) => list,
            Err(error) => return Some(Err(Text::same(format!("read the user list: {error}")))),
        };
        let Some(mailbox) = list.mailbox(mailbox) else {
            return Some(Err(Text::new("it is not in the user list", "ユーザー一覧にありません")));
        };
        let reading = Reading { actor: actor.to_owned(), reason: Reason::Probe };
        if let Err(error) = self.on_record(&reading, std::iter::once(mailbox.as_str())).await {
            return Some(Err(Text::same(format!("put it on record: {error}"))));
        }
        Some(Ok(system.engine.probe(&mailbox, id, now().as_micros() / 1_000_000).await))
    }

    /// Reads which mailbox is where.
    async fn homes(&self) -> Result<Homes> {
        let mut lists = Vec::with_capacity(self.systems.len());
        for system in &self.systems {
            let list = system.directory.read().await;
            lists.push(list.with_context(|| format!("read the user list of {}", system.name))?);
        }
        Ok(Homes(lists))
    }
}

/// User lists of the systems, in their order.
struct Homes(Vec<Directory>);

impl Homes {
    /// The system and mailbox of an address.
    fn of(&self, address: &str) -> Option<(usize, String)> {
        self.0.iter().enumerate().find_map(|(system, list)| Some((system, list.mailbox(address)?)))
    }

    /// What to look for; `None` when the recipient has no mailbox here.
    fn wanted(&self, copy: &MessageCopy) -> Option<(usize, Wanted)> {
        let (system, mailbox) = self.of(&copy.recipient)?;
        Some((system, wanted(copy, &copy.recipient, mailbox, false)))
    }

    /// The sender's own copy, when the sender has a mailbox here.
    fn senders_copy(&self, copy: &MessageCopy) -> Option<(usize, Wanted)> {
        let (system, mailbox) = self.of(&copy.sender_from)?;
        Some((system, wanted(copy, &copy.sender_from, mailbox, true)))
    }
}

fn wanted(copy: &MessageCopy, address: &str, mailbox: String, sent_only: bool) -> Wanted {
    Wanted {
        copy: MessageCopyRef { message_id: copy.message_id, recipient: address.to_lowercase() },
        mailbox,
        identity: Identity::of_copy(copy),
        sent_only,
    }
}

fn by_system<T>(all: impl Iterator<Item = (usize, T)>) -> BTreeMap<usize, Vec<T>> {
    let mut groups: BTreeMap<usize, Vec<T>> = BTreeMap::new();
    for (system, one) in all {
        groups.entry(system).or_default().push(one);
    }
    groups
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
