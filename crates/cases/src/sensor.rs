//! Detections the sensor itself reports.

use hinomi_model::{Detection, DetectionSource, DetectionStatus, Event, MatchedField, Severity, Text};

/// Builds the detection for a sensor's `ExecBlocked` event whose indicator is gone meanwhile: a blocked
/// file was stopped before it ran.
pub fn exec_blocked(event: &Event) -> Detection {
    let sha256 = text_field(event, "IndicatorSha256")
        .or(event.str("SHA256").map(str::to_owned))
        .unwrap_or_default()
        .to_ascii_lowercase();
    Detection {
        rule_id: "hinomi-exec-blocked".to_owned(),
        title: Text::new("A blocked file was stopped before it ran", "ブロック対象のファイルの実行を止めました"),
        description: Text::new(
            "The file is on the block list; the sensor refused to start it. Nothing of it ran.",
            "ファイルはブロック一覧にあり、センサーが起動を拒みました。何も実行されていません。",
        ),
        next_steps: vec![Text::new(
            "Find out how the file came to the device and remove it.",
            "ファイルがどこから来たかを調べ、取り除きます。",
        )],
        severity: Severity::Low,
        techniques: vec!["T1204.002".to_owned()],
        tactics: vec!["execution".to_owned()],
        source: DetectionSource::CustomTi,
        status: DetectionStatus::Prevented,
        event: event.clone(),
        matched: vec![MatchedField { field: "SHA256".to_owned(), value: sha256.clone(), pattern: sha256 }],
    }
}

/// Reads a sensor's own detection (`HinomiDetection`) of a rule nobody else knows: what became of it,
/// in general words, and why the sensor could not do more.
pub fn sensor_detection(event: &Event) -> (Detection, Option<Text>) {
    let rule_id = text_field(event, "RuleId").unwrap_or_else(|| "hinomi-sensor".to_owned());
    let status = text_field(event, "DetectionStatus").and_then(|word| word.parse().ok());
    let severity = text_field(event, "Severity").and_then(|word| word.parse().ok());
    let detection = Detection {
        title: Text::new(format!("The sensor detected {rule_id}"), format!("センサーが {rule_id} を検知しました")),
        rule_id,
        description: Text::default(),
        next_steps: Vec::new(),
        severity: severity.unwrap_or(Severity::Medium),
        techniques: Vec::new(),
        tactics: vec!["execution".to_owned()],
        source: DetectionSource::Rule,
        status: status.unwrap_or(DetectionStatus::Detected),
        event: event.clone(),
        matched: Vec::new(),
    };
    let reason = match event.additional("Reason") {
        Some(serde_json::Value::String(text)) if !text.is_empty() => Some(Text::same(text)),
        Some(value @ serde_json::Value::Object(_)) => serde_json::from_value(value).ok(),
        _ => None,
    };
    (detection, reason)
}

fn text_field(event: &Event, name: &str) -> Option<String> {
    match event.additional(name)? {
        serde_json::Value::String(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hinomi_model::{Table, Timestamp};

    #[test]
    fn a_sensors_failure_keeps_its_reason() {
        let mut event = Event::new(Table::DeviceEvents, Timestamp::from_micros(1));
        event.set("ActionType", "HinomiDetection");
        event.set_additional("RuleId", "r1");
        event.set_additional("DetectionStatus", "failed");
        event.set_additional("Reason", "process is in an uninterruptible wait");
        let (detection, reason) = sensor_detection(&event);
        assert_eq!((detection.rule_id.as_str(), detection.status), ("r1", DetectionStatus::Failed));
        assert!(reason.expect("a reason").en.contains("uninterruptible"));
    }
}
