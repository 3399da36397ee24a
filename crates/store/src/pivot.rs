//! What the pivot asks of sightings: bounded work, however common the value is.

use crate::db::{Db, read_document};
use crate::error::Result;
use crate::sightings::{COLUMNS, read, value_filter};
use crate::sql::{Arg, Cells, Filter, Sql};
use hinomi_model::{Device, DeviceId, EntityKey, EntityKind, FileHashes, Sighting, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Most sightings of one value and kind of entity looked at for one answer.
pub const SEEN_MAX: i64 = 5_000;
/// Rows per statement.
const CHUNK_ROWS: usize = 100;
/// Most files told by one short hash: somebody may have made several of one MD5.
const FILES_MAX: i64 = 20;
/// Most devices of one name.
const DEVICES_MAX: i64 = 20;

/// The entities of one kind that had to do with a value.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Seen {
    /// Those that saw it first, oldest first.
    pub items: Vec<Sighting>,
    /// How many there are.
    pub entities: i64,
    /// False: there are more than [`SEEN_MAX`]; times and counts are of the first so many by id.
    pub exact: bool,
    /// First time.
    pub first: Option<Timestamp>,
    /// Last time.
    pub last: Option<Timestamp>,
    /// How often.
    pub times: i64,
}

reads! {
    /// Tells which entities of a kind had to do with a value, and names at most `shown` of them.
    fn seen(observable: &EntityKey, kind: EntityKind, shown: i64) -> Seen;
    /// Returns the SHA-256 of the files with this SHA-1 or MD5, lower-case hex.
    fn files_of_hash(hash: &str) -> Vec<String>;
    /// Returns the names of devices; those unknown are left out.
    fn device_names(ids: &BTreeSet<DeviceId>) -> BTreeMap<DeviceId, String>;
    /// Returns the devices of this name, in any case, at most 20.
    fn devices_named(name: &str) -> Vec<Device>;
}

writes! {
    /// Remembers the other hashes of files.
    fn add_file_hashes(files: &BTreeSet<FileHashes>) -> ();
}

async fn seen(db: &mut Db<'_>, observable: &EntityKey, kind: EntityKind, shown: i64) -> Result<Seen> {
    let filter = || -> Filter { value_filter(observable, Some(kind)) };
    // most values have few: one range of the key, read once
    if shown > 0 {
        let mut sql = Sql::new("SELECT ");
        sql.push(COLUMNS).push(" FROM sightings WHERE ").append(filter().conditions());
        sql.push(" LIMIT ").arg(shown + 1);
        let rows = sql.rows(db).await?;
        if rows.len() as i64 <= shown {
            return Ok(all(rows.iter().map(read).collect::<Result<_>>()?));
        }
    }
    let mut sql = Sql::new(
        "SELECT count(*) AS entities, min(first_seen) AS first, max(last_seen) AS last, \
         CAST(coalesce(sum(count), 0) AS BIGINT) AS times FROM (",
    );
    sql.append(filter().select("SELECT first_seen, last_seen, count FROM sightings"));
    sql.push(" LIMIT ").arg(SEEN_MAX + 1).push(") AS bounded");
    let Some(row) = sql.row(db).await? else { return Ok(Seen::default()) };
    let entities = row.int("entities")?;
    let mut seen = Seen {
        items: Vec::new(),
        entities: entities.min(SEEN_MAX),
        exact: entities <= SEEN_MAX,
        first: row.time_or_null("first")?,
        last: row.time_or_null("last")?,
        times: row.int("times")?,
    };
    if entities > 0 && shown > 0 {
        let mut sql = Sql::new("SELECT ");
        sql.push(COLUMNS).push(" FROM (");
        sql.append(filter().select("SELECT * FROM sightings"));
        sql.push(" LIMIT ").arg(SEEN_MAX).push(") AS bounded ORDER BY first_seen, entity LIMIT ").arg(shown);
        seen.items = sql.rows(db).await?.iter().map(read).collect::<Result<_>>()?;
    }
    Ok(seen)
}

/// What a few sightings come to.
fn all(mut items: Vec<Sighting>) -> Seen {
    items.sort_by(|a, b| (a.first_seen, &a.entity.value).cmp(&(b.first_seen, &b.entity.value)));
    Seen {
        entities: items.len() as i64,
        exact: true,
        first: items.iter().map(|one| one.first_seen).min(),
        last: items.iter().map(|one| one.last_seen).max(),
        times: items.iter().map(|one| one.count).sum(),
        items,
    }
}

async fn files_of_hash(db: &mut Db<'_>, hash: &str) -> Result<Vec<String>> {
    let Ok(bytes) = hex::decode(hash) else { return Ok(Vec::new()) };
    let mut sql = Sql::new("SELECT sha256 FROM file_hashes WHERE hash = ");
    sql.arg(bytes).push(" ORDER BY sha256 LIMIT ").arg(FILES_MAX);
    sql.rows(db).await?.iter().map(|row| Ok(hex::encode(row.blob("sha256")?))).collect()
}

async fn device_names(db: &mut Db<'_>, ids: &BTreeSet<DeviceId>) -> Result<BTreeMap<DeviceId, String>> {
    let mut names = BTreeMap::new();
    let ids: Vec<Arg> = ids.iter().map(Arg::id).collect();
    for chunk in ids.chunks(CHUNK_ROWS) {
        let mut sql = Sql::new("SELECT doc, version FROM devices WHERE id IN ");
        sql.args(chunk.iter().cloned());
        for row in sql.rows(db).await? {
            let device: Device = read_document(&row)?;
            names.insert(device.id, device.name);
        }
    }
    Ok(names)
}

async fn devices_named(db: &mut Db<'_>, name: &str) -> Result<Vec<Device>> {
    let mut sql = Sql::new("SELECT doc, version FROM devices WHERE name = ");
    sql.arg(Arg::indexed(&name.to_lowercase())).push(" ORDER BY id LIMIT ").arg(DEVICES_MAX);
    sql.rows(db).await?.iter().map(read_document).collect()
}

async fn add_file_hashes(db: &mut Db<'_>, files: &BTreeSet<FileHashes>) -> Result<()> {
    let mut rows: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for file in files {
        let Ok(sha256) = hex::decode(&file.sha256) else { continue };
        let others = [&file.sha1, &file.md5].into_iter().flatten().filter_map(|hash| hex::decode(hash).ok());
        rows.extend(others.map(|hash| (hash, sha256.clone())));
    }
    rows.sort_unstable();
    for chunk in rows.chunks(CHUNK_ROWS) {
        let mut sql = Sql::new("INSERT INTO file_hashes (hash, sha256) VALUES ");
        for (at, (hash, sha256)) in chunk.iter().enumerate() {
            sql.push(if at == 0 { "" } else { ", " }).args([hash.clone(), sha256.clone()]);
        }
        sql.push(" ON CONFLICT DO NOTHING");
        sql.run(db).await?;
    }
    Ok(())
}
