//! Groups and counts over time.

use super::explore::{COUNT_CANDIDATES_MAX, Counted, ExploredMessage, find, message_of, total};
use super::plan::{Driver, Plan};
use super::terms::term;
use super::{campaign_id, copies_of, micros_of, number_of_hour};
use crate::db::Db;
use crate::error::Result;
use crate::sql::{Cells, Sql};
use hinomi_model::{
    DeliveryAction, DeliveryLocation, MailDirection, MailField, MailFilter, MailSource, ThreatType, Timestamp, Verdict,
};
use std::collections::{BTreeMap, HashMap};

/// Newest candidates put into groups. Each is a row of its own place on the disk: among ten million copies
/// 5,000 of them took up to 280 ms (p95, SQLite).
const GROUP_CANDIDATES_MAX: i64 = 2_500;
/// Most groups returned.
const GROUPS_MAX: u32 = 100;
/// Newest matches whose documents are read for the most frequent values.
const DOCUMENTS_MAX: usize = 500;
/// Most frequent values returned.
const VALUES_MAX: usize = 20;
/// Most buckets of a count over time.
const BUCKETS_MAX: i64 = 200;

/// By what messages are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupBy {
    /// Campaign.
    Campaign,
    /// Subject, numbers aside.
    Subject,
    /// Body, as its fingerprint says.
    Body,
    /// Sender.
    Sender,
    /// All URLs, queries aside.
    Urls,
    /// All attachments.
    Attachments,
}

impl GroupBy {
    fn column(self) -> &'static str {
        match self {
            GroupBy::Campaign => "campaign",
            GroupBy::Subject => "subject_key",
            GroupBy::Body => "body_key",
            GroupBy::Sender => "sender_key",
            GroupBy::Urls => "url_key",
            GroupBy::Attachments => "file_key",
        }
    }
}

/// Messages alike.
#[derive(Debug, Clone, PartialEq)]
pub struct MailGroup {
    /// Same for the same group, whatever the filter.
    pub key: String,
    /// Messages of it that match.
    pub messages: i64,
    /// Their copies.
    pub copies: i64,
    /// Oldest of them.
    pub first: Timestamp,
    /// Newest of them.
    pub last: Timestamp,
    /// The newest one.
    pub sample: ExploredMessage,
}

/// The largest groups.
#[derive(Debug, Clone, PartialEq)]
pub struct MailGroups {
    /// Largest first.
    pub items: Vec<MailGroup>,
    /// Messages that have nothing to be grouped by.
    pub alone: i64,
    /// When there were too many candidates: only messages from here on are grouped.
    pub since: Option<Timestamp>,
}

/// By what counts are split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pivot {
    /// One of the enumerations.
    Word(MailField),
    /// Domain of the sender: most frequent values.
    SenderDomain,
    /// Address that handed the mail in: most frequent values.
    SenderIp,
    /// Registrable domain of a URL: most frequent values.
    UrlDomain,
    /// Recipient: most frequent values.
    Recipient,
}

/// Counts of one span of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its beginning.
    pub start: Timestamp,
    /// Messages in it.
    pub total: i64,
    /// Messages per value of the pivot, only of enumerations. A message with copies at several
    /// locations counts for each.
    pub values: BTreeMap<String, i64>,
}

/// Counts over time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailCounts {
    /// Length of a bucket in hours.
    pub bucket_hours: i64,
    /// Oldest first; spans without messages are left out.
    pub buckets: Vec<Bucket>,
    /// All of them.
    pub total: Counted,
    /// Messages per value of the pivot, most frequent first.
    pub values: Vec<(String, i64)>,
    /// When there were too many candidates: counts and values begin here.
    pub since: Option<Timestamp>,
}

reads! {
    /// Groups the matching messages; the largest groups first.
    fn mail_groups(filter: &MailFilter, by: GroupBy, limit: u32) -> MailGroups;
    /// Counts the matching messages over time.
    fn mail_counts(filter: &MailFilter, pivot: Pivot) -> MailCounts;
}

