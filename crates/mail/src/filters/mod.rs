//! Verdicts of filters a site already has, read from the headers they write.
//!
//! Anybody can write such headers into a mail. Three things must be right before one is believed:
//!
//! 1. The filter is configured ([`TrustedFilter`]).
//! 2. The mail really came through it: the address that handed the mail to our own servers is one of
//!    the filter's, or the filter runs inside our mail server (no addresses configured).
//! 3. The field stands above the `Received` line the filter wrote, where a sender cannot write; or
//!    the filter is known to take forged fields off ([`TrustedFilter::removes_forged`]).
//!
//! An `Authentication-Results` field must also carry one of the filter's own identifiers (RFC 8601 5).

mod headers;
mod hops;
mod read;

pub use headers::{Field, fields, is_bulk, section};
pub use hops::{Hop, hops};

use hinomi_model::{AuthResults, FilterVerdict};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// A filter whose headers are believed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedFilter {
    /// What it is called in verdicts.
    pub name: String,
    /// Addresses or networks (`192.0.2.10`, `192.0.2.0/24`) it hands mail in from; empty = it runs
    /// inside our own mail server.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// Names it calls itself in `Received: … by NAME`.
    #[serde(default)]
    pub received_by: Vec<String>,
    /// Identifiers of its `Authentication-Results`.
    #[serde(default)]
    pub authserv_ids: Vec<String>,
    /// It takes these fields off incoming mail before it writes its own, so their place says nothing.
    #[serde(default)]
    pub removes_forged: bool,
}

/// Who handed a mail to our own servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handed<'a> {
    /// The gateway knows the address; `None` for mail made on the same machine.
    Known(Option<IpAddr>),
    /// The mail was read later: our own servers wrote it into their `Received` lines; their names.
    Written(&'a [String]),
}

/// What the believed headers say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// Verdicts, one per filter and header family.
    pub verdicts: Vec<FilterVerdict>,
    /// Sender authentication as the topmost believed field tells it.
    pub auth: Option<AuthResults>,
    /// Header fields of filters that were not believed.
    pub ignored: usize,
}

/// Reads what the configured filters say of a mail.
pub fn said(fields: &[Field], handed: Handed<'_>, filters: &[TrustedFilter]) -> Said {
    let mut said = Said::default();
    let speaking = fields.iter().filter(|field| read::speaks(&field.name)).count();
    if speaking == 0 {
        return said;
    }
    let (address, below) = handed_in(fields, handed);
    let mut believed = 0;
    for filter in filters {
        let inside = filter.addresses.is_empty();
        if !inside && !address.is_some_and(|address| filter.addresses.iter().any(|net| holds(net, address))) {
            continue;
        }
        let end = if filter.removes_forged { fields.len() } else { own_part(fields, below, filter, inside) };
        let own: Vec<&Field> = fields[..end].iter().filter(|field| read::speaks(&field.name)).collect();
        believed += read::read(&own, filter, &mut said);
    }
    said.ignored = speaking.saturating_sub(believed);
    said
}

/// The address that handed a mail to the organisation's own servers, as they wrote it down.
pub fn handed_in_by(fields: &[Field], own_servers: &[String]) -> Option<IpAddr> {
    handed_in(fields, Handed::Written(own_servers)).0
}

/// The address that handed the mail to our servers, and where the fields below our servers' own begin.
fn handed_in(fields: &[Field], handed: Handed<'_>) -> (Option<IpAddr>, usize) {
    let own = match handed {
        // the mail server asks its milters before its own Received line stands
        Handed::Known(address) => return (address, 0),
        Handed::Written(own) => own,
    };
    let mut last = None;
    for (at, field) in fields.iter().enumerate().filter(|(_, field)| field.name == "received") {
        if !by(&field.value).is_some_and(|name| own.iter().any(|known| known.eq_ignore_ascii_case(name))) {
            break;
        }
        last = Some((at, from_address(&field.value)));
    }
    last.map_or((None, 0), |(at, address)| (address, at + 1))
}

