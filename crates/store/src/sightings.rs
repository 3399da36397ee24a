//! Sightings: the table behind every pivot. A look-up is one primary-key range.
//!
//! Rows are many (one per value and entity), so they are small: ids are 16 bytes, the pointer to the
//! first event leaves out what the row says already.

use crate::db::{Db, Key, Listed, Listing, Page, list_counted};
use crate::error::{Result, StoreError};
use crate::sql::{Arg, Cells, Filter, Sql};
use hinomi_model::{DemoId, EntityKey, EntityKind, EventRef, Sighting, SightingStages, Table, Timestamp};
use sha2::Digest;
use sqlx::any::AnyRow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Rows per statement; the statement of a full chunk is prepared once. SQLite looks every placeholder
/// up in the list of all of them, so long statements cost their square (profile: 15 % at 100 rows).
const CHUNK_ROWS: usize = 20;
/// Longer entity values are left out: they would not fit an index.
const ENTITY_BYTES_MAX: usize = 1024;
/// Longest value that is its own key; of longer ones the key is a hash and the text stands beside it.
const KEY_TEXT_BYTES_MAX: usize = 200;
/// Length of a UUID's canonical text and of its bytes.
const UUID_CHARS: usize = 36;
const UUID_BYTES: usize = 16;

/// Most sightings of one value counted per kind of entity: common values have millions.
pub const COUNTED_MAX: i64 = 10_000;

/// All sightings of one value in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SightingSummary {
    /// First time, none when never seen.
    pub first: Option<Timestamp>,
    /// Last time.
    pub last: Option<Timestamp>,
    /// How often.
    pub count: i64,
    /// On how many devices, at most [`COUNTED_MAX`].
    pub devices: i64,
    /// In how many messages, at most [`COUNTED_MAX`].
    pub messages: i64,
    /// In how many mailbox copies of messages, at most [`COUNTED_MAX`].
    pub copies: i64,
    /// False: there are more of one kind than [`COUNTED_MAX`]; counts are at least these, times are of
    /// the first so many by id.
    pub exact: bool,
}

impl Default for SightingSummary {
    fn default() -> Self {
        SightingSummary { first: None, last: None, count: 0, devices: 0, messages: 0, copies: 0, exact: true }
    }
}

reads! {
    /// Lists who had to do with a value, in order of the entities. The total is at most [`COUNTED_MAX`].
    fn sightings(observable: &EntityKey, entity_kind: Option<EntityKind>, page: &Page) -> Listed<Sighting>;
    /// Lists who had to do with a value among what is real, or within one demo, as `sightings` does.
    fn sightings_within(
        observable: &EntityKey,
        demo: Option<DemoId>,
        entity_kind: Option<EntityKind>,
        page: &Page,
    ) -> Listed<Sighting>;
    /// Returns all sightings of a value in short.
    fn sighting_summary(observable: &EntityKey) -> SightingSummary;
    /// Returns the sightings of a value among what is real, or within one demo, in short.
    fn sighting_summary_within(observable: &EntityKey, demo: Option<DemoId>) -> SightingSummary;
}

writes! {
    /// Adds sightings to what is known: earlier first time, later last time, counts added up.
    /// Returns how many were left out because their entity cannot be indexed.
    fn upsert_sightings(batch: &[Sighting]) -> usize;
    /// Removes whole rows, by value and entity; returns how many there were.
    fn delete_sightings(batch: &[Sighting]) -> u64;
}

/// Kind and key of the value, kind and key of the entity.
type RowKey = (&'static str, Vec<u8>, &'static str, Vec<u8>);

fn kind_of(name: &str) -> Result<EntityKind> {
    let key: EntityKey = format!("{name}:").parse().map_err(|error| StoreError::damaged("sighting", error))?;
    Ok(key.kind)
}

/// A file's key is its hash, a short value's its text, anything else's the hash of its text.
fn value_key(observable: &EntityKey) -> Vec<u8> {
    match file_hash(observable) {
        Some(hash) => hash,
        None if is_short(observable) => observable.value.clone().into_bytes(),
        None => sha2::Sha256::digest(observable.value.as_bytes()).to_vec(),
    }
}

