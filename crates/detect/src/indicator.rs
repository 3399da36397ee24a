//! Indicators: values an administrator allows, audits or blocks, looked up in events.

use crate::cidr::Cidr;
use crate::content;
use hinomi_model::{
    ConsideredIndicator, Detection, DetectionSource, DetectionStatus, Event, Indicator, IndicatorAction, IndicatorId,
    IndicatorKind, IndicatorPlace, IndicatorWhy, MatchedField, Severity, Table, Text, Timestamp,
};
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

/// Most parent domains looked at for one name; DNS allows 127 labels.
const LABELS_MAX: usize = 127;

/// Indicators in force, indexed by kind and value.
///
/// For each observed value the strongest indicator decides: allow beats block beats audit. An
/// allowed value says nothing about other values of the same event.
#[derive(Debug, Default, Clone)]
pub struct IndicatorSet {
    by_value: HashMap<IndicatorKind, HashMap<String, Vec<Entry>>>,
    /// Prefix lengths of the networks in the set: true is IPv6.
    prefixes: BTreeSet<(bool, u32)>,
}

#[derive(Debug, Clone)]
struct Entry {
    id: IndicatorId,
    action: IndicatorAction,
    severity: Severity,
    note: String,
    expires_at: Option<Timestamp>,
}

/// The indicator that decides about one observed value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The indicator.
    pub id: IndicatorId,
    /// Its kind.
    pub kind: IndicatorKind,
    /// Its value.
    pub value: String,
    /// What it asks for.
    pub action: IndicatorAction,
    /// Severity of an alert.
    pub severity: Severity,
    /// Why it is there (untrusted text of a person).
    pub note: String,
}

impl IndicatorSet {
    /// Builds the set.
    pub fn new(indicators: &[Indicator]) -> Self {
        let mut set = IndicatorSet::default();
        for indicator in indicators {
            let spec = &indicator.spec;
            let entry = Entry {
                id: indicator.id,
                action: spec.action,
                severity: spec.severity,
                note: spec.note.clone(),
                expires_at: spec.expires_at,
            };
            let value = normal(spec.kind, &spec.value);
            if let Some(network) = Cidr::parse(&value).filter(|_| spec.kind == IndicatorKind::Cidr) {
                set.prefixes.insert(network.prefix());
            }
            set.by_value.entry(spec.kind).or_default().entry(value).or_default().push(entry);
        }
        set
    }

    /// True when no indicator is in the set.
    pub fn is_empty(&self) -> bool {
        self.by_value.is_empty()
    }

    /// Returns the indicator that decides about a file.
    pub fn file(&self, sha256: &str, at: Timestamp) -> Option<Hit> {
        self.has(IndicatorKind::FileSha256)?;
        self.decide(&[(IndicatorKind::FileSha256, normal(IndicatorKind::FileSha256, sha256))], at)
    }

    /// Returns the indicator that decides about a sender: its address, its domain or a parent domain.
    pub fn sender(&self, address: &str, at: Timestamp) -> Option<Hit> {
        self.has(IndicatorKind::SenderAddress).or(self.has(IndicatorKind::SenderDomain))?;
        let address = normal(IndicatorKind::SenderAddress, address);
        let domain = address.rsplit_once('@').map(|(_, domain)| domain.to_owned()).unwrap_or_default();
        let mut keys = vec![(IndicatorKind::SenderAddress, address)];
        keys.extend(parents(&domain).map(|name| (IndicatorKind::SenderDomain, name.to_owned())));
        self.decide(&keys, at)
    }

