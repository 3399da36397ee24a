//! Messages: one row per message, one per copy (message and recipient), and what finds them.
//!
//! Outside this module a [`MessageCopy`] is one flat thing. Here the part that is the same for every
//! recipient is kept once, and everything a filter asks for is a posting of a term (see `terms`).

mod campaign;
mod explore;
mod groups;
mod load;
mod plan;
mod related;
mod terms;
mod verdicts;

pub use explore::{Counted, Explored, ExploredMessage};
pub use groups::{Bucket, GroupBy, MailCounts, MailGroup, MailGroups, Pivot};
pub use verdicts::MailVerdictRow;

use crate::db::{Backend, Db};
use crate::error::{Result, StoreError};
use crate::sql::{Arg, Cells, Sql};
use hinomi_model::{MailField, MessageCopy, MessageId, Timestamp};
use sqlx::any::AnyRow;
use std::collections::BTreeSet;
use terms::Terms;

pub(crate) use terms::term;

/// Longest recipient, bytes: an address has at most 254.
const RECIPIENT_BYTES_MAX: usize = 1000;
/// Most copies returned of one message.
const COPIES_MAX: i64 = 100_000;
/// Rows per statement.
const CHUNK: usize = 100;
/// Bits of a message's number that tell messages of one millisecond apart.
const OWN_BITS: u32 = 20;
/// Messages of one millisecond tried before giving up.
const NUMBER_TRIES: i64 = 64;

reads! {
    /// Returns one copy of a message.
    fn message(id: MessageId, recipient: &str) -> Option<MessageCopy>;
    /// Returns every copy of a message, in order of the recipients.
    fn message_copies(id: MessageId) -> Vec<MessageCopy>;
    /// Returns what all copies of a message have in common, without a recipient.
    fn message_shared(id: MessageId) -> Option<MessageCopy>;
    /// Returns messages received at or after `from` and before `to`, oldest first, each with its copies
    /// and its number, at most `max` and none up to the number `after`.
    fn messages_between(
        from: Timestamp,
        to: Timestamp,
        after: Option<i64>,
        max: i64,
    ) -> Vec<(i64, Vec<MessageCopy>)>;
}

writes! {
    /// Inserts or replaces a copy of a message; returns the version now stored.
    fn put_message(copy: &MessageCopy) -> i64;
    /// Replaces a copy at the expected version; returns it with its new version.
    fn update_message(copy: &MessageCopy, expected: i64) -> MessageCopy;
}

/// First number of a moment: every message of that millisecond has this or a greater one.
pub(crate) fn number_at(at: Timestamp) -> i64 {
    at.as_micros().div_euclid(1000).clamp(0, 1 << 42) << OWN_BITS
}

/// The columns of a copy, with the message's document.
const COPY_COLUMNS: &str = "m.n, m.doc, m.campaign, c.recipient, c.delivery_action, c.delivery_location, \
                            c.latest_location, c.folder, c.moved_by, c.moved_at, m.version + c.version - 1 AS version";

fn document_of(row: &AnyRow) -> Result<MessageCopy> {
    let mut copy: MessageCopy =
        serde_json::from_str(&row.text("doc")?).map_err(|error| StoreError::damaged("message", error))?;
    copy.campaign = campaign_id(row.int("campaign")?);
    Ok(copy)
}

/// A copy: what all have in common, and the columns of its own.
fn with_own(mut copy: MessageCopy, row: &AnyRow) -> Result<MessageCopy> {
    let word = |name| -> Result<_> { row.text(name)?.parse().map_err(|error| StoreError::damaged(name, error)) };
    copy.recipient = row.text("recipient")?;
    copy.delivery_action =
        row.text("delivery_action")?.parse().map_err(|error| StoreError::damaged("delivery_action", error))?;
    copy.delivery_location = word("delivery_location")?;
    copy.latest_location = word("latest_location")?;
    copy.folder = row.text_or_null("folder")?;
    copy.moved_by = row.text_or_null("moved_by")?;
    copy.moved_at = row.time_or_null("moved_at")?;
    copy.version = row.int("version")?;
    Ok(copy)
}

pub(super) fn campaign_id(number: i64) -> String {
    format!("{number:x}")
}

async fn message(db: &mut Db<'_>, id: MessageId, recipient: &str) -> Result<Option<MessageCopy>> {
    let mut sql = Sql::new("SELECT ");
    sql.push(COPY_COLUMNS).push(" FROM mail_messages m JOIN mail_copies c ON c.n = m.n WHERE m.message_id = ");
    sql.arg(Arg::id(id)).push(" AND c.recipient = ").arg(recipient);
    if db.backend == Backend::Postgres && db.locking {
        sql.push(" FOR UPDATE");
    }
    sql.row(db).await?.map(|row| with_own(document_of(&row)?, &row)).transpose()
}

