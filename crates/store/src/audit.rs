//! The audit log: every record carries the hash of the one before.

use crate::db::{Db, Key, Listed, Listing, Page, list};
use crate::error::Result;
use crate::sql::{Cells, Filter, Sql, search_text};
use hinomi_model::{AuditRecord, Timestamp};
use sha2::Digest;
use sqlx::any::AnyRow;

/// Records read at once while verifying.
const VERIFY_ROWS: i64 = 1000;
const FIRST_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A record to write. See [`AuditRecord`] for the fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAudit {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// What.
    pub action: String,
    /// On what.
    pub target: String,
    /// More, as a JSON object in text.
    pub detail: String,
    /// Address of the client.
    pub address: String,
    /// `ok` or the reason it failed.
    pub result: String,
}

/// Which records to list; empty means all.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// By whom.
    pub actor: Option<String>,
    /// What.
    pub action: Option<String>,
    /// On what.
    pub target: Option<String>,
    /// Text anywhere in the record.
    pub text: Option<String>,
    /// At or after.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
}

/// Result of walking the whole chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditCheck {
    /// Records that are there.
    pub count: i64,
    /// First position at which something is missing, added or changed; none when all is well.
    pub first_bad: Option<i64>,
}

reads! {
    /// Lists audit records, newest first.
    fn audit_records(filter: &AuditFilter, page: &Page) -> Listed<AuditRecord>;
    /// Returns up to `limit` records after position `seq`, oldest first, for export.
    fn audit_after(seq: i64, limit: i64) -> Vec<AuditRecord>;
    /// Walks the whole chain.
    fn verify_audit() -> AuditCheck;
}

writes! {
    /// Writes a record, chained to the one before.
    fn audit(new: &NewAudit) -> AuditRecord;
}

async fn audit(db: &mut Db<'_>, new: &NewAudit) -> Result<AuditRecord> {
    // moving the head first serialises writers on both back ends
    let head = Sql::new("UPDATE audit_head SET seq = seq + 1 WHERE id = 1 RETURNING seq, hash").row(db).await?;
    let head = head.ok_or_else(|| crate::StoreError::Schema("audit log has no head".to_owned()))?;
    let tidy = |text: &str| text.replace('\0', "\u{fffd}");
    let mut record = AuditRecord {
        seq: head.int("seq")?,
        at: new.at,
        actor: tidy(&new.actor),
        action: tidy(&new.action),
        target: tidy(&new.target),
        detail: tidy(&new.detail),
        address: tidy(&new.address),
        result: tidy(&new.result),
        previous_hash: head.text("hash")?,
        hash: String::new(),
    };
    record.hash = hash(&record);
    Sql::new(
        "INSERT INTO audit (seq, at, actor, action, target, detail, address, result, previous_hash, hash, search) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(record.seq)
    .bind(record.at)
    .bind(&record.actor)
    .bind(&record.action)
    .bind(&record.target)
    .bind(&record.detail)
    .bind(&record.address)
    .bind(&record.result)
    .bind(&record.previous_hash)
    .bind(&record.hash)
    .bind(search_text([
        record.actor.as_str(),
        &record.action,
        &record.target,
        &record.address,
        &record.result,
        &record.detail,
    ]))
    .run(db)
    .await?;
    Sql::new("UPDATE audit_head SET hash = $1 WHERE id = 1").bind(&record.hash).run(db).await?;
    Ok(record)
}

/// SHA-256 over the fields in order, each preceded by its length as eight bytes, high byte first.
/// Position and time (in microseconds) are hashed as decimal text.
fn hash(record: &AuditRecord) -> String {
    let (seq, at) = (record.seq.to_string(), record.at.as_micros().to_string());
    let fields = [
        seq.as_str(),
        &at,
        &record.actor,
        &record.action,
        &record.target,
        &record.detail,
        &record.address,
        &record.result,
        &record.previous_hash,
    ];
    let mut hasher = sha2::Sha256::new();
    for field in fields {
        hasher.update((field.len() as u64).to_be_bytes());
        hasher.update(field.as_bytes());
    }
    hex::encode(hasher.finalize())
}

async fn audit_records(db: &mut Db<'_>, wanted: &AuditFilter, page: &Page) -> Result<Listed<AuditRecord>> {
    const LISTING: Listing = Listing {
        select: "seq, at, actor, action, target, detail, address, result, previous_hash, hash",
        from: "audit",
        order: &[Key::Int("seq")],
        descending: true,
    };
    let mut filter = Filter::new();
    filter
        .eq("actor", wanted.actor.as_deref())
        .eq("action", wanted.action.as_deref())
        .eq("target", wanted.target.as_deref())
        .between("at", wanted.since, wanted.until)
        .text("search", wanted.text.as_deref());
    list(db, &LISTING, &filter, page, read).await
}

async fn audit_after(db: &mut Db<'_>, seq: i64, limit: i64) -> Result<Vec<AuditRecord>> {
    let rows = Sql::new(
        "SELECT seq, at, actor, action, target, detail, address, result, previous_hash, hash FROM audit \
         WHERE seq > $1 ORDER BY seq LIMIT $2",
    )
    .bind(seq)
    .bind(limit)
    .rows(db)
    .await?;
    rows.iter().map(read).collect()
}

async fn verify_audit(db: &mut Db<'_>) -> Result<AuditCheck> {
    // records written while we walk are beyond this head
    let head = Sql::new("SELECT seq, hash FROM audit_head WHERE id = 1").row(db).await?;
    let (head_seq, head_hash) = match head {
        Some(row) => (row.int("seq")?, row.text("hash")?),
        None => return Ok(AuditCheck { count: 0, first_bad: Some(1) }),
    };
    let (mut count, mut previous) = (0_i64, FIRST_HASH.to_owned());
    loop {
        let mut records = audit_after(db, count, VERIFY_ROWS).await?;
        records.retain(|record| record.seq <= head_seq);
        if records.is_empty() {
            break;
        }
        for record in records {
            let good = record.seq == count + 1 && record.previous_hash == previous && record.hash == hash(&record);
            if !good {
                return Ok(AuditCheck { count, first_bad: Some(count + 1) });
            }
            count += 1;
            previous = record.hash;
        }
    }
    let whole = count == head_seq && previous == head_hash;
    Ok(AuditCheck { count, first_bad: (!whole).then_some(count + 1) })
}

fn read(row: &AnyRow) -> Result<AuditRecord> {
    Ok(AuditRecord {
        seq: row.int("seq")?,
        at: row.time("at")?,
        actor: row.text("actor")?,
        action: row.text("action")?,
        target: row.text("target")?,
        detail: row.text("detail")?,
        address: row.text("address")?,
        result: row.text("result")?,
        previous_hash: row.text("previous_hash")?,
        hash: row.text("hash")?,
    })
}
