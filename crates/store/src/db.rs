//! Connections, transactions, and the small builder every query file uses.

use crate::error::{Result, StoreError};
use crate::migrate;
use futures::TryStreamExt;
use hinomi_model::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::any::{AnyArguments, AnyPoolOptions, AnyRow};
use sqlx::{Any, AnyConnection, AnyPool, AssertSqlSafe, Row};
use std::path::Path;
use std::time::Duration;

/// Most rows one page of a list has.
pub const PAGE_LIMIT_MAX: u32 = 200;
/// SQLite readers beside the one writer.
const SQLITE_READERS: u32 = 4;
const POSTGRES_CONNECTIONS: u32 = 12;
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest text of a column that only serves text filters, bytes.
const SEARCH_BYTES_MAX: usize = 8 * 1024;
/// Longest value of an indexed text column, bytes (a PostgreSQL index row ends at about 2,700).
const INDEXED_BYTES_MAX: usize = 512;

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

/// A bound value. PostgreSQL wants to know the type of a null too.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Arg {
    Int(Option<i64>),
    Text(Option<String>),
    Blob(Vec<u8>),
}

impl Arg {
    /// A text that is indexed: long ones are replaced by their hash.
    pub fn indexed(text: &str) -> Arg {
        indexed(text).into()
    }

    /// The word of an enumeration.
    pub fn word(value: impl Serialize) -> Arg {
        Arg::Text(Some(word(value)))
    }

    /// A type with a text form (ids).
    pub fn id(value: impl ToString) -> Arg {
        Arg::Text(Some(value.to_string()))
    }

    /// A type with a text form, or null.
    pub fn id_or_null(value: Option<impl ToString>) -> Arg {
        Arg::Text(value.map(|value| value.to_string()))
    }
}

/// Returns the JSON word of an enumeration value.
pub(crate) fn word(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

/// Returns `text`, or its hash when it is too long for an index.
pub(crate) fn indexed(text: &str) -> String {
    if text.len() <= INDEXED_BYTES_MAX { text.to_owned() } else { format!("sha256:{}", sha256_hex(text.as_bytes())) }
}

/// Returns the SHA-256 of `bytes` in lower-case hex.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(bytes))
}

/// Builds the text that text filters look into: lower case, one part per line.
pub(crate) fn search_text<'a>(parts: impl IntoIterator<Item = &'a str>) -> Arg {
    let mut text = String::new();
    for part in parts {
        if text.len() + part.len() > SEARCH_BYTES_MAX {
            break;
        }
        text.push_str(&part.to_lowercase());
        text.push('\n');
    }
    text.into()
}

