//! The small builder of statements every query file uses: values are always bound.

use crate::db::{Backend, Db};
use crate::error::{Result, StoreError};
use futures::TryStreamExt;
use hinomi_model::Timestamp;
use serde::Serialize;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::{Any, AssertSqlSafe, Row};

/// Longest text of a column that only serves text filters, bytes.
const SEARCH_BYTES_MAX: usize = 8 * 1024;
/// Longest value of an indexed text column, bytes (a PostgreSQL index row ends at about 2,700).
const INDEXED_BYTES_MAX: usize = 512;

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

    fn query(self, backend: Backend) -> sqlx::query::Query<'static, Any, AnyArguments> {
        let text = match backend {
            Backend::Sqlite => nameless(self.text),
            Backend::Postgres => self.text,
        };
        let mut query = sqlx::query::<Any>(AssertSqlSafe(text));
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
        Ok(self.query(db.backend).execute(&mut *db.conn).await?.rows_affected())
    }

    /// Runs the statement; returns its rows.
    pub async fn rows(self, db: &mut Db<'_>) -> Result<Vec<AnyRow>> {
        Ok(self.query(db.backend).fetch_all(&mut *db.conn).await?)
    }

    /// Runs the statement and hands over its rows as they come.
    pub async fn each(self, db: &mut Db<'_>, mut work: impl FnMut(AnyRow) -> Result<()>) -> Result<()> {
        let mut rows = self.query(db.backend).fetch(&mut *db.conn);
        while let Some(row) = rows.try_next().await? {
            work(row)?;
        }
        Ok(())
    }

    /// Runs the statement; returns its first row.
    pub async fn row(self, db: &mut Db<'_>) -> Result<Option<AnyRow>> {
        Ok(self.query(db.backend).fetch_optional(&mut *db.conn).await?)
    }
}

/// Writes `$1, $2, …` as `?, ?, …` when they come in order. SQLite takes `$1` for a name and looks every
/// name up in a list: with the thousands of values of a bulk insert that is nearly all of its time.
fn nameless(text: String) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut parts = text.split('$');
    plain.push_str(parts.next().unwrap_or_default());
    for (at, part) in parts.enumerate() {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        if part[..digits].parse() != Ok(at + 1) {
            return text;
        }
        plain.push('?');
        plain.push_str(&part[digits..]);
    }
    plain
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

    /// The conditions, as they stand after WHERE.
    pub fn conditions(&self) -> Sql {
        self.0.clone()
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

#[cfg(test)]
mod tests {
    use super::nameless;

    #[test]
    fn values_in_order_need_no_names() {
        for (text, plain) in [
            ("SELECT 1", "SELECT 1"),
            ("a = $1 AND b IN ($2, $3)", "a = ? AND b IN (?, ?)"),
            ("a = $1 OR b = $1", "a = $1 OR b = $1"),
            ("a = $2 OR b = $1", "a = $2 OR b = $1"),
            ("$1$2 $3", "?? ?"),
        ] {
            assert_eq!(nameless(text.to_owned()), plain);
        }
    }
}
