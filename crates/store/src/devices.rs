//! Devices, enrolment tokens, and how far each sensor was received.

use crate::db::{
    Db, Document, Key, Listed, Listing, Page, document, list, put_document, read_document, update_document,
};
use crate::error::Result;
use crate::sql::{Arg, Cells, Filter, Sql, search_text};
use hinomi_model::{Device, DeviceId, SensorHealth, Timestamp, TokenId};
use sqlx::any::AnyRow;
use std::collections::HashMap;

/// Which devices to list; empty means all.
#[derive(Debug, Clone, Default)]
pub struct DeviceFilter {
    /// Text in name, addresses, users, system or tags.
    pub text: Option<String>,
    /// One of these.
    pub health: Vec<SensorHealth>,
    /// Connected or not.
    pub online: Option<bool>,
}

/// A one-time token with which a sensor enrols.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrolmentTokenRow {
    /// Id.
    pub id: TokenId,
    /// SHA-256 of the secret, lower-case hex.
    pub secret_sha256: String,
    /// Remark.
    pub note: String,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// End.
    pub expires_at: Timestamp,
    /// Device that used it.
    pub used_by: Option<DeviceId>,
}

reads! {
    /// Returns a device.
    fn device(id: DeviceId) -> Option<Device>;
    /// Lists devices by name.
    fn devices(filter: &DeviceFilter, page: &Page) -> Listed<Device>;
    /// Returns the devices that are not connected and were heard of last between two times, at most 200.
    fn silent_devices(after: Timestamp, until: Timestamp) -> Vec<Device>;
    /// Lists enrolment tokens, newest first.
    fn enrolment_tokens(page: &Page) -> Listed<EnrolmentTokenRow>;
    /// Returns the highest ReportId received of a sensor's spool generation; 0 before the first.
    fn sensor_progress(device: DeviceId, generation: u64) -> u64;
    /// Returns the highest ReportId received of every device and spool generation.
    fn all_sensor_progress() -> HashMap<(DeviceId, u64), u64>;
}

writes! {
    /// Inserts or replaces a device; returns the version now stored.
    fn put_device(device: &Device) -> i64;
    /// Replaces a device at the expected version; returns it with its new version.
    fn update_device(device: &Device, expected: i64) -> Device;
    /// Adds an enrolment token.
    fn add_enrolment_token(token: &EnrolmentTokenRow) -> ();
    /// Uses up the token with that secret, once and before its end; `None` when there is no such token.
    fn use_enrolment_token(secret_sha256: &str, device: DeviceId, now: Timestamp) -> Option<TokenId>;
    /// Removes an enrolment token; false when there is none.
    fn delete_enrolment_token(id: TokenId) -> bool;
    /// Notes the highest ReportId received; it never goes back.
    fn set_sensor_progress(device: DeviceId, generation: u64, report_id: u64) -> ();
    /// Notes that no device is connected: the server has just started.
    fn all_devices_offline() -> ();
}

impl Document for Device {
    const WHAT: &'static str = "device";
    const TABLE: &'static str = "devices";

    fn columns(&self) -> Vec<(&'static str, Arg)> {
        let status = &self.status;
        let search = [self.name.as_str(), &status.host_name, &status.os_version]
            .into_iter()
            .chain(status.ip_addresses.iter().map(String::as_str))
            .chain(status.logged_on_users.iter().map(String::as_str))
            .chain(self.tags.iter().map(String::as_str));
        vec![
            ("id", Arg::id(self.id)),
            ("name", Arg::indexed(&self.name.to_lowercase())),
            ("health", Arg::word(self.health)),
            ("online", self.online.into()),
            ("last_seen", self.last_seen.into()),
            ("search", search_text(search)),
        ]
    }

    fn set_version(&mut self, version: i64) {
        self.version = version;
    }
}

async fn device(db: &mut Db<'_>, id: DeviceId) -> Result<Option<Device>> {
    document(db, vec![Arg::id(id)]).await
}

async fn devices(db: &mut Db<'_>, wanted: &DeviceFilter, page: &Page) -> Result<Listed<Device>> {
    const LISTING: Listing = Listing {
        select: "doc, version",
        from: "devices",
        order: &[Key::Text("name"), Key::Text("id")],
        descending: false,
    };
    let mut filter = Filter::new();
    filter.text("search", wanted.text.as_deref()).words("health", &wanted.health).eq("online", wanted.online);
    list(db, &LISTING, &filter, page, read_document).await
}

