//! Login sessions and their cookie.

use super::{Auth, Caller, Who, random_text, secret_hash};
use crate::http::{Answer, Fail};
use axum::http::{HeaderMap, HeaderValue, header};
use hinomi_model::{Timestamp, User};
use hinomi_store::SessionRow;

/// Name of the cookie. The prefix makes browsers insist on Secure, no Domain and Path=/.
pub const COOKIE: &str = "__Host-hinomi";
/// A session ends at the latest after this, seconds.
const SESSION_SECONDS: i64 = 12 * 3600;
/// A session ends when unused for this long, seconds.
const IDLE_SECONDS: i64 = 3600;
/// The last use is written at most this often, seconds.
const TOUCH_SECONDS: i64 = 60;
/// Proof of presence lasts this long, seconds.
pub const STEP_UP_SECONDS: i64 = 5 * 60;
/// Most sessions of one user; beyond it the oldest ends.
const SESSIONS_MAX: usize = 20;

impl Auth {
    /// Opens a session for `user`; returns its row and the cookie's secret.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn open_session(&self, user: &User, address: &str, headers: &HeaderMap) -> Answer<(SessionRow, String)> {
        let now = self.ctx.now();
        let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let secret = random_text();
        let session = SessionRow {
            id: crate::ids::new(),
            token_sha256: secret_hash(&secret),
            user_id: user.id,
            created_at: now,
            last_seen: now,
            expires_at: now.plus_seconds(SESSION_SECONDS),
            step_up_until: None,
            address: address.to_owned(),
            user_agent: agent.chars().take(200).collect(),
        };
        self.ctx.store.prune_sessions(now).await?;
        self.ctx.store.add_session(&session).await?;
        for old in self.ctx.store.sessions_of_user(user.id, now).await?.iter().skip(SESSIONS_MAX) {
            self.ctx.store.delete_session(old.id).await?;
        }
        Ok((session, secret))
    }

    /// Finds the living session and user of a cookie's secret.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn session_caller(&self, secret: &str, address: String, touch: bool) -> Answer<Option<Caller>> {
        let now = self.ctx.now();
        let found = self.ctx.store.session_by_token(&secret_hash(secret), now).await?;
        let Some(mut session) = found else { return Ok(None) };
        if !alive(&session, now) {
            self.ctx.store.delete_session(session.id).await?;
            return Ok(None);
        }
        let Some(record) = self.ctx.store.user(session.user_id).await? else { return Ok(None) };
        if record.user.disabled {
            return Ok(None);
        }
        if touch && now.micros_since(session.last_seen) > TOUCH_SECONDS * 1_000_000 {
            session.last_seen = now;
            self.ctx.store.touch_session(session.id, now, session.expires_at).await?;
        }
        Ok(Some(Caller::new(Who::Person { user: Box::new(record.user), session: Box::new(session) }, address)))
    }

    /// Opens the gate for dangerous acts in a session; returns until when.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn step_up(&self, session: &SessionRow) -> Answer<Timestamp> {
        let until = self.ctx.now().plus_seconds(STEP_UP_SECONDS).min(session.expires_at);
        self.ctx.store.set_step_up(session.id, Some(until)).await?;
        Ok(until)
    }

    /// Ends the sessions of a user, all but `keep`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn end_sessions(
        &self,
        user: hinomi_model::UserId,
        keep: Option<hinomi_model::SessionId>,
    ) -> Result<(), Fail> {
        self.ctx.store.delete_sessions_of_user(user, keep).await?;
        Ok(())
    }

    /// Lists the living sessions of a user, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sessions(&self, user: hinomi_model::UserId) -> Answer<Vec<SessionRow>> {
        let now = self.ctx.now();
        let mut sessions = self.ctx.store.sessions_of_user(user, now).await?;
        sessions.retain(|session| alive(session, now));
        Ok(sessions)
    }
}

fn alive(session: &SessionRow, now: Timestamp) -> bool {
    session.expires_at > now && session.last_seen.plus_seconds(IDLE_SECONDS) > now
}

/// Writes the cookie of a session.
pub fn cookie(secret: &str) -> HeaderValue {
    let text = format!("{COOKIE}={secret}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={SESSION_SECONDS}");
    HeaderValue::try_from(text).expect("base64url and our own words are a header value")
}

/// Writes the cookie that removes the session's.
pub fn cookie_gone() -> HeaderValue {
    HeaderValue::from_static("__Host-hinomi=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0")
}

/// Finds the session's secret among the cookies of a request.
pub fn secret_of_cookie(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, secret)| secret.to_owned())
}
