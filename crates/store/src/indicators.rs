//! Indicators: values an administrator allows or blocks.

use crate::db::{
    Db, Document, Key, Listed, Listing, Page, insert_document, list, read_document, to_json, update_document,
};
use crate::error::{Result, StoreError};
use crate::sql::{Arg, Cells, Filter, Sql, search_text};
use hinomi_model::{
    ImportId, Indicator, IndicatorAction, IndicatorId, IndicatorImport, IndicatorKind, IndicatorSpec, Timestamp,
};
use sqlx::any::AnyRow;
use std::collections::HashMap;

/// Most indicators in force.
const IN_FORCE_MAX: i64 = 1_000_000;

/// Values looked up, or written, in one statement.
const TOGETHER: usize = 400;

/// What a list of indicators changed, or would change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ListChange {
    /// Values that had no indicator in force.
    pub added: u64,
    /// Values about which the list says something else than what is in force.
    pub changed: u64,
    /// Values about which it says the same.
    pub unchanged: u64,
}

/// Which indicators to list; empty means all.
#[derive(Debug, Clone, Default)]
pub struct IndicatorFilter {
    /// One of these.
    pub kind: Vec<IndicatorKind>,
    /// One of these.
    pub action: Vec<IndicatorAction>,
    /// Text in value, note or who added it.
    pub text: Option<String>,
    /// Only those in force at this time.
    pub in_force_at: Option<Timestamp>,
}

reads! {
    /// Returns an indicator.
    fn indicator(id: IndicatorId) -> Option<Indicator>;
    /// Returns the indicator of a value.
    fn indicator_of(kind: IndicatorKind, value: &str) -> Option<Indicator>;
    /// Returns every indicator in force at `now`, oldest first.
    fn indicators_in_force(now: Timestamp) -> Vec<Indicator>;
    /// Tells what [`Tx::add_indicators`] would do.
    fn compare_indicators(indicators: &[Indicator], now: Timestamp) -> ListChange;
    /// Returns a list that was taken in.
    fn import(id: ImportId) -> Option<IndicatorImport>;
    /// Lists the lists that were taken in, newest first.
    fn imports(page: &Page) -> Listed<IndicatorImport>;
    /// Lists indicators, newest first.
    fn indicators(filter: &IndicatorFilter, page: &Page) -> Listed<Indicator>;
}

writes! {
    /// Adds an indicator; one that ended before `now` gives way.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`](crate::StoreError::Duplicate) when the value has one in force.
    fn add_indicator(indicator: &Indicator, now: Timestamp) -> ();
    /// Adds the indicators of a list: a value that has none in force at `now` gets one, another stays
    /// unless `replaces`. Tells how many were added, changed and left.
    fn add_indicators(indicators: &[Indicator], replaces: bool, now: Timestamp) -> ListChange;
    /// Removes what a list added, at most `max` indicators at a time; returns how many.
    fn delete_imported(id: ImportId, max: i64) -> u64;
    /// Notes a list that was taken in, or what is known of it now.
    fn put_import(import: &IndicatorImport) -> ();
    /// Replaces an indicator at the expected version; returns it with its new version.
    fn update_indicator(indicator: &Indicator, expected: i64) -> Indicator;
    /// Removes an indicator; false when there is none.
    fn delete_indicator(id: IndicatorId) -> bool;
    /// Counts that an indicator was seen; its version stays.
    fn count_indicator_hit(id: IndicatorId, at: Timestamp) -> ();
}

impl Document for Indicator {
    const WHAT: &'static str = "indicator";
    const TABLE: &'static str = "indicators";

    fn columns(&self) -> Vec<(&'static str, Arg)> {
        vec![
            ("id", Arg::id(self.id)),
            ("kind", Arg::word(self.spec.kind)),
            ("value", Arg::indexed(&self.spec.value)),
            ("effect", Arg::word(self.spec.action)),
            ("created_at", self.created_at.into()),
            ("expires_at", self.spec.expires_at.into()),
            ("import_id", self.import_id.map(|id| id.0.to_string()).into()),
            ("search", search_text([self.spec.value.as_str(), &self.spec.note, &self.created_by])),
        ]
    }

    fn set_version(&mut self, version: i64) {
        self.version = version;
    }
}

const COLUMNS: &str = "doc, version, hits, last_hit";

/// Hits are counted beside the document.
fn read(row: &AnyRow) -> Result<Indicator> {
    let stored: Indicator = read_document(row)?;
    Ok(Indicator { hits: row.int("hits")?, last_hit: row.time_or_null("last_hit")?, ..stored })
}

