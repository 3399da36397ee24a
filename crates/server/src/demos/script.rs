//! A scenario made ready to be played: its ids become the demo's, its times end now.

use crate::ids;
use hinomi_model::{DemoId, DeviceId, Event, MessageId, Timestamp, Value};
use hinomi_wire::BATCH_EVENTS_MAX;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use uuid::Uuid;

/// Devices of one demo.
pub(super) const DEVICES_MAX: usize = 100;
/// Longest time from the first to the last event of a demo, seconds.
pub(super) const SPAN_SECONDS_MAX: i64 = 30 * 86_400;
/// Events handed in at once.
const PART_EVENTS: usize = 500;
/// End of every mail domain of a demo. Reserved: no real mailbox can have it (RFC 2606 §2).
const DOMAIN_END: &str = ".demo.invalid";
/// Column of the name a sender shows.
const NAME: &str = "SenderDisplayName";

/// Gives the events of a scenario to a demo.
pub(super) struct Script {
    demo: DemoId,
    shift_micros: i64,
    ids: HashMap<Uuid, Uuid>,
    /// Device, its name, its events.
    pub devices: HashMap<DeviceId, (String, i64)>,
}

impl Script {
    /// Prepares to shift `last` to `now`.
    pub fn new(demo: DemoId, last: Timestamp, now: Timestamp) -> Script {
        Script { demo, shift_micros: now.micros_since(last), ids: HashMap::new(), devices: HashMap::new() }
    }

    /// Returns the time in the demo.
    pub fn time(&self, at: Timestamp) -> Timestamp {
        Timestamp::from_micros(at.as_micros().saturating_add(self.shift_micros))
    }

    /// Returns the event as one of the demo. It has a device or a message, which the reader of scenarios
    /// has made sure of; both are the demo's then.
    pub fn event(&mut self, event: &Event) -> Event {
        for column in ["DeviceId", "NetworkMessageId"] {
            if let Some(id) = event.str(column).and_then(|text| Uuid::parse_str(text).ok()) {
                self.learn(id);
            }
        }
        let mut own = Event::new(event.table, self.time(event.timestamp));
        for (column, value) in event.iter() {
            let value = match value {
                Value::Datetime(at) => Value::Datetime(self.time(*at)),
                Value::String(text) => Value::String(self.text(column, text)),
                other => other.clone(),
            };
            own.try_set(column, value);
        }
        // who imitates a recipient in his name imitates the one of the demo
        if let (Some(name), Some(recipient)) = (event.str(NAME), event.str("RecipientEmailAddress")) {
            own.set(NAME, renamed(name, recipient.trim()));
        }
        if let Some(id) = own.device_id() {
            let (name, events) = self.devices.entry(id).or_default();
            *events += 1;
            if name.is_empty() {
                *name = own.str("DeviceName").unwrap_or_default().to_owned();
            }
        }
        own
    }

    fn learn(&mut self, id: Uuid) {
        if let Entry::Vacant(entry) = self.ids.entry(id) {
            entry.insert(ids::within(Some(self.demo)));
        }
    }

    fn text(&self, column: &str, text: &str) -> String {
        match column {
            // in any spelling an id can have
            "DeviceId" | "NetworkMessageId" => {
                let own = Uuid::parse_str(text).ok().and_then(|id| self.ids.get(&id));
                own.map(Uuid::to_string).unwrap_or_default()
            }
            "RecipientEmailAddress" => address(text),
            _ => {
                // ids of processes and reports begin with that of the device or the message
                let own = text.get(..36).and_then(|id| self.ids.get(&Uuid::try_parse(id).ok()?));
                own.map_or_else(|| text.to_owned(), |own| format!("{own}{}", &text[36..]))
            }
        }
    }
}

/// Returns a recipient as one no real mailbox can be.
pub(super) fn address(text: &str) -> String {
    let text = text.trim().to_lowercase();
    if text.ends_with(DOMAIN_END) { text } else { format!("{text}{DOMAIN_END}") }
}

