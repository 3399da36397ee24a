//! Changes of the automation policy: what is asked for, checked.

use super::zone;
use hinomi_api::UpdateAutomation;
use hinomi_cases::automation::minute_of_day;
use hinomi_model::{ActionSpec, AutomationPolicy, AutomationScope, Text, Unanswered, UnansweredThen};

/// Most device groups, and hours of one.
const GROUPS_MAX: usize = 50;
const HOURS_MAX: usize = 20;
/// Most entries of a list of tags, devices, mailboxes or processes.
const LIST_MAX: usize = 1_000;
/// Longest entry, characters.
const ENTRY_CHARS_MAX: usize = 320;
/// Longest wait, minutes: 30 days.
const MINUTES_MAX: u32 = 30 * 24 * 60;
/// Longest a pending action waits, hours: 90 days.
pub const EXPIRY_HOURS_MAX: u32 = 90 * 24;
/// Most targets without a person.
const TARGETS_MAX: u32 = 5_000;

/// What is wrong: the field, and why.
pub type Wrong = (&'static str, Text);

/// Returns a policy with what is asked for in it.
pub fn apply(policy: AutomationPolicy, change: UpdateAutomation) -> AutomationPolicy {
    AutomationPolicy {
        time_zone: change.time_zone.unwrap_or(policy.time_zone),
        groups: change.groups.unwrap_or(policy.groups),
        devices: change.devices.unwrap_or(policy.devices),
        mail: change.mail.unwrap_or(policy.mail),
        guards: change.guards.unwrap_or(policy.guards),
        two_persons: change.two_persons.unwrap_or(policy.two_persons),
        expiry_hours: change.expiry_hours.unwrap_or(policy.expiry_hours),
        notice_hours: change.notice_hours.unwrap_or(policy.notice_hours),
        ..policy
    }
}

fn wrong<T>(field: &'static str, en: impl Into<String>, ja: impl Into<String>) -> Result<T, Wrong> {
    Err((field, Text::new(en, ja)))
}

/// Checks a policy.
///
/// # Errors
/// The first field that cannot be meant.
pub fn check(policy: &AutomationPolicy) -> Result<(), Wrong> {
    if let Err(error) = zone(&policy.time_zone) {
        return wrong("time_zone", error.clone(), format!("タイム ゾーンを使えません: {error}"));
    }
    if policy.groups.len() > GROUPS_MAX {
        return wrong("groups", "at most 50 groups", "グループは 50 個までです");
    }
    for (at, group) in policy.groups.iter().enumerate() {
        let name = group.name.trim();
        let twice = policy.groups[..at].iter().any(|one| one.name == group.name);
        if name.is_empty() || name.len() != group.name.len() || name.chars().count() > 64 || twice {
            return wrong(
                "groups",
                "a group has a name of its own of 1 to 64 characters",
                "グループには重複しない 1〜64 文字の名前が必要です",
            );
        }
        if group.device_tags.is_empty() {
            return wrong("groups", "a group has tags of devices", "グループにはデバイスのタグが必要です");
        }
        list("groups", &group.device_tags)?;
        scope("groups", &group.rules)?;
    }
    scope("devices", &policy.devices)?;
    scope("mail", &policy.mail)?;
    let guards = &policy.guards;
    for entries in [&guards.processes, &guards.devices, &guards.device_tags, &guards.mailboxes] {
        list("guards", entries)?;
    }
    if guards.copies_max > TARGETS_MAX || guards.devices_max > TARGETS_MAX {
        return wrong("guards", "at most 5,000 targets", "対象は 5,000 件までです");
    }
    if let Some(kind) = policy.two_persons.iter().find(|kind| !ActionSpec::KINDS.contains(&kind.as_str())) {
        return wrong("two_persons", format!("there is no kind {kind:?}"), format!("{kind:?} という種類はありません"));
    }
    if !(1..=EXPIRY_HOURS_MAX).contains(&policy.expiry_hours) {
        return wrong("expiry_hours", "1 to 2,160 hours", "1〜2,160 時間です");
    }
    if policy.notice_hours >= policy.expiry_hours {
        return wrong(
            "notice_hours",
            "the notice comes after the beginning: fewer hours than until expiry",
            "期限の予告は、期限までの時間より短くしてください",
        );
    }
    Ok(())
}

fn list(field: &'static str, entries: &[String]) -> Result<(), Wrong> {
    let bad = |entry: &String| {
        entry.trim().is_empty() || entry.trim().len() != entry.len() || entry.chars().count() > ENTRY_CHARS_MAX
    };
    if entries.len() > LIST_MAX || entries.iter().any(bad) {
        return wrong(
            field,
            "at most 1,000 entries of 1 to 320 characters",
            "1〜320 文字の値を 1,000 件まで指定できます",
        );
    }
    Ok(())
}

fn scope(field: &'static str, scope: &AutomationScope) -> Result<(), Wrong> {
    answer(field, scope.unanswered)?;
    if scope.hours.len() > HOURS_MAX {
        return wrong(field, "at most 20 hours", "時間帯は 20 個までです");
    }
    for hours in &scope.hours {
        for time in [&hours.from, &hours.to] {
            if minute_of_day(time).is_none() {
                return wrong(
                    field,
                    format!("{time:?} is not a time like 22:00"),
                    format!("{time:?} は 22:00 のような時刻ではありません"),
                );
            }
        }
        if hours.days.is_empty() {
            return wrong(field, "hours need days", "時間帯には曜日が必要です");
        }
        answer(field, hours.unanswered.unwrap_or_default())?;
    }
    Ok(())
}

fn answer(field: &'static str, unanswered: Unanswered) -> Result<(), Wrong> {
    let waits = unanswered.then == UnansweredThen::Wait;
    if !waits && !(1..=MINUTES_MAX).contains(&unanswered.minutes) {
        return wrong(field, "1 to 43,200 minutes", "1〜43,200 分です");
    }
    Ok(())
}
