//! Lists of indicators as others write them.

use hinomi_detect::indicator_list::{Defaults, IndicatorList, read};
use hinomi_model::{IndicatorAction, IndicatorFormat, IndicatorKind, Severity, Timestamp};

fn defaults() -> Defaults {
    Defaults {
        action: IndicatorAction::Block,
        severity: Severity::High,
        note: "list".to_owned(),
        expires_at: None,
        scope: Default::default(),
    }
}

fn list(text: &str) -> IndicatorList {
    read(text, IndicatorFormat::Auto, &defaults()).expect("reads")
}

fn values(list: &IndicatorList) -> Vec<(IndicatorKind, &str)> {
    list.entries.iter().map(|spec| (spec.kind, spec.value.as_str())).collect()
}

#[test]
fn one_value_a_line() {
    let hash = "A".repeat(64);
    let text = format!(
        "# a feed\n{hash}\nhxxps://pay[.]attacker[.]test/Now\n\nattacker[.]test\n198.51.100.7\n203.0.113.0/24\n\
         someone@attacker.test\nATTACKER.test\nnonsense\n10.0.0.0/33\n"
    );
    let list = list(&text);
    assert_eq!(list.format, IndicatorFormat::Csv);
    assert_eq!(
        values(&list),
        [
            (IndicatorKind::FileSha256, hash.to_lowercase().as_str()),
            (IndicatorKind::Url, "https://pay.attacker.test/Now"),
            (IndicatorKind::Domain, "attacker.test"),
            (IndicatorKind::Ip, "198.51.100.7"),
            (IndicatorKind::Cidr, "203.0.113.0/24"),
            (IndicatorKind::SenderAddress, "someone@attacker.test"),
        ]
    );
    assert_eq!(list.refused_count, 2);
    assert_eq!(list.refused[0].place, "line 10");
    assert_eq!(list.refused[0].value, "nonsense");
}

#[test]
fn a_table_says_more() {
    let text = "IndicatorType,IndicatorValue,ExpirationTime,Action,Severity,Title\n\
                FileMd5,d41d8cd98f00b204e9800998ecf8427e,2027-01-01,Audit,Low,\"empty, or so\"\n\
                DomainName,a.attacker.test,,Allowed,Informational,ours\n\
                CertificateThumbprint,00,,Block,High,x\n\
                IpAddress,192.0.2.0/24,someday,Block,High,x\n\
                IpAddress,,,Block,High,x\n\
                Url,http://b.attacker.test,2027-01-01T10:00:00+09:00,Warn,High,x\n\
                Url,http://c.attacker.test,,Erase,High,x\n";
    let list = list(text);
    assert_eq!(list.entries.len(), 3);
    assert_eq!(list.entries[2].action, IndicatorAction::Warn);
    let first = &list.entries[0];
    assert_eq!(
        (first.kind, first.action, first.severity),
        (IndicatorKind::FileMd5, IndicatorAction::Audit, Severity::Low)
    );
    assert_eq!(first.note, "empty, or so");
    assert_eq!(first.expires_at, Timestamp::parse("2027-01-01T00:00:00Z"));
    assert_eq!(list.entries[1].action, IndicatorAction::Allow);
    let why: Vec<&str> = list.refused.iter().map(|one| one.reason.en.as_str()).collect();
    assert_eq!(
        why,
        [
            "it is not 64 hexadecimal digits",
            "\"someday\" is not a time",
            "there is no value",
            "\"Erase\" is not an action: allow, audit, warn, block or block and remediate",
        ]
    );
    assert!(list.refused.iter().all(|one| one.reason.ja != one.reason.en));
}

