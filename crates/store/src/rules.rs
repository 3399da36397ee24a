//! Detection rules: what was decided about them, every decision before, and how often they fired.

use crate::db::Db;
use crate::error::{Result, StoreError};
use crate::sql::{Cells, Sql};
use hinomi_model::{RuleEntry, Timestamp};
use sqlx::any::AnyRow;

/// Most decisions read at once.
const ENTRIES_MAX: i64 = 20_000;
/// Most versions of one rule that are listed.
const VERSIONS_MAX: i64 = 1_000;

/// A decision, and how often the rule fired since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleRow {
    /// The decision.
    pub entry: RuleEntry,
    /// Firings since text or state changed.
    pub hits: i64,
    /// The last.
    pub last_hit: Option<Timestamp>,
}

reads! {
    /// Returns the decisions in force, by id, at most 20,000.
    fn rule_entries() -> Vec<RuleRow>;
    /// Returns the decision about a rule.
    fn rule_entry(id: &str) -> Option<RuleRow>;
    /// Returns every decision about a rule, newest first, at most 1,000.
    fn rule_versions(id: &str) -> Vec<RuleEntry>;
}

writes! {
    /// Puts a decision in force and keeps it as the next version; `expected` is the version in force, 0 =
    /// none. Unless `counts_on`, firings are counted from zero.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when another version is in force.
    fn put_rule_entry(entry: &RuleEntry, expected: i64, counts_on: bool) -> RuleEntry;
    /// Takes the decision about a rule out of force; its versions stay. False when there is none.
    fn delete_rule_entry(id: &str) -> bool;
    /// Counts firings.
    fn count_rule_hits(id: &str, hits: i64, last: Timestamp) -> ();
}

fn read(row: &AnyRow) -> Result<RuleEntry> {
    let mut entry: RuleEntry =
        serde_json::from_str(&row.text("doc")?).map_err(|error| StoreError::damaged("rule", error))?;
    entry.version = row.int("version")?;
    Ok(entry)
}

fn read_row(row: &AnyRow) -> Result<RuleRow> {
    Ok(RuleRow { entry: read(row)?, hits: row.int("hits")?, last_hit: row.time_or_null("last_hit")? })
}

async fn rule_entries(db: &mut Db<'_>) -> Result<Vec<RuleRow>> {
    let sql = Sql::new("SELECT doc, version, hits, last_hit FROM rules ORDER BY id LIMIT $1").bind(ENTRIES_MAX);
    sql.rows(db).await?.iter().map(read_row).collect()
}

async fn rule_entry(db: &mut Db<'_>, id: &str) -> Result<Option<RuleRow>> {
    let row = Sql::new("SELECT doc, version, hits, last_hit FROM rules WHERE id = $1").bind(id).row(db).await?;
    row.map(|row| read_row(&row)).transpose()
}

async fn rule_versions(db: &mut Db<'_>, id: &str) -> Result<Vec<RuleEntry>> {
    let sql = Sql::new("SELECT doc, version FROM rule_versions WHERE rule_id = $1 ORDER BY version DESC LIMIT $2");
    sql.bind(id).bind(VERSIONS_MAX).rows(db).await?.iter().map(read).collect()
}

async fn put_rule_entry(db: &mut Db<'_>, entry: &RuleEntry, expected: i64, counts_on: bool) -> Result<RuleEntry> {
    let current = rule_entry(db, &entry.id).await?.map_or(0, |row| row.entry.version);
    if current != expected {
        return Err(StoreError::Conflict { what: "rule", id: entry.id.clone(), current });
    }
    let sql = Sql::new("SELECT COALESCE(MAX(version), 0) AS version FROM rule_versions WHERE rule_id = $1");
    let last = sql.bind(&entry.id).row(db).await?.map_or(Ok(0), |row| row.int("version"))?;
    let entry = RuleEntry { version: last + 1, ..entry.clone() };
    let doc = serde_json::to_string(&entry)
        .map_err(|error| StoreError::Invalid { what: "rule", reason: error.to_string() })?;
    Sql::new("INSERT INTO rule_versions (rule_id, version, doc) VALUES ($1, $2, $3)")
        .bind(&entry.id)
        .bind(entry.version)
        .bind(&doc)
        .run(db)
        .await?;
    Sql::new(
        "INSERT INTO rules (id, version, hits, last_hit, doc) VALUES ($1, $2, 0, NULL, $3) \
         ON CONFLICT (id) DO UPDATE SET version = excluded.version, doc = excluded.doc",
    )
    .bind(&entry.id)
    .bind(entry.version)
    .bind(&doc)
    .run(db)
    .await?;
    if !counts_on {
        Sql::new("UPDATE rules SET hits = 0, last_hit = NULL WHERE id = $1").bind(&entry.id).run(db).await?;
    }
    Ok(entry)
}

async fn delete_rule_entry(db: &mut Db<'_>, id: &str) -> Result<bool> {
    Ok(Sql::new("DELETE FROM rules WHERE id = $1").bind(id).run(db).await? > 0)
}

async fn count_rule_hits(db: &mut Db<'_>, id: &str, hits: i64, last: Timestamp) -> Result<()> {
    Sql::new(
        "UPDATE rules SET hits = hits + $1, last_hit = CASE WHEN last_hit > $2 THEN last_hit ELSE $3 END WHERE id = $4",
    )
    .bind(hits)
    .bind(last)
    .bind(last)
    .bind(id)
    .run(db)
    .await?;
    Ok(())
}
