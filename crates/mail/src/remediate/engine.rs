//! Connections to mailboxes: a few at a time, tried again when they break.

use super::find::Seen;
use super::{Finding, Journal, Outcome, RemediateError, Vault, Wanted};
use crate::imap::{Connection, Folder, ImapError, Server};
use crate::parse::Limits;
use futures::StreamExt;
use futures::future::BoxFuture;
use hinomi_model::{MessageCopyRef, ReceiptState, Text};
use std::collections::BTreeMap;
use std::time::Duration;

/// Tries per mailbox, and the pause before each new one.
const PAUSES: [Duration; 3] = [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(3)];

/// Access to every mailbox through a master user.
#[derive(Clone)]
pub struct Access {
    /// The mail server.
    pub server: Server,
    /// Name of the master user.
    pub master_user: String,
    /// What stands between mailbox and master user in the login name.
    pub separator: String,
    /// Password of the master user.
    pub password: String,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("server", &self.server.host).field("master_user", &self.master_user).finish()
    }
}

impl Access {
    /// Logs in to a mailbox.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub async fn open(&self, mailbox: &str) -> Result<Connection, ImapError> {
        let user = format!("{mailbox}{}{}", self.separator, self.master_user);
        Connection::open(&self.server, &user, &self.password).await
    }
}

/// Finds, removes and restores over many mailboxes.
#[derive(Clone, Debug)]
pub struct Engine {
    access: Access,
    connections: usize,
    limits: Limits,
}

/// One mailbox while it is worked on.
pub(super) struct Mailbox {
    pub name: String,
    pub connection: Connection,
    pub folders: Vec<Folder>,
}

impl Mailbox {
    pub(super) fn special_use(&self, folder: &str) -> Option<String> {
        self.folders.iter().find(|known| known.name == folder).and_then(|known| known.special_use.clone())
    }
}

impl Engine {
    /// Builds an engine with `connections` connections at a time.
    pub fn new(access: Access, connections: usize, limits: Limits) -> Self {
        Engine { access, connections: connections.max(1), limits }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) async fn open(&self, mailbox: &str) -> Result<Mailbox, ImapError> {
        let mut connection = self.access.open(mailbox).await?;
        let folders = connection.folders().await?;
        Ok(Mailbox { name: mailbox.to_owned(), connection, folders })
    }

    /// Looks for copies in all folders of their mailboxes. `on` gets each finding as it comes.
    pub async fn find(&self, wanted: Vec<Wanted>, on: &(dyn Fn(&Wanted, Finding) + Send + Sync)) {
        let groups = by_mailbox(wanted);
        futures::stream::iter(groups)
            .for_each_concurrent(self.connections, |(mailbox, group)| async move {
                let mut open = None;
                for one in &group {
                    match self.attempts(&mailbox, &mut open, &Look(one)).await {
                        Ok(seen) => on(one, seen.into_finding()),
                        Err(error) => on(one, Finding::Failed(chain(&error))),
                    }
                }
                close(open).await;
            })
            .await;
    }

    /// Takes copies out of their mailboxes. `on` gets each outcome as it comes, journalled.
    pub async fn soft_delete(
        &self,
        wanted: Vec<Wanted>,
        journal: &dyn Journal,
        vault: &dyn Vault,
        on: &(dyn Fn(Outcome) + Send + Sync),
    ) {
        futures::stream::iter(by_mailbox(wanted))
            .for_each_concurrent(self.connections, |(mailbox, group)| async move {
                let mut open = None;
                for one in &group {
                    let removed = self.attempts(&mailbox, &mut open, &Remove { one, journal, vault }).await;
                    on(removed.unwrap_or_else(|error| failed(&one.copy, &error)));
                }
                close(open).await;
            })
            .await;
    }

