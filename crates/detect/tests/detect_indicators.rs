//! Indicators over events: which value decides, and what becomes of it.

use hinomi_detect::{IndicatorSet, Scene};
use hinomi_model::{
    DetectionSource, DetectionStatus, Event, Indicator, IndicatorAction, IndicatorId, IndicatorKind, IndicatorSpec,
    Severity, Table, Timestamp,
};

const HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn indicator(number: u128, kind: IndicatorKind, value: &str, action: IndicatorAction) -> Indicator {
    let spec = IndicatorSpec {
        kind,
        value: value.to_owned(),
        action,
        severity: Severity::High,
        note: String::new(),
        expires_at: None,
        scope: Default::default(),
    };
    Indicator {
        id: IndicatorId(uuid::Uuid::from_u128(number)),
        spec,
        created_by: "test".to_owned(),
        created_at: Timestamp::from_micros(0),
        incident_id: None,
        import_id: None,
        list_version: None,
        hits: 0,
        last_hit: None,
        version: 1,
    }
}

fn seen(set: &IndicatorSet, event: &Event) -> Vec<u128> {
    set.matches(event).into_iter().map(|(id, _)| id.0.as_u128()).collect()
}

fn event(table: Table, field: &str, value: &str) -> Event {
    let mut event = Event::new(table, Timestamp::from_micros(10));
    event.set(field, value);
    event
}

#[test]
fn values_are_found_where_events_keep_them() {
    use IndicatorAction::Block;
    let set = IndicatorSet::new(&[
        indicator(1, IndicatorKind::FileSha256, &HASH.to_uppercase(), Block),
        indicator(2, IndicatorKind::SenderAddress, "Bad@Evil.example", Block),
        indicator(3, IndicatorKind::SenderDomain, "spam.example", Block),
        indicator(4, IndicatorKind::Url, "HTTP://Evil.example/a?B", Block),
        indicator(5, IndicatorKind::Domain, "phish.example", Block),
        indicator(6, IndicatorKind::Ip, "203.0.113.9", Block),
    ]);
    let mut script = Event::new(Table::DeviceProcessEvents, Timestamp::from_micros(10));
    script.set("FileName", "dash").set_additional("ScriptSHA256", HASH);
    for (event, expected) in [
        (event(Table::DeviceFileEvents, "SHA256", HASH), vec![1]),
        (event(Table::EmailAttachmentInfo, "SHA256", HASH), vec![1]),
        (script, vec![1]),
        (event(Table::EmailEvents, "SenderFromAddress", "bad@evil.example"), vec![2]),
        (event(Table::EmailEvents, "SenderMailFromAddress", "x@mail.spam.example"), vec![3]),
        (event(Table::EmailEvents, "SenderMailFromAddress", "x@notspam.example"), vec![]),
        (event(Table::EmailUrlInfo, "Url", "http://evil.example/a?B"), vec![4]),
        (event(Table::EmailUrlInfo, "Url", "http://evil.example/a?b"), vec![]),
        (event(Table::EmailUrlInfo, "Url", "https://user@login.phish.example:8443/x"), vec![5]),
        (event(Table::EmailUrlInfo, "Url", "https://example.org/phish.example"), vec![]),
        (event(Table::DeviceNetworkEvents, "RemoteUrl", "a.phish.example."), vec![5]),
        (event(Table::DeviceNetworkEvents, "RemoteIP", "::ffff:203.0.113.9"), vec![6]),
        (event(Table::EmailUrlInfo, "Url", "http://203.0.113.9/x"), vec![6]),
        (event(Table::DeviceProcessEvents, "FileName", "ls"), vec![]),
    ] {
        assert_eq!(seen(&set, &event), expected, "{event:?}");
    }
}

#[test]
fn allow_beats_block_beats_audit_for_one_value() {
    use IndicatorAction::{Allow, Audit, Block};
    let url = event(Table::EmailUrlInfo, "Url", "https://good.example.com/");
    let domain = |number, value, action| indicator(number, IndicatorKind::Domain, value, action);
    let block = domain(1, "example.com", Block);
    let audit = domain(2, "good.example.com", Audit);
    let allow = domain(3, "good.example.com", Allow);
    assert_eq!(seen(&IndicatorSet::new(&[audit.clone(), block.clone()]), &url), [1]);
    assert!(seen(&IndicatorSet::new(&[audit, block.clone(), allow.clone()]), &url).is_empty());
    // an allowed value says nothing about others
    let both = IndicatorSet::new(&[allow, block, indicator(4, IndicatorKind::FileSha256, HASH, Block)]);
    assert_eq!(seen(&both, &event(Table::DeviceFileEvents, "SHA256", HASH)), [4]);
}