async fn mail_groups(db: &mut Db<'_>, filter: &MailFilter, by: GroupBy, limit: u32) -> Result<MailGroups> {
    let plan = Plan::of(db, filter).await?;
    let driver = plan.driver(db).await?;
    let low = plan.low(db, &driver, plan.hi, GROUP_CANDIDATES_MAX).await?;
    let mut sql = Sql::new("SELECT m.");
    sql.push(by.column()).push(" AS group_key, count(*) AS messages, CAST(sum(m.copies) AS BIGINT) AS copies, ");
    sql.push("min(m.n) AS oldest, max(m.n) AS newest FROM mail_messages m WHERE m.n IN (SELECT d.n");
    plan.push_matches(&mut sql, &driver, low.unwrap_or(plan.lo), plan.hi);
    sql.push(") GROUP BY m.").push(by.column()).push(" ORDER BY count(*) DESC, max(m.n) DESC LIMIT ");
    sql.arg(i64::from(limit.clamp(1, GROUPS_MAX)) + 1);
    let mut groups = MailGroups { items: Vec::new(), alone: 0, since: low.map(time_of) };
    for row in sql.rows(db).await? {
        let (key, newest) = (row.int("group_key")?, row.int("newest")?);
        if key == 0 {
            groups.alone = row.int("messages")?;
            continue;
        }
        groups.items.push(MailGroup {
            key: campaign_id(key),
            messages: row.int("messages")?,
            copies: row.int("copies")?,
            first: time_of(row.int("oldest")?),
            last: time_of(newest),
            sample: message_of(db, &plan, filter, newest).await?,
        });
    }
    groups.items.truncate(limit.clamp(1, GROUPS_MAX) as usize);
    Ok(groups)
}

fn time_of(n: i64) -> Timestamp {
    Timestamp::from_micros(micros_of(n))
}

async fn mail_counts(db: &mut Db<'_>, filter: &MailFilter, pivot: Pivot) -> Result<MailCounts> {
    let plan = Plan::of(db, filter).await?;
    let driver = plan.driver(db).await?;
    let total = total(db, &plan, &driver).await?;
    let stored = plan.counted_alone();
    let low = match stored {
        Some(_) => None,
        None => plan.low(db, &driver, plan.hi, COUNT_CANDIDATES_MAX).await?,
    };
    let hours = bucket_hours(db, &plan, low).await?;
    let mut buckets: BTreeMap<i64, Bucket> = BTreeMap::new();
    for (at, count) in over_time(db, &plan, &driver, stored, low, hours).await? {
        let start = time_of(number_of_hour(at * hours));
        buckets.insert(at, Bucket { start, total: count, values: BTreeMap::new() });
    }
    let mut values: HashMap<String, i64> = HashMap::new();
    match pivot {
        Pivot::Word(field) => {
            let everything = stored == Some(super::terms::every_message());
            for word in words_of(field) {
                let own = term(field.name(), &word);
                let narrowed = plan.and_term(own);
                let of_word = over_time(db, &narrowed, &driver, everything.then_some(own), low, hours).await?;
                for (at, count) in of_word {
                    *values.entry(word.clone()).or_default() += count;
                    if let Some(bucket) = buckets.get_mut(&at) {
                        bucket.values.insert(word.clone(), count);
                    }
                }
            }
        }
        _ => values = frequent(db, &plan, &driver, pivot).await?,
    }
    let mut values: Vec<(String, i64)> = values.into_iter().filter(|(_, count)| *count > 0).collect();
    values.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    values.truncate(VALUES_MAX);
    let buckets = buckets.into_values().filter(|bucket| bucket.total > 0).collect();
    Ok(MailCounts { bucket_hours: hours, buckets, total, values, since: low.map(time_of) })
}

