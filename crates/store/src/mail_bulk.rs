//! Bulk actions on mail: a filter that is expanded into actions, batch by batch.

use crate::db::Db;
use crate::error::Result;
use crate::sql::{Arg, Cells, Sql};
use hinomi_model::Timestamp;
use sqlx::any::AnyRow;
use uuid::Uuid;

/// A bulk action as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailBulkRow {
    /// Id.
    pub id: Uuid,
    /// When it was ordered.
    pub created_at: Timestamp,
    /// Caller and key of the request; the same pair is stored once.
    pub idempotency_key: Option<String>,
    /// Filter and progress, JSON of the server.
    pub doc: String,
}

reads! {
    /// Returns a bulk action.
    fn mail_bulk(id: Uuid) -> Option<MailBulkRow>;
    /// Returns the bulk action ordered under a key.
    fn mail_bulk_of_key(key: &str) -> Option<MailBulkRow>;
}

writes! {
    /// Stores a new bulk action.
    fn add_mail_bulk(row: &MailBulkRow) -> ();
    /// Replaces filter and progress of a bulk action.
    fn update_mail_bulk(id: Uuid, doc: &str) -> ();
}

async fn mail_bulk(db: &mut Db<'_>, id: Uuid) -> Result<Option<MailBulkRow>> {
    let sql = Sql::new("SELECT id, created_at, idempotency_key, doc FROM mail_bulk WHERE id = $1").bind(Arg::id(id));
    sql.row(db).await?.map(|row| read(&row)).transpose()
}

async fn mail_bulk_of_key(db: &mut Db<'_>, key: &str) -> Result<Option<MailBulkRow>> {
    let sql =
        Sql::new("SELECT id, created_at, idempotency_key, doc FROM mail_bulk WHERE idempotency_key = $1").bind(key);
    sql.row(db).await?.map(|row| read(&row)).transpose()
}

async fn add_mail_bulk(db: &mut Db<'_>, row: &MailBulkRow) -> Result<()> {
    let mut sql = Sql::new("INSERT INTO mail_bulk (id, created_at, idempotency_key, doc) VALUES ");
    let key = Arg::from(row.idempotency_key.clone());
    sql.args([Arg::id(row.id), Arg::from(row.created_at), key, Arg::from(&row.doc)]);
    sql.run(db).await?;
    Ok(())
}

async fn update_mail_bulk(db: &mut Db<'_>, id: Uuid, doc: &str) -> Result<()> {
    Sql::new("UPDATE mail_bulk SET doc = $1 WHERE id = $2").bind(doc).bind(Arg::id(id)).run(db).await?;
    Ok(())
}

fn read(row: &AnyRow) -> Result<MailBulkRow> {
    Ok(MailBulkRow {
        id: row.parsed("id")?,
        created_at: row.time("created_at")?,
        idempotency_key: row.text_or_null("idempotency_key")?,
        doc: row.text("doc")?,
    })
}
