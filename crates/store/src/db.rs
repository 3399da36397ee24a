//! Connections, transactions, lists and documents.

use crate::error::{Result, StoreError};
use crate::migrate;
use crate::sql::{Arg, Cells, Filter, Sql};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::any::{AnyPoolOptions, AnyRow};
use sqlx::{Any, AnyConnection, AnyPool};
use std::path::Path;
use std::time::Duration;

/// Most rows one page of a list has.
pub const PAGE_LIMIT_MAX: u32 = 200;
/// SQLite readers beside the one writer.
const SQLITE_READERS: u32 = 4;
const POSTGRES_CONNECTIONS: u32 = 12;
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);

/// Which database is behind a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// Embedded, one writer.
    Sqlite,
    /// PostgreSQL 15 or later.
    Postgres,
}

/// The store: cheap to clone.
#[derive(Clone)]
pub struct Store {
    backend: Backend,
    readers: AnyPool,
    writer: AnyPool,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({:?})", self.backend)
    }
}

/// A transaction; dropped without [`Tx::commit`] nothing of it happened.
pub struct Tx {
    backend: Backend,
    inner: sqlx::Transaction<'static, Any>,
}

impl Store {
    /// Opens (and creates) the SQLite database at `path` and brings its schema up to date.
    pub async fn open_sqlite(path: &Path) -> Result<Store> {
        sqlx::any::install_default_drivers();
        let url = sqlite_url(path);
        // the first connection creates the file and switches it to write-ahead logging
        let writer = sqlite_pool(1, false).connect(&url).await?;
        let readers = sqlite_pool(SQLITE_READERS, true).connect_lazy(&url)?;
        let store = Store { backend: Backend::Sqlite, readers, writer };
        migrate::run(&store, migrate::SQLITE).await?;
        Ok(store)
    }

    /// Connects to PostgreSQL (`postgres://…`) and brings its schema up to date.
    pub async fn open_postgres(url: &str) -> Result<Store> {
        sqlx::any::install_default_drivers();
        let pool = AnyPoolOptions::new()
            .max_connections(POSTGRES_CONNECTIONS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect(url)
            .await?;
        let store = Store { backend: Backend::Postgres, readers: pool.clone(), writer: pool };
        migrate::run(&store, migrate::POSTGRES).await?;
        Ok(store)
    }

    /// Opens the store a URL names: `postgres://…`, or `sqlite:` and a path.
    pub async fn open(url: &str) -> Result<Store> {
        match url.strip_prefix("sqlite:") {
            Some(path) => Store::open_sqlite(path.as_ref()).await,
            None => Store::open_postgres(url).await,
        }
    }

    /// Returns which database is behind the store.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Begins a transaction that may write. On SQLite it waits for the one writer.
    pub async fn begin(&self) -> Result<Tx> {
        let inner = match self.backend {
            Backend::Sqlite => self.writer.begin_with("BEGIN IMMEDIATE").await?,
            Backend::Postgres => self.writer.begin().await?,
        };
        Ok(Tx { backend: self.backend, inner })
    }

    /// Closes every connection; SQLite folds its write-ahead log into the file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    pub(crate) async fn reader(&self) -> Result<sqlx::pool::PoolConnection<Any>> {
        Ok(self.readers.acquire().await?)
    }

    pub(crate) async fn writer(&self) -> Result<sqlx::pool::PoolConnection<Any>> {
        Ok(self.writer.acquire().await?)
    }

    /// Begins a transaction for reading one consistent state.
    pub(crate) async fn begin_read(&self) -> Result<Tx> {
        let inner = match self.backend {
            Backend::Sqlite => self.readers.begin().await?,
            Backend::Postgres => self.readers.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?,
        };
        Ok(Tx { backend: self.backend, inner })
    }
}

impl Tx {
    /// Makes everything of the transaction durable.
    pub async fn commit(self) -> Result<()> {
        Ok(self.inner.commit().await?)
    }

    /// Takes everything back.
    pub async fn rollback(self) -> Result<()> {
        Ok(self.inner.rollback().await?)
    }

    pub(crate) fn db(&mut self) -> Db<'_> {
        Db { conn: &mut self.inner, backend: self.backend, locking: true }
    }
}

/// A connection to run queries on.
pub(crate) struct Db<'a> {
    pub conn: &'a mut AnyConnection,
    pub backend: Backend,
    /// Inside a transaction that writes: reading one document locks its row on PostgreSQL.
    pub locking: bool,
}

