//! Work over many mailboxes: some at a time, tried again when it passes.

use super::backoff::Backoff;
use super::find::Seen;
use super::words::failed;
use super::{Finding, Journal, Located, Outcome, RemediateError, Vault, Wanted};
use crate::connector::{Connector, Mail, Mailbox, Search};
use crate::parse::Limits;
use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use hinomi_model::MessageRemedy;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// Tries per mailbox, and the pause before each new one.
const PAUSES: [Duration; 3] = [Duration::from_millis(100), Duration::from_secs(1), Duration::from_secs(3)];

/// Finds, treats and restores over the mailboxes of one system.
#[derive(Clone, Debug)]
pub struct Engine {
    connector: Arc<dyn Connector>,
    limits: Limits,
    backoff: Arc<Backoff>,
    halt: Arc<AtomicBool>,
}

/// Gets what a mailbox holds, or why it could not be read.
type OnBodies<'a> = dyn Fn(&str, Result<Vec<Mail>, String>) + Send + Sync + 'a;

/// One mailbox while it is worked on.
pub(super) struct Open {
    pub name: String,
    pub mailbox: Box<dyn Mailbox>,
}

impl Engine {
    /// Builds an engine over a mail system; `limits` bound the analysis of what is found.
    pub fn new(connector: Arc<dyn Connector>, limits: Limits) -> Self {
        Engine { connector, limits, backoff: Arc::default(), halt: Arc::default() }
    }

    /// The same engine for work that ends early when `halt` is set: copies that were begun are
    /// finished, the others are left and not told.
    pub fn halting(&self, halt: Arc<AtomicBool>) -> Engine {
        Engine { halt, ..self.clone() }
    }

    fn is_halted(&self) -> bool {
        self.halt.load(Ordering::Relaxed)
    }

    /// The mail system.
    pub fn connector(&self) -> &Arc<dyn Connector> {
        &self.connector
    }

    /// Tries the system again at once although it did not answer before; a pause the system itself
    /// asked for is kept.
    pub fn try_now(&self) {
        self.backoff.forget_pause();
    }

