//! The mail worker: a process of its own for each mail system, which alone opens the system's secret
//! and alone talks to it (docs/mail-worker.md).
//!
//! The server starts it, hands it its part of the configuration and the sealed secret with the key of
//! that one secret over a socket pair, and works through it as through any other connector
//! ([`hinomi_mail::worker`]). A worker that ends is started again; a secret that was set anew gets a
//! new worker while the old one ends its work.

mod confine;
mod filter;
mod process;

pub use process::main;

use super::access;
use crate::config::MailboxesConfig;
use crate::secrets::{self, SecretStore, Stamp};
use anyhow::Result;
use futures::future::BoxFuture;
use hinomi_mail::connector::ConnectorError;
use hinomi_mail::worker::{Link, Served, Workers, serve};
use process::Start;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep_until};

/// First pause before a worker that ended soon is started again; doubled each time.
const PAUSE: Duration = Duration::from_millis(200);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// A worker that lived this long did not end soon.
const LONG: Duration = Duration::from_secs(30);

/// Where mail workers run.
#[derive(Debug, Clone, Default)]
pub enum MailWorker {
    /// Within this process, over the same protocol: for tests of the rooms above.
    #[default]
    InProcess,
    /// In a process of its own: this program, called as `PROGRAM mail-worker`.
    Program(PathBuf),
}

/// What all workers of a server share.
#[derive(Debug, Clone, Default)]
pub struct WorkerOptions {
    /// Where they run.
    pub place: MailWorker,
    /// System user they run as when the server is root.
    pub user: Option<String>,
    /// Where sealed secrets are; none = secret files only.
    pub secrets: Option<SecretStore>,
}

/// Starts the worker of one mail system, again when it ended.
#[derive(Debug)]
pub struct Supervisor {
    config: MailboxesConfig,
    options: WorkerOptions,
    /// Within this process: the system, opened.
    served: Option<Served>,
    living: Mutex<Option<Living>>,
    starting: tokio::sync::Mutex<Starts>,
}

#[derive(Debug, Clone)]
struct Living {
    link: Arc<Link>,
    stamp: Stamp,
}

/// How starting went so far.
#[derive(Debug, Default)]
struct Starts {
    last: Option<Instant>,
    /// Workers that ended soon, in a row.
    soon: u32,
}

/// Why there is no worker.
enum NotStarted {
    /// No secret was set yet.
    NoSecret(String),
    Failed(String),
}

impl Supervisor {
    /// Prepares the worker of a mail system.
    ///
    /// # Errors
    /// Within this process: when its secret cannot be opened.
    pub fn new(config: MailboxesConfig, options: WorkerOptions) -> Result<Supervisor> {
        let served = match options.place {
            MailWorker::Program(_) => None,
            MailWorker::InProcess => {
                let handed = handed(&config, &options)?;
                Some(access::open(&config, handed.as_ref())?.served)
            }
        };
        let (living, starting) = (Mutex::default(), tokio::sync::Mutex::default());
        Ok(Supervisor { config, options, served, living, starting })
    }

    /// Starts the worker now, so that what is wrong is told now. A secret that is not set yet is only
    /// warned about.
    ///
    /// # Errors
    /// What the worker says is wrong.
    pub async fn start(&self) -> Result<()> {
        match self.living_or_started().await {
            Ok(_) => Ok(()),
            Err(NotStarted::NoSecret(what)) => {
                tracing::warn!("{what}");
                Ok(())
            }
            Err(NotStarted::Failed(why)) => anyhow::bail!("mailboxes {:?}: {why}", self.config.name),
        }
    }

    fn stamp(&self) -> Stamp {
        match (self.config.secret_file(), &self.options.secrets) {
            // a worker may not be able to read it again
            (Some(file), _) => secrets::stamp(file),
            (None, Some(store)) if is_sealed(&self.config) => store.stamp(),
            _ => None,
        }
    }

    fn living(&self) -> Option<Living> {
        let living = self.living.lock().unwrap_or_else(PoisonError::into_inner).clone();
        living.filter(|living| living.link.over().is_none())
    }

