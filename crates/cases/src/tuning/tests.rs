use super::*;
use crate::{AlertContext, AlertIds, ProcessIndex, alert_of};
use hinomi_model::{
    Detection, DetectionSource, DetectionStatus, Event, Severity, Table, TuningField as F, TuningOperator as Op,
};
use proptest::prelude::*;

const DEVICE: &str = "00000000-0000-0000-0000-000000000001";

fn draft(rule: &str, techniques: &[&str], command_line: &str) -> AlertDraft {
    let at = Timestamp::from_micros(1_790_000_000_000_000);
    let mut event = Event::new(Table::DeviceProcessEvents, at);
    event.set("DeviceId", DEVICE).set("DeviceName", "PC-Tanaka").set("FileName", "backup.sh");
    event.set("FolderPath", "/opt/backup/backup.sh").set("SHA256", "ab".repeat(32)).set("AccountName", "Root");
    event.set("ProcessCommandLine", command_line).set("ActionType", "ProcessCreated");
    event.set("ProcessId", 20_i64).set("ProcessCreationTime", at);
    event.set("InitiatingProcessId", 10_i64).set("InitiatingProcessCreationTime", at);
    event.set("InitiatingProcessFileName", "cron").set("InitiatingProcessFolderPath", "/usr/sbin/cron");
    event.set("InitiatingProcessCommandLine", "cron -f");
    let detection = Detection {
        rule_id: rule.to_owned(),
        title: Text::same("A strange tool"),
        description: Text::default(),
        next_steps: vec![Text::same("Look")],
        severity: Severity::High,
        techniques: techniques.iter().map(|one| (*one).to_owned()).collect(),
        tactics: vec!["execution".to_owned()],
        source: DetectionSource::Rule,
        status: DetectionStatus::Detected,
        event,
        matched: Vec::new(),
    };
    let mut processes = ProcessIndex::new(10);
    processes.learn(&detection.event);
    let lineage = processes.lineage(&detection.event.process().expect("a process"));
    let ids = AlertIds { alert: uuid::Uuid::from_u128(1).into(), incident: uuid::Uuid::from_u128(2).into() };
    alert_of(&detection, ids, at, &AlertContext { lineage: &lineage, ..AlertContext::default() })
}

fn rule(id: u128, action: TuningAction, conditions: &[(F, Op, &[&str])]) -> TuningRule {
    let now = Timestamp::from_micros(0);
    let conditions = conditions.iter().map(|(field, operator, values)| TuningCondition {
        field: *field,
        operator: *operator,
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    });
    TuningRule {
        id: uuid::Uuid::from_u128(id).into(),
        title: "Backups".to_owned(),
        conditions: conditions.collect(),
        action,
        severity: (action == TuningAction::LowerSeverity).then_some(Severity::Low),
        enabled: true,
        expires_at: None,
        owner: "tanaka".to_owned(),
        comment: String::new(),
        created_at: now,
        changed_by: "tanaka".to_owned(),
        changed_at: now,
        hits: 0,
        last_hit: None,
        version: 1,
    }
}

fn fits(alert: &Alert, conditions: &[(F, Op, &[&str])]) -> bool {
    let set = TuningSet::new(vec![rule(1, TuningAction::Hide, conditions)]);
    set.rule_for(alert, &["Server".to_owned()], Timestamp::from_micros(5)).is_some()
}

#[test]
fn conditions_compare_what_the_alert_says() {
    let alert = draft("r1", &[], "/bin/sh /opt/backup/backup.sh --all").alert;
    let one = |field, operator, value: &str| fits(&alert, &[(field, operator, &[value])]);
    assert!(one(F::Rule, Op::Equals, "R1") && !one(F::Rule, Op::Equals, "r"));
    assert!(one(F::Device, Op::Equals, "pc-tanaka") && one(F::Device, Op::Equals, DEVICE));
    assert!(one(F::DeviceTag, Op::Equals, "server") && !one(F::DeviceTag, Op::Equals, "laptop"));
    assert!(one(F::User, Op::Equals, "ROOT"));
    assert!(one(F::FileSha256, Op::Equals, &"AB".repeat(32)));
    assert!(one(F::FileName, Op::EndsWith, ".sh") && one(F::FilePath, Op::StartsWith, "/opt/backup/"));
    assert!(
        one(F::CommandLine, Op::Wildcard, "/bin/sh */backup.sh --?ll") && one(F::CommandLine, Op::Contains, "-ALL")
    );
    assert!(!one(F::CommandLine, Op::Wildcard, "*backup.sh"), "the whole value");
    assert!(one(F::ParentName, Op::Equals, "cron") && one(F::ParentPath, Op::Equals, "/usr/sbin/cron"));
    assert!(!one(F::FileName, Op::Equals, "cron"), "the parent is not the process");
    assert!(fits(&alert, &[(F::Rule, Op::Equals, &["x", "r1"]), (F::User, Op::Equals, &["root"])]), "any, and all");
    assert!(!fits(&alert, &[(F::Rule, Op::Equals, &["r1"]), (F::User, Op::Equals, &["ann"])]));
    assert!(!one(F::Subject, Op::Wildcard, "?*"), "nothing is not anything");
}

