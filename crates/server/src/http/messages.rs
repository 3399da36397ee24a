//! Message copies, what happened to them, and their headers.

use super::Http;
use super::fail::{Answer, Fail};
use super::request::{Json, Path, Query, length, list_of, page, words};
use crate::auth::Caller;
use crate::mail_header::{self, HeaderError};
use axum::extract::State;
use hinomi_api::{EventList, EventRow, List, MessageHeader, MessageQuery, PivotDevice, ReadHeader};
use hinomi_lake::{LakeQuery, Op, Predicate};
use hinomi_model::{DeliveryLocation, MailCondition, MailField, MailFilter, MessageCopy, MessageId, Table};
use serde_json::json;

/// Most events of one message that are shown.
const EVENTS_MAX: usize = 1_000;

/// `GET /messages`
pub async fn list(State(http): State<Http>, Query(query): Query<MessageQuery>) -> Answer<Json<List<MessageCopy>>> {
    let mut filter = MailFilter { from: query.from, to: query.to, ..MailFilter::default() };
    for (field, value) in [
        (MailField::Sender, query.sender),
        (MailField::Recipient, query.recipient),
        (MailField::Text, query.text),
        (MailField::AttachmentSha256, query.sha256),
        (MailField::Url, query.url),
        (MailField::InternetMessageId, query.internet_message_id),
    ] {
        if let Some(value) = value {
            filter = filter.with(field, value);
        }
    }
    let locations = words::<DeliveryLocation>("location", query.location.as_deref())?;
    if !locations.is_empty() {
        let values = locations.into_iter().map(DeliveryLocation::word).collect();
        filter.conditions.push(MailCondition { field: MailField::Location, values, negate: false });
    }
    let listed = http.ctx.store.messages(&filter, &page(query.cursor, query.limit)).await?;
    Ok(Json(list_of(listed, |copy| copy)))
}

/// `GET /messages/{message_id}`
pub async fn get(State(http): State<Http>, Path(id): Path<MessageId>) -> Answer<Json<List<MessageCopy>>> {
    let copies = http.ctx.store.message_copies(id).await?;
    if copies.is_empty() { Err(Fail::not_found()) } else { Ok(Json(List::whole(copies))) }
}

/// `GET /messages/{message_id}/devices`
pub async fn devices(State(http): State<Http>, Path(id): Path<MessageId>) -> Answer<Json<List<PivotDevice>>> {
    let devices = crate::pivot::message_devices(&http.ctx, id).await?.ok_or_else(Fail::not_found)?;
    Ok(Json(List { items: devices.items, next: None, total: devices.total }))
}

/// `GET /messages/{message_id}/events`
pub async fn events(State(http): State<Http>, Path(id): Path<MessageId>) -> Answer<Json<EventList>> {
    let copies = http.ctx.store.message_copies(id).await?;
    let first = copies.iter().map(|copy| copy.received_at).min().ok_or_else(Fail::not_found)?;
    let query = LakeQuery {
        // an act is noted after the mail is known, but by another clock
        from: first.plus_seconds(-3600),
        predicates: vec![Predicate { column: "NetworkMessageId".to_owned(), op: Op::Eq(id.to_string().into()) }],
        limit: EVENTS_MAX,
        ..LakeQuery::of(Table::EmailPostDeliveryEvents)
    };
    let found = http.ctx.lake.query(query).await;
    let found = found.map_err(|error| Fail::internal(format!("{:#}", anyhow::Error::from(error))))?;
    Ok(Json(EventList { items: found.into_iter().map(EventRow).collect(), next: None }))
}

/// `POST /messages/{message_id}/header`
pub async fn header(
    State(http): State<Http>,
    caller: Caller,
    Path(id): Path<MessageId>,
    Json(body): Json<ReadHeader>,
) -> Answer<Json<MessageHeader>> {
    caller.note(id, json!({ "reason": body.reason, "recipient": body.recipient }));
    let why = body.reason.trim();
    length("reason", why, 1, 500)?;
    let read = mail_header::read(&http.ctx, id, body.recipient.as_deref(), why, &caller.name()).await;
    read.map(Json).map_err(|error| match error {
        HeaderError::NoSuchCopy => Fail::not_found(),
        HeaderError::Unavailable => {
            Fail::unavailable("no mailboxes are connected", "メールボックスが接続されていません")
        }
        HeaderError::Gone(asked) => Fail::conflict(
            "gone",
            format!("the message is in none of the {asked} mailboxes asked"),
            format!("確認した {asked} 件のメールボックスにこのメールはありません"),
        ),
        HeaderError::Failed(reason) => Fail::unavailable(
            format!("the mailbox could not be read: {reason}"),
            format!("メールボックスを読み取れませんでした: {reason}"),
        ),
        HeaderError::Store(error) => error.into(),
    })
}
