//! Indicators: values an administrator allows, audits or blocks, looked up in events.

mod explain;
mod pattern;

pub use explain::effects;
pub use pattern::PATTERNS_MAX;
pub(crate) use pattern::{LITERALS_MIN, PATTERN_CHARS_MAX, literals};

use crate::cidr::Cidr;
use crate::content;
use hinomi_model::{
    Detection, DetectionSource, DetectionStatus, Event, Indicator, IndicatorAction, IndicatorId, IndicatorKind,
    IndicatorScope, MatchedField, Severity, Table, Text, Timestamp,
};
use pattern::Pattern;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

/// Most parent domains looked at for one name; DNS allows 127 labels.
const LABELS_MAX: usize = 127;
/// No entry.
const NONE: u32 = u32::MAX;

/// Indicators in force, indexed by kind and value.
///
/// For each observed value the strongest indicator decides: allow beats block and remediate beats
/// block beats warn beats audit. An allowed value says nothing about other values of the same event.
#[derive(Debug, Default, Clone)]
pub struct IndicatorSet {
    /// Value → its first entry; a million values are held, so entries lie in one row.
    by_value: HashMap<IndicatorKind, HashMap<Box<str>, u32>>,
    entries: Vec<Entry>,
    /// Notes and scopes are shared by most entries of a list.
    notes: Shared<String>,
    scopes: Shared<IndicatorScope>,
    /// Prefix lengths of the networks in the set: true is IPv6.
    prefixes: BTreeSet<(bool, u32)>,
    subjects: Vec<Pattern>,
    /// Some entry does not count everywhere.
    scoped: bool,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    id: IndicatorId,
    expires_at: Option<Timestamp>,
    note: u32,
    scope: u32,
    /// Next entry of the same value, or [`NONE`].
    next: u32,
    action: IndicatorAction,
    severity: Severity,
}

/// Values held once.
#[derive(Debug, Clone)]
struct Shared<T> {
    values: Vec<T>,
    known: HashMap<T, u32>,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Shared { values: Vec::new(), known: HashMap::new() }
    }
}

impl<T: Clone + Eq + std::hash::Hash> Shared<T> {
    fn place(&mut self, value: &T) -> u32 {
        if let Some(known) = self.known.get(value) {
            return *known;
        }
        let place = u32::try_from(self.values.len()).unwrap_or(NONE);
        self.values.push(value.clone());
        self.known.insert(value.clone(), place);
        place
    }
}

/// Where a value was seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scene<'a> {
    /// Nobody knows: only what counts everywhere counts.
    #[default]
    Anywhere,
    /// On a device with these tags.
    Device(&'a [String]),
    /// In a mail to recipients of these domains, lower case.
    Mail(&'a [String]),
}

/// When and where a value was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct When<'a> {
    /// When.
    pub at: Timestamp,
    /// Where.
    pub scene: Scene<'a>,
}

impl From<Timestamp> for When<'_> {
    fn from(at: Timestamp) -> Self {
        When { at, scene: Scene::Anywhere }
    }
}

