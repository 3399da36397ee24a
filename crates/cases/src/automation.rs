//! What automation may do with a proposed action, and why: levels, hours, guard rails.
//!
//! Pure: the hour of the place, the device and the policy come in, a decision with its reason goes out,
//! for an action of today as for one of last month.

use crate::{is_system_path, is_temporary_path, targets_of};
use hinomi_model::{
    ActionSpec, AutomationHours, AutomationLevel, AutomationPolicy, AutomationScope, DeviceId, EntityKey, Grounds,
    IndicatorKind, Text, Unanswered, Weekday,
};
use std::collections::BTreeSet;

/// Programs of the operating system whose end ends the machine, its log-ins or its network: the system
/// and service managers, the message bus, log-in and network services; Windows' critical processes
/// (Microsoft: "critical system services").
const PROTECTED: &[&str] = &[
    "systemd",
    "init",
    "dbus-daemon",
    "dbus-broker",
    "sshd",
    "login",
    "gdm3",
    "networkmanager",
    "containerd",
    "dockerd",
    "hinomi",
    "hinomi-sensor",
    "csrss.exe",
    "lsass.exe",
    "lsm.exe",
    "services.exe",
    "smss.exe",
    "svchost.exe",
    "wininit.exe",
    "winlogon.exe",
];
const MINUTES_OF_DAY: u16 = 24 * 60;

/// An hour as the clocks of the place show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalTime {
    /// Day.
    pub day: Weekday,
    /// Minute of the day, 0 to 1,439.
    pub minute: u16,
}

/// What an action is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concerned<'a> {
    /// Mail, or nothing on a device.
    Mail,
    /// A device.
    Device {
        /// Its own level, which counts before groups and hours.
        own: Option<AutomationLevel>,
        /// Its name.
        name: &'a str,
        /// Its tags.
        tags: &'a [String],
    },
}

/// What holds at an hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Level.
    pub level: AutomationLevel,
    /// What happens when nobody answers.
    pub unanswered: Unanswered,
    /// What says so (`group servers, 22:00-06:00`).
    pub place: Text,
}

/// A decision about a proposed action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// It runs without a person.
    pub runs: bool,
    /// The level it was judged at.
    pub level: AutomationLevel,
    /// Why.
    pub reason: Text,
    /// What happens when nobody answers.
    pub unanswered: Unanswered,
}

/// Minutes of the day of a text like `09:30`; none when it is not like that.
pub fn minute_of_day(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':').filter(|(hours, minutes)| hours.len() == 2 && minutes.len() == 2)?;
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u16>().ok())?;
    match (number(hours)?, number(minutes)?) {
        (hours @ 0..24, minutes @ 0..60) => Some(hours * 60 + minutes),
        _ => None,
    }
}

/// True when these hours hold then. Hours through midnight belong to the day they begin on.
pub fn holds(hours: &AutomationHours, now: LocalTime) -> bool {
    let (Some(from), Some(to)) = (minute_of_day(&hours.from), minute_of_day(&hours.to)) else { return false };
    let on = |day: Weekday| hours.days.contains(&day);
    if from < to {
        return on(now.day) && (from..to).contains(&now.minute);
    }
    let before = Weekday::ALL[(now.day as usize + 6) % 7];
    (on(now.day) && (from..MINUTES_OF_DAY).contains(&now.minute)) || (on(before) && now.minute < to)
}

/// The device group that fits; none = the other devices.
fn scope<'p>(policy: &'p AutomationPolicy, concerned: Concerned<'_>) -> (&'p AutomationScope, Text) {
    match concerned {
        Concerned::Mail => (&policy.mail, Text::new("mail", "メール")),
        Concerned::Device { tags, .. } => {
            let fits = |group: &&hinomi_model::AutomationGroup| group.device_tags.iter().any(|tag| tags.contains(tag));
            match policy.groups.iter().find(fits) {
                Some(group) => {
                    let Text { en, ja } = Text::same(&group.name);
                    (&group.rules, Text::new(format!("device group {en}"), format!("デバイス グループ {ja}")))
                }
                None => (&policy.devices, Text::new("devices", "デバイス")),
            }
        }
    }
}

/// What holds for an action at an hour.
pub fn setting(
    policy: &AutomationPolicy,
    concerned: Concerned<'_>,
    server: AutomationLevel,
    now: LocalTime,
) -> Setting {
    let (scope, mut place) = scope(policy, concerned);
    let hours = scope.hours.iter().find(|hours| holds(hours, now));
    if let Some(AutomationHours { from, to, .. }) = hours {
        place = Text::new(format!("{}, {from}-{to}", place.en), format!("{}、{from}〜{to}", place.ja));
    }
    let level = hours.and_then(|hours| hours.level).or(scope.level).unwrap_or(server);
    let unanswered = hours.and_then(|hours| hours.unanswered).unwrap_or(scope.unanswered);
    match concerned {
        Concerned::Device { own: Some(own), name, .. } => {
            Setting { level: own, unanswered, place: Text::same(name.to_owned()) }
        }
        _ => Setting { level, unanswered, place },
    }
}

