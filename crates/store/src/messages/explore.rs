//! Lists: messages with their copies, copies one by one, how many there are.

use super::plan::{Driver, Plan};
use super::{copies_of, hour_of, number_of_hour};
use crate::db::{Db, Listed, PAGE_LIMIT_MAX, Page};
use crate::error::{Result, StoreError};
use crate::sql::{Cells, Sql};
use hinomi_model::{MailFilter, MessageCopy};

/// Candidates looked at per step and request, newest first.
const STEPS: [i64; 4] = [400, 1_600, 6_000, 12_000];
/// Candidates looked at for counting.
pub(super) const COUNT_CANDIDATES_MAX: i64 = 10_000;
/// Copies shown with a message.
const COPIES_SHOWN: i64 = 50;

/// A number of messages or copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// How many.
    pub count: i64,
    /// False: at least so many.
    pub exact: bool,
}

/// One message of the explorer.
#[derive(Debug, Clone, PartialEq)]
pub struct ExploredMessage {
    /// Its copies in order of the recipients, at most 50, those that match the filter first.
    pub copies: Vec<MessageCopy>,
    /// How many copies it has.
    pub copy_count: i64,
}

/// A page of the explorer.
#[derive(Debug, Clone, PartialEq)]
pub struct Explored {
    /// Newest first.
    pub items: Vec<ExploredMessage>,
    /// Cursor of the next page. A page may have fewer messages than asked for, even none, and still
    /// a cursor: then the work of one request was used up and the search goes on there.
    pub next: Option<String>,
    /// How many messages match.
    pub total: Counted,
}

reads! {
    /// Lists messages that match, newest first.
    fn explore(filter: &MailFilter, page: &Page) -> Explored;
    /// Counts the messages that match.
    fn count_messages(filter: &MailFilter) -> Counted;
    /// Lists the copies that match, newest message first. The total is exact up to 10,000 messages.
    fn messages(filter: &MailFilter, page: &Page) -> Listed<MessageCopy>;
}

/// What one request found.
pub(super) struct Found {
    pub numbers: Vec<i64>,
    /// Go on before this number; none when all was seen.
    pub next: Option<i64>,
}

/// Finds the newest matches before `before`.
pub(super) async fn find(
    db: &mut Db<'_>,
    plan: &Plan,
    driver: &Driver,
    before: Option<i64>,
    limit: usize,
) -> Result<Found> {
    let mut hi = before.map_or(plan.hi, |before| before.min(plan.hi));
    let mut numbers: Vec<i64> = Vec::new();
    if matches!(driver, Driver::Nothing) {
        return Ok(Found { numbers, next: None });
    }
    for step in STEPS {
        let low = plan.low(db, driver, hi, step).await?;
        let lo = low.unwrap_or(plan.lo);
        let mut sql = Sql::new("SELECT DISTINCT d.n");
        plan.push_matches(&mut sql, driver, lo, hi);
        sql.push(" ORDER BY d.n DESC LIMIT ").arg((limit - numbers.len() + 1) as i64);
        for row in sql.rows(db).await? {
            numbers.push(row.int("n")?);
        }
        if numbers.len() > limit {
            numbers.truncate(limit);
            return Ok(Found { next: numbers.last().copied(), numbers });
        }
        if low.is_none() {
            return Ok(Found { numbers, next: None });
        }
        hi = lo;
    }
    Ok(Found { numbers, next: Some(hi) })
}

/// Counts the matches: from the hourly counts when they know, else among the newest candidates.
pub(super) async fn total(db: &mut Db<'_>, plan: &Plan, driver: &Driver) -> Result<Counted> {
    if let Some(term) = plan.counted_alone() {
        return Ok(Counted { count: count_of_term(db, plan, term).await?, exact: true });
    }
    let low = match driver {
        Driver::Terms(_, Some(count)) if *count <= COUNT_CANDIDATES_MAX => None,
        _ => plan.low(db, driver, plan.hi, COUNT_CANDIDATES_MAX).await?,
    };
    let mut sql = Sql::new("SELECT count(DISTINCT d.n) AS matches");
    plan.push_matches(&mut sql, driver, low.unwrap_or(plan.lo), plan.hi);
    let count = sql.row(db).await?.map_or(Ok(0), |row| row.int("matches"))?;
    Ok(Counted { count, exact: low.is_none() })
}

/// Postings of a counted term in the time: whole hours from the counts, the rest one by one.
async fn count_of_term(db: &mut Db<'_>, plan: &Plan, term: i64) -> Result<i64> {
    let (first, end) = plan.whole_hours();
    if first >= end {
        return postings_between(db, term, plan.lo, plan.hi).await;
    }
    let mut sql = Sql::new("SELECT CAST(coalesce(sum(count), 0) AS BIGINT) AS postings FROM mail_counts WHERE term = ");
    sql.arg(term).push(" AND hour >= ").arg(first).push(" AND hour < ").arg(end);
    let whole = sql.row(db).await?.map_or(Ok(0), |row| row.int("postings"))?;
    let before = postings_between(db, term, plan.lo, number_of_hour(first)).await?;
    let after = match plan.hi {
        i64::MAX => 0,
        hi => postings_between(db, term, number_of_hour(hour_of(hi)), hi).await?,
    };
    Ok(whole + before + after)
}