    /// Puts removed copies back. `removed` are outcomes of [`Engine::soft_delete`]; `journal` is that
    /// of the restore. `on` gets each outcome as it comes, journalled.
    pub async fn restore(
        &self,
        removed: Vec<Outcome>,
        journal: &dyn Journal,
        vault: &dyn Vault,
        on: &(dyn Fn(Outcome) + Send + Sync),
    ) {
        let mut groups: BTreeMap<String, Vec<Outcome>> = BTreeMap::new();
        for outcome in removed {
            let Some(step) = outcome.steps.first() else { continue };
            groups.entry(step.located.mailbox.clone()).or_default().push(outcome);
        }
        futures::stream::iter(groups)
            .for_each_concurrent(self.connections, |(mailbox, group)| async move {
                let mut open = None;
                for one in &group {
                    let restored = self.attempts(&mailbox, &mut open, &PutBack { one, journal, vault }).await;
                    on(restored.unwrap_or_else(|error| failed(&one.copy, &error)));
                }
                close(open).await;
            })
            .await;
    }

    /// Runs work on a mailbox, on a new connection again when the old one broke.
    #[allow(private_bounds)]
    async fn attempts<W: Work>(
        &self,
        name: &str,
        open: &mut Option<Mailbox>,
        work: &W,
    ) -> Result<W::Done, RemediateError> {
        let mut pauses = PAUSES.iter();
        loop {
            let done = match open {
                Some(mailbox) => work.run(self, mailbox).await,
                None => match self.open(name).await {
                    Ok(mailbox) => work.run(self, open.insert(mailbox)).await,
                    Err(error) => Err(error.into()),
                },
            };
            let Err(error) = done else { return done };
            // whatever state it is in, it is not one we know
            *open = None;
            match pauses.next() {
                Some(pause) if error.is_passing() => {
                    tracing::debug!(mailbox = name, "mailbox work failed, tried again: {}", chain(&error));
                    tokio::time::sleep(*pause).await;
                }
                _ => return Err(error),
            }
        }
    }
}

/// One piece of work on an open mailbox; a type of its own because it may be tried several times.
trait Work: Sync {
    type Done: Send;
    fn run<'w>(
        &'w self,
        engine: &'w Engine,
        mailbox: &'w mut Mailbox,
    ) -> BoxFuture<'w, Result<Self::Done, RemediateError>>;
}

struct Look<'a>(&'a Wanted);

impl Work for Look<'_> {
    type Done = Seen;
    fn run<'w>(&'w self, engine: &'w Engine, mailbox: &'w mut Mailbox) -> BoxFuture<'w, Result<Seen, RemediateError>> {
        Box::pin(engine.look(mailbox, &self.0.identity))
    }
}

struct Remove<'a> {
    one: &'a Wanted,
    journal: &'a dyn Journal,
    vault: &'a dyn Vault,
}

impl Work for Remove<'_> {
    type Done = Outcome;
    fn run<'w>(
        &'w self,
        engine: &'w Engine,
        mailbox: &'w mut Mailbox,
    ) -> BoxFuture<'w, Result<Outcome, RemediateError>> {
        Box::pin(engine.remove(mailbox, self.one, self.journal, self.vault))
    }
}

struct PutBack<'a> {
    one: &'a Outcome,
    journal: &'a dyn Journal,
    vault: &'a dyn Vault,
}

impl Work for PutBack<'_> {
    type Done = Outcome;
    fn run<'w>(
        &'w self,
        engine: &'w Engine,
        mailbox: &'w mut Mailbox,
    ) -> BoxFuture<'w, Result<Outcome, RemediateError>> {
        Box::pin(engine.put_back(mailbox, self.one, self.journal, self.vault))
    }
}

async fn close(open: Option<Mailbox>) {
    if let Some(mailbox) = open {
        mailbox.connection.logout().await;
    }
}

fn by_mailbox(wanted: Vec<Wanted>) -> BTreeMap<String, Vec<Wanted>> {
    let mut groups: BTreeMap<String, Vec<Wanted>> = BTreeMap::new();
    for one in wanted {
        groups.entry(one.mailbox.clone()).or_default().push(one);
    }
    groups
}

/// An outcome that is not journalled: the intent stays open, so running the action again resumes.
fn failed(copy: &MessageCopyRef, error: &RemediateError) -> Outcome {
    let why = chain(error);
    Outcome {
        copy: copy.clone(),
        state: ReceiptState::Failed,
        detail: Text::new(format!("Failed: {why}"), format!("失敗しました: {why}")),
        steps: Vec::new(),
        differing: Vec::new(),
    }
}

/// The error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    text
}