/// Kept in the key itself; a file without a hash never is, its key would be read as one.
fn is_short(observable: &EntityKey) -> bool {
    observable.kind != EntityKind::File && observable.value.len() <= KEY_TEXT_BYTES_MAX
}

fn file_hash(observable: &EntityKey) -> Option<Vec<u8>> {
    let is_hash = observable.kind == EntityKind::File && observable.value.len() == 64;
    let bytes = if is_hash { hex::decode(&observable.value).ok()? } else { return None };
    // only the canonical spelling comes back as it was
    (hex::encode(&bytes) == observable.value).then_some(bytes)
}

/// The 16 bytes of the UUID the entity begins with, then the rest of its text; kinds without one are
/// their text. `None` when it cannot be indexed: too long, or no id where one belongs.
fn entity_key(entity: &EntityKey) -> Option<Vec<u8>> {
    if entity.value.len() > ENTITY_BYTES_MAX {
        return None;
    }
    let text = entity.value.replace('\0', "\u{fffd}");
    if !begins_with_id(entity.kind) {
        return Some(text.into_bytes());
    }
    let (id, rest) = text.split_at_checked(UUID_CHARS)?;
    let uuid = uuid::Uuid::try_parse(id).ok().filter(|uuid| uuid.to_string() == id)?;
    Some([uuid.as_bytes(), rest.as_bytes()].concat())
}

fn entity_text(kind: EntityKind, key: Vec<u8>) -> Result<String> {
    let damaged = |error| StoreError::damaged("sighting", error);
    match key.split_first_chunk::<UUID_BYTES>() {
        Some((id, rest)) if begins_with_id(kind) => {
            Ok(uuid::Uuid::from_bytes(*id).to_string() + std::str::from_utf8(rest).map_err(damaged)?)
        }
        _ => String::from_utf8(key).map_err(|error| damaged(error.utf8_error())),
    }
}

fn begins_with_id(kind: EntityKind) -> bool {
    matches!(kind, EntityKind::Device | EntityKind::Message | EntityKind::MessageCopy)
}

/// The event of the first sight: table, time, device, report id, parted by tabs. The time is empty
/// when it is `first_seen` and the device when it is the entity; `-` is no device.
fn sample_text(sighting: &Sighting) -> String {
    let EventRef { table, timestamp, device_id, report_id } = &sighting.sample;
    let at = if *timestamp == sighting.first_seen { String::new() } else { timestamp.as_micros().to_string() };
    let device = device_id.map_or_else(|| "-".to_owned(), |device| device.to_string());
    let device = if device_of(&sighting.entity) == Some(device.as_str()) { "" } else { &device };
    format!("{}\t{at}\t{device}\t{report_id}", table_code(*table))
}

/// A table's name without the words most of them have.
fn table_code(table: Table) -> String {
    let name = table.name();
    let name = name.strip_suffix("Events").unwrap_or(name);
    match (name.strip_prefix("Device"), name.strip_prefix("Email")) {
        (Some(rest), _) => format!("D{rest}"),
        (_, Some(rest)) => format!("E{rest}"),
        _ => name.to_owned(),
    }
}

fn device_of(entity: &EntityKey) -> Option<&str> {
    (entity.kind == EntityKind::Device).then_some(entity.value.as_str())
}

fn sample(text: &str, entity: &EntityKey, first_seen: Timestamp) -> Result<EventRef> {
    let damaged = || StoreError::damaged("sighting", std::io::Error::other(format!("sample {text:?}")));
    let mut parts = text.splitn(4, '\t');
    let mut part = || parts.next().ok_or_else(damaged);
    let (table, at, device, report_id) = (part()?, part()?, part()?, part()?);
    Ok(EventRef {
        table: *Table::ALL.iter().find(|known| table_code(**known) == table).ok_or_else(damaged)?,
        timestamp: match at {
            "" => first_seen,
            micros => Timestamp::from_micros(micros.parse().map_err(|_| damaged())?),
        },
        device_id: match device {
            "-" => None,
            "" => device_of(entity).map(|device| device.parse().map_err(|_| damaged())).transpose()?,
            device => Some(device.parse().map_err(|_| damaged())?),
        },
        report_id: report_id.to_owned(),
    })
}