#[test]
fn expired_indicators_are_silent() {
    let mut old = indicator(1, IndicatorKind::FileSha256, HASH, IndicatorAction::Block);
    old.spec.expires_at = Some(Timestamp::from_micros(10));
    assert!(seen(&IndicatorSet::new(&[old.clone()]), &event(Table::DeviceFileEvents, "SHA256", HASH)).is_empty());
    old.spec.expires_at = Some(Timestamp::from_micros(11));
    assert_eq!(seen(&IndicatorSet::new(&[old]), &event(Table::DeviceFileEvents, "SHA256", HASH)), [1]);
}

#[test]
fn a_prevented_run_is_told_as_prevented() {
    let set = IndicatorSet::new(&[indicator(1, IndicatorKind::FileSha256, HASH, IndicatorAction::Block)]);
    let mut blocked = event(Table::DeviceEvents, "ActionType", "ExecBlocked");
    blocked.set("SHA256", HASH);
    blocked.set_additional("IndicatorSha256", HASH);
    blocked.set_additional("DetectionStatus", "prevented");
    let [detection] = set.detections(&blocked, Scene::Anywhere).try_into().expect("one");
    assert_eq!((detection.status, detection.source), (DetectionStatus::Prevented, DetectionSource::CustomTi));
    assert_eq!(detection.rule_id, format!("indicator:{}", uuid::Uuid::from_u128(1)));
    assert!(detection.title.ja.contains("ファイル") && detection.description.en.contains(HASH));
}

#[test]
fn networks_and_older_hashes() {
    use IndicatorAction::{Allow, Block};
    let sha1 = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
    let md5 = "d41d8cd98f00b204e9800998ecf8427e";
    let set = IndicatorSet::new(&[
        // not written by its first address
        indicator(1, IndicatorKind::Cidr, "203.0.113.77/24", Block),
        indicator(2, IndicatorKind::Cidr, "2001:db8::/32", Block),
        indicator(3, IndicatorKind::Ip, "203.0.113.9", Allow),
        indicator(4, IndicatorKind::FileSha1, sha1, Block),
        indicator(5, IndicatorKind::FileMd5, &md5.to_uppercase(), Block),
    ]);
    for (event, expected) in [
        (event(Table::DeviceNetworkEvents, "RemoteIP", "203.0.113.10"), vec![1]),
        (event(Table::DeviceNetworkEvents, "RemoteIP", "::ffff:203.0.113.10"), vec![1]),
        (event(Table::DeviceNetworkEvents, "RemoteIP", "203.0.113.9"), vec![]),
        (event(Table::DeviceNetworkEvents, "RemoteIP", "203.0.114.10"), vec![]),
        (event(Table::EmailEvents, "SenderIPv6", "2001:db8:1::1"), vec![2]),
        (event(Table::EmailUrlInfo, "Url", "http://203.0.113.10/x"), vec![1]),
        (event(Table::DeviceFileEvents, "SHA1", sha1), vec![4]),
        (event(Table::DeviceFileEvents, "InitiatingProcessMD5", md5), vec![5]),
    ] {
        assert_eq!(seen(&set, &event), expected, "{event:?}");
    }
}

#[test]
fn why_a_value_is_decided() {
    use IndicatorAction::{Allow, Audit, Block};
    let mut ended = indicator(5, IndicatorKind::Domain, "pay.phish.example", Allow);
    ended.spec.expires_at = Some(Timestamp::from_micros(5));
    let set = IndicatorSet::new(&[
        indicator(1, IndicatorKind::Domain, "phish.example", Block),
        indicator(2, IndicatorKind::Url, "http://pay.phish.example/now", Audit),
        indicator(3, IndicatorKind::Cidr, "198.51.100.0/24", Block),
        indicator(4, IndicatorKind::SenderDomain, "phish.example", Block),
        ended,
    ]);
    let at = Timestamp::from_micros(10);
    let ids =
        |value: &str| -> Vec<u128> { set.why(value, at).considered.iter().map(|one| one.id.0.as_u128()).collect() };
    let why = set.why("hxxp://pay[.]phish[.]example/now", at);
    assert_eq!(why.value, "http://pay.phish.example/now");
    assert_eq!(why.decided_by.map(|id| id.0.as_u128()), Some(1));
    assert_eq!(ids("hxxp://pay[.]phish[.]example/now"), [1, 2, 5]);
    assert!(why.considered[0].reason.en.contains("decides"));
    assert!(why.considered[2].reason.en.contains("ended"));
    assert_eq!(ids("pay.phish.example"), [1, 4, 5]);
    assert_eq!(ids("someone@phish.example"), [4]);
    assert_eq!(ids("198.51.100.200"), [3]);
    assert_eq!(ids("http://198.51.100.200/x"), [3]);
    assert_eq!(ids("other.example"), []);
    assert_eq!(set.why("other.example", at).decided_by, None);
    // what decides here is what stops it there
    for value in ["hxxp://pay[.]phish[.]example/now", "http://198.51.100.200/x"] {
        let url = hinomi_detect::indicator_list::refang(value);
        assert_eq!(set.url(&url, at).map(|hit| hit.id), set.why(value, at).decided_by, "{value}");
    }
}

