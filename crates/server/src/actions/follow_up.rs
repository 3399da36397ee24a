//! Mail actions stay armed: the same mail (Message-ID **and** content) that is delivered or moved back
//! later is found and treated by the same action, with receipts of its own.
//!
//! Late copies are noticed in three ways: the gateway or the journal tells a new copy, the crawl sees
//! one where it should not be, and looks of our own into the mailboxes the action dealt with, at
//! growing intervals. Noticing only orders a live look; what is not in the mailbox is not treated.
//! An order that took every copy known means the mail itself, wherever it is found; one that left copies where
//! they are means its own targets and what is delivered after it.
//! Nothing is done without the go the action had: a mail that needs a person is left to one, unless a
//! person decided the action.

use super::{Proposal, announce, audit, load, propose};
use crate::abort::abort_point;
use crate::app::Ctx;
use crate::automation::EXPIRY_HOURS_MAX;
use crate::jobs::Outcome;
use crate::mailboxes::{Looked, Order, Reading, Reason};
use crate::{dry_run, ids, related};
use anyhow::{Context, Result};
use hinomi_cases::log;
use hinomi_mail::remediate::Identity;
use hinomi_model::{
    Action, ActionId, ActionSpec, ActionState, DeliveryLocation, EntityKey, FollowUp, LateCause, LateReceipt,
    MessageCopy, MessageCopyRef, MessageId, MessageRemedy, Receipt, ReceiptState, Text, Timestamp,
};
use hinomi_store::{Job, LateRow, StoreError, Tx};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Kind of the job that deals with one late copy.
pub const LATE_JOB: &str = "mail_late";
/// Kind of the job that looks for late copies.
pub const LOOK_JOB: &str = "mail_follow";
/// Late copies treated by one action; one that comes more often disarms itself and says so.
const LATE_MAX: usize = 1_000;
/// A copy that was announced may be on its way for so long, seconds.
const ARRIVAL_SECONDS: i64 = 3_600;
/// Longest pause between two looks for one that was announced, seconds.
const PAUSE_SECONDS_MAX: i64 = 300;
/// Copies looked for in one job.
const LOOK_COPIES: usize = 500;
/// Before signs of forwarded and replied copies while their action has not begun.
const KEPT: &str = "kept:";
/// Before the identities of mails of which copies were left where they are: such an action follows its own
/// targets and what is delivered after the order. One that took every copy known means the mail itself,
/// also in mailboxes nobody had looked into.
const SOME: &str = "some:";

/// Before the id of a mail of which copies that were known with the order are left where they are.
const LEFT: &str = "left:";
/// Sign of an action that is a part of an order for whole messages: the other parts take what it leaves.
pub(crate) const WHOLE: &str = "whole";

/// Keeps until the action begins what it is about besides its targets: the signs of forwarded and replied
/// copies, and the mails of which copies that are known are left.
pub(super) async fn keep_signs(ctx: &Ctx, tx: &mut Tx, action: &Action, signs: &[String]) -> Result<(), StoreError> {
    let Some((remedy, _)) = action.spec.message_remedy().filter(|_| ctx.config.follow_up.hours > 0) else {
        return Ok(());
    };
    let mut kept: Vec<String> = signs.iter().map(|sign| format!("{KEPT}{sign}")).collect();
    if signs.iter().all(|sign| sign != WHOLE) {
        let targets = targets(action);
        for mail in mails(&targets) {
            if tx.message_copies(mail).await?.iter().any(|copy| is_left(&targets, remedy, copy)) {
                kept.push(format!("{KEPT}{LEFT}{mail}"));
            }
        }
    }
    let waits = i64::from(EXPIRY_HOURS_MAX) * 3_600 + super::QUEUED_SECONDS;
    tx.arm(action.id, &kept, action.created_at.plus_seconds(waits)).await
}

fn targets(action: &Action) -> BTreeSet<&MessageCopyRef> {
    let copies = action.spec.message_remedy().map_or(&[][..], |(_, copies)| copies);
    copies.iter().filter(|copy| copy.message_id.demo().is_none()).collect()
}

