//! Verdicts handed in by other scanners about a file, a URL or a message.

use crate::db::Db;
use crate::error::{Result, StoreError};
use crate::sql::{Arg, Cells, Sql};
use hinomi_model::{EntityKey, FilterVerdict, Timestamp};
use sqlx::any::AnyRow;
use uuid::Uuid;

/// Most verdicts read about some values.
const READ_MAX: i64 = 200;

/// A verdict as it was handed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailVerdictRow {
    /// Id.
    pub id: Uuid,
    /// What it is about: a file, a URL or a message.
    pub target: EntityKey,
    /// When it came.
    pub at: Timestamp,
    /// Caller and key of the request; the same pair is stored once.
    pub idempotency_key: Option<String>,
    /// What the scanner says.
    pub verdict: FilterVerdict,
}

reads! {
    /// Returns the verdict stored under an idempotency key.
    fn mail_verdict_of_key(key: &str) -> Option<MailVerdictRow>;
    /// Returns what scanners said about these values, oldest first, at most 200.
    fn mail_verdicts_of(targets: &[EntityKey]) -> Vec<MailVerdictRow>;
}

writes! {
    /// Stores a verdict.
    fn add_mail_verdict(row: &MailVerdictRow) -> ();
}

const COLUMNS: &str = "id, kind, value, at, idempotency_key, doc";

async fn add_mail_verdict(db: &mut Db<'_>, row: &MailVerdictRow) -> Result<()> {
    let doc = serde_json::to_string(&row.verdict)
        .map_err(|error| StoreError::Invalid { what: "verdict", reason: error.to_string() })?;
    let mut sql = Sql::new("INSERT INTO mail_verdicts (id, kind, value, at, idempotency_key, doc) VALUES ");
    sql.args([
        Arg::id(row.id),
        Arg::from(row.target.kind.name()),
        Arg::indexed(&row.target.value),
        Arg::from(row.at),
        Arg::from(row.idempotency_key.clone()),
        Arg::from(doc),
    ]);
    sql.run(db).await?;
    Ok(())
}

async fn mail_verdict_of_key(db: &mut Db<'_>, key: &str) -> Result<Option<MailVerdictRow>> {
    let mut sql = Sql::new("SELECT ");
    sql.push(COLUMNS).push(" FROM mail_verdicts WHERE idempotency_key = ").arg(key);
    sql.row(db).await?.map(|row| read(&row)).transpose()
}

async fn mail_verdicts_of(db: &mut Db<'_>, targets: &[EntityKey]) -> Result<Vec<MailVerdictRow>> {
    let mut found = Vec::new();
    for chunk in targets.chunks(super::CHUNK) {
        let mut sql = Sql::new("SELECT ");
        sql.push(COLUMNS).push(" FROM mail_verdicts WHERE ");
        for (at, target) in chunk.iter().enumerate() {
            sql.push(if at == 0 { "(kind = " } else { " OR (kind = " }).arg(target.kind.name());
            sql.push(" AND value = ").arg(Arg::indexed(&target.value)).push(")");
        }
        sql.push(" ORDER BY at, id LIMIT ").arg(READ_MAX);
        found.extend(sql.rows(db).await?.iter().map(read).collect::<Result<Vec<_>>>()?);
    }
    Ok(found)
}

fn read(row: &AnyRow) -> Result<MailVerdictRow> {
    let target = format!("{}:{}", row.text("kind")?, row.text("value")?);
    let doc = row.text("doc")?;
    Ok(MailVerdictRow {
        id: row.parsed("id")?,
        target: target.parse().map_err(|error| StoreError::damaged("verdict", error))?,
        at: row.time("at")?,
        idempotency_key: row.text_or_null("idempotency_key")?,
        verdict: serde_json::from_str(&doc).map_err(|error| StoreError::damaged("verdict", error))?,
    })
}