    /// Returns the indicator that decides about a URL: itself, its host or a parent domain.
    pub fn url(&self, url: &str, at: Timestamp) -> Option<Hit> {
        let host = host_of(url).map(|host| normal(IndicatorKind::Domain, host)).unwrap_or_default();
        let mut keys = vec![(IndicatorKind::Url, normal(IndicatorKind::Url, url))];
        keys.extend(parents(&host).map(|name| (IndicatorKind::Domain, name.to_owned())));
        if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
            keys.extend(self.address_keys(&canonical(address)));
        }
        self.decide(&keys, at)
    }

    /// Returns the indicator that decides about a domain name or one of its parents.
    pub fn domain(&self, name: &str, at: Timestamp) -> Option<Hit> {
        self.has(IndicatorKind::Domain)?;
        let name = normal(IndicatorKind::Domain, name);
        let keys: Vec<_> = parents(&name).map(|name| (IndicatorKind::Domain, name.to_owned())).collect();
        self.decide(&keys, at)
    }

    /// Returns the indicator that decides about an address.
    pub fn ip(&self, address: &str, at: Timestamp) -> Option<Hit> {
        self.has(IndicatorKind::Ip).or(self.has(IndicatorKind::Cidr))?;
        self.decide(&self.address_keys(address), at)
    }

    /// The address itself and every network of the set it may be in, the narrowest first.
    fn address_keys(&self, address: &str) -> Vec<(IndicatorKind, String)> {
        let mut keys = vec![(IndicatorKind::Ip, normal(IndicatorKind::Ip, address))];
        if let Ok(address) = address.trim().parse::<IpAddr>() {
            let address = address.to_canonical();
            let own = self.prefixes.iter().rev().filter(|(v6, _)| *v6 == address.is_ipv6());
            let networks = own.filter_map(|(_, prefix)| Cidr::around(address, *prefix));
            keys.extend(networks.map(|network| (IndicatorKind::Cidr, network.to_string())));
        }
        keys
    }

    /// Tells every indicator that says something about a value, whatever kind of value it is, what
    /// decides first. `own` turns the value into what it is compared as.
    pub fn why(&self, value: &str, at: Timestamp) -> IndicatorWhy {
        let written = crate::indicator_list::refang(value.trim());
        let mut keys: Vec<(IndicatorKind, String)> = Vec::new();
        for kind in [IndicatorKind::FileSha256, IndicatorKind::FileSha1, IndicatorKind::FileMd5] {
            keys.push((kind, normal(kind, &written)));
        }
        keys.extend(self.address_keys(&written));
        let mut names = |name: &str, kinds: &[IndicatorKind]| {
            let name = normal(IndicatorKind::Domain, name);
            for kind in kinds {
                keys.extend(parents(&name).map(|name| (*kind, name.to_owned())));
            }
        };
        match (host_of(&written), written.rsplit_once('@')) {
            (Some(host), _) => names(host, &[IndicatorKind::Domain]),
            (None, Some((_, domain))) => names(domain, &[IndicatorKind::SenderDomain]),
            (None, None) => names(&written, &[IndicatorKind::Domain, IndicatorKind::SenderDomain]),
        }
        if let Some(host) = host_of(&written) {
            keys.push((IndicatorKind::Url, normal(IndicatorKind::Url, &written)));
            keys.extend(self.address_keys(host.trim_matches(['[', ']'])));
        }
        keys.push((IndicatorKind::SenderAddress, normal(IndicatorKind::SenderAddress, &written)));
        let mut found: Vec<(&Entry, &(IndicatorKind, String))> = Vec::new();
        for key in &keys {
            let entries = self.by_value.get(&key.0).and_then(|values| values.get(&key.1));
            found.extend(entries.into_iter().flatten().map(|entry| (entry, key)));
        }
        let ended = |entry: &Entry| entry.expires_at.is_some_and(|end| end <= at);
        // stable: among equals the first key, the most exact one, decides, as in `decide`
        found.sort_by_key(|(entry, _)| (ended(entry), std::cmp::Reverse(rank(entry.action))));
        let decided = found.first().filter(|(entry, _)| !ended(entry)).map(|(entry, _)| (entry.id, entry.action));
        let considered = found.iter().map(|(entry, (kind, value))| {
            let key = match decided {
                _ if ended(entry) => "why.ended",
                Some((id, _)) if id == entry.id => "why.decides",
                Some((_, action)) if action == entry.action => "why.exact",
                _ => "why.weaker",
            };
            ConsideredIndicator {
                id: entry.id,
                kind: *kind,
                value: value.clone(),
                action: entry.action,
                reason: content::text(&format!("indicator.{key}")),
                enforced_by: places(*kind, entry.action),
            }
        });
        IndicatorWhy { value: written.clone(), decided_by: decided.map(|(id, _)| id), considered: considered.collect() }
    }

    /// Looks up every value of the event. Allowed values are left out.
    pub fn hits(&self, event: &Event) -> Vec<(Hit, MatchedField)> {
        if self.is_empty() {
            return Vec::new();
        }
        let mut hits: Vec<(Hit, MatchedField)> = Vec::new();
        let mut look = |field: &str, value: &str, hit: Option<Hit>| {
            let Some(hit) = hit.filter(|hit| hit.action != IndicatorAction::Allow) else { return };
            if hits.iter().all(|(known, _)| known.id != hit.id) {
                let pattern = format!("{}: {}", hit.kind.word(), hit.value);
                let matched = MatchedField { field: field.to_owned(), value: value.to_owned(), pattern };
                hits.push((hit, matched));
            }
        };
        let at = event.timestamp;
        for field in ["SHA256", "InitiatingProcessSHA256"] {
            if let Some(value) = event.str(field) {
                look(field, value, self.file(value, at));
            }
        }
        for (field, kind) in [
            ("SHA1", IndicatorKind::FileSha1),
            ("InitiatingProcessSHA1", IndicatorKind::FileSha1),
            ("MD5", IndicatorKind::FileMd5),
            ("InitiatingProcessMD5", IndicatorKind::FileMd5),
        ] {
            if let Some(value) = event.str(field).filter(|_| self.has(kind).is_some()) {
                look(field, value, self.decide(&[(kind, normal(kind, value))], at));
            }
        }
        for (name, field) in [
            ("ScriptSHA256", "AdditionalFields.ScriptSHA256"),
            ("ParentSHA256", "AdditionalFields.ParentSHA256"),
            ("IndicatorSha256", "AdditionalFields.IndicatorSha256"),
        ] {
            // most events have no such entry: the JSON is only read when its name occurs in it
            if event.str("AdditionalFields").is_some_and(|json| json.contains(name))
                && let Some(serde_json::Value::String(value)) = event.additional(name)
            {
                look(field, &value, self.file(&value, at));
            }
        }
        for field in ["SenderMailFromAddress", "SenderFromAddress"] {
            if let Some(value) = event.str(field) {
                look(field, value, self.sender(value, at));
            }
        }
        for field in ["Url", "RemoteUrl", "FileOriginUrl"] {
            if let Some(value) = event.str(field) {
                let hit = if value.contains("://") { self.url(value, at) } else { self.domain(value, at) };
                look(field, value, hit);
            }
        }
        if let Some(value) = event.str("UrlDomain") {
            look("UrlDomain", value, self.domain(value, at));
        }
        for field in ["RemoteIP", "SenderIPv4", "SenderIPv6", "IPAddress", "FileOriginIP"] {
            if let Some(value) = event.str(field) {
                look(field, value, self.ip(value, at));
            }
        }
        hits
    }

    /// Looks up every value of the event and returns the indicators seen. Allowed values are left out.
    pub fn matches(&self, event: &Event) -> Vec<(IndicatorId, MatchedField)> {
        self.hits(event).into_iter().map(|(hit, matched)| (hit.id, matched)).collect()
    }

    /// Looks up every value of the event and returns one detection per indicator seen.
    pub fn detections(&self, event: &Event) -> Vec<Detection> {
        self.hits(event).into_iter().map(|(hit, matched)| detection(hit, matched, event)).collect()
    }

    /// `None` when there is no indicator of the kind at all: then nothing needs to be normalised.
    fn has(&self, kind: IndicatorKind) -> Option<()> {
        self.by_value.contains_key(&kind).then_some(())
    }

    fn decide(&self, keys: &[(IndicatorKind, String)], at: Timestamp) -> Option<Hit> {
        let mut best: Option<Hit> = None;
        for (kind, value) in keys {
            let Some(entries) = self.by_value.get(kind).and_then(|values| values.get(value)) else { continue };
            for entry in entries {
                let expired = entry.expires_at.is_some_and(|end| end <= at);
                if expired || best.as_ref().is_some_and(|best| rank(best.action) >= rank(entry.action)) {
                    continue;
                }
                best = Some(Hit {
                    id: entry.id,
                    kind: *kind,
                    value: value.clone(),
                    action: entry.action,
                    severity: entry.severity,
                    note: entry.note.clone(),
                });
            }
        }
        best
    }
}

