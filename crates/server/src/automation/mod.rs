//! Automation: what runs without a person, in which hours, and what happens when nobody answers.
//!
//! The decisions are pure ([`hinomi_cases::automation`]); here they get the policy of the store, the
//! device an action is about, and the clocks of the place at the server's time ([`App::now`]).
//!
//! [`App::now`]: crate::app::App::now

mod change;
mod preview;
mod zone;

pub use change::{EXPIRY_HOURS_MAX, apply, check};
pub use preview::{DAYS_MAX, preview};
pub use zone::zone;

use crate::actions::device_of;
use crate::app::Ctx;
use hinomi_cases::automation::{Concerned, Judged, Setting, held_by, is_about_mail, judge, reach, setting};
use hinomi_model::{
    Action, ActionSpec, AutomationLevel, AutomationPolicy, Device, DeviceId, Grounds, InvestigationId, Text, Timestamp,
    Turn, UnansweredThen,
};
use hinomi_store::{ActionFilter, Page, StoreError, Tx};
use jiff::tz::TimeZone;
use std::collections::HashMap;

/// Setting that overrides the configured automation level.
pub const LEVEL_SETTING: &str = "automation_level";
/// Actions of one investigation that are looked at.
const ACTIONS_MAX: u32 = 200;

/// The policy in force, ready to be asked.
pub(crate) struct Rules {
    pub policy: AutomationPolicy,
    server: AutomationLevel,
    zone: TimeZone,
}

impl Rules {
    /// Reads the policy in force.
    pub async fn load(ctx: &Ctx, tx: &mut Tx) -> Result<Rules, StoreError> {
        let policy = tx.automation().await?;
        let server = tx.setting(LEVEL_SETTING).await?.and_then(|word| word.parse().ok());
        Ok(Rules::of(ctx, policy, server))
    }

    /// Prepares a policy; `server`: the level of the settings, none = the configuration's.
    pub fn of(ctx: &Ctx, mut policy: AutomationPolicy, server: Option<AutomationLevel>) -> Rules {
        policy.guards.mailboxes.extend(ctx.config.mailbox_marks.protected.iter().cloned());
        let zone = zone(&policy.time_zone).unwrap_or_else(|error| {
            tracing::warn!("hours of the automation policy are taken as UTC: {error}");
            TimeZone::UTC
        });
        Rules { policy, server: server.unwrap_or(ctx.config.investigation.automation_level), zone }
    }

    /// Different persons who must approve a kind.
    pub fn needed(&self, spec: &ActionSpec) -> u32 {
        if self.policy.two_persons.iter().any(|kind| kind == spec.kind()) { 2 } else { 1 }
    }

    fn setting(&self, concerned: Concerned<'_>, at: Timestamp) -> Setting {
        setting(&self.policy, concerned, self.server, zone::local(&self.zone, at))
    }

    /// The level for a device, or for mail, at a time.
    pub fn level(&self, device: Option<&Device>, at: Timestamp) -> AutomationLevel {
        self.setting(concerned_by(device), at).level
    }

    /// Decides about an action at the time it was proposed.
    pub fn judge(&self, action: &Action, grounds: &Grounds, device: Option<&Device>, others: &[ActionSpec]) -> Judged {
        let now = zone::local(&self.zone, action.created_at);
        let reach = reach(&action.spec, others);
        judge(&self.policy, &action.spec, grounds, concerned_by(device), self.server, now, reach)
    }

    /// Why a pending action may not run though nobody answers; none = it may.
    pub fn held(&self, action: &Action, device: Option<&Device>, others: &[ActionSpec]) -> Option<Text> {
        let Some(grounds) = &action.approval.grounds else {
            return Some(Text::new("a person proposed it", "人が提案した対処です"));
        };
        held_by(&self.policy, &action.spec, grounds, concerned_by(device), reach(&action.spec, others))
    }

    /// Why an action a person's word leads to may not run at once; none = it may.
    pub fn holds(&self, spec: &ActionSpec, grounds: &Grounds, device: Option<&Device>) -> Option<Text> {
        held_by(&self.policy, spec, grounds, concerned_by(device), reach(spec, &[]))
    }

