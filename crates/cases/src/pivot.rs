//! The pivot's thinking: what a text may be the value of, and what happened to a value in order.

use crate::places::saved_stage;
use crate::sighting::{is_hex, is_sha256};
use hinomi_model::{
    DeliveryAction, DeliveryLocation, DeviceId, EntityKey, MailDirection, MessageCopy, PivotReach, PivotStage,
    PivotStep, PivotType, Sighting,
};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Longest text taken for a value, in characters.
pub const PIVOT_VALUE_CHARS_MAX: usize = 4_096;

/// A text read as a value of one type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PivotValue {
    /// What it is.
    pub pivot_type: PivotType,
    /// Normalised: hashes, domains and addresses in lower case, Message-IDs without angle brackets.
    pub value: String,
}

/// Reads a text as what it may be, the likeliest first; empty when it is nothing known. Understands
/// harmful values as people write them (`hxxps://evil[.]example`) and entity keys (`file:9f86…`).
///
/// ```
/// use hinomi_cases::pivot_values;
/// use hinomi_model::PivotType;
/// let found = pivot_values("evil[.]example", None);
/// assert_eq!((found[0].pivot_type, found[0].value.as_str()), (PivotType::Domain, "evil.example"));
/// ```
pub fn pivot_values(text: &str, forced: Option<PivotType>) -> Vec<PivotValue> {
    let text = refanged(text.trim());
    if text.is_empty() || text.chars().count() > PIVOT_VALUE_CHARS_MAX {
        return Vec::new();
    }
    let types = match forced {
        Some(forced) => vec![(forced, text.clone())],
        None => keyed(&text).unwrap_or_else(|| guesses(&text).into_iter().map(|one| (one, text.clone())).collect()),
    };
    types.into_iter().filter_map(|(pivot_type, text)| read(pivot_type, &text)).collect()
}

fn refanged(text: &str) -> String {
    let text = text.replace("[.]", ".").replace("(.)", ".").replace("[@]", "@").replace("[:]", ":");
    let defanged = text.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("hxxp"));
    if defanged { format!("http{}", &text[4..]) } else { text }
}

/// An entity key says itself what it is.
fn keyed(text: &str) -> Option<Vec<(PivotType, String)>> {
    use hinomi_model::EntityKind as Kind;
    let key: EntityKey = text.parse().ok()?;
    let pivot_type = match key.kind {
        Kind::File => PivotType::Sha256,
        Kind::Url => PivotType::Url,
        Kind::Domain => PivotType::Domain,
        Kind::Ip => PivotType::Ip,
        Kind::Sender | Kind::Mailbox => PivotType::MailAddress,
        Kind::Message => PivotType::Message,
        Kind::MessageCopy => return Some(vec![(PivotType::Message, key.as_message_copy()?.0.to_string())]),
        Kind::User => PivotType::Account,
        Kind::Device => PivotType::Device,
        Kind::Process => return Some(vec![(PivotType::Device, key.as_process()?.device_id.to_string())]),
        Kind::Certificate | Kind::Subject => return None,
    };
    Some(vec![(pivot_type, key.value)])
}

fn guesses(text: &str) -> Vec<PivotType> {
    use PivotType::{Account, Device, Domain, InternetMessageId, Ip, MailAddress, Md5, Message, Sha1, Sha256, Url};
    if is_sha256(text) {
        return vec![Sha256];
    }
    if is_hex(text, 40) {
        return vec![Sha1];
    }
    if is_hex(text, 32) {
        return vec![Md5];
    }
    if text.parse::<IpAddr>().is_ok() {
        return vec![Ip];
    }
    if text.contains("://") {
        return vec![Url];
    }
    if text.parse::<DeviceId>().is_ok() {
        return vec![Message, Device];
    }
    if text.starts_with('<') && text.ends_with('>') && text.contains('@') {
        return vec![InternetMessageId];
    }
    if text.contains('@') {
        return vec![MailAddress, Account, InternetMessageId];
    }
    if text.contains('\\') {
        return vec![Account];
    }
    if text.contains('.') && !text.contains(char::is_whitespace) {
        return vec![Domain, Device, Account];
    }
    vec![Device, Account]
}