fn is_file(kind: IndicatorKind) -> bool {
    matches!(kind, IndicatorKind::FileSha256 | IndicatorKind::FileSha1 | IndicatorKind::FileMd5)
}

/// Where an indicator takes effect: sensors refuse files by SHA-256, the gateway looks at files,
/// senders and links; the rest is noticed in what is told.
fn places(kind: IndicatorKind, action: IndicatorAction) -> Vec<IndicatorPlace> {
    let blocks = action == IndicatorAction::Block;
    let mut places = Vec::new();
    if blocks && kind == IndicatorKind::FileSha256 {
        places.push(IndicatorPlace::Sensor);
    }
    if blocks && !matches!(kind, IndicatorKind::FileSha1 | IndicatorKind::FileMd5) {
        places.push(IndicatorPlace::Gateway);
    }
    if action != IndicatorAction::Allow {
        places.push(IndicatorPlace::Alert);
    }
    places
}

/// Allow beats block beats audit, as in the reference.
fn rank(action: IndicatorAction) -> u8 {
    match action {
        IndicatorAction::Audit => 1,
        IndicatorAction::Block => 2,
        IndicatorAction::Allow => 3,
    }
}

pub(crate) fn normal(kind: IndicatorKind, value: &str) -> String {
    let value = value.trim();
    match kind {
        IndicatorKind::FileSha256 | IndicatorKind::FileSha1 | IndicatorKind::FileMd5 => value.to_ascii_lowercase(),
        IndicatorKind::Cidr => Cidr::parse(value).map_or_else(|| value.to_lowercase(), |network| network.to_string()),
        IndicatorKind::SenderAddress => value.trim_matches(['<', '>']).to_lowercase(),
        IndicatorKind::SenderDomain | IndicatorKind::Domain => value.trim_end_matches('.').to_lowercase(),
        IndicatorKind::Ip => value.parse::<IpAddr>().map_or_else(|_| value.to_lowercase(), canonical),
        IndicatorKind::Url => match value.split_once("://") {
            // scheme and host do not depend on case, the rest does
            Some((scheme, rest)) => {
                let cut = rest.find(['/', '?', '#']).unwrap_or(rest.len());
                let (host, path) = rest.split_at(cut);
                let path = if path.is_empty() { "/" } else { path };
                format!("{}://{}{path}", scheme.to_lowercase(), host.to_lowercase())
            }
            None => value.to_owned(),
        },
    }
}