fn mails(targets: &BTreeSet<&MessageCopyRef>) -> BTreeSet<MessageId> {
    targets.iter().map(|target| target.message_id).collect()
}

/// True for a copy that is none of the targets although the remedy could be used on it.
fn is_left(targets: &BTreeSet<&MessageCopyRef>, remedy: MessageRemedy, copy: &MessageCopy) -> bool {
    !targets.contains(&named(copy)) && !is_treated_at(remedy, copy) && !is_senders_own(copy)
}

/// Arms an action that begins; nothing for what brings mail back.
pub(super) async fn arm(ctx: &Ctx, tx: &mut Tx, action: &mut Action, now: Timestamp) -> Result<(), StoreError> {
    let config = &ctx.config.follow_up;
    let Some((remedy, _)) = action.spec.message_remedy() else { return Ok(()) };
    let off = config.hours == 0 || remedy == MessageRemedy::MoveToInbox || action.id.demo().is_some();
    if off || action.follow_up.is_some() {
        return Ok(());
    }
    let kept = tx.armed_with(action.id).await?;
    let mut kept: BTreeSet<&str> = kept.iter().filter_map(|sign| sign.strip_prefix(KEPT)).collect();
    let is_part = kept.remove(WHOLE);
    let targets = targets(action);
    let mut identities = BTreeSet::new();
    let mut late = Vec::new();
    for mail in mails(&targets) {
        let known = tx.message_copies(mail).await?;
        let Some(identity) = known.iter().find(|copy| targets.contains(&named(copy))).and_then(of_copy) else {
            continue;
        };
        if kept.remove(format!("{LEFT}{mail}").as_str()) {
            identities.insert(format!("{SOME}{identity}"));
        } else {
            identities.insert(identity);
            let came = known.iter().filter(|copy| !is_part && is_left(&targets, remedy, copy));
            late.extend(came.map(named));
        }
    }
    // forwarded and replied copies of what was ordered were meant too
    identities.extend(kept.into_iter().filter(|sign| !sign.starts_with(LEFT)).map(str::to_owned));
    let until = now.plus_seconds(i64::from(config.hours) * 3_600);
    tx.arm(action.id, &identities.into_iter().collect::<Vec<_>>(), until).await?;
    action.follow_up = Some(FollowUp { until, disarmed_by: None, disarmed_at: None, receipts: Vec::new() });
    // known since the order only
    for copy in late.into_iter().take(LATE_MAX) {
        order_late(tx, action.id, copy, LateCause::Delivered, now).await?;
    }
    order_look(tx, action.id, 0, now, now.plus_seconds(i64::from(config.first_look_seconds))).await
}

/// Disarms an action for good; false when it was not armed.
pub(super) async fn stand_down(tx: &mut Tx, action: &mut Action, by: &str, now: Timestamp) -> Result<bool, StoreError> {
    tx.disarm(action.id).await?;
    let Some(follow_up) = action.follow_up.as_mut().filter(|follow_up| follow_up.is_armed(now)) else {
        return Ok(false);
    };
    follow_up.disarmed_by = Some(by.to_owned());
    follow_up.disarmed_at = Some(now);
    Ok(true)
}

/// A person disarms an action: late copies stay where they are.
///
/// # Errors
/// When it is not armed.
pub async fn disarm(ctx: &Ctx, id: ActionId, by: &str) -> Result<Action, super::ActionError> {
    let _turn = ctx.desk.turn().await;
    let mut tx = ctx.store.begin().await?;
    let mut action = load(&mut tx, id).await?;
    let now = ctx.now();
    if !stand_down(&mut tx, &mut action, by, now).await? {
        let state = "not armed".to_owned();
        return Err(super::ActionError::WrongState { what: "action", state, wanted: "disarm" });
    }
    action.version = tx.put_action(&action).await?;
    tell_incident(
        &mut tx,
        &action,
        now,
        by,
        Text::new("The follow-up for late copies was disarmed", "遅れて届くコピーの追跡を解除しました"),
    )
    .await?;
    tx.audit(&audit(now, by, "action.disarm", &action, json!({}))).await?;
    tx.commit().await?;
    announce(ctx, &action);
    Ok(action)
}

