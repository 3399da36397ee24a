//! Mailboxes over IMAP: through a master user, through one login that sees all of them, or with each
//! mailbox's own credentials.

mod mailbox;
mod pool;
mod walk;

pub use crate::imap::{RootTemplate, Secret, Server};

use super::{Connector, ConnectorError, Mailbox};
use crate::imap::{Capabilities, Connection, ImapError, Login, Root};
use futures::future::BoxFuture;
use hinomi_model::Text;
use mailbox::ImapMailbox;
use pool::Pool;
use std::sync::{Arc, Mutex, PoisonError};

/// How the connector gets into a mailbox.
#[derive(Clone)]
pub enum Access {
    /// Through a master user that may act for every mailbox.
    Master {
        /// Its name.
        user: String,
        /// What stands between mailbox and master user in the login name (`*` for Dovecot). Empty:
        /// the mailbox is the authorisation identity of SASL PLAIN instead.
        separator: String,
        /// Its password.
        password: String,
    },
    /// Through one user whose login shows the mailboxes of all others below a prefix: connections go
    /// from mailbox to mailbox without a login.
    Shared {
        /// Its login name.
        user: String,
        /// Its password.
        password: String,
        /// Where the mailboxes lie.
        root: RootTemplate,
    },
    /// With credentials of each mailbox.
    Own(Arc<dyn Credentials>),
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Access::Master { user, .. } => f.debug_struct("Master").field("user", user).finish_non_exhaustive(),
            Access::Shared { user, root, .. } => {
                f.debug_struct("Shared").field("user", user).field("root", root).finish_non_exhaustive()
            }
            Access::Own(_) => f.write_str("Own"),
        }
    }
}

/// Where the credentials of mailboxes come from. Asked at every login, so that tokens can be renewed.
pub trait Credentials: Send + Sync {
    /// Returns login name and secret of a mailbox; `None` when there are none.
    fn of<'a>(&'a self, mailbox: &'a str) -> BoxFuture<'a, Result<Option<(String, Secret)>, String>>;
}

/// Mailboxes of one IMAP server.
#[derive(Debug)]
pub struct ImapConnector {
    server: Arc<Server>,
    access: Access,
    concurrency: usize,
    shared: Arc<Shared>,
}

/// What the connections of a server share.
#[derive(Debug)]
struct Shared {
    /// What the server could after a login; none before the first.
    known: Mutex<Option<Capabilities>>,
    pool: Pool,
}

impl ImapConnector {
    /// Builds a connector that works on `concurrency` mailboxes at a time.
    pub fn new(server: Server, access: Access, concurrency: usize) -> Self {
        let concurrency = concurrency.max(1);
        let kept = match access {
            // each serves any mailbox: none is worth less than another
            Access::Shared { .. } => concurrency,
            _ => pool::KEPT_MAX,
        };
        let shared = Shared { known: Mutex::default(), pool: Pool::new(kept) };
        ImapConnector { server: Arc::new(server), access, concurrency, shared: Arc::new(shared) }
    }

    async fn login(&self, mailbox: &str) -> Result<Login, ConnectorError> {
        match &self.access {
            Access::Master { user, separator, password } => {
                let secret = Secret::Password(password.clone());
                Ok(match separator.is_empty() {
                    true => Login { user: user.clone(), act_for: Some(mailbox.to_owned()), secret },
                    false => Login { user: format!("{mailbox}{separator}{user}"), act_for: None, secret },
                })
            }
            Access::Shared { user, password, .. } => {
                Ok(Login { user: user.clone(), act_for: None, secret: Secret::Password(password.clone()) })
            }
            Access::Own(credentials) => {
                let known = credentials.of(mailbox).await.map_err(|error| {
                    ConnectorError::refused(format!("read the credentials of mailbox {mailbox}: {error}"))
                })?;
                let (user, secret) = known.ok_or_else(|| {
                    ConnectorError::refused(format!("there are no credentials for mailbox {mailbox}"))
                })?;
                Ok(Login { user, act_for: None, secret })
            }
        }
    }

    async fn connect(&self, mailbox: &str) -> Result<Connection, ConnectorError> {
        let root = self.root(mailbox)?;
        let kept = self.shared.pool.take(self.pooled_as(mailbox));
        let mut connection = match kept {
            Some(connection) => connection,
            None => {
                let login = self.login(mailbox).await?;
                let known = lock(&self.shared.known).clone();
                let connection = Connection::begin(&self.server, &login, known).await?;
                self.shared.learn(&connection);
                connection
            }
        };
        if let Some(root) = root {
            connection.enter(root);
        }
        Ok(connection)
    }

    fn root(&self, mailbox: &str) -> Result<Option<Root>, ConnectorError> {
        let Access::Shared { root, .. } = &self.access else { return Ok(None) };
        let named = root.of(mailbox);
        named.map(Some).map_err(|_| ConnectorError::refused(format!("{mailbox:?} cannot stand below a shared prefix")))
    }

    /// What a kept connection is asked for by: the mailbox, or nothing when it serves any.
    fn pooled_as<'a>(&self, mailbox: &'a str) -> &'a str {
        match self.access {
            Access::Shared { .. } => "",
            _ => mailbox,
        }
    }
}

impl Connector for ImapConnector {
    fn open<'a>(&'a self, mailbox: &'a str) -> BoxFuture<'a, Result<Box<dyn Mailbox>, ConnectorError>> {
        Box::pin(async move {
            let connection = self.connect(mailbox).await?;
            let shared = Arc::clone(&self.shared);
            let pooled_as = self.pooled_as(mailbox).to_owned();
            Ok(Box::new(ImapMailbox::new(mailbox, connection, shared, pooled_as)) as Box<dyn Mailbox>)
        })
    }

    fn concurrency(&self) -> usize {
        self.concurrency
    }
}

impl Shared {
    /// Notes what the server can, once somebody is logged in.
    fn learn(&self, connection: &Connection) {
        if connection.is_logged_in() {
            *lock(&self.known) = Some(Arc::clone(connection.capabilities()));
        }
    }

    /// Forgets it: the next login is waited for before anything else is sent.
    fn forget(&self) {
        *lock(&self.known) = None;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl From<ImapError> for ConnectorError {
    fn from(error: ImapError) -> Self {
        match error {
            ImapError::Unsupported(what) => ConnectorError::Unable(Text::new(
                format!("the IMAP server lacks {what}"),
                format!("IMAP サーバーが対応していません: {what}"),
            )),
            ImapError::StillThere(_) => ConnectorError::Changed(error.to_string()),
            error if error.is_passing() => ConnectorError::Passing {
                attempt: "work over IMAP".to_owned(),
                retry_after: None,
                source: Some(Box::new(error)),
            },
            error => ConnectorError::Refused { attempt: "work over IMAP".to_owned(), source: Some(Box::new(error)) },
        }
    }
}
