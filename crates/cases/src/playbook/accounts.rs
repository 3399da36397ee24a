//! Steps about accounts and the sensor itself: who logged on, where accounts were used, what the sensor
//! says.

use super::{Case, Fact, Outcome, Query, edge};
use crate::correlate::is_public;
use crate::evidence::piece;
use hinomi_model::{Device, DeviceId, EntityKey, EntityKind, Event, EvidenceRole, SensorHealth, Text, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Logons before the first event that may have to do with it, seconds.
const BEFORE_SECONDS: i64 = 24 * 3600;
/// Devices whose logons one investigation reads.
const DEVICES_MAX: usize = 8;
/// Refused logons from one address after which one that works looks like a guessed password.
const GUESSES: usize = 10;
/// Accounts followed by one investigation.
const ACCOUNTS_MAX: usize = 20;
/// Accounts every device has: where they are used says nothing.
const EVERYWHERE: &[&str] = &["root", "system", "nt authority\\system", "www-data", "nobody", "daemon"];

/// The devices of the alerts with their first event.
fn devices(case: &Case<'_>) -> BTreeMap<DeviceId, Timestamp> {
    let mut devices: BTreeMap<DeviceId, Timestamp> = BTreeMap::new();
    for alert in case.alerts {
        if let Some(device) = &alert.device {
            let first = devices.entry(device.id).or_insert(alert.first_activity);
            *first = alert.first_activity.min(*first);
        }
    }
    devices.into_iter().take(DEVICES_MAX).collect()
}

pub(super) fn logon_queries(case: &Case<'_>) -> Vec<Query> {
    let to = case.now.plus_seconds(60);
    let query = |(device, first): (DeviceId, Timestamp)| Query::Logons {
        device,
        from: first.plus_seconds(-BEFORE_SECONDS),
        to,
    };
    devices(case).into_iter().map(query).collect()
}

/// Logons of one account from one address.
#[derive(Default)]
struct Logons {
    worked: usize,
    refused: usize,
    /// Refused before one worked.
    guesses: usize,
    first: Option<Timestamp>,
}

pub(super) fn logons(case: &Case<'_>, facts: &[Fact]) -> Outcome {
    if devices(case).is_empty() {
        return Outcome::skipped("No device takes part.", "関わるデバイスがありません。");
    }
    let mut outcome = Outcome::done("", "");
    let (mut worked, mut refused) = (0, 0);
    let mut guessed: Vec<String> = Vec::new();
    for fact in facts {
        let Fact::Logons { device, events } = fact else { continue };
        let device = EntityKey::device(*device);
        for ((account, address), seen) in by_account(events) {
            (worked, refused) = (worked + seen.worked, refused + seen.refused);
            if seen.worked == 0 {
                continue;
            }
            let at = seen.first.unwrap_or_default();
            let user = EntityKey::user(&account);
            let count = seen.worked.to_string();
            let guesses = seen.guesses.to_string();
            let suspicious = seen.guesses >= GUESSES;
            let role = if suspicious { EvidenceRole::Attacked } else { EvidenceRole::Contextual };
            outcome.evidence.push(piece(user.clone(), account.clone(), role, &[("logons", &count)], at));
            outcome.edges.push(edge(&user, &device, "logged on to", "がサインイン"));
            if address.is_empty() || !(suspicious || is_public(&address)) {
                continue;
            }
            let role = if suspicious { EvidenceRole::Attacker } else { EvidenceRole::Contextual };
            let from = EntityKey::ip(&address);
            let told = [("logons", count.as_str()), ("refused_before", guesses.as_str())];
            outcome.evidence.push(piece(from.clone(), address.clone(), role, &told, at));
            outcome.edges.push(edge(&from, &user, "logged on as", "からサインイン"));
            if suspicious {
                guessed.push(format!("{account} ({address})"));
                outcome.lines.push(Text::new(
                    format!("{address} was refused {guesses} times before it logged on as {account}."),
                    format!("{address} は {guesses} 回失敗した後、{account} でサインインしました。"),
                ));
            }
        }
    }
    let more = match guessed.len() {
        0 => Default::default(),
        _ => (
            format!(" Guessed passwords: {}.", guessed.join(", ")),
            format!(" パスワードの推測: {}。", guessed.join(", ")),
        ),
    };
    outcome.result = Text::new(
        format!("{worked} logons worked, {refused} were refused.{}", more.0),
        format!("{worked} 件のサインインが成功し、{refused} 件が拒否されました。{}", more.1),
    );
    outcome
}

fn by_account(events: &[Event]) -> BTreeMap<(String, String), Logons> {
    let mut found: BTreeMap<(String, String), Logons> = BTreeMap::new();
    for event in events {
        let Some(account) = event.str("AccountName").filter(|name| !name.is_empty()) else { continue };
        let address = event.str("RemoteIP").unwrap_or_default().to_owned();
        let seen = found.entry((account.to_lowercase(), address)).or_default();
        seen.first.get_or_insert(event.timestamp);
        match event.str("ActionType") {
            Some("LogonSuccess") => {
                if seen.worked == 0 {
                    seen.guesses = seen.refused;
                }
                seen.worked += 1;
            }
            Some("LogonFailed") => seen.refused += 1,
            _ => {}
        }
    }
    found
}

/// Accounts of the alerts and of the evidence so far.
fn accounts(case: &Case<'_>) -> BTreeSet<String> {
    let named = case.alerts.iter().filter_map(|alert| alert.user.clone());
    let attacked = case
        .investigation
        .evidence
        .iter()
        .filter(|piece| piece.entity.kind == EntityKind::User && piece.role == EvidenceRole::Attacked);
    let all = named.chain(attacked.map(|piece| piece.entity.value.clone())).map(|name| name.to_lowercase());
    all.filter(|name| !EVERYWHERE.contains(&name.as_str())).take(ACCOUNTS_MAX).collect()
}

pub(super) fn use_queries(case: &Case<'_>) -> Vec<Query> {
    let seen = |name: String| Query::Seen { observable: EntityKey::user(&name), by: EntityKind::Device };
    accounts(case).into_iter().map(seen).collect()
}

pub(super) fn account_use(case: &Case<'_>, facts: &[Fact]) -> Outcome {
    if accounts(case).is_empty() {
        return Outcome::skipped("No account to follow.", "たどるアカウントがありません。");
    }
    let own: BTreeSet<EntityKey> = devices(case).into_keys().map(EntityKey::device).collect();
    let since = case.alerts.iter().map(|alert| alert.first_activity).min().unwrap_or_default();
    let mut outcome = Outcome::done("", "");
    let mut others: BTreeSet<EntityKey> = BTreeSet::new();
    for fact in facts {
        let Fact::Seen { observable, by: EntityKind::Device, sightings, .. } = fact else { continue };
        for sighting in sightings.iter().filter(|seen| seen.last_seen >= since && !own.contains(&seen.entity)) {
            let facts = [("account", observable.value.as_str())];
            let name = sighting.entity.value.clone();
            let role = EvidenceRole::Contextual;
            outcome.evidence.push(piece(sighting.entity.clone(), name, role, &facts, sighting.last_seen));
            outcome.edges.push(edge(observable, &sighting.entity, "was used on", "を使用"));
            others.insert(sighting.entity.clone());
        }
    }
    outcome.result = match others.len() {
        0 => Text::new("On no other device since.", "その後ほかのデバイスでは使われていません。"),
        n => Text::new(format!("On {n} other devices since."), format!("その後ほかの {n} 台で使われました。")),
    };
    outcome
}

pub(super) fn sensor_queries(case: &Case<'_>) -> Vec<Query> {
    devices(case).into_keys().map(|device| Query::Device { device }).collect()
}

pub(super) fn sensor_state(case: &Case<'_>, facts: &[Fact]) -> Outcome {
    let known: Vec<&Device> = facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::Device(Some(device)) => Some(&**device),
            _ => None,
        })
        .collect();
    if known.is_empty() {
        return Outcome::skipped("No sensor of ours runs there.", "センサーのないデバイスです。");
    }
    let mut outcome = Outcome::done("", "");
    let mut told: (Vec<String>, Vec<String>) = Default::default();
    for device in known {
        let missing = device.status.capabilities.iter().filter(|(_, state)| *state != "ok");
        let missing = missing.map(|(name, why)| format!("{name}: {why}")).collect::<Vec<_>>().join("; ");
        let health = device.health.word();
        let seen = device.last_seen.to_string();
        let users = device.status.logged_on_users.join(", ");
        let isolated = if device.status.isolated { "yes" } else { "" };
        let facts = [
            ("logged_on_users", users.as_str()),
            ("isolated", isolated),
            ("sensor_version", device.status.sensor_version.as_str()),
            ("sensor_health", health.as_str()),
            ("last_seen", seen.as_str()),
            ("missing", missing.as_str()),
        ];
        let entity = EntityKey::device(device.id);
        outcome.evidence.push(piece(entity, device.name.clone(), EvidenceRole::Attacked, &facts, case.now));
        let good = device.online && device.health == SensorHealth::Active && missing.is_empty();
        let (en, ja) = match (good, device.online) {
            (true, _) => ("connected and complete".to_owned(), "接続中で正常です".to_owned()),
            (false, true) => {
                (format!("connected, but missing: {missing}"), format!("接続中ですが不足があります: {missing}"))
            }
            (false, false) => (format!("not connected since {seen}"), format!("{seen} から接続がありません")),
        };
        // those of a demo do not exist
        if !device.online && device.health != SensorHealth::Revoked && device.id.demo().is_none() {
            outcome.waits_for.push(device.id);
        }
        told.0.push(format!("{}: {en}", device.name));
        told.1.push(format!("{}: {ja}", device.name));
    }
    outcome.result = Text::new(format!("{}.", told.0.join("; ")), format!("{}。", told.1.join("、")));
    outcome
}