/// Returns a name in which a recipient's address is that of the demo.
fn renamed(name: &str, recipient: &str) -> String {
    let (lower, wanted) = (name.to_ascii_lowercase(), recipient.to_ascii_lowercase());
    let mut own = String::new();
    let mut at = 0;
    // ASCII letters keep their places when their case changes
    for (found, _) in lower.match_indices(&wanted).filter(|_| !wanted.is_empty()) {
        own.push_str(&name[at..found]);
        own.push_str(&address(recipient));
        at = found + wanted.len();
    }
    own + &name[at..]
}

/// Cuts events into the parts in which sensors and gateway would hand them in: of one device or of
/// mail, a message's rows together.
pub(super) fn parts(events: Vec<Event>) -> Vec<Vec<Event>> {
    let mut parts: Vec<Vec<Event>> = Vec::new();
    let mut owner: Option<(Option<DeviceId>, Option<MessageId>)> = None;
    for event in events {
        let message = event.str("NetworkMessageId").and_then(|id| id.parse().ok());
        let own = (event.device_id(), message);
        let goes_along = |part: &Vec<Event>| match owner {
            Some((device, _)) if device != own.0 => false,
            Some((None, message)) if message == own.1 => part.len() < BATCH_EVENTS_MAX,
            Some(_) => part.len() < PART_EVENTS,
            None => false,
        };
        match parts.last_mut() {
            Some(part) if goes_along(part) => part.push(event),
            _ => parts.push(vec![event]),
        }
        owner = Some(own);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use hinomi_model::Table;

    const DEVICE: &str = "00000000-0000-0000-0000-000000000001";

    #[test]
    fn everything_becomes_the_demos_and_ends_now() {
        let now = Timestamp::from_micros(1_790_000_000_000_000);
        let mut script = Script::new(DemoId::at(now), Timestamp::from_micros(50), now);
        let mut event = Event::new(Table::DeviceProcessEvents, Timestamp::from_micros(50));
        event.set("DeviceId", DEVICE.to_uppercase().replace('-', "")).set("DeviceName", "pc");
        event.set("ProcessUniqueId", format!("{DEVICE}/7")).set("ProcessCommandLine", "ls 日本語");
        event.set("ProcessCreationTime", Timestamp::from_micros(40));
        let own = script.event(&event);
        let device = own.device_id().expect("a device");
        assert_eq!(device.demo(), Some(DemoId::at(now)));
        assert_eq!(own.str("ProcessUniqueId"), Some(format!("{device}/7").as_str()));
        assert_eq!(own.str("ProcessCommandLine"), Some("ls 日本語"));
        assert_eq!(now.micros_since(own.datetime("ProcessCreationTime").expect("a time")), 10);
        assert_eq!((own.timestamp, script.devices[&device].clone()), (now, ("pc".to_owned(), 1)));
        let mut mail = Event::new(Table::EmailEvents, Timestamp::from_micros(1));
        mail.set("NetworkMessageId", DEVICE).set("RecipientEmailAddress", "A@corp.example");
        mail.set("SenderDisplayName", "社長 <a@Corp.example>");
        let own = script.event(&mail);
        assert_eq!(own.str("RecipientEmailAddress"), Some("a@corp.example.demo.invalid"));
        assert_eq!(own.str("SenderDisplayName"), Some("社長 <a@corp.example.demo.invalid>"));
        assert_eq!(own.str("NetworkMessageId"), Some(device.to_string().as_str()), "the same id stays the same");
    }

    #[test]
    fn parts_are_of_one_device_and_hold_a_message_together() {
        let event = |column: &str, id: u128| {
            let table = if column == "DeviceId" { Table::DeviceFileEvents } else { Table::EmailEvents };
            let mut event = Event::new(table, Timestamp::default());
            event.set(column, Uuid::from_u128(id).to_string());
            event
        };
        let mut events = vec![event("DeviceId", 1); PART_EVENTS + 1];
        events.push(event("DeviceId", 2));
        events.extend(vec![event("NetworkMessageId", 1); PART_EVENTS + 1]);
        events.push(event("NetworkMessageId", 2));
        let sizes: Vec<usize> = parts(events).iter().map(Vec::len).collect();
        assert_eq!(sizes, [PART_EVENTS, 1, 1, PART_EVENTS + 1, 1]);
    }
}