async fn message_copies(db: &mut Db<'_>, id: MessageId) -> Result<Vec<MessageCopy>> {
    let known = Sql::new("SELECT n FROM mail_messages WHERE message_id = $1").bind(Arg::id(id)).row(db).await?;
    match known {
        Some(row) => copies_of(db, row.int("n")?, COPIES_MAX).await,
        None => Ok(Vec::new()),
    }
}

async fn message_shared(db: &mut Db<'_>, id: MessageId) -> Result<Option<MessageCopy>> {
    let row =
        Sql::new("SELECT doc, campaign FROM mail_messages WHERE message_id = $1").bind(Arg::id(id)).row(db).await?;
    row.map(|row| document_of(&row)).transpose()
}

async fn messages_between(
    db: &mut Db<'_>,
    from: Timestamp,
    to: Timestamp,
    after: Option<i64>,
    max: i64,
) -> Result<Vec<(i64, Vec<MessageCopy>)>> {
    let begin = after.map_or(number_at(from), |after| after.saturating_add(1).max(number_at(from)));
    let mut sql = Sql::new("SELECT n FROM mail_messages WHERE n >= ");
    sql.arg(begin).push(" AND n < ").arg(number_at(to)).push(" ORDER BY n LIMIT ").arg(max);
    let mut messages = Vec::new();
    for row in sql.rows(db).await? {
        let n = row.int("n")?;
        messages.push((n, copies_of(db, n, COPIES_MAX).await?));
    }
    Ok(messages)
}

/// Reads the copies of a message by its number, in order of the recipients.
pub(super) async fn copies_of(db: &mut Db<'_>, n: i64, max: i64) -> Result<Vec<MessageCopy>> {
    let mut sql = Sql::new("SELECT n, doc, campaign, version FROM mail_messages WHERE n = ");
    sql.arg(n);
    let Some(row) = sql.row(db).await? else { return Ok(Vec::new()) };
    let (shared, version) = (document_of(&row)?, row.int("version")?);
    let mut sql = Sql::new("SELECT c.recipient, c.delivery_action, c.delivery_location, c.latest_location, c.folder, ");
    sql.push("c.moved_by, c.moved_at, c.version + ").arg(version - 1);
    sql.push(" AS version FROM mail_copies c WHERE c.n = ").arg(n).push(" ORDER BY c.recipient LIMIT ").arg(max);
    sql.rows(db).await?.iter().map(|row| with_own(shared.clone(), row)).collect()
}

/// The part of a copy that every recipient has in common, as it is stored.
fn shared(copy: &MessageCopy) -> Result<String> {
    let shared = MessageCopy {
        recipient: String::new(),
        delivery_action: hinomi_model::DeliveryAction::Delivered,
        delivery_location: hinomi_model::DeliveryLocation::Unknown,
        latest_location: hinomi_model::DeliveryLocation::Unknown,
        folder: None,
        moved_by: None,
        moved_at: None,
        campaign: String::new(),
        version: 0,
        ..copy.clone()
    };
    serde_json::to_string(&shared).map_err(|error| StoreError::Invalid { what: "message", reason: error.to_string() })
}

async fn put_message(db: &mut Db<'_>, copy: &MessageCopy) -> Result<i64> {
    if copy.recipient.is_empty() || copy.recipient.len() > RECIPIENT_BYTES_MAX {
        let reason = format!("its recipient is empty or longer than {RECIPIENT_BYTES_MAX} bytes");
        return Err(StoreError::Invalid { what: "message", reason });
    }
    let mut sql = Sql::new("SELECT n, doc, campaign, version FROM mail_messages WHERE message_id = ");
    sql.arg(Arg::id(copy.message_id));
    let known = sql.row(db).await?;
    let (n, message_version) = match known {
        Some(row) => {
            let n = row.int("n")?;
            (n, put_shared(db, n, &row, copy).await?)
        }
        None => (insert_shared(db, copy).await?, 1),
    };
    let mut sql = Sql::new("SELECT recipient, delivery_action, delivery_location, latest_location, folder, moved_by, ");
    sql.push("moved_at, version FROM mail_copies WHERE n = ").arg(n).push(" AND recipient = ").arg(&*copy.recipient);
    let own_version = match sql.row(db).await? {
        Some(row) => {
            let before = with_own(copy.clone(), &row)?;
            write_copy(db, n, copy, &before).await?
        }
        None => {
            insert_copy(db, n, copy).await?;
            1
        }
    };
    Ok(message_version + own_version - 1)
}

