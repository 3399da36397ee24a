//! Actions on whatever a filter picks, from 1 copy to 200,000: the filter is stored, a job expands it
//! batch by batch into ordinary actions, which have receipts, approval and undo of their own.
//!
//! What comes after the order is not touched: the filter ends at that moment. A batch is ordered under
//! a key of its own, so a job that is killed and runs again orders nothing twice.

use crate::actions::{self, Proposal, follow_up};
use crate::app::Ctx;
use crate::dry_run;
use anyhow::{Context, Result};
use hinomi_api::{BulkState, MailBulk, NeedsPerson, NewMailBulk};
use hinomi_model::{
    ActionId, ActionSpec, DeliveryLocation, MailCondition, MailField, MailFilter, MessageCopy, MessageCopyRef, Text,
};
use hinomi_store::{Job, MailBulkRow, Page, StoreError};
use serde_json::json;
use std::collections::BTreeSet;
use uuid::Uuid;

/// Kind of the job that expands a bulk action.
pub const JOB: &str = "mail_bulk";
/// Copies of one action.
const BATCH: usize = 2_000;
/// Most copies of one bulk action, as in the reference (section 3.4).
pub const COPIES_MAX: i64 = 200_000;

/// Why a bulk action is not ordered.
#[derive(Debug, thiserror::Error)]
pub enum BulkError {
    /// A person must look at it first.
    #[error("needs a person: {0:?}")]
    NeedsPerson(BTreeSet<NeedsPerson>),
    /// More copies than one bulk action takes.
    #[error("{0} copies are too many")]
    TooMany(i64),
    /// An indicator to be made with it cannot be meant.
    #[error(transparent)]
    Block(#[from] actions::ActionError),
    /// Something failed.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl From<StoreError> for BulkError {
    fn from(error: StoreError) -> Self {
        BulkError::Other(error.into())
    }
}

/// Stores a bulk action and lets its job begin. The same key answers the first one.
///
/// # Errors
/// [`BulkError`] says why not.
pub async fn order(
    ctx: &Ctx,
    new: NewMailBulk,
    by: &str,
    person: bool,
    key: Option<String>,
) -> Result<MailBulk, BulkError> {
    if let Some(key) = &key
        && let Some(known) = ctx.store.mail_bulk_of_key(key).await?
    {
        return Ok(read(&known)?);
    }
    for indicator in &new.block {
        actions::check(ctx, &ActionSpec::AddIndicator { indicator: indicator.clone() }, None).await?;
    }
    let now = ctx.now();
    let mut filter = new.filter;
    filter.to = Some(filter.to.map_or(now, |to| to.min(now)));
    filter.conditions.push(out_of_reach());
    let seen =
        dry_run::targets(ctx, &hinomi_api::DryRun { filter: Some(filter.clone()), ..Default::default() }).await?;
    if seen.1 > COPIES_MAX {
        return Err(BulkError::TooMany(seen.1));
    }
    let needs = dry_run::needs_person(ctx, &seen.0).await?;
    let confirmed = person && new.confirmed;
    if !needs.is_empty() && !confirmed && !new.propose_only {
        return Err(BulkError::NeedsPerson(needs));
    }
    let bulk = MailBulk {
        id: Uuid::now_v7().to_string(),
        state: BulkState::Expanding,
        filter,
        remedy: new.remedy,
        senders_copy: new.senders_copy,
        related: new.related,
        reason: new.reason,
        incident_id: new.incident_id,
        propose_only: new.propose_only,
        ordered_by: by.to_owned(),
        created_at: now,
        copies: 0,
        actions: Vec::new(),
        needs_person: needs.into_iter().collect(),
        cursor: None,
        block: new.block,
        block_actions: Vec::new(),
    };
    let id: Uuid = bulk.id.parse().context("own id")?;
    let doc = serde_json::to_string(&bulk).context("write bulk action")?;
    let mut tx = ctx.store.begin().await?;
    tx.add_mail_bulk(&MailBulkRow { id, created_at: now, idempotency_key: key, doc }).await?;
    tx.enqueue(Job {
        kind: JOB.to_owned(),
        key: format!("mail_bulk:{id}"),
        payload: json!({"bulk": bulk.id}).to_string(),
        run_at: now,
    })
    .await?;
    tx.commit().await?;
    ctx.jobs.notify_one();
    Ok(bulk)
}

/// Reads a bulk action.
///
/// # Errors
/// When the store cannot be read.
pub async fn get(ctx: &Ctx, id: Uuid) -> Result<Option<MailBulk>> {
    ctx.store.mail_bulk(id).await?.map(|row| read(&row)).transpose()
}

fn read(row: &MailBulkRow) -> Result<MailBulk> {
    serde_json::from_str(&row.doc).context("read bulk action")
}

/// Holds a bulk action and the actions made of it that run.
///
/// # Errors
/// When the store fails.
pub async fn pause(ctx: &Ctx, id: Uuid, by: &str) -> Result<Option<MailBulk>> {
    let change = |bulk: &mut MailBulk| bulk.state == BulkState::Expanding && set(bulk, BulkState::Paused);
    let bulk = change_state(ctx, id, change).await?;
    for action in bulk.iter().flat_map(|bulk| &bulk.actions) {
        over(actions::pause(ctx, *action, by).await)?;
    }
    Ok(bulk)
}

/// Goes on with a held bulk action and its actions.
///
/// # Errors
/// When the store fails.
pub async fn resume(ctx: &Ctx, id: Uuid, by: &str) -> Result<Option<MailBulk>> {
    let change = |bulk: &mut MailBulk| bulk.state == BulkState::Paused && set(bulk, BulkState::Expanding);
    let bulk = change_state(ctx, id, change).await?;
    if let Some(bulk) = bulk.as_ref().filter(|bulk| bulk.state == BulkState::Expanding) {
        let key = format!("mail_bulk:{id}:{}:{}", bulk.actions.len(), ctx.now());
        let payload = json!({"bulk": bulk.id}).to_string();
        ctx.store.enqueue(Job { kind: JOB.to_owned(), key, payload, run_at: ctx.now() }).await?;
        ctx.jobs.notify_one();
    }
    for action in bulk.iter().flat_map(|bulk| &bulk.actions) {
        over(actions::resume(ctx, *action, by).await)?;
    }
    Ok(bulk)
}

/// Stops a bulk action and its actions; what was begun is finished.
///
/// # Errors
/// When the store fails.
pub async fn cancel(ctx: &Ctx, id: Uuid, by: &str) -> Result<Option<MailBulk>> {
    let change = |bulk: &mut MailBulk| bulk.state != BulkState::Ordered && set(bulk, BulkState::Cancelled);
    let bulk = change_state(ctx, id, change).await?;
    for action in bulk.iter().flat_map(|bulk| &bulk.actions) {
        over(actions::cancel(ctx, *action, by).await)?;
    }
    Ok(bulk)
}

/// Changes the state of a bulk action between two of its batches.
async fn change_state(ctx: &Ctx, id: Uuid, change: impl FnOnce(&mut MailBulk) -> bool) -> Result<Option<MailBulk>> {
    let _turn = ctx.bulk.lock().await;
    let Some(mut bulk) = get(ctx, id).await? else { return Ok(None) };
    if change(&mut bulk) {
        ctx.store.update_mail_bulk(id, &serde_json::to_string(&bulk)?).await?;
    }
    Ok(Some(bulk))
}

fn set(bulk: &mut MailBulk, state: BulkState) -> bool {
    bulk.state = state;
    true
}

/// An action that is over already, or never ran, is no reason to leave the others.
fn over(changed: Result<hinomi_model::Action, actions::ActionError>) -> Result<()> {
    match changed {
        Ok(_) | Err(actions::ActionError::WrongState { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Expands a bulk action, from where it was; called by its job.
///
/// # Errors
/// When it could not be expanded now; the job tries again.
pub(crate) async fn run(ctx: &Ctx, payload: &str) -> Result<()> {
    let payload: serde_json::Value = serde_json::from_str(payload).context("read bulk job")?;
    let id: Uuid = payload["bulk"].as_str().unwrap_or_default().parse().context("read bulk id")?;
    block(ctx, id).await?;
    let mut bulk = get(ctx, id).await?.context("the bulk action is gone")?;
    while bulk.state == BulkState::Expanding && !ctx.stop.is_cancelled() {
        let (mut copies, next) = batch(ctx, &bulk).await?;
        let mut signs = match bulk.related {
            true => crate::related::extend(ctx, &mut copies).await?,
            false => Vec::new(),
        };
        if takes_whole_messages(&bulk.filter) {
            signs.push(follow_up::WHOLE.to_owned());
        }
        // held or stopped by a person only between two batches
        let _turn = ctx.bulk.lock().await;
        bulk = get(ctx, id).await?.context("the bulk action is gone")?;
        if bulk.state != BulkState::Expanding {
            break;
        }
        if !copies.is_empty() {
            let count = copies.len() as i64;
            let spec = ActionSpec::of_remedy(bulk.remedy, copies, bulk.senders_copy);
            let action = propose(ctx, &bulk, spec, &bulk.actions.len().to_string(), signs).await?;
            bulk.actions.push(action);
            bulk.copies += count;
        }
        if next.is_none() {
            bulk.state = BulkState::Ordered;
        }
        bulk.cursor = next;
        ctx.store.update_mail_bulk(id, &serde_json::to_string(&bulk)?).await?;
    }
    anyhow::ensure!(bulk.state != BulkState::Expanding, "the server stops");
    Ok(())
}

/// Makes the indicators of a bulk action that are not made yet: first, so that no more of it comes in.
async fn block(ctx: &Ctx, id: Uuid) -> Result<()> {
    let _turn = ctx.bulk.lock().await;
    let mut bulk = get(ctx, id).await?.context("the bulk action is gone")?;
    while let Some(indicator) = bulk.block.get(bulk.block_actions.len()).cloned()
        && bulk.state == BulkState::Expanding
    {
        let number = format!("block:{}", bulk.block_actions.len());
        let action = propose(ctx, &bulk, ActionSpec::AddIndicator { indicator }, &number, Vec::new()).await?;
        bulk.block_actions.push(action);
        ctx.store.update_mail_bulk(id, &serde_json::to_string(&bulk)?).await?;
    }
    Ok(())
}

/// Proposes one action of a bulk action; `part` names it within that.
async fn propose(ctx: &Ctx, bulk: &MailBulk, spec: ActionSpec, part: &str, signs: Vec<String>) -> Result<ActionId> {
    let proposal = Proposal {
        spec,
        reason: Text::same(bulk.reason.as_str()),
        by: &bulk.ordered_by,
        incident: bulk.incident_id,
        investigation: None,
        idempotency_key: Some(format!("mail_bulk:{}:{part}", bulk.id)),
        approve_now: (!bulk.propose_only).then_some((bulk.ordered_by.as_str(), None)),
        signs,
        grounds: None,
        again: None,
    };
    Ok(actions::propose(ctx, proposal).await?.id)
}

/// True when a filter, apart from what every order adds to it, never takes one copy of a message and
/// leaves another.
fn takes_whole_messages(filter: &MailFilter) -> bool {
    let added = out_of_reach();
    filter.conditions.iter().all(|one| !one.field.is_of_copy() || *one == added)
}

/// Every order leaves what is out of the mailboxes already.
fn out_of_reach() -> MailCondition {
    MailCondition {
        field: MailField::Location,
        values: [DeliveryLocation::Quarantine, DeliveryLocation::Dropped].map(DeliveryLocation::word).to_vec(),
        negate: true,
    }
}

/// The next copies of a filter, newest first, and where to go on. An action is either of a demo or
/// of none: so are its copies.
async fn batch(ctx: &Ctx, bulk: &MailBulk) -> Result<(Vec<MessageCopyRef>, Option<String>)> {
    let demo = bulk.incident_id.and_then(|incident| incident.demo());
    let mut copies = Vec::new();
    let mut page = Page { after: bulk.cursor.clone(), limit: 200 };
    loop {
        let listed = ctx.store.messages(&bulk.filter, &page).await?;
        let ours = listed.items.into_iter().filter(|copy| copy.message_id.demo() == demo);
        copies.extend(
            ours.map(|copy: MessageCopy| MessageCopyRef { message_id: copy.message_id, recipient: copy.recipient }),
        );
        page.after = listed.next;
        if page.after.is_none() || copies.len() >= BATCH {
            return Ok((copies, page.after));
        }
    }
}