/// `None` when the text cannot be a value of that type.
fn read(pivot_type: PivotType, text: &str) -> Option<PivotValue> {
    let lower = text.to_lowercase();
    let value = match pivot_type {
        PivotType::Sha256 => lower,
        PivotType::Sha1 => Some(lower).filter(|text| is_hex(text, 40))?,
        PivotType::Md5 => Some(lower).filter(|text| is_hex(text, 32))?,
        PivotType::Url => text.to_owned(),
        PivotType::Domain => Some(lower.trim_end_matches('.').to_owned()).filter(|text| !text.is_empty())?,
        PivotType::Ip => text.parse::<IpAddr>().ok()?.to_canonical().to_string(),
        PivotType::MailAddress => Some(lower.trim_matches(['<', '>']).to_owned()).filter(|text| text.contains('@'))?,
        PivotType::InternetMessageId => text.trim_matches(['<', '>']).to_owned(),
        PivotType::Message => text.parse::<hinomi_model::MessageId>().ok()?.to_string(),
        PivotType::Account | PivotType::Device => lower,
    };
    let is_sound = pivot_type != PivotType::Sha256 || is_sha256(&value);
    is_sound.then_some(PivotValue { pivot_type, value })
}

/// Puts what happened to a value on devices and in mailboxes in order of time.
pub fn pivot_steps(devices: &[Sighting], copies: &[MessageCopy], names: &BTreeMap<DeviceId, String>) -> Vec<PivotStep> {
    let mut steps: Vec<PivotStep> = devices.iter().flat_map(|sighting| of_device(sighting, names)).collect();
    steps.extend(copies.iter().flat_map(of_copy));
    steps.sort_by(|one, two| (one.at, one.stage, &one.entity).cmp(&(two.at, two.stage, &two.entity)));
    steps
}

fn of_device(sighting: &Sighting, names: &BTreeMap<DeviceId, String>) -> Vec<PivotStep> {
    let stages = &sighting.stages;
    let saved = saved_stage(stages.saved_by.as_deref().unwrap_or_default());
    let program = || stages.saved_by.clone();
    let account = || sighting.account.clone();
    let mut found = vec![
        (stages.saved_at, saved, program()),
        (stages.executed_at, PivotStage::Executed, account()),
        (stages.connected_at, PivotStage::Connected, account()),
        (stages.blocked_at, PivotStage::Blocked, account()),
        (stages.deleted_at, PivotStage::Deleted, account()),
    ];
    let first = found.iter().filter_map(|(at, ..)| *at).min();
    if first.is_none_or(|first| sighting.first_seen < first) {
        found.push((Some(sighting.first_seen), PivotStage::Seen, account()));
    }
    let place = sighting.entity.as_device().and_then(|id| names.get(&id)).unwrap_or(&sighting.entity.value);
    let step = |(at, stage, by)| PivotStep {
        at,
        stage,
        entity: sighting.entity.clone(),
        value: sighting.observable.clone(),
        place: place.clone(),
        detail: sighting.name.clone(),
        by,
    };
    found.into_iter().filter_map(|(at, stage, by)| Some(step((at?, stage, by)))).collect()
}

fn of_copy(copy: &MessageCopy) -> Vec<PivotStep> {
    let step = |at, stage, detail: &str, by: Option<&String>| PivotStep {
        at,
        stage,
        entity: EntityKey::message_copy(copy.message_id, &copy.recipient),
        value: EntityKey::message(copy.message_id),
        place: copy.recipient.clone(),
        detail: detail.to_owned(),
        by: by.cloned(),
    };
    let came = if copy.direction == MailDirection::Outbound { PivotStage::Sent } else { PivotStage::Arrived };
    let mut steps = vec![step(copy.received_at, came, &copy.subject, Some(&copy.sender_from))];
    let put = match (copy.delivery_action, copy.delivery_location) {
        (DeliveryAction::Blocked, DeliveryLocation::Quarantine) | (_, DeliveryLocation::Quarantine) => {
            PivotStage::Quarantined
        }
        (DeliveryAction::Blocked, _) => PivotStage::Refused,
        (DeliveryAction::Junked, _) | (_, DeliveryLocation::JunkFolder) => PivotStage::Junked,
        _ => PivotStage::Delivered,
    };
    steps.push(step(copy.received_at, put, "", None));
    if let Some(at) = copy.moved_at {
        let gone = matches!(copy.latest_location, DeliveryLocation::Quarantine | DeliveryLocation::Dropped);
        let stage = if gone { PivotStage::Removed } else { PivotStage::Moved };
        let to = copy.folder.clone().unwrap_or_else(|| copy.latest_location.word());
        steps.push(step(at, stage, &to, copy.moved_by.as_ref()));
    }
    steps
}

