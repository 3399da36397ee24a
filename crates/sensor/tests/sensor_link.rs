//! Enrolment and link of the real program against a real TLS server.

mod rig;

use hinomi_model::{Event, ReceiptState};
use hinomi_sensor::spool::Spool;
use hinomi_wire::Command;
use rig::{Authority, QUIET, Sensor, Server, id, now, until};
use ring::signature::Ed25519KeyPair;
use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn enrolment_streaming_and_status() {
    let server = Server::start().await;
    let mut sensor = Sensor::new(QUIET, &["--synthetic-events", "200"]);
    let token = server.token();
    assert!(sensor.enrol(&token).status.success());
    for (file, mode) in [("", 0o700), ("identity.json", 0o600), ("key.pem", 0o600)] {
        let found = std::fs::metadata(sensor.data.join(file)).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{file}");
    }
    let again = Sensor::new(QUIET, &[]);
    let refused = again.enrol(&token);
    assert!(!refused.status.success(), "a token works once");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("unknown, used or expired"));

    sensor.start().await;
    until("500 events", || (server.board().events() >= 500).then_some(())).await;
    until("an empty spool", || (sensor.status()["status"]["spooled_events"].as_u64().unwrap() < 100).then_some(()))
        .await;
    let status = sensor.status();
    assert_eq!(status["online"], true);
    assert_eq!(status["device_id"], server.device().to_string());
    assert_eq!(server.board().statuses[0].capabilities["prevent"], "off by configuration");
    assert_eq!(server.board().duplicates, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_server_of_the_token_is_trusted() {
    let server = Server::start().await;
    let mut sensor = Sensor::new(QUIET, &["--synthetic-events", "100"]);
    sensor.begin(&server).await;
    until("events", || (server.board().events() > 0).then_some(())).await;
    sensor.kill();
    // another authority at the same address, with the same names
    let address = server.address;
    drop(server);
    let impostor = Server::start_at(address, Arc::new(Authority::new(&["127.0.0.1"]))).await;
    sensor.start().await;
    until("a refusal", || sensor.log().contains("connect to https://127.0.0.1").then_some(())).await;
    assert!(sensor.log().contains("invalid peer certificate"), "{}", sensor.log());
    assert!(impostor.board().hellos.is_empty());

    // a token of one server does not enrol at another
    let other = Server::start().await;
    let mut token = hinomi_wire::EnrolmentToken::decode(&other.token()).unwrap();
    token.url = format!("https://{}", impostor.address);
    let refused = Sensor::new(QUIET, &[]).enrol(&token.encode());
    assert!(!refused.status.success());
    assert!(impostor.board().devices.is_empty());
}

/// Everything in the spool of a killed sensor, by (generation, ReportId).
fn spooled(data: &Path) -> (u64, HashMap<i64, Event>) {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(data.join("spool")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    let spool = Spool::open(copy.path(), 1 << 30).unwrap();
    let mut reader = spool.reader(0);
    let mut events = HashMap::new();
    while let Some(batch) = reader.next_batch().unwrap() {
        for event in hinomi_wire::unpack(&batch.frame, batch.count as usize).unwrap() {
            events.insert(event.long("ReportId").unwrap(), event);
        }
    }
    (spool.generation(), events)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_under_load_loses_no_spooled_event_and_doubles_none() {
    let mut server = Server::start().await;
    let mut sensor = Sensor::new(QUIET, &["--synthetic-events", "3000"]);
    sensor.begin(&server).await;
    let mut spools = Vec::new();
    for round in 0..4 {
        let before = server.board().events();
        until("load", || (server.board().events() > before + 2_000).then_some(())).await;
        // an acknowledgement is lost, then the sensor or the server dies
        server.board().cut_after = Some(2);
        match round {
            0 => server.restart().await,
            1 => {
                server.board().mute = true;
                let have = server.board().events();
                until("unacknowledged load", || (server.board().events() > have + 500).then_some(())).await;
            }
            _ => until("the cut", || server.board().cut_after.is_none().then_some(())).await,
        }
        sensor.kill();
        spools.push(spooled(&sensor.data));
        server.board().mute = false;
        sensor.start().await;
    }
    let last = spools.iter().flat_map(|(_, events)| events.keys()).max().copied().unwrap() as usize;
    until("everything that was spooled", || (server.board().events() >= last).then_some(())).await;
    sensor.kill();

    let board = server.board();
    assert_eq!(board.stored.len(), 1, "one generation");
    assert!(board.duplicates > 0, "the test has made the sensor send again");
    for (generation, events) in &spools {
        assert!(!events.is_empty());
        for (report_id, event) in events {
            // the server's store is by ReportId, so one place holds one event: none is doubled
            assert_eq!(&board.stored[generation][*report_id as usize - 1], event);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_another_past_gets_a_new_generation() {
    let mut server = Server::start().await;
    let mut sensor = Sensor::new(QUIET, &["--synthetic-events", "500"]);
    sensor.begin(&server).await;
    until("events", || (server.board().events() > 1_000).then_some(())).await;
    // restored from an old backup: it has forgotten what it acknowledged
    server.stop();
    let generation = server.board().hellos[0].generation;
    server.board().stored.get_mut(&generation).unwrap().truncate(10);
    server.board().acknowledged.insert(generation, 10);
    // make sure that the sensor no longer has what was acknowledged
    sensor.kill();
    let mut files: Vec<_> = std::fs::read_dir(sensor.data.join("spool")).unwrap().map(|entry| entry.unwrap()).collect();
    files.sort_by_key(|file| file.file_name());
    let mut spool = Spool::open(&sensor.data.join("spool"), 4).unwrap();
    let _ = spool.append(&mut []); // full, but rolls over to a fresh segment first
    spool.acknowledge(spool.last()).unwrap();
    spool = Spool::open(&sensor.data.join("spool"), 1 << 30).unwrap();
    assert!(spool.oldest() > 11);
    drop(spool);
    server.restart().await;
    sensor.start().await;
    until("a new generation", || {
        let board = server.board();
        board.stored.iter().any(|(of, events)| *of != generation && events.len() > 100).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_are_obeyed_once_and_only_from_the_server() {
    let mut server = Server::start().await;
    let mut sensor = Sensor::new(QUIET, &["--synthetic-events", "10"]);
    sensor.begin(&server).await;

    let status = server.order(Command::CollectStatus).await;
    assert_eq!(status.state, ReceiptState::Done);
    assert_eq!(status.status.unwrap().kernel, std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap().trim());

    // forged: another key; no receipt, but told in the status
    let stranger = Ed25519KeyPair::from_seed_unchecked(&[8; 32]).unwrap();
    let forged = server.envelope(Command::SetBlockedHashes { version: 9, sha256: vec!["a".repeat(64)] });
    server.push(hinomi_wire::sign(&forged, &stranger)).await;
    // for another device, expired, and out of order
    let mut elsewhere = server.envelope(Command::CollectStatus);
    elsewhere.device_id = id();
    server.push(server.sign(&elsewhere)).await;
    let mut late = server.envelope(Command::CollectStatus);
    late.expires_at = now().plus_seconds(-1);
    server.push(server.sign(&late)).await;
    let old = server.envelope(Command::CollectStatus);
    let fresh = server.order(Command::SetBlockedHashes { version: 1, sha256: vec!["b".repeat(64)] }).await;
    assert_eq!(fresh.state, ReceiptState::Done);
    server.push(server.sign(&old)).await;

    let refused = until("the refusals", || {
        let board = server.board();
        Some((board.result(late.command_id)?, board.result(old.command_id)?))
    })
    .await;
    assert_eq!((refused.0.state, refused.1.state), (ReceiptState::Failed, ReceiptState::Failed));
    assert!(refused.0.detail.en.contains("expired") && refused.1.detail.en.contains("sequence"));
    let state = sensor.status();
    assert_eq!(state["status"]["block_list_version"], 1, "the forged list is not in force");
    let told = state["status"]["capabilities"]["commands"].as_str().unwrap().to_owned();
    assert!(told.starts_with("4 refused"), "{told}");
    assert!(server.board().result(forged.command_id).is_none());

    // a command sent again at every connection, even to a restarted sensor: one result, the same
    let marker = sensor.folder().join("marker");
    std::fs::write(&marker, "x").unwrap();
    let sha256 = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881".to_owned();
    let paths = vec![marker.to_str().unwrap().to_owned()];
    let once = server.envelope(Command::QuarantineFile { sha256, paths });
    let signed = server.sign(&once);
    server.board().open_commands.push(signed.clone());
    server.push(signed).await;
    let first = until("the receipt", || server.board().result(once.command_id)).await;
    assert_eq!(first.state, ReceiptState::Done, "{first:?}");
    std::fs::write(&marker, "x").unwrap();
    sensor.kill();
    server.board().receipts.clear();
    sensor.start().await;
    let again = until("the receipt again", || server.board().result(once.command_id)).await;
    assert_eq!(again, first);
    assert!(marker.exists(), "it was not carried out twice");
    assert_eq!(server.board().hellos.last().unwrap().command_sequence, once.sequence);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_server_events_wait_and_what_cannot_wait_is_counted() {
    let mut server = Server::start().await;
    let config = format!("{QUIET}[spool]\nsize_max_mib = 1\n");
    let mut sensor = Sensor::new(&config, &["--synthetic-events", "20000"]);
    assert!(sensor.enrol(&server.token()).status.success());
    server.stop();
    sensor.start().await;
    until("a full spool", || sensor.status()["status"]["drops"]["spool_full"].as_u64()).await;
    let held = sensor.status()["status"]["spooled_events"].as_u64().unwrap() as usize;
    server.restart().await;
    until("what was held", || (server.board().events() >= held).then_some(())).await;
    until("the count at the server", || {
        let board = server.board();
        board.statuses.last().and_then(|status| status.drops.get("spool_full").copied())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_its_end_the_sensor_writes_what_it_has_seen() {
    let mut server = Server::start().await;
    let mut sensor = Sensor::new(QUIET, &["--synthetic-events", "1000"]);
    sensor.begin(&server).await;
    until("events", || (server.board().events() > 100).then_some(())).await;
    server.stop();
    let mut child = sensor.child.take().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), nix::sys::signal::SIGTERM).unwrap();
    let began = Instant::now();
    assert!(child.wait().unwrap().success());
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(!sensor.data.join("ready").exists());
    let (_, events) = spooled(&sensor.data);
    let last = events.keys().max().unwrap();
    assert!(events.len() >= 100 && *last as usize >= server.board().events());
    assert!(sensor.log().contains("hinomi-sensor ends"));
}
