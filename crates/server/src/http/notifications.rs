//! Notifications: channels, the log, tries.

use super::Http;
use super::fail::{Answer, Fail};
use super::request::{Json, Path, Query, list_of, page, words};
use crate::auth::Caller;
use crate::notifications;
use axum::extract::State;
use hinomi_api::{ChannelTest, List, NotificationChannel, NotificationChannels, NotificationQuery};
use hinomi_model::{Notification, NotificationId};
use hinomi_store::{NotificationFilter, Page};

/// `GET /notifications/channels`
pub async fn channels(State(http): State<Http>) -> Answer<Json<NotificationChannels>> {
    let Some(config) = &http.ctx.config.notify else { return Ok(Json(NotificationChannels { items: Vec::new() })) };
    let rules = config.all_rules();
    let mut items = Vec::new();
    for channel in config.all_channels() {
        let filter = NotificationFilter { channel: Some(channel.name.clone()), ..Default::default() };
        let last = http.ctx.store.notifications(&filter, &Page::first(1)).await?.items.pop();
        let uses =
            rules.iter().filter(|rule| rule.channels.iter().chain(&rule.escalate_to).any(|name| *name == channel.name));
        items.push(NotificationChannel {
            kind: channel.kind.word().to_owned(),
            place: channel.place(),
            language: channel.language,
            names: channel.names,
            rules: uses.map(|rule| rule.name.clone()).collect(),
            last,
            name: channel.name,
        });
    }
    Ok(Json(NotificationChannels { items }))
}

/// `GET /notifications`
pub async fn list(
    State(http): State<Http>,
    Query(query): Query<NotificationQuery>,
) -> Answer<Json<List<Notification>>> {
    let filter = NotificationFilter {
        state: words("state", query.state.as_deref())?,
        channel: query.channel,
        incident: query.incident,
    };
    let listed = http.ctx.store.notifications(&filter, &page(query.cursor, query.limit)).await?;
    Ok(Json(list_of(listed, |one| one)))
}

/// `POST /notifications/channels/{name}/test`
pub async fn test(State(http): State<Http>, caller: Caller, Path(name): Path<String>) -> Answer<Json<ChannelTest>> {
    let tried = notifications::test(&http.ctx, &name, &caller.name())
        .await
        .map_err(|error| Fail::internal(format!("{error:#}")))?
        .ok_or_else(Fail::not_found)?;
    Ok(Json(ChannelTest { ok: tried.ok, answer: tried.answer }))
}

/// `POST /notifications/{id}/resend`
pub async fn resend(State(http): State<Http>, Path(id): Path<NotificationId>) -> Answer<Json<Notification>> {
    let sent = notifications::resend(&http.ctx, id).await?;
    sent.map(Json).ok_or_else(Fail::not_found)
}
