//! Alerts: detections worth a person's look, with entities, reasons and ready next steps.

use crate::evidence::{merge_evidence, of_device_event, of_message, worse_status};
use crate::lineage::{ProcessFacts, attack_root};
use crate::places::is_system_path;
use hinomi_model::{
    ActionSpec, Alert, AlertId, AlertStatus, Classification, Detection, DetectionSource, DetectionStatus,
    Determination, DeviceRef, EntityKey, EntityKind, Evidence, EvidenceRole, IncidentId, IndicatorAction,
    IndicatorKind, IndicatorScope, IndicatorSpec, MessageCopy, MessageCopyRef, NextStep, RemediationStatus,
    ServiceSource, Severity, Table, Text, Timestamp, Why,
};

/// Firings kept per alert; more are counted.
pub const FIRINGS_MAX: usize = 100;

/// How long the same rule on the same process tree, device or message joins the same alert.
pub const DEDUPE_SECONDS: i64 = 24 * 3600;

/// Message copies taken into one alert.
const COPIES_MAX: usize = 500;

/// Seconds an isolation proposed by an alert lasts unless renewed: one day.
const ISOLATION_LEASE_SECONDS: i64 = 24 * 3600;

/// SHA-256 of nothing: the hash of every empty file, it links nothing.
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The ids a new alert gets.
#[derive(Debug, Clone, Copy)]
pub struct AlertIds {
    /// Of the alert.
    pub alert: AlertId,
    /// Of its incident, as long as it is alone.
    pub incident: IncidentId,
}

/// What is known around a detection.
#[derive(Debug, Default, Clone, Copy)]
pub struct AlertContext<'a> {
    /// The process that did it and its ancestors, nearest first.
    pub lineage: &'a [ProcessFacts],
    /// Mail: the message of the rows. Endpoint: copies of messages that carried one of the files.
    pub copies: &'a [MessageCopy],
    /// Why the detection status is as it is (a sensor's failure).
    pub status_reason: Option<&'a Text>,
}

/// An alert before it is stored: the alert, the key under which repeated firings join it, the
/// entities that may link it with other alerts, and all entities for the index.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertDraft {
    /// The alert.
    pub alert: Alert,
    /// Same rule and same process tree, device or message give the same key.
    pub dedupe: String,
    /// Entities specific enough to link alerts.
    pub links: Vec<EntityKey>,
    /// Every entity, sorted.
    pub entities: Vec<EntityKey>,
}