#[test]
fn subjects_are_compared_by_patterns_and_warn_lies_between_block_and_audit() {
    use IndicatorAction::{Allow, Audit, Block, BlockAndRemediate, Warn};
    let subject = |number, value, action| indicator(number, IndicatorKind::SubjectPattern, value, action);
    let mail = event(Table::EmailEvents, "Subject", "Re:  Your INVOICE 42");
    let set = IndicatorSet::new(&[subject(1, "*invoice*", Audit), subject(2, "*invoice ??", Warn)]);
    assert_eq!(seen(&set, &mail), [2]);
    let set = IndicatorSet::new(&[subject(1, "*invoice*", Block), subject(2, "re: your*", BlockAndRemediate)]);
    assert_eq!(seen(&set, &mail), [2]);
    let set = IndicatorSet::new(&[subject(1, "*invoice*", Block), subject(2, "re: your invoice 42", Allow)]);
    assert!(seen(&set, &mail).is_empty());
    let why = set.why("re: your invoice 42", Timestamp::from_micros(10));
    assert_eq!(why.considered.iter().map(|one| one.id.0.as_u128()).collect::<Vec<_>>(), [2, 1]);
    assert!(seen(&IndicatorSet::new(&[subject(1, "invoice", Block)]), &mail).is_empty(), "the whole subject counts");
}

#[test]
fn a_scope_leaves_out_other_devices_and_other_mail() {
    let mut scoped = indicator(1, IndicatorKind::FileSha256, HASH, IndicatorAction::Block);
    scoped.spec.scope.device_tags = vec!["servers".to_owned()];
    let set = IndicatorSet::new(&[scoped.clone()]);
    let file = event(Table::DeviceFileEvents, "SHA256", HASH);
    let (server, other) = (["servers".to_owned()], ["pcs".to_owned()]);
    let hits = |set: &IndicatorSet, scene| set.hits(&file, scene).len();
    assert!(set.is_scoped());
    assert_eq!(
        [Scene::Device(&server), Scene::Device(&other), Scene::Anywhere].map(|scene| hits(&set, scene)),
        [1, 0, 0]
    );
    let (below, beside) = (["mail.corp.example".to_owned()], ["notcorp.example".to_owned()]);
    assert_eq!(hits(&set, Scene::Mail(&below)), 0, "named tags: mail is left out");
    scoped.spec.scope.mail_domains = vec!["corp.example".to_owned()];
    let set = IndicatorSet::new(&[scoped]);
    assert_eq!([Scene::Mail(&below), Scene::Mail(&beside)].map(|scene| hits(&set, scene)), [1, 0]);
}

#[test]
fn what_is_not_enforced_says_so_and_why() {
    use hinomi_model::IndicatorPlace::{Alert, Gateway, Sensor};
    for (kind, action, enforced) in [
        (IndicatorKind::FileSha256, IndicatorAction::Block, vec![Sensor, Gateway, Alert]),
        (IndicatorKind::FileSha1, IndicatorAction::Block, vec![Gateway, Alert]),
        (IndicatorKind::SubjectPattern, IndicatorAction::Warn, vec![Gateway, Alert]),
        (IndicatorKind::Domain, IndicatorAction::Audit, vec![Alert]),
        (IndicatorKind::CertificateSha256, IndicatorAction::Block, vec![]),
    ] {
        let all = hinomi_detect::effects(kind, action);
        assert_eq!(all.len(), 3);
        assert!(all.iter().all(|effect| !effect.text.en.is_empty() && !effect.text.ja.is_empty()), "{all:?}");
        let found: Vec<_> = all.iter().filter(|effect| effect.enforced).map(|effect| effect.place).collect();
        assert_eq!(found, enforced, "{kind:?} {action:?}");
        let told = all.iter().filter(|effect| !effect.enforced && kind == IndicatorKind::CertificateSha256);
        assert!(told.into_iter().all(|effect| effect.text.en.starts_with("Not enforced here")));
    }
}
