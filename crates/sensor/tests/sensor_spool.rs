//! The spool: whatever happens to its files, what was durable comes back in order.

use hinomi_model::{Event, Table, Timestamp};
use hinomi_sensor::spool::{Spool, SpoolError};
use proptest::prelude::*;
use std::path::{Path, PathBuf};

const BIG: u64 = 1 << 30;

fn events(count: usize, from: usize) -> Vec<Event> {
    (from..from + count)
        .map(|n| {
            let mut event = Event::new(Table::DeviceProcessEvents, Timestamp::from_micros(n as i64));
            event.set("ProcessCommandLine", format!("event {n}"));
            event
        })
        .collect()
}

/// Reads everything after `after` as (ReportId, command line).
fn read(spool: &Spool, after: u64) -> Vec<(i64, String)> {
    let mut reader = spool.reader(after);
    let mut all = Vec::new();
    while let Some(batch) = reader.next_batch().unwrap() {
        let events = hinomi_wire::unpack(&batch.frame, batch.count as usize).unwrap();
        all.extend(
            events
                .iter()
                .map(|event| (event.long("ReportId").unwrap(), event.str("ProcessCommandLine").unwrap().to_owned())),
        );
    }
    all
}

fn expected(range: std::ops::RangeInclusive<usize>) -> Vec<(i64, String)> {
    range.map(|n| (n as i64, format!("event {n}"))).collect()
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

#[test]
fn events_come_back_in_order_and_acknowledged_segments_go() {
    let temp = tempfile::tempdir().unwrap();
    // a small limit makes small segments
    let spool = Spool::open(temp.path(), 40_000).unwrap();
    for round in 0..60 {
        assert_eq!(spool.append(&mut events(10, round * 10 + 1)).unwrap(), (round as u64 + 1) * 10);
    }
    assert_eq!(read(&spool, 0), expected(1..=600));
    assert_eq!(read(&spool, 595), expected(591..=600), "whole batches are sent again");
    let before = segments(temp.path()).len();
    assert!(before > 1);
    spool.acknowledge(600).unwrap();
    assert_eq!((segments(temp.path()).len(), spool.stats().events), (1, 0));
    drop(spool);

    let spool = Spool::open(temp.path(), 40_000).unwrap();
    assert_eq!(spool.append(&mut events(1, 601)).unwrap(), 601, "ids go on after everything was acknowledged");
}

#[test]
fn a_full_spool_takes_nothing_and_takes_again_after_acknowledgement() {
    let temp = tempfile::tempdir().unwrap();
    let spool = Spool::open(temp.path(), 10_000).unwrap();
    let mut next = 1;
    let error = loop {
        match spool.append(&mut events(50, next)) {
            Ok(_) => next += 50,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, SpoolError::Full { .. }), "{error}");
    assert!(next > 50 && spool.stats().bytes <= 10_000);
    assert_eq!(read(&spool, 0), expected(1..=next - 1));
    spool.acknowledge(next as u64 - 1).unwrap();
    assert_eq!(spool.append(&mut events(50, next)).unwrap(), next as u64 + 49, "no id was used up");
}

#[test]
fn damage_costs_only_its_segment_and_is_counted() {
    let temp = tempfile::tempdir().unwrap();
    let spool = Spool::open(temp.path(), 20_000).unwrap();
    for round in 0..60 {
        spool.append(&mut events(10, round * 10 + 1)).unwrap();
    }
    drop(spool);
    assert!(segments(temp.path()).len() > 2);
    let second = &segments(temp.path())[1];
    let mut bytes = std::fs::read(second).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(second, bytes).unwrap();

    let spool = Spool::open(temp.path(), 20_000).unwrap();
    let found = read(&spool, 0);
    assert_eq!(found.len() as u64 + spool.damaged(), 600);
    assert!(spool.damaged() > 0 && found.last() == expected(600..=600).first());

    let generation = spool.generation();
    spool.renew(100).unwrap();
    assert_ne!(spool.generation(), generation);
    let again = read(&spool, 0);
    let texts = |of: &[(i64, String)]| of.iter().map(|(_, text)| text.clone()).collect::<Vec<_>>();
    let wanted: Vec<_> = found.iter().filter(|(id, _)| *id > 100).cloned().collect();
    assert_eq!(texts(&again), texts(&wanted), "a new generation holds the rest");
    assert_eq!(again.iter().map(|(id, _)| *id).collect::<Vec<_>>(), (1..=again.len() as i64).collect::<Vec<_>>());
    drop(spool);
    assert_eq!(read(&Spool::open(temp.path(), 20_000).unwrap(), 0), again);
}

#[test]
fn a_renewal_cut_short_keeps_one_whole_generation() {
    let temp = tempfile::tempdir().unwrap();
    let spool = Spool::open(temp.path(), BIG).unwrap();
    spool.append(&mut events(10, 1)).unwrap();
    drop(spool);
    let old = segments(temp.path()).remove(0);
    let fresh = temp.path().join("00000000000000ff-00000000000000000001.fresh");
    // before the marker the old one counts
    std::fs::copy(&old, &fresh).unwrap();
    assert_eq!(read(&Spool::open(temp.path(), BIG).unwrap(), 0), expected(1..=10));
    assert_eq!(segments(temp.path()), std::slice::from_ref(&old));
    // from the marker on the new one
    std::fs::copy(&old, &fresh).unwrap();
    std::fs::write(temp.path().join("renewed"), b"").unwrap();
    assert_eq!(read(&Spool::open(temp.path(), BIG).unwrap(), 0), expected(1..=10));
    assert_eq!(segments(temp.path()), [fresh.with_extension("spool")]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Cut anywhere, with any rubbish behind the cut: a prefix of whole batches is left, and new
    /// events go on from there.
    #[test]
    fn any_cut_leaves_a_prefix(sizes in prop::collection::vec(1_usize..20, 1..12), cut in 0.0_f64..1.0, rubbish in prop::collection::vec(any::<u8>(), 0..64)) {
        let temp = tempfile::tempdir().unwrap();
        let spool = Spool::open(temp.path(), BIG).unwrap();
        let mut ends = vec![0];
        for size in &sizes {
            ends.push(spool.append(&mut events(*size, *ends.last().unwrap() as usize + 1)).unwrap());
        }
        drop(spool);
        let file = segments(temp.path()).remove(0);
        let mut bytes = std::fs::read(&file).unwrap();
        let keep = (bytes.len() as f64 * cut) as usize;
        bytes.truncate(keep);
        bytes.extend(&rubbish);
        std::fs::write(&file, bytes).unwrap();

        let spool = Spool::open(temp.path(), BIG).unwrap();
        let last = spool.last();
        prop_assert!(ends.contains(&last));
        prop_assert_eq!(read(&spool, 0), expected(1..=last as usize));
        prop_assert_eq!(spool.append(&mut events(3, last as usize + 1)).unwrap(), last + 3);
        prop_assert_eq!(read(&spool, 0), expected(1..=last as usize + 3));
    }
}
