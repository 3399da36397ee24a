//! Message copies.

use super::Http;
use super::fail::{Answer, Fail};
use super::request::{Json, Path, Query, list_of, page, words};
use axum::extract::State;
use hinomi_api::{List, MessageQuery, PivotDevice};
use hinomi_model::{DeliveryLocation, MailCondition, MailField, MailFilter, MessageCopy, MessageId};

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
