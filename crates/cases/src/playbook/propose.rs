//! What to do about what was found, and whether it may run without a person.

use super::{Case, case_files, proof};
use crate::is_system_path;
use hinomi_model::{
    Action, ActionSpec, DeviceId, EntityKey, EntityKind, Evidence, Grounds, IndicatorAction, IndicatorKind,
    IndicatorSpec, MessageCopyRef, MessageId, RemediationStatus, Severity, Text, Verdict,
};
use std::collections::{BTreeMap, BTreeSet};

/// Delivered copies of a file up to which blocking it needs no person: what reaches more people may be
/// wanted.
pub const COPIES_UNATTENDED_MAX: usize = 100;
/// Devices with a file up to which blocking it needs no person (reference: 10).
pub const DEVICES_UNATTENDED_MAX: i64 = 10;

/// An action to propose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposed {
    /// What to do.
    pub spec: ActionSpec,
    /// Why.
    pub reason: Text,
    /// On what; whether it runs at once is decided by it ([`crate::automation::judge`]).
    pub grounds: Grounds,
    /// Names the target: the same investigation proposes it once.
    pub key: String,
}

/// Derives the actions from the judged evidence, leaving out what this investigation already
/// proposed. Order: stop, quarantine, remove mail, block, cut off.
pub fn propose(case: &Case<'_>) -> Vec<Proposed> {
    let mut proposed = Vec::new();
    stop(case, &mut proposed);
    quarantine(case, &mut proposed);
    remove_mail(case, &mut proposed);
    block(case, &mut proposed);
    cut_off(case, &mut proposed);
    let done: BTreeSet<String> = case.actions.iter().map(|action| key_of(&action.spec)).collect();
    proposed.retain(|proposal| !done.contains(&proposal.key));
    for proposal in &mut proposed {
        proposal.grounds.by_hand = case.investigation.by_hand;
        proposal.grounds.paths = paths_of(case, &proposal.spec);
    }
    proposed
}