/// Turns a detection into an alert.
pub fn alert_of(detection: &Detection, ids: AlertIds, now: Timestamp, context: &AlertContext<'_>) -> AlertDraft {
    let event = &detection.event;
    let mail = event.table.name().starts_with("Email");
    let copies = &context.copies[..context.copies.len().min(COPIES_MAX)];
    let command_and_control = detection.tactics.iter().any(|tactic| tactic == "command-and-control");
    let device =
        event.device_id().map(|id| DeviceRef { id, name: event.str("DeviceName").unwrap_or_default().to_owned() });
    let user = (!mail).then(|| account(detection, context.lineage)).flatten();

    let mut evidence: Vec<Evidence> = Vec::new();
    if let Some(device) = &device {
        let key = EntityKey::device(device.id);
        evidence.push(crate::evidence::piece(key, device.name.clone(), EvidenceRole::Attacked, &[], event.timestamp));
        merge_evidence(&mut evidence, of_device_event(event, context.lineage, command_and_control));
    }
    if let Some(user) = &user {
        let piece =
            crate::evidence::piece(EntityKey::user(user), user.clone(), EvidenceRole::Attacked, &[], event.timestamp);
        merge_evidence(&mut evidence, [piece]);
    }
    let focus: Vec<String> = focus_files(event, &evidence);
    for copy in copies {
        let carried =
            copy.attachments.iter().find(|file| focus.contains(&file.sha256)).map(|file| file.sha256.as_str());
        merge_evidence(&mut evidence, of_message(copy, carried));
    }
    if let Some(url) = url_of(event) {
        merge_evidence(
            &mut evidence,
            [crate::evidence::piece(EntityKey::url(&url), &*url, EvidenceRole::Suspicious, &[], event.timestamp)],
        );
    }
    let prevented = match detection.status {
        DetectionStatus::Prevented => Some(RemediationStatus::Prevented),
        DetectionStatus::Blocked => Some(RemediationStatus::Blocked),
        _ => None,
    };
    if let Some(status) = prevented {
        for piece in evidence.iter_mut().filter(|piece| piece.role == EvidenceRole::Suspicious) {
            piece.remediation_status = status;
        }
    }

    let own = &context.lineage[..attack_root(context.lineage)];
    let process = own.first().map(|facts| facts.key);
    let tree_root = own.last().map(|facts| facts.key);
    let message_id = copies.first().map(|copy| copy.message_id);
    let mut mailboxes: Vec<String> = copies.iter().map(|copy| copy.recipient.clone()).collect();
    mailboxes.sort();
    mailboxes.dedup();

    let dedupe = dedupe_key(detection, tree_root.map(|key| EntityKey::process(&key)), mail, copies, &focus);
    let links = links_of(detection, own, &evidence, command_and_control);
    let mut entities: Vec<EntityKey> = evidence.iter().map(|piece| piece.entity.clone()).collect();
    entities.extend(links.iter().cloned());
    entities.extend(mailboxes.iter().map(|address| EntityKey::mailbox(address)));
    entities.sort();
    entities.dedup();

    let mut alert = Alert {
        id: ids.alert,
        incident_id: ids.incident,
        title: detection.title.clone(),
        description: detection.description.clone(),
        severity: detection.severity,
        status: AlertStatus::New,
        classification: Classification::Unknown,
        determination: Determination::Unknown,
        detection_status: detection.status,
        detection_status_reason: context.status_reason.cloned(),
        service_source: if mail { ServiceSource::Mail } else { ServiceSource::Endpoint },
        detection_source: detection.source,
        category: detection.tactics.first().cloned().unwrap_or_else(|| "execution".to_owned()),
        techniques: detection.techniques.clone(),
        rule_id: detection.rule_id.clone(),
        why: vec![Why {
            rule_id: detection.rule_id.clone(),
            title: detection.title.clone(),
            event: event.reference(),
            matched: detection.matched.clone(),
        }],
        why_more: 0,
        test: false,
        tuned: None,
        device,
        user,
        mailboxes,
        message_id,
        process,
        tree_root,
        evidence,
        next_steps: Vec::new(),
        investigation_id: None,
        assigned_to: None,
        comments: Vec::new(),
        created_at: now,
        updated_at: now,
        first_activity: event.timestamp,
        last_activity: event.timestamp,
        version: 1,
    };
    alert.next_steps = next_steps(&detection.next_steps, &alert);
    AlertDraft { alert, dedupe, links, entities }
}

/// Lets a stored alert take in another firing of the same rule. Returns false when the firing was
/// already part of it, so replaying events changes nothing.
pub fn absorb(alert: &mut Alert, draft: &AlertDraft, now: Timestamp) -> bool {
    let new = &draft.alert;
    let mut changed = false;
    for why in &new.why {
        let Err(_) = alert.why.binary_search_by(|known| order(known).cmp(&order(why))) else { continue };
        let full = alert.why.len() >= FIRINGS_MAX;
        if full && alert.why.last().is_some_and(|last| order(last) < order(why)) {
            // beyond the kept ones: counted once per later event, told apart by time
            if alert.last_activity < why.event.timestamp {
                alert.why_more += 1;
                changed = true;
            }
            continue;
        }
        let at = alert.why.partition_point(|known| order(known) < order(why));
        alert.why.insert(at, why.clone());
        if full {
            alert.why.pop();
            alert.why_more += 1;
        }
        changed = true;
    }
    let status = worse_status(alert.detection_status, new.detection_status);
    if status != alert.detection_status
        || (alert.detection_status_reason.is_none() && new.detection_status_reason.is_some())
    {
        alert.detection_status = status;
        alert.detection_status_reason = new.detection_status_reason.clone().or(alert.detection_status_reason.take());
        changed = true;
    }
    changed |= merge_evidence(&mut alert.evidence, new.evidence.iter().cloned());
    changed |= add_sorted(&mut alert.mailboxes, &new.mailboxes);
    if new.severity > alert.severity {
        alert.severity = new.severity;
        changed = true;
    }
    alert.message_id = alert.message_id.or(new.message_id);
    if alert.process.is_none() {
        alert.process = new.process;
        alert.tree_root = new.tree_root;
    }
    alert.first_activity = alert.first_activity.min(new.first_activity);
    alert.last_activity = alert.last_activity.max(new.last_activity);
    if changed {
        let texts: Vec<Text> =
            alert.next_steps.iter().filter(|step| step.action.is_none()).map(|step| step.text.clone()).collect();
        alert.next_steps = next_steps(&texts, alert);
        alert.updated_at = now;
        alert.version += 1;
    }
    changed
}

