//! The ATT&CK timeline of an incident: a lane per tactic, a marker per alert.

use hinomi_model::{Alert, AlertId, EntityKey, Severity, Text, Timestamp};
use serde::Serialize;

/// The tactics of ATT&CK enterprise in kill-chain order, with their names.
const TACTICS: &[(&str, &str, &str)] = &[
    ("reconnaissance", "Reconnaissance", "偵察"),
    ("resource-development", "Resource Development", "リソース開発"),
    ("initial-access", "Initial Access", "初期アクセス"),
    ("execution", "Execution", "実行"),
    ("persistence", "Persistence", "永続化"),
    ("privilege-escalation", "Privilege Escalation", "権限昇格"),
    ("defense-evasion", "Defense Evasion", "防御回避"),
    ("credential-access", "Credential Access", "認証情報アクセス"),
    ("discovery", "Discovery", "探索"),
    ("lateral-movement", "Lateral Movement", "水平展開"),
    ("collection", "Collection", "収集"),
    ("command-and-control", "Command and Control", "コマンド アンド コントロール"),
    ("exfiltration", "Exfiltration", "持ち出し"),
    ("impact", "Impact", "影響"),
];

/// A lane of the timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lane {
    /// ATT&CK short name.
    pub tactic: String,
    /// Its name.
    pub title: Text,
}

/// A marker on a lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Marker {
    /// When it happened.
    pub at: Timestamp,
    /// Lane.
    pub tactic: String,
    /// ATT&CK technique id, empty when the rule names none.
    pub technique: String,
    /// The alert.
    pub alert_id: AlertId,
    /// Its title.
    pub title: Text,
    /// Its severity.
    pub severity: Severity,
    /// Where it happened: device or first mailbox.
    pub entity: Option<EntityKey>,
}

/// Lanes in kill-chain order and markers in time order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Timeline {
    /// Tactics reached.
    pub lanes: Vec<Lane>,
    /// What happened.
    pub markers: Vec<Marker>,
}

/// Builds the timeline of an incident's alerts.
pub fn timeline(alerts: &[Alert]) -> Timeline {
    let mut tactics: Vec<&str> = alerts.iter().map(|alert| alert.category.as_str()).collect();
    tactics.sort_by_key(|tactic| (tactic_order(tactic), tactic.to_string()));
    tactics.dedup();
    let lanes =
        tactics.iter().map(|tactic| Lane { tactic: (*tactic).to_owned(), title: tactic_title(tactic) }).collect();
    let mut markers: Vec<Marker> = alerts.iter().map(marker).collect();
    markers.sort_by_key(|marker| (marker.at, marker.alert_id));
    Timeline { lanes, markers }
}

fn marker(alert: &Alert) -> Marker {
    let device = alert.device.as_ref().map(|device| EntityKey::device(device.id));
    Marker {
        at: alert.first_activity,
        tactic: alert.category.clone(),
        technique: alert.techniques.first().cloned().unwrap_or_default(),
        alert_id: alert.id,
        title: alert.title.clone(),
        severity: alert.severity,
        entity: device.or_else(|| alert.mailboxes.first().map(|address| EntityKey::mailbox(address))),
    }
}

/// Returns the name of an ATT&CK tactic; unknown ones keep their short name.
pub fn tactic_title(tactic: &str) -> Text {
    match TACTICS.iter().find(|(name, _, _)| *name == tactic) {
        Some((_, en, ja)) => Text::new(*en, *ja),
        None => Text::same(tactic),
    }
}

/// Returns the place of a tactic in the kill chain; unknown ones come last.
pub(crate) fn tactic_order(tactic: &str) -> usize {
    TACTICS.iter().position(|(name, _, _)| *name == tactic).unwrap_or(TACTICS.len())
}