/// Where the file or the program lies.
fn paths_of(case: &Case<'_>, spec: &ActionSpec) -> Vec<String> {
    match spec {
        ActionSpec::QuarantineFile { paths, .. } => paths.clone(),
        ActionSpec::StopProcessTree { process } => {
            let entity = EntityKey::process(process);
            let piece = case.investigation.evidence.iter().find(|piece| piece.entity == entity);
            piece.and_then(|piece| piece.facts.get("path")).cloned().into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// `sure`: the evidence suffices for an act without a person.
fn add(proposed: &mut Vec<Proposed>, spec: ActionSpec, reason: Text, sure: bool) {
    let key = key_of(&spec);
    if proposed.iter().all(|known| known.key != key) {
        proposed.push(Proposed { spec, reason, grounds: Grounds { sure, ..Grounds::default() }, key });
    }
}

fn key_of(spec: &ActionSpec) -> String {
    match spec {
        ActionSpec::SoftDeleteMessages { copies, .. } => {
            let mut names: Vec<String> =
                copies.iter().map(|copy| format!("{}/{}", copy.message_id, copy.recipient)).collect();
            names.sort();
            format!("soft_delete_messages:{}", names.join(","))
        }
        ActionSpec::StopProcessTree { process } => format!("stop_process_tree:{process}"),
        ActionSpec::QuarantineFile { device_id, sha256, .. } => format!("quarantine_file:{device_id}:{sha256}"),
        ActionSpec::AddIndicator { indicator } => {
            format!("add_indicator:{}:{}:{}", indicator.kind.word(), indicator.action.word(), indicator.value)
        }
        other => format!("{}:{}", other.kind(), serde_json::to_string(other).unwrap_or_default()),
    }
}

fn stop(case: &Case<'_>, proposed: &mut Vec<Proposed>) {
    for process in super::roots_of(case) {
        let entity = hinomi_model::EntityKey::process(&process);
        let Some(piece) = case.investigation.evidence.iter().find(|piece| piece.entity == entity) else { continue };
        let stopped = matches!(piece.remediation_status, RemediationStatus::Prevented | RemediationStatus::Blocked);
        if piece.verdict < Verdict::Suspicious || stopped {
            continue;
        }
        let reason =
            Text::new(format!("{}: {}", piece.name, piece.reason.en), format!("{}: {}", piece.name, piece.reason.ja));
        add(proposed, ActionSpec::StopProcessTree { process }, reason, piece.verdict == Verdict::Malicious);
    }
}

fn quarantine(case: &Case<'_>, proposed: &mut Vec<Proposed>) {
    for file in case_files(case).filter(|file| worth_removing(file)) {
        for (device_id, paths) in places(case, file) {
            let reason =
                Text::new(format!("{}: {}", file.name, file.reason.en), format!("{}: {}", file.name, file.reason.ja));
            let spec = ActionSpec::QuarantineFile { device_id, sha256: file.entity.value.clone(), paths };
            add(proposed, spec, reason, file.verdict == Verdict::Malicious);
        }
    }
}

/// Malicious files, and files the attack created to run again. A start-up file that existed before
/// was only changed: taking it away would take the user's own lines too.
fn worth_removing(file: &Evidence) -> bool {
    let created = file.facts.get("actions").is_some_and(|actions| actions.contains("FileCreated"));
    let persistence = file.facts.contains_key("persistence") && created && file.verdict == Verdict::Suspicious;
    file.verdict == Verdict::Malicious || persistence
}

/// Devices and paths where the file was seen.
fn places(case: &Case<'_>, file: &Evidence) -> BTreeMap<DeviceId, Vec<String>> {
    let mut places: BTreeMap<DeviceId, Vec<String>> = BTreeMap::new();
    let mut add = |device: DeviceId, path: &str| {
        if path.is_empty() || is_system_path(path) {
            return;
        }
        let paths = places.entry(device).or_default();
        if !paths.iter().any(|known| known == path) {
            paths.push(path.to_owned());
        }
    };
    let path = file.facts.get("path").map(String::as_str).unwrap_or_default();
    if let Some(device) = file.facts.get("device").and_then(|device| device.parse().ok()) {
        add(device, path);
    }
    for alert in case.alerts {
        let Some(device) = &alert.device else { continue };
        for piece in alert.evidence.iter().filter(|piece| piece.entity == file.entity) {
            add(device.id, piece.facts.get("path").map(String::as_str).unwrap_or_default());
        }
    }
    for piece in &case.investigation.evidence {
        let same = piece.facts.get("file").is_some_and(|sha256| *sha256 == file.entity.value);
        if let (true, Some(device)) = (same, piece.entity.as_device()) {
            add(device, piece.facts.get("path").map(String::as_str).unwrap_or_default());
        }
    }
    places
}

/// Malicious copies whose mail the server checked itself may go at once; other malicious ones and
/// suspicious ones wait for a person, each in an action of its own.
fn remove_mail(case: &Case<'_>, proposed: &mut Vec<Proposed>) {
    let covered: BTreeSet<&MessageCopyRef> = case.actions.iter().flat_map(copies_of).collect();
    // where a file is the question, its verdict is waited for
    let about_mail = ["phishing_mail", "user_reported_mail"].contains(&case.investigation.playbook.as_str());
    let mut groups: BTreeMap<(bool, bool), Vec<MessageCopyRef>> = BTreeMap::new();
    for piece in &case.investigation.evidence {
        let Some((message_id, recipient)) = piece.entity.as_message_copy() else { continue };
        let copy = MessageCopyRef { message_id, recipient: recipient.to_owned() };
        let enough = if about_mail { Verdict::Suspicious } else { Verdict::Malicious };
        let bad = piece.verdict >= enough && removable(piece.remediation_status);
        if bad && !covered.contains(&copy) {
            let malicious = piece.verdict == Verdict::Malicious;
            groups.entry((malicious, malicious && message_checked(case, message_id))).or_default().push(copy);
        }
    }
    for ((malicious, checked), mut copies) in groups.into_iter().rev() {
        copies.sort();
        let count = copies.len();
        let reason = match malicious {
            true => Text::new(
                format!("{count} mailboxes hold a malicious mail."),
                format!("{count} 個のメールボックスに、悪意のあるメールがあります。"),
            ),
            false => Text::new(
                format!("{count} mailboxes hold a suspicious mail."),
                format!("{count} 個のメールボックスに、疑わしいメールがあります。"),
            ),
        };
        add(proposed, ActionSpec::SoftDeleteMessages { copies, senders_copy: false }, reason, checked);
    }
}

fn removable(status: RemediationStatus) -> bool {
    !matches!(
        status,
        RemediationStatus::Prevented
            | RemediationStatus::Remediated
            | RemediationStatus::NotFound
            | RemediationStatus::Running
            | RemediationStatus::PendingApproval
    )
}

fn copies_of(action: &Action) -> &[MessageCopyRef] {
    match action.spec.message_remedy() {
        Some((remedy, copies)) if remedy.removes() => copies,
        _ => &[],
    }
}

/// A sensor's word alone never purges mail or blocks a value everywhere: the server must have checked
/// the message itself, or a malicious file it carried.
fn message_checked(case: &Case<'_>, message: MessageId) -> bool {
    let key = EntityKey::message(message);
    let own = case.investigation.evidence.iter().filter(|piece| piece.entity == key);
    let said = |piece: &Evidence| ["scanner", "indicator"].iter().any(|name| piece.facts.contains_key(*name));
    let carried = |file: &Evidence| {
        case.investigation.edges.iter().any(|edge| edge.from == key && edge.to == file.entity)
            && file.verdict == Verdict::Malicious
            && proof::may_act_everywhere(file)
    };
    own.into_iter().any(said) || case_files(case).any(carried)
}

/// Messages a sender sent.
fn sent_by<'a>(case: &'a Case<'_>, sender: &'a EntityKey) -> impl Iterator<Item = MessageId> + 'a {
    let own = case.investigation.edges.iter().filter(move |edge| edge.from == *sender);
    own.filter(|edge| edge.to.kind == EntityKind::Message).filter_map(|edge| edge.to.value.parse().ok())
}

fn block(case: &Case<'_>, proposed: &mut Vec<Proposed>) {
    for file in case_files(case).filter(|file| file.verdict == Verdict::Malicious) {
        if file.facts.get("indicator").is_some_and(|action| action == "block") {
            continue;
        }
        let spec = indicator(case, IndicatorKind::FileSha256, &file.entity.value, &file.name);
        let reason = Text::new(
            format!("{} is malicious: it must neither run nor arrive again.", file.name),
            format!("{} は悪意のあるファイルです。再び実行も配信もされないようにします。", file.name),
        );
        add(proposed, spec, reason, proof::may_act_everywhere(file));
    }
    let senders = case.investigation.evidence.iter().filter(|piece| piece.entity.kind == EntityKind::Sender);
    for sender in senders.filter(|sender| sender.verdict == Verdict::Malicious) {
        let spec = indicator(case, IndicatorKind::SenderAddress, &sender.entity.value, &sender.name);
        let reason = Text::new(
            format!("{} sent a malicious mail.", sender.name),
            format!("{} が悪意のあるメールを送りました。", sender.name),
        );
        let checked = sent_by(case, &sender.entity).any(|message| message_checked(case, message));
        add(proposed, spec, reason, checked);
    }
}

/// Most places one investigation proposes to block.
const PLACES_MAX: usize = 20;
/// Seconds an isolation lasts unless renewed: one day.
const LEASE_SECONDS: i64 = 24 * 3600;

/// What is directed from outside is cut off: the places it is directed from are blocked, and its devices
/// isolated. All of it waits for a person: what a sensor says of an address blocks it for nobody else by
/// itself, and a device without network is somebody without work.
fn cut_off(case: &Case<'_>, proposed: &mut Vec<Proposed>) {
    if case.investigation.playbook != "command_and_control" {
        return;
    }
    let own = |place: &Evidence| {
        let host = crate::url_domain(&place.entity.value).unwrap_or_else(|| place.entity.value.clone());
        case.own_domains.iter().any(|own| host == *own || host.ends_with(&format!(".{own}")))
    };
    let widely = |place: &Evidence| place.facts.contains_key("used_widely");
    let places = case.investigation.evidence.iter().filter(|place| place.verdict == Verdict::Malicious);
    let places = places.filter_map(|place| {
        let kind = match place.entity.kind {
            EntityKind::Ip => IndicatorKind::Ip,
            EntityKind::Domain => IndicatorKind::Domain,
            EntityKind::Url => IndicatorKind::Url,
            _ => return None,
        };
        (crate::is_public_address(&place.entity) && !own(place) && !widely(place)).then_some((kind, place))
    });
    for (kind, place) in places.take(PLACES_MAX) {
        let reason =
            Text::new(format!("{}: {}", place.name, place.reason.en), format!("{}: {}", place.name, place.reason.ja));
        add(proposed, indicator(case, kind, &place.entity.value, &place.name), reason, false);
    }
    let directed: BTreeSet<DeviceId> = super::roots_of(case)
        .into_iter()
        .filter(|root| {
            let entity = EntityKey::process(root);
            let piece = case.investigation.evidence.iter().find(|piece| piece.entity == entity);
            piece.is_some_and(|piece| {
                let over =
                    matches!(piece.remediation_status, RemediationStatus::Prevented | RemediationStatus::Blocked);
                piece.verdict == Verdict::Malicious && !over
            })
        })
        .map(|root| root.device_id)
        .collect();
    for device_id in directed {
        let reason = Text::new(
            "A malicious process on it is directed from outside.",
            "このデバイスの悪意のあるプロセスが、外部から操作されています。",
        );
        add(proposed, ActionSpec::IsolateDevice { device_id, lease_seconds: LEASE_SECONDS }, reason, false);
    }
}

fn indicator(case: &Case<'_>, kind: IndicatorKind, value: &str, name: &str) -> ActionSpec {
    ActionSpec::AddIndicator {
        indicator: IndicatorSpec {
            kind,
            value: value.to_owned(),
            action: IndicatorAction::Block,
            severity: Severity::High,
            note: format!("{name} (investigation {})", case.investigation.number),
            expires_at: None,
            scope: Default::default(),
        },
    }
}
