//! Indicators: values an administrator allows or blocks.

use crate::db::{
    Db, Document, Key, Listed, Listing, Page, insert_document, list, read_document, to_json, update_document,
};
use crate::error::{Result, StoreError};
use crate::sql::{Arg, Cells, Filter, Sql, search_text};
use hinomi_model::{
    FeedRun, FeedRunId, ImportId, Indicator, IndicatorAction, IndicatorId, IndicatorImport, IndicatorKind,
    IndicatorLook, IndicatorSpec, LookId, Timestamp,
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

/// Which indicators in force a list may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replaces {
    /// None: what is known stays.
    Nothing,
    /// Those put in force by this name (a feed).
    Own(String),
    /// All.
    Everything,
}

impl Replaces {
    fn takes(&self, known: &Indicator) -> bool {
        match self {
            Replaces::Nothing => false,
            Replaces::Own(by) => known.created_by == *by,
            Replaces::Everything => true,
        }
    }
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
    /// Returns indicators in force at `now`, oldest first, at most `max`, after the one that was created
    /// then with this id.
    fn indicators_in_force_after(
        now: Timestamp,
        after: Option<(Timestamp, IndicatorId)>,
        max: i64,
    ) -> Vec<Indicator>;
    /// Returns the indicators of these values, also those that have ended.
    fn indicators_of(values: &[(IndicatorKind, String)]) -> Vec<Indicator>;
    /// Tells what [`Tx::add_indicators`] would do.
    fn compare_indicators(indicators: &[Indicator], replaces: &Replaces, now: Timestamp) -> ListChange;
    /// Returns a list that was taken in.
    fn import(id: ImportId) -> Option<IndicatorImport>;
    /// Lists the lists that were taken in, newest first.
    fn imports(page: &Page) -> Listed<IndicatorImport>;
    /// Returns indicators a list added, in order of their ids, at most `max` after this one.
    fn indicators_of_import(id: ImportId, after: Option<IndicatorId>, max: i64) -> Vec<Indicator>;
    /// Returns a look back, and what it keeps to go on.
    fn look(id: LookId) -> Option<(IndicatorLook, String)>;
    /// Lists looks back, newest first.
    fn looks(page: &Page) -> Listed<IndicatorLook>;
    /// Returns how far a feed was read.
    fn feed_state(name: &str) -> Option<String>;
    /// Returns a run of a feed.
    fn feed_run(id: FeedRunId) -> Option<FeedRun>;
    /// Returns the last run of a feed that was no dry run and has ended.
    fn last_feed_run(feed: &str) -> Option<FeedRun>;
    /// Lists runs of a feed, newest first.
    fn feed_runs(feed: &str, page: &Page) -> Listed<FeedRun>;
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
    /// unless `replaces` takes it. Tells how many were added, changed and left.
    fn add_indicators(indicators: &[Indicator], replaces: &Replaces, now: Timestamp) -> ListChange;
    /// Removes the indicators of these values that this name put in force; returns how many.
    fn delete_indicators_of(by: &str, values: &[(IndicatorKind, String)]) -> u64;
    /// Removes what a list added, at most `max` indicators at a time; returns how many.
    fn delete_imported(id: ImportId, max: i64) -> u64;
    /// Notes a list that was taken in, or what is known of it now.
    fn put_import(import: &IndicatorImport) -> ();
    /// Notes a look back and what it keeps to go on.
    fn put_look(look: &IndicatorLook, kept: &str) -> ();
    /// Notes how far a feed was read.
    fn put_feed_state(name: &str, state: &str) -> ();
    /// Notes a run of a feed.
    fn put_feed_run(run: &FeedRun) -> ();
    /// Removes runs of a feed but the newest; returns how many.
    fn prune_feed_runs(feed: &str, keep: i64) -> u64;
    /// Counts that an indicator was seen so many times, at last then; its version stays.
    fn add_indicator_hits(id: IndicatorId, hits: i64, last: Timestamp) -> ();
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

async fn indicators_in_force_after(
    db: &mut Db<'_>,
    now: Timestamp,
    after: Option<(Timestamp, IndicatorId)>,
    max: i64,
) -> Result<Vec<Indicator>> {
    let mut sql =
        Sql::new("SELECT doc, version, hits, last_hit FROM indicators WHERE (expires_at IS NULL OR expires_at > ");
    sql.arg(now).push(")");
    if let Some((at, id)) = after {
        sql.push(" AND (created_at > ").arg(at).push(" OR (created_at = ").arg(at);
        sql.push(" AND id > ").arg(Arg::id(id)).push("))");
        // the index begins here
        sql.push(" AND created_at >= ").arg(at);
    }
    sql.push(" ORDER BY created_at, id LIMIT ").arg(max);
    sql.rows(db).await?.iter().map(read).collect()
}

async fn indicators_of(db: &mut Db<'_>, values: &[(IndicatorKind, String)]) -> Result<Vec<Indicator>> {
    let mut found = Vec::new();
    for (kind, value) in values {
        found.extend(indicator_of(db, *kind, value).await?);
    }
    Ok(found)
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
    add_indicator_hits(db, id, 1, at).await
}

async fn add_indicator_hits(db: &mut Db<'_>, id: IndicatorId, hits: i64, last: Timestamp) -> Result<()> {
    Sql::new(
        "UPDATE indicators SET hits = hits + $1, last_hit = CASE WHEN last_hit > $2 THEN last_hit ELSE $3 END \
         WHERE id = $4",
    )
    .bind(hits)
    .bind(last)
    .bind(last)
    .bind(Arg::id(id))
    .run(db)
    .await?;
    Ok(())
}

async fn indicators_of_import(
    db: &mut Db<'_>,
    id: ImportId,
    after: Option<IndicatorId>,
    max: i64,
) -> Result<Vec<Indicator>> {
    let mut sql = Sql::new("SELECT doc, version, hits, last_hit FROM indicators WHERE import_id = ");
    sql.arg(Arg::id(id));
    if let Some(after) = after {
        sql.push(" AND id > ").arg(Arg::id(after));
    }
    sql.push(" ORDER BY id LIMIT ").arg(max);
    sql.rows(db).await?.iter().map(read).collect()
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
    one.action == other.action
        && one.severity == other.severity
        && one.expires_at == other.expires_at
        && one.scope == other.scope
}

async fn compare_indicators(
    db: &mut Db<'_>,
    indicators: &[Indicator],
    replaces: &Replaces,
    now: Timestamp,
) -> Result<ListChange> {
    let mut change = ListChange::default();
    for some in indicators.chunks(TOGETHER) {
        let specs: Vec<&IndicatorSpec> = some.iter().map(|indicator| &indicator.spec).collect();
        let known = known(db, &specs, now).await?;
        for spec in specs {
            match known.get(&(spec.kind.word(), spec.value.clone())) {
                None => change.added += 1,
                Some(there) if !says_the_same(&there.spec, spec) && replaces.takes(there) => change.changed += 1,
                Some(_) => change.unchanged += 1,
            }
        }
    }
    Ok(change)
}

async fn add_indicators(
    db: &mut Db<'_>,
    indicators: &[Indicator],
    replaces: &Replaces,
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
                Some(there) if !says_the_same(&there.spec, &indicator.spec) && replaces.takes(there) => {
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

async fn delete_indicators_of(db: &mut Db<'_>, by: &str, values: &[(IndicatorKind, String)]) -> Result<u64> {
    let mut removed = 0;
    for (kind, value) in values {
        if let Some(known) = indicator_of(db, *kind, value).await?
            && known.created_by == by
        {
            removed += u64::from(delete_indicator(db, known.id).await?);
        }
    }
    Ok(removed)
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

async fn put_look(db: &mut Db<'_>, look: &IndicatorLook, kept: &str) -> Result<()> {
    let doc = plain_json("look back", look)?;
    let mut sql = Sql::new("INSERT INTO indicator_looks (id, at, doc, kept) VALUES ");
    sql.args([Arg::id(look.id), Arg::from(look.at), Arg::from(doc.clone()), Arg::from(kept)]);
    sql.push(" ON CONFLICT (id) DO UPDATE SET doc = ").arg(doc).push(", kept = ").arg(kept);
    sql.run(db).await?;
    Ok(())
}

fn read_look(row: &AnyRow) -> Result<IndicatorLook> {
    serde_json::from_str(&row.text("doc")?).map_err(|error| StoreError::damaged("look back", error))
}

async fn look(db: &mut Db<'_>, id: LookId) -> Result<Option<(IndicatorLook, String)>> {
    let row = Sql::new("SELECT doc, kept FROM indicator_looks WHERE id = $1").bind(Arg::id(id)).row(db).await?;
    row.map(|row| Ok((read_look(&row)?, row.text("kept")?))).transpose()
}

async fn looks(db: &mut Db<'_>, page: &Page) -> Result<Listed<IndicatorLook>> {
    const LISTING: Listing = Listing {
        select: "doc, at, id",
        from: "indicator_looks",
        order: &[Key::Int("at"), Key::Text("id")],
        descending: true,
    };
    list(db, &LISTING, &Filter::new(), page, read_look).await
}

fn plain_json<T: serde::Serialize>(what: &'static str, value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| StoreError::Invalid { what, reason: error.to_string() })
}

async fn feed_state(db: &mut Db<'_>, name: &str) -> Result<Option<String>> {
    let row = Sql::new("SELECT doc FROM indicator_feeds WHERE name = $1").bind(name).row(db).await?;
    row.map(|row| row.text("doc")).transpose()
}

async fn put_feed_state(db: &mut Db<'_>, name: &str, state: &str) -> Result<()> {
    Sql::new("INSERT INTO indicator_feeds (name, doc) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET doc = $3")
        .bind(name)
        .bind(state)
        .bind(state)
        .run(db)
        .await?;
    Ok(())
}

fn read_run(row: &AnyRow) -> Result<FeedRun> {
    serde_json::from_str(&row.text("doc")?).map_err(|error| StoreError::damaged("run of a feed", error))
}

async fn feed_run(db: &mut Db<'_>, id: FeedRunId) -> Result<Option<FeedRun>> {
    let row = Sql::new("SELECT doc FROM indicator_feed_runs WHERE id = $1").bind(Arg::id(id)).row(db).await?;
    row.map(|row| read_run(&row)).transpose()
}

async fn last_feed_run(db: &mut Db<'_>, feed: &str) -> Result<Option<FeedRun>> {
    let runs = feed_runs(db, feed, &Page::first(50)).await?.items;
    Ok(runs.into_iter().find(|run| !run.dry_run && run.finished_at.is_some()))
}

async fn feed_runs(db: &mut Db<'_>, feed: &str, page: &Page) -> Result<Listed<FeedRun>> {
    const LISTING: Listing = Listing {
        select: "doc",
        from: "indicator_feed_runs",
        order: &[Key::Int("at"), Key::Text("id")],
        descending: true,
    };
    let mut filter = Filter::new();
    filter.and("feed = ").arg(feed);
    list(db, &LISTING, &filter, page, read_run).await
}

async fn put_feed_run(db: &mut Db<'_>, run: &FeedRun) -> Result<()> {
    let doc = plain_json("run of a feed", run)?;
    let mut sql = Sql::new("INSERT INTO indicator_feed_runs (id, feed, at, doc) VALUES ");
    sql.args([Arg::id(run.id), Arg::from(run.feed.as_str()), Arg::from(run.at), Arg::from(doc.clone())]);
    sql.push(" ON CONFLICT (id) DO UPDATE SET doc = ").arg(doc);
    sql.run(db).await?;
    Ok(())
}

async fn prune_feed_runs(db: &mut Db<'_>, feed: &str, keep: i64) -> Result<u64> {
    let mut sql = Sql::new("DELETE FROM indicator_feed_runs WHERE feed = ");
    sql.arg(feed).push(" AND id NOT IN (SELECT id FROM indicator_feed_runs WHERE feed = ").arg(feed);
    sql.push(" ORDER BY at DESC, id DESC LIMIT ").arg(keep).push(")");
    sql.run(db).await
}
