//! Which entity had to do with which value.

use hinomi_model::{EntityKey, EntityKind, Event, FileHashes, MessageId, Sighting, SightingStages, Table};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Longest account or program name kept with a sighting, bytes.
const NAME_BYTES_MAX: usize = 256;
/// Addresses read from one command line, and the longest, bytes.
const URLS_MAX: usize = 8;
const URL_BYTES_MAX: usize = 2_048;

/// Derives the sightings of one event, one per (value, entity).
///
/// Device events give files, addresses, domains, URLs and accounts seen on the device; mail rows give
/// attachments, senders, domains and URLs of a message copy. URL rows of a message have no
/// recipient: their entity is the message.
pub fn sightings(event: &Event) -> Vec<Sighting> {
    let mut found = Vec::new();
    match event.table {
        Table::EmailEvents => mail_event(event, &mut found),
        Table::EmailAttachmentInfo => mail_attachment(event, &mut found),
        Table::EmailUrlInfo => mail_url(event, &mut found),
        _ => device_event(event, &mut found),
    }
    found
}

/// Derives and merges the sightings of a batch; sorted by value, then entity.
pub fn collect<'a>(events: impl IntoIterator<Item = &'a Event>) -> Vec<Sighting> {
    let mut merged: BTreeMap<(EntityKey, EntityKey), Sighting> = BTreeMap::new();
    for event in events {
        for sighting in sightings(event) {
            let key = (sighting.observable.clone(), sighting.entity.clone());
            match merged.get_mut(&key) {
                None => {
                    merged.insert(key, sighting);
                }
                Some(known) => {
                    known.count += sighting.count;
                    if sighting.last_seen >= known.last_seen {
                        known.last_seen = sighting.last_seen;
                    }
                    if sighting.first_seen < known.first_seen {
                        known.first_seen = sighting.first_seen;
                        known.sample = sighting.sample;
                    }
                    if known.name.is_empty() {
                        known.name = sighting.name;
                    }
                    known.stages.merge(&sighting.stages);
                    known.account = known.account.take().or(sighting.account);
                }
            }
        }
    }
    merged.into_values().collect()
}

/// Derives the hashes of every file the events name by more than its SHA-256.
pub fn file_hashes<'a>(events: impl IntoIterator<Item = &'a Event>) -> BTreeSet<FileHashes> {
    let mut found = BTreeSet::new();
    for event in events {
        let of_mail = || -> Option<(String, String)> {
            let fields: serde_json::Value = serde_json::from_str(event.str("AdditionalFields")?).ok()?;
            Some((fields["SHA1"].as_str()?.to_owned(), fields["MD5"].as_str()?.to_owned()))
        };
        let (sha1, md5) = match event.table {
            Table::EmailAttachmentInfo => of_mail().unzip(),
            _ => (event.str("SHA1").map(str::to_owned), event.str("MD5").map(str::to_owned)),
        };
        let hex = |text: Option<String>, chars| text.filter(|text| is_hex(text, chars)).map(|text| text.to_lowercase());
        let (sha1, md5) = (hex(sha1, 40), hex(md5, 32));
        if let Some(sha256) = event.str("SHA256").filter(|text| is_sha256(text) && (sha1.is_some() || md5.is_some())) {
            found.insert(FileHashes { sha256: sha256.to_ascii_lowercase(), sha1, md5 });
        }
    }
    found
}

/// What an event says happened to the value it is about.
fn stages(event: &Event) -> SightingStages {
    let at = Some(event.timestamp);
    let action = event.str("ActionType").unwrap_or_default();
    match (event.table, action) {
        (Table::DeviceFileEvents, "FileDeleted") => SightingStages { deleted_at: at, ..SightingStages::default() },
        (Table::DeviceFileEvents, "FileCreated" | "FileModified" | "FileRenamed") => SightingStages {
            saved_at: at,
            saved_by: event
                .str("InitiatingProcessFileName")
                .filter(|name| name.len() <= NAME_BYTES_MAX)
                .map(str::to_owned),
            ..SightingStages::default()
        },
        (Table::DeviceProcessEvents, "ProcessCreated") => {
            SightingStages { executed_at: at, ..SightingStages::default() }
        }
        (_, "ExecBlocked" | "ConnectionBlocked") => SightingStages { blocked_at: at, ..SightingStages::default() },
        (Table::DeviceNetworkEvents, "ConnectionFailed" | "ListeningConnectionCreated") => SightingStages::default(),
        (Table::DeviceNetworkEvents, _) => SightingStages { connected_at: at, ..SightingStages::default() },
        _ => SightingStages::default(),
    }
}

