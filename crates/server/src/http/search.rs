//! One search over everything: exact values first, then words; and the pivot of one value.

use super::Http;
use super::fail::{Answer, Fail};
use super::request::{Json, Query, length};
use axum::extract::State;
use hinomi_api::{Pivot, PivotRequest, SearchAnswer, SearchHit, SearchHitKind, SearchQuery};
use hinomi_model::{EntityKey, EntityKind, MailField, MailFilter};
use hinomi_store::{AlertFilter, DeviceFilter, IncidentFilter, Page, PersonFilter, SightingSummary};

/// Most hits.
const HITS_MAX: usize = 50;
/// Most hits of one kind.
const KIND_MAX: u32 = 10;

/// `GET /search`
pub async fn search(State(http): State<Http>, Query(query): Query<SearchQuery>) -> Answer<Json<SearchAnswer>> {
    let text = query.q.trim().to_owned();
    length("q", &text, 1, 500)?;
    let mut hits = exact(&http, &text).await?;
    hits.extend(words(&http, &text).await?);
    let mut seen = std::collections::HashSet::new();
    hits.retain(|hit| seen.insert(format!("{:?}:{}", hit.kind, hit.key)));
    hits.truncate(HITS_MAX);
    Ok(Json(SearchAnswer { hits }))
}

/// `GET /pivot`
pub async fn pivot(State(http): State<Http>, Query(query): Query<PivotRequest>) -> Answer<Json<Pivot>> {
    length("value", query.value.trim(), 1, hinomi_cases::PIVOT_VALUE_CHARS_MAX)?;
    let answer = crate::pivot::pivot(&http.ctx, &query.value, query.pivot_type).await?;
    let unfit = || {
        let wanted = query.pivot_type.map(hinomi_model::PivotType::word).unwrap_or_default();
        Fail::field("value", format!("not a value of the type {wanted}"), format!("種類 {wanted} の値ではありません"))
    };
    answer.map(Json).ok_or_else(unfit)
}

/// Values that name one thing: numbers, hashes, addresses, keys.
async fn exact(http: &Http, text: &str) -> Answer<Vec<SearchHit>> {
    let store = &http.ctx.store;
    let mut hits = Vec::new();
    let number = text.strip_prefix("INC-").or(text.strip_prefix("inc-")).unwrap_or(text).parse::<i64>();
    if let Ok(number) = number
        && let Some(incident) = store.incident_by_number(number).await?
    {
        hits.push(incident_hit(&incident));
    }
    for key in observables(text) {
        let summary = store.sighting_summary(&key).await?;
        if summary.devices + summary.messages > 0 {
            let kind = if key.kind == EntityKind::File { SearchHitKind::File } else { SearchHitKind::Entity };
            hits.push(SearchHit {
                kind,
                key: if key.kind == EntityKind::File { key.value.clone() } else { key.to_string() },
                title: key.value.clone(),
                detail: detail(&key, &summary),
            });
        }
    }
    Ok(hits)
}

fn detail(key: &EntityKey, summary: &SightingSummary) -> String {
    let least = if summary.exact { "" } else { "at least " };
    format!("{}: {least}{} devices, {} messages", key.kind.name(), summary.devices, summary.messages)
}

/// What a text may be the value of.
fn observables(text: &str) -> Vec<EntityKey> {
    if let Ok(key) = text.parse::<EntityKey>() {
        return vec![key];
    }
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return vec![EntityKey::file(text)];
    }
    if let Ok(address) = text.parse::<std::net::IpAddr>() {
        return vec![EntityKey::ip(&address.to_string())];
    }
    if text.contains("://") {
        return vec![EntityKey::url(text)];
    }
    if text.contains('@') {
        return vec![EntityKey::sender(text), EntityKey::mailbox(text)];
    }
    if text.contains('.') && !text.contains(char::is_whitespace) {
        return vec![EntityKey::domain(text)];
    }
    Vec::new()
}

fn incident_hit(incident: &hinomi_model::Incident) -> SearchHit {
    SearchHit {
        kind: SearchHitKind::Incident,
        key: incident.number.to_string(),
        title: format!("INC-{} {}", incident.number, incident.title.en),
        detail: incident.title.ja.clone(),
    }
}

async fn words(http: &Http, text: &str) -> Answer<Vec<SearchHit>> {
    let store = &http.ctx.store;
    let first = Page::first(KIND_MAX);
    let wanted = Some(text.to_owned());
    let status = super::incidents::not_redirected();
    let incidents =
        store.incidents(&IncidentFilter { status, text: wanted.clone(), ..Default::default() }, &first).await?;
    let mut hits: Vec<SearchHit> = incidents.items.iter().map(incident_hit).collect();
    let devices = store.devices(&DeviceFilter { text: wanted.clone(), ..Default::default() }, &first).await?;
    hits.extend(devices.items.into_iter().map(|device| SearchHit {
        kind: SearchHitKind::Device,
        key: device.id.to_string(),
        title: device.name,
        detail: device.status.os_version,
    }));
    let alerts = store.alerts(&AlertFilter { text: wanted.clone(), ..Default::default() }, &first).await?;
    hits.extend(alerts.items.into_iter().map(|alert| SearchHit {
        kind: SearchHitKind::Alert,
        key: alert.id.to_string(),
        title: alert.title.en,
        detail: alert.title.ja,
    }));
    let people = store.people(&PersonFilter { text: wanted.clone(), ..Default::default() }, &first).await?;
    // a person is reached by mailbox, or else by account
    hits.extend(people.items.into_iter().filter_map(|person| {
        let key = match (&person.mailbox, person.accounts.first()) {
            (Some(mailbox), _) => EntityKey::mailbox(mailbox),
            (None, Some(account)) => EntityKey::user(account),
            (None, None) => return None,
        };
        let more = person.accounts.iter().chain(&person.department);
        Some(SearchHit {
            kind: SearchHitKind::Entity,
            key: key.to_string(),
            title: person.name.clone(),
            detail: more.map(String::as_str).collect::<Vec<_>>().join(", "),
        })
    }));
    let messages = store.messages(&MailFilter::default().with(MailField::Text, text), &first).await?;
    hits.extend(messages.items.into_iter().map(|copy| SearchHit {
        kind: SearchHitKind::Message,
        key: copy.message_id.to_string(),
        title: copy.subject,
        detail: format!("{} → {}", copy.sender_from, copy.recipient),
    }));
    Ok(hits)
}