fn order(why: &Why) -> (Timestamp, &hinomi_model::EventRef) {
    (why.event.timestamp, &why.event)
}

pub(crate) fn add_sorted(known: &mut Vec<String>, more: &[String]) -> bool {
    let before = known.len();
    for value in more {
        if let Err(at) = known.binary_search(value) {
            known.insert(at, value.clone());
        }
    }
    known.len() != before
}

fn account(detection: &Detection, lineage: &[ProcessFacts]) -> Option<String> {
    let event = &detection.event;
    let columns = ["AccountName", "InitiatingProcessAccountName"];
    let named = columns.iter().find_map(|column| event.str(column)).filter(|name| !name.is_empty());
    let known = lineage.first().map(|facts| facts.account.as_str()).filter(|name| !name.is_empty());
    named.or(known).map(str::to_lowercase)
}

/// The URL the detection is about.
fn url_of(event: &hinomi_model::Event) -> Option<String> {
    match event.table {
        Table::EmailUrlInfo => event.str("Url").map(str::to_owned),
        Table::EmailPostDeliveryEvents => event.additional("Url").and_then(|url| url.as_str().map(str::to_owned)),
        _ => None,
    }
}

/// The hashes the detection is about.
fn focus_files(event: &hinomi_model::Event, evidence: &[Evidence]) -> Vec<String> {
    let mut files: Vec<String> = evidence
        .iter()
        .filter(|piece| piece.entity.kind == EntityKind::File && piece.role != EvidenceRole::Contextual)
        .map(|piece| piece.entity.value.clone())
        .collect();
    if event.table == Table::EmailAttachmentInfo
        && let Some(sha256) = event.str("SHA256")
    {
        files.push(sha256.to_ascii_lowercase());
    }
    if event.table == Table::EmailPostDeliveryEvents
        && let Some(serde_json::Value::String(sha256)) = event.additional("SHA256")
    {
        files.push(sha256.to_ascii_lowercase());
    }
    files
}

fn dedupe_key(
    detection: &Detection,
    tree: Option<EntityKey>,
    mail: bool,
    copies: &[MessageCopy],
    focus: &[String],
) -> String {
    let rule = &detection.rule_id;
    if mail {
        return match (detection.source, copies.first()) {
            // an indicator or filter fires for every mail of a wave: one alert per sender
            (DetectionSource::CustomTi | DetectionSource::ThirdPartySensors, Some(copy)) => {
                format!("{rule}|mail|{}", copy.sender_from)
            }
            (_, Some(copy)) => format!("{rule}|message:{}", copy.message_id),
            _ => format!("{rule}|message:{}", detection.event.str("NetworkMessageId").unwrap_or_default()),
        };
    }
    let device = detection.event.str("DeviceId").unwrap_or_default();
    // a blocked file is tried again and again from other processes: one alert per device and file
    let by_file = detection.event.str("ActionType") == Some("ExecBlocked");
    match (tree, focus.first()) {
        (Some(tree), _) if !by_file => format!("{rule}|{tree}"),
        (_, Some(file)) => format!("{rule}|{device}|{file}"),
        _ => format!("{rule}|{device}"),
    }
}