async fn upsert_sightings(db: &mut Db<'_>, batch: &[Sighting]) -> Result<usize> {
    let (merged, skipped) = merge(batch);
    // those of mail have no stages, and a shorter statement
    let (staged, plain): (Vec<_>, Vec<_>) = merged.into_iter().partition(|(_, one)| has_stages(one));
    for chunk in staged.chunks(CHUNK_ROWS).chain(plain.chunks(CHUNK_ROWS)) {
        let staged = has_stages(&chunk[0].1);
        let mut sql = Sql::new(
            "INSERT INTO sightings (kind, value_key, entity_kind, entity, value, first_seen, last_seen, count, sample, \
             name",
        );
        if staged {
            sql.push(", account, saved_at, saved_by, executed_at, connected_at, blocked_at, deleted_at");
        }
        sql.push(") VALUES ");
        for (at, ((kind, key, entity_kind, entity), sighting)) in chunk.iter().enumerate() {
            let in_key = file_hash(&sighting.observable).is_some() || is_short(&sighting.observable);
            let value = (!in_key).then(|| sighting.observable.value.clone());
            // most values have no other name than themselves
            let name = if sighting.name == sighting.observable.value { "" } else { &sighting.name };
            let mut row = vec![
                Arg::from(*kind),
                Arg::from(key.clone()),
                Arg::from(*entity_kind),
                Arg::from(entity.clone()),
                Arg::from(value),
                Arg::from(sighting.first_seen),
                Arg::from(sighting.last_seen),
                Arg::from(sighting.count),
                Arg::from(sample_text(sighting)),
                Arg::from(name),
            ];
            if staged {
                let SightingStages { saved_at, saved_by, executed_at, connected_at, blocked_at, deleted_at } =
                    &sighting.stages;
                row.extend([Arg::from(sighting.account.clone()), Arg::from(*saved_at), Arg::from(saved_by.clone())]);
                row.extend([executed_at, connected_at, blocked_at, deleted_at].map(|at| Arg::from(*at)));
            }
            sql.push(if at == 0 { "" } else { ", " }).args(row);
        }
        sql.push(
            " ON CONFLICT (kind, value_key, entity_kind, entity) DO UPDATE SET \
             first_seen = CASE WHEN excluded.first_seen < sightings.first_seen THEN excluded.first_seen \
             ELSE sightings.first_seen END, \
             sample = CASE WHEN excluded.first_seen < sightings.first_seen THEN excluded.sample \
             ELSE sightings.sample END, \
             last_seen = CASE WHEN excluded.last_seen > sightings.last_seen THEN excluded.last_seen \
             ELSE sightings.last_seen END, \
             count = sightings.count + excluded.count",
        );
        if staged {
            sql.push(STAGES_UPDATE);
        }
        sql.run(db).await?;
    }
    Ok(skipped)
}

/// The earlier of both times, of `deleted_at` the later; an empty one is neither.
const STAGES_UPDATE: &str = ", account = coalesce(sightings.account, excluded.account), \
    saved_by = CASE WHEN sightings.saved_at IS NULL OR excluded.saved_at < sightings.saved_at \
    THEN excluded.saved_by ELSE sightings.saved_by END, \
    saved_at = CASE WHEN sightings.saved_at IS NULL OR excluded.saved_at < sightings.saved_at \
    THEN excluded.saved_at ELSE sightings.saved_at END, \
    executed_at = CASE WHEN sightings.executed_at IS NULL OR excluded.executed_at < sightings.executed_at \
    THEN excluded.executed_at ELSE sightings.executed_at END, \
    connected_at = CASE WHEN sightings.connected_at IS NULL OR excluded.connected_at < sightings.connected_at \
    THEN excluded.connected_at ELSE sightings.connected_at END, \
    blocked_at = CASE WHEN sightings.blocked_at IS NULL OR excluded.blocked_at < sightings.blocked_at \
    THEN excluded.blocked_at ELSE sightings.blocked_at END, \
    deleted_at = CASE WHEN sightings.deleted_at IS NULL OR excluded.deleted_at > sightings.deleted_at \
    THEN excluded.deleted_at ELSE sightings.deleted_at END";

/// The same row always goes the same way, so that two writers lock rows in the same order.
fn has_stages(sighting: &Sighting) -> bool {
    sighting.entity.kind == EntityKind::Device
}

