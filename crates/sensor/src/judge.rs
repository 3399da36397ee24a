//! Detection on the device: rules and blocked hashes over every event, and what follows at once.

use crate::device::Device;
use crate::notify;
use crate::prevent::{Denied, Initiator};
use crate::respond::process::stop_tree;
use hinomi_detect::Respond;
use hinomi_model::{DetectionStatus, Event, ProcessKey, ReceiptState, Severity, Table, Text, Timestamp};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How far the collector's table may be behind.
const TABLE_BEHIND: Duration = Duration::from_millis(300);

/// Something that has to be done or told because of an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    event: Event,
    what: What,
}

#[derive(Debug, Clone, PartialEq)]
enum What {
    /// A rule fired.
    Rule { rule_id: String, title: Text, severity: Severity, stop: bool },
    /// A blocked file ran: it was started where the guard does not look, or as a script by name.
    Blocked { sha256: String },
}

/// Evaluates events.
pub struct Judge {
    device: Arc<Device>,
    detect: bool,
    stop: bool,
}

impl Judge {
    /// Builds a judge; unless it is to `detect`, only blocked hashes are looked for.
    pub fn new(device: Arc<Device>, detect: bool, stop: bool) -> Self {
        Judge { device, detect, stop }
    }

    /// Finds what has to be done because of an event. Fast: acts on nothing.
    pub fn look(&self, event: &Event) -> Vec<Finding> {
        let mut found = Vec::new();
        if let Some(sha256) = self.blocked_hash(event) {
            found.push(Finding { event: event.clone(), what: What::Blocked { sha256 } });
        }
        if !self.detect {
            return found;
        }
        let rules = self.device.rules.get();
        for fired in rules.engine.matches(event).into_iter().filter(|fired| rules.counts(&fired.rule.id)) {
            let rule = fired.rule;
            let stop = rule.respond == Respond::Stop;
            if stop || rule.severity >= Severity::Medium {
                let (rule_id, title) = (rule.id.clone(), rule.title.clone());
                let what = What::Rule { rule_id, title, severity: rule.severity, stop };
                found.push(Finding { event: event.clone(), what });
            }
        }
        found
    }

    fn blocked_hash(&self, event: &Event) -> Option<String> {
        let list = self.device.prevention.list();
        if list.is_empty()
            || event.table != Table::DeviceProcessEvents
            || event.str("ActionType") != Some("ProcessCreated")
        {
            return None;
        }
        let image = event.str("SHA256").map(str::to_owned);
        let script = event.additional("ScriptSHA256").and_then(|hash| hash.as_str().map(str::to_owned));
        [image, script].into_iter().flatten().find(|hash| list.contains_text(hash))
    }

    /// Stops, tells users and returns the event that says what became of it. Blocks.
    pub fn act(&self, finding: &Finding) -> Option<Event> {
        match &finding.what {
            What::Blocked { sha256 } => Some(self.stop_blocked(&finding.event, sha256)),
            What::Rule { rule_id, title, severity, stop } => {
                self.answer_rule(&finding.event, rule_id, title, *severity, *stop)
            }
        }
    }

    fn stop_blocked(&self, source: &Event, sha256: &str) -> Event {
        let (status, reason) = self.try_stop(target(source));
        let path = source.str("FolderPath").unwrap_or_default().to_owned();
        let mut event = about(source, "ExecBlocked");
        event.set_additional("IndicatorSha256", sha256);
        tell_status(&mut event, status, reason.as_ref());
        let title = Text::new("A blocked file was started", "ブロック対象のファイルが実行されました");
        self.device.notifier.tell(&format!("blocked:{sha256}"), &notify::detection(&title, &path, status));
        event
    }