fn canonical(address: IpAddr) -> String {
    address.to_canonical().to_string()
}

/// The name and its parents: `a.b.example`, `b.example`, `example`.
fn parents(name: &str) -> impl Iterator<Item = &str> {
    let first = (!name.is_empty()).then_some(name);
    std::iter::successors(first, |name| name.split_once('.').map(|(_, parent)| parent).filter(|name| !name.is_empty()))
        .take(LABELS_MAX)
}

fn host_of(url: &str) -> Option<&str> {
    let rest = url.split_once("://").map(|(_, rest)| rest)?;
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if host.starts_with('[') {
        return host.split_once(']').map(|(address, _)| &address[1..]);
    }
    Some(host.split_once(':').map_or(host, |(name, _)| name))
}

fn detection(hit: Hit, matched: MatchedField, event: &Event) -> Detection {
    let kind = match hit.kind {
        IndicatorKind::FileSha256 | IndicatorKind::FileSha1 | IndicatorKind::FileMd5 => "file",
        IndicatorKind::SenderAddress | IndicatorKind::SenderDomain => "sender",
        IndicatorKind::Url | IndicatorKind::Domain => "url",
        IndicatorKind::Ip | IndicatorKind::Cidr => "ip",
    };
    let text = |key: &str| content::text(&format!("indicator.{key}"));
    let value = |text: Text| Text::new(text.en.replace("{value}", &hit.value), text.ja.replace("{value}", &hit.value));
    let mail = matches!(
        event.table,
        Table::EmailEvents | Table::EmailAttachmentInfo | Table::EmailUrlInfo | Table::EmailPostDeliveryEvents
    );
    let (tactic, technique) = match (mail, hit.kind) {
        (true, kind) if is_file(kind) => ("initial-access", "T1566.001"),
        (true, IndicatorKind::Url | IndicatorKind::Domain) => ("initial-access", "T1566.002"),
        (true, _) => ("initial-access", "T1566"),
        (false, kind) if is_file(kind) => ("execution", "T1204.002"),
        (false, _) => ("command-and-control", "T1071"),
    };
    Detection {
        rule_id: format!("indicator:{}", hit.id),
        title: text(&format!("{kind}.title")),
        description: value(text(&format!("{kind}.description"))),
        next_steps: vec![text(&format!("{kind}.next")), text("next.review")],
        severity: hit.severity,
        techniques: vec![technique.to_owned()],
        tactics: vec![tactic.to_owned()],
        source: DetectionSource::CustomTi,
        status: status_of(event),
        event: event.clone(),
        matched: vec![matched],
    }
}

/// What became of it, as the event itself tells.
pub(crate) fn status_of(event: &Event) -> DetectionStatus {
    match event.table {
        Table::EmailEvents if event.str("DeliveryAction") == Some("Blocked") => DetectionStatus::Prevented,
        Table::DeviceEvents => match event.additional("DetectionStatus").as_ref().and_then(|status| status.as_str()) {
            Some(status) => status.parse().unwrap_or(DetectionStatus::Detected),
            None => DetectionStatus::Detected,
        },
        _ => DetectionStatus::Detected,
    }
}
