//! What an indicator must not block: our own mail, our own network, whole top-level domains.

use hinomi_detect::PATTERNS_MAX;
use hinomi_detect::indicator_list::sound;
use hinomi_model::{EntityKey, IndicatorKind, IndicatorScope, IndicatorSpec, SCOPE_ENTRIES_MAX, Sighting, Text};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Shortest prefix of a network that may be blocked, IPv4 and IPv6: wider ones hold whole countries.
const PREFIX_MIN: (u32, u32) = (8, 19);

/// Says why an indicator must not be put in force; `None` when it may.
pub(crate) fn refusal(spec: &IndicatorSpec, own_domains: &[String]) -> Option<Text> {
    if !spec.action.blocks() {
        return None;
    }
    match spec.kind {
        IndicatorKind::SenderDomain | IndicatorKind::Domain => domain(&spec.value, own_domains),
        IndicatorKind::Url => {
            let host = url::Url::parse(&spec.value).ok().and_then(|url| url.host_str().map(str::to_owned))?;
            match host.trim_matches(['[', ']']).parse::<IpAddr>() {
                Ok(address) => private(address, 128),
                Err(_) => own(&host, own_domains),
            }
        }
        IndicatorKind::Ip => private(spec.value.parse().ok()?, 128),
        IndicatorKind::Cidr => {
            let (address, prefix) = spec.value.split_once('/')?;
            private(address.parse().ok()?, prefix.parse().ok()?)
        }
        IndicatorKind::SenderAddress
        | IndicatorKind::FileSha256
        | IndicatorKind::FileSha1
        | IndicatorKind::FileMd5
        | IndicatorKind::CertificateSha256
        | IndicatorKind::SubjectPattern => None,
    }
}

/// Says why there cannot be so many patterns of subjects.
pub(crate) fn patterns(count: usize) -> Option<Text> {
    (count > PATTERNS_MAX).then(|| {
        Text::new(
            format!("there are {PATTERNS_MAX} subject patterns already"),
            format!("件名のパターンが上限の {PATTERNS_MAX} 件に達しています"),
        )
    })
}

/// Says why a scope cannot be meant.
pub(crate) fn scope(scope: &IndicatorScope) -> Option<Text> {
    if scope.device_tags.len() > SCOPE_ENTRIES_MAX || scope.mail_domains.len() > SCOPE_ENTRIES_MAX {
        return Some(Text::new("more than 50 tags or domains", "タグまたはドメインが 50 個を超えています"));
    }
    if scope.device_tags.iter().any(|tag| tag.trim().is_empty() || tag.chars().count() > 64) {
        return Some(Text::new("a tag has 1 to 64 characters", "タグは 1〜64 文字です"));
    }
    let is_name = |domain: &String| {
        *domain == domain.to_lowercase() && sound(IndicatorKind::Domain, domain).is_ok_and(|same| same == *domain)
    };
    (!scope.mail_domains.iter().all(is_name)).then(|| {
        Text::new("a mail domain is a name in lower case", "メールのドメインは小文字のドメイン名で指定してください")
    })
}

/// Devices with a file among those of their system from which on it cannot be blocked …
const SYSTEM_DEVICES_MIN: usize = 3;

/// Says why a file must not be blocked that devices have among the files of their system. One device's
/// word does not make a file of the system: an attacker's file may lie there too.
pub(crate) fn system_file(seen: &[Sighting]) -> Option<Text> {
    let own = |sighting: &&Sighting| hinomi_cases::is_system_path(&sighting.name);
    let devices: BTreeSet<&EntityKey> = seen.iter().filter(own).map(|sighting| &sighting.entity).collect();
    let count = devices.len();
    (count >= SYSTEM_DEVICES_MIN).then(|| {
        Text::new(
            format!("{count} devices have it among the files of their system"),
            format!("{count} 台のデバイスでシステムのファイルとして入っています"),
        )
    })
}

fn domain(name: &str, own_domains: &[String]) -> Option<Text> {
    let name = name.trim_end_matches('.').to_lowercase();
    if psl::suffix_str(&name).is_some_and(|suffix| suffix == name) {
        return Some(Text::new(
            "everybody's domain: it is a public suffix",
            "公開サフィックスのため、範囲が広すぎます",
        ));
    }
    // a parent of one of ours would block ours too
    let above = own_domains.iter().any(|own| own.to_lowercase().ends_with(&format!(".{name}")));
    if above {
        return Some(Text::new("one of our own domains is below it", "自組織のドメインを含んでいます"));
    }
    own(&name, own_domains)
}

fn own(host: &str, own_domains: &[String]) -> Option<Text> {
    let host = host.to_lowercase();
    let ours = own_domains.iter().map(|own| own.to_lowercase());
    ours.into_iter()
        .any(|own| host == own || host.ends_with(&format!(".{own}")))
        .then(|| Text::new("it is one of our own domains", "自組織のドメインです"))
}

fn private(address: IpAddr, prefix: u32) -> Option<Text> {
    let (wide, inside) = match address.to_canonical() {
        IpAddr::V4(v4) => (
            prefix < PREFIX_MIN.0,
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || v4.is_broadcast(),
        ),
        IpAddr::V6(v6) => (
            prefix < PREFIX_MIN.1,
            v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local(),
        ),
    };
    if inside {
        return Some(Text::new("it is a private address", "プライベートアドレスです"));
    }
    wide.then(|| Text::new("the network is too wide to be blocked", "ネットワークの範囲が広すぎます"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hinomi_model::{IndicatorAction, Severity};

    #[test]
    fn what_is_ours_stays_open() {
        use IndicatorKind::{Cidr, Domain, FileSha256, Ip, SenderAddress, SenderDomain, Url};
        let own_domains = ["corp.example.co.jp".to_owned()];
        for (kind, value, refused) in [
            (Domain, "corp.example.co.jp", true),
            (SenderDomain, "Corp.Example.co.jp.", true),
            (Domain, "mail.corp.example.co.jp", true),
            (Domain, "example.co.jp", true),
            (Domain, "co.jp", true),
            (Domain, "notcorp.example.com", false),
            (Url, "https://corp.example.co.jp/x", true),
            (Url, "http://127.0.0.1/x", true),
            (Url, "http://attacker.test/corp.example.co.jp", false),
            (Ip, "10.1.2.3", true),
            (Ip, "::ffff:192.168.1.1", true),
            (Ip, "fe80::1", true),
            (Ip, "198.51.100.7", false),
            (Cidr, "172.16.0.0/12", true),
            (Cidr, "64.0.0.0/6", true),
            (Cidr, "198.51.100.0/24", false),
            (SenderAddress, "boss@corp.example.co.jp", false),
            (FileSha256, "00", false),
        ] {
            let spec = |action| IndicatorSpec {
                kind,
                value: value.to_owned(),
                action,
                severity: Severity::High,
                note: String::new(),
                expires_at: None,
                scope: IndicatorScope::default(),
            };
            assert_eq!(refusal(&spec(IndicatorAction::Block), &own_domains).is_some(), refused, "{kind:?} {value}");
            assert_eq!(refusal(&spec(IndicatorAction::Audit), &own_domains), None, "{value}");
        }
    }
}