/// Notices a copy that may be a late one of an armed action, or a late forwarded or replied copy when it
/// was ordered with those, and orders a live look at it; true when it did. `known` is what was known of
/// the copy before.
pub(crate) async fn notice(
    ctx: &Ctx,
    tx: &mut Tx,
    copy: &MessageCopy,
    known: Option<&MessageCopy>,
    cause: LateCause,
    now: Timestamp,
) -> Result<bool, StoreError> {
    if copy.message_id.demo().is_some() {
        return Ok(false);
    }
    let signs = related::signs_of(copy, &ctx.config.gateway.own_domains);
    let identity = of_copy(copy);
    let some = identity.as_ref().map(|identity| format!("{SOME}{identity}"));
    for sign in identity.into_iter().chain(some).chain(signs) {
        let Some(id) = tx.armed_for(&sign, now).await? else { continue };
        let Some(action) = tx.action(id).await? else { continue };
        let is_meant = !sign.starts_with(SOME)
            || is_own_target(&action, &named(copy))
            || known.and_then(MessageCopy::moved_by_action) == Some(id)
            || is_after(&action, copy);
        if is_meant && is_late(&action, copy, known, now) {
            return order_late(tx, id, named(copy), cause, now).await;
        }
    }
    Ok(false)
}

async fn order_late(
    tx: &mut Tx,
    action: ActionId,
    copy: MessageCopyRef,
    cause: LateCause,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let row = LateRow { id: ids::new(), action, copy, cause, noticed_at: now, settled_at: None };
    if !tx.add_late(&row).await? {
        return Ok(false);
    }
    let payload = json!({"late": row.id.to_string()}).to_string();
    tx.enqueue(Job { kind: LATE_JOB.to_owned(), key: format!("mail_late:{}", row.id), payload, run_at: now }).await
}

fn named(copy: &MessageCopy) -> MessageCopyRef {
    MessageCopyRef { message_id: copy.message_id, recipient: copy.recipient.clone() }
}

fn of_copy(copy: &MessageCopy) -> Option<String> {
    Identity::of_copy(copy).key()
}

/// True for what was delivered after the order; mail systems tell whole seconds.
fn is_after(action: &Action, copy: &MessageCopy) -> bool {
    copy.received_at > action.created_at.plus_seconds(-1)
}

/// True when an armed action wants a copy somewhere else than where it was seen.
fn is_late(action: &Action, copy: &MessageCopy, known: Option<&MessageCopy>, now: Timestamp) -> bool {
    let Some((remedy, _)) = action.spec.message_remedy() else { return false };
    // the last act of ours decides: a later action, or an undo, wanted it there (ids grow with time)
    let last = known.and_then(MessageCopy::moved_by_action);
    action.is_armed(now)
        && !is_treated_at(remedy, copy)
        && last.is_none_or(|last| last <= action.id)
        && is_settled(action, &EntityKey::message_copy(copy.message_id, &copy.recipient))
}

/// True when a copy is where a remedy brings it, or out of the mailbox anyway.
fn is_treated_at(remedy: MessageRemedy, copy: &MessageCopy) -> bool {
    use hinomi_model::DeliveryLocation::{Dropped, Failed, Quarantine};
    copy.latest_location == remedy.target() || matches!(copy.latest_location, Quarantine | Dropped | Failed)
}

/// True when the action itself has nothing left to do with a target: it is done, or none of its own.
fn is_settled(action: &Action, target: &EntityKey) -> bool {
    let own = action.receipts.iter().find(|receipt| receipt.target == *target);
    own.is_none_or(|own| matches!(own.state, ReceiptState::Done | ReceiptState::AlreadyDone | ReceiptState::NotFound))
}

