//! The crawl of the mailboxes, the dry run of a removal, and removals by filter.

use super::Http;
use super::actions::idempotency_key;
use super::fail::{Answer, Fail};
use super::request::{Created, Json, Path, length};
use crate::auth::Caller;
use crate::bulk::{self, BulkError};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use hinomi_api::{CrawlMailboxStatus, CrawlStatus, DryRun, DryRunResult, MailBulk, NewMailBulk};
use hinomi_model::MessageRemedy;
use hinomi_store::CrawlMailbox;
use serde_json::json;

/// Most copies named by hand.
const COPIES_MAX: usize = 5_000;
/// Most indicators made with a bulk action.
const BLOCK_MAX: usize = 50;

/// `GET /mail/crawl`
pub async fn crawl(State(http): State<Http>) -> Answer<Json<CrawlStatus>> {
    let known = http.ctx.store.crawl_mailboxes().await?;
    let count = |holds: fn(&CrawlMailbox) -> bool| known.iter().filter(|one| holds(one)).count() as i64;
    let config = &http.ctx.config;
    Ok(Json(CrawlStatus {
        enabled: config.crawl.is_some() && config.mailboxes.iter().any(|system| system.imap.is_some()),
        mailboxes: known.len() as i64,
        finished: count(|one| one.finished_at.is_some()),
        running: count(|one| one.state == "running"),
        failed: count(|one| one.state == "failed"),
        mails: known.iter().map(|one| one.mails).sum(),
        skipped: known.iter().map(|one| one.skipped).sum(),
        items: known.into_iter().map(status).collect(),
    }))
}

fn status(known: CrawlMailbox) -> CrawlMailboxStatus {
    CrawlMailboxStatus {
        mailbox: known.mailbox,
        state: known.state,
        mails: known.mails,
        skipped: known.skipped,
        started_at: known.started_at,
        finished_at: known.finished_at,
        next_at: known.next_at,
        error: known.error,
    }
}

/// `POST /mail/dry-run`
pub async fn dry_run(State(http): State<Http>, caller: Caller, Json(body): Json<DryRun>) -> Answer<Json<DryRunResult>> {
    caller.note("", json!({ "copies": body.copies.len(), "filter": body.filter }));
    if body.copies.is_empty() == body.filter.is_none() || body.copies.len() > COPIES_MAX {
        return Err(Fail::field(
            "copies",
            "name 1 to 5,000 copies or a filter",
            "1〜5,000 通のコピー、または検索条件のどちらかを指定してください",
        ));
    }
    if body.filter.as_ref().is_some_and(|filter| filter.conditions.is_empty()) {
        return Err(Fail::field("filter", "a filter needs a condition", "検索条件を 1 つ以上指定してください"));
    }
    if http.ctx.mail.get().is_none() {
        return Err(Fail::unavailable("no mailboxes are connected", "メールボックスが接続されていません"));
    }
    crate::dry_run::make(&http.ctx, &body, &caller.name()).await.map(Json).map_err(failed)
}

fn failed(error: anyhow::Error) -> Fail {
    match error.downcast::<hinomi_store::StoreError>() {
        Ok(error) => error.into(),
        Err(error) => Fail::internal(format!("{error:#}")),
    }
}

/// `POST /mail/bulk`
pub async fn create_bulk(
    State(http): State<Http>,
    caller: Caller,
    headers: HeaderMap,
    Json(body): Json<NewMailBulk>,
) -> Answer<Created<MailBulk>> {
    caller.note(
        "",
        json!({
            "filter": body.filter, "remedy": body.remedy, "reason": body.reason, "confirmed": body.confirmed,
            "block": body.block,
        }),
    );
    length("reason", body.reason.trim(), 1, 2_000)?;
    if body.filter.conditions.is_empty() {
        return Err(Fail::field("filter", "a filter needs a condition", "検索条件を 1 つ以上指定してください"));
    }
    if body.block.len() > BLOCK_MAX {
        return Err(Fail::field("block", "at most 50 indicators", "インジケーターは 50 件までです"));
    }
    if body.remedy == MessageRemedy::HardDelete && !body.propose_only {
        caller.require_step_up(http.ctx.now())?;
    }
    if http.ctx.mail.get().is_none() {
        return Err(Fail::unavailable("no mailboxes are connected", "メールボックスが接続されていません"));
    }
    let key = idempotency_key(&headers)?.map(|key| format!("{}:{key}", caller.name()));
    let person = caller.person().is_ok();
    match bulk::order(&http.ctx, body, &caller.name(), person, key).await {
        Ok(bulk) => Ok(Created(bulk)),
        Err(BulkError::NeedsPerson(needs)) => {
            let reasons = serde_json::to_string(&needs).unwrap_or_default();
            Err(Fail::new(
                StatusCode::CONFLICT,
                "needs_person",
                format!(
                    "a person must look at this first {reasons}; make a dry run, then send confirmed, or propose_only"
                ),
                format!(
                    "担当者の確認が必要です {reasons}。ドライランで確認し、confirmed または propose_only を指定してください"
                ),
            ))
        }
        Err(BulkError::TooMany(count)) => Err(Fail::field(
            "filter",
            format!("{count} copies: at most {} at once", bulk::COPIES_MAX),
            format!("対象が {count} 通あります。一度に {} 通までです", bulk::COPIES_MAX),
        )),
        Err(BulkError::Block(error)) => Err(error.into()),
        Err(BulkError::Other(error)) => Err(failed(error)),
    }
}

/// `GET /mail/bulk/{id}`
pub async fn get_bulk(State(http): State<Http>, Path(id): Path<uuid::Uuid>) -> Answer<Json<MailBulk>> {
    let bulk = bulk::get(&http.ctx, id).await.map_err(failed)?;
    bulk.map(Json).ok_or_else(Fail::not_found)
}

/// `POST /mail/bulk/{id}/pause`
pub async fn pause_bulk(
    State(http): State<Http>,
    caller: Caller,
    Path(id): Path<uuid::Uuid>,
) -> Answer<Json<MailBulk>> {
    held(bulk::pause(&http.ctx, id, &caller.name()).await)
}

/// `POST /mail/bulk/{id}/resume`
pub async fn resume_bulk(
    State(http): State<Http>,
    caller: Caller,
    Path(id): Path<uuid::Uuid>,
) -> Answer<Json<MailBulk>> {
    held(bulk::resume(&http.ctx, id, &caller.name()).await)
}

/// `POST /mail/bulk/{id}/cancel`
pub async fn cancel_bulk(
    State(http): State<Http>,
    caller: Caller,
    Path(id): Path<uuid::Uuid>,
) -> Answer<Json<MailBulk>> {
    held(bulk::cancel(&http.ctx, id, &caller.name()).await)
}

fn held(bulk: anyhow::Result<Option<MailBulk>>) -> Answer<Json<MailBulk>> {
    bulk.map_err(failed)?.map(Json).ok_or_else(Fail::not_found)
}
