//! Live events as server-sent events.

use super::Http;
use super::fail::{Answer, Fail};
use crate::live::LiveEvent;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use std::convert::Infallible;
use std::time::Duration;
use tokio_stream::wrappers::BroadcastStream;

/// A line of comment this often keeps proxies and clients sure (design/console.md §5).
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A stream ends after this time; the client comes back with its last id and is authenticated again,
/// so that an ended session or a lost role does not listen on.
const LIFETIME: Duration = Duration::from_secs(15 * 60);
/// Most open streams.
const STREAMS_MAX: usize = 1_000;

/// `GET /stream`
pub async fn get_stream(State(http): State<Http>, headers: HeaderMap) -> Answer<Response> {
    let place =
        http.streams.clone().try_acquire_owned().map_err(|_| {
            Fail::unavailable("too many live streams are open", "ライブ配信の接続数が上限に達しています")
        })?;
    let last_id = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse().ok());
    let (missed, complete, receiver) = http.ctx.live.subscribe(last_id);
    let newest = missed.last().map_or(0, |(id, _)| *id);
    let reset = (!complete).then(reset);
    let replay = reset.into_iter().chain(missed.into_iter().map(|(id, event)| line(id, &event)));
    let live = BroadcastStream::new(receiver).filter_map(move |received| {
        let event = match received {
            Ok((id, event)) if id > newest => Some(line(id, &event)),
            Ok(_) => None,
            // the client reads too slowly: it must read everything again
            Err(_lagged) => Some(self::reset()),
        };
        std::future::ready(event)
    });
    let stop = http.ctx.stop.clone();
    let end = async move { tokio::time::timeout(LIFETIME, stop.cancelled()).await };
    let events = futures::stream::iter(replay).chain(live).take_until(Box::pin(end));
    let events = events.map(move |event| {
        let _held = &place;
        Ok::<_, Infallible>(event)
    });
    let stream = Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT).text("alive"));
    let mut response = stream.into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Permits for streams.
pub fn places() -> std::sync::Arc<tokio::sync::Semaphore> {
    std::sync::Arc::new(tokio::sync::Semaphore::new(STREAMS_MAX))
}

fn line(id: u64, event: &LiveEvent) -> Event {
    let data = serde_json::to_string(event).unwrap_or_default();
    Event::default().id(id.to_string()).event(event.event).data(data)
}

fn reset() -> Event {
    Event::default().event("reset").data(r#"{"id":"","version":0}"#)
}