/// Deals with one late copy; called by its job, possibly again after a crash.
///
/// # Errors
/// When the store cannot be read or written.
pub(crate) async fn run_late(ctx: &Ctx, payload: &str) -> Result<Outcome> {
    let payload: serde_json::Value = serde_json::from_str(payload).context("read late job")?;
    let id: ActionId = payload["late"].as_str().unwrap_or_default().parse().context("read late id")?;
    let row = ctx.store.late(id).await?.context("the late copy is gone")?;
    let action = ctx.store.action(row.action).await?.context("the action is gone")?;
    if row.settled_at.is_some() {
        return Ok(Outcome::Done);
    }
    let now = ctx.now();
    let begun = !ctx.store.journal(row.id).await?.is_empty();
    let told = ctx.store.message(row.copy.message_id, &row.copy.recipient).await?;
    let is_told = told.is_some();
    let copy = match told {
        // a sender's own copy that only a look of ours has seen, or one that was traced
        None => ctx.store.message_shared(row.copy.message_id).await?.map(|shared| untold(shared, &row.copy.recipient)),
        known => known,
    };
    let Some((copy, (remedy, _))) = copy.zip(action.spec.message_remedy()) else {
        return nothing(ctx, &row).await;
    };
    if !begun {
        if !action.is_armed(now) {
            return nothing(ctx, &row).await;
        }
        if let Some(held) = hold(ctx, &action, &row, &copy).await? {
            return Ok(held);
        }
        let waited = now.micros_since(row.noticed_at) / 1_000_000;
        match look(ctx, &action, remedy, &copy).await? {
            Look::There if is_told || is_senders_own(&copy) => {}
            Look::There => {
                ctx.store.put_message(&MessageCopy { latest_location: DeliveryLocation::Inbox, ..copy }).await?;
            }
            Look::NotThere if waited < ARRIVAL_SECONDS => return Ok(again(now, waited)),
            Look::NotThere if row.cause == LateCause::Delivered && !is_own_target(&action, &row.copy) => {
                let text = Text::new(
                    "It was delivered but is not in the mailbox",
                    "配送されましたが、メールボックスにありません",
                );
                return settle(ctx, &row, receipt(&row, ReceiptState::NotFound, text, now)).await;
            }
            Look::NotThere | Look::Spared => return nothing(ctx, &row).await,
            Look::Failed(_) if waited < ARRIVAL_SECONDS => return Ok(again(now, waited)),
            Look::Failed(why) => {
                let text = Text::new(format!("Failed: {why}"), format!("失敗しました: {why}"));
                return settle(ctx, &row, receipt(&row, ReceiptState::Failed, text, now)).await;
            }
        }
        abort_point("late.found");
    }
    let mail = ctx.mail.get().context("mailboxes are not configured")?;
    let order = Order { action: action.id, remedy, senders_copy: false };
    let done = mail.treat_late(order, row.id, &row.copy).await?.context("no receipt for a late copy")?;
    let waited = now.micros_since(row.noticed_at) / 1_000_000;
    if done.state == ReceiptState::Failed && waited < ARRIVAL_SECONDS {
        return Ok(again(now, waited));
    }
    abort_point("late.worked");
    settle(ctx, &row, done).await
}

/// A pause that grows with the time waited.
fn again(now: Timestamp, waited: i64) -> Outcome {
    Outcome::Later(now.plus_seconds((waited / 2).clamp(1, PAUSE_SECONDS_MAX)))
}

fn is_own_target(action: &Action, copy: &MessageCopyRef) -> bool {
    let target = EntityKey::message_copy(copy.message_id, &copy.recipient);
    action.receipts.iter().any(|receipt| receipt.target == target)
}

fn receipt(row: &LateRow, state: ReceiptState, detail: Text, now: Timestamp) -> Receipt {
    let target = EntityKey::message_copy(row.copy.message_id, &row.copy.recipient);
    Receipt { target, state, detail, proof: None, at: now }
}