/// PostgreSQL refuses NUL in texts; hostile names may hold it.
fn clean(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

impl From<i64> for Arg {
    fn from(value: i64) -> Self {
        Arg::Int(Some(value))
    }
}
impl From<Option<i64>> for Arg {
    fn from(value: Option<i64>) -> Self {
        Arg::Int(value)
    }
}
impl From<bool> for Arg {
    fn from(value: bool) -> Self {
        Arg::Int(Some(i64::from(value)))
    }
}
impl From<Timestamp> for Arg {
    fn from(value: Timestamp) -> Self {
        Arg::Int(Some(value.as_micros()))
    }
}
impl From<Option<Timestamp>> for Arg {
    fn from(value: Option<Timestamp>) -> Self {
        Arg::Int(value.map(Timestamp::as_micros))
    }
}
impl From<&str> for Arg {
    fn from(value: &str) -> Self {
        Arg::Text(Some(clean(value.to_owned())))
    }
}
impl From<String> for Arg {
    fn from(value: String) -> Self {
        Arg::Text(Some(clean(value)))
    }
}
impl From<&String> for Arg {
    fn from(value: &String) -> Self {
        value.as_str().into()
    }
}
impl From<Option<String>> for Arg {
    fn from(value: Option<String>) -> Self {
        Arg::Text(value.map(clean))
    }
}
impl From<Vec<u8>> for Arg {
    fn from(value: Vec<u8>) -> Self {
        Arg::Blob(value)
    }
}

/// A statement with its values. The text only ever comes from this crate; values are always bound.
#[derive(Debug, Clone)]
pub(crate) struct Sql {
    text: String,
    args: Vec<Arg>,
}

impl Sql {
    /// Starts with literal text, which may name `$1`… bound by [`Sql::bind`] in that order.
    pub fn new(text: &'static str) -> Sql {
        Sql { text: text.to_owned(), args: Vec::new() }
    }

    /// Binds the next numbered placeholder of the literal text.
    pub fn bind(mut self, value: impl Into<Arg>) -> Sql {
        self.args.push(value.into());
        self
    }

    /// Appends text of this crate.
    pub fn push(&mut self, text: &str) -> &mut Sql {
        self.text.push_str(text);
        self
    }

    /// Appends a placeholder for `value`.
    pub fn arg(&mut self, value: impl Into<Arg>) -> &mut Sql {
        self.args.push(value.into());
        self.text.push('$');
        self.text.push_str(&self.args.len().to_string());
        self
    }

    /// Appends a parenthesised list of placeholders.
    pub fn args<A: Into<Arg>>(&mut self, values: impl IntoIterator<Item = A>) -> &mut Sql {
        self.push("(");
        for (at, value) in values.into_iter().enumerate() {
            if at > 0 {
                self.push(", ");
            }
            self.arg(value);
        }
        self.push(")")
    }

    /// Appends another statement, whose values come after those that are there.
    pub fn append(&mut self, other: Sql) -> &mut Sql {
        let before = self.args.len();
        let mut parts = other.text.split('$');
        self.push(parts.next().unwrap_or_default());
        for part in parts {
            let digits = part.bytes().take_while(u8::is_ascii_digit).count();
            let number: usize = part[..digits].parse().unwrap_or_default();
            self.push(&format!("${}{}", number + before, &part[digits..]));
        }
        self.args.extend(other.args);
        self
    }

    fn query(self) -> sqlx::query::Query<'static, Any, AnyArguments> {
        let mut query = sqlx::query::<Any>(AssertSqlSafe(self.text));
        for arg in self.args {
            query = match arg {
                Arg::Int(value) => query.bind(value),
                Arg::Text(value) => query.bind(value),
                Arg::Blob(value) => query.bind(value),
            };
        }
        query
    }

    /// Runs the statement; returns the number of rows it changed.
    pub async fn run(self, db: &mut Db<'_>) -> Result<u64> {
        Ok(self.query().execute(&mut *db.conn).await?.rows_affected())
    }

    /// Runs the statement; returns its rows.
    pub async fn rows(self, db: &mut Db<'_>) -> Result<Vec<AnyRow>> {
        Ok(self.query().fetch_all(&mut *db.conn).await?)
    }

    /// Runs the statement and hands over its rows as they come.
    pub async fn each(self, db: &mut Db<'_>, mut work: impl FnMut(AnyRow) -> Result<()>) -> Result<()> {
        let mut rows = self.query().fetch(&mut *db.conn);
        while let Some(row) = rows.try_next().await? {
            work(row)?;
        }
        Ok(())
    }

    /// Runs the statement; returns its first row.
    pub async fn row(self, db: &mut Db<'_>) -> Result<Option<AnyRow>> {
        Ok(self.query().fetch_optional(&mut *db.conn).await?)
    }
}

/// Reads columns of a row.
pub(crate) trait Cells {
    fn int(&self, name: &str) -> Result<i64>;
    fn int_or_null(&self, name: &str) -> Result<Option<i64>>;
    fn text(&self, name: &str) -> Result<String>;
    fn text_or_null(&self, name: &str) -> Result<Option<String>>;
    fn blob(&self, name: &str) -> Result<Vec<u8>>;

    fn time(&self, name: &str) -> Result<Timestamp> {
        Ok(Timestamp::from_micros(self.int(name)?))
    }

    fn time_or_null(&self, name: &str) -> Result<Option<Timestamp>> {
        Ok(self.int_or_null(name)?.map(Timestamp::from_micros))
    }

