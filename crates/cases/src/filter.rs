//! Verdicts of other filters and scanners as detections.

use hinomi_model::{
    Detection, DetectionSource, DetectionStatus, Event, FilterVerdict, MatchedField, Severity, Table, Text, ThreatType,
    Verdict,
};

/// Most verdicts of one event that become detections.
const VERDICTS_MAX: usize = 16;

/// Builds one detection per bad verdict in `AdditionalFields.Filters` of an event, engine by engine.
pub fn filter_detections(event: &Event) -> Vec<Detection> {
    // reading JSON per event is dear: only when the text names a filter
    if !event.str("AdditionalFields").is_some_and(|text| text.contains("\"Filters\"")) {
        return Vec::new();
    }
    let verdicts: Vec<FilterVerdict> =
        event.additional("Filters").and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default();
    let bad = verdicts.iter().filter(|one| one.verdict >= Verdict::Suspicious).take(VERDICTS_MAX);
    bad.map(|verdict| detection(event, verdict)).collect()
}

fn detection(event: &Event, verdict: &FilterVerdict) -> Detection {
    let mail = event.table.name().starts_with("Email");
    let (word, en, ja) = match verdict.threat {
        Some(ThreatType::Malware) => ("malware", "malware", "マルウェア"),
        Some(ThreatType::Phish) => ("phish", "phishing", "フィッシング"),
        Some(ThreatType::Spam) => ("spam", "spam", "迷惑メール"),
        None => ("bad", "a threat", "脅威"),
    };
    let severity = match (verdict.threat, verdict.verdict) {
        (Some(ThreatType::Spam), _) => Severity::Informational,
        (Some(ThreatType::Malware), _) | (_, Verdict::Malicious) => Severity::Medium,
        _ => Severity::Low,
    };
    let engine = verdict.engine.trim();
    let link = verdict.link.as_deref().map(|link| format!(" {link}")).unwrap_or_default();
    let (tactic, technique) = match (mail, verdict.threat) {
        (true, Some(ThreatType::Malware)) => ("initial-access", "T1566.001"),
        (true, _) => ("initial-access", "T1566"),
        (false, _) => ("execution", "T1204.002"),
    };
    Detection {
        rule_id: format!("filter:{}:{word}", engine.to_lowercase()),
        title: Text::new(format!("{engine} reports {en}"), format!("{engine} が{ja}と判定しました")),
        description: Text::new(
            format!("{engine} judged this as {en}: {}{link}", verdict.reason),
            format!("{engine} が{ja}と判定しました: {}{link}", verdict.reason),
        ),
        next_steps: vec![Text::new(
            "Look at who received it and whether somebody opened it; remove it where it is still there.",
            "受信者と開封の有無を確認し、残っているものを取り除きます。",
        )],
        severity,
        techniques: vec![technique.to_owned()],
        tactics: vec![tactic.to_owned()],
        source: DetectionSource::ThirdPartySensors,
        status: match event.str("DeliveryAction") {
            Some("Blocked") if event.table == Table::EmailEvents => DetectionStatus::Prevented,
            _ => DetectionStatus::Detected,
        },
        event: event.clone(),
        matched: vec![MatchedField {
            field: "Filters".to_owned(),
            value: verdict.reason.clone(),
            pattern: format!("{engine}: {}", verdict.verdict.word()),
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hinomi_model::Timestamp;

    #[test]
    fn only_bad_verdicts_are_detections() {
        let mut event = Event::new(Table::EmailEvents, Timestamp::from_micros(1));
        assert_eq!(filter_detections(&event), []);
        let verdict = |engine: &str, verdict: Verdict, threat| FilterVerdict {
            engine: engine.to_owned(),
            verdict,
            threat,
            reason: "because".to_owned(),
            link: None,
        };
        event.set_additional(
            "Filters",
            serde_json::json!([
                verdict("rspamd", Verdict::NoThreatsFound, None),
                verdict("Sandbox", Verdict::Malicious, Some(ThreatType::Malware)),
                verdict("front", Verdict::Suspicious, Some(ThreatType::Spam)),
            ]),
        );
        let found = filter_detections(&event);
        let told: Vec<_> = found.iter().map(|one| (one.rule_id.as_str(), one.severity)).collect();
        assert_eq!(
            told,
            [("filter:sandbox:malware", Severity::Medium), ("filter:front:spam", Severity::Informational)]
        );
        assert!(found[0].title.ja.contains("マルウェア") && found[0].description.en.contains("because"));
    }
}
