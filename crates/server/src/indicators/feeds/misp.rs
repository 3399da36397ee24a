//! MISP: feeds (a folder with `manifest.json` and a file per event) and instances (`restSearch`).

use super::config::FeedConfig;
use super::http::{Fetch, Stamp};
use super::{Batch, State};
use anyhow::{Context, Result, ensure};
use hinomi_detect::indicator_list::Defaults;
use hinomi_model::{IndicatorFormat, Timestamp};
use serde_json::{Value, json};

const JSON: &str = "application/json";
/// Events of a manifest that are looked at.
const MANIFEST_MAX: usize = 100_000;
/// Events fetched in one run; the rest follows with the next.
const EVENTS_MAX: usize = 1_000;
/// Attributes asked for at a time.
const PAGE: usize = 5_000;
/// Types asked for: those that can be compared here.
const TYPES: [&str; 17] = [
    "sha256",
    "sha1",
    "md5",
    "filename|sha256",
    "filename|sha1",
    "filename|md5",
    "ip-src",
    "ip-dst",
    "ip-dst|port",
    "domain",
    "hostname",
    "domain|ip",
    "url",
    "email-src",
    "email-subject",
    "uri",
    "x509-fingerprint-sha256",
];

/// Reads the events of a feed that are new or changed, newest first.
pub(super) async fn read_feed(
    fetch: &mut Fetch,
    defaults: &Defaults,
    state: &mut State,
    batch: &mut Batch,
) -> Result<()> {
    let base = fetch.base();
    let manifest = fetch.at(&base, "manifest.json")?;
    let Some(manifest) = fetch.get(manifest, JSON, &state.stamp).await.context("read manifest.json")? else {
        batch.unchanged = true;
        return Ok(());
    };
    let events = manifest.body.as_object().context("the manifest is not an object of events")?;
    ensure!(events.len() <= MANIFEST_MAX, "the manifest names more than {MANIFEST_MAX} events");
    let stamp = |event: &Value| match event.get("timestamp") {
        Some(Value::String(text)) => text.parse::<i64>().unwrap_or_default(),
        Some(Value::Number(number)) => number.as_i64().unwrap_or_default(),
        _ => 0,
    };
    let mut wanted: Vec<(&String, i64)> = Vec::new();
    for (id, event) in events {
        let at = stamp(event);
        if uuid::Uuid::parse_str(id).is_ok() && state.events.get(id).is_none_or(|known| *known < at) {
            wanted.push((id, at));
        }
    }
    wanted.sort_by_key(|(id, at)| (std::cmp::Reverse(*at), (*id).clone()));
    batch.more |= wanted.len() > EVENTS_MAX;
    state.events.retain(|id, _| events.contains_key(id));
    for (id, at) in wanted.into_iter().take(EVENTS_MAX) {
        if batch.is_full() {
            batch.more = true;
            break;
        }
        let url = fetch.at(&base, &format!("{id}.json"))?;
        let event = fetch.get(url, JSON, &Stamp::default()).await.with_context(|| format!("read event {id}"))?;
        batch.read_or_refuse(id, event.context("an answer without content")?.body, defaults).await?;
        state.events.insert(id.clone(), at);
    }
    // unless something is left, the manifest is asked for only when it changes
    state.stamp = if batch.more { Stamp::default() } else { manifest.stamp };
    Ok(())
}

/// Asks an instance for attributes that changed since the last run.
pub(super) async fn read_instance(
    fetch: &mut Fetch,
    feed: &FeedConfig,
    defaults: &Defaults,
    state: &mut State,
    batch: &mut Batch,
    now: Timestamp,
) -> Result<()> {
    let base = fetch.base();
    let since = state.since.unwrap_or(now.as_micros() / 1_000_000 - i64::from(feed.expires_days) * 24 * 3_600);
    let begun = now.as_micros() / 1_000_000;
    for page in 1.. {
        let body = json!({
            "returnFormat": "json", "to_ids": 1, "deleted": 0, "published": 1, "enforceWarninglist": 1,
            "type": TYPES, "timestamp": since.to_string(), "limit": PAGE, "page": page,
        });
        let answer =
            fetch.post(fetch.at(&base, "attributes/restSearch")?, &body).await.context("ask for attributes")?;
        let found = answer.body.get("response").and_then(|response| response.get("Attribute"));
        let found = found.and_then(Value::as_array).context("the answer has no response.Attribute")?;
        let count = found.len();
        if count > 0 {
            batch.read(json!({"Attribute": found}), IndicatorFormat::Misp, defaults).await?;
        }
        if count < PAGE {
            break;
        }
        if batch.is_full() {
            batch.more = true;
            return Ok(());
        }
    }
    state.since = Some(begun);
    Ok(())
}
