//! Login sessions of the console.

use crate::db::Db;
use crate::error::Result;
use crate::sql::{Arg, Cells, Sql};
use hinomi_model::{SessionId, Timestamp, UserId};
use sqlx::any::AnyRow;

/// A login session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// Id.
    pub id: SessionId,
    /// SHA-256 of the cookie's secret, lower-case hex.
    pub token_sha256: String,
    /// Whose.
    pub user_id: UserId,
    /// Login.
    pub created_at: Timestamp,
    /// Last request.
    pub last_seen: Timestamp,
    /// End.
    pub expires_at: Timestamp,
    /// Dangerous actions are allowed until then.
    pub step_up_until: Option<Timestamp>,
    /// Address of the client at login.
    pub address: String,
    /// Browser, as it calls itself (untrusted).
    pub user_agent: String,
}

reads! {
    /// Returns the session with that secret, if it has not ended.
    fn session_by_token(token_sha256: &str, now: Timestamp) -> Option<SessionRow>;
    /// Returns the sessions of a user that have not ended, newest first.
    fn sessions_of_user(user: UserId, now: Timestamp) -> Vec<SessionRow>;
}

writes! {
    /// Adds a session.
    fn add_session(session: &SessionRow) -> ();
    /// Notes a request and moves the end.
    fn touch_session(id: SessionId, now: Timestamp, expires_at: Timestamp) -> ();
    /// Allows dangerous actions until then.
    fn set_step_up(id: SessionId, until: Option<Timestamp>) -> ();
    /// Ends a session; false when there is none.
    fn delete_session(id: SessionId) -> bool;
    /// Ends the sessions of a user, except one; returns how many.
    fn delete_sessions_of_user(user: UserId, except: Option<SessionId>) -> u64;
    /// Removes sessions that ended; returns how many.
    fn prune_sessions(now: Timestamp) -> u64;
}

async fn add_session(db: &mut Db<'_>, session: &SessionRow) -> Result<()> {
    Sql::new(
        "INSERT INTO sessions (id, token_sha256, user_id, created_at, last_seen, expires_at, step_up_until, address, \
         user_agent) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(Arg::id(session.id))
    .bind(&session.token_sha256)
    .bind(Arg::id(session.user_id))
    .bind(session.created_at)
    .bind(session.last_seen)
    .bind(session.expires_at)
    .bind(session.step_up_until)
    .bind(&session.address)
    .bind(&session.user_agent)
    .run(db)
    .await?;
    Ok(())
}

async fn session_by_token(db: &mut Db<'_>, token_sha256: &str, now: Timestamp) -> Result<Option<SessionRow>> {
    let row = Sql::new("SELECT * FROM sessions WHERE token_sha256 = $1 AND expires_at > $2")
        .bind(token_sha256)
        .bind(now)
        .row(db)
        .await?;
    row.map(|row| read(&row)).transpose()
}

async fn sessions_of_user(db: &mut Db<'_>, user: UserId, now: Timestamp) -> Result<Vec<SessionRow>> {
    let rows = Sql::new(
        "SELECT * FROM sessions WHERE user_id = $1 AND expires_at > $2 ORDER BY created_at DESC, id LIMIT 1000",
    )
    .bind(Arg::id(user))
    .bind(now)
    .rows(db)
    .await?;
    rows.iter().map(read).collect()
}

async fn touch_session(db: &mut Db<'_>, id: SessionId, now: Timestamp, expires_at: Timestamp) -> Result<()> {
    Sql::new("UPDATE sessions SET last_seen = $1, expires_at = $2 WHERE id = $3")
        .bind(now)
        .bind(expires_at)
        .bind(Arg::id(id))
        .run(db)
        .await?;
    Ok(())
}

async fn set_step_up(db: &mut Db<'_>, id: SessionId, until: Option<Timestamp>) -> Result<()> {
    Sql::new("UPDATE sessions SET step_up_until = $1 WHERE id = $2").bind(until).bind(Arg::id(id)).run(db).await?;
    Ok(())
}

async fn delete_session(db: &mut Db<'_>, id: SessionId) -> Result<bool> {
    Ok(Sql::new("DELETE FROM sessions WHERE id = $1").bind(Arg::id(id)).run(db).await? > 0)
}

async fn delete_sessions_of_user(db: &mut Db<'_>, user: UserId, except: Option<SessionId>) -> Result<u64> {
    let except = except.map(|id| id.to_string()).unwrap_or_default();
    Sql::new("DELETE FROM sessions WHERE user_id = $1 AND id <> $2").bind(Arg::id(user)).bind(except).run(db).await
}

async fn prune_sessions(db: &mut Db<'_>, now: Timestamp) -> Result<u64> {
    Sql::new("DELETE FROM sessions WHERE expires_at <= $1").bind(now).run(db).await
}

fn read(row: &AnyRow) -> Result<SessionRow> {
    Ok(SessionRow {
        id: row.parsed("id")?,
        token_sha256: row.text("token_sha256")?,
        user_id: row.parsed("user_id")?,
        created_at: row.time("created_at")?,
        last_seen: row.time("last_seen")?,
        expires_at: row.time("expires_at")?,
        step_up_until: row.time_or_null("step_up_until")?,
        address: row.text("address")?,
        user_agent: row.text("user_agent")?,
    })
}
