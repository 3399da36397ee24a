//! The alert mail in both languages, with hostile text in it.

use hinomi_model::*;
use hinomi_notify::{AlertFacts, render};
use std::collections::BTreeMap;

fn alert() -> (Alert, Incident) {
    let id = uuid::Uuid::nil();
    let at = Timestamp::parse("2026-11-22T03:04:05Z").expect("time");
    let alert = Alert {
        id: id.into(),
        incident_id: id.into(),
        title: Text::new("Mail program started a shell", "メールソフトがシェルを起動"),
        description: Text::new("<b>thunderbird</b> started sh.", "<b>thunderbird</b> が sh を起動しました。"),
        severity: Severity::High,
        status: AlertStatus::New,
        classification: Classification::Unknown,
        determination: Determination::Unknown,
        detection_status: DetectionStatus::Failed,
        detection_status_reason: Some(Text::new("process was gone", "プロセスは終了済み")),
        service_source: ServiceSource::Endpoint,
        detection_source: DetectionSource::Rule,
        category: "execution".into(),
        techniques: vec!["T1059.004".into()],
        rule_id: "r".into(),
        why: vec![],
        why_more: 0,
        test: false,
        tuned: None,
        device: Some(DeviceRef { id: id.into(), name: "PC-TANAKA\r\nBcc: all@example.jp".into() }),
        user: Some("tanaka".into()),
        mailboxes: vec![],
        message_id: None,
        process: None,
        tree_root: None,
        evidence: vec![Evidence {
            entity: EntityKey::file(&"ab".repeat(32)),
            name: "請求書.sh".into(),
            facts: BTreeMap::new(),
            role: EvidenceRole::Source,
            verdict: Verdict::Malicious,
            reason: Text::default(),
            remediation_status: RemediationStatus::Active,
            remediation_detail: None,
            action_id: None,
            first_seen: at,
        }],
        next_steps: vec![NextStep { text: Text::new("Isolate the device", "端末を隔離する"), action: None }],
        investigation_id: None,
        assigned_to: None,
        comments: vec![],
        created_at: at,
        updated_at: at,
        first_activity: at,
        last_activity: at,
        version: 1,
    };
    let incident = Incident {
        id: id.into(),
        number: 1042,
        title: Text::same("story"),
        title_by_person: false,
        severity_by_person: false,
        severity: Severity::High,
        status: IncidentStatus::Active,
        classification: Classification::Unknown,
        determination: Determination::Unknown,
        assigned_to: None,
        tags: vec![],
        alerts: vec![],
        devices: vec![],
        users: vec![],
        mailboxes: vec![],
        tactics: vec![],
        techniques: vec![],
        investigations: vec![],
        comments: vec![],
        activities: vec![],
        redirected_to: None,
        merged: None,
        apart: Vec::new(),
        took_in: Vec::new(),
        created_at: at,
        updated_at: at,
        first_activity: at,
        last_activity: at,
        version: 1,
    };
    (alert, incident)
}

#[test]
fn both_languages_say_what_happened_and_link_to_the_incident() {
    let (alert, incident) = alert();
    for (language, words) in [
        (
            Language::En,
            ["[High]", "Mail program started a shell", "Failed: it could not be stopped", "Isolate the device"],
        ),
        (Language::Ja, ["[高]", "メールソフトがシェルを起動", "失敗: 停止できませんでした", "端末を隔離する"]),
    ] {
        let facts = AlertFacts {
            alert: &alert,
            incident: &incident,
            techniques: vec!["T1059.004 Unix Shell".into()],
            responses: vec![Text::new("Waits for approval", "承認待ち")],
            console_url: "https://hinomi.example.jp:8443",
            language,
            names: true,
        };
        let rendered = render(&facts.notice("id", "alert", "because")).expect("renders");
        assert!(rendered.subject.contains(words[0]) && rendered.subject.contains("INC-1042"), "{}", rendered.subject);
        assert!(!rendered.subject.contains(['\r', '\n']), "a device name cannot add headers");
        for part in [rendered.text.clone(), rendered.html.replace("&#x2f;", "/")] {
            for word in &words[1..] {
                assert!(part.contains(word), "{word} in {part}");
            }
            assert!(part.contains("https://hinomi.example.jp:8443/incidents/1042"));
            assert!(part.contains("T1059.004 Unix Shell") && part.contains("請求書.sh"));
        }
        assert!(!rendered.html.contains("<b>thunderbird"), "untrusted text is escaped");
    }
}
