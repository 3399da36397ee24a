//! Backups and moves between databases.
//!
//! SQLite backs up into one file by `VACUUM INTO`; PostgreSQL into one file of JSON lines per table.
//! The JSON lines can be written from and read into either.

use crate::db::{Backend, Db, Store, Tx};
use crate::error::{Result, StoreError};
use crate::lake_files::LakeFileRow;
use crate::sql::{Arg, Cells, Sql};
use sqlx::any::AnyRow;
use sqlx::{Column, Row, TypeInfo, ValueRef};
use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::path::Path;

/// Name of the SQLite database inside a backup folder.
pub const SQLITE_FILE: &str = "state.db";
/// Longest line of a table file, bytes.
const LINE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Every table with its key, in the order in which they are written.
const TABLES: &[(&str, &str)] = &[
    ("devices", "id"),
    ("enrolment_tokens", "id"),
    ("sensor_progress", "device_id, generation"),
    ("consumers", "name"),
    ("correlation_states", "rule"),
    ("counters", "name"),
    ("settings", "name"),
    ("lake_files", "path"),
    ("sightings", "kind, value_key, entity_kind, entity"),
    ("file_hashes", "hash, sha256"),
    ("alerts", "id"),
    ("alert_entities", "entity, alert_id"),
    ("alert_dedupe", "dedupe_key"),
    ("incidents", "id"),
    ("investigations", "id"),
    ("actions", "id"),
    ("indicators", "id"),
    ("indicator_imports", "id"),
    ("automation_policy", "id"),
    ("indicator_looks", "id"),
    ("indicator_feeds", "name"),
    ("indicator_feed_runs", "id"),
    ("rules", "id"),
    ("rule_versions", "rule_id, version"),
    ("tuning_rules", "id"),
    ("mail_messages", "n"),
    ("mail_copies", "n, recipient"),
    ("mail_terms", "term, n"),
    ("mail_counts", "term, hour"),
    ("mail_verdicts", "id"),
    ("mail_folders", "id"),
    ("mail_places", "folder_id, mail"),
    ("mail_crawls", "mailbox"),
    ("mail_bulk", "id"),
    ("mail_journal", "action_id, message_id, recipient"),
    ("mail_armed", "identity, action_id"),
    ("mail_late", "id"),
    ("commands", "id"),
    ("directory", "id"),
    ("directory_keys", "kind, value, person_id"),
    ("jobs", "id"),
    ("notifications", "id"),
    ("demos", "id"),
    ("users", "id"),
    ("sessions", "id"),
    ("api_tokens", "id"),
    ("login_failures", "login_key"),
    ("audit", "seq"),
    ("audit_head", "id"),
];

/// What a backup knows of things outside the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// Files of the lake at that moment.
    pub lake_files: Vec<LakeFileRow>,
    /// How far each consumer had read the ingest log.
    pub offsets: BTreeMap<String, u64>,
}

impl Store {
    /// Writes one consistent state of the store into the existing folder `dir`, while work goes on.
    pub async fn backup_to(&self, dir: &Path) -> Result<Backup> {
        match self.backend() {
            Backend::Sqlite => {
                let file = dir.join(SQLITE_FILE);
                self.vacuum_into(&file).await?;
                let copy = Store::open_sqlite(&file).await?;
                let mut tx = copy.begin_read().await?;
                let facts = facts(&mut tx).await?;
                tx.rollback().await?;
                copy.close().await;
                sync_file(&file)?;
                Ok(facts)
            }
            Backend::Postgres => self.export_tables(dir).await,
        }
    }

    /// Fills this empty store from a backup folder of either kind.
    ///
    /// # Errors
    /// [`StoreError::Backup`] when the store is not empty or the folder is no backup.
    pub async fn restore_from(&self, dir: &Path) -> Result<()> {
        let file = dir.join(SQLITE_FILE);
        if !file.is_file() {
            return self.import_tables(dir).await;
        }
        let scratch = dir.join(".restore");
        std::fs::create_dir_all(&scratch).map_err(|error| StoreError::file(&scratch, error))?;
        let copied = self.import_sqlite(&file, &scratch).await;
        std::fs::remove_dir_all(&scratch).map_err(|error| StoreError::file(&scratch, error))?;
        copied
    }

    async fn vacuum_into(&self, path: &Path) -> Result<()> {
        if path.exists() {
            return Err(StoreError::Backup(format!("{} exists already", path.display())));
        }
        // not inside a transaction; a reader does not hold up the writer
        let mut conn = self.writer().await?;
        let mut db = Db { conn: &mut conn, backend: Backend::Sqlite, locking: false };
        Sql::new("VACUUM INTO $1").bind(path.to_string_lossy().into_owned()).run(&mut db).await?;
        Ok(())
    }

    async fn import_sqlite(&self, file: &Path, scratch: &Path) -> Result<()> {
        // a copy, so that the backup itself is never written to
        let copy = scratch.join(SQLITE_FILE);
        std::fs::copy(file, &copy).map_err(|error| StoreError::file(&copy, error))?;
        let source = Store::open_sqlite(&copy).await?;
        let exported = source.export_tables(scratch).await;
        source.close().await;
        exported?;
        self.import_tables(scratch).await
    }