enum Look {
    There,
    NotThere,
    /// It is there, and not meant.
    Spared,
    Failed(String),
}

/// Looks into the mailbox, now.
async fn look(ctx: &Ctx, action: &Action, remedy: MessageRemedy, copy: &MessageCopy) -> Result<Look> {
    let mail = ctx.mail.get().context("mailboxes are not configured")?;
    let reading = Reading::by_system(Reason::Action(action.id));
    let looked = mail.look(&reading, std::slice::from_ref(copy)).await.pop().unwrap_or_default();
    Ok(match looked.error {
        Some(why) => Look::Failed(why),
        None if is_spared(action, copy, &looked) => Look::Spared,
        None if is_elsewhere(remedy, &looked) => Look::There,
        None => Look::NotThere,
    })
}

/// True when a mail is somewhere else than where the remedy brings it.
fn is_elsewhere(remedy: MessageRemedy, looked: &Looked) -> bool {
    looked.present.iter().any(|(_, location)| *location != remedy.target())
}

/// True for what the sender keeps of a mail he sent, when the action was not to touch that.
fn is_spared(action: &Action, copy: &MessageCopy, looked: &Looked) -> bool {
    let of_its_mail = action.spec.message_remedy().is_some_and(|(_, targets)| {
        let same = |target: &MessageCopyRef| target.message_id == copy.message_id;
        targets.iter().any(same) && !targets.iter().any(|target| same(target) && target.recipient == copy.recipient)
    });
    of_its_mail && !action.spec.senders_copy() && looked.only_sent && is_senders_own(copy)
}

fn is_senders_own(copy: &MessageCopy) -> bool {
    copy.recipient.eq_ignore_ascii_case(&copy.sender_from)
}

/// A copy of a mail as if it had been told of.
fn untold(shared: MessageCopy, recipient: &str) -> MessageCopy {
    MessageCopy { recipient: recipient.to_lowercase(), folder: None, moved_by: None, moved_at: None, ..shared }
}

/// Leaves a copy to a person when its mail needs one and no person decided the action: proposes the
/// same remedy for it.
async fn hold(ctx: &Ctx, action: &Action, row: &LateRow, copy: &MessageCopy) -> Result<Option<Outcome>> {
    let decided = action.decided_by.as_deref().unwrap_or_default();
    let person = !decided.is_empty() && !decided.contains(':') && decided != "system";
    if person {
        return Ok(None);
    }
    let mut copies = ctx.store.message_copies(copy.message_id).await?;
    copies.push(copy.clone());
    let needs = dry_run::needs_person(ctx, &copies).await?;
    let Some((remedy, _)) = action.spec.message_remedy().filter(|_| !needs.is_empty()) else { return Ok(None) };
    let spec = ActionSpec::of_remedy(remedy, vec![row.copy.clone()], false);
    let reason = Text::new(
        format!("Late copy of a mail that needs a person: {}", action.reason.en),
        format!("遅れて届いたコピーですが、担当者の判断が必要です: {}", action.reason.ja),
    );
    let proposal = Proposal {
        spec,
        reason,
        by: "system",
        incident: action.incident_id,
        investigation: None,
        idempotency_key: Some(format!("mail_late:{}", row.id)),
        approve_now: None,
        signs: Vec::new(),
        grounds: None,
        again: None,
    };
    propose(ctx, proposal).await?;
    nothing(ctx, row).await.map(Some)
}

/// Ends a late copy that was none.
async fn nothing(ctx: &Ctx, row: &LateRow) -> Result<Outcome> {
    ctx.store.settle_late(row.id, ctx.now()).await?;
    Ok(Outcome::Done)
}

