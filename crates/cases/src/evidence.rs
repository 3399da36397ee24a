//! Evidence: the entities an event speaks about.

use crate::lineage::ProcessFacts;
use crate::places::{is_system_path, persistence_of};
use crate::sighting::is_sha256;
use hinomi_model::{
    DetectionStatus, EntityKey, Event, Evidence, EvidenceRole, MessageCopy, RemediationStatus, Table, Text, Timestamp,
    Verdict,
};
use std::collections::BTreeMap;

/// Evidence entries kept per alert or investigation.
pub(crate) const EVIDENCE_MAX: usize = 2_000;

/// Builds one piece of evidence not yet judged.
pub(crate) fn piece(
    entity: EntityKey,
    name: impl Into<String>,
    role: EvidenceRole,
    facts: &[(&str, &str)],
    first_seen: Timestamp,
) -> Evidence {
    let facts = facts.iter().filter(|(_, value)| !value.is_empty());
    Evidence {
        entity,
        name: name.into(),
        facts: facts.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>(),
        role,
        verdict: Verdict::Unknown,
        reason: Text::default(),
        remediation_status: RemediationStatus::None,
        remediation_detail: None,
        action_id: None,
        first_seen,
    }
}

/// Builds the evidence of a device event: process and parent, files, addresses, names.
pub(crate) fn of_device_event(event: &Event, lineage: &[ProcessFacts], command_and_control: bool) -> Vec<Evidence> {
    let at = event.timestamp;
    let mut found = Vec::new();
    for (step, process) in lineage.iter().take(2).enumerate() {
        let role = if step == 0 { EvidenceRole::Suspicious } else { EvidenceRole::Contextual };
        let facts = [
            ("path", process.path.as_str()),
            ("command_line", process.command_line.as_str()),
            ("account", process.account.as_str()),
            ("sha256", process.sha256.as_str()),
        ];
        found.push(piece(EntityKey::process(&process.key), process.file_name.clone(), role, &facts, at));
    }
    files_of(event, lineage, &mut found);
    let remote_role = if command_and_control { EvidenceRole::CommandAndControl } else { EvidenceRole::Destination };
    if let Some(address) = event.str("RemoteIP").filter(|text| !text.is_empty()) {
        let port = event.long("RemotePort").map(|port| port.to_string()).unwrap_or_default();
        let facts = [("port", port.as_str()), ("protocol", event.str("Protocol").unwrap_or_default())];
        found.push(piece(EntityKey::ip(address), address, remote_role, &facts, at));
    }
    if let Some(remote) = event.str("RemoteUrl").filter(|text| !text.is_empty()) {
        let entity = if remote.contains("://") { EntityKey::url(remote) } else { EntityKey::domain(remote) };
        found.push(piece(entity, remote, remote_role, &[], at));
    }
    found
}

fn files_of(event: &Event, lineage: &[ProcessFacts], found: &mut Vec<Evidence>) {
    let at = event.timestamp;
    let text = |column: &str| event.str(column).unwrap_or_default();
    let script = |name| match event.additional(name) {
        Some(serde_json::Value::String(text)) => text,
        _ => String::new(),
    };
    if text("AdditionalFields").contains("ScriptSHA256") && is_sha256(&script("ScriptSHA256")) {
        let path = script("ScriptPath");
        let name = path.rsplit('/').next().unwrap_or(&path).to_owned();
        let facts = [("path", path.as_str()), ("kind", "script")];
        found.push(piece(EntityKey::file(&script("ScriptSHA256")), name, EvidenceRole::Suspicious, &facts, at));
    }
    if is_sha256(text("SHA256")) {
        let path = text("FolderPath");
        let role = match event.table {
            _ if is_system_path(path) => EvidenceRole::Contextual,
            Table::DeviceFileEvents => EvidenceRole::Created,
            _ => EvidenceRole::Suspicious,
        };
        let persistence = persistence_of(path).map(|kind| format!("{kind:?}")).unwrap_or_default();
        let facts = [("path", path), ("persistence", persistence.as_str())];
        found.push(piece(EntityKey::file(text("SHA256")), text("FileName"), role, &facts, at));
    }
    if let Some(process) = lineage.first()
        && is_sha256(&process.sha256)
    {
        let role = if is_system_path(&process.path) { EvidenceRole::Contextual } else { EvidenceRole::Suspicious };
        let facts = [("path", process.path.as_str())];
        found.push(piece(EntityKey::file(&process.sha256), process.file_name.clone(), role, &facts, at));
    }
}

