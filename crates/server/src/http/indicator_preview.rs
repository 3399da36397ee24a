//! What an indicator would have matched: looked up before somebody allows, audits or blocks a value.

use super::Http;
use super::fail::{Answer, Fail};
use super::request::{Json, Query, length};
use crate::indicators::guard;
use axum::extract::State;
use hinomi_api::{IndicatorPreview, IndicatorPreviewQuery};
use hinomi_model::{
    EntityKey, EntityKind, IndicatorAction, IndicatorKind, IndicatorSpec, Severity, Sighting, Timestamp,
};
use hinomi_store::{AlertFilter, Page, SEEN_MAX};
use std::collections::{BTreeMap, BTreeSet};

/// Days looked back.
const DAYS: i64 = 30;
/// Names told.
const SHOWN_MAX: usize = 10;
/// Messages whose mailboxes are counted.
const MESSAGES_MAX: usize = 200;

/// `GET /indicators/preview`
pub async fn preview(
    State(http): State<Http>,
    Query(query): Query<IndicatorPreviewQuery>,
) -> Answer<Json<IndicatorPreview>> {
    let value = query.value.trim().to_owned();
    length("value", &value, 1, 2_048)?;
    let entity = match query.kind {
        IndicatorKind::FileSha256 => EntityKey::file(&value),
        IndicatorKind::Ip => EntityKey::ip(&value),
        IndicatorKind::Domain => EntityKey::domain(&value),
        IndicatorKind::Url => EntityKey::url(&value),
        IndicatorKind::SenderAddress => EntityKey::sender(&value),
        _ => {
            return Err(Fail::field(
                "kind",
                "a preview is there for fileSha256, ip, domain, url and senderAddress",
                "プレビューできるのは fileSha256、ip、domain、url、senderAddress です",
            ));
        }
    };
    let now = http.ctx.now();
    let since = now.plus_seconds(-DAYS * 24 * 3600);
    let store = &http.ctx.store;
    let spec = |action| IndicatorSpec {
        kind: query.kind,
        value: value.clone(),
        action,
        severity: Severity::Medium,
        note: String::new(),
        expires_at: None,
        scope: Default::default(),
    };
    let refused = guard::refusal(&spec(IndicatorAction::Block), &http.ctx.config.gateway.own_domains);
    let devices = recent(&http, &entity, EntityKind::Device, since).await?;
    let copies = recent(&http, &entity, EntityKind::MessageCopy, since).await?;
    let messages = recent(&http, &entity, EntityKind::Message, since).await?;
    let mut mailboxes: BTreeSet<String> =
        copies.items.iter().filter_map(|one| Some(one.entity.as_message_copy()?.1.to_owned())).collect();
    let mut exact = devices.exact && copies.exact && messages.exact;
    if copies.items.is_empty() {
        exact &= messages.items.len() <= MESSAGES_MAX;
        for id in messages.items.iter().take(MESSAGES_MAX).filter_map(|one| one.entity.value.parse().ok()) {
            mailboxes.extend(store.message_copies(id).await?.into_iter().map(|copy| copy.recipient));
        }
    }
    let of_value = AlertFilter { entity: Some(entity), since: Some(since), ..AlertFilter::default() };
    let alerts = store.alerts(&of_value, &Page::first(1)).await?.total;
    let ids = devices.items.iter().filter_map(|one| one.entity.as_device()).collect();
    let names: BTreeMap<_, _> = store.device_names(&ids).await?;
    let shown = devices.items.iter().filter_map(|one| names.get(&one.entity.as_device()?).cloned());
    let in_force = |one: &hinomi_model::Indicator| one.spec.expires_at.is_none_or(|end| end > now);
    let all = || [&devices, &copies, &messages].into_iter();
    Ok(Json(IndicatorPreview {
        days: DAYS,
        devices: devices.items.len() as i64,
        mailboxes: mailboxes.len() as i64,
        times: all().map(|seen| seen.times).sum(),
        exact,
        first_seen: all().filter_map(|seen| seen.first).min(),
        last_seen: all().filter_map(|seen| seen.last).max(),
        alerts,
        device_names: shown.take(SHOWN_MAX).collect(),
        mailbox_names: mailboxes.into_iter().take(SHOWN_MAX).collect(),
        refused,
        indicator: store.indicator_of(query.kind, &value).await?.filter(in_force),
    }))
}

/// What had to do with a value lately.
struct Recent {
    items: Vec<Sighting>,
    times: i64,
    exact: bool,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

async fn recent(http: &Http, value: &EntityKey, kind: EntityKind, since: Timestamp) -> Answer<Recent> {
    let seen = http.ctx.store.seen(value, kind, SEEN_MAX).await?;
    let real = |one: &Sighting| one.last_seen >= since && demo(&one.entity).is_none();
    let items: Vec<Sighting> = seen.items.into_iter().filter(real).collect();
    let times = items.iter().map(|one| one.count).sum();
    Ok(Recent { items, times, exact: seen.exact, first: seen.first, last: seen.last })
}

/// The demo an entity belongs to.
fn demo(entity: &EntityKey) -> Option<hinomi_model::DemoId> {
    let message = entity.as_message_copy().map(|(id, _)| id).or_else(|| entity.value.parse().ok());
    match entity.kind {
        EntityKind::Device => entity.as_device()?.demo(),
        _ => message?.demo(),
    }
}