#[test]
fn addresses_lie_in_networks() {
    let like = |network: &str, address: &str| like::Like::new(Op::Cidr, network).expect("reads").matches(address);
    assert!(like("192.0.2.0/24", "192.0.2.77") && !like("192.0.2.0/24", "192.0.3.1"));
    assert!(like("0.0.0.0/0", "203.0.113.9") && !like("0.0.0.0/0", "2001:db8::1") && like("::/0", "2001:db8::1"));
    assert!(like("2001:db8::/32", "2001:db8:1::5") && like("192.0.2.1", "::ffff:192.0.2.1"));
    assert!(!like("192.0.2.0/24", "192.0.2.1.example"));
    for wrong in ["192.0.2.0/33", "::/129", "example", "192.0.2.0/", "/8"] {
        assert!(like::Like::new(Op::Cidr, wrong).is_none(), "{wrong}");
    }
}

#[test]
fn tampering_must_be_named() {
    let alert = draft("disable-sensor", &["T1562.001"], "systemctl stop hinomi-sensor").alert;
    assert!(is_tampering(&alert) && !is_tampering(&draft("r1", &["T1059"], "x").alert));
    let wide: &[(F, Op, &[&str])] = &[(F::FilePath, Op::StartsWith, &["/opt/"])];
    assert!(!fits(&alert, wide) && !fits(&alert, &[(F::Rule, Op::StartsWith, &["disable"])]));
    assert!(fits(&alert, &[(F::Rule, Op::Equals, &["disable-sensor"])]));
    let set = TuningSet::new(vec![rule(1, TuningAction::Hide, wide)]);
    assert!(set.spares(&alert, &[]) && !set.spares(&draft("r1", &[], "x").alert, &[]));
}

#[test]
fn the_strongest_rule_in_force_counts() {
    let alert = draft("r1", &[], "x").alert;
    let all: &[(F, Op, &[&str])] = &[(F::Rule, Op::Equals, &["r1"])];
    let lower = rule(1, TuningAction::LowerSeverity, all);
    let hide = TuningRule { expires_at: Some(Timestamp::from_micros(10)), ..rule(3, TuningAction::Hide, all) };
    let later = rule(4, TuningAction::Hide, all);
    let off = TuningRule { enabled: false, ..rule(2, TuningAction::Hide, all) };
    let ask = |rules: &[&TuningRule], now| {
        let set = TuningSet::new(rules.iter().map(|rule| (*rule).clone()).collect());
        set.rule_for(&alert, &[], Timestamp::from_micros(now)).map(|rule| rule.id.0.as_u128())
    };
    assert_eq!(ask(&[&lower, &later, &hide, &off], 9), Some(3), "the oldest of the strongest");
    assert_eq!(ask(&[&lower, &later, &hide, &off], 10), Some(4), "one has expired");
    assert_eq!(ask(&[&lower, &off], 10), Some(1));
    assert_eq!(ask(&[&off], 10), None);
}

#[test]
fn what_a_rule_does() {
    let all: &[(F, Op, &[&str])] = &[(F::Rule, Op::Equals, &["r1"])];
    let mut hidden = draft("r1", &[], "x");
    assert!(!hidden.links.is_empty() && tune(&mut hidden, &rule(1, TuningAction::Hide, all)));
    assert!(hidden.alert.is_hidden() && hidden.links.is_empty() && !hidden.entities.is_empty());
    let mut lower = draft("r1", &[], "x");
    let isolates = |draft: &AlertDraft| {
        let of = |kind: &str| serde_json::to_string(&draft.alert.next_steps).expect("json").contains(kind);
        (of("isolate_device"), draft.alert.next_steps[0].text.en.clone())
    };
    assert_eq!(isolates(&lower), (true, "Look".to_owned()));
    assert!(tune(&mut lower, &rule(1, TuningAction::LowerSeverity, all)));
    assert_eq!((lower.alert.severity, isolates(&lower)), (Severity::Low, (false, "Look".to_owned())));
    assert!(!lower.links.is_empty() && lower.alert.tuned.as_ref().is_some_and(|one| one.severity == Severity::High));
    assert!(!tune(&mut lower, &rule(1, TuningAction::LowerSeverity, all)), "low already");
}

