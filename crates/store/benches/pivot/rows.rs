//! Sightings of a made-up organisation with 20,000 devices and 50,000 mailboxes, the same in every
//! run, in the order of the table's key: a few values are everywhere, most are seen a few times.

use hinomi_model::{EntityKey, EntityKind, EventRef, MessageId, Sighting, SightingStages, Table, Timestamp};

const DEVICES: u64 = 20_000;
const MAILBOXES: u64 = 50_000;
const MESSAGES: u64 = 1 << 26;
/// Values that are everywhere, of each kind.
pub const HEAD: u64 = 2_000;
/// Share of the rows that are of them, per cent.
const HEAD_SHARE: u64 = 40;
/// Entities a value of the rest has in the middle.
const TAIL_ROWS: u64 = 3;

/// One kind of sighting: what was seen, on what, and its share of all rows in per cent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Part {
    pub observable: EntityKind,
    pub entity: EntityKind,
    pub share: u64,
}

const fn part(observable: EntityKind, entity: EntityKind, share: u64) -> Part {
    Part { observable, entity, share }
}

/// In the order of the key.
pub const PARTS: &[Part] = &[
    part(EntityKind::Domain, EntityKind::Device, 8),
    part(EntityKind::Domain, EntityKind::MessageCopy, 12),
    part(EntityKind::File, EntityKind::Device, 40),
    part(EntityKind::File, EntityKind::MessageCopy, 12),
    part(EntityKind::Ip, EntityKind::Device, 10),
    part(EntityKind::Sender, EntityKind::MessageCopy, 8),
    part(EntityKind::Url, EntityKind::Message, 8),
    part(EntityKind::User, EntityKind::Device, 2),
];