async fn indicator(db: &mut Db<'_>, id: IndicatorId) -> Result<Option<Indicator>> {
    let row =
        Sql::new("SELECT doc, version, hits, last_hit FROM indicators WHERE id = $1").bind(Arg::id(id)).row(db).await?;
    row.map(|row| read(&row)).transpose()
}

async fn indicator_of(db: &mut Db<'_>, kind: IndicatorKind, value: &str) -> Result<Option<Indicator>> {
    let row = Sql::new("SELECT doc, version, hits, last_hit FROM indicators WHERE kind = $1 AND value = $2")
        .bind(Arg::word(kind))
        .bind(Arg::indexed(value))
        .row(db)
        .await?;
    row.map(|row| read(&row)).transpose()
}

async fn indicators_in_force(db: &mut Db<'_>, now: Timestamp) -> Result<Vec<Indicator>> {
    let rows = Sql::new(
        "SELECT doc, version, hits, last_hit FROM indicators WHERE expires_at IS NULL OR expires_at > $1 \
         ORDER BY created_at, id LIMIT $2",
    )
    .bind(now)
    .bind(IN_FORCE_MAX)
    .rows(db)
    .await?;
    rows.iter().map(read).collect()
}

async fn indicators(db: &mut Db<'_>, wanted: &IndicatorFilter, page: &Page) -> Result<Listed<Indicator>> {
    const LISTING: Listing = Listing {
        select: COLUMNS,
        from: "indicators",
        order: &[Key::Int("created_at"), Key::Text("id")],
        descending: true,
    };
    let mut filter = Filter::new();
    filter.words("kind", &wanted.kind).words("effect", &wanted.action).text("search", wanted.text.as_deref());
    if let Some(at) = wanted.in_force_at {
        filter.and("(expires_at IS NULL OR expires_at > ").arg(at).push(")");
    }
    list(db, &LISTING, &filter, page, read).await
}

async fn add_indicator(db: &mut Db<'_>, indicator: &Indicator, now: Timestamp) -> Result<()> {
    Sql::new("DELETE FROM indicators WHERE kind = $1 AND value = $2 AND expires_at <= $3")
        .bind(Arg::word(indicator.spec.kind))
        .bind(Arg::indexed(&indicator.spec.value))
        .bind(now)
        .run(db)
        .await?;
    let hits = [("hits", Arg::from(indicator.hits)), ("last_hit", Arg::from(indicator.last_hit))];
    insert_document(db, indicator, &hits).await
}

async fn update_indicator(db: &mut Db<'_>, indicator: &Indicator, expected: i64) -> Result<Indicator> {
    update_document(db, indicator, expected).await
}

async fn delete_indicator(db: &mut Db<'_>, id: IndicatorId) -> Result<bool> {
    Ok(Sql::new("DELETE FROM indicators WHERE id = $1").bind(Arg::id(id)).run(db).await? > 0)
}

async fn count_indicator_hit(db: &mut Db<'_>, id: IndicatorId, at: Timestamp) -> Result<()> {
    Sql::new(
        "UPDATE indicators SET hits = hits + 1, last_hit = CASE WHEN last_hit > $1 THEN last_hit ELSE $2 END \
         WHERE id = $3",
    )
    .bind(at)
    .bind(at)
    .bind(Arg::id(id))
    .run(db)
    .await?;
    Ok(())
}