/// Who did it, lower case.
fn account(event: &Event) -> Option<String> {
    let columns = ["AccountName", "InitiatingProcessAccountName"];
    let named = columns.iter().find_map(|column| event.str(column).filter(|name| !name.is_empty()));
    named.filter(|name| name.len() <= NAME_BYTES_MAX).map(str::to_lowercase)
}

fn device_event(event: &Event, found: &mut Vec<Sighting>) {
    let Some(device) = event.device_id() else { return };
    let entity = EntityKey::device(device);
    device_values(event, &entity, found);
    let (account, stages) = (account(event), stages(event));
    for sighting in found.iter_mut() {
        sighting.account.clone_from(&account);
        sighting.stages = stages.clone();
        if sighting.observable.kind != EntityKind::File {
            // a program started with an address goes there; it is the file that runs or is saved
            let connected_at = stages.connected_at.or(stages.executed_at);
            sighting.stages =
                SightingStages { connected_at, blocked_at: stages.blocked_at, ..SightingStages::default() };
        }
    }
    if event.table == Table::DeviceProcessEvents {
        // a parent began before: this event does not say when
        let parent = event.str("InitiatingProcessFolderPath").unwrap_or_default();
        add_file(event, &entity, event.str("InitiatingProcessSHA256"), parent, found);
    }
    if matches!(event.table, Table::DeviceProcessEvents | Table::DeviceLogonEvents)
        && let Some(account) = account
    {
        add(event, EntityKey::user(&account), &entity, &account, found);
    }
}

fn device_values(event: &Event, entity: &EntityKey, found: &mut Vec<Sighting>) {
    let path = event.str("FolderPath").or(event.str("FileName")).unwrap_or_default();
    add_file(event, entity, event.str("SHA256"), path, found);
    // reading JSON per event is dear: only when the text names a script
    if event.str("AdditionalFields").is_some_and(|text| text.contains("ScriptSHA256")) {
        let text = |name| match event.additional(name) {
            Some(serde_json::Value::String(text)) => Some(text),
            _ => None,
        };
        let script_path = text("ScriptPath").unwrap_or_default();
        add_file(event, entity, text("ScriptSHA256").as_deref(), &script_path, found);
    }
    if let Some(address) = event.str("RemoteIP").and_then(canonical_ip) {
        add(event, EntityKey::ip(&address), entity, &address, found);
    }
    add_url_or_domain(event, entity, event.str("RemoteUrl"), found);
    add_url_or_domain(event, entity, event.str("FileOriginUrl"), found);
    if event.table == Table::DeviceProcessEvents {
        // a link clicked in a mail is an argument of the browser
        for url in urls_in(event.str("ProcessCommandLine").unwrap_or_default()) {
            add_url_or_domain(event, entity, Some(&url), found);
        }
    }
}

/// Returns the web addresses in a text (a command line), normalised, at most eight.
pub fn urls_in(text: &str) -> Vec<String> {
    if !text.contains("://") {
        return Vec::new();
    }
    let mut found: Vec<String> = Vec::new();
    for word in text.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '|' | '`')) {
        let begin = ["https://", "http://"].iter().filter_map(|scheme| word.find(scheme)).min();
        let url = begin.and_then(|begin| normal_url(word[begin..].trim_end_matches([')', ']', '}', ',', ';'])));
        if let Some(url) = url.filter(|url| found.len() < URLS_MAX && !found.contains(url)) {
            found.push(url);
        }
    }
    found
}

/// Writes a web address as mails are indexed by it: lower-case host without user name, default port
/// and fragment.
fn normal_url(text: &str) -> Option<String> {
    let text = text.get(..text.floor_char_boundary(URL_BYTES_MAX))?;
    let mut url = url::Url::parse(text).ok()?;
    if !matches!(url.scheme(), "http" | "https" | "ftp") || url.host_str().is_none_or(str::is_empty) {
        return None;
    }
    url.set_fragment(None);
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    Some(url.into())
}

fn mail_event(event: &Event, found: &mut Vec<Sighting>) {
    let Some((id, entity)) = copy_of(event) else { return };
    let subject = event.str("Subject").unwrap_or_default();
    add(event, EntityKey::message(id), &entity, subject, found);
    for column in ["SenderFromAddress", "SenderMailFromAddress"] {
        if let Some(address) = event.str(column).filter(|address| address.contains('@')) {
            add(event, EntityKey::sender(address), &entity, address, found);
        }
    }
    for column in ["SenderFromDomain", "SenderMailFromDomain"] {
        if let Some(domain) = event.str(column).filter(|domain| !domain.is_empty()) {
            add(event, EntityKey::domain(domain), &entity, domain, found);
        }
    }
    for column in ["SenderIPv4", "SenderIPv6"] {
        if let Some(address) = event.str(column).and_then(canonical_ip) {
            add(event, EntityKey::ip(&address), &entity, &address, found);
        }
    }
}

