//! One device's word is not enough: what the server checked itself, and what is too widely known to be
//! believed bad on the word of one sensor. A sensor that was taken over may name any hash.

use super::{COPIES_UNATTENDED_MAX, Case, DEVICES_UNATTENDED_MAX, is_active_content};
use hinomi_model::{Evidence, FilterVerdict, MessageCopy, Verdict};
use std::collections::BTreeSet;

/// Name under which reports of users come as verdicts.
const USER_REPORT: &str = "user report";

fn text<'a>(file: &'a Evidence, name: &str) -> &'a str {
    file.facts.get(name).map(String::as_str).unwrap_or_default()
}

fn count(file: &Evidence, name: &str) -> i64 {
    text(file, name).parse().unwrap_or_default()
}

/// The scanner that judged a message malicious. What a user reports is a reason to look, no proof.
pub(super) fn scanner(copy: &MessageCopy) -> Option<&FilterVerdict> {
    let bad = copy.filters.iter().filter(|one| one.verdict == Verdict::Malicious);
    bad.into_iter().find(|one| !one.engine.trim().eq_ignore_ascii_case(USER_REPORT))
}

/// True when somebody else than a sensor says so too: an administrator's indicator, another scanner, or
/// the gateway, which held the content in its hands and found a kind that can act.
pub(super) fn server_checked(file: &Evidence) -> bool {
    let by_gateway = text(file, "corroborated") == "gateway"
        && is_active_content(text(file, "file_type"), text(file, "attachment_name"));
    by_gateway || !text(file, "scanner").is_empty() || text(file, "indicator") == "block"
}

/// Why a file is too widely known for an act without a person; none when it is not.
pub(super) fn widely_known(file: &Evidence) -> Option<(String, String)> {
    let (devices, copies, installed) = (count(file, "devices"), count(file, "copies"), count(file, "installed"));
    if installed > 0 {
        return Some((
            format!("{installed} other devices have it among the files of their system"),
            format!("ほかの {installed} 台でシステムのファイルとして入っています"),
        ));
    }
    if devices > DEVICES_UNATTENDED_MAX {
        return Some((format!("it is on {devices} devices"), format!("{devices} 台のデバイスにあります")));
    }
    if copies > COPIES_UNATTENDED_MAX as i64 {
        return Some((format!("it was delivered {copies} times"), format!("{copies} 通のメールで届いています")));
    }
    (text(file, "bulk") == "true")
        .then(|| ("it came with a newsletter".to_owned(), "一斉配信のメールで届いています".to_owned()))
}

/// True when only one device says that a widely known file is bad, and nobody else.
pub(super) fn is_one_devices_word(case: &Case<'_>, file: &Evidence) -> bool {
    let devices: BTreeSet<_> =
        case.alerts.iter().filter_map(|alert| alert.device.as_ref()).map(|device| device.id).collect();
    devices.len() < 2 && !server_checked(file) && widely_known(file).is_some()
}

/// True when a value of this file may be acted on everywhere without a person.
pub(super) fn may_act_everywhere(file: &Evidence) -> bool {
    let blocked = text(file, "indicator") == "block";
    blocked || (server_checked(file) && widely_known(file).is_none())
}