/// Indicators in force of these values.
async fn known(
    db: &mut Db<'_>,
    specs: &[&IndicatorSpec],
    now: Timestamp,
) -> Result<HashMap<(String, String), Indicator>> {
    let mut known = HashMap::new();
    let mut kinds: Vec<IndicatorKind> = specs.iter().map(|spec| spec.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    for kind in kinds {
        let values = specs.iter().filter(|spec| spec.kind == kind).map(|spec| Arg::indexed(&spec.value));
        let mut sql = Sql::new("SELECT doc, version, hits, last_hit FROM indicators WHERE kind = ");
        sql.arg(Arg::word(kind)).push(" AND (expires_at IS NULL OR expires_at > ").arg(now).push(") AND value IN ");
        sql.args(values);
        for row in sql.rows(db).await? {
            let found = read(&row)?;
            known.insert((found.spec.kind.word(), found.spec.value.clone()), found);
        }
    }
    Ok(known)
}

fn says_the_same(one: &IndicatorSpec, other: &IndicatorSpec) -> bool {
    one.action == other.action && one.severity == other.severity && one.expires_at == other.expires_at
}

async fn compare_indicators(db: &mut Db<'_>, indicators: &[Indicator], now: Timestamp) -> Result<ListChange> {
    let mut change = ListChange::default();
    for some in indicators.chunks(TOGETHER) {
        let specs: Vec<&IndicatorSpec> = some.iter().map(|indicator| &indicator.spec).collect();
        let known = known(db, &specs, now).await?;
        for spec in specs {
            match known.get(&(spec.kind.word(), spec.value.clone())) {
                None => change.added += 1,
                Some(there) if says_the_same(&there.spec, spec) => change.unchanged += 1,
                Some(_) => change.changed += 1,
            }
        }
    }
    Ok(change)
}

async fn add_indicators(
    db: &mut Db<'_>,
    indicators: &[Indicator],
    replaces: bool,
    now: Timestamp,
) -> Result<ListChange> {
    let mut change = ListChange::default();
    for some in indicators.chunks(TOGETHER) {
        let specs: Vec<&IndicatorSpec> = some.iter().map(|indicator| &indicator.spec).collect();
        let known = known(db, &specs, now).await?;
        let mut new = Vec::new();
        for indicator in some {
            match known.get(&(indicator.spec.kind.word(), indicator.spec.value.clone())) {
                None => new.push(indicator),
                Some(there) if !says_the_same(&there.spec, &indicator.spec) && replaces => {
                    let said = Indicator { spec: indicator.spec.clone(), ..there.clone() };
                    update_indicator(db, &said, there.version).await?;
                    change.changed += 1;
                }
                Some(_) => change.unchanged += 1,
            }
        }
        change.added += new.len() as u64;
        insert_all(db, &new, now).await?;
    }
    Ok(change)
}

/// Adds indicators whose values have none in force; one that ended gives way.
async fn insert_all(db: &mut Db<'_>, new: &[&Indicator], now: Timestamp) -> Result<()> {
    let Some(first) = new.first() else { return Ok(()) };
    let mut kinds: Vec<IndicatorKind> = new.iter().map(|indicator| indicator.spec.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    for kind in kinds {
        let own = new.iter().filter(|indicator| indicator.spec.kind == kind);
        let mut sql = Sql::new("DELETE FROM indicators WHERE kind = ");
        sql.arg(Arg::word(kind)).push(" AND expires_at <= ").arg(now).push(" AND value IN ");
        sql.args(own.map(|indicator| Arg::indexed(&indicator.spec.value)));
        sql.run(db).await?;
    }
    let names: Vec<&str> = first.columns().into_iter().map(|(name, _)| name).collect();
    let mut sql = Sql::new("INSERT INTO indicators (");
    sql.push(&names.join(", ")).push(", version, doc) VALUES ");
    for (at, indicator) in new.iter().enumerate() {
        sql.push(if at == 0 { "" } else { ", " });
        let mut cells: Vec<Arg> = indicator.columns().into_iter().map(|(_, arg)| arg).collect();
        cells.extend([Arg::from(indicator.version), Arg::from(to_json(*indicator)?)]);
        sql.args(cells);
    }
    sql.run(db).await?;
    Ok(())
}

async fn delete_imported(db: &mut Db<'_>, id: ImportId, max: i64) -> Result<u64> {
    Sql::new("DELETE FROM indicators WHERE id IN (SELECT id FROM indicators WHERE import_id = $1 LIMIT $2)")
        .bind(Arg::id(id))
        .bind(max)
        .run(db)
        .await
}

async fn put_import(db: &mut Db<'_>, import: &IndicatorImport) -> Result<()> {
    let doc = serde_json::to_string(import).map_err(|error| StoreError::damaged("list of indicators", error))?;
    Sql::new("INSERT INTO indicator_imports (id, at, doc) VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE SET doc = $4")
        .bind(Arg::id(import.id))
        .bind(import.at)
        .bind(doc.clone())
        .bind(doc)
        .run(db)
        .await?;
    Ok(())
}

fn read_import(row: &AnyRow) -> Result<IndicatorImport> {
    serde_json::from_str(&row.text("doc")?).map_err(|error| StoreError::damaged("list of indicators", error))
}

async fn import(db: &mut Db<'_>, id: ImportId) -> Result<Option<IndicatorImport>> {
    let row = Sql::new("SELECT doc FROM indicator_imports WHERE id = $1").bind(Arg::id(id)).row(db).await?;
    row.map(|row| read_import(&row)).transpose()
}

async fn imports(db: &mut Db<'_>, page: &Page) -> Result<Listed<IndicatorImport>> {
    const LISTING: Listing = Listing {
        select: "doc",
        from: "indicator_imports",
        order: &[Key::Int("at"), Key::Text("id")],
        descending: true,
    };
    list(db, &LISTING, &Filter::new(), page, read_import).await
}