#[test]
fn stix_patterns_that_stand_alone() {
    let bundle = serde_json::json!({"type": "bundle", "objects": [
        {"type": "identity", "id": "identity--1", "name": "x"},
        {"type": "indicator", "id": "indicator--1", "name": "loader", "pattern_type": "stix",
         "valid_until": "2027-03-01T00:00:00Z",
         "pattern": format!("[file:hashes.'SHA-256' = '{0}' OR file:hashes.MD5 = '{1}'] OR [domain-name:value = 'c2.attacker.test']",
            "b".repeat(64), "c".repeat(32))},
        {"type": "indicator", "id": "indicator--2", "pattern": "[ipv4-addr:value IN ('192.0.2.1', '192.0.2.2') OR ipv4-addr:value ISSUBSET '198.51.100.0/24']"},
        {"type": "indicator", "id": "indicator--3", "pattern": "[url:value = 'http://x.test/' AND file:name = 'a']"},
        {"type": "indicator", "id": "indicator--4", "pattern": "[url:value = 'http://x.test/'] FOLLOWEDBY [url:value = 'http://y.test/']"},
        {"type": "indicator", "id": "indicator--5", "pattern": "[url:value LIKE 'http://%']"},
        {"type": "indicator", "id": "indicator--6", "pattern": "[process:name = 'a']"},
        {"type": "indicator", "id": "indicator--7", "pattern": "rule x {}", "pattern_type": "yara"},
        {"type": "indicator", "id": "indicator--8", "pattern": "[url:value = 'http://it\\'s.test/']", "revoked": true},
        {"type": "indicator", "id": "indicator--9", "pattern": "[url:value = 'http"},
        {"type": "indicator", "id": "indicator--10", "pattern": "[]"},
    ]});
    let list = list(&bundle.to_string());
    assert_eq!(list.format, IndicatorFormat::Stix);
    let kinds: Vec<IndicatorKind> = list.entries.iter().map(|spec| spec.kind).collect();
    use IndicatorKind::{Cidr, Domain, FileMd5, FileSha256, Ip};
    assert_eq!(kinds, [FileSha256, FileMd5, Domain, Ip, Ip, Cidr]);
    assert!(list.entries[0].expires_at.is_some());
    assert_eq!(list.entries[0].note, "loader");
    assert_eq!(list.refused_count, 8);
    assert!(list.refused[0].reason.en.contains("together"));
    assert!(list.refused[1].reason.en.contains("together"));
}

#[test]
fn misp_attributes_for_detection() {
    let event = serde_json::json!({"Event": {"info": "campaign", "Attribute": [
        {"uuid": "u1", "type": "domain", "value": "attacker.test", "to_ids": true, "comment": "c2"},
        {"uuid": "u2", "type": "domain", "value": "victim.test", "to_ids": false},
        {"uuid": "u3", "type": "ip-dst|port", "value": "198.51.100.9|443", "to_ids": "1"},
        {"uuid": "u4", "type": "mutex", "value": "x", "to_ids": true},
        {"uuid": "u5", "type": "domain", "value": "gone.test", "to_ids": true, "deleted": true},
    ], "Object": [{"Attribute": [
        {"uuid": "u6", "type": "filename|sha256", "value": format!("a.exe|{}", "d".repeat(64)), "to_ids": true},
    ]}]}});
    let list = list(&event.to_string());
    assert_eq!(list.format, IndicatorFormat::Misp);
    assert_eq!(
        values(&list),
        [
            (IndicatorKind::Domain, "attacker.test"),
            (IndicatorKind::Ip, "198.51.100.9"),
            (IndicatorKind::FileSha256, "d".repeat(64).as_str()),
        ]
    );
    assert_eq!(list.entries[0].note, "campaign: c2");
    assert_eq!(list.refused_count, 2);
}

#[test]
fn what_is_no_list_says_so() {
    for (text, format) in [
        ("{", IndicatorFormat::Stix),
        ("{}", IndicatorFormat::Stix),
        ("[]", IndicatorFormat::Misp),
        ("3", IndicatorFormat::Misp),
    ] {
        assert!(read(text, format, &defaults()).is_err(), "{text}");
    }
    assert_eq!(list("").entries, []);
}

proptest::proptest! {
    #[test]
    fn nothing_makes_it_panic(text in "\\PC{0,200}", stix in "[\\[\\]()='a-z:. \\\\ORAND,]{0,60}") {
        for format in [IndicatorFormat::Auto, IndicatorFormat::Csv, IndicatorFormat::Stix, IndicatorFormat::Misp] {
            let _ = read(&text, format, &defaults());
        }
        let bundle = serde_json::json!({"objects": [{"type": "indicator", "pattern": stix}]});
        let _ = read(&bundle.to_string(), IndicatorFormat::Stix, &defaults());
    }
}