/// Merges equal keys (PostgreSQL refuses them within one statement) and sorts, so that neighbouring
/// index pages are written together and two writers lock rows in the same order.
fn merge(batch: &[Sighting]) -> (BTreeMap<RowKey, Sighting>, usize) {
    let mut merged: BTreeMap<RowKey, Sighting> = BTreeMap::new();
    let mut skipped = 0;
    for sighting in batch {
        let Some(entity) = entity_key(&sighting.entity) else {
            skipped += 1;
            continue;
        };
        let key =
            (sighting.observable.kind.name(), value_key(&sighting.observable), sighting.entity.kind.name(), entity);
        match merged.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(sighting.clone());
            }
            Entry::Occupied(mut entry) => {
                let known = entry.get_mut();
                if sighting.first_seen < known.first_seen {
                    known.first_seen = sighting.first_seen;
                    known.sample = sighting.sample.clone();
                }
                known.last_seen = known.last_seen.max(sighting.last_seen);
                known.count = known.count.saturating_add(sighting.count);
                known.stages.merge(&sighting.stages);
                if known.account.is_none() {
                    known.account.clone_from(&sighting.account);
                }
            }
        }
    }
    (merged, skipped)
}

pub(crate) const COLUMNS: &str = "kind, value_key, entity_kind, entity, value, first_seen, last_seen, count, sample, name, \
                       account, saved_at, saved_by, executed_at, connected_at, blocked_at, deleted_at";

async fn sightings(
    db: &mut Db<'_>,
    observable: &EntityKey,
    entity_kind: Option<EntityKind>,
    page: &Page,
) -> Result<Listed<Sighting>> {
    of_value(db, &value_filter(observable, entity_kind), page).await
}

async fn sightings_within(
    db: &mut Db<'_>,
    observable: &EntityKey,
    demo: Option<DemoId>,
    entity_kind: Option<EntityKind>,
    page: &Page,
) -> Result<Listed<Sighting>> {
    let mut filter = value_filter(observable, entity_kind);
    within(&mut filter, demo);
    of_value(db, &filter, page).await
}

pub(crate) fn value_filter(observable: &EntityKey, entity_kind: Option<EntityKind>) -> Filter {
    let mut filter = Filter::new();
    filter.eq("kind", Some(observable.kind.name())).eq("value_key", Some(value_key(observable)));
    filter.eq("entity_kind", entity_kind.map(EntityKind::name));
    filter
}

/// Limits to what is real, or to one demo: every entity begins with an id.
fn within(filter: &mut Filter, demo: Option<DemoId>) {
    match demo {
        None => drop(filter.and("substr(entity, 7, 2) <> ").arg(DemoId::MARK.to_vec())),
        Some(demo) => {
            let (from, to) = demo.byte_range();
            filter.and("entity >= ").arg(from.to_vec()).push(" AND entity < ").arg(to.to_vec());
        }
    }
}

async fn of_value(db: &mut Db<'_>, filter: &Filter, page: &Page) -> Result<Listed<Sighting>> {
    const LISTING: Listing = Listing {
        select: COLUMNS,
        from: "sightings",
        order: &[Key::Text("entity_kind"), Key::Blob("entity")],
        descending: false,
    };
    let mut count = Sql::new("SELECT count(*) AS total FROM (");
    count.append(filter.clone().select("SELECT 1 FROM sightings"));
    count.push(" LIMIT ").arg(COUNTED_MAX).push(") AS bounded");
    let total = count.row(db).await?.map_or(Ok(0), |row| row.int("total"))?;
    list_counted(db, &LISTING, filter, page, total, read).await
}

async fn delete_sightings(db: &mut Db<'_>, batch: &[Sighting]) -> Result<u64> {
    let (merged, _) = merge(batch);
    let mut deleted = 0;
    for (kind, value, entity_kind, entity) in merged.into_keys() {
        deleted +=
            Sql::new("DELETE FROM sightings WHERE kind = $1 AND value_key = $2 AND entity_kind = $3 AND entity = $4")
                .bind(kind)
                .bind(value)
                .bind(entity_kind)
                .bind(entity)
                .run(db)
                .await?;
    }
    Ok(deleted)
}