fn mail_attachment(event: &Event, found: &mut Vec<Sighting>) {
    let Some((_, entity)) = copy_of(event) else { return };
    add_file(event, &entity, event.str("SHA256"), event.str("FileName").unwrap_or_default(), found);
}

fn mail_url(event: &Event, found: &mut Vec<Sighting>) {
    let Some(id) = event.str("NetworkMessageId").and_then(|id| id.parse::<MessageId>().ok()) else { return };
    let entity = EntityKey::message(id);
    if let Some(url) = event.str("Url").filter(|url| !url.is_empty()) {
        add(event, EntityKey::url(url), &entity, url, found);
    }
    let domain = event.str("UrlDomain").filter(|domain| !domain.is_empty());
    if let Some(domain) = domain {
        add(event, EntityKey::domain(domain), &entity, domain, found);
    }
}

fn copy_of(event: &Event) -> Option<(MessageId, EntityKey)> {
    let id: MessageId = event.str("NetworkMessageId")?.parse().ok()?;
    Some((id, EntityKey::message_copy(id, event.str("RecipientEmailAddress")?)))
}

fn add_file(event: &Event, entity: &EntityKey, sha256: Option<&str>, name: &str, found: &mut Vec<Sighting>) {
    if let Some(sha256) = sha256.filter(|text| is_sha256(text)) {
        add(event, EntityKey::file(sha256), entity, name, found);
    }
}

fn add_url_or_domain(event: &Event, entity: &EntityKey, value: Option<&str>, found: &mut Vec<Sighting>) {
    let Some(value) = value.map(str::trim).filter(|value| !value.is_empty()) else { return };
    if value.contains("://") {
        let normal = normal_url(value);
        let url = normal.as_deref().unwrap_or(value);
        add(event, EntityKey::url(url), entity, value, found);
        if let Some(domain) = crate::url_domain(url) {
            add(event, EntityKey::domain(&domain), entity, &domain, found);
        }
    } else if canonical_ip(value).is_none() && value.contains('.') {
        add(event, EntityKey::domain(value), entity, value, found);
    }
}

fn add(event: &Event, observable: EntityKey, entity: &EntityKey, name: &str, found: &mut Vec<Sighting>) {
    if found.iter().any(|known| known.observable == observable && known.entity == *entity) {
        return;
    }
    found.push(Sighting {
        observable,
        entity: entity.clone(),
        first_seen: event.timestamp,
        last_seen: event.timestamp,
        count: 1,
        sample: event.reference(),
        name: name.to_owned(),
        account: None,
        stages: SightingStages::default(),
    });
}

/// True for 64 hexadecimal digits.
pub(crate) fn is_sha256(text: &str) -> bool {
    is_hex(text, 64)
}

