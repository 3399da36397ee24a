//! Values the checks store.

use hinomi_model::*;

pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000).plus_seconds(seconds)
}

/// An id that is the same in every run.
pub fn id<T: std::str::FromStr>(number: u64) -> T
where
    T::Err: std::fmt::Debug,
{
    format!("00000000-0000-7000-8000-{number:012x}").parse().unwrap()
}

pub fn device(number: u64, name: &str) -> Device {
    Device {
        id: id(number),
        name: name.to_owned(),
        status: SensorStatus { ip_addresses: vec![format!("10.0.0.{number}")], ..SensorStatus::default() },
        health: SensorHealth::Active,
        online: true,
        isolation: IsolationState::NotIsolated,
        risk: None,
        automation_level: None,
        tags: vec![],
        enrolled_at: at(0),
        last_seen: at(1),
        certificate_sha256: String::new(),
        events: 0,
        version: 0,
    }
}

pub fn alert(number: u64, incident: u64) -> Alert {
    Alert {
        id: id(number),
        incident_id: id(incident),
        title: Text::new("Shell started by a mail client", "メールソフトからシェルが起動"),
        description: Text::default(),
        severity: Severity::Medium,
        status: AlertStatus::New,
        classification: Classification::Unknown,
        determination: Determination::Unknown,
        detection_status: DetectionStatus::Detected,
        detection_status_reason: None,
        service_source: ServiceSource::Endpoint,
        detection_source: DetectionSource::Rule,
        category: "execution".to_owned(),
        techniques: vec!["T1059.004".to_owned()],
        rule_id: "mail-client-shell".to_owned(),
        why: vec![],
        why_more: 0,
        test: false,
        tuned: None,
        device: Some(DeviceRef { id: id(1), name: "ws-1".to_owned() }),
        user: Some("hana".to_owned()),
        mailboxes: vec![],
        message_id: None,
        process: None,
        tree_root: None,
        evidence: vec![],
        next_steps: vec![],
        investigation_id: None,
        assigned_to: None,
        comments: vec![],
        created_at: at(number as i64),
        updated_at: at(number as i64),
        first_activity: at(number as i64),
        last_activity: at(number as i64),
        version: 0,
    }
}

pub fn incident(number: u64) -> Incident {
    Incident {
        id: id(number),
        number: number as i64,
        title: Text::new(format!("Incident {number}"), format!("インシデント {number}")),
        title_by_person: false,
        severity_by_person: false,
        severity: if number.is_multiple_of(2) { Severity::High } else { Severity::Low },
        status: IncidentStatus::Active,
        classification: Classification::Unknown,
        determination: Determination::Unknown,
        assigned_to: None,
        tags: vec!["100%_sure".to_owned()],
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
        created_at: at(0),
        updated_at: at(0),
        first_activity: at(0),
        // several share a time, so that paging has to look at the id too
        last_activity: at((number / 3) as i64),
        version: 0,
    }
}

pub fn action(number: u64, incident: u64, state: ActionState) -> Action {
    Action {
        id: id(number),
        spec: ActionSpec::CollectStatus { device_id: id(1) },
        state,
        reason: Text::same("because"),
        proposed_by: "system".to_owned(),
        decided_by: None,
        decided_at: None,
        comment: None,
        approval: Default::default(),
        incident_id: Some(id(incident)),
        investigation_id: None,
        receipts: vec![],
        follow_up: None,
        undone_by: None,
        undoes: None,
        created_at: at(number as i64),
        finished_at: None,
        expires_at: at(1000),
        version: 0,
    }
}

pub fn investigation(number: u64, incident: u64) -> Investigation {
    Investigation {
        id: id(number),
        number: number as i64,
        playbook: "malicious_file".to_owned(),
        title: Text::same("Malicious file"),
        state: InvestigationState::Running,
        state_reason: None,
        alert_id: id(1),
        incident_id: id(incident),
        device: None,
        automation_level: AutomationLevel::SemiAll,
        by_hand: false,
        steps: vec![],
        evidence: vec![],
        edges: vec![],
        actions: vec![],
        log: vec![],
        started_at: at(number as i64),
        ended_at: None,
        version: 0,
    }
}

pub fn indicator(number: u64, kind: IndicatorKind, value: &str, expires_at: Option<Timestamp>) -> Indicator {
    Indicator {
        id: id(number),
        spec: IndicatorSpec {
            kind,
            value: value.to_owned(),
            action: IndicatorAction::Block,
            severity: Severity::High,
            note: "nul \0 here".to_owned(),
            expires_at,
            scope: Default::default(),
        },
        created_by: "aki".to_owned(),
        created_at: at(number as i64),
        incident_id: None,
        import_id: None,
        list_version: None,
        hits: 0,
        last_hit: None,
        version: 0,
    }
}

pub fn message(number: u64, recipient: &str, sha256: &str) -> MessageCopy {
    MessageCopy {
        message_id: id(number),
        recipient: recipient.to_owned(),
        internet_message_id: format!("{number}@evil.example"),
        sender_mail_from: "bounce@evil.example".to_owned(),
        sender_from: "billing@evil.example".to_owned(),
        sender_display_name: "Billing".to_owned(),
        sender_ip: "192.0.2.1".to_owned(),
        subject: "請求書 INVOICE".to_owned(),
        size: 100,
        received_at: at(number as i64),
        body_sha256: String::new(),
        attachments: vec![Attachment {
            name: "invoice.sh".to_owned(),
            sha256: sha256.to_owned(),
            size: 10,
            file_type: "text/x-shellscript".to_owned(),
            parent_sha256: None,
            uninspected: None,
        }],
        urls: vec![format!("https://evil.example/{}", "x".repeat(3000))],
        auth: AuthResults::default(),
        delivery_action: DeliveryAction::Delivered,
        delivery_location: DeliveryLocation::Inbox,
        latest_location: DeliveryLocation::Inbox,
        verdict: Verdict::Unknown,
        indicators: vec![],
        threats: vec![],
        source: MailSource::Gateway,
        direction: MailDirection::Inbound,
        return_path: String::new(),
        url_domains: vec!["evil.example".to_owned()],
        fingerprint: String::new(),
        campaign: String::new(),
        bulk: false,
        references: Vec::new(),
        findings: vec![],
        filters: vec![],
        folder: None,
        moved_by: None,
        moved_at: None,
        version: 0,
    }
}

pub fn sighting(observable: EntityKey, entity: EntityKey, seconds: i64) -> Sighting {
    Sighting {
        observable,
        entity,
        first_seen: at(seconds),
        last_seen: at(seconds),
        count: 1,
        sample: EventRef {
            table: Table::DeviceFileEvents,
            timestamp: at(seconds),
            device_id: Some(id(1)),
            report_id: "1".to_owned(),
        },
        name: "/tmp/\0odd".to_owned(),
        account: None,
        stages: SightingStages::default(),
    }
}
