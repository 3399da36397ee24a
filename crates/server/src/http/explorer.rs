//! The mail explorer: messages by conditions, flat, in groups, over time.

use super::Http;
use super::fail::{Answer, Fail};
use super::request::{Json, page};
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use hinomi_api::{
    ExplorerBucket, ExplorerCounts, ExplorerGroup, ExplorerGroups, ExplorerMessage, ExplorerPage, RecipientState,
    ValueCount,
};
use hinomi_model::{MailCondition, MailField, MailFilter, Timestamp};
use hinomi_store::{ExploredMessage, GroupBy, Pivot};
use std::collections::HashMap;

/// Groups returned when nothing is asked for.
const GROUPS_DEFAULT: u32 = 20;

/// Conditions and the rest of a query string.
pub struct Explore {
    filter: MailFilter,
    rest: HashMap<String, String>,
}

impl FromRequestParts<Http> for Explore {
    type Rejection = Fail;

    async fn from_request_parts(parts: &mut Parts, _: &Http) -> Answer<Self> {
        read(parts.uri.query().unwrap_or_default())
    }
}

fn read(query: &str) -> Answer<Explore> {
    let mut explore = Explore { filter: MailFilter::default(), rest: HashMap::new() };
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let (negate, field) = match name.strip_prefix("not.") {
            Some(field) => (true, field),
            None => (false, &*name),
        };
        if let Ok(field) = field.parse::<MailField>() {
            let values = if holds_commas(field) {
                vec![value.into_owned()]
            } else {
                value.split(',').map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned).collect()
            };
            if !values.is_empty() {
                explore.filter.conditions.push(MailCondition { field, values, negate });
            }
            continue;
        }
        let time = |value: &str| {
            Timestamp::parse(value)
                .map(Some)
                .ok_or_else(|| Fail::field(&name, "not an RFC 3339 time", "時刻として読み取れません"))
        };
        match &*name {
            "from" => explore.filter.from = time(&value)?,
            "to" => explore.filter.to = time(&value)?,
            "cursor" | "limit" | "group_by" | "pivot" => {
                explore.rest.insert(name.into_owned(), value.into_owned());
            }
            _ => return Err(Fail::bad_request(format!("unknown parameter {name}"))),
        }
    }
    Ok(explore)
}

/// Texts in which a comma is part of the value.
fn holds_commas(field: MailField) -> bool {
    matches!(
        field,
        MailField::Subject
            | MailField::Text
            | MailField::Url
            | MailField::UrlPath
            | MailField::AttachmentName
            | MailField::SenderName
            | MailField::EngineVerdict
            | MailField::InternetMessageId
    )
}

impl Explore {
    fn limit(&self) -> Answer<Option<u32>> {
        let number = |text: &String| {
            text.parse().map_err(|_| Fail::field("limit", "limit is not a number", "limit は数値で指定してください"))
        };
        self.rest.get("limit").map(number).transpose()
    }
}

/// `GET /mail/explorer`
pub async fn list(State(http): State<Http>, explore: Explore) -> Answer<Json<ExplorerPage>> {
    let page = page(explore.rest.get("cursor").cloned(), explore.limit()?);
    let explored = http.ctx.store.explore(&explore.filter, &page).await?;
    Ok(Json(ExplorerPage {
        items: explored.items.into_iter().filter_map(message).collect(),
        next: explored.next,
        total: explored.total.count,
        total_exact: explored.total.exact,
    }))
}

fn message(explored: ExploredMessage) -> Option<ExplorerMessage> {
    let recipients = explored.copies.iter().map(RecipientState::of).collect();
    let first = explored.copies.into_iter().next()?;
    Some(ExplorerMessage { message: first, recipients, recipient_count: explored.copy_count })
}

/// `GET /mail/explorer/groups`
pub async fn groups(State(http): State<Http>, explore: Explore) -> Answer<Json<ExplorerGroups>> {
    let by = match explore.rest.get("group_by").map_or("campaign", String::as_str) {
        "campaign" => GroupBy::Campaign,
        "subject" => GroupBy::Subject,
        "body" => GroupBy::Body,
        "sender" => GroupBy::Sender,
        "urls" => GroupBy::Urls,
        "attachments" => GroupBy::Attachments,
        _ => return Err(Fail::field("group_by", "not a way to group", "group_by の値が正しくありません")),
    };
    let limit = explore.limit()?.unwrap_or(GROUPS_DEFAULT);
    let groups = http.ctx.store.mail_groups(&explore.filter, by, limit).await?;
    let group = |group: hinomi_store::MailGroup| {
        Some(ExplorerGroup {
            key: group.key,
            messages: group.messages,
            recipients: group.copies,
            first: group.first,
            last: group.last,
            sample: message(group.sample)?,
        })
    };
    Ok(Json(ExplorerGroups {
        items: groups.items.into_iter().filter_map(group).collect(),
        alone: groups.alone,
        since: groups.since,
    }))
}

/// `GET /mail/explorer/counts`
pub async fn counts(State(http): State<Http>, explore: Explore) -> Answer<Json<ExplorerCounts>> {
    let pivot = match explore.rest.get("pivot").map_or("delivery_action", String::as_str) {
        "sender_domain" => Pivot::SenderDomain,
        "sender_ip" => Pivot::SenderIp,
        "url_domain" => Pivot::UrlDomain,
        "recipient" => Pivot::Recipient,
        word => match word.parse() {
            Ok(
                field @ (MailField::DeliveryAction
                | MailField::Location
                | MailField::OriginalLocation
                | MailField::Direction
                | MailField::Source
                | MailField::Verdict
                | MailField::Threat
                | MailField::Spf
                | MailField::Dkim
                | MailField::Dmarc),
            ) => Pivot::Word(field),
            _ => return Err(Fail::field("pivot", "not something to count by", "pivot の値が正しくありません")),
        },
    };
    let counts = http.ctx.store.mail_counts(&explore.filter, pivot).await?;
    let value = |(value, count)| ValueCount { value, count };
    let bucket = |bucket: hinomi_store::Bucket| ExplorerBucket {
        start: bucket.start,
        total: bucket.total,
        values: bucket.values.into_iter().map(value).collect(),
    };
    Ok(Json(ExplorerCounts {
        bucket_hours: counts.bucket_hours,
        buckets: counts.buckets.into_iter().map(bucket).collect(),
        total: counts.total.count,
        total_exact: counts.total.exact,
        values: counts.values.into_iter().map(value).collect(),
        since: counts.since,
    }))
}