async fn insert_shared(db: &mut Db<'_>, copy: &MessageCopy) -> Result<i64> {
    let n = free_number(db, copy).await?;
    let keys = terms::keys(copy);
    let campaign = campaign::of(db, copy, keys, n).await?.unwrap_or(n);
    let count = |len: usize| i64::try_from(len).unwrap_or(i64::MAX);
    let mut sql = Sql::new(
        "INSERT INTO mail_messages (n, message_id, size, files, urls, copies, campaign, subject_key, body_key, \
         sender_key, url_key, file_key, version, doc) VALUES ",
    );
    sql.args([
        Arg::from(n),
        Arg::id(copy.message_id),
        Arg::from(i64::try_from(copy.size).unwrap_or(i64::MAX)),
        Arg::from(count(copy.attachments.iter().filter(|file| file.parent_sha256.is_none()).count())),
        Arg::from(count(copy.urls.len())),
        Arg::from(0),
        Arg::from(campaign),
        Arg::from(keys.subject),
        Arg::from(campaign::body_key(copy, keys)),
        Arg::from(keys.sender),
        Arg::from(keys.url),
        Arg::from(keys.file),
        Arg::from(1),
        Arg::from(shared(copy)?),
    ]);
    sql.run(db).await?;
    let mut found = terms::of_message(copy);
    found.plain.insert(terms::term(MailField::Campaign.name(), &campaign_id(campaign)));
    add_terms(db, n, &found).await?;
    Ok(n)
}

async fn free_number(db: &mut Db<'_>, copy: &MessageCopy) -> Result<i64> {
    let mask = (1_i64 << OWN_BITS) - 1;
    let own = terms::term("number", &copy.message_id.to_string()) & mask;
    for attempt in 0..NUMBER_TRIES {
        let n = number_at(copy.received_at) | ((own + attempt) & mask);
        let taken = Sql::new("SELECT 1 AS one FROM mail_messages WHERE n = $1").bind(n).row(db).await?;
        if taken.is_none() {
            return Ok(n);
        }
    }
    Err(StoreError::Invalid { what: "message", reason: "too many messages in one millisecond".to_owned() })
}

/// Replaces what the recipients have in common when it changed; returns the message's version.
async fn put_shared(db: &mut Db<'_>, n: i64, known: &AnyRow, copy: &MessageCopy) -> Result<i64> {
    // seen from another recipient a mail may go another way; the first one's view stays
    let before = document_of(known)?;
    let copy = &MessageCopy {
        direction: before.direction,
        source: before.source,
        received_at: before.received_at,
        ..copy.clone()
    };
    let doc = shared(copy)?;
    if known.text("doc")? == doc {
        return known.int("version");
    }
    let (before, after) = (terms::of_message(&before), terms::of_message(copy));
    let mut sql = Sql::new("UPDATE mail_messages SET version = version + 1, files = ");
    let files = copy.attachments.iter().filter(|file| file.parent_sha256.is_none()).count();
    sql.arg(i64::try_from(files).unwrap_or(i64::MAX)).push(", urls = ");
    sql.arg(i64::try_from(copy.urls.len()).unwrap_or(i64::MAX)).push(", doc = ").arg(doc);
    sql.push(" WHERE n = ").arg(n).push(" RETURNING version");
    let version = sql.row(db).await?.map_or(Ok(1), |row| row.int("version"))?;
    let gone = Terms {
        plain: before.plain.difference(&after.plain).copied().collect(),
        counted: before.counted.difference(&after.counted).copied().collect(),
    };
    drop_terms(db, n, &gone).await?;
    add_terms(db, n, &after).await?;
    if !gone.plain.is_empty() {
        // a word may have gone that a recipient has too
        for copy in copies_of(db, n, COPIES_MAX).await? {
            add_terms(db, n, &terms::of_copy(&copy)).await?;
        }
    }
    Ok(version)
}

async fn insert_copy(db: &mut Db<'_>, n: i64, copy: &MessageCopy) -> Result<()> {
    let mut sql = Sql::new(
        "INSERT INTO mail_copies (n, recipient, delivery_action, delivery_location, latest_location, folder, moved_by, \
         moved_at, version) VALUES ",
    );
    sql.args([
        Arg::from(n),
        Arg::from(&copy.recipient),
        Arg::word(copy.delivery_action),
        Arg::word(copy.delivery_location),
        Arg::word(copy.latest_location),
        Arg::from(copy.folder.clone()),
        Arg::from(copy.moved_by.clone()),
        Arg::from(copy.moved_at),
        Arg::from(1),
    ]);
    sql.run(db).await?;
    Sql::new("UPDATE mail_messages SET copies = copies + 1 WHERE n = $1").bind(n).run(db).await?;
    let found = terms::of_copy(copy);
    add_terms(db, n, &found).await
}