async fn postings_between(db: &mut Db<'_>, term: i64, lo: i64, hi: i64) -> Result<i64> {
    if lo >= hi {
        return Ok(0);
    }
    let mut sql = Sql::new("SELECT count(*) AS postings FROM mail_terms WHERE term = ");
    sql.arg(term).push(" AND n >= ").arg(lo).push(" AND n < ").arg(hi);
    sql.row(db).await?.map_or(Ok(0), |row| row.int("postings"))
}

async fn explore(db: &mut Db<'_>, filter: &MailFilter, page: &Page) -> Result<Explored> {
    let plan = Plan::of(db, filter).await?;
    let driver = plan.driver(db).await?;
    let before = page.after.as_deref().map(|cursor| read_cursor(cursor).map(|(n, _)| n)).transpose()?;
    let found = find(db, &plan, &driver, before, rows_of(page)).await?;
    let total = total(db, &plan, &driver).await?;
    let mut items = Vec::with_capacity(found.numbers.len());
    for n in found.numbers {
        items.push(message_of(db, &plan, filter, n).await?);
    }
    Ok(Explored { items, next: found.next.map(|n| cursor(n, "")), total })
}

/// Reads a message with the copies to show: those that match first.
pub(super) async fn message_of(db: &mut Db<'_>, plan: &Plan, filter: &MailFilter, n: i64) -> Result<ExploredMessage> {
    let row = Sql::new("SELECT copies FROM mail_messages WHERE n = $1").bind(n).row(db).await?;
    let copy_count = row.map_or(Ok(0), |row| row.int("copies"))?;
    let mut copies = copies_of(db, n, COPIES_SHOWN * 20).await?;
    copies.sort_by_key(|copy| !plan.takes(filter, copy));
    copies.truncate(COPIES_SHOWN as usize);
    Ok(ExploredMessage { copies, copy_count })
}

async fn count_messages(db: &mut Db<'_>, filter: &MailFilter) -> Result<Counted> {
    let plan = Plan::of(db, filter).await?;
    let driver = plan.driver(db).await?;
    total(db, &plan, &driver).await
}

async fn messages(db: &mut Db<'_>, filter: &MailFilter, page: &Page) -> Result<Listed<MessageCopy>> {
    let plan = Plan::of(db, filter).await?;
    let driver = plan.driver(db).await?;
    let limit = rows_of(page);
    let (after, skip) = match page.after.as_deref().map(read_cursor).transpose()? {
        // the message of the cursor itself may have more copies
        Some((n, recipient)) => (Some(n.saturating_add(1)), Some((n, recipient))),
        None => (None, None),
    };
    let found = find(db, &plan, &driver, after, limit + 1).await?;
    let mut items: Vec<MessageCopy> = Vec::new();
    let mut next = found.next.map(|n| cursor(n.saturating_sub(1), ""));
    'messages: for n in found.numbers {
        for copy in copies_of(db, n, super::COPIES_MAX).await? {
            let seen = skip.as_ref().is_some_and(|(at, to)| *at == n && copy.recipient <= *to);
            if seen || !plan.takes(filter, &copy) {
                continue;
            }
            if items.len() == limit {
                let last = items.last().map(|last| last.recipient.clone()).unwrap_or_default();
                let of_last = numbers_of(db, items.last()).await?;
                next = Some(cursor(of_last.unwrap_or(n), &last));
                break 'messages;
            }
            items.push(copy);
        }
    }
    let total = copies_total(db, &plan, &driver).await?;
    Ok(Listed { items, next, total })
}

async fn numbers_of(db: &mut Db<'_>, copy: Option<&MessageCopy>) -> Result<Option<i64>> {
    let Some(copy) = copy else { return Ok(None) };
    let row = Sql::new("SELECT n FROM mail_messages WHERE message_id = $1").bind(copy.message_id.to_string()).row(db);
    row.await?.map(|row| row.int("n")).transpose()
}

async fn copies_total(db: &mut Db<'_>, plan: &Plan, driver: &Driver) -> Result<i64> {
    let low = plan.low(db, driver, plan.hi, COUNT_CANDIDATES_MAX).await?;
    let mut sql = Sql::new("SELECT count(*) AS matches FROM mail_copies k WHERE k.n IN (SELECT d.n");
    plan.push_matches(&mut sql, driver, low.unwrap_or(plan.lo), plan.hi);
    sql.push(")");
    plan.push_copy_checks(&mut sql);
    sql.row(db).await?.map_or(Ok(0), |row| row.int("matches"))
}

fn rows_of(page: &Page) -> usize {
    if page.limit == 0 { 50 } else { page.limit.min(PAGE_LIMIT_MAX) as usize }
}

/// Version 1 of a cursor: number, recipient.
fn cursor(n: i64, recipient: &str) -> String {
    format!("m1-{n:x}-{}", hex::encode(recipient))
}

fn read_cursor(text: &str) -> Result<(i64, String)> {
    let read = || {
        let (n, recipient) = text.strip_prefix("m1-")?.split_once('-')?;
        let recipient = String::from_utf8(hex::decode(recipient).ok()?).ok()?;
        Some((i64::from_str_radix(n, 16).ok()?, recipient))
    };
    read().ok_or(StoreError::BadCursor)
}