/// Entities specific enough to say that two alerts belong together.
fn links_of(
    detection: &Detection,
    own: &[ProcessFacts],
    evidence: &[Evidence],
    command_and_control: bool,
) -> Vec<EntityKey> {
    let mut links: Vec<EntityKey> = own.iter().map(|facts| EntityKey::process(&facts.key)).collect();
    for piece in evidence {
        let path = piece.facts.get("path").map(String::as_str).unwrap_or_default();
        let specific = match piece.entity.kind {
            EntityKind::File => {
                piece.role != EvidenceRole::Contextual && !is_system_path(path) && piece.entity.value != EMPTY_SHA256
            }
            EntityKind::Message | EntityKind::Sender | EntityKind::Device => true,
            EntityKind::Ip => command_and_control && crate::correlate::is_public(&piece.entity.value),
            EntityKind::Domain => command_and_control,
            EntityKind::Url => command_and_control || url_of(&detection.event).is_some(),
            _ => false,
        };
        if specific {
            links.push(piece.entity.clone());
        }
    }
    if detection.event.table == Table::DeviceProcessEvents {
        // where a command fetches from or sends to
        let urls = crate::urls_in(detection.event.str("ProcessCommandLine").unwrap_or_default());
        links.extend(urls.iter().filter_map(|url| crate::url_domain(url)).map(|domain| EntityKey::domain(&domain)));
    }
    links.sort();
    links.dedup();
    links
}

/// What to do next: the rule's own words first, then actions ready to be proposed.
pub(crate) fn next_steps(texts: &[Text], alert: &Alert) -> Vec<NextStep> {
    let mut steps: Vec<NextStep> = texts.iter().map(|text| NextStep { text: text.clone(), action: None }).collect();
    let mut add = |en: String, ja: String, action: ActionSpec| {
        steps.push(NextStep { text: Text::new(en, ja), action: Some(action) });
    };
    let active = matches!(alert.detection_status, DetectionStatus::Detected | DetectionStatus::Failed);
    let copies: Vec<MessageCopyRef> = alert
        .evidence
        .iter()
        .filter(|piece| piece.remediation_status != RemediationStatus::Prevented)
        .filter_map(|piece| piece.entity.as_message_copy())
        .map(|(message_id, recipient)| MessageCopyRef { message_id, recipient: recipient.to_owned() })
        .collect();
    if let (true, Some(process)) = (active, alert.tree_root) {
        let en = "Stop the process tree".to_owned();
        add(en, "プロセス ツリーを停止します".to_owned(), ActionSpec::StopProcessTree { process });
    }
    for piece in alert.evidence.iter().filter(|piece| is_bad_file(piece)).take(3) {
        if let (Some(device), Some(path)) = (&alert.device, piece.facts.get("path").filter(|path| !path.is_empty())) {
            add(
                format!("Quarantine {}", piece.name),
                format!("{} を隔離します", piece.name),
                ActionSpec::QuarantineFile {
                    device_id: device.id,
                    sha256: piece.entity.value.clone(),
                    paths: vec![path.clone()],
                },
            );
        }
    }
    if !copies.is_empty() {
        add(
            format!("Remove the mail from {} mailboxes", copies.len()),
            format!("{} 個のメールボックスからメールを取り除きます", copies.len()),
            ActionSpec::SoftDeleteMessages { copies, senders_copy: false },
        );
    }
    for piece in alert.evidence.iter().filter(|piece| is_bad_file(piece)).take(1) {
        add(
            format!("Block {} everywhere", piece.name),
            format!("{} をすべての場所でブロックします", piece.name),
            ActionSpec::AddIndicator { indicator: block(IndicatorKind::FileSha256, &piece.entity.value, alert) },
        );
    }
    if let (true, Some(device)) = (active && alert.severity >= Severity::Medium, &alert.device) {
        add(
            format!("Isolate {}", device.name),
            format!("{} をネットワークから隔離します", device.name),
            ActionSpec::IsolateDevice { device_id: device.id, lease_seconds: ISOLATION_LEASE_SECONDS },
        );
    }
    steps
}

fn is_bad_file(piece: &Evidence) -> bool {
    let bad = matches!(piece.role, EvidenceRole::Suspicious | EvidenceRole::Created | EvidenceRole::Source);
    piece.entity.kind == EntityKind::File && bad && piece.entity.value != EMPTY_SHA256
}

fn block(kind: IndicatorKind, value: &str, alert: &Alert) -> IndicatorSpec {
    IndicatorSpec {
        kind,
        value: value.to_owned(),
        action: IndicatorAction::Block,
        severity: alert.severity.max(Severity::Medium),
        note: alert.title.en.clone(),
        expires_at: None,
        scope: IndicatorScope::default(),
    }
}