#[test]
fn faults_are_named() {
    let check = |conditions: &[(F, Op, &[&str])]| {
        let rule = rule(1, TuningAction::Hide, conditions);
        check_tuning(&rule.conditions, rule.action, rule.severity).map_err(|fault| fault.text.en)
    };
    assert_eq!(check(&[(F::Subject, Op::Contains, &["x"])]), Ok(()));
    let wrong: &[(&[(F, Op, &[&str])], &str)] = &[
        (&[], "1 to 12 conditions"),
        (&[(F::Device, Op::Equals, &["x"]), (F::User, Op::Contains, &["y"])], "not only where"),
        (&[(F::Rule, Op::Equals, &[])], "1 to 20 values"),
        (&[(F::Rule, Op::Wildcard, &["*?"])], "does not fit"),
        (&[(F::Subject, Op::Equals, &["  "])], "does not fit"),
        (&[(F::Subject, Op::Cidr, &["10.0.0.0/8"])], "for addresses only"),
        (&[(F::Address, Op::Cidr, &["10.0.0.0/99"])], "does not fit"),
        (&[(F::FileSha256, Op::Equals, &["abc"])], "no SHA-256"),
    ];
    for (conditions, told) in wrong {
        let said = check(conditions).expect_err(told);
        assert!(said.contains(told), "{said}");
    }
    let fault = check_tuning(&[], TuningAction::LowerSeverity, None).expect_err("needs one");
    assert_eq!(fault.field, "severity");
    assert!(check_tuning(&[], TuningAction::Hide, Some(Severity::Low)).is_err_and(|fault| fault.field == "severity"));
}

#[test]
fn a_draft_holds_for_the_alert_it_comes_from() {
    let alert = draft("r1", &["T1562.001"], "/bin/sh /opt/backup/backup.sh --day 20261122 --id 3f2a9c1b77").alert;
    let conditions = suggest_tuning(&alert);
    let fields: Vec<F> = conditions.iter().map(|condition| condition.field).collect();
    assert_eq!(fields, [F::Rule, F::FilePath, F::CommandLine, F::ParentPath]);
    assert_eq!(conditions[2].values, ["/bin/sh /opt/backup/backup.sh --day * --id *"]);
    check_tuning(&conditions, TuningAction::Hide, None).expect("can be taken");
    let set = TuningSet::new(vec![TuningRule { conditions, ..rule(1, TuningAction::Hide, &[]) }]);
    assert!(set.rule_for(&alert, &[], Timestamp::from_micros(0)).is_some());
    let next = draft("r1", &[], "/bin/sh /opt/backup/backup.sh --day 20261123 --id 99aa9c1b00").alert;
    assert!(set.rule_for(&next, &[], Timestamp::from_micros(0)).is_some(), "the next day too");
    let other = draft("r1", &[], "/bin/sh /opt/backup/backup.sh --to 198.51.100.7").alert;
    assert!(set.rule_for(&other, &[], Timestamp::from_micros(0)).is_none());
}

proptest! {
    /// The quick matcher agrees with the plain one.
    #[test]
    fn wildcards_match_as_written(pattern in "[ab*?]{1,8}", value in "[ab]{0,10}") {
        fn plain(pattern: &[u8], value: &[u8]) -> bool {
            match (pattern.first(), value.first()) {
                (None, None) => true,
                (Some(b'*'), _) => plain(&pattern[1..], value) || (!value.is_empty() && plain(pattern, &value[1..])),
                (Some(p), Some(v)) if *p == b'?' || p == v => plain(&pattern[1..], &value[1..]),
                _ => false,
            }
        }
        if let Some(like) = like::Like::new(Op::Wildcard, &pattern) {
            prop_assert_eq!(like.matches(&value), plain(pattern.as_bytes(), value.as_bytes()));
        }
    }

    /// Whatever stands in an alert, its draft can be taken and holds for it.
    #[test]
    fn any_draft_holds(line in "\\PC{0,80}", rule_id in "[a-z0-9-]{1,20}") {
        let alert = draft(&rule_id, &[], &line).alert;
        let conditions = suggest_tuning(&alert);
        prop_assert!(check_tuning(&conditions, TuningAction::Hide, None).is_ok(), "{:?}", conditions);
        let set = TuningSet::new(vec![TuningRule { conditions, ..rule(1, TuningAction::Hide, &[]) }]);
        prop_assert!(set.rule_for(&alert, &[], Timestamp::from_micros(0)).is_some());
    }
}
