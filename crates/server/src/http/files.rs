//! The pivot: who had a file or another value, and which mailboxes hold a file now.

use super::Http;
use super::fail::{Answer, Fail};
use super::request::{Json, Path, Query, list_of, page};
use crate::auth::Caller;
use crate::mailboxes::{Reading, Reason};
use axum::extract::State;
use hinomi_api::{AlertSummary, FileMailboxes, FilePage, List, MailboxCopy, MailboxCopyState, SightingQuery};
use hinomi_model::{
    EntityKey, EntityKind, Indicator, IndicatorAction, IndicatorKind, MailField, MailFilter, MessageCopy,
    MessageCopyRef, Sighting, Verdict,
};
use hinomi_store::{AlertFilter, Page};
use std::collections::HashMap;

/// Most devices and message copies shown on a file's page.
const SHOWN_MAX: usize = 500;
/// Most names shown.
const NAMES_MAX: usize = 50;
/// Most alerts shown.
const ALERTS_MAX: u32 = 100;
/// Most mailboxes asked for one file.
const MAILBOXES_MAX: usize = 10_000;

pub(super) fn checked_hash(text: &str) -> Answer<String> {
    let hash = text.to_ascii_lowercase();
    if hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(hash);
    }
    Err(Fail::field("sha256", "not a SHA-256 in hexadecimal", "SHA-256 (16 進数) ではありません"))
}

/// `GET /files/{sha256}`
pub async fn get(State(http): State<Http>, Path(sha256): Path<String>) -> Answer<Json<FilePage>> {
    let sha256 = checked_hash(&sha256)?;
    let store = &http.ctx.store;
    let file = EntityKey::file(&sha256);
    let summary = store.sighting_summary(&file).await?;
    let devices = sightings_all(&http, &file, EntityKind::Device).await?;
    let messages = copies(&http, &sha256, SHOWN_MAX).await?;
    let of_file = AlertFilter { entity: Some(file.clone()), ..AlertFilter::default() };
    let alerts = store.alerts(&of_file, &Page::first(ALERTS_MAX)).await?.items;
    let in_force = |one: &Indicator| one.spec.expires_at.is_none_or(|end| end > http.ctx.now());
    let indicator = store.indicator_of(IndicatorKind::FileSha256, &sha256).await?.filter(in_force);
    let judged =
        alerts.iter().flat_map(|alert| &alert.evidence).filter(|one| one.entity == file).map(|one| one.verdict);
    let verdict = match indicator.as_ref().map(|one| one.spec.action) {
        Some(action) if action.blocks() => Verdict::Malicious,
        Some(IndicatorAction::Allow) => Verdict::NoThreatsFound,
        _ => judged.max().unwrap_or(Verdict::Unknown),
    };
    let names = names(&devices, &messages, &sha256);
    Ok(Json(FilePage {
        names,
        first_seen: summary.first,
        last_seen: summary.last,
        devices,
        device_count: summary.devices,
        messages,
        message_count: summary.copies,
        counts_exact: summary.exact,
        indicator,
        verdict,
        alerts: alerts.into_iter().map(|alert| AlertSummary::new(alert, None)).collect(),
        sha256,
    }))
}

async fn sightings_all(http: &Http, observable: &EntityKey, kind: EntityKind) -> Answer<Vec<Sighting>> {
    let mut all = Vec::new();
    let mut cursor = None;
    loop {
        let listed = http.ctx.store.sightings(observable, Some(kind), &page(cursor, Some(200))).await?;
        all.extend(listed.items);
        cursor = listed.next;
        if cursor.is_none() || all.len() >= SHOWN_MAX {
            all.truncate(SHOWN_MAX);
            return Ok(all);
        }
    }
}

async fn copies(http: &Http, sha256: &str, max: usize) -> Answer<Vec<MessageCopy>> {
    let filter = MailFilter::default().with(MailField::AttachmentSha256, sha256);
    let mut all = Vec::new();
    let mut cursor = None;
    loop {
        let listed = http.ctx.store.messages(&filter, &page(cursor, Some(200))).await?;
        all.extend(listed.items);
        cursor = listed.next;
        if cursor.is_none() || all.len() >= max {
            all.truncate(max);
            return Ok(all);
        }
    }
}

fn names(devices: &[Sighting], messages: &[MessageCopy], sha256: &str) -> Vec<String> {
    let mut counts: HashMap<&str, i64> = HashMap::new();
    for sighting in devices {
        let base = sighting.name.rsplit(['/', '\\']).next().unwrap_or(&sighting.name);
        *counts.entry(base).or_default() += sighting.count;
    }
    for attachment in messages.iter().flat_map(|copy| &copy.attachments).filter(|one| one.sha256 == sha256) {
        *counts.entry(&attachment.name).or_default() += 1;
    }
    let mut names: Vec<(&str, i64)> = counts.into_iter().filter(|(name, _)| !name.is_empty()).collect();
    names.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    names.into_iter().take(NAMES_MAX).map(|(name, _)| name.to_owned()).collect()
}

/// `GET /files/{sha256}/mailboxes`
pub async fn mailboxes(
    State(http): State<Http>,
    caller: Caller,
    Path(sha256): Path<String>,
) -> Answer<Json<FileMailboxes>> {
    let sha256 = checked_hash(&sha256)?;
    let mut copies = copies(&http, &sha256, MAILBOXES_MAX).await?;
    // mailboxes of demos do not exist
    copies.retain(|copy| copy.message_id.demo().is_none());
    let checked_at = http.ctx.now();
    if copies.is_empty() {
        return Ok(Json(FileMailboxes { checked_at, copies: Vec::new() }));
    }
    let Some(mail) = http.ctx.mail.get() else {
        return Err(Fail::unavailable("no mailboxes are connected", "メールボックスが接続されていません"));
    };
    let reading = Reading { actor: caller.name(), reason: Reason::File { sha256 } };
    let found = mail.find(&reading, &copies).await;
    let answer = copies.iter().zip(found).map(|(copy, found)| live(copy, found)).collect();
    Ok(Json(FileMailboxes { checked_at, copies: answer }))
}

fn live(copy: &MessageCopy, found: crate::mailboxes::Found) -> MailboxCopy {
    use crate::mailboxes::Found;
    use hinomi_model::DeliveryLocation;
    let (state, folder, detail) = match found {
        Found::Located(at) => (MailboxCopyState::Present, Some(at.folder), String::new()),
        Found::NotFound if copy.latest_location == DeliveryLocation::Quarantine => {
            (MailboxCopyState::Removed, None, String::new())
        }
        Found::NotFound => (MailboxCopyState::NotFound, None, String::new()),
        Found::Failed(reason) => (MailboxCopyState::Failed, None, reason),
    };
    let copy = MessageCopyRef { message_id: copy.message_id, recipient: copy.recipient.clone() };
    MailboxCopy { copy, state, folder, detail }
}

/// `GET /sightings`
pub async fn sightings(State(http): State<Http>, Query(query): Query<SightingQuery>) -> Answer<Json<List<Sighting>>> {
    let page = page(query.cursor, query.limit);
    let listed = http.ctx.store.sightings(&query.observable, query.entity_kind, &page).await?;
    Ok(Json(list_of(listed, |sighting| sighting)))
}