async fn silent_devices(db: &mut Db<'_>, after: Timestamp, until: Timestamp) -> Result<Vec<Device>> {
    let mut sql = Sql::new("SELECT doc, version FROM devices WHERE online = ");
    sql.arg(false).push(" AND last_seen > ").arg(after).push(" AND last_seen <= ").arg(until);
    sql.push(" ORDER BY last_seen LIMIT 200");
    sql.rows(db).await?.iter().map(read_document).collect()
}

async fn put_device(db: &mut Db<'_>, device: &Device) -> Result<i64> {
    put_document(db, device).await
}

async fn update_device(db: &mut Db<'_>, device: &Device, expected: i64) -> Result<Device> {
    update_document(db, device, expected).await
}

async fn all_devices_offline(db: &mut Db<'_>) -> Result<()> {
    let rows = Sql::new("SELECT doc, version FROM devices WHERE online = 1").rows(db).await?;
    for row in rows {
        let device = Device { online: false, ..read_document(&row)? };
        put_document(db, &device).await?;
    }
    Ok(())
}

async fn add_enrolment_token(db: &mut Db<'_>, token: &EnrolmentTokenRow) -> Result<()> {
    Sql::new(
        "INSERT INTO enrolment_tokens (id, secret_sha256, note, created_by, created_at, expires_at, used_by) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(Arg::id(token.id))
    .bind(&token.secret_sha256)
    .bind(&token.note)
    .bind(&token.created_by)
    .bind(token.created_at)
    .bind(token.expires_at)
    .bind(Arg::id_or_null(token.used_by))
    .run(db)
    .await?;
    Ok(())
}

async fn use_enrolment_token(
    db: &mut Db<'_>,
    secret_sha256: &str,
    device: DeviceId,
    now: Timestamp,
) -> Result<Option<TokenId>> {
    let row = Sql::new(
        "UPDATE enrolment_tokens SET used_by = $1 WHERE secret_sha256 = $2 AND used_by IS NULL AND expires_at > $3 \
         RETURNING id",
    )
    .bind(Arg::id(device))
    .bind(secret_sha256)
    .bind(now)
    .row(db)
    .await?;
    row.map(|row| row.parsed("id")).transpose()
}

async fn delete_enrolment_token(db: &mut Db<'_>, id: TokenId) -> Result<bool> {
    Ok(Sql::new("DELETE FROM enrolment_tokens WHERE id = $1").bind(Arg::id(id)).run(db).await? > 0)
}

async fn enrolment_tokens(db: &mut Db<'_>, page: &Page) -> Result<Listed<EnrolmentTokenRow>> {
    const LISTING: Listing = Listing {
        select: "id, secret_sha256, note, created_by, created_at, expires_at, used_by",
        from: "enrolment_tokens",
        order: &[Key::Int("created_at"), Key::Text("id")],
        descending: true,
    };
    list(db, &LISTING, &Filter::new(), page, read_token).await
}

fn read_token(row: &AnyRow) -> Result<EnrolmentTokenRow> {
    Ok(EnrolmentTokenRow {
        id: row.parsed("id")?,
        secret_sha256: row.text("secret_sha256")?,
        note: row.text("note")?,
        created_by: row.text("created_by")?,
        created_at: row.time("created_at")?,
        expires_at: row.time("expires_at")?,
        used_by: row.parsed_or_null("used_by")?,
    })
}

async fn sensor_progress(db: &mut Db<'_>, device: DeviceId, generation: u64) -> Result<u64> {
    let row = Sql::new("SELECT report_id FROM sensor_progress WHERE device_id = $1 AND generation = $2")
        .bind(Arg::id(device))
        .bind(generation as i64)
        .row(db)
        .await?;
    Ok(row.map_or(Ok(0), |row| row.int("report_id"))? as u64)
}

async fn all_sensor_progress(db: &mut Db<'_>) -> Result<HashMap<(DeviceId, u64), u64>> {
    let rows = Sql::new("SELECT device_id, generation, report_id FROM sensor_progress").rows(db).await?;
    let each = rows.iter().map(|row| {
        let key = (row.parsed("device_id")?, row.int("generation")? as u64);
        Ok((key, row.int("report_id")? as u64))
    });
    each.collect()
}

async fn set_sensor_progress(db: &mut Db<'_>, device: DeviceId, generation: u64, report_id: u64) -> Result<()> {
    Sql::new(
        "INSERT INTO sensor_progress (device_id, generation, report_id) VALUES ($1, $2, $3) \
         ON CONFLICT (device_id, generation) DO UPDATE SET report_id = excluded.report_id \
         WHERE sensor_progress.report_id < excluded.report_id",
    )
    .bind(Arg::id(device))
    .bind(generation as i64)
    .bind(report_id as i64)
    .run(db)
    .await?;
    Ok(())
}