    /// True when the system did not answer several times in a row.
    pub fn is_away(&self) -> bool {
        self.backoff.is_away()
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Looks for copies in all folders of their mailboxes. `on` gets each finding as it comes.
    pub async fn find(&self, wanted: Vec<Wanted>, on: &(dyn Fn(&Wanted, Finding) + Send + Sync)) {
        self.each(by_mailbox(wanted, |one| &one.mailbox), |mailbox, group| async move {
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

    /// Reads the first mail of a mailbox that is proved to be the wanted one; `None` when it has none.
    ///
    /// # Errors
    /// Why the mailbox could not be read.
    pub async fn read(&self, wanted: &Wanted) -> Result<Option<(Located, Bytes)>, String> {
        let mut open = None;
        let seen = self.attempts(&wanted.mailbox, &mut open, &Look(wanted)).await;
        close(open).await;
        let seen = seen.map_err(|error| chain(&error))?;
        Ok(seen.present.into_iter().next().map(|found| (found.located, found.raw)))
    }

    /// Searches the bodies of all mails of mailboxes for words, as the system compares them. `on`
    /// gets what each mailbox holds, with every byte, or why it could not be read.
    pub async fn search_bodies(&self, mailboxes: Vec<String>, words: &str, on: &OnBodies<'_>) {
        let search = &Search::Body(words.to_owned());
        self.each(by_mailbox(mailboxes, |name| name), |mailbox, _| async move {
            let mut open = None;
            let found = self.attempts(&mailbox, &mut open, &Read(search)).await;
            on(&mailbox, found.map_err(|error| chain(&error)));
            close(open).await;
        })
        .await;
    }

    /// Treats copies in their mailboxes. `on` gets each outcome as it comes, journalled.
    pub async fn treat(
        &self,
        remedy: MessageRemedy,
        wanted: Vec<Wanted>,
        journal: &dyn Journal,
        vault: &dyn Vault,
        on: &(dyn Fn(Outcome) + Send + Sync),
    ) {
        self.each(by_mailbox(wanted, |one| &one.mailbox), |mailbox, group| async move {
            let mut open = None;
            for one in group.iter().take_while(|_| !self.is_halted()) {
                let treated =
                    self.attempts(&mailbox, &mut open, &Treat { remedy, one, acts: true, journal, vault }).await;
                on(treated.unwrap_or_else(|error| failed(&one.copy, &error)));
            }
            close(open).await;
        })
        .await;
    }

    /// Finds out what a treatment that was cut short came to, and journals it; nothing more is done.
    /// `on` gets each outcome; one without steps was never touched.
    pub async fn settle(
        &self,
        remedy: MessageRemedy,
        begun: Vec<Wanted>,
        journal: &dyn Journal,
        vault: &dyn Vault,
        on: &(dyn Fn(Outcome) + Send + Sync),
    ) {
        self.each(by_mailbox(begun, |one| &one.mailbox), |mailbox, group| async move {
            let mut open = None;
            for one in &group {
                let work = Treat { remedy, one, acts: false, journal, vault };
                let settled = self.attempts(&mailbox, &mut open, &work).await;
                on(settled.unwrap_or_else(|error| failed(&one.copy, &error)));
            }
            close(open).await;
        })
        .await;
    }

    /// Puts treated copies back where they were. `treated` are outcomes of [`Engine::treat`];
    /// `journal` is that of the restore. `on` gets each outcome as it comes, journalled.
    pub async fn restore(
        &self,
        treated: Vec<Outcome>,
        journal: &dyn Journal,
        vault: &dyn Vault,
        on: &(dyn Fn(Outcome) + Send + Sync),
    ) {
        let touched = treated.into_iter().filter(|outcome| !outcome.steps.is_empty()).collect();
        self.each(by_mailbox(touched, |one: &Outcome| &one.steps[0].located.mailbox), |mailbox, group| async move {
            let mut open = None;
            for one in group.iter().take_while(|_| !self.is_halted()) {
                let restored = self.attempts(&mailbox, &mut open, &PutBack { one, journal, vault }).await;
                on(restored.unwrap_or_else(|error| failed(&one.copy, &error)));
            }
            close(open).await;
        })
        .await;
    }

    async fn each<T, F: Future<Output = ()>>(
        &self,
        groups: BTreeMap<String, Vec<T>>,
        work: impl Fn(String, Vec<T>) -> F,
    ) {
        let concurrency = self.connector.concurrency().max(1);
        futures::stream::iter(groups).for_each_concurrent(concurrency, |(mailbox, group)| work(mailbox, group)).await;
    }

    /// Runs work on a mailbox, on a newly opened one again when the old one broke.
    async fn attempts<W: Work>(
        &self,
        name: &str,
        open: &mut Option<Open>,
        work: &W,
    ) -> Result<W::Done, RemediateError> {
        let mut pauses = PAUSES.iter();
        loop {
            self.backoff.wait().await?;
            let began = Instant::now();
            let done = match open {
                Some(open) => work.run(self, open).await,
                None => match self.connector.open(name).await {
                    Ok(mailbox) => work.run(self, open.insert(Open { name: name.to_owned(), mailbox })).await,
                    Err(error) => Err(error.into()),
                },
            };
            self.backoff.note(
                began,
                match &done {
                    Err(RemediateError::Connector(error)) => Some(error),
                    _ => None,
                },
            );
            let Err(error) = done else { return done };
            // whatever state it is in, it is not one we know
            close(open.take()).await;
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
        mailbox: &'w mut Open,
    ) -> BoxFuture<'w, Result<Self::Done, RemediateError>>;
}

struct Look<'a>(&'a Wanted);

impl Work for Look<'_> {
    type Done = Seen;
    fn run<'w>(&'w self, engine: &'w Engine, open: &'w mut Open) -> BoxFuture<'w, Result<Seen, RemediateError>> {
        Box::pin(engine.look(open, self.0))
    }
}

struct Read<'a>(&'a Search);

impl Work for Read<'_> {
    type Done = Vec<Mail>;
    fn run<'w>(&'w self, _: &'w Engine, open: &'w mut Open) -> BoxFuture<'w, Result<Vec<Mail>, RemediateError>> {
        Box::pin(async move { Ok(open.mailbox.candidates(self.0, super::find::CANDIDATES_MAX).await?) })
    }
}

struct Treat<'a> {
    remedy: MessageRemedy,
    one: &'a Wanted,
    acts: bool,
    journal: &'a dyn Journal,
    vault: &'a dyn Vault,
}

impl Work for Treat<'_> {
    type Done = Outcome;
    fn run<'w>(&'w self, engine: &'w Engine, open: &'w mut Open) -> BoxFuture<'w, Result<Outcome, RemediateError>> {
        Box::pin(engine.treat_one(open, self.remedy, self.one, self.acts, self.journal, self.vault))
    }
}

struct PutBack<'a> {
    one: &'a Outcome,
    journal: &'a dyn Journal,
    vault: &'a dyn Vault,
}

impl Work for PutBack<'_> {
    type Done = Outcome;
    fn run<'w>(&'w self, engine: &'w Engine, open: &'w mut Open) -> BoxFuture<'w, Result<Outcome, RemediateError>> {
        Box::pin(engine.put_back(open, self.one, self.journal, self.vault))
    }
}

async fn close(open: Option<Open>) {
    if let Some(open) = open {
        open.mailbox.close().await;
    }
}

fn by_mailbox<T>(all: Vec<T>, mailbox: impl Fn(&T) -> &String) -> BTreeMap<String, Vec<T>> {
    let mut groups: BTreeMap<String, Vec<T>> = BTreeMap::new();
    for one in all {
        groups.entry(mailbox(&one).clone()).or_default().push(one);
    }
    groups
}

/// The error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    text
}
