//! The caller of a request.

use crate::http::{Answer, Fail};
use hinomi_model::{Role, SessionId, Timestamp, User};
use hinomi_store::SessionRow;
use std::sync::{Arc, Mutex, PoisonError};

/// Who asks, from where, and what the audit log will say of it.
#[derive(Clone)]
pub struct Caller {
    /// Person or token.
    pub who: Who,
    /// Address of the client.
    pub address: String,
    note: Arc<Mutex<Note>>,
}

/// A person or an API token.
#[derive(Clone)]
pub enum Who {
    /// A logged-in person.
    Person {
        /// The person.
        user: Box<User>,
        /// The session.
        session: Box<SessionRow>,
    },
    /// An API token.
    Token {
        /// Its name.
        name: String,
        /// What it may do.
        role: Role,
    },
}

/// What a handler wants the audit record to say beyond who, what and result.
#[derive(Debug, Clone, Default)]
pub struct Note {
    /// On what; the id of the path when empty.
    pub target: String,
    /// More, a JSON object.
    pub detail: serde_json::Value,
}

tokio::task_local! {
    static ADDRESS: String;
}

/// Address of the client whose request this task answers, for audit records written deep inside;
/// empty outside of requests.
pub fn client_address() -> String {
    ADDRESS.try_with(Clone::clone).unwrap_or_default()
}

/// Runs the handling of a request with the address of its client at hand.
pub async fn with_address<T>(address: String, work: impl Future<Output = T>) -> T {
    ADDRESS.scope(address, work).await
}

impl Caller {
    /// Builds a caller.
    pub fn new(who: Who, address: String) -> Self {
        Caller { who, address, note: Arc::default() }
    }

    /// Name for records: the login name or `token:<name>`.
    pub fn name(&self) -> String {
        match &self.who {
            Who::Person { user, .. } => user.name.clone(),
            Who::Token { name, .. } => format!("token:{name}"),
        }
    }

    /// Role.
    pub fn role(&self) -> Role {
        match &self.who {
            Who::Person { user, .. } => user.role,
            Who::Token { role, .. } => *role,
        }
    }

    /// The person and session; tokens have no profile.
    ///
    /// # Errors
    /// 403 for tokens.
    pub fn person(&self) -> Answer<(&User, &SessionRow)> {
        match &self.who {
            Who::Person { user, session } => Ok((user, session)),
            Who::Token { .. } => Err(Fail::forbidden("a login session")),
        }
    }

    /// Checks that presence was proved within the last minutes. Tokens can never prove it.
    ///
    /// # Errors
    /// 403 `step_up_required`.
    pub fn require_step_up(&self, now: Timestamp) -> Answer<()> {
        match &self.who {
            Who::Person { session, .. } if session.step_up_until.is_some_and(|until| until > now) => Ok(()),
            _ => Err(Fail::step_up_required()),
        }
    }

    /// The session, for persons.
    pub fn session_id(&self) -> Option<SessionId> {
        match &self.who {
            Who::Person { session, .. } => Some(session.id),
            Who::Token { .. } => None,
        }
    }

    /// Tells the audit record on what and with which detail. Never put secrets in.
    pub fn note(&self, target: impl ToString, detail: serde_json::Value) {
        *self.note.lock().unwrap_or_else(PoisonError::into_inner) = Note { target: target.to_string(), detail };
    }

    /// Takes what was noted.
    pub fn take_note(&self) -> Note {
        std::mem::take(&mut *self.note.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