    /// Reads a type with a text form.
    fn parsed<T: std::str::FromStr>(&self, name: &'static str) -> Result<T>
    where
        T::Err: std::error::Error + Send + Sync + 'static,
    {
        self.text(name)?.parse().map_err(|error| StoreError::damaged(name, error))
    }

    /// Reads a type with a text form, or null.
    fn parsed_or_null<T: std::str::FromStr>(&self, name: &'static str) -> Result<Option<T>>
    where
        T::Err: std::error::Error + Send + Sync + 'static,
    {
        let text = self.text_or_null(name)?;
        text.map(|text| text.parse().map_err(|error| StoreError::damaged(name, error))).transpose()
    }
}

impl Cells for AnyRow {
    fn int(&self, name: &str) -> Result<i64> {
        Ok(self.try_get(name)?)
    }
    fn int_or_null(&self, name: &str) -> Result<Option<i64>> {
        Ok(self.try_get(name)?)
    }
    fn text(&self, name: &str) -> Result<String> {
        Ok(self.try_get(name)?)
    }
    fn text_or_null(&self, name: &str) -> Result<Option<String>> {
        Ok(self.try_get(name)?)
    }
    fn blob(&self, name: &str) -> Result<Vec<u8>> {
        Ok(self.try_get(name)?)
    }
}

/// Conditions of a list, joined by `and`.
#[derive(Debug, Clone)]
pub(crate) struct Filter(Sql);

impl Filter {
    pub fn new() -> Filter {
        Filter(Sql::new("1 = 1"))
    }

    /// Makes `select` with these conditions; it ends before WHERE.
    pub fn select(self, select: &'static str) -> Sql {
        Sql { text: format!("{select} WHERE {}", self.0.text), args: self.0.args }
    }

    /// Adds a condition written by the caller.
    pub fn and(&mut self, text: &'static str) -> &mut Sql {
        self.0.push(" AND ").push(text)
    }

    /// `column = value`, when there is one.
    pub fn eq(&mut self, column: &'static str, value: Option<impl Into<Arg>>) -> &mut Filter {
        if let Some(value) = value {
            self.and(column).push(" = ").arg(value);
        }
        self
    }

    /// `column` is the id, when there is one.
    pub fn id(&mut self, column: &'static str, value: Option<impl ToString>) -> &mut Filter {
        self.eq(column, value.map(|value| value.to_string()))
    }

    /// `column` is one of the words; an empty list means any.
    pub fn words<W: Serialize + Copy>(&mut self, column: &'static str, words: &[W]) -> &mut Filter {
        if !words.is_empty() {
            self.and(column).push(" IN ").args(words.iter().map(|value| word(*value)));
        }
        self
    }

    /// `column` at or after `from` and before `until`.
    pub fn between(&mut self, column: &'static str, from: Option<Timestamp>, until: Option<Timestamp>) -> &mut Filter {
        if let Some(from) = from {
            self.and(column).push(" >= ").arg(from);
        }
        if let Some(until) = until {
            self.and(column).push(" < ").arg(until);
        }
        self
    }

    /// The lower-case `column` contains `text`, in any case.
    pub fn text(&mut self, column: &'static str, text: Option<&str>) -> &mut Filter {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.and(column).push(" LIKE ").arg(like(&text.to_lowercase())).push(" ESCAPE '\\'");
        }
        self
    }
}

/// Builds a LIKE pattern that finds `text` anywhere, its wildcards taken literally.
fn like(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
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
    let mut count = Sql { text: String::new(), args: filter.0.args.clone() };
    count.push("SELECT count(*) AS total FROM ").push(listing.from).push(" WHERE ").push(&filter.0.text);
    let total = count.row(db).await?.map_or(Ok(0), |row| row.int("total"))?;

    let mut sql = Sql { text: String::new(), args: filter.0.args.clone() };
    sql.push("SELECT ").push(listing.select);
    for (at, key) in listing.order.iter().enumerate() {
        sql.push(&format!(", {} AS page_key_{at}", key.column()));
    }
    sql.push(" FROM ").push(listing.from).push(" WHERE ").push(&filter.0.text);
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

fn to_json<T: Document>(document: &T) -> Result<String> {
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
