//! What fired in a batch, with the process lineage at that moment.

use super::is_mail;
use crate::app::Ctx;
use crate::facts::{self, Wanted};
use crate::rules::{Fate, Hits, fate};
use anyhow::Result;
use hinomi_cases::{
    ProcessFacts, attack_root, exec_blocked, filter_detections, is_boundary, is_mail_client, is_opener,
    sensor_detection,
};
use hinomi_detect::{IndicatorSet, Scene, When};
use hinomi_model::{
    DemoId, Detection, DetectionSource, DetectionStatus, Event, IndicatorAction, IndicatorId, MessageCopy, ProcessKey,
    Severity, Table, Text,
};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Ancestors asked of the lake when memory does not know them.
const LAKE_ANCESTORS_MAX: usize = 8;

/// A document is opened at most so long after the mail client saved it, seconds.
const OPENED_SECONDS: i64 = 15 * 60;

/// A detection with what is known around it.
pub(super) struct Finding {
    pub detection: Detection,
    pub lineage: Vec<ProcessFacts>,
    pub status_reason: Option<Text>,
    /// Hashes of files from mails that may have been opened just before: delivered, opened, behaviour.
    pub opened: Vec<String>,
    /// The demo its event belongs to.
    pub demo: Option<DemoId>,
    /// What the alert is told by, when not by process, device or message.
    pub dedupe: Option<String>,
    /// Its rule is being tested.
    pub test: bool,
}

impl Finding {
    /// The indicator that fired.
    pub fn indicator(&self) -> Option<IndicatorId> {
        self.detection.rule_id.strip_prefix("indicator:")?.parse().ok()
    }
}

/// Runs rules and indicators over the events, in order. The indicators in force are for what is real:
/// a demo plays the same everywhere and leaves no hit behind.
pub(super) async fn detect(
    ctx: &Ctx,
    events: &[Event],
    copies: &[MessageCopy],
    demo: Option<DemoId>,
) -> Result<(Vec<Finding>, Hits)> {
    let rules = ctx.rule_set();
    let mut hits = Hits::default();
    let indicators = if demo.is_some() { Arc::default() } else { ctx.indicators.get() };
    let mut findings = Vec::new();
    for event in events {
        if !is_mail(event) {
            ctx.desk.processes(|processes| processes.learn(event));
        }
        let around = Around::of(ctx, &indicators, event, copies);
        let mut fired: Vec<Detection> = indicators.detections(event, around.scene());
        if event.str("ActionType") == Some("ExecBlocked") && fired.is_empty() {
            fired.push(exec_blocked(event));
        }
        fired.extend(rules.engine().evaluate(event));
        fired.extend(filter_detections(event));
        let (own, status_reason) = sensors_own(event);
        if fired.is_empty() {
            // a rule of the sensor this server does not have
            fired.extend(own);
        }
        if fired.is_empty() || is_allowed(event, &indicators, around.scene()) {
            continue;
        }
        for mut detection in fired {
            let (fate, entry) = fate(ctx, &rules, &detection.rule_id, event, demo).await?;
            hits.add(entry, event.timestamp);
            if matches!(fate, Fate::Nothing | Fate::Counted) {
                continue;
            }
            let test = fate == Fate::Tested;
            settle(&mut detection, copies);
            let lineage = match subject(event) {
                Some(key) => lineage(ctx, key).await?,
                None => Vec::new(),
            };
            let opened = opened(ctx, events, &lineage).await?;
            let status_reason = status_reason.clone();
            findings.push(Finding { detection, lineage, status_reason, opened, demo, dedupe: None, test });
        }
    }
    Ok((findings, hits))
}

/// What decides whether an indicator counts for an event: the tags of its device, or the domains of its
/// recipients. Looked up only while some indicator does not count everywhere.
pub(crate) enum Around {
    Anywhere,
    Device(Vec<String>),
    Mail(Vec<String>),
}

impl Around {
    pub(crate) fn of(ctx: &Ctx, indicators: &IndicatorSet, event: &Event, copies: &[MessageCopy]) -> Around {
        if !indicators.is_scoped() {
            return Around::Anywhere;
        }
        if !is_mail(event) {
            return Around::Device(event.device_id().map(|id| ctx.indicators.tags(id)).unwrap_or_default());
        }
        let domain = |address: &str| address.rsplit_once('@').map(|(_, domain)| domain.to_lowercase());
        Around::Mail(match event.str("RecipientEmailAddress") {
            Some(recipient) => domain(recipient).into_iter().collect(),
            // rows about links name no recipient
            None => {
                let id = event.str("NetworkMessageId").unwrap_or_default();
                let own = copies.iter().filter(|copy| copy.message_id.to_string() == id);
                own.filter_map(|copy| domain(&copy.recipient)).collect()
            }
        })
    }

