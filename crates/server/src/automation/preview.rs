//! What a policy would have done with the actions proposed lately.
//!
//! Every action is judged as it was when it was proposed: its grounds are kept with it. Devices and their
//! tags are those of today, and what a person did is what he would have done.

use super::{Rules, is_unattended};
use crate::actions::device_of;
use crate::app::Ctx;
use hinomi_api::{AutomationPreview, PreviewCount, PreviewItem, PreviewOutcome};
use hinomi_cases::automation::{Judged, is_about_mail};
use hinomi_model::{
    Action, ActionSpec, AutomationLevel, AutomationPolicy, Device, DeviceId, InvestigationId, Text, Timestamp,
    UnansweredThen,
};
use hinomi_store::{Store, StoreError};
use std::collections::{BTreeMap, HashMap};

/// Most days looked back.
pub const DAYS_MAX: u32 = 90;
/// Most actions looked at.
const ACTIONS_MAX: i64 = 5_000;
/// Most actions shown.
const ITEMS_MAX: usize = 500;

/// Tells what a policy would have done in the last days; `level`: the server's in place of the present one.
///
/// # Errors
/// When the store cannot be read.
pub async fn preview(
    ctx: &Ctx,
    policy: AutomationPolicy,
    level: Option<AutomationLevel>,
    days: u32,
) -> Result<AutomationPreview, StoreError> {
    let until = ctx.now();
    let from = until.plus_seconds(-i64::from(days) * 86_400);
    let mut actions = ctx.store.actions_between(from, until, ACTIONS_MAX + 1).await?;
    let cut = actions.len() as i64 > ACTIONS_MAX;
    actions.truncate(ACTIONS_MAX as usize);
    actions.reverse();
    let level = match level {
        Some(level) => Some(level),
        None => ctx.store.setting(super::LEVEL_SETTING).await?.and_then(|word| word.parse().ok()),
    };
    let rules = Rules::of(ctx, policy, level);
    let mut devices = Devices::default();
    let mut ran: HashMap<InvestigationId, Vec<ActionSpec>> = HashMap::new();
    let mut counts: BTreeMap<&'static str, PreviewCount> = BTreeMap::new();
    let mut items = Vec::new();
    for action in actions.into_iter().filter(|action| action.undoes.is_none() && is_proposed(action)) {
        let device = devices.of(&ctx.store, &action).await?;
        let others = action.investigation_id.and_then(|id| ran.get(&id)).map(Vec::as_slice).unwrap_or_default();
        let item = would(&rules, action, device.as_ref(), others, until);
        let runs = matches!(item.outcome, PreviewOutcome::Ran | PreviewOutcome::RanUnanswered);
        if let (true, Some(id)) = (runs, item.action.investigation_id) {
            ran.entry(id).or_default().push(item.action.spec.clone());
        }
        count(counts.entry(item.action.spec.kind()).or_default(), &item);
        items.push(item);
    }
    let actions = items.len() as i64;
    items.reverse();
    items.truncate(ITEMS_MAX);
    Ok(AutomationPreview { from, until, actions, cut, counts: counts.into_values().collect(), items })
}

/// True for what was proposed, not ordered by a person at once.
fn is_proposed(action: &Action) -> bool {
    action.approval.grounds.is_some() || action.decided_at != Some(action.created_at)
}

/// The devices actions are about, each read once. Nothing is locked meanwhile.
#[derive(Default)]
struct Devices {
    devices: HashMap<DeviceId, Option<Device>>,
    of_investigations: HashMap<InvestigationId, Option<DeviceId>>,
}

impl Devices {
    async fn of(&mut self, store: &Store, action: &Action) -> Result<Option<Device>, StoreError> {
        if is_about_mail(&action.spec) {
            return Ok(None);
        }
        let id = match (device_of(&action.spec), action.investigation_id) {
            (Some(id), _) => Some(id),
            (None, Some(investigation)) => self.of_investigation(store, investigation).await?,
            (None, None) => None,
        };
        let Some(id) = id else { return Ok(None) };
        if !self.devices.contains_key(&id) {
            self.devices.insert(id, store.device(id).await?);
        }
        Ok(self.devices[&id].clone())
    }

    async fn of_investigation(&mut self, store: &Store, id: InvestigationId) -> Result<Option<DeviceId>, StoreError> {
        if let Some(known) = self.of_investigations.get(&id) {
            return Ok(*known);
        }
        let found = store.investigation(id).await?.and_then(|found| found.device).map(|device| device.id);
        self.of_investigations.insert(id, found);
        Ok(found)
    }
}

/// What would have become of one action.
fn would(rules: &Rules, action: Action, device: Option<&Device>, others: &[ActionSpec], now: Timestamp) -> PreviewItem {
    let grounds = action.approval.grounds.clone().unwrap_or_default();
    let Judged { runs, mut reason, unanswered, .. } = rules.judge(&action, &grounds, device, others);
    let created = action.created_at;
    if runs {
        return PreviewItem { action, outcome: PreviewOutcome::Ran, at: created, reason };
    }
    let deadline =
        (unanswered.then != UnansweredThen::Wait).then(|| created.plus_seconds(i64::from(unanswered.minutes) * 60));
    let expiry = created.plus_seconds(i64::from(rules.policy.expiry_hours) * 3_600);
    let answered = action.decided_at.filter(|_| !is_unattended(&action));
    let first = deadline.unwrap_or(expiry).min(expiry);
    if let Some(at) = answered.filter(|at| *at < first) {
        let by = action.decided_by.clone().unwrap_or_default();
        add(&mut reason, format!("Answered by {by}."), format!("{by} が回答しました。"));
        return PreviewItem { action, outcome: PreviewOutcome::Answered, at, reason };
    }
    let (outcome, at) = match deadline.filter(|at| *at <= expiry && *at <= now) {
        Some(at) => {
            let minutes = unanswered.minutes;
            add(
                &mut reason,
                format!("Nobody answered within {minutes} minutes."),
                format!("{minutes} 分以内に誰も回答しませんでした。"),
            );
            let outcome = match unanswered.then {
                UnansweredThen::Run => match rules.held(&action, device, others) {
                    None => PreviewOutcome::RanUnanswered,
                    Some(_) => PreviewOutcome::Escalated,
                },
                UnansweredThen::Expire => PreviewOutcome::Expired,
                UnansweredThen::Escalate | UnansweredThen::Wait => PreviewOutcome::Escalated,
            };
            (outcome, at)
        }
        None if expiry <= now => (PreviewOutcome::Expired, expiry),
        None => (PreviewOutcome::Waited, created),
    };
    PreviewItem { action, outcome, at, reason }
}

fn add(reason: &mut Text, en: String, ja: String) {
    *reason = Text::new(format!("{} {en}", reason.en), format!("{}{ja}", reason.ja));
}

fn count(counts: &mut PreviewCount, item: &PreviewItem) {
    item.action.spec.kind().clone_into(&mut counts.kind);
    let one = match item.outcome {
        PreviewOutcome::Ran => &mut counts.ran,
        PreviewOutcome::Answered => &mut counts.answered,
        PreviewOutcome::Waited => &mut counts.waited,
        PreviewOutcome::RanUnanswered => &mut counts.ran_unanswered,
        PreviewOutcome::Expired => &mut counts.expired,
        PreviewOutcome::Escalated => &mut counts.escalated,
    };
    *one += 1;
}