/// A cheap mixing of numbers, the same in every run.
pub fn mix(number: u64) -> u64 {
    let mixed = (number ^ (number >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ (mixed >> 32)
}

/// The values of a kind when the table has so many rows.
pub fn values(kind: EntityKind, rows: u64) -> u64 {
    let share: u64 = PARTS.iter().filter(|part| part.observable == kind).map(|part| part.share).sum();
    HEAD + rows * share / 100 * (100 - HEAD_SHARE) / 100 / TAIL_ROWS
}

/// Value `number` of a kind.
pub fn value(kind: EntityKind, number: u64) -> EntityKey {
    let some = mix(number ^ 0x5eed);
    match kind {
        EntityKind::File => EntityKey::file(&format!("{:016x}{:016x}{:032x}", mix(number), some, number)),
        EntityKind::Domain => EntityKey::domain(&format!("h{}.d{number}.example", some % 40)),
        EntityKind::Ip => {
            EntityKey::ip(&std::net::Ipv4Addr::from((number as u32).wrapping_mul(2_654_435_761)).to_string())
        }
        EntityKind::Sender => EntityKey::sender(&format!("sender{number}@d{}.example", some % 100_000)),
        EntityKind::Url => {
            EntityKey::url(&format!("https://h{}.d{}.example/{some:x}?id={number}", some % 40, some % 300_000))
        }
        _ => EntityKey::user(&format!("user{number}")),
    }
}

/// What the table orders the values of a kind by.
fn order(kind: EntityKind, number: u64) -> Box<[u8]> {
    match kind {
        EntityKind::File => mix(number).to_be_bytes().into(),
        _ => value(kind, number).value.into_bytes().into(),
    }
}

/// How many entities of a part value `number` has when the table has so many rows.
pub fn entities(part: Part, number: u64, rows: u64) -> u64 {
    let of_part = rows * part.share / 100;
    let most = if part.entity == EntityKind::Device { DEVICES } else { MESSAGES / 2 };
    if number < HEAD {
        let of_head = (of_part * HEAD_SHARE / 100) as f64;
        let share = match part.entity {
            // no value is on more devices than there are: a straight line
            EntityKind::Device => 2.0 * of_head / HEAD as f64 * (1.0 - number as f64 / HEAD as f64),
            // Zipf's law; 8.2 is the sum of 1/1 to 1/2000
            _ => of_head / 8.2 / (number + 1) as f64,
        };
        return (share as u64).clamp(1, most);
    }
    if number >= values(part.observable, rows) {
        return 0;
    }
    let sharing: Vec<&Part> = PARTS.iter().filter(|one| one.observable == part.observable).collect();
    let all: u64 = sharing.iter().map(|one| one.share).sum();
    // kinds with two parts: most values were only on devices or only in mail
    let pick = mix(number ^ 0xfeed) % all;
    let before: u64 = sharing.iter().take_while(|one| ***one != part).map(|one| one.share).sum();
    if pick < before || pick >= before + part.share { 0 } else { 1 + mix(number ^ 0xcafe) % (2 * TAIL_ROWS - 1) }
}

/// The rows the table gains when it grows, in the order of the key.
pub fn grow(from: u64, to: u64) -> impl Iterator<Item = Sighting> {
    let mut kinds: Vec<EntityKind> = PARTS.iter().map(|part| part.observable).collect();
    kinds.dedup();
    kinds.into_iter().flat_map(move |kind| {
        let mut keys: Vec<(Box<[u8]>, u32)> =
            (0..values(kind, to)).map(|number| (order(kind, number), number as u32)).collect();
        keys.sort_unstable();
        keys.into_iter().flat_map(move |(_, number)| {
            let parts = PARTS.iter().filter(move |part| part.observable == kind);
            parts.flat_map(move |part| of_value(*part, u64::from(number), from, to))
        })
    })
}

fn of_value(part: Part, number: u64, from: u64, to: u64) -> impl Iterator<Item = Sighting> {
    let first = if from == 0 { 0 } else { entities(part, number, from) };
    let mut numbers: Vec<u64> = (first..entities(part, number, to)).map(|at| entity_number(part, number, at)).collect();
    numbers.sort_unstable();
    let observable = value(part.observable, number);
    numbers.into_iter().map(move |entity| sighting(part, &observable, number, entity))
}

/// A row like those that are there, of any value.
pub fn some_row(number: u64, rows: u64) -> Sighting {
    let part = PARTS[mix(number ^ 0xaa) as usize % PARTS.len()];
    let of_value = mix(number ^ 0xbb) % values(part.observable, rows);
    let all = if part.entity == EntityKind::Device { DEVICES } else { MESSAGES };
    sighting(part, &value(part.observable, of_value), of_value, mix(number ^ 0xcc) % all)
}

/// A different entity for every place, spread over all of them.
fn entity_number(part: Part, number: u64, at: u64) -> u64 {
    let all = if part.entity == EntityKind::Device { DEVICES } else { MESSAGES };
    // 7,919 shares no factor with either
    (mix(number) % all + at * 7_919) % all
}

fn device(number: u64) -> EntityKey {
    EntityKey::device(id(1_600_000_000_000 + number * 60_000, number).parse().expect("an id"))
}

fn message(number: u64) -> MessageId {
    id(1_700_000_000_000 + number * 500, number).parse().expect("an id")
}

fn id(millis: u64, number: u64) -> String {
    let (high, low) = (millis >> 16, millis & 0xffff);
    format!("{high:08x}-{low:04x}-7000-8000-{:012x}", mix(number) & 0xffff_ffff_ffff)
}

fn sighting(part: Part, observable: &EntityKey, number: u64, entity: u64) -> Sighting {
    let some = mix(number.wrapping_mul(31) ^ entity);
    let at = Timestamp::from_micros(1_700_000_000_000_000 + (some % 30_000_000_000) as i64 * 1_000);
    let seconds = |many: u64| Some(at.plus_seconds((some % many) as i64));
    let user = format!("user{}", entity % MAILBOXES);
    let on_device = part.entity == EntityKind::Device;
    let mut stages = SightingStages::default();
    match part.observable {
        EntityKind::File if on_device => {
            if some.is_multiple_of(2) {
                stages.saved_at = Some(at);
                stages.saved_by = Some(["thunderbird", "dpkg", "firefox-esr", "tar"][some as usize / 8 % 4].to_owned());
            }
            stages.executed_at = if some.is_multiple_of(3) { seconds(90) } else { None };
        }
        EntityKind::Domain | EntityKind::Ip if on_device => stages.connected_at = Some(at),
        _ => {}
    }
    Sighting {
        observable: observable.clone(),
        entity: match part.entity {
            EntityKind::Device => device(entity),
            EntityKind::Message => EntityKey::message(message(entity)),
            _ => EntityKey::message_copy(message(entity), &format!("{user}@corp.example")),
        },
        first_seen: at,
        last_seen: at.plus_seconds((some % 1_000_000) as i64),
        count: 1 + (some % 50) as i64,
        sample: EventRef {
            table: match (part.entity, part.observable) {
                (EntityKind::Device, EntityKind::File) => Table::DeviceFileEvents,
                (EntityKind::Device, _) => Table::DeviceNetworkEvents,
                _ => Table::EmailEvents,
            },
            timestamp: at,
            device_id: None,
            report_id: (some % 100_000_000).to_string(),
        },
        name: match part.observable {
            EntityKind::File if on_device => format!("/home/{user}/Downloads/file-{}.pdf", some % 1_000),
            EntityKind::File => format!("invoice-{}.pdf", some % 1_000),
            _ => observable.value.clone(),
        },
        account: on_device.then_some(user),
        stages,
    }
}
