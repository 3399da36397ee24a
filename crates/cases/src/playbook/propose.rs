//! What to do about what was found, and whether it may run without a person.

use super::{Case, case_files, is_active_content};
use crate::is_system_path;
use hinomi_model::{
    Action, ActionSpec, AutomationLevel, DeviceId, EntityKind, Evidence, IndicatorAction, IndicatorKind, IndicatorSpec,
    MessageCopyRef, RemediationStatus, Severity, Text, Verdict,
};
use std::collections::{BTreeMap, BTreeSet};

/// Message copies one action may remove without a person: what reaches more people may be wanted.
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
    /// True when it may run at once at this automation level.
    pub unattended: bool,
    /// Names the target: the same investigation proposes it once.
    pub key: String,
}

/// Derives the actions from the judged evidence, leaving out what this investigation already
/// proposed. Order: stop, quarantine, remove mail, block.
pub fn propose(case: &Case<'_>) -> Vec<Proposed> {
    let mut proposed = Vec::new();
    stop(case, &mut proposed);
    quarantine(case, &mut proposed);
    remove_mail(case, &mut proposed);
    block(case, &mut proposed);
    let done: BTreeSet<String> = case.actions.iter().map(|action| key_of(&action.spec)).collect();
    proposed.retain(|proposal| !done.contains(&proposal.key));
    let full = case.investigation.automation_level == AutomationLevel::Full;
    for proposal in &mut proposed {
        proposal.unattended &= full;
    }
    proposed
}

fn add(proposed: &mut Vec<Proposed>, spec: ActionSpec, reason: Text, unattended: bool) {
    let key = key_of(&spec);
    if proposed.iter().all(|known| known.key != key) {
        proposed.push(Proposed { spec, reason, unattended, key });
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

fn remove_mail(case: &Case<'_>, proposed: &mut Vec<Proposed>) {
    let covered: BTreeSet<&MessageCopyRef> = case.actions.iter().flat_map(copies_of).collect();
    let mut copies: Vec<MessageCopyRef> = case
        .investigation
        .evidence
        .iter()
        .filter(|piece| piece.verdict == Verdict::Malicious && removable(piece.remediation_status))
        .filter_map(|piece| piece.entity.as_message_copy())
        .map(|(message_id, recipient)| MessageCopyRef { message_id, recipient: recipient.to_owned() })
        .filter(|copy| !covered.contains(copy))
        .collect();
    copies.sort();
    if copies.is_empty() {
        return;
    }
    let (count, corroborated) = (copies.len(), server_saw_it(case));
    let reason = Text::new(
        format!("{count} mailboxes hold a mail with a malicious file."),
        format!("{count} 個のメールボックスに、悪意のあるファイルを含むメールがあります。"),
    );
    let unattended = corroborated && count <= COPIES_UNATTENDED_MAX;
    add(proposed, ActionSpec::SoftDeleteMessages { copies, senders_copy: false }, reason, unattended);
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

/// A sensor's word alone never purges mail or blocks a value everywhere: the gateway must have seen
/// the malicious file itself, and the file must be of a kind that can act.
fn server_saw_it(case: &Case<'_>) -> bool {
    case_files(case).any(|file| file.verdict == Verdict::Malicious && file_corroborated(file))
}

fn file_corroborated(file: &Evidence) -> bool {
    let text = |name: &str| file.facts.get(name).map(String::as_str).unwrap_or_default();
    let by_gateway = text("corroborated") == "gateway" && is_active_content(text("file_type"), text("attachment_name"));
    by_gateway || text("indicator") == "block"
}

fn block(case: &Case<'_>, proposed: &mut Vec<Proposed>) {
    for file in case_files(case).filter(|file| file.verdict == Verdict::Malicious) {
        if file.facts.get("indicator").is_some_and(|action| action == "block") {
            continue;
        }
        let devices = file.facts.get("devices").and_then(|count| count.parse().ok()).unwrap_or(0_i64);
        let spec = indicator(case, IndicatorKind::FileSha256, &file.entity.value, &file.name);
        let reason = Text::new(
            format!("{} is malicious: it must neither run nor arrive again.", file.name),
            format!("{} は悪意のあるファイルです。再び実行も配信もされないようにします。", file.name),
        );
        add(proposed, spec, reason, file_corroborated(file) && devices <= DEVICES_UNATTENDED_MAX);
    }
    let senders = case.investigation.evidence.iter().filter(|piece| piece.entity.kind == EntityKind::Sender);
    for sender in senders.filter(|sender| sender.verdict == Verdict::Malicious) {
        let spec = indicator(case, IndicatorKind::SenderAddress, &sender.entity.value, &sender.name);
        let reason = Text::new(
            format!("{} sent a malicious file.", sender.name),
            format!("{} が悪意のあるファイルを送りました。", sender.name),
        );
        add(proposed, spec, reason, server_saw_it(case));
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
        },
    }
}
