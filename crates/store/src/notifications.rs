//! What is told outside the console: the way out, and the log of what was answered.

use crate::db::{Db, Key, Listed, Listing, Page, list};
use crate::error::Result;
use crate::sql::{Arg, Cells, Filter, Sql};
use hinomi_model::{Notification, NotificationId, NotificationState, Timestamp};
use sqlx::any::AnyRow;

/// Notifications of one digest.
const HELD_MAX: i64 = 1_000;
const COLUMNS: &str =
    "id, channel, rule, kind, severity, incident, subject, state, created_at, attempts, tried_at, digest, answer";

/// Which notifications are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NotificationFilter {
    /// States; empty = any.
    pub state: Vec<NotificationState>,
    /// Channel.
    pub channel: Option<String>,
    /// Number of the incident.
    pub incident: Option<i64>,
}

reads! {
    /// Returns a notification.
    fn notification(id: NotificationId) -> Option<Notification>;
    /// Lists notifications, newest first.
    fn notifications(filter: &NotificationFilter, page: &Page) -> Listed<Notification>;
    /// Returns what waits for the digest of a channel, oldest first, at most 1,000.
    fn held_notifications(channel: &str) -> Vec<Notification>;
    /// Returns what a digest tells, oldest first, at most 1,000.
    fn notifications_of_digest(digest: NotificationId) -> Vec<Notification>;
    /// Counts the notifications of a channel since then that were not held back.
    fn told_since(channel: &str, since: Timestamp) -> i64;
}

writes! {
    /// Adds a notification; false when the same was told before.
    fn add_notification(notification: &Notification, dedupe_key: &str) -> bool;
    /// Notes a try, or a new state.
    fn update_notification(notification: &Notification) -> ();
    /// Forgets what was made before then and is over. Returns how many.
    fn prune_notifications(before: Timestamp) -> u64;
}

async fn add_notification(db: &mut Db<'_>, one: &Notification, dedupe_key: &str) -> Result<bool> {
    let mut sql = Sql::new("INSERT INTO notifications (dedupe_key, ");
    sql.push(COLUMNS).push(") VALUES ");
    sql.args([
        Arg::from(dedupe_key),
        Arg::id(one.id),
        Arg::from(&one.channel),
        Arg::from(&one.rule),
        Arg::word(one.kind),
        Arg::from(one.severity.map(|severity| severity.word())),
        Arg::from(one.incident),
        Arg::from(&one.subject),
        Arg::word(one.state),
        Arg::from(one.created_at),
        Arg::from(one.attempts),
        Arg::from(one.tried_at),
        Arg::id_or_null(one.digest),
        Arg::from(&one.answer),
    ]);
    sql.push(" ON CONFLICT (dedupe_key) DO NOTHING");
    Ok(sql.run(db).await? > 0)
}

async fn update_notification(db: &mut Db<'_>, one: &Notification) -> Result<()> {
    Sql::new(
        "UPDATE notifications SET state = $1, attempts = $2, tried_at = $3, digest = $4, answer = $5 WHERE id = $6",
    )
    .bind(Arg::word(one.state))
    .bind(one.attempts)
    .bind(one.tried_at)
    .bind(Arg::id_or_null(one.digest))
    .bind(&one.answer)
    .bind(Arg::id(one.id))
    .run(db)
    .await?;
    Ok(())
}

async fn notification(db: &mut Db<'_>, id: NotificationId) -> Result<Option<Notification>> {
    let mut sql = Sql::new("SELECT ");
    sql.push(COLUMNS).push(" FROM notifications WHERE id = ").arg(Arg::id(id));
    sql.row(db).await?.map(|row| read(&row)).transpose()
}

async fn notifications(db: &mut Db<'_>, filter: &NotificationFilter, page: &Page) -> Result<Listed<Notification>> {
    const LISTING: Listing = Listing {
        select: COLUMNS,
        from: "notifications",
        order: &[Key::Int("created_at"), Key::Text("id")],
        descending: true,
    };
    let mut wanted = Filter::new();
    wanted.words("state", &filter.state).eq("channel", filter.channel.as_deref()).eq("incident", filter.incident);
    list(db, &LISTING, &wanted, page, read).await
}

async fn held_notifications(db: &mut Db<'_>, channel: &str) -> Result<Vec<Notification>> {
    let mut sql = Sql::new("SELECT ");
    sql.push(COLUMNS).push(" FROM notifications WHERE channel = ").arg(channel).push(" AND state = ");
    sql.arg(Arg::word(NotificationState::Held)).push(" ORDER BY created_at, id LIMIT ").arg(HELD_MAX);
    sql.rows(db).await?.iter().map(read).collect()
}

async fn notifications_of_digest(db: &mut Db<'_>, digest: NotificationId) -> Result<Vec<Notification>> {
    let mut sql = Sql::new("SELECT ");
    sql.push(COLUMNS).push(" FROM notifications WHERE digest = ").arg(Arg::id(digest));
    sql.push(" ORDER BY created_at, id LIMIT ").arg(HELD_MAX);
    sql.rows(db).await?.iter().map(read).collect()
}

async fn told_since(db: &mut Db<'_>, channel: &str, since: Timestamp) -> Result<i64> {
    let mut sql = Sql::new("SELECT count(*) AS told FROM notifications WHERE channel = ");
    sql.arg(channel).push(" AND created_at >= ").arg(since).push(" AND state IN (");
    sql.arg(Arg::word(NotificationState::Pending)).push(", ").arg(Arg::word(NotificationState::Sent)).push(")");
    sql.row(db).await?.map_or(Ok(0), |row| row.int("told"))
}

async fn prune_notifications(db: &mut Db<'_>, before: Timestamp) -> Result<u64> {
    let mut sql = Sql::new("DELETE FROM notifications WHERE created_at < ");
    sql.arg(before).push(" AND state <> ").arg(Arg::word(NotificationState::Pending));
    sql.run(db).await
}

fn read(row: &AnyRow) -> Result<Notification> {
    let severity = row.text_or_null("severity")?;
    Ok(Notification {
        id: row.parsed("id")?,
        channel: row.text("channel")?,
        rule: row.text("rule")?,
        kind: row.parsed("kind")?,
        severity: severity.map(|_| row.parsed("severity")).transpose()?,
        incident: row.int_or_null("incident")?,
        subject: row.text("subject")?,
        state: row.parsed("state")?,
        created_at: row.time("created_at")?,
        attempts: row.int("attempts")?,
        tried_at: row.time_or_null("tried_at")?,
        digest: row.text_or_null("digest")?.map(|_| row.parsed("digest")).transpose()?,
        answer: row.text("answer")?,
    })
}