/// Makes a query function available on `Store` (any reader) and on `Tx`.
macro_rules! reads {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident: $ty:ty),* $(,)?) -> $out:ty;)*) => {
        impl crate::db::Store {$(
            $(#[$doc])*
            pub async fn $name(&self, $($arg: $ty),*) -> crate::error::Result<$out> {
                let mut conn = self.reader().await?;
                let mut db = crate::db::Db { conn: &mut conn, backend: self.backend(), locking: false };
                $name(&mut db, $($arg),*).await
            }
        )*}
        impl crate::db::Tx {$(
            $(#[$doc])*
            pub async fn $name(&mut self, $($arg: $ty),*) -> crate::error::Result<$out> {
                $name(&mut self.db(), $($arg),*).await
            }
        )*}
    };
}

/// Makes a query function available on `Store` (in a transaction of its own) and on `Tx`.
macro_rules! writes {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident: $ty:ty),* $(,)?) -> $out:ty;)*) => {
        impl crate::db::Store {$(
            $(#[$doc])*
            pub async fn $name(&self, $($arg: $ty),*) -> crate::error::Result<$out> {
                let mut tx = self.begin().await?;
                let out = $name(&mut tx.db(), $($arg),*).await?;
                tx.commit().await?;
                Ok(out)
            }
        )*}
        impl crate::db::Tx {$(
            $(#[$doc])*
            pub async fn $name(&mut self, $($arg: $ty),*) -> crate::error::Result<$out> {
                $name(&mut self.db(), $($arg),*).await
            }
        )*}
    };
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Cursor from [`Listed::next`] of the page before; none for the first page.
    pub after: Option<String>,
    /// Rows wanted; 0 means the default of 50, more than [`PAGE_LIMIT_MAX`] means that.
    pub limit: u32,
}

impl Page {
    /// The first `limit` rows.
    pub fn first(limit: u32) -> Page {
        Page { after: None, limit }
    }

    fn rows(&self) -> i64 {
        i64::from(if self.limit == 0 { 50 } else { self.limit.min(PAGE_LIMIT_MAX) })
    }
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Cursor of the next page; none when this is the last.
    pub next: Option<String>,
    /// Rows of the whole list.
    pub total: i64,
}

/// A key column of a list's order.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Key {
    Int(&'static str),
    Text(&'static str),
    Blob(&'static str),
}

impl Key {
    fn column(self) -> &'static str {
        match self {
            Key::Int(name) | Key::Text(name) | Key::Blob(name) => name,
        }
    }
}

/// What a list selects and how it is ordered. `order` must end in a unique key.
pub(crate) struct Listing {
    pub select: &'static str,
    pub from: &'static str,
    pub order: &'static [Key],
    pub descending: bool,
}

/// Reads one page of a list: keyset paging, so rows added meanwhile neither repeat nor hide others.
pub(crate) async fn list<T>(
    db: &mut Db<'_>,
    listing: &Listing,
    filter: &Filter,
    page: &Page,
    read: impl Fn(&AnyRow) -> Result<T>,
) -> Result<Listed<T>> {
    let mut count = Sql::new("SELECT count(*) AS total FROM ");
    count.push(listing.from).push(" WHERE ").append(filter.conditions());
    let total = count.row(db).await?.map_or(Ok(0), |row| row.int("total"))?;
    list_counted(db, listing, filter, page, total, read).await
}

/// Lists one page as [`list`] does, of what was counted before.
pub(crate) async fn list_counted<T>(
    db: &mut Db<'_>,
    listing: &Listing,
    filter: &Filter,
    page: &Page,
    total: i64,
    read: impl Fn(&AnyRow) -> Result<T>,
) -> Result<Listed<T>> {
    let mut sql = Sql::new("SELECT ");
    sql.push(listing.select);
    for (at, key) in listing.order.iter().enumerate() {
        sql.push(&format!(", {} AS page_key_{at}", key.column()));
    }
    sql.push(" FROM ").push(listing.from).push(" WHERE ").append(filter.conditions());
    let columns = listing.order.iter().map(|key| key.column()).collect::<Vec<_>>().join(", ");
    if let Some(cursor) = &page.after {
        let keys = parse_cursor(cursor, listing)?;
        sql.push(" AND (").push(&columns).push(if listing.descending { ") < " } else { ") > " }).args(keys);
    }
    let direction = if listing.descending { " DESC" } else { "" };
    let order = listing.order.iter().map(|key| format!("{}{direction}", key.column())).collect::<Vec<_>>();
    sql.push(" ORDER BY ").push(&order.join(", ")).push(" LIMIT ").arg(page.rows() + 1);

    let mut rows = sql.rows(db).await?;
    let more = rows.len() as i64 > page.rows();
    rows.truncate(page.rows() as usize);
    let next = match rows.last() {
        Some(last) if more => Some(cursor_of(last, listing)?),
        _ => None,
    };
    let items = rows.iter().map(read).collect::<Result<Vec<T>>>()?;
    Ok(Listed { items, next, total })
}

fn cursor_of(row: &AnyRow, listing: &Listing) -> Result<String> {
    let mut values = vec![serde_json::Value::from(order_name(listing))];
    for (at, key) in listing.order.iter().enumerate() {
        let name = format!("page_key_{at}");
        values.push(match key {
            Key::Int(_) => row.int(&name)?.into(),
            Key::Text(_) => row.text(&name)?.into(),
            Key::Blob(_) => hex::encode(row.blob(&name)?).into(),
        });
    }
    Ok(hex::encode(serde_json::Value::from(values).to_string()))
}

fn parse_cursor(cursor: &str, listing: &Listing) -> Result<Vec<Arg>> {
    if cursor.len() > 8192 {
        return Err(StoreError::BadCursor);
    }
    let text = hex::decode(cursor).map_err(|_| StoreError::BadCursor)?;
    let values: Vec<serde_json::Value> = serde_json::from_slice(&text).map_err(|_| StoreError::BadCursor)?;
    let (name, keys) = values.split_first().ok_or(StoreError::BadCursor)?;
    if name.as_str() != Some(&order_name(listing)) || keys.len() != listing.order.len() {
        return Err(StoreError::BadCursor);
    }
    let keys = keys.iter().zip(listing.order).map(|(value, key)| match key {
        Key::Int(_) => value.as_i64().map(Arg::from),
        Key::Text(_) => value.as_str().map(Arg::from),
        Key::Blob(_) => value.as_str().and_then(|text| hex::decode(text).ok()).map(Arg::from),
    });
    keys.collect::<Option<Vec<_>>>().ok_or(StoreError::BadCursor)
}

/// Version and order of the list a cursor belongs to.
fn order_name(listing: &Listing) -> String {
    let columns = listing.order.iter().map(|key| key.column()).collect::<Vec<_>>().join(",");
    let table = listing.from.split_whitespace().next().unwrap_or_default();
    format!("1:{table}:{columns}:{}", listing.descending)
}

/// A model struct kept as JSON with a version beside it.
pub(crate) trait Document: Serialize + DeserializeOwned + Clone {
    /// Kind of row, for errors.
    const WHAT: &'static str;
    /// Table name.
    const TABLE: &'static str;
    /// Primary key columns; their values come first in `columns`.
    const KEY: &'static [&'static str] = &["id"];

    /// Key columns first, then the others that lists filter by.
    fn columns(&self) -> Vec<(&'static str, Arg)>;
    fn set_version(&mut self, version: i64);
}

/// Reads `doc` and `version` of a row.
pub(crate) fn read_document<T: Document>(row: &AnyRow) -> Result<T> {
    let text = row.text("doc")?;
    let mut document: T = serde_json::from_str(&text).map_err(|error| StoreError::damaged(T::WHAT, error))?;
    document.set_version(row.int("version")?);
    Ok(document)
}

pub(crate) fn to_json<T: Document>(document: &T) -> Result<String> {
    serde_json::to_string(document).map_err(|error| StoreError::Invalid { what: T::WHAT, reason: error.to_string() })
}

/// Inserts a new document with further columns beside its own.
pub(crate) async fn insert_document<T: Document>(
    db: &mut Db<'_>,
    document: &T,
    more: &[(&'static str, Arg)],
) -> Result<()> {
    let columns = [document.columns().as_slice(), more].concat();
    let mut sql = Sql::new("INSERT INTO ");
    sql.push(T::TABLE).push(" (");
    for (name, _) in &columns {
        sql.push(name).push(", ");
    }
    sql.push("doc, version) VALUES (");
    for (_, value) in &columns {
        sql.arg(value.clone()).push(", ");
    }
    sql.arg(to_json(document)?).push(", 1)");
    sql.run(db).await?;
    Ok(())
}

/// Inserts the document, or replaces it and lets its version grow. Returns the version now stored.
pub(crate) async fn put_document<T: Document>(db: &mut Db<'_>, document: &T) -> Result<i64> {
    let columns = document.columns();
    let mut sql = Sql::new("INSERT INTO ");
    sql.push(T::TABLE).push(" (");
    for (name, _) in &columns {
        sql.push(name).push(", ");
    }
    sql.push("doc, version) VALUES (");
    for (_, value) in &columns {
        sql.arg(value.clone()).push(", ");
    }
    sql.arg(to_json(document)?).push(", 1) ON CONFLICT (").push(&T::KEY.join(", ")).push(") DO UPDATE SET ");
    for (name, _) in columns.iter().skip(T::KEY.len()) {
        sql.push(name).push(" = excluded.").push(name).push(", ");
    }
    sql.push("doc = excluded.doc, version = ").push(T::TABLE).push(".version + 1 RETURNING version");
    let row = sql.row(db).await?.ok_or_else(|| not_found::<T>(document))?;
    row.int("version")
}

/// Replaces the document when its stored version is `expected`; returns it with the new version.
pub(crate) async fn update_document<T: Document>(db: &mut Db<'_>, document: &T, expected: i64) -> Result<T> {
    let columns = document.columns();
    let mut sql = Sql::new("UPDATE ");
    sql.push(T::TABLE).push(" SET ");
    for (name, value) in columns.iter().skip(T::KEY.len()) {
        sql.push(name).push(" = ").arg(value.clone()).push(", ");
    }
    sql.push("doc = ").arg(to_json(document)?).push(", version = version + 1 WHERE version = ").arg(expected);
    push_key::<T>(&mut sql, &columns);
    sql.push(" RETURNING version");
    if let Some(row) = sql.row(db).await? {
        let mut stored = document.clone();
        stored.set_version(row.int("version")?);
        return Ok(stored);
    }
    let mut sql = Sql::new("SELECT version FROM ");
    sql.push(T::TABLE).push(" WHERE 1 = 1");
    push_key::<T>(&mut sql, &columns);
    match sql.row(db).await? {
        Some(row) => {
            Err(StoreError::Conflict { what: T::WHAT, id: key_text::<T>(&columns), current: row.int("version")? })
        }
        None => Err(not_found::<T>(document)),
    }
}

/// Reads one document by its key; inside a transaction PostgreSQL locks the row.
pub(crate) async fn document<T: Document>(db: &mut Db<'_>, key: Vec<Arg>) -> Result<Option<T>> {
    let mut sql = Sql::new("SELECT doc, version FROM ");
    sql.push(T::TABLE).push(" WHERE 1 = 1");
    for (name, value) in T::KEY.iter().zip(key) {
        sql.push(" AND ").push(name).push(" = ").arg(value);
    }
    if db.backend == Backend::Postgres && db.locking {
        sql.push(" FOR UPDATE");
    }
    sql.row(db).await?.map(|row| read_document(&row)).transpose()
}

/// Reads one document by another unique column.
pub(crate) async fn document_by<T: Document>(
    db: &mut Db<'_>,
    column: &'static str,
    value: impl Into<Arg>,
) -> Result<Option<T>> {
    let mut sql = Sql::new("SELECT doc, version FROM ");
    sql.push(T::TABLE).push(" WHERE ").push(column).push(" = ").arg(value);
    sql.row(db).await?.map(|row| read_document(&row)).transpose()
}

fn push_key<T: Document>(sql: &mut Sql, columns: &[(&'static str, Arg)]) {
    for (name, value) in &columns[..T::KEY.len()] {
        sql.push(" AND ").push(name).push(" = ").arg(value.clone());
    }
}

fn key_text<T: Document>(columns: &[(&'static str, Arg)]) -> String {
    let values = columns[..T::KEY.len()].iter().map(|(_, value)| match value {
        Arg::Int(value) => value.map(|value| value.to_string()).unwrap_or_default(),
        Arg::Text(value) => value.clone().unwrap_or_default(),
        Arg::Blob(value) => hex::encode(value),
    });
    values.collect::<Vec<_>>().join("/")
}

fn not_found<T: Document>(document: &T) -> StoreError {
    StoreError::NotFound { what: T::WHAT, id: key_text::<T>(&document.columns()) }
}

fn sqlite_url(path: &Path) -> String {
    let mut url = String::from("sqlite://");
    for byte in path.to_string_lossy().bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => url.push(char::from(byte)),
            _ => url.push_str(&format!("%{byte:02X}")),
        }
    }
    url.push_str("?mode=rwc");
    url
}

fn sqlite_pool(connections: u32, read_only: bool) -> AnyPoolOptions {
    // FULL: a commit survives a power cut, not only a crash
    const PRAGMAS: &str = "PRAGMA busy_timeout = 20000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                           PRAGMA foreign_keys = ON; PRAGMA cache_size = -32768; PRAGMA temp_store = MEMORY; \
                           PRAGMA journal_size_limit = 67108864;";
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .after_connect(move |conn, _| {
            Box::pin(async move {
                sqlx::raw_sql(PRAGMAS).execute(&mut *conn).await?;
                if read_only {
                    sqlx::raw_sql("PRAGMA query_only = ON").execute(&mut *conn).await?;
                }
                Ok(())
            })
        })
}