/// Adds the steps up: how far it came, in the order in which each stage was reached first.
pub fn pivot_reach(steps: &[PivotStep]) -> Vec<PivotReach> {
    let mut by_stage: BTreeMap<PivotStage, (PivotReach, BTreeSet<&EntityKey>, BTreeSet<&str>)> = BTreeMap::new();
    for step in steps {
        let new = PivotReach { stage: step.stage, first: step.at, last: step.at, devices: 0, mailboxes: 0 };
        let (reach, devices, mailboxes) = by_stage.entry(step.stage).or_insert((new, BTreeSet::new(), BTreeSet::new()));
        reach.first = reach.first.min(step.at);
        reach.last = reach.last.max(step.at);
        if step.entity.as_device().is_some() {
            devices.insert(&step.entity);
        } else {
            mailboxes.insert(&step.place);
        }
    }
    let count = |many: usize| i64::try_from(many).unwrap_or(i64::MAX);
    let mut all: Vec<PivotReach> = by_stage
        .into_values()
        .map(|(reach, devices, boxes)| PivotReach {
            devices: count(devices.len()),
            mailboxes: count(boxes.len()),
            ..reach
        })
        .collect();
    all.sort_by_key(|reach| (reach.first, reach.stage));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use PivotType as T;

    fn types(text: &str) -> Vec<(T, String)> {
        pivot_values(text, None).into_iter().map(|one| (one.pivot_type, one.value)).collect()
    }

    #[test]
    fn texts_are_read_as_what_they_may_be() {
        let one = |pivot_type, value: &str| vec![(pivot_type, value.to_owned())];
        assert_eq!(types(&"AB".repeat(32)), one(T::Sha256, &"ab".repeat(32)));
        assert_eq!(types(&"AB".repeat(20)), one(T::Sha1, &"ab".repeat(20)));
        assert_eq!(types(&"AB".repeat(16)), one(T::Md5, &"ab".repeat(16)));
        assert_eq!(types(" 203.0.113[.]7 "), one(T::Ip, "203.0.113.7"));
        assert_eq!(types("::ffff:203.0.113.7"), one(T::Ip, "203.0.113.7"));
        assert_eq!(types("hxxps://Evil[.]example/A"), one(T::Url, "https://Evil.example/A"));
        assert_eq!(types("<m1@mail.example>"), one(T::InternetMessageId, "m1@mail.example"));
        assert_eq!(types("CORP\\Tanaka"), one(T::Account, "corp\\tanaka"));
        assert_eq!(types(&format!("file:{}", "ab".repeat(32))), one(T::Sha256, &"ab".repeat(32)));
        let of = |text: &str| types(text).into_iter().map(|(one, _)| one).collect::<Vec<_>>();
        assert_eq!(of("A@b.example"), [T::MailAddress, T::Account, T::InternetMessageId]);
        assert_eq!(of("evil.example."), [T::Domain, T::Device, T::Account]);
        assert_eq!(of("pc-tanaka"), [T::Device, T::Account]);
        assert_eq!(of("00000000-0000-7000-8000-00000000000a"), [T::Message, T::Device]);
        assert!(types("").is_empty() && types(&"x".repeat(5_000)).is_empty());
    }

    #[test]
    fn a_type_may_be_forced_but_not_onto_anything() {
        let forced = |text: &str, pivot_type| pivot_values(text, Some(pivot_type));
        assert_eq!(forced("tanaka", T::Domain)[0].value, "tanaka");
        for (text, pivot_type) in
            [("xyz", T::Sha256), ("xyz", T::Md5), ("a.b", T::Ip), ("a", T::MailAddress), ("a", T::Message)]
        {
            assert!(forced(text, pivot_type).is_empty(), "{text} as {pivot_type:?}");
        }
    }
}
