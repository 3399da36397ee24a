//! One mail system of the configuration: its worker, its mailboxes.

use super::directory::{DirectoryFile, UserList};
use super::tenant::TenantUsers;
use super::worker::{Supervisor, WorkerOptions};
use crate::config::MailboxesConfig;
use anyhow::{Context, Result};
use hinomi_mail::connector::{Tenant, Whole};
use hinomi_mail::graph::Limits as GraphLimits;
use hinomi_mail::parse::Limits;
use hinomi_mail::remediate::Engine;
use hinomi_mail::worker::RemoteConnector;
use std::sync::Arc;

/// A mail system and the mailboxes it holds.
pub struct System {
    /// Name in the configuration.
    pub name: String,
    /// Works on its mailboxes.
    pub engine: Engine,
    /// The same system when its mailboxes can be read whole.
    pub whole: Option<Arc<dyn Whole>>,
    /// The same system when it can tell of itself.
    pub tenant: Option<Arc<dyn Tenant>>,
    /// Which mailboxes there are.
    pub directory: UserList,
    /// Its worker.
    pub worker: Arc<Supervisor>,
}

impl System {
    /// Builds the access from its configuration.
    ///
    /// # Errors
    /// For a worker within this process: when a secret or the authorities cannot be read.
    pub fn from_config(config: &MailboxesConfig, own_domains: Vec<String>, options: WorkerOptions) -> Result<System> {
        let worker = Arc::new(Supervisor::new(config.clone(), options)?);
        let concurrency = match &config.graph {
            // requests of several mailboxes go together
            Some(_) => GraphLimits::default().mailboxes,
            None => config.connections,
        };
        let remote = Arc::new(RemoteConnector::new(Arc::clone(&worker) as _, concurrency));
        let tenant = config.graph.is_some().then(|| Arc::clone(&remote) as Arc<dyn Tenant>);
        let directory = match (&config.users_file, &tenant) {
            (Some(file), _) => UserList::File(DirectoryFile { path: file.clone(), own_domains }),
            (None, Some(tenant)) => UserList::Tenant(TenantUsers::new(Arc::clone(tenant), own_domains)),
            (None, None) => None.with_context(|| format!("mailboxes {:?} need a users_file", config.name))?,
        };
        Ok(System {
            name: config.name.clone(),
            engine: Engine::new(Arc::clone(&remote) as _, Limits::default()),
            whole: config.maildir.is_none().then_some(remote as _),
            tenant,
            directory,
            worker,
        })
    }
}