/// Writes the columns of a copy over what was there; returns its own version.
async fn write_copy(db: &mut Db<'_>, n: i64, copy: &MessageCopy, before: &MessageCopy) -> Result<i64> {
    let mut sql = Sql::new("UPDATE mail_copies SET version = version + 1, delivery_action = ");
    sql.arg(Arg::word(copy.delivery_action)).push(", delivery_location = ").arg(Arg::word(copy.delivery_location));
    sql.push(", latest_location = ").arg(Arg::word(copy.latest_location)).push(", folder = ").arg(copy.folder.clone());
    sql.push(", moved_by = ").arg(copy.moved_by.clone()).push(", moved_at = ").arg(copy.moved_at);
    sql.push(" WHERE n = ").arg(n).push(" AND recipient = ").arg(&*copy.recipient).push(" RETURNING version");
    let version = sql.row(db).await?.map_or(Ok(1), |row| row.int("version"))?;
    add_terms(db, n, &terms::of_copy(copy)).await?;
    let mut gone = Terms::default();
    for (field, column, old, new) in [
        (MailField::Location, "latest_location", before.latest_location.word(), copy.latest_location.word()),
        (
            MailField::OriginalLocation,
            "delivery_location",
            before.delivery_location.word(),
            copy.delivery_location.word(),
        ),
        (MailField::DeliveryAction, "delivery_action", before.delivery_action.word(), copy.delivery_action.word()),
    ] {
        if old != new && !another_copy_has(db, n, column, Some(&old)).await? {
            gone.counted.insert(terms::term(field.name(), &old));
        }
    }
    let old = before.moved_by.as_deref();
    if old != copy.moved_by.as_deref() && !another_copy_has(db, n, "moved_by", old).await? {
        gone.plain.insert(terms::term(MailField::MovedBy.name(), old.unwrap_or("none")));
    }
    drop_terms(db, n, &gone).await?;
    Ok(version)
}

async fn another_copy_has(db: &mut Db<'_>, n: i64, column: &'static str, value: Option<&str>) -> Result<bool> {
    let mut sql = Sql::new("SELECT 1 AS one FROM mail_copies WHERE n = ");
    sql.arg(n).push(" AND ").push(column);
    match value {
        Some(value) => sql.push(" = ").arg(value),
        None => sql.push(" IS NULL"),
    };
    sql.push(" LIMIT 1");
    Ok(sql.row(db).await?.is_some())
}

async fn update_message(db: &mut Db<'_>, copy: &MessageCopy, expected: i64) -> Result<MessageCopy> {
    let id = || format!("{}/{}", copy.message_id, copy.recipient);
    let mut sql = Sql::new("SELECT ");
    sql.push(COPY_COLUMNS).push(", m.version AS message_version FROM mail_messages m JOIN mail_copies c ON c.n = m.n ");
    sql.push("WHERE m.message_id = ").arg(Arg::id(copy.message_id)).push(" AND c.recipient = ").arg(&*copy.recipient);
    if db.backend == Backend::Postgres {
        sql.push(" FOR UPDATE");
    }
    let Some(row) = sql.row(db).await? else { return Err(StoreError::NotFound { what: "message", id: id() }) };
    let before = with_own(document_of(&row)?, &row)?;
    if before.version != expected {
        return Err(StoreError::Conflict { what: "message", id: id(), current: before.version });
    }
    let n = row.int("n")?;
    let doc = shared(copy)?;
    let message_version = if doc == shared(&before)? {
        row.int("message_version")?
    } else {
        let mut sql = Sql::new("SELECT n, doc, campaign, version FROM mail_messages WHERE n = ");
        sql.arg(n);
        let known = sql.row(db).await?.ok_or_else(|| StoreError::NotFound { what: "message", id: id() })?;
        put_shared(db, n, &known, copy).await?
    };
    let own = write_copy(db, n, copy, &before).await?;
    Ok(MessageCopy { version: message_version + own - 1, campaign: before.campaign, ..copy.clone() })
}