pub(crate) fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Returns the canonical text of an address that can tell two machines apart: loopback,
/// unspecified and multicast addresses are the same everywhere and give no pivot.
fn canonical_ip(text: &str) -> Option<String> {
    let address: IpAddr = text.trim().parse().ok()?;
    let address = address.to_canonical();
    let pivot = !address.is_loopback() && !address.is_unspecified() && !address.is_multicast();
    pivot.then(|| address.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hinomi_model::Timestamp;

    const DEVICE: &str = "00000000-0000-0000-0000-000000000001";
    const MESSAGE: &str = "00000000-0000-0000-0000-0000000000aa";

    fn keys(event: &Event) -> Vec<String> {
        sightings(event).iter().map(|s| format!("{} @ {}", s.observable, s.entity)).collect()
    }

    #[test]
    fn an_interpreter_gives_its_own_hash_and_the_scripts() {
        let mut event = Event::new(Table::DeviceProcessEvents, Timestamp::from_micros(5));
        event.set("DeviceId", DEVICE).set("SHA256", "AA".repeat(32)).set("FolderPath", "/usr/bin/dash");
        event.set_additional("ScriptPath", "/home/u/invoice.sh");
        event.set_additional("ScriptSHA256", "bb".repeat(32));
        let found = sightings(&event);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].observable, EntityKey::file(&"aa".repeat(32)));
        assert_eq!(found[1].name, "/home/u/invoice.sh");
    }

    #[test]
    fn mail_rows_speak_of_the_copy_and_url_rows_of_the_message() {
        let mut row = Event::new(Table::EmailEvents, Timestamp::from_micros(5));
        row.set("NetworkMessageId", MESSAGE).set("RecipientEmailAddress", "A@example.org");
        row.set("SenderFromAddress", "Bad@Evil.example").set("SenderFromDomain", "evil.example");
        row.set("SenderIPv4", "127.0.0.1");
        assert_eq!(
            keys(&row),
            [
                format!("message:{MESSAGE} @ messageCopy:{MESSAGE}/a@example.org"),
                format!("sender:bad@evil.example @ messageCopy:{MESSAGE}/a@example.org"),
                format!("domain:evil.example @ messageCopy:{MESSAGE}/a@example.org"),
            ]
        );
        let mut url = Event::new(Table::EmailUrlInfo, Timestamp::from_micros(5));
        url.set("NetworkMessageId", MESSAGE).set("Url", "https://x.example/a").set("UrlDomain", "x.example");
        assert!(sightings(&url).iter().all(|s| s.entity.kind == EntityKind::Message));
    }

    #[test]
    fn what_happened_to_a_file_is_kept_with_its_times() {
        let event = |table, action: &str, at| {
            let mut event = Event::new(table, Timestamp::from_micros(at));
            event.set("DeviceId", DEVICE).set("SHA256", "aa".repeat(32)).set("ActionType", action);
            event.set("InitiatingProcessAccountName", "Hana").set("InitiatingProcessFileName", "thunderbird");
            event
        };
        let mut run = event(Table::DeviceProcessEvents, "ProcessCreated", 20);
        run.set("AccountName", "hana").set("InitiatingProcessSHA256", "bb".repeat(32));
        let events = [
            event(Table::DeviceFileEvents, "FileDeleted", 90),
            event(Table::DeviceEvents, "ExecBlocked", 40),
            run,
            event(Table::DeviceFileEvents, "FileCreated", 10),
            event(Table::DeviceFileEvents, "FileModified", 12),
        ];
        let found = collect(&events);
        let of = |key: EntityKey| found.iter().find(|one| one.observable == key).expect("seen");
        let file = of(EntityKey::file(&"aa".repeat(32)));
        let at = |micros| Some(Timestamp::from_micros(micros));
        let expected = SightingStages {
            saved_at: at(10),
            saved_by: Some("thunderbird".to_owned()),
            executed_at: at(20),
            connected_at: None,
            blocked_at: at(40),
            deleted_at: at(90),
        };
        assert_eq!((&file.stages, file.account.as_deref(), file.count), (&expected, Some("hana"), 5));
        assert_eq!(of(EntityKey::file(&"bb".repeat(32))).stages, SightingStages::default(), "a parent began before");
        assert_eq!(of(EntityKey::user("hana")).entity, EntityKey::new(EntityKind::Device, DEVICE));
    }

    #[test]
    fn addresses_on_a_command_line_are_read_as_mails_have_them() {
        let line = "firefox -url 'https://User@Evil.example:443' \"http://b.example/x?y=1#z\" ftp://c.example/ a=https://d.example/,";
        assert_eq!(urls_in(line), ["https://evil.example/", "http://b.example/x?y=1", "https://d.example/"]);
        assert!(urls_in("https:// http://[ nothing://x").is_empty());
    }

    #[test]
    fn other_hashes_lead_to_the_file() {
        let mut device = Event::new(Table::DeviceFileEvents, Timestamp::from_micros(1));
        device.set("SHA256", "AA".repeat(32)).set("SHA1", "BB".repeat(20)).set("MD5", "no");
        let mut mail = Event::new(Table::EmailAttachmentInfo, Timestamp::from_micros(1));
        mail.set("SHA256", "cc".repeat(32));
        mail.set_additional("SHA1", "dd".repeat(20));
        mail.set_additional("MD5", "ee".repeat(16));
        let found: Vec<FileHashes> = file_hashes([&device, &mail]).into_iter().collect();
        assert_eq!(found[0], FileHashes { sha256: "aa".repeat(32), sha1: Some("bb".repeat(20)), md5: None });
        assert_eq!(found[1].md5, Some("ee".repeat(16)));
    }

    #[test]
    fn a_batch_is_merged_and_hostile_values_are_left_out() {
        let mut one = Event::new(Table::DeviceFileEvents, Timestamp::from_micros(9));
        one.set("DeviceId", DEVICE).set("SHA256", "cc".repeat(32)).set("FolderPath", "/tmp/x");
        let mut two = one.clone();
        two.timestamp = Timestamp::from_micros(3);
        let mut bad = one.clone();
        bad.set("SHA256", "not a hash");
        let mut stranger = one.clone();
        stranger.set("DeviceId", "nobody");
        let merged = collect([&one, &two, &bad, &stranger]);
        assert_eq!(merged.len(), 1);
        assert_eq!((merged[0].count, merged[0].first_seen.as_micros(), merged[0].last_seen.as_micros()), (2, 3, 9));
    }
}