async fn sighting_summary(db: &mut Db<'_>, observable: &EntityKey) -> Result<SightingSummary> {
    summary(db, |kind| value_filter(observable, Some(kind))).await
}

async fn sighting_summary_within(
    db: &mut Db<'_>,
    observable: &EntityKey,
    demo: Option<DemoId>,
) -> Result<SightingSummary> {
    let of_kind = |kind| {
        let mut filter = value_filter(observable, Some(kind));
        within(&mut filter, demo);
        filter
    };
    summary(db, of_kind).await
}

/// Kinds of entities that have to do with values.
const COUNTED: [EntityKind; 3] = [EntityKind::Device, EntityKind::Message, EntityKind::MessageCopy];

/// One range of the key per kind of entity, each read up to its limit.
async fn summary(db: &mut Db<'_>, of_kind: impl Fn(EntityKind) -> Filter) -> Result<SightingSummary> {
    // a copy's entity begins with the 16 bytes of its message
    let mut sql = Sql::new(
        "SELECT entity_kind, count(*) AS entities, min(first_seen) AS first, max(last_seen) AS last, \
         CAST(coalesce(sum(count), 0) AS BIGINT) AS times, count(DISTINCT substr(entity, 1, 16)) AS messages FROM (",
    );
    for (at, kind) in COUNTED.into_iter().enumerate() {
        sql.push(if at == 0 { "SELECT * FROM (" } else { " UNION ALL SELECT * FROM (" });
        sql.append(of_kind(kind).select("SELECT entity_kind, entity, first_seen, last_seen, count FROM sightings"));
        sql.push(" LIMIT ").arg(COUNTED_MAX + 1).push(&format!(") AS bounded_{at}"));
    }
    sql.push(") AS bounded GROUP BY entity_kind");
    let mut summary = SightingSummary::default();
    for row in sql.rows(db).await? {
        let entities = row.int("entities")?;
        let (first, last) = (row.time_or_null("first")?, row.time_or_null("last")?);
        summary.first = summary.first.into_iter().chain(first).min();
        summary.last = summary.last.max(last);
        summary.count += row.int("times")?;
        summary.exact &= entities <= COUNTED_MAX;
        let messages = row.int("messages")?.min(COUNTED_MAX);
        match kind_of(&row.text("entity_kind")?)? {
            EntityKind::Device => summary.devices = entities.min(COUNTED_MAX),
            EntityKind::MessageCopy => {
                summary.copies = entities.min(COUNTED_MAX);
                summary.messages = summary.messages.max(messages);
            }
            // a message may be told of with and without its copies
            _ => summary.messages = summary.messages.max(messages),
        }
    }
    Ok(summary)
}

pub(crate) fn read(row: &AnyRow) -> Result<Sighting> {
    let observed = kind_of(&row.text("kind")?)?;
    let value = match row.text_or_null("value")? {
        Some(text) => text,
        None if observed == EntityKind::File => hex::encode(row.blob("value_key")?),
        None => String::from_utf8(row.blob("value_key")?).map_err(|error| StoreError::damaged("sighting", error))?,
    };
    // a message's name is its subject, which may be empty; a file's its path
    let itself = !matches!(observed, EntityKind::Message | EntityKind::File);
    let name = row.text("name")?;
    let name = if name.is_empty() && itself { value.clone() } else { name };
    let kind = kind_of(&row.text("entity_kind")?)?;
    let entity = EntityKey::new(kind, entity_text(kind, row.blob("entity")?)?);
    let first_seen = row.time("first_seen")?;
    Ok(Sighting {
        observable: EntityKey::new(observed, value),
        sample: sample(&row.text("sample")?, &entity, first_seen)?,
        entity,
        first_seen,
        last_seen: row.time("last_seen")?,
        count: row.int("count")?,
        name,
        account: row.text_or_null("account")?,
        stages: SightingStages {
            saved_at: row.time_or_null("saved_at")?,
            saved_by: row.text_or_null("saved_by")?,
            executed_at: row.time_or_null("executed_at")?,
            connected_at: row.time_or_null("connected_at")?,
            blocked_at: row.time_or_null("blocked_at")?,
            deleted_at: row.time_or_null("deleted_at")?,
        },
    })
}