    pub(crate) fn scene(&self) -> Scene<'_> {
        match self {
            Around::Anywhere => Scene::Anywhere,
            Around::Device(tags) => Scene::Device(tags),
            Around::Mail(domains) => Scene::Mail(domains),
        }
    }
}

/// The process a device event is about.
pub(super) fn subject(event: &Event) -> Option<ProcessKey> {
    let started = event.table == Table::DeviceProcessEvents || event.str("ActionType") == Some("HinomiDetection");
    if started { event.process().or(event.initiating_process()) } else { event.initiating_process() }
}

/// Files that a mail client saved shortly before a program that opens documents started the tree. What
/// came in the same batch is not in the lake yet.
async fn opened(ctx: &Ctx, batch: &[Event], lineage: &[ProcessFacts]) -> Result<Vec<String>> {
    let own = attack_root(lineage);
    let root = own.checked_sub(1).and_then(|last| lineage.get(last));
    let (Some(root), Some(_)) = (root, lineage.get(own).filter(|opener| is_opener(&opener.file_name))) else {
        return Ok(Vec::new());
    };
    let (began, device) = (root.key.started_at, root.key.device_id);
    let since = began.plus_seconds(-OPENED_SECONDS);
    let written = facts::events(ctx, Wanted::files(device, since, began)).await?;
    let now = batch.iter().filter(|event| {
        let file = event.table == Table::DeviceFileEvents && event.device_id() == Some(device);
        file && event.timestamp >= since && event.timestamp <= began
    });
    let by_mail = |event: &&Event| event.str("InitiatingProcessFileName").is_some_and(is_mail_client);
    let hashes = written.iter().chain(now).filter(by_mail).filter_map(|event| event.str("SHA256").map(str::to_owned));
    Ok(hashes.collect::<BTreeSet<_>>().into_iter().collect())
}

/// What a sensor says of its own detection, and why it could not stop it.
fn sensors_own(event: &Event) -> (Option<Detection>, Option<Text>) {
    if event.table != Table::DeviceEvents || event.str("ActionType") != Some("HinomiDetection") {
        return (None, None);
    }
    let (detection, reason) = sensor_detection(event);
    (Some(detection), reason)
}

/// Allow beats everything: nothing is told about a file an administrator allows.
pub(super) fn is_allowed(event: &Event, indicators: &IndicatorSet, scene: Scene<'_>) -> bool {
    if indicators.is_empty() {
        return false;
    }
    let script = event.additional("ScriptSHA256").and_then(|value| value.as_str().map(str::to_owned));
    let file = script.or(event.str("SHA256").map(str::to_owned));
    file.and_then(|sha256| indicators.file(&sha256, When { at: event.timestamp, scene }))
        .is_some_and(|hit| hit.action == IndicatorAction::Allow)
}

/// What the gateway or sensor stopped is told as prevented, at most of low severity: nothing happened.
fn settle(detection: &mut Detection, copies: &[MessageCopy]) {
    let event = &detection.event;
    if is_mail(event) {
        let id = event.str("NetworkMessageId").unwrap_or_default();
        let mut own = copies.iter().filter(|copy| copy.message_id.to_string() == id).peekable();
        let stopped =
            own.peek().is_some() && own.all(|copy| copy.delivery_action == hinomi_model::DeliveryAction::Blocked);
        if stopped {
            detection.status = DetectionStatus::Prevented;
        }
    }
    let by_indicator = matches!(detection.source, DetectionSource::CustomTi | DetectionSource::ThirdPartySensors);
    if by_indicator && detection.status == DetectionStatus::Prevented {
        detection.severity = detection.severity.min(Severity::Low);
    }
}

/// The process and its ancestors; what memory has forgotten (after a restart) comes from the lake.
pub(super) async fn lineage(ctx: &Ctx, key: ProcessKey) -> Result<Vec<ProcessFacts>> {
    let mut chain = ctx.desk.processes(|processes| processes.lineage(&key));
    for _ in 0..LAKE_ANCESTORS_MAX {
        let Some(last) = chain.last() else { break };
        let unknown = last.parent.is_none() && last.path.is_empty();
        if !unknown || is_boundary(&last.file_name) || last.key.pid <= 1 {
            break;
        }
        let events = facts::events(ctx, Wanted::creation(last.key)).await?;
        let before = chain.len();
        chain = ctx.desk.processes(|processes| {
            events.iter().for_each(|event| processes.learn(event));
            processes.lineage(&key)
        });
        if chain.len() <= before {
            break;
        }
    }
    Ok(chain)
}