/// Adds postings; the counted ones that are new are counted.
async fn add_terms(db: &mut Db<'_>, n: i64, terms: &Terms) -> Result<()> {
    for chunk in chunks(&terms.plain) {
        let mut sql = Sql::new("INSERT INTO mail_terms (term, n) VALUES ");
        push_postings(&mut sql, chunk, n);
        sql.run(db).await?;
    }
    let mut new = Vec::new();
    for chunk in chunks(&terms.counted) {
        let mut sql = Sql::new("INSERT INTO mail_terms (term, n) VALUES ");
        push_postings(&mut sql, chunk, n);
        sql.push(" RETURNING term");
        new.extend(sql.rows(db).await?.iter().map(|row| row.int("term")).collect::<Result<Vec<_>>>()?);
    }
    count(db, &new, n, 1).await
}

fn push_postings(sql: &mut Sql, terms: Vec<i64>, n: i64) {
    for (at, term) in terms.into_iter().enumerate() {
        sql.push(if at == 0 { "" } else { ", " }).args([Arg::from(term), Arg::from(n)]);
    }
    sql.push(" ON CONFLICT DO NOTHING");
}

fn chunks(terms: &BTreeSet<i64>) -> Vec<Vec<i64>> {
    let all: Vec<i64> = terms.iter().copied().collect();
    all.chunks(CHUNK).map(<[i64]>::to_vec).collect()
}

async fn drop_terms(db: &mut Db<'_>, n: i64, terms: &Terms) -> Result<()> {
    let mut gone = Vec::new();
    let all: BTreeSet<i64> = terms.all().collect();
    for chunk in chunks(&all) {
        let mut sql = Sql::new("DELETE FROM mail_terms WHERE n = ");
        sql.arg(n).push(" AND term IN ").args(chunk).push(" RETURNING term");
        gone.extend(sql.rows(db).await?.iter().map(|row| row.int("term")).collect::<Result<Vec<_>>>()?);
    }
    gone.retain(|term| terms.counted.contains(term));
    count(db, &gone, n, -1).await
}

async fn count(db: &mut Db<'_>, terms: &[i64], n: i64, by: i64) -> Result<()> {
    if terms.is_empty() {
        return Ok(());
    }
    let mut sql = Sql::new("INSERT INTO mail_counts (term, hour, count) VALUES ");
    for (at, term) in terms.iter().enumerate() {
        let row = [Arg::from(*term), Arg::from(hour_of(n)), Arg::from(by)];
        sql.push(if at == 0 { "" } else { ", " }).args(row);
    }
    sql.push(" ON CONFLICT (term, hour) DO UPDATE SET count = mail_counts.count + excluded.count");
    sql.run(db).await?;
    if by < 0 {
        let mut sql = Sql::new("DELETE FROM mail_counts WHERE count <= 0 AND hour = ");
        sql.arg(hour_of(n)).push(" AND term IN ").args(terms.iter().copied());
        sql.run(db).await?;
    }
    Ok(())
}

const HOUR_MS: i64 = 3_600_000;

/// Hours since 1970 of a message's number.
pub(super) fn hour_of(n: i64) -> i64 {
    (n >> OWN_BITS) / HOUR_MS
}

/// First number of an hour.
pub(super) fn number_of_hour(hour: i64) -> i64 {
    (hour * HOUR_MS) << OWN_BITS
}

/// Microseconds since 1970 of a message's number, to the millisecond.
pub(super) fn micros_of(n: i64) -> i64 {
    (n >> OWN_BITS) * 1000
}

/// Removes the messages whose ids lie in a range, with everything that finds them. Returns the number
/// of messages and copies.
pub(crate) async fn delete_between(db: &mut Db<'_>, from: &str, to: &str) -> Result<u64> {
    let mut sql = Sql::new("SELECT n, doc, campaign FROM mail_messages WHERE message_id >= ");
    sql.arg(from).push(" AND message_id < ").arg(to);
    let mut deleted = 0;
    for row in sql.rows(db).await? {
        let n = row.int("n")?;
        let shared = document_of(&row)?;
        let mut found = terms::of_message(&shared);
        found.plain.insert(terms::term(MailField::Campaign.name(), &shared.campaign));
        for copy in copies_of(db, n, COPIES_MAX).await? {
            let own = terms::of_copy(&copy);
            found.plain.extend(own.plain);
            found.counted.extend(own.counted);
        }
        drop_terms(db, n, &found).await?;
        for statement in [
            "DELETE FROM mail_places WHERE n = $1",
            "DELETE FROM mail_copies WHERE n = $1",
            "DELETE FROM mail_messages WHERE n = $1",
        ] {
            deleted += Sql::new(statement).bind(n).run(db).await?;
        }
    }
    Ok(deleted)
}