impl When<'_> {
    fn is_in(&self, scope: &IndicatorScope) -> bool {
        match self.scene {
            Scene::Anywhere => scope.is_everything(),
            Scene::Device(tags) => scope.has_device(tags),
            Scene::Mail(domains) => scope.has_mail(domains),
        }
    }
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
        indicators.iter().for_each(|indicator| set.add(indicator));
        set
    }

    /// Adds an indicator. Beyond four billion nothing is added.
    pub fn add(&mut self, indicator: &Indicator) {
        let spec = &indicator.spec;
        let value = normal(spec.kind, &spec.value);
        if let Some(network) = Cidr::parse(&value).filter(|_| spec.kind == IndicatorKind::Cidr) {
            self.prefixes.insert(network.prefix());
        }
        let place = u32::try_from(self.entries.len()).unwrap_or(NONE);
        if place == NONE {
            return;
        }
        self.scoped |= !spec.scope.is_everything();
        let known = self.by_value.entry(spec.kind).or_default().entry(value.as_str().into()).or_insert(NONE);
        let (new, next) = (*known == NONE, *known);
        *known = place;
        if new && spec.kind == IndicatorKind::SubjectPattern && self.subjects.len() < PATTERNS_MAX {
            self.subjects.push(Pattern::new(&value));
        }
        self.entries.push(Entry {
            id: indicator.id,
            expires_at: spec.expires_at,
            note: self.notes.place(&spec.note),
            scope: self.scopes.place(&spec.scope),
            next,
            action: spec.action,
            severity: spec.severity,
        });
    }

    /// Takes the indicator of a value out; false, and nothing is changed, when several say something about
    /// it (written in another way).
    pub fn remove(&mut self, kind: IndicatorKind, value: &str) -> bool {
        let value = normal(kind, value);
        if self.entries_of(kind, &value).count() > 1 {
            return false;
        }
        if self.by_value.get_mut(&kind).is_some_and(|values| values.remove(value.as_str()).is_some()) {
            self.subjects.retain(|pattern| kind != IndicatorKind::SubjectPattern || pattern.text() != value);
        }
        true
    }

    /// True when no indicator is in the set.
    pub fn is_empty(&self) -> bool {
        self.by_value.values().all(HashMap::is_empty)
    }

    /// Values in the set.
    pub fn len(&self) -> usize {
        self.by_value.values().map(HashMap::len).sum()
    }

    /// True when some indicator does not count everywhere: where a value was seen matters.
    pub fn is_scoped(&self) -> bool {
        self.scoped
    }

    /// True when an indicator of one of these kinds is in the set.
    pub fn has_any(&self, kinds: &[IndicatorKind]) -> bool {
        kinds.iter().any(|kind| self.has(*kind).is_some())
    }

    /// How many subject patterns there are.
    pub fn patterns(&self) -> usize {
        self.subjects.len()
    }

    /// Returns the indicator that decides about a file by its SHA-256.
    pub fn file<'a>(&self, sha256: &str, when: impl Into<When<'a>>) -> Option<Hit> {
        self.hash(IndicatorKind::FileSha256, sha256, when)
    }

    /// Returns the indicator that decides about a file by one of its hashes.
    pub fn hash<'a>(&self, kind: IndicatorKind, value: &str, when: impl Into<When<'a>>) -> Option<Hit> {
        self.has(kind)?;
        self.decide(&[(kind, normal(kind, value))], when.into())
    }

    /// Returns the indicator that decides about a sender: its address, its domain or a parent domain.
    pub fn sender<'a>(&self, address: &str, when: impl Into<When<'a>>) -> Option<Hit> {
        self.has(IndicatorKind::SenderAddress).or(self.has(IndicatorKind::SenderDomain))?;
        let address = normal(IndicatorKind::SenderAddress, address);
        let domain = address.rsplit_once('@').map(|(_, domain)| domain.to_owned()).unwrap_or_default();
        let mut keys = vec![(IndicatorKind::SenderAddress, address)];
        keys.extend(parents(&domain).map(|name| (IndicatorKind::SenderDomain, name.to_owned())));
        self.decide(&keys, when.into())
    }

    /// Returns the indicator that decides about a subject.
    pub fn subject<'a>(&self, subject: &str, when: impl Into<When<'a>>) -> Option<Hit> {
        if self.subjects.is_empty() {
            return None;
        }
        self.decide(&self.subject_keys(subject), when.into())
    }

    /// Returns the indicator that decides about a URL: itself, its host or a parent domain.
    pub fn url<'a>(&self, url: &str, when: impl Into<When<'a>>) -> Option<Hit> {
        let host = host_of(url).map(|host| normal(IndicatorKind::Domain, host)).unwrap_or_default();
        let mut keys = vec![(IndicatorKind::Url, normal(IndicatorKind::Url, url))];
        keys.extend(parents(&host).map(|name| (IndicatorKind::Domain, name.to_owned())));
        if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
            keys.extend(self.address_keys(&canonical(address)));
        }
        self.decide(&keys, when.into())
    }

    /// Returns the indicator that decides about a domain name or one of its parents.
    pub fn domain<'a>(&self, name: &str, when: impl Into<When<'a>>) -> Option<Hit> {
        self.has(IndicatorKind::Domain)?;
        let name = normal(IndicatorKind::Domain, name);
        let keys: Vec<_> = parents(&name).map(|name| (IndicatorKind::Domain, name.to_owned())).collect();
        self.decide(&keys, when.into())
    }

    /// Returns the indicator that decides about an address.
    pub fn ip<'a>(&self, address: &str, when: impl Into<When<'a>>) -> Option<Hit> {
        self.has(IndicatorKind::Ip).or(self.has(IndicatorKind::Cidr))?;
        self.decide(&self.address_keys(address), when.into())
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

    /// The patterns a subject fits, the longest first.
    fn subject_keys(&self, subject: &str) -> Vec<(IndicatorKind, String)> {
        let subject = pattern::lower(subject);
        let mut fits: Vec<&Pattern> = self.subjects.iter().filter(|pattern| pattern.fits(&subject)).collect();
        fits.sort_by_key(|pattern| std::cmp::Reverse(pattern.text().len()));
        fits.into_iter().map(|pattern| (IndicatorKind::SubjectPattern, pattern.text().to_owned())).collect()
    }

    fn entries_of(&self, kind: IndicatorKind, value: &str) -> impl Iterator<Item = &Entry> {
        let first = self.by_value.get(&kind).and_then(|values| values.get(value));
        let first = first.and_then(|place| self.entries.get(*place as usize));
        std::iter::successors(first, |entry| self.entries.get(entry.next as usize))
    }

    /// Looks up every value of the event, seen in this scene. Allowed values are left out.
    pub fn hits(&self, event: &Event, scene: Scene<'_>) -> Vec<(Hit, MatchedField)> {
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
        let at = When { at: event.timestamp, scene };
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
            if let Some(value) = event.str(field) {
                look(field, value, self.hash(kind, value, at));
            }
        }
        for (name, field, kind) in [
            ("ScriptSHA256", "AdditionalFields.ScriptSHA256", IndicatorKind::FileSha256),
            ("ParentSHA256", "AdditionalFields.ParentSHA256", IndicatorKind::FileSha256),
            ("IndicatorSha256", "AdditionalFields.IndicatorSha256", IndicatorKind::FileSha256),
            // attachments have no columns for these
            ("SHA1", "AdditionalFields.SHA1", IndicatorKind::FileSha1),
            ("MD5", "AdditionalFields.MD5", IndicatorKind::FileMd5),
        ] {
            // most events have no such entry: the JSON is only read when its name occurs in it
            if self.has(kind).is_some()
                && event.str("AdditionalFields").is_some_and(|json| json.contains(name))
                && let Some(serde_json::Value::String(value)) = event.additional(name)
            {
                look(field, &value, self.hash(kind, &value, at));
            }
        }
        for field in ["SenderMailFromAddress", "SenderFromAddress"] {
            if let Some(value) = event.str(field) {
                look(field, value, self.sender(value, at));
            }
        }
        if let Some(value) = event.str("Subject") {
            look("Subject", value, self.subject(value, at));
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
        self.hits(event, Scene::Anywhere).into_iter().map(|(hit, matched)| (hit.id, matched)).collect()
    }

    /// Looks up every value of the event and returns one detection per indicator seen.
    pub fn detections(&self, event: &Event, scene: Scene<'_>) -> Vec<Detection> {
        self.hits(event, scene).into_iter().map(|(hit, matched)| detection(hit, matched, event)).collect()
    }

    /// `None` when there is no indicator of the kind at all: then nothing needs to be normalised.
    fn has(&self, kind: IndicatorKind) -> Option<()> {
        self.by_value.contains_key(&kind).then_some(())
    }

    fn decide(&self, keys: &[(IndicatorKind, String)], when: When<'_>) -> Option<Hit> {
        let mut best: Option<(&Entry, &(IndicatorKind, String))> = None;
        for key in keys {
            for entry in self.entries_of(key.0, &key.1) {
                let ended = entry.expires_at.is_some_and(|end| end <= when.at);
                let stronger = best.is_none_or(|(best, _)| best.action.rank() < entry.action.rank());
                if !ended && stronger && when.is_in(&self.scopes.values[entry.scope as usize]) {
                    best = Some((entry, key));
                }
            }
        }
        best.map(|(entry, (kind, value))| Hit {
            id: entry.id,
            kind: *kind,
            value: value.clone(),
            action: entry.action,
            severity: entry.severity,
            note: self.notes.values[entry.note as usize].clone(),
        })
    }
}

fn is_file(kind: IndicatorKind) -> bool {
    matches!(kind, IndicatorKind::FileSha256 | IndicatorKind::FileSha1 | IndicatorKind::FileMd5)
}

pub(crate) fn normal(kind: IndicatorKind, value: &str) -> String {
    let value = value.trim();
    match kind {
        IndicatorKind::FileSha256
        | IndicatorKind::FileSha1
        | IndicatorKind::FileMd5
        | IndicatorKind::CertificateSha256 => value.to_ascii_lowercase(),
        IndicatorKind::SubjectPattern => pattern::normal(value),
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

/// Builds the detection of an indicator that was seen in an event.
pub fn detection(hit: Hit, matched: MatchedField, event: &Event) -> Detection {
    let kind = match hit.kind {
        IndicatorKind::FileSha256 | IndicatorKind::FileSha1 | IndicatorKind::FileMd5 => "file",
        IndicatorKind::SenderAddress | IndicatorKind::SenderDomain => "sender",
        IndicatorKind::Url | IndicatorKind::Domain => "url",
        IndicatorKind::Ip | IndicatorKind::Cidr => "ip",
        IndicatorKind::CertificateSha256 => "certificate",
        IndicatorKind::SubjectPattern => "subject",
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
