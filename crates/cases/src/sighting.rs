//! Which entity had to do with which value.

use hinomi_model::{EntityKey, Event, MessageId, Sighting, Table};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Derives the sightings of one event, one per (value, entity).
///
/// Device events give files, addresses, domains and URLs seen on the device; mail rows give
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
                }
            }
        }
    }
    merged.into_values().collect()
}

fn device_event(event: &Event, found: &mut Vec<Sighting>) {
    let Some(device) = event.device_id() else { return };
    let entity = EntityKey::device(device);
    let path = event.str("FolderPath").or(event.str("FileName")).unwrap_or_default();
    add_file(event, &entity, event.str("SHA256"), path, found);
    // reading JSON per event is dear: only when the text names a script
    if event.str("AdditionalFields").is_some_and(|text| text.contains("ScriptSHA256")) {
        let text = |name| match event.additional(name) {
            Some(serde_json::Value::String(text)) => Some(text),
            _ => None,
        };
        let script_path = text("ScriptPath").unwrap_or_default();
        add_file(event, &entity, text("ScriptSHA256").as_deref(), &script_path, found);
    }
    if event.table == Table::DeviceProcessEvents {
        let parent = event.str("InitiatingProcessFolderPath").unwrap_or_default();
        add_file(event, &entity, event.str("InitiatingProcessSHA256"), parent, found);
    }
    if let Some(address) = event.str("RemoteIP").and_then(canonical_ip) {
        add(event, EntityKey::ip(&address), &entity, &address, found);
    }
    add_url_or_domain(event, &entity, event.str("RemoteUrl"), found);
    add_url_or_domain(event, &entity, event.str("FileOriginUrl"), found);
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
        add(event, EntityKey::url(value), entity, value, found);
        if let Some(domain) = crate::url_domain(value) {
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
    });
}

/// True for 64 hexadecimal digits.
pub(crate) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
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
    use hinomi_model::{EntityKind, Timestamp};

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
