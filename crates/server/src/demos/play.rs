//! Playing a scenario: its events go into the ingest log like any others.

use super::script::{DEVICES_MAX, SPAN_SECONDS_MAX, Script, parts};
use super::{Stage, mail};
use crate::app::Ctx;
use crate::ingest::{IngestError, Source};
use hinomi_cases::scenario::{Scenario, ScenarioError};
use hinomi_model::{DEMO_TAG, Demo, DemoId, DemoState, Device, DeviceId, Event, SensorStatus, Timestamp};
use hinomi_store::{Page, StoreError};
use std::collections::BTreeSet;

/// Demos at the same time.
pub const DEMOS_MAX: i64 = 20;
/// Rows of all events and mails of one demo.
const ROWS_MAX: usize = 50_000;

/// A scenario cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// It cannot be read.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// A mail cannot be played.
    #[error("{path}: {reason}")]
    Mail {
        /// Its file.
        path: String,
        /// Why.
        reason: String,
    },
    /// Its events lie too far apart.
    #[error("the events span more than {} days", SPAN_SECONDS_MAX / 86_400)]
    Span,
    /// Too much of something.
    #[error("more than {max} {what}")]
    TooMuch {
        /// `devices` or `rows`.
        what: &'static str,
        /// Most allowed.
        max: usize,
    },
    /// So many demos are there that no other fits.
    #[error("there are {DEMOS_MAX} demos already; remove one first")]
    Full,
    /// Its events cannot be handed in.
    #[error("hand in events")]
    Ingest(#[from] IngestError),
    /// The store failed.
    #[error("store demo")]
    Store(#[from] StoreError),
}

/// Plays a scenario so that its last event happens now, and returns when everything is in the ingest
/// log; what it comes to shows from then on.
///
/// # Errors
/// [`DemoError`] names what is wrong; then nothing was played, or the demo is there as failed.
pub async fn play(ctx: &Ctx, name: &str, scenario: Scenario, by: &str) -> Result<Demo, DemoError> {
    let Stage { turn, .. } = &ctx.demos;
    let _turn = turn.lock().await;
    if ctx.store.demos(&Page::first(1)).await?.total >= DEMOS_MAX {
        return Err(DemoError::Full);
    }
    let now = ctx.now();
    let id = free_id(ctx, now).await?;
    let Scenario { title, events, mails, .. } = scenario;
    let dates: Vec<Option<Timestamp>> = mails.iter().map(|mail| mail::date(&mail.content)).collect();
    let times = || events.iter().flatten().map(|event| event.timestamp).chain(dates.iter().copied().flatten());
    let (first, last) = (times().min().unwrap_or(now), times().max().unwrap_or(now));
    if last.micros_since(first) > SPAN_SECONDS_MAX * 1_000_000 {
        return Err(DemoError::Span);
    }
    let mut script = Script::new(id, last, now);
    let mut batches = Vec::new();
    for (mail, date) in mails.iter().zip(&dates) {
        let at = script.time(date.unwrap_or(first));
        let rows = mail::rows(ctx, id, at, &mail.content).await;
        batches.extend(rows.map_err(|reason| DemoError::Mail { path: mail.path.clone(), reason })?);
    }
    for file in events {
        batches.extend(parts(file.iter().map(|event| script.event(event)).collect()));
    }
    let rows = batches.iter().map(Vec::len).sum::<usize>();
    for (what, count, max) in [("devices", script.devices.len(), DEVICES_MAX), ("rows", rows, ROWS_MAX)] {
        if count > max {
            return Err(DemoError::TooMuch { what, max });
        }
    }
    let messages: BTreeSet<&str> = batches.iter().flatten().filter_map(|event| event.str("NetworkMessageId")).collect();
    let mut demo = Demo {
        id,
        name: name.to_owned(),
        title,
        state: DemoState::Playing,
        played_by: by.to_owned(),
        played_at: now,
        first_event: script.time(first),
        last_event: now,
        events: rows as u64,
        devices: script.devices.len() as u64,
        messages: messages.len() as u64,
        through: 0,
        failure: None,
        version: 1,
    };
    let mut tx = ctx.store.begin().await?;
    tx.put_demo(&demo).await?;
    for (device, (name, events)) in script.devices {
        tx.put_device(&device_of(device, name, events, now)).await?;
    }
    tx.commit().await?;
    let handed_in = hand_in(ctx, id, batches).await;
    match &handed_in {
        Ok(through) => (demo.state, demo.through) = (DemoState::Played, *through),
        Err(error) => {
            demo.state = DemoState::Failed;
            demo.through = ctx.ingest.log().end();
            demo.failure = Some(error.to_string());
        }
    }
    demo.version = ctx.store.put_demo(&demo).await?;
    handed_in.map(|_| demo).map_err(DemoError::from)
}

/// Returns the position of the log after everything.
async fn hand_in(ctx: &Ctx, demo: DemoId, batches: Vec<Vec<Event>>) -> Result<u64, IngestError> {
    let mut through = 0;
    for events in batches {
        through = ctx.ingest.append(Source::Demo { demo }, events).await? + 1;
    }
    Ok(through)
}

async fn free_id(ctx: &Ctx, now: Timestamp) -> Result<DemoId, StoreError> {
    let mut at = now;
    loop {
        let id = DemoId::at(at);
        if ctx.store.demo(id).await?.is_none() {
            return Ok(id);
        }
        at = Timestamp::from_micros(at.as_micros() + 1_000);
    }
}

fn device_of(id: DeviceId, name: String, events: i64, now: Timestamp) -> Device {
    let name = if name.is_empty() { DEMO_TAG.to_owned() } else { name };
    Device {
        status: SensorStatus { host_name: name.clone(), ..SensorStatus::default() },
        tags: vec![DEMO_TAG.to_owned()],
        events,
        ..Device::new(id, &name, now)
    }
}