/// Hour, six hours, day, week or more, so that there are not too many.
async fn bucket_hours(db: &mut Db<'_>, plan: &Plan, low: Option<i64>) -> Result<i64> {
    let oldest = Sql::new("SELECT min(n) AS n FROM mail_messages").row(db).await?;
    let newest = Sql::new("SELECT max(n) AS n FROM mail_messages").row(db).await?;
    let end = |row: Option<sqlx::any::AnyRow>| row.map_or(Ok(None), |row| row.int_or_null("n"));
    let lo = low.unwrap_or(plan.lo).max(end(oldest)?.unwrap_or(0));
    let hi = plan.hi.min(end(newest)?.unwrap_or(0));
    let hours = (super::hour_of(hi) - super::hour_of(lo)).max(0) + 1;
    let fits = |length: &i64| hours / length < BUCKETS_MAX;
    Ok([1, 6, 24, 168].into_iter().find(fits).unwrap_or_else(|| 168 * (hours / 168 / BUCKETS_MAX + 1)))
}

/// `(bucket, messages)`, oldest first.
async fn over_time(
    db: &mut Db<'_>,
    plan: &Plan,
    driver: &Driver,
    stored: Option<i64>,
    low: Option<i64>,
    hours: i64,
) -> Result<Vec<(i64, i64)>> {
    let mut sql = Sql::new("SELECT bucket, CAST(sum(times) AS BIGINT) AS matches FROM (");
    match stored {
        // the hours at both ends count whole
        Some(term) => {
            sql.push("SELECT hour / ").arg(hours).push(" AS bucket, count AS times FROM mail_counts WHERE term = ");
            sql.arg(term).push(" AND hour >= ").arg(super::hour_of(plan.lo));
            sql.push(" AND hour <= ").arg(super::hour_of(plan.hi));
        }
        None => {
            sql.push("SELECT d.n / ").arg(number_of_hour(hours)).push(" AS bucket, 1 AS times");
            plan.push_matches(&mut sql, driver, low.unwrap_or(plan.lo), plan.hi);
        }
    }
    sql.push(") spans GROUP BY bucket ORDER BY bucket");
    let rows = sql.rows(db).await?;
    rows.iter().map(|row| Ok((row.int("bucket")?, row.int("matches")?))).collect()
}

fn words_of(field: MailField) -> Vec<String> {
    fn all<T: Copy>(values: &[T], word: impl Fn(T) -> String) -> Vec<String> {
        values.iter().map(|value| word(*value)).collect()
    }
    match field {
        MailField::Direction => all(MailDirection::ALL, MailDirection::word),
        MailField::Source => all(MailSource::ALL, MailSource::word),
        MailField::DeliveryAction => all(DeliveryAction::ALL, DeliveryAction::word),
        MailField::OriginalLocation | MailField::Location => all(DeliveryLocation::ALL, DeliveryLocation::word),
        MailField::Verdict => all(Verdict::ALL, Verdict::word),
        MailField::Threat => all(ThreatType::ALL, ThreatType::word),
        MailField::Spf | MailField::Dkim | MailField::Dmarc => {
            let words = ["pass", "fail", "softfail", "neutral", "none", "temperror", "permerror"];
            words.into_iter().map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

/// Values of the newest matches.
async fn frequent(db: &mut Db<'_>, plan: &Plan, driver: &Driver, pivot: Pivot) -> Result<HashMap<String, i64>> {
    let mut counts: HashMap<String, i64> = HashMap::new();
    for n in find(db, plan, driver, None, DOCUMENTS_MAX).await?.numbers {
        let most = if pivot == Pivot::Recipient { 1_000 } else { 1 };
        for copy in copies_of(db, n, most).await? {
            let values = match pivot {
                Pivot::SenderDomain => vec![super::terms::domain_of(&copy.sender_from).to_owned()],
                Pivot::SenderIp => vec![copy.sender_ip],
                Pivot::UrlDomain => copy.url_domains,
                Pivot::Recipient => vec![copy.recipient],
                Pivot::Word(_) => Vec::new(),
            };
            for value in values.into_iter().filter(|value| !value.is_empty()) {
                *counts.entry(value).or_default() += 1;
            }
        }
    }
    Ok(counts)
}