/// True for actions that are about mail, wherever their investigation began.
pub fn is_about_mail(spec: &ActionSpec) -> bool {
    use IndicatorKind as Kind;
    match spec {
        ActionSpec::RestoreMessages { .. } => true,
        ActionSpec::AddIndicator { indicator } => {
            matches!(indicator.kind, Kind::SenderAddress | Kind::SenderDomain | Kind::SubjectPattern)
        }
        spec => spec.message_remedy().is_some(),
    }
}

/// True when a level lets such an action run without a person. The levels between look at where the
/// files lie: a mail and a value blocked everywhere lie nowhere, so they wait.
pub fn allows(level: AutomationLevel, spec: &ActionSpec, grounds: &Grounds) -> bool {
    let local = matches!(spec, ActionSpec::QuarantineFile { .. } | ActionSpec::StopProcessTree { .. });
    let everywhere =
        |good: fn(&str) -> bool| local && !grounds.paths.is_empty() && grounds.paths.iter().all(|path| good(path));
    match level {
        AutomationLevel::Full => true,
        AutomationLevel::SemiCore => everywhere(|path| !is_system_path(path)),
        AutomationLevel::SemiTemp => everywhere(is_temporary_path),
        AutomationLevel::SemiAll | AutomationLevel::None => false,
    }
}

/// How many copies or devices an action reaches together with others of its investigation that ran
/// without a person.
pub fn reach(spec: &ActionSpec, others: &[ActionSpec]) -> usize {
    let all = || others.iter().chain([spec]);
    if spec.message_remedy().is_some() {
        let copies: BTreeSet<EntityKey> =
            all().filter(|one| one.message_remedy().is_some()).flat_map(targets_of).collect();
        return copies.len();
    }
    match acted_on(spec) {
        Some(_) => all().filter_map(acted_on).collect::<BTreeSet<_>>().len(),
        None => 1,
    }
}

/// The device an action changes.
fn acted_on(spec: &ActionSpec) -> Option<DeviceId> {
    match spec {
        ActionSpec::StopProcessTree { process } => Some(process.device_id),
        ActionSpec::QuarantineFile { device_id, .. } | ActionSpec::IsolateDevice { device_id, .. } => Some(*device_id),
        _ => None,
    }
}

fn name_of(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// True for a process nothing stops without a person: the operating system's own, from where it lies,
/// and those that are listed.
fn is_protected(path: &str, listed: &[String]) -> bool {
    let name = name_of(path).to_lowercase();
    let own = is_system_path(path)
        && (PROTECTED.contains(&name.as_str()) || name.starts_with("systemd-") || name.starts_with("dbus-"));
    let is_listed = |one: &String| match one.contains(['/', '\\']) {
        true => one.eq_ignore_ascii_case(path),
        false => one.eq_ignore_ascii_case(&name),
    };
    own || listed.iter().any(is_listed)
}

/// Why an action waits for a person whatever the level; none = nothing holds it.
pub fn held_by(
    policy: &AutomationPolicy,
    spec: &ActionSpec,
    grounds: &Grounds,
    concerned: Concerned<'_>,
    reach: usize,
) -> Option<Text> {
    let guards = &policy.guards;
    if grounds.by_hand {
        return Some(Text::new("a person started the investigation", "調査を人が開始しました"));
    }
    if policy.two_persons.iter().any(|kind| kind == spec.kind()) {
        return Some(Text::new("two persons must approve this kind", "この種類の対処には 2 人の承認が必要です"));
    }
    if let ActionSpec::StopProcessTree { .. } = spec
        && let Some(path) = grounds.paths.iter().find(|path| is_protected(path, &guards.processes))
    {
        return Some(Text::new(format!("{path} is a protected process"), format!("{path} は保護されたプロセスです")));
    }
    if let ActionSpec::QuarantineFile { paths, .. } = spec
        && let Some(path) = paths.iter().find(|path| is_system_path(path))
    {
        return Some(Text::new(format!("{path} belongs to the system"), format!("{path} はシステムのファイルです")));
    }
    if let Concerned::Device { name, tags, .. } = concerned
        && acted_on(spec).is_some()
        && (guards.devices.iter().any(|one| one.eq_ignore_ascii_case(name))
            || guards.device_tags.iter().any(|tag| tags.contains(tag)))
    {
        return Some(Text::new(format!("{name} is a listed device"), format!("{name} は保護対象のデバイスです")));
    }
    if let Some((_, copies)) = spec.message_remedy() {
        let is_listed = |address: &str| guards.mailboxes.iter().any(|one| one.eq_ignore_ascii_case(address));
        if let Some(copy) = copies.iter().find(|copy| is_listed(&copy.recipient)) {
            let to = &copy.recipient;
            return Some(Text::new(
                format!("{to} is a listed mailbox"),
                format!("{to} は保護対象のメールボックスです"),
            ));
        }
        if reach > guards.copies_max as usize {
            let most = guards.copies_max;
            return Some(Text::new(
                format!("{reach} copies are more than the {most} that may be treated without a person"),
                format!("対象が {reach} 通あり、承認なしで処理できる {most} 通を超えています"),
            ));
        }
    } else if acted_on(spec).is_some() && reach > guards.devices_max as usize {
        let most = guards.devices_max;
        return Some(Text::new(
            format!("{reach} devices are more than the {most} that may be acted on without a person"),
            format!("対象が {reach} 台あり、承認なしで対処できる {most} 台を超えています"),
        ));
    }
    if let Some(asks) = &grounds.asks {
        return Some(asks.clone());
    }
    (!grounds.sure).then(|| {
        Text::new("the evidence is not enough to act without a person", "人の確認なしで対処するには根拠が足りません")
    })
}

/// A level's name in Japanese.
fn ja_of(level: AutomationLevel) -> &'static str {
    match level {
        AutomationLevel::None => "自動調査なし",
        AutomationLevel::SemiAll => "半自動: すべて承認制",
        AutomationLevel::SemiCore => "半自動: システムのフォルダーは承認制",
        AutomationLevel::SemiTemp => "半自動: 一時フォルダー以外は承認制",
        AutomationLevel::Full => "完全自動",
    }
}

