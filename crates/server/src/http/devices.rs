//! Devices and their events.

use super::Http;
use super::fail::{Answer, Fail};
use super::request::{IfMatch, Json, Path, Query, Versioned, limit, list_of, page, words};
use crate::auth::Caller;
use crate::live::LiveEvent;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hinomi_api::{DeviceEventQuery, DeviceQuery, EventList, EventRow, List, UpdateDevice};
use hinomi_lake::LakeQuery;
use hinomi_model::{Device, DeviceId, Event, SensorHealth, Table, Timestamp};
use hinomi_store::DeviceFilter;
use std::collections::HashSet;

/// Events are shown from this many seconds back when no time is asked for.
const SPAN_SECONDS: i64 = 7 * 86_400;
/// Events read for one page while a text filter leaves most of them out.
const SCAN_MAX: usize = 20_000;

/// `GET /devices`
pub async fn list(State(http): State<Http>, Query(query): Query<DeviceQuery>) -> Answer<Json<List<Device>>> {
    let filter =
        DeviceFilter { text: query.text, health: words("health", query.health.as_deref())?, online: query.online };
    let listed = http.ctx.store.devices(&filter, &page(query.cursor, query.limit)).await?;
    Ok(Json(list_of(listed, |device| device)))
}

/// `GET /devices/{id}`
pub async fn get(State(http): State<Http>, Path(id): Path<DeviceId>) -> Answer<Versioned<Device>> {
    let device = http.ctx.store.device(id).await?.ok_or_else(Fail::not_found)?;
    Ok(Versioned(device.version, device))
}

/// `PATCH /devices/{id}`
pub async fn update(
    State(http): State<Http>,
    caller: Caller,
    Path(id): Path<DeviceId>,
    version: IfMatch,
    Json(body): Json<UpdateDevice>,
) -> Answer<Versioned<Device>> {
    caller.note(id, serde_json::to_value(&body).unwrap_or_default());
    super::incidents::tags(body.tags.as_deref())?;
    let tags = body.tags.is_some();
    let changed = change(&http, id, |device| {
        version.check(device.version, &*device)?;
        if let Some(tags) = body.tags {
            device.tags = tags;
        }
        if let Some(level) = body.automation_level {
            device.automation_level = level;
        }
        Ok(())
    })
    .await?;
    if tags {
        crate::rules::publish_to(&http.ctx, id).await;
        crate::indicators::retag(&http.ctx, &changed).await.map_err(|error| Fail::internal(format!("{error:#}")))?;
    }
    Ok(Versioned(changed.version, changed))
}

/// `POST /devices/{id}/revoke`
pub async fn revoke(State(http): State<Http>, caller: Caller, Path(id): Path<DeviceId>) -> Answer<Versioned<Device>> {
    caller.require_step_up(http.ctx.now())?;
    let changed = change(&http, id, |device| {
        device.health = SensorHealth::Revoked;
        device.online = false;
        Ok(())
    })
    .await?;
    http.ctx.hub.drop_device(id);
    Ok(Versioned(changed.version, changed))
}

async fn change(http: &Http, id: DeviceId, change: impl FnOnce(&mut Device) -> Answer<()> + Send) -> Answer<Device> {
    let mut tx = http.ctx.store.begin().await?;
    let mut device = tx.device(id).await?.ok_or_else(Fail::not_found)?;
    change(&mut device)?;
    let expected = device.version;
    let changed = tx.update_device(&device, expected).await?;
    tx.commit().await?;
    http.ctx.live.send(LiveEvent {
        event: "device.status",
        id: id.to_string(),
        version: changed.version,
        number: None,
        progress: None,
    });
    Ok(changed)
}

/// The tables a device fills.
const TABLES: [Table; 7] = [
    Table::DeviceProcessEvents,
    Table::DeviceFileEvents,
    Table::DeviceNetworkEvents,
    Table::DeviceEvents,
    Table::DeviceLogonEvents,
    Table::DeviceRegistryEvents,
    Table::DeviceImageLoadEvents,
];