    /// Writes into a pending action what happens to it by itself, and when: as the policy says for the
    /// time it was proposed at.
    pub fn plan(&self, action: &mut Action, device: Option<&Device>, now: Timestamp) {
        let policy = &self.policy;
        let notice = i64::from(policy.notice_hours) * 3_600;
        let told = action.approval.noticed_at.is_some();
        action.approval.needed = self.needed(&action.spec);
        action.expires_at = action.created_at.plus_seconds(i64::from(policy.expiry_hours) * 3_600);
        if !told && now > action.created_at {
            // a policy that became shorter takes nobody by surprise
            action.expires_at = action.expires_at.max(now.plus_seconds(notice));
        }
        action.approval.notice_at = (notice > 0 && !told).then(|| action.expires_at.plus_seconds(-notice));
        let unanswered = self.setting(concerned_by(device), action.created_at).unanswered;
        let again = action.approval.escalated_at.is_some()
            && matches!(unanswered.then, UnansweredThen::Run | UnansweredThen::Escalate);
        action.approval.unanswered = (unanswered.then != UnansweredThen::Wait && !again).then(|| Turn {
            then: unanswered.then,
            at: action.created_at.plus_seconds(i64::from(unanswered.minutes) * 60),
        });
    }
}

fn concerned_by(device: Option<&Device>) -> Concerned<'_> {
    match device {
        None => Concerned::Mail,
        Some(device) => Concerned::Device { own: device.automation_level, name: &device.name, tags: &device.tags },
    }
}

/// The device an action is about: its own, else that of its investigation; none when it is about mail.
pub(crate) async fn device_concerned(
    tx: &mut Tx,
    spec: &ActionSpec,
    investigation: Option<InvestigationId>,
) -> Result<Option<Device>, StoreError> {
    if is_about_mail(spec) {
        return Ok(None);
    }
    let mut id: Option<DeviceId> = device_of(spec);
    if id.is_none()
        && let Some(investigation) = investigation
    {
        let found = tx.investigation(investigation).await?;
        id = found.and_then(|found| found.device).map(|device| device.id);
    }
    match id {
        Some(id) => tx.device(id).await,
        None => Ok(None),
    }
}

/// What ran without a person in an investigation.
pub(crate) async fn ran_unattended(
    tx: &mut Tx,
    investigation: Option<InvestigationId>,
) -> Result<Vec<ActionSpec>, StoreError> {
    let Some(id) = investigation else { return Ok(Vec::new()) };
    let filter = ActionFilter { investigation: Some(id), ..ActionFilter::default() };
    let actions = tx.actions(&filter, &Page::first(ACTIONS_MAX)).await?.items;
    Ok(actions.into_iter().filter(is_unattended).map(|action| action.spec).collect())
}

fn is_unattended(action: &Action) -> bool {
    action.decided_by.as_deref().is_some_and(|by| by.starts_with("automation:"))
}

/// The policy changed: what happens to pending actions by themselves follows it.
///
/// # Errors
/// When the store fails.
pub async fn refresh(ctx: &Ctx, tx: &mut Tx) -> Result<(), StoreError> {
    let rules = Rules::load(ctx, tx).await?;
    let now = ctx.now();
    let mut devices: HashMap<DeviceId, Option<Device>> = HashMap::new();
    for mut action in tx.pending_actions().await? {
        let before = (action.approval.clone(), action.expires_at);
        let device = match device_of(&action.spec) {
            Some(id) if devices.contains_key(&id) => devices[&id].clone(),
            _ => device_concerned(tx, &action.spec, action.investigation_id).await?,
        };
        if let Some(id) = device_of(&action.spec) {
            devices.insert(id, device.clone());
        }
        rules.plan(&mut action, device.as_ref(), now);
        if before != (action.approval.clone(), action.expires_at) {
            tx.put_action(&action).await?;
        }
    }
    Ok(())
}