    fn answer_rule(
        &self,
        source: &Event,
        rule_id: &str,
        title: &Text,
        severity: Severity,
        stop: bool,
    ) -> Option<Event> {
        let root = target(source);
        let (status, reason) = if stop && self.stop { self.try_stop(root) } else { (DetectionStatus::Detected, None) };
        if severity >= Severity::Medium {
            let name = source.str("FileName").or(source.str("InitiatingProcessFileName")).unwrap_or_default();
            let subject = format!("{rule_id}:{}", root.map(|key| key.to_string()).unwrap_or_default());
            self.device.notifier.tell(&subject, &notify::detection(title, name, status));
        }
        // what the sensor only sees, the server sees too: it has the same rules and the event
        if !stop {
            return None;
        }
        let mut event = about(source, "HinomiDetection");
        event.set_additional("RuleId", rule_id);
        event.set_additional("Severity", severity.word());
        if let Some(root) = root {
            event.set_additional("ProcessUniqueId", root.to_string());
        }
        tell_status(&mut event, status, reason.as_ref());
        Some(event)
    }

    fn try_stop(&self, root: Option<ProcessKey>) -> (DetectionStatus, Option<Text>) {
        let Some(root) = root else {
            let why = Text::new("the event names no process", "イベントにプロセスがありません");
            return (DetectionStatus::Failed, Some(why));
        };
        let outcome = stop_tree(&root, self.device.processes(), self.device.scope);
        match outcome.state {
            ReceiptState::Done => (DetectionStatus::Blocked, Some(outcome.detail)),
            ReceiptState::AlreadyDone => {
                let why = Text::new("it ended before it could be stopped", "停止する前に終了していました");
                (DetectionStatus::Detected, Some(why))
            }
            _ => (DetectionStatus::Failed, Some(outcome.detail)),
        }
    }

    /// Tells users of a denied start and returns its event. Blocks.
    pub fn denied(&self, denied: &Denied) -> Event {
        let path = denied.path.to_string_lossy().into_owned();
        let mut event = Event::new(Table::DeviceEvents, crate::clock::now());
        event.set("ActionType", "ExecBlocked");
        event.set("DeviceId", self.device.identity.device_id.to_string());
        event.set("DeviceName", self.device.identity.device_name.clone());
        event.set("FolderPath", path.clone());
        let name = denied.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        event.set("FileName", name);
        event.set("SHA256", denied.sha256.clone());
        event.set("FileSize", i64::try_from(denied.size).unwrap_or(i64::MAX));
        self.initiator(&mut event, &denied.initiator);
        event.set_additional("IndicatorSha256", denied.sha256.clone());
        tell_status(&mut event, DetectionStatus::Prevented, None);
        self.device.notifier.tell(&format!("denied:{}", denied.sha256), &notify::blocked_file(&path));
        event
    }

    /// Fills the initiating process from the collector's table, which may be a moment behind, else
    /// from what was seen while it waited. Blocks.
    fn initiator(&self, event: &mut Event, seen: &Initiator) {
        if let Some(table) = self.device.processes() {
            let deadline = Instant::now() + TABLE_BEHIND;
            while Instant::now() < deadline {
                if table.set_initiating_process(event, seen.pid) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        event.set("InitiatingProcessId", i64::from(seen.pid));
        event.set("InitiatingProcessParentId", i64::from(seen.ppid));
        event.set("InitiatingProcessCreationTime", Timestamp::from_micros(seen.started_us));
        let name = seen.exe.file_name().unwrap_or_default().to_string_lossy().into_owned();
        event.set("InitiatingProcessFileName", name);
        event.set("InitiatingProcessFolderPath", seen.exe.to_string_lossy().into_owned());
        event.set("InitiatingProcessCommandLine", seen.command_line.clone());
    }
}

/// The process an event is about: the one it created, else the one that did it.
fn target(event: &Event) -> Option<ProcessKey> {
    match event.table {
        Table::DeviceProcessEvents => event.process(),
        _ => event.initiating_process(),
    }
}

/// Builds a row of DeviceEvents that says the same as `source` where the columns are the same.
fn about(source: &Event, action: &str) -> Event {
    let mut event = Event::new(Table::DeviceEvents, crate::clock::now());
    for (name, value) in source.iter() {
        if !matches!(name, "ActionType" | "ReportId" | "AdditionalFields") {
            event.try_set(name, value.clone());
        }
    }
    event.set("ActionType", action);
    event
}

fn tell_status(event: &mut Event, status: DetectionStatus, reason: Option<&Text>) {
    event.set_additional("DetectionStatus", status.word());
    if let Some(reason) = reason {
        event.set_additional("Reason", json!({ "en": reason.en, "ja": reason.ja }));
    }
}
