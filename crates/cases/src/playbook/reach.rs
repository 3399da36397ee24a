//! Steps about how far it came: files changed by the tree, other devices that connect to the same places.

use super::{Case, Fact, Outcome, Query, collect, edge, used_widely};
use crate::evidence::piece;
use crate::is_public_address;
use hinomi_model::{EntityKey, EntityKind, EvidenceRole, Table, Text};
use std::collections::{BTreeMap, BTreeSet};

/// Places followed by one investigation.
const DESTINATIONS_MAX: usize = 30;
/// Files with one new ending that look like encryption.
const SAME_ENDING: usize = 10;
/// Endings told.
const TOLD_MAX: usize = 5;

pub(super) fn changed_files(case: &Case<'_>, facts: &[Fact]) -> Outcome {
    if collect::roots(case).is_empty() {
        return collect::no_tree();
    }
    let mut endings: BTreeMap<String, usize> = BTreeMap::new();
    let mut folders: BTreeSet<String> = BTreeSet::new();
    let (mut written, mut renamed, mut deleted) = (0, 0, 0);
    for fact in facts {
        let Fact::Tree { events, .. } = fact else { continue };
        for event in events.iter().filter(|event| event.table == Table::DeviceFileEvents) {
            let (name, path) = (event.str("FileName").unwrap_or_default(), event.str("FolderPath").unwrap_or_default());
            match event.str("ActionType") {
                Some("FileDeleted") => {
                    deleted += 1;
                    continue;
                }
                Some("FileRenamed") => renamed += 1,
                _ => written += 1,
            }
            let name = if name.is_empty() { path.rsplit(['/', '\\']).next().unwrap_or_default() } else { name };
            let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_lowercase()).unwrap_or_default();
            *endings.entry(ending).or_default() += 1;
            folders.extend(path.rsplit_once(['/', '\\']).map(|(folder, _)| folder.to_owned()));
        }
    }
    let mut outcome = Outcome::done("", "");
    let mut many: Vec<(usize, String)> =
        endings.into_iter().filter(|(_, n)| *n >= SAME_ENDING).map(|(ending, n)| (n, ending)).collect();
    many.sort_by(|one, other| other.cmp(one));
    for (count, ending) in many.iter().take(TOLD_MAX) {
        outcome.lines.push(Text::new(
            format!("{count} files ending in .{ending} were written."),
            format!("末尾が .{ending} のファイルが {count} 個書き込まれました。"),
        ));
    }
    outcome.result = Text::new(
        format!("{written} files written, {renamed} renamed, {deleted} deleted, in {} folders.", folders.len()),
        format!(
            "書き込み {written} 個、名前の変更 {renamed} 個、削除 {deleted} 個です（{} 個のフォルダー）。",
            folders.len()
        ),
    );
    outcome
}

/// Public places the case's processes went to.
fn places<'a>(case: &'a Case<'_>) -> BTreeSet<&'a EntityKey> {
    let kinds = [EntityKind::Ip, EntityKind::Domain, EntityKind::Url];
    let pieces = case.investigation.evidence.iter();
    let of_alerts = case.alerts.iter().flat_map(|alert| &alert.evidence);
    let places = pieces.chain(of_alerts).map(|piece| &piece.entity);
    places.filter(|place| kinds.contains(&place.kind) && is_public_address(place)).take(DESTINATIONS_MAX).collect()
}

pub(super) fn destination_queries(case: &Case<'_>) -> Vec<Query> {
    let seen = |place: &EntityKey| Query::Seen { observable: place.clone(), by: EntityKind::Device };
    places(case).into_iter().map(seen).collect()
}

pub(super) fn destinations(case: &Case<'_>, facts: &[Fact]) -> Outcome {
    if places(case).is_empty() {
        return Outcome::skipped("It connected nowhere outside.", "外部への通信はありません。");
    }
    let own = case.own_devices();
    let mut outcome = Outcome::done("", "");
    let mut others: BTreeSet<&EntityKey> = BTreeSet::new();
    for fact in facts {
        let Fact::Seen { observable, by: EntityKind::Device, sightings, total } = fact else { continue };
        if let Some(line) = used_widely(observable, *total) {
            let pieces = case.investigation.evidence.iter().filter(|piece| piece.entity == *observable);
            outcome.evidence.extend(pieces.map(|known| {
                let devices = total.to_string();
                piece(observable.clone(), &*known.name, known.role, &[("used_widely", &devices)], known.first_seen)
            }));
            outcome.lines.push(line);
            continue;
        }
        for sighting in sightings.iter().filter(|sighting| !own.contains(&sighting.entity)) {
            let facts = [("connected_to", observable.value.as_str())];
            let name = sighting.entity.value.clone();
            let role = EvidenceRole::Contextual;
            outcome.evidence.push(piece(sighting.entity.clone(), name, role, &facts, sighting.first_seen));
            outcome.edges.push(edge(&sighting.entity, observable, "connected to", "が接続"));
            others.insert(&sighting.entity);
        }
    }
    outcome.result = match others.len() {
        0 => Text::new("No other device connected there.", "ほかのデバイスからの通信はありません。"),
        n => Text::new(format!("{n} other devices connected there."), format!("ほかの {n} 台も接続していました。")),
    };
    outcome
}