    /// Writes every table as JSON lines into `dir`, in the order of the keys: the same content gives
    /// the same bytes on every database.
    pub async fn export_tables(&self, dir: &Path) -> Result<Backup> {
        let mut tx = self.begin_read().await?;
        for (table, key) in TABLES {
            let path = dir.join(format!("{table}.jsonl"));
            let file = std::fs::File::create(&path).map_err(|error| StoreError::file(&path, error))?;
            let mut out = std::io::BufWriter::new(file);
            let mut sql = Sql::new("SELECT * FROM ");
            sql.push(table).push(" ORDER BY ").push(key);
            sql.each(&mut tx.db(), |row| {
                writeln!(out, "{}", row_to_json(&row)?).map_err(|error| StoreError::file(&path, error))
            })
            .await?;
            let file = out.into_inner().map_err(|error| StoreError::file(&path, error.into_error()))?;
            file.sync_all().map_err(|error| StoreError::file(&path, error))?;
        }
        let facts = facts(&mut tx).await?;
        tx.rollback().await?;
        Ok(facts)
    }

    /// Fills this empty store from the JSON lines of [`Store::export_tables`].
    pub async fn import_tables(&self, dir: &Path) -> Result<()> {
        let mut tx = self.begin().await?;
        refuse_filled(&mut tx).await?;
        Sql::new("DELETE FROM audit_head").run(&mut tx.db()).await?;
        for (table, _) in TABLES {
            let path = dir.join(format!("{table}.jsonl"));
            import_table(&mut tx, table, &path).await?;
        }
        tx.commit().await
    }
}

async fn facts(tx: &mut Tx) -> Result<Backup> {
    let lake_files = tx.lake_files().await?;
    let rows = Sql::new("SELECT name, position FROM consumers").rows(&mut tx.db()).await?;
    let offsets = rows.iter().map(|row| Ok((row.text("name")?, row.int("position")? as u64)));
    Ok(Backup { lake_files, offsets: offsets.collect::<Result<_>>()? })
}

fn sync_file(path: &Path) -> Result<()> {
    let synced = std::fs::File::open(path).and_then(|file| file.sync_all());
    synced.map_err(|error| StoreError::file(path, error))
}

async fn refuse_filled(tx: &mut Tx) -> Result<()> {
    for (table, _) in TABLES.iter().filter(|(table, _)| *table != "audit_head") {
        let mut sql = Sql::new("SELECT 1 AS one FROM ");
        sql.push(table).push(" LIMIT 1");
        if sql.row(&mut tx.db()).await?.is_some() {
            return Err(StoreError::Backup(format!("the store is not empty: there are {table}")));
        }
    }
    Ok(())
}

/// One JSON object: numbers, texts, `{"hex": …}` for bytes; nulls are left out.
fn row_to_json(row: &AnyRow) -> Result<serde_json::Value> {
    let mut object = serde_json::Map::new();
    for column in row.columns() {
        let name = column.name();
        let raw = row.try_get_raw(name)?;
        if raw.is_null() {
            continue;
        }
        let kind = raw.type_info().name().to_owned();
        let value = match kind.as_str() {
            "TEXT" => row.text(name)?.into(),
            "BLOB" => serde_json::json!({ "hex": hex::encode(row.blob(name)?) }),
            _ => row.int(name)?.into(),
        };
        object.insert(name.to_owned(), value);
    }
    Ok(object.into())
}

async fn import_table(tx: &mut Tx, table: &'static str, path: &Path) -> Result<()> {
    let file = std::fs::File::open(path).map_err(|error| StoreError::file(path, error))?;
    let mut input = std::io::BufReader::new(file);
    let mut line = String::new();
    for number in 1_u64.. {
        line.clear();
        let mut limited = std::io::Read::take(&mut input, LINE_BYTES_MAX);
        let read = limited.read_line(&mut line).map_err(|error| StoreError::file(path, error))?;
        if read == 0 {
            break;
        }
        let bad = || StoreError::Backup(format!("{} line {number} is not a row of {table}", path.display()));
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&line).map_err(|_| bad())?;
        insert_row(tx, table, object).await?.ok_or_else(bad)?;
    }
    Ok(())
}

/// Inserts one row; `None` when the object is not one.
async fn insert_row(
    tx: &mut Tx,
    table: &'static str,
    object: serde_json::Map<String, serde_json::Value>,
) -> Result<Option<()>> {
    let is_name =
        |name: &String| name.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'0'..=b'9'));
    if object.is_empty() || !object.keys().all(is_name) {
        return Ok(None);
    }
    let mut sql = Sql::new("INSERT INTO ");
    let names: Vec<&str> = object.keys().map(String::as_str).collect();
    sql.push(table).push(" (").push(&names.join(", ")).push(") VALUES ");
    let values = object.values().map(|value| match value {
        serde_json::Value::String(text) => Some(Arg::from(text)),
        serde_json::Value::Number(number) => number.as_i64().map(Arg::from),
        serde_json::Value::Object(bytes) => hex::decode(bytes.get("hex")?.as_str()?).ok().map(Arg::from),
        _ => None,
    });
    let Some(values) = values.collect::<Option<Vec<Arg>>>() else { return Ok(None) };
    sql.args(values);
    sql.run(&mut tx.db()).await?;
    Ok(Some(()))
}
