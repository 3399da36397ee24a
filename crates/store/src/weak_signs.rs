//! Weak signs until they add up, and habits: which devices or messages show what.

use crate::db::Db;
use crate::error::Result;
use crate::sql::{Arg, Cells, Sql};
use hinomi_model::Timestamp;

/// Subjects kept per habit.
const SUBJECTS_MAX: i64 = 64;

/// A weak sign as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeakSignRow {
    /// Kept once under this key.
    pub key: String,
    /// Id, in the range of its demo.
    pub id: String,
    /// Process tree or message.
    pub group: String,
    /// Device and account; empty for mail.
    pub place: String,
    /// When.
    pub at: Timestamp,
    /// The sign, JSON.
    pub doc: String,
}

/// How usual a habit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HabitRow {
    /// Subjects that show it, at most 64 are told.
    pub subjects: i64,
    /// Those that showed it before the time asked for.
    pub settled: i64,
}

reads! {
    /// Returns the signs of one of these groups since then, in order of time.
    fn weak_signs_of_groups(groups: &[String], since: Timestamp, limit: u32) -> Vec<WeakSignRow>;
    /// Returns the signs of a place between two times, in order of time.
    fn weak_signs_of_place(place: &str, from: Timestamp, to: Timestamp, limit: u32) -> Vec<WeakSignRow>;
    /// Tells how usual a habit is.
    fn habit(name: &str, settled_before: Timestamp) -> HabitRow;
}

writes! {
    /// Stores a sign; a later one under the same key takes its place.
    fn put_weak_sign(sign: &WeakSignRow) -> ();
    /// Removes signs.
    fn delete_weak_signs(keys: &[String]) -> ();
    /// Removes signs from before then; returns how many.
    fn prune_weak_signs(before: Timestamp) -> u64;
    /// Removes habits whose name begins like this, that a single subject showed, before then; returns
    /// how many.
    fn prune_habits(prefix: &str, before: Timestamp) -> u64;
    /// Notes that a subject showed a habit.
    fn put_habit(name: &str, subject: &str, at: Timestamp) -> ();
}

async fn weak_signs_of_groups(
    db: &mut Db<'_>,
    groups: &[String],
    since: Timestamp,
    limit: u32,
) -> Result<Vec<WeakSignRow>> {
    if groups.is_empty() {
        return Ok(Vec::new());
    }
    let mut sql = Sql::new("SELECT sign_key, id, group_key, place, at, doc FROM weak_signs WHERE group_key IN ");
    sql.args(groups.iter().map(|group| Arg::indexed(group))).push(" AND at >= ").arg(since);
    sql.push(" ORDER BY at, sign_key LIMIT ").arg(i64::from(limit));
    sql.rows(db).await?.iter().map(read).collect()
}

async fn weak_signs_of_place(
    db: &mut Db<'_>,
    place: &str,
    from: Timestamp,
    to: Timestamp,
    limit: u32,
) -> Result<Vec<WeakSignRow>> {
    let mut sql = Sql::new("SELECT sign_key, id, group_key, place, at, doc FROM weak_signs WHERE place = ");
    sql.arg(Arg::indexed(place)).push(" AND at >= ").arg(from).push(" AND at <= ").arg(to);
    sql.push(" ORDER BY at, sign_key LIMIT ").arg(i64::from(limit));
    sql.rows(db).await?.iter().map(read).collect()
}

fn read(row: &sqlx::any::AnyRow) -> Result<WeakSignRow> {
    Ok(WeakSignRow {
        key: row.text("sign_key")?,
        id: row.text("id")?,
        group: row.text("group_key")?,
        place: row.text("place")?,
        at: row.time("at")?,
        doc: row.text("doc")?,
    })
}

async fn put_weak_sign(db: &mut Db<'_>, sign: &WeakSignRow) -> Result<()> {
    let mut sql = Sql::new("INSERT INTO weak_signs (sign_key, id, group_key, place, at, doc) VALUES ");
    sql.args([
        Arg::indexed(&sign.key),
        Arg::from(sign.id.as_str()),
        Arg::indexed(&sign.group),
        Arg::indexed(&sign.place),
        Arg::from(sign.at),
        Arg::from(sign.doc.as_str()),
    ]);
    sql.push(
        " ON CONFLICT (sign_key) DO UPDATE SET at = excluded.at, doc = excluded.doc \
         WHERE excluded.at > weak_signs.at",
    );
    sql.run(db).await?;
    Ok(())
}

async fn delete_weak_signs(db: &mut Db<'_>, keys: &[String]) -> Result<()> {
    for key in keys {
        Sql::new("DELETE FROM weak_signs WHERE sign_key = $1").bind(Arg::indexed(key)).run(db).await?;
    }
    Ok(())
}

async fn prune_weak_signs(db: &mut Db<'_>, before: Timestamp) -> Result<u64> {
    Sql::new("DELETE FROM weak_signs WHERE at < $1").bind(before).run(db).await
}

async fn prune_habits(db: &mut Db<'_>, prefix: &str, before: Timestamp) -> Result<u64> {
    let mut sql = Sql::new("DELETE FROM habits WHERE first_seen < ");
    sql.arg(before).push(" AND habit LIKE ").arg(format!("{prefix}%"));
    sql.push(
        " AND NOT EXISTS (SELECT 1 FROM habits AS other \
         WHERE other.habit = habits.habit AND other.subject <> habits.subject)",
    );
    sql.run(db).await
}

async fn habit(db: &mut Db<'_>, name: &str, settled_before: Timestamp) -> Result<HabitRow> {
    let mut sql = Sql::new("SELECT count(*) AS subjects, count(CASE WHEN first_seen <= ");
    sql.arg(settled_before).push(" THEN 1 END) AS settled FROM habits WHERE habit = ").arg(Arg::indexed(name));
    let Some(row) = sql.row(db).await? else { return Ok(HabitRow::default()) };
    Ok(HabitRow { subjects: row.int("subjects")?, settled: row.int("settled")? })
}

async fn put_habit(db: &mut Db<'_>, name: &str, subject: &str, at: Timestamp) -> Result<()> {
    // beyond the kept ones a subject adds nothing, an earlier time still counts
    let mut sql = Sql::new("INSERT INTO habits (habit, subject, first_seen) SELECT ");
    sql.arg(Arg::indexed(name)).push(", ").arg(subject).push(", ").arg(at);
    sql.push(" WHERE (SELECT count(*) FROM habits WHERE habit = ").arg(Arg::indexed(name));
    sql.push(") < ").arg(SUBJECTS_MAX);
    sql.push(
        " ON CONFLICT (habit, subject) DO UPDATE SET first_seen = excluded.first_seen \
         WHERE excluded.first_seen < habits.first_seen",
    );
    sql.run(db).await?;
    Ok(())
}
