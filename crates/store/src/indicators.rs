//! Indicators: values an administrator allows or blocks.

use crate::db::{Db, Document, Key, Listed, Listing, Page, insert_document, list, read_document, update_document};
use crate::error::Result;
use crate::sql::{Arg, Cells, Filter, Sql, search_text};
use hinomi_model::{Indicator, IndicatorAction, IndicatorId, IndicatorKind, Timestamp};
use sqlx::any::AnyRow;

/// Most indicators in force.
const IN_FORCE_MAX: i64 = 1_000_000;

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
    /// Lists indicators, newest first.
    fn indicators(filter: &IndicatorFilter, page: &Page) -> Listed<Indicator>;
}

writes! {
    /// Adds an indicator; one that ended before `now` gives way.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`](crate::StoreError::Duplicate) when the value has one in force.
    fn add_indicator(indicator: &Indicator, now: Timestamp) -> ();
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
