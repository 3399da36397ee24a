//! Mail actions that stay armed for late copies, and the late copies that were noticed.

use crate::db::Db;
use crate::error::{Result, StoreError};
use crate::sql::{Arg, Cells, Sql};
use hinomi_model::{ActionId, LateCause, MessageCopyRef, Timestamp};
use sqlx::any::AnyRow;

/// Rows per statement.
const CHUNK: usize = 100;
/// Most late copies of one action that are returned.
const LATE_MAX: i64 = 10_000;

/// A late copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateRow {
    /// Its own id: what is done about it is journalled under it, as if it were an action.
    pub id: ActionId,
    /// The armed action.
    pub action: ActionId,
    /// The copy.
    pub copy: MessageCopyRef,
    /// How it came.
    pub cause: LateCause,
    /// When it was noticed.
    pub noticed_at: Timestamp,
    /// When it was dealt with, or found to be none; none = open.
    pub settled_at: Option<Timestamp>,
}

reads! {
    /// True when any action is armed.
    fn armed_any(now: Timestamp) -> bool;
    /// Returns the newest action armed for a mail.
    fn armed_for(identity: &str, now: Timestamp) -> Option<ActionId>;
    /// Returns what an action is armed for.
    fn armed_with(action: ActionId) -> Vec<String>;
    /// Returns a late copy.
    fn late(id: ActionId) -> Option<LateRow>;
    /// Returns the late copies of an action, oldest first, at most 10,000.
    fn late_of_action(action: ActionId) -> Vec<LateRow>;
}

writes! {
    /// Arms an action for mails until then.
    fn arm(action: ActionId, identities: &[String], until: Timestamp) -> ();
    /// Disarms an action.
    fn disarm(action: ActionId) -> ();
    /// Notes a late copy; false when the action has it open already.
    fn add_late(row: &LateRow) -> bool;
    /// Ends a late copy; false when it has ended before.
    fn settle_late(id: ActionId, now: Timestamp) -> bool;
    /// Forgets what was armed until before. Returns how many.
    fn prune_armed(before: Timestamp) -> u64;
}

async fn armed_any(db: &mut Db<'_>, now: Timestamp) -> Result<bool> {
    let sql = Sql::new("SELECT action_id FROM mail_armed WHERE armed_until > $1 LIMIT 1").bind(now);
    Ok(sql.row(db).await?.is_some())
}

async fn armed_for(db: &mut Db<'_>, identity: &str, now: Timestamp) -> Result<Option<ActionId>> {
    let sql = Sql::new(
        "SELECT action_id FROM mail_armed WHERE identity = $1 AND armed_until > $2 ORDER BY action_id DESC LIMIT 1",
    );
    sql.bind(identity).bind(now).row(db).await?.map(|row| row.parsed("action_id")).transpose()
}

async fn armed_with(db: &mut Db<'_>, action: ActionId) -> Result<Vec<String>> {
    let sql = Sql::new("SELECT identity FROM mail_armed WHERE action_id = $1 ORDER BY identity");
    sql.bind(Arg::id(action)).rows(db).await?.iter().map(|row| row.text("identity")).collect()
}

async fn arm(db: &mut Db<'_>, action: ActionId, identities: &[String], until: Timestamp) -> Result<()> {
    for chunk in identities.chunks(CHUNK) {
        let mut sql = Sql::new("INSERT INTO mail_armed (identity, action_id, armed_until) VALUES ");
        for (at, identity) in chunk.iter().enumerate() {
            let row = [Arg::from(identity), Arg::id(action), Arg::from(until)];
            sql.push(if at == 0 { "" } else { ", " }).args(row);
        }
        sql.push(" ON CONFLICT (identity, action_id) DO UPDATE SET armed_until = excluded.armed_until");
        sql.run(db).await?;
    }
    Ok(())
}

async fn disarm(db: &mut Db<'_>, action: ActionId) -> Result<()> {
    Sql::new("DELETE FROM mail_armed WHERE action_id = $1").bind(Arg::id(action)).run(db).await?;
    Ok(())
}

async fn prune_armed(db: &mut Db<'_>, before: Timestamp) -> Result<u64> {
    Sql::new("DELETE FROM mail_armed WHERE armed_until < $1").bind(before).run(db).await
}

async fn add_late(db: &mut Db<'_>, row: &LateRow) -> Result<bool> {
    let mut sql =
        Sql::new("INSERT INTO mail_late (id, action_id, message_id, recipient, cause, noticed_at, settled_at) VALUES ");
    sql.args([
        Arg::id(row.id),
        Arg::id(row.action),
        Arg::id(row.copy.message_id),
        Arg::from(&row.copy.recipient),
        Arg::word(row.cause),
        Arg::from(row.noticed_at),
        Arg::from(row.settled_at),
    ]);
    sql.push(" ON CONFLICT DO NOTHING");
    Ok(sql.run(db).await? > 0)
}

async fn settle_late(db: &mut Db<'_>, id: ActionId, now: Timestamp) -> Result<bool> {
    let sql = Sql::new("UPDATE mail_late SET settled_at = $1 WHERE id = $2 AND settled_at IS NULL");
    Ok(sql.bind(now).bind(Arg::id(id)).run(db).await? > 0)
}

const COLUMNS: &str = "SELECT id, action_id, message_id, recipient, cause, noticed_at, settled_at FROM mail_late ";

async fn late(db: &mut Db<'_>, id: ActionId) -> Result<Option<LateRow>> {
    let mut sql = Sql::new(COLUMNS);
    sql.push("WHERE id = ").arg(Arg::id(id));
    sql.row(db).await?.map(|row| read(&row)).transpose()
}

async fn late_of_action(db: &mut Db<'_>, action: ActionId) -> Result<Vec<LateRow>> {
    let mut sql = Sql::new(COLUMNS);
    sql.push("WHERE action_id = ").arg(Arg::id(action)).push(" ORDER BY id LIMIT ").arg(LATE_MAX);
    sql.rows(db).await?.iter().map(read).collect()
}

fn read(row: &AnyRow) -> Result<LateRow> {
    Ok(LateRow {
        id: row.parsed("id")?,
        action: row.parsed("action_id")?,
        copy: MessageCopyRef { message_id: row.parsed("message_id")?, recipient: row.text("recipient")? },
        cause: row.text("cause")?.parse().map_err(|error| StoreError::damaged("cause", error))?,
        noticed_at: row.time("noticed_at")?,
        settled_at: row.time_or_null("settled_at")?,
    })
}
