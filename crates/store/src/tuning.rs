//! Tuning rules, what they were for, and how the alerts of detection rules were classified.

use crate::db::{Db, Document, insert_document, read_document, update_document};
use crate::demos::within;
use crate::error::Result;
use crate::sql::{Arg, Cells, Filter, Sql};
use hinomi_model::{RuleQuality, Text, Timestamp, TuningId, TuningRule};
use sqlx::any::AnyRow;

/// Most tuning rules read at once.
const RULES_MAX: i64 = 5_000;
/// Most detection rules told with how their alerts were classified.
const QUALITY_MAX: i64 = 1_000;

reads! {
    /// Returns the tuning rules, oldest first, at most 5,000.
    fn tuning_rules() -> Vec<TuningRule>;
    /// Returns a tuning rule.
    fn tuning_rule(id: TuningId) -> Option<TuningRule>;
    /// Counts by detection rule how the alerts made since then were classified, those with most alerts
    /// first. Demos are left out.
    fn rule_quality(since: Timestamp) -> Vec<RuleQuality>;
}

writes! {
    /// Adds a tuning rule.
    fn add_tuning_rule(rule: &TuningRule) -> ();
    /// Replaces a tuning rule at the expected version; what was counted stays. Returns it as it is now.
    fn update_tuning_rule(rule: &TuningRule, expected: i64) -> TuningRule;
    /// Removes a tuning rule; false when there is none.
    fn delete_tuning_rule(id: TuningId) -> bool;
    /// Counts a firing a rule was for.
    fn count_tuning_hit(id: TuningId, at: Timestamp) -> ();
}

impl Document for TuningRule {
    const WHAT: &'static str = "tuning rule";
    const TABLE: &'static str = "tuning_rules";

    fn columns(&self) -> Vec<(&'static str, Arg)> {
        vec![("id", Arg::id(self.id))]
    }

    fn set_version(&mut self, version: i64) {
        self.version = version;
    }
}

fn read(row: &AnyRow) -> Result<TuningRule> {
    let rule: TuningRule = read_document(row)?;
    Ok(TuningRule { hits: row.int("hits")?, last_hit: row.time_or_null("last_hit")?, ..rule })
}

async fn tuning_rules(db: &mut Db<'_>) -> Result<Vec<TuningRule>> {
    let sql = Sql::new("SELECT doc, version, hits, last_hit FROM tuning_rules ORDER BY id LIMIT $1").bind(RULES_MAX);
    sql.rows(db).await?.iter().map(read).collect()
}

async fn tuning_rule(db: &mut Db<'_>, id: TuningId) -> Result<Option<TuningRule>> {
    let sql = Sql::new("SELECT doc, version, hits, last_hit FROM tuning_rules WHERE id = $1").bind(Arg::id(id));
    sql.row(db).await?.map(|row| read(&row)).transpose()
}

async fn add_tuning_rule(db: &mut Db<'_>, rule: &TuningRule) -> Result<()> {
    insert_document(db, rule, &[]).await
}

async fn update_tuning_rule(db: &mut Db<'_>, rule: &TuningRule, expected: i64) -> Result<TuningRule> {
    let stored = update_document(db, rule, expected).await?;
    Ok(tuning_rule(db, rule.id).await?.unwrap_or(stored))
}

async fn delete_tuning_rule(db: &mut Db<'_>, id: TuningId) -> Result<bool> {
    Ok(Sql::new("DELETE FROM tuning_rules WHERE id = $1").bind(Arg::id(id)).run(db).await? > 0)
}

async fn count_tuning_hit(db: &mut Db<'_>, id: TuningId, at: Timestamp) -> Result<()> {
    Sql::new(
        "UPDATE tuning_rules SET hits = hits + 1, last_hit = CASE WHEN last_hit > $1 THEN last_hit ELSE $2 END \
         WHERE id = $3",
    )
    .bind(at)
    .bind(at)
    .bind(Arg::id(id))
    .run(db)
    .await?;
    Ok(())
}

async fn rule_quality(db: &mut Db<'_>, since: Timestamp) -> Result<Vec<RuleQuality>> {
    let mut filter = Filter::new();
    filter.between("created_at", Some(since), None);
    within(&mut filter, "id", None);
    let mut sql = filter.select(
        "SELECT rule_id, count(*) AS total, count(CASE WHEN tuned IN ('hide', 'resolve') THEN 1 END) AS quiet, \
         count(CASE WHEN tuned NOT IN ('hide', 'resolve') AND classification = 'truePositive' THEN 1 END) AS bad, \
         count(CASE WHEN tuned NOT IN ('hide', 'resolve') AND classification = 'informationalExpectedActivity' \
         THEN 1 END) AS expected, \
         count(CASE WHEN tuned NOT IN ('hide', 'resolve') AND classification = 'falsePositive' THEN 1 END) AS wrong, \
         max(created_at) AS last_alert, max(id) AS newest FROM alerts",
    );
    sql.push(" GROUP BY rule_id ORDER BY total DESC, rule_id LIMIT ").arg(QUALITY_MAX);
    let mut found = Vec::new();
    for row in sql.rows(db).await? {
        let [alerts, tuned, true_positive, expected, false_positive] =
            [row.int("total")?, row.int("quiet")?, row.int("bad")?, row.int("expected")?, row.int("wrong")?];
        let classified = true_positive + expected + false_positive;
        let newest = Sql::new("SELECT doc, version FROM alerts WHERE id = $1").bind(row.text("newest")?);
        let newest: Option<hinomi_model::Alert> = newest.row(db).await?.map(|row| read_document(&row)).transpose()?;
        found.push(RuleQuality {
            rule_id: row.text("rule_id")?,
            title: newest.map_or_else(Text::default, |alert| alert.title),
            alerts,
            tuned,
            true_positive,
            expected,
            false_positive,
            unclassified: alerts - tuned - classified,
            false_positive_share: (classified > 0).then(|| false_positive as f64 / classified as f64),
            last_alert: row.time("last_alert")?,
        });
    }
    Ok(found)
}