/// Builds the evidence of a message copy: message, sender, mailbox, and the given file.
pub(crate) fn of_message(copy: &MessageCopy, focus_sha256: Option<&str>) -> Vec<Evidence> {
    let at = copy.received_at;
    let id = copy.message_id.to_string();
    let facts = [
        ("subject", copy.subject.as_str()),
        ("sender", copy.sender_from.as_str()),
        ("internet_message_id", copy.internet_message_id.as_str()),
        ("spf", copy.auth.spf.as_str()),
        ("dkim", copy.auth.dkim.as_str()),
        ("dmarc", copy.auth.dmarc.as_str()),
    ];
    let mut found =
        vec![piece(EntityKey::message(copy.message_id), copy.subject.clone(), EvidenceRole::Source, &facts, at)];
    if copy.sender_from.contains('@') {
        let facts = [("display_name", copy.sender_display_name.as_str()), ("ip", copy.sender_ip.as_str())];
        let entity = EntityKey::sender(&copy.sender_from);
        found.push(piece(entity, copy.sender_from.clone(), EvidenceRole::Attacker, &facts, at));
    }
    found.push(copy_evidence(copy, &id));
    for file in &copy.attachments {
        if focus_sha256.is_some_and(|focus| focus.eq_ignore_ascii_case(&file.sha256)) {
            let facts = [
                ("file_type", file.file_type.as_str()),
                ("parent_sha256", file.parent_sha256.as_deref().unwrap_or_default()),
                ("uninspected", file.uninspected.as_ref().map_or("", |one| one.text.en.as_str())),
            ];
            found.push(piece(EntityKey::file(&file.sha256), file.name.clone(), EvidenceRole::Source, &facts, at));
        }
    }
    found
}

/// Builds the evidence of one mailbox copy.
pub(crate) fn copy_evidence(copy: &MessageCopy, message_id: &str) -> Evidence {
    use hinomi_model::DeliveryLocation::{Dropped, Quarantine};
    let location = copy.latest_location.word();
    let facts = [
        ("recipient", copy.recipient.as_str()),
        ("subject", copy.subject.as_str()),
        ("message_id", message_id),
        ("location", location.as_str()),
    ];
    let entity = EntityKey::message_copy(copy.message_id, &copy.recipient);
    let mut evidence = piece(entity, copy.recipient.clone(), EvidenceRole::Attacked, &facts, copy.received_at);
    if copy.delivery_location == Dropped || copy.delivery_location == Quarantine {
        evidence.remediation_status = RemediationStatus::Prevented;
    }
    evidence
}

/// Adds `more` to `known`: one entry per entity, the stronger word of both kept. Returns true when
/// anything changed.
pub fn merge_evidence(known: &mut Vec<Evidence>, more: impl IntoIterator<Item = Evidence>) -> bool {
    let mut changed = false;
    for new in more {
        let Some(old) = known.iter_mut().find(|old| old.entity == new.entity) else {
            if known.len() < EVIDENCE_MAX {
                known.push(new);
                changed = true;
            }
            continue;
        };
        let before = old.clone();
        for (key, value) in new.facts {
            old.facts.entry(key).or_insert(value);
        }
        if role_rank(new.role) > role_rank(old.role) {
            old.role = new.role;
        }
        if new.verdict > old.verdict {
            old.verdict = new.verdict;
            old.reason = new.reason;
        }
        if old.remediation_status == RemediationStatus::None {
            old.remediation_status = new.remediation_status;
            old.remediation_detail = new.remediation_detail;
            old.action_id = new.action_id;
        }
        old.first_seen = old.first_seen.min(new.first_seen);
        if old.name.is_empty() {
            old.name = new.name;
        }
        changed |= before != *old;
    }
    changed
}

/// Of two detection statuses of the same alert, the one to tell: what the sensor did beats "detected",
/// a failure beats everything.
pub fn worse_status(one: DetectionStatus, other: DetectionStatus) -> DetectionStatus {
    let rank = |status| match status {
        DetectionStatus::Detected => 0,
        DetectionStatus::Prevented => 1,
        DetectionStatus::Blocked => 2,
        DetectionStatus::Failed => 3,
    };
    if rank(one) >= rank(other) { one } else { other }
}

fn role_rank(role: EvidenceRole) -> u8 {
    match role {
        EvidenceRole::Unknown => 0,
        EvidenceRole::Contextual => 1,
        EvidenceRole::Destination => 2,
        EvidenceRole::Created => 3,
        EvidenceRole::Source => 4,
        EvidenceRole::Attacked => 5,
        EvidenceRole::Suspicious => 6,
        EvidenceRole::Attacker => 7,
        EvidenceRole::CommandAndControl => 8,
    }
}