/// End of the part of the header where only the filter and servers behind it write: its own topmost
/// `Received` line, which must be the next one below our own.
fn own_part(fields: &[Field], below: usize, filter: &TrustedFilter, inside: bool) -> usize {
    let next = fields.iter().enumerate().skip(below).find(|(_, field)| field.name == "received");
    match next {
        Some((at, field)) if by(&field.value).is_some_and(|name| is_named(&filter.received_by, name)) => at,
        // a filter inside our server writes above the server's own line, or nobody can tell
        _ if inside => below.saturating_sub(1),
        _ => 0,
    }
}

fn is_named(names: &[String], name: &str) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// The server that wrote a `Received` line.
fn by(value: &str) -> Option<&str> {
    let mut words = value.split_whitespace();
    words.find(|word| word.eq_ignore_ascii_case("by"))?;
    words.next().map(|name| name.trim_end_matches([';', '.']))
}

/// The address a `Received` line says the mail came from: the one in brackets before `by`, which the
/// receiving server saw itself.
fn from_address(value: &str) -> Option<IpAddr> {
    let end = value.to_ascii_lowercase().find(" by ").unwrap_or(value.len());
    let text = value.get(..end)?;
    let open = text.rfind('[')?;
    let inner = text[open + 1..].split(']').next()?;
    let lower = inner.to_ascii_lowercase();
    let address = lower.strip_prefix("ipv6:").unwrap_or(&lower);
    address.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// True when a network (`address` or `address/bits`) holds an address.
fn holds(network: &str, address: IpAddr) -> bool {
    let (base, bits) = match network.split_once('/') {
        Some((base, bits)) => (base, bits.parse::<u32>().ok()),
        None => (network, Some(128)),
    };
    let (Ok(base), Some(bits)) = (base.trim().parse::<IpAddr>(), bits) else { return false };
    match (base.to_canonical(), address.to_canonical()) {
        (IpAddr::V4(base), IpAddr::V4(address)) => {
            let bits = bits.min(32);
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            base.to_bits() & mask == address.to_bits() & mask
        }
        (IpAddr::V6(base), IpAddr::V6(address)) => {
            let mask = u128::MAX.checked_shl(128 - bits.min(128)).unwrap_or(0);
            base.to_bits() & mask == address.to_bits() & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hinomi_model::{ThreatType, Verdict};

    fn filter() -> TrustedFilter {
        TrustedFilter {
            name: "front".to_owned(),
            addresses: vec!["192.0.2.0/24".to_owned()],
            received_by: vec!["filter.example.jp".to_owned()],
            authserv_ids: vec!["filter.example.jp".to_owned()],
            removes_forged: false,
        }
    }

    fn of(raw: &str, handed: Handed<'_>, filter: TrustedFilter) -> Said {
        said(&fields(raw.as_bytes()), handed, &[filter])
    }

    const THROUGH: &str = "X-Spam-Flag: YES\r\nX-Spam-Status: Yes, score=12.5 required=5.0 tests=A,B\r\n\
        Authentication-Results: filter.example.jp; spf=fail smtp.mailfrom=a.example; dkim=none; dmarc=fail\r\n\
        Received: from evil.example (evil.example [203.0.113.9]) by filter.example.jp; Sun, 22 Nov 2026 00:00:00 +0000\r\n\
        X-Rspamd-Action: no action\r\nAuthentication-Results: filter.example.jp; spf=pass; dmarc=pass\r\nSubject: x\r\n\r\n";
    const FILTER: Handed<'static> = Handed::Known(Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 10))));

    #[test]
    fn what_the_filter_wrote_is_believed_and_what_the_sender_wrote_is_not() {
        let said = of(THROUGH, FILTER, filter());
        assert_eq!(said.verdicts.len(), 1, "{said:?}");
        let verdict = &said.verdicts[0];
        assert_eq!((verdict.verdict, verdict.threat), (Verdict::Suspicious, Some(ThreatType::Spam)));
        assert!(verdict.reason.contains("score=12.5"), "{verdict:?}");
        let auth = said.auth.expect("authentication");
        assert_eq!((auth.spf.as_str(), auth.dkim.as_str(), auth.dmarc.as_str()), ("fail", "none", "fail"));
        assert_eq!(said.ignored, 2);
    }

    #[test]
    fn a_mail_that_did_not_come_through_the_filter_says_nothing() {
        for handed in [Handed::Known(Some("203.0.113.9".parse().expect("address"))), Handed::Known(None)] {
            assert_eq!(of(THROUGH, handed, filter()), Said { ignored: 5, ..Said::default() });
        }
        let unknown = TrustedFilter { received_by: vec!["other.example".to_owned()], ..filter() };
        assert_eq!(of(THROUGH, FILTER, unknown).verdicts, []);
        let strips = TrustedFilter { removes_forged: true, addresses: Vec::new(), ..filter() };
        assert_eq!(of("X-Rspamd-Action: reject\r\n\r\n", Handed::Known(None), strips).verdicts.len(), 1);
        let inside = TrustedFilter { addresses: Vec::new(), ..filter() };
        assert_eq!(of("X-Rspamd-Action: reject\r\n\r\n", Handed::Known(None), inside).verdicts, []);
    }

    #[test]
    fn a_mail_read_later_shows_who_handed_it_in() {
        let own = ["mx.example.jp".to_owned()];
        let stored = |address: &str| {
            format!(
                "Return-Path: <a@a.example>\r\nReceived: from filter (filter.example.jp [{address}])\r\n by mx.example.jp \
                 (Postfix) with ESMTP id 1; Sun, 22 Nov 2026 00:00:00 +0000\r\n{THROUGH}"
            )
        };
        assert_eq!(of(&stored("192.0.2.10"), Handed::Written(&own), filter()).verdicts.len(), 1);
        assert_eq!(of(&stored("IPv6:::ffff:192.0.2.10"), Handed::Written(&own), filter()).verdicts.len(), 1);
        assert_eq!(of(&stored("203.0.113.9"), Handed::Written(&own), filter()).verdicts, []);
        assert_eq!(of(&stored("192.0.2.10"), Handed::Written(&[]), filter()).verdicts, []);
    }

    #[test]
    fn exchange_and_rspamd_fields() {
        let with = |text: &str| {
            let filter = TrustedFilter { removes_forged: true, addresses: Vec::new(), ..filter() };
            of(&format!("{text}\r\n\r\n"), Handed::Known(None), filter).verdicts
        };
        let phish = with("X-Forefront-Antispam-Report: CIP:203.0.113.9;CTRY:;LANG:en;SCL:8;SFV:SPM;CAT:HPHSH;DIR:INB;");
        assert_eq!((phish[0].verdict, phish[0].threat), (Verdict::Malicious, Some(ThreatType::Phish)));
        let malware = with("X-Forefront-Antispam-Report: SCL:9;CAT:MALW;");
        assert_eq!(malware[0].threat, Some(ThreatType::Malware));
        assert_eq!(with("X-Forefront-Antispam-Report: SCL:1;SFV:NSPM;CAT:NONE;")[0].verdict, Verdict::NoThreatsFound);
        let virus = with("X-Spamd-Result: default: True [25.00 / 15.00]; CLAM_VIRUS(0.00)[Eicar]; PHISHING(1.0)[]");
        assert_eq!((virus[0].verdict, virus[0].threat), (Verdict::Malicious, Some(ThreatType::Malware)));
        assert_eq!(with("X-Rspamd-Action: add header\r\nX-Rspamd-Score: 7.1")[0].verdict, Verdict::Suspicious);
        assert_eq!(with("X-Spam-Status: No, score=-1.9 required=5.0")[0].verdict, Verdict::NoThreatsFound);
    }

    #[test]
    fn hostile_headers_are_only_odd() {
        let endless = format!("X-Spam-Status: {}\r\n", "a".repeat(1 << 20));
        for raw in ["", ":", "\r\n", "Received: by\r\n\r\n", "Received: from [ by \r\nX-Spam-Flag:\r\n\r\n", &endless] {
            let _ = of(raw, FILTER, filter());
        }
        assert!(!holds("nonsense/99999", "192.0.2.1".parse().expect("address")));
        assert!(holds("0.0.0.0/0", "192.0.2.1".parse().expect("address")));
    }
}