/// Decides whether an action runs without a person at an hour.
pub fn judge(
    policy: &AutomationPolicy,
    spec: &ActionSpec,
    grounds: &Grounds,
    concerned: Concerned<'_>,
    server: AutomationLevel,
    now: LocalTime,
    reach: usize,
) -> Judged {
    let Setting { level, unanswered, place } = setting(policy, concerned, server, now);
    let (en, ja) = (level.word(), ja_of(level));
    let at = Text::new(format!("level {en} ({})", place.en), format!("レベル「{ja}」({})", place.ja));
    let (runs, reason) = match held_by(policy, spec, grounds, concerned, reach) {
        Some(held) => (
            false,
            Text::new(
                format!("Waits for a person: {}; {}.", held.en, at.en),
                format!("承認待ち: {}。{}。", held.ja, at.ja),
            ),
        ),
        None if allows(level, spec, grounds) => {
            (true, Text::new(format!("Ran without a person: {}.", at.en), format!("自動で実行: {}。", at.ja)))
        }
        None => (false, Text::new(format!("Waits for a person: {}.", at.en), format!("承認待ち: {}。", at.ja))),
    };
    Judged { runs, level, reason, unanswered }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hinomi_model::{AutomationGroup, MessageCopyRef, ProcessKey, Timestamp, UnansweredThen};

    fn at(day: Weekday, time: &str) -> LocalTime {
        LocalTime { day, minute: minute_of_day(time).expect("a time") }
    }

    fn night(level: AutomationLevel) -> AutomationHours {
        AutomationHours {
            days: vec![Weekday::Fri, Weekday::Sat],
            from: "22:00".to_owned(),
            to: "06:00".to_owned(),
            level: Some(level),
            unanswered: Some(Unanswered { then: UnansweredThen::Run, minutes: 30 }),
        }
    }

    fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(number: usize) -> T {
        format!("00000000-0000-0000-0000-{number:012}").parse().expect("an id")
    }

    fn stop(device: usize) -> ActionSpec {
        let device_id = id(device);
        ActionSpec::StopProcessTree { process: ProcessKey { device_id, pid: 7, started_at: Timestamp::from_micros(1) } }
    }

    fn mail(count: usize, to: &str) -> ActionSpec {
        let copy = |n: usize| MessageCopyRef { message_id: id(n), recipient: to.to_owned() };
        ActionSpec::SoftDeleteMessages { copies: (0..count).map(copy).collect(), senders_copy: false }
    }

    #[test]
    fn hours_through_midnight_belong_to_the_day_they_begin_on() {
        let hours = night(AutomationLevel::Full);
        for (day, time, wanted) in [
            (Weekday::Fri, "21:59", false),
            (Weekday::Fri, "22:00", true),
            (Weekday::Sat, "05:59", true),
            (Weekday::Sat, "06:00", false),
            (Weekday::Sun, "05:59", true),
            (Weekday::Sun, "22:00", false),
            (Weekday::Fri, "03:00", false),
        ] {
            assert_eq!(holds(&hours, at(day, time)), wanted, "{day:?} {time}");
        }
        assert_eq!((minute_of_day("24:00"), minute_of_day("9:30"), minute_of_day("+1:00")), (None, None, None));
    }

    #[test]
    fn the_group_that_fits_first_counts_and_a_devices_own_level_before_it() {
        let mut policy = AutomationPolicy::default();
        policy.groups.push(AutomationGroup {
            name: "desks".to_owned(),
            device_tags: vec!["office".to_owned()],
            rules: AutomationScope { hours: vec![night(AutomationLevel::Full)], ..Default::default() },
        });
        let tags = ["office".to_owned()];
        let of = |own, tags, time| {
            setting(
                &policy,
                Concerned::Device { own, name: "pc-1", tags },
                AutomationLevel::SemiAll,
                at(Weekday::Fri, time),
            )
        };
        assert_eq!(of(None, &tags, "23:00").level, AutomationLevel::Full);
        assert_eq!(of(None, &tags, "23:00").unanswered.minutes, 30);
        assert_eq!(of(None, &tags, "12:00").level, AutomationLevel::SemiAll);
        assert_eq!(of(None, &[], "23:00").level, AutomationLevel::SemiAll);
        assert_eq!(of(Some(AutomationLevel::None), &tags, "23:00").level, AutomationLevel::None);
        assert!(of(None, &tags, "23:00").place.en.contains("desks, 22:00-06:00"));
    }

    #[test]
    fn guard_rails_hold_at_full_automation() {
        let mut policy = AutomationPolicy { two_persons: vec!["isolate_device".to_owned()], ..Default::default() };
        policy.guards.processes = vec!["postgres".to_owned(), "/opt/erp/bin/erpd".to_owned()];
        policy.guards.devices = vec!["DC-1".to_owned()];
        policy.guards.device_tags = vec!["core".to_owned()];
        policy.guards.mailboxes = vec!["ceo@example.org".to_owned()];
        let sure = |path: &str| Grounds { sure: true, paths: vec![path.to_owned()], ..Grounds::default() };
        let (office, core) = (["office".to_owned()], ["core".to_owned()]);
        let device = |name, tags| Concerned::Device { own: None, name, tags };
        let runs = |spec: &ActionSpec, grounds: &Grounds, concerned, others: &[ActionSpec]| {
            let noon = at(Weekday::Mon, "12:00");
            judge(&policy, spec, grounds, concerned, AutomationLevel::Full, noon, reach(spec, others)).runs
        };
        let pc = device("pc-1", &office);
        assert!(runs(&stop(1), &sure("/usr/bin/bash"), pc, &[]), "a shell of the attack is stopped");
        assert!(!runs(&stop(1), &sure("/usr/lib/systemd/systemd"), pc, &[]));
        assert!(!runs(&stop(1), &sure("C:\\Windows\\System32\\lsass.exe"), pc, &[]));
        assert!(runs(&stop(1), &sure("/tmp/sshd"), pc, &[]), "a name alone protects nothing");
        assert!(!runs(&stop(1), &sure("/usr/lib/postgresql/15/bin/postgres"), pc, &[]));
        assert!(!runs(&stop(1), &sure("/opt/erp/bin/erpd"), pc, &[]));
        assert!(!runs(&stop(1), &sure("/tmp/x"), device("dc-1", &office), &[]));
        assert!(!runs(&stop(1), &sure("/tmp/x"), device("pc-2", &core), &[]));
        assert!(!runs(&stop(1), &Grounds { by_hand: true, ..sure("/tmp/x") }, pc, &[]));
        assert!(!runs(&stop(1), &Grounds { sure: false, ..sure("/tmp/x") }, pc, &[]));
        let ten: Vec<ActionSpec> = (2..12).map(stop).collect();
        assert!(runs(&stop(1), &sure("/tmp/x"), pc, &ten[..9]) && !runs(&stop(1), &sure("/tmp/x"), pc, &ten));
        assert!(runs(&mail(100, "a@example.org"), &sure(""), Concerned::Mail, &[]));
        assert!(!runs(&mail(101, "a@example.org"), &sure(""), Concerned::Mail, &[]));
        assert!(!runs(&mail(60, "a@example.org"), &sure(""), Concerned::Mail, &[mail(60, "b@example.org")]));
        assert!(!runs(&mail(1, "CEO@example.org"), &sure(""), Concerned::Mail, &[]));
        let isolate = ActionSpec::IsolateDevice { device_id: id(1), lease_seconds: 600 };
        assert!(!runs(&isolate, &sure(""), pc, &[]), "two persons");
    }
}