/// `GET /devices/{id}/events`
///
/// The cursor names the last event shown (time, table, report id). Events of that same instant are
/// read again and those already shown left out, so that nothing is lost or doubled.
pub async fn events(
    State(http): State<Http>,
    Path(id): Path<DeviceId>,
    Query(query): Query<DeviceEventQuery>,
) -> Answer<Json<EventList>> {
    http.ctx.store.device(id).await?.ok_or_else(Fail::not_found)?;
    let tables = tables(query.table.as_deref())?;
    let cursor = query.cursor.as_deref().map(Cursor::read).transpose()?;
    let now = http.ctx.now();
    let to = cursor.as_ref().map_or_else(
        || query.to.unwrap_or(now.plus_seconds(3600)),
        |cursor| Timestamp::from_micros(cursor.at.as_micros().saturating_add(1)),
    );
    let from = query.from.unwrap_or_else(|| query.to.unwrap_or(now).plus_seconds(-SPAN_SECONDS));
    let wanted = limit(query.limit) as usize;
    let text = query.text.map(|text| text.to_lowercase()).filter(|text| !text.is_empty());
    let seen: HashSet<String> = cursor.map(|cursor| cursor.seen.into_iter().collect()).unwrap_or_default();
    let read = if text.is_some() { SCAN_MAX } else { wanted + seen.len() + 1 };
    let found = http
        .ctx
        .lake
        .query(LakeQuery {
            tables,
            device: Some(id),
            from,
            to,
            predicates: Vec::new(),
            newest_first: true,
            limit: read,
        })
        .await
        .map_err(|error| Fail::internal(format!("{:#}", anyhow::Error::from(error))))?;
    let cut_by_scan = found.len() == read;
    let last_read = found.last().map(|event| event.timestamp);
    let mut items: Vec<Event> = found.into_iter().filter(|event| !seen.contains(&identity(event))).collect();
    if let Some(text) = &text {
        items.retain(|event| mentions(event, text));
    }
    let more = items.len() > wanted;
    items.truncate(wanted);
    let next = match (more, cut_by_scan && text.is_some(), items.last(), last_read) {
        (true, _, Some(last), _) => Some(Cursor::after(last.timestamp, &items, &seen)),
        (false, true, _, Some(at)) => Some(Cursor::after(at, &items, &seen)),
        _ => None,
    };
    Ok(Json(EventList { items: items.into_iter().map(EventRow).collect(), next: next.map(|next| next.write()) }))
}

fn tables(text: Option<&str>) -> Answer<Vec<Table>> {
    let names: Vec<&str> = text.unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    if names.is_empty() {
        return Ok(TABLES.to_vec());
    }
    let known = |name: &&str| Table::from_name(name).filter(|table| TABLES.contains(table));
    names
        .iter()
        .map(|name| {
            known(name).ok_or_else(|| Fail::field("table", "not a table of devices", "端末のテーブルではありません"))
        })
        .collect()
}

fn identity(event: &Event) -> String {
    format!("{}:{}", event.table.name(), event.reference().report_id)
}

fn mentions(event: &Event, text: &str) -> bool {
    event.iter().any(|(_, value)| value.as_str().is_some_and(|value| value.to_lowercase().contains(text)))
}

/// Where a page of events ended.
struct Cursor {
    at: Timestamp,
    /// Events of that instant already shown.
    seen: Vec<String>,
}

impl Cursor {
    fn after(at: Timestamp, shown: &[Event], before: &HashSet<String>) -> Self {
        let same = shown.iter().filter(|event| event.timestamp == at).map(identity);
        // a page that lies within one instant adds to those shown before
        let earlier = shown.iter().all(|event| event.timestamp == at).then(|| before.iter().cloned());
        Cursor { at, seen: same.chain(earlier.into_iter().flatten()).collect() }
    }

    fn write(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::json!([1, self.at.as_micros(), self.seen]).to_string())
    }

    fn read(text: &str) -> Answer<Self> {
        let bad = || {
            Fail::field("cursor", "the cursor does not belong to this list", "カーソルがこの一覧のものではありません")
        };
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| bad())?;
        let (version, at, seen): (u8, i64, Vec<String>) = serde_json::from_slice(&bytes).map_err(|_| bad())?;
        if version != 1 || seen.len() > SCAN_MAX {
            return Err(bad());
        }
        Ok(Cursor { at: Timestamp::from_micros(at), seen })
    }
}