/// Writes the receipt of a late copy into its action, and into the incident.
async fn settle(ctx: &Ctx, row: &LateRow, receipt: Receipt) -> Result<Outcome> {
    let _turn = ctx.desk.turn().await;
    let mut tx = ctx.store.begin().await?;
    let now = ctx.now();
    if !tx.settle_late(row.id, now).await? {
        return Ok(Outcome::Done);
    }
    let mut action = load(&mut tx, row.action).await?;
    let who = &row.copy.recipient;
    let (en, ja) = match row.cause {
        LateCause::Delivered => ("delivered late", "遅れて届いたコピー"),
        LateCause::Returned => ("moved back", "戻されたコピー"),
    };
    let text = Text::new(
        format!("Copy of {who} ({en}): {}", receipt.detail.en),
        format!("{who} の{ja}: {}", receipt.detail.ja),
    );
    let detail = json!({"recipient": who, "cause": row.cause, "state": receipt.state});
    tx.audit(&audit(now, "system", "action.late", &action, detail)).await?;
    if let Some(follow_up) = &mut action.follow_up {
        follow_up.receipts.push(LateReceipt { cause: row.cause, noticed_at: row.noticed_at, receipt });
    }
    tell_incident(&mut tx, &action, now, "system", text).await?;
    if action.follow_up.as_ref().is_some_and(|follow_up| follow_up.receipts.len() >= LATE_MAX)
        && stand_down(&mut tx, &mut action, "system", now).await?
    {
        let text = Text::new(
            format!("Disarmed after {LATE_MAX} late copies"),
            format!("遅れて届いたコピーが {LATE_MAX} 通に達したため、追跡を解除しました"),
        );
        tell_incident(&mut tx, &action, now, "system", text).await?;
    }
    action.version = tx.put_action(&action).await?;
    abort_point("late.settling");
    tx.commit().await?;
    abort_point("late.settled");
    announce(ctx, &action);
    Ok(Outcome::Done)
}

async fn tell_incident(tx: &mut Tx, action: &Action, now: Timestamp, by: &str, text: Text) -> Result<(), StoreError> {
    let Some(id) = action.incident_id else { return Ok(()) };
    let Some(mut incident) = tx.incident(id).await? else { return Ok(()) };
    log(&mut incident, now, by, text);
    incident.updated_at = now;
    tx.put_incident(&incident).await?;
    Ok(())
}

async fn order_look(
    tx: &mut Tx,
    action: ActionId,
    at: usize,
    began: Timestamp,
    when: Timestamp,
) -> Result<(), StoreError> {
    let payload = json!({"action": action.to_string(), "at": at, "began": began.as_micros()}).to_string();
    let key = format!("mail_follow:{action}:{}:{at}", began.as_micros());
    tx.enqueue(Job { kind: LOOK_JOB.to_owned(), key, payload, run_at: when }).await?;
    Ok(())
}

/// The senders' own copies of some mails, as far as those are not among them.
async fn senders_copies(ctx: &Ctx, copies: &[MessageCopy]) -> Result<Vec<MessageCopy>, StoreError> {
    let mut own: BTreeMap<MessageCopyRef, MessageCopy> = BTreeMap::new();
    let listed: BTreeSet<MessageCopyRef> = copies.iter().map(named).collect();
    for copy in copies.iter().filter(|copy| !copy.sender_from.is_empty()) {
        let sent = untold(copy.clone(), &copy.sender_from);
        let key = named(&sent);
        if !listed.contains(&key) && !own.contains_key(&key) {
            let known = ctx.store.message(key.message_id, &key.recipient).await?;
            own.insert(key, known.unwrap_or(sent));
        }
    }
    Ok(own.into_values().collect())
}