    async fn living_or_started(&self) -> Result<Arc<Link>, NotStarted> {
        let stamp = self.stamp();
        let fresh = |living: &Living| living.stamp == stamp;
        if let Some(living) = self.living().filter(fresh) {
            return Ok(living.link);
        }
        let mut starts = self.starting.lock().await;
        // somebody else started it meanwhile
        if let Some(living) = self.living().filter(fresh) {
            return Ok(living.link);
        }
        if self.living().is_none() {
            starts.pause().await;
        }
        starts.last = Some(Instant::now());
        let started = self.started().await;
        let living = match started {
            Ok(link) => Some(Living { link: Arc::new(link), stamp }),
            // the secret was taken out: nobody may work with it any more
            Err(NotStarted::NoSecret(_)) => None,
            Err(NotStarted::Failed(why)) => match self.living() {
                Some(old) => {
                    tracing::error!("the mail worker of {} goes on with the secret it has: {why}", self.config.name);
                    Some(Living { link: old.link, stamp })
                }
                None => return Err(NotStarted::Failed(why)),
            },
        };
        let link = living.as_ref().map(|living| Arc::clone(&living.link));
        *self.living.lock().unwrap_or_else(PoisonError::into_inner) = living;
        link.ok_or_else(|| NotStarted::NoSecret(access::no_secret(&self.config.name)))
    }

    async fn started(&self) -> Result<Link, NotStarted> {
        let failed = |error: anyhow::Error| NotStarted::Failed(format!("{error:#}"));
        match (&self.options.place, &self.served) {
            (MailWorker::Program(program), _) => {
                let handed = handed(&self.config, &self.options).map_err(failed)?;
                if is_sealed(&self.config) && handed.is_none() {
                    return Err(NotStarted::NoSecret(access::no_secret(&self.config.name)));
                }
                let start = Start { config: self.config.clone(), handed, user: self.options.user.clone() };
                process::start(program, start).await.map_err(failed)
            }
            (MailWorker::InProcess, Some(served)) => {
                let (ours, theirs) = UnixStream::pair().map_err(|error| failed(error.into()))?;
                tokio::spawn(serve(theirs, served.clone()));
                Link::open(ours).await.map_err(NotStarted::Failed)
            }
            (MailWorker::InProcess, None) => Err(NotStarted::NoSecret(access::no_secret(&self.config.name))),
        }
    }
}

impl Workers for Supervisor {
    fn link(&self) -> BoxFuture<'_, Result<Arc<Link>, ConnectorError>> {
        Box::pin(async move {
            self.living_or_started().await.map_err(|error| match error {
                NotStarted::NoSecret(what) => ConnectorError::refused(what),
                NotStarted::Failed(why) => ConnectorError::Passing {
                    attempt: format!("start the mail worker: {why}"),
                    retry_after: None,
                    source: None,
                },
            })
        })
    }
}

impl Starts {
    /// Waits when workers end soon after their start; not after the first time.
    async fn pause(&mut self) {
        let Some(last) = self.last else { return };
        self.soon = if last.elapsed() > LONG { 0 } else { self.soon + 1 };
        if self.soon > 1 {
            let pause = PAUSE.saturating_mul(1 << (self.soon - 2).min(10)).min(PAUSE_MAX);
            sleep_until(last + pause).await;
        }
    }
}

/// True when the secret of a mail system is in the sealed store.
fn is_sealed(config: &MailboxesConfig) -> bool {
    config.secret_file().is_none() && !config.secret_kinds().is_empty()
}

fn handed(config: &MailboxesConfig, options: &WorkerOptions) -> Result<Option<crate::secrets::Handed>> {
    match &options.secrets {
        Some(secrets) if is_sealed(config) => secrets.handed(&config.name),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn supervisor(program: &str, secrets: Option<SecretStore>) -> Supervisor {
        let text = "name = \"main\"\nusers_file = \"u\"\n[imap]\nhost = \"localhost\"\nmaster_user = \"m\"\n";
        let mut config: MailboxesConfig = toml::from_str(text).expect("config");
        if secrets.is_none() {
            config.imap.as_mut().expect("imap").password_file = Some("/nonexistent/password".into());
        }
        let options = WorkerOptions { place: MailWorker::Program(program.into()), user: None, secrets };
        Supervisor::new(config, options).expect("prepared")
    }

    #[tokio::test]
    async fn a_worker_that_does_not_start_is_told_of() {
        for (program, part) in [("/bin/false", "mailboxes"), ("/nonexistent/hinomi", "start /nonexistent")] {
            let supervisor = supervisor(program, None);
            let error = format!("{:#}", supervisor.start().await.expect_err(program));
            assert!(error.contains(part) && error.contains("main"), "{error}");
            let error = supervisor.link().await.map(drop).expect_err("still");
            assert!(error.is_passing(), "{error}");
        }
    }

    #[tokio::test]
    async fn without_a_secret_the_server_starts_and_work_is_refused() {
        let data = tempfile::tempdir().expect("temp dir");
        let supervisor = supervisor("/bin/false", Some(SecretStore::of(data.path())));
        supervisor.start().await.expect("only a warning");
        let error = supervisor.link().await.map(drop).expect_err("no secret");
        assert!(!error.is_passing() && error.to_string().contains("hinomi mail secret set main"), "{error}");
    }
}
