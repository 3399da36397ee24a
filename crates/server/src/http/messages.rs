//! Message copies.

use super::Http;
use super::fail::{Answer, Fail};
use super::request::{Json, Path, Query, list_of, page, words};
use axum::extract::State;
use hinomi_api::{List, MessageQuery};
use hinomi_model::{MessageCopy, MessageId};
use hinomi_store::MessageFilter;

/// `GET /messages`
pub async fn list(State(http): State<Http>, Query(query): Query<MessageQuery>) -> Answer<Json<List<MessageCopy>>> {
    let filter = MessageFilter {
        sender: query.sender,
        recipient: query.recipient,
        text: query.text,
        sha256: query.sha256.map(|hash| hash.to_ascii_lowercase()),
        url: query.url,
        location: words("location", query.location.as_deref())?,
        internet_message_id: query.internet_message_id,
        since: query.from,
        until: query.to,
        ..MessageFilter::default()
    };
    let listed = http.ctx.store.messages(&filter, &page(query.cursor, query.limit)).await?;
    Ok(Json(list_of(listed, |copy| copy)))
}

/// `GET /messages/{message_id}`
pub async fn get(State(http): State<Http>, Path(id): Path<MessageId>) -> Answer<Json<List<MessageCopy>>> {
    let copies = http.ctx.store.message_copies(id).await?;
    if copies.is_empty() { Err(Fail::not_found()) } else { Ok(Json(List::whole(copies))) }
}