/// Copies the mail systems trace that nobody told of, as far as the action has not dealt with them.
async fn traced(ctx: &Ctx, id: ActionId, copies: &[MessageCopy], now: Timestamp) -> Result<Vec<MessageCopyRef>> {
    let mail = ctx.mail.get().context("mailboxes are not configured")?;
    // whoever else is known to have it; not of a mail of which copies were left
    let armed = ctx.store.armed_with(id).await?;
    let mut known: BTreeMap<MessageId, Vec<MessageCopy>> = BTreeMap::new();
    for copy in copies.iter().filter(|copy| of_copy(copy).is_some_and(|identity| armed.contains(&identity))) {
        if !known.contains_key(&copy.message_id) {
            known.insert(copy.message_id, ctx.store.message_copies(copy.message_id).await?);
        }
    }
    let known: Vec<MessageCopy> = known.into_values().flatten().collect();
    let mut traced = mail.untold(&known, now).await?;
    if !traced.is_empty() {
        let late = ctx.store.late_of_action(id).await?;
        traced.retain(|copy| late.iter().all(|late| late.copy != *copy));
    }
    Ok(traced)
}

/// Looks into the mailboxes an action dealt with, some of them at a time, and orders the next look:
/// the pauses double.
///
/// # Errors
/// When the store cannot be read or written.
pub(crate) async fn run_look(ctx: &Ctx, payload: &str) -> Result<Outcome> {
    let payload: serde_json::Value = serde_json::from_str(payload).context("read look job")?;
    let id: ActionId = payload["action"].as_str().unwrap_or_default().parse().context("read action id")?;
    let at = payload["at"].as_u64().and_then(|at| usize::try_from(at).ok()).unwrap_or_default();
    let began = Timestamp::from_micros(payload["began"].as_i64().unwrap_or_default());
    let action = ctx.store.action(id).await?.context("the action is gone")?;
    let now = ctx.now();
    if !action.is_armed(now) {
        return Ok(Outcome::Done);
    }
    let pause = i64::from(ctx.config.follow_up.first_look_seconds).max(1);
    let over = |state| !matches!(state, ActionState::Queued | ActionState::Running | ActionState::Paused);
    if !over(action.state) {
        return Ok(Outcome::Later(now.plus_seconds(pause)));
    }
    let Some((remedy, targets)) = action.spec.message_remedy() else { return Ok(Outcome::Done) };
    let mut copies = Vec::new();
    for target in targets.iter().skip(at).take(LOOK_COPIES) {
        let known = ctx.store.message(target.message_id, &target.recipient).await?;
        let entity = EntityKey::message_copy(target.message_id, &target.recipient);
        copies.extend(known.filter(|_| is_settled(&action, &entity)));
    }
    if action.spec.senders_copy() {
        let own = senders_copies(ctx, &copies).await?;
        copies.extend(own);
    }
    let mail = ctx.mail.get().context("mailboxes are not configured")?;
    let traced = traced(ctx, id, &copies, now).await?;
    let looked = mail.look(&Reading::by_system(Reason::Action(id)), &copies).await;
    let late = copies.iter().zip(looked).filter(|(copy, looked)| {
        let last = copy.moved_by_action().is_none_or(|last| last <= id);
        last && is_elsewhere(remedy, looked) && !is_spared(&action, copy, looked)
    });
    let late: Vec<&MessageCopy> = late.map(|(copy, _)| copy).collect();
    let mut tx = ctx.store.begin().await?;
    for copy in &late {
        order_late(&mut tx, id, named(copy), LateCause::Returned, now).await?;
    }
    let any = !late.is_empty() || !traced.is_empty();
    for copy in traced {
        order_late(&mut tx, id, copy, LateCause::Delivered, now).await?;
    }
    match at + LOOK_COPIES < targets.len() {
        true => order_look(&mut tx, id, at + LOOK_COPIES, began, now).await?,
        // as long again as since it was armed
        false => {
            let armed = action.decided_at.unwrap_or(began);
            let next = now.plus_seconds((now.micros_since(armed) / 1_000_000).max(pause));
            let end = action.follow_up.as_ref().map_or(next, |follow_up| follow_up.until.plus_seconds(-1));
            if began < end {
                order_look(&mut tx, id, 0, now, next.min(end)).await?;
            }
        }
    }
    tx.commit().await?;
    if any {
        ctx.jobs.notify_one();
    }
    Ok(Outcome::Done)
}
