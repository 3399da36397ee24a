//! `kill -9` of the real server and the real sensor under load: what was spooled or acknowledged is
//! at the server exactly once.

mod rig;

use anyhow::{Context, Result, ensure};
use hinomi_model::{Event, Table, Timestamp};
use hinomi_sensor::spool::Spool;
use hinomi_testkit::fleet::{FakeSensor, exactly_once};
use hinomi_testkit::process::wait_for;
use hinomi_testkit::seed::{Chance, full};
use hinomi_testkit::server::ServerProcess;
use hinomi_testkit::story::api::Api;
use rig::{QUIET, Sensor};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(90);
/// Begins the argument that marks a generated exec; its number follows.
const MARK: &str = "hinomi-load-";
/// Fake sensors beside the real one.
const FAKES: usize = 3;

/// A mount namespace of its own in which programs are started without end.
struct Load {
    child: Child,
    dir: PathBuf,
    namespace: u64,
}

impl Load {
    /// Execs and file writes, each with its number; `last` holds the number of the last finished
    /// one, the file `stop` ends it.
    fn start(dir: &Path) -> Result<Load> {
        let script = "n=0; while [ ! -e stop ]; do [ -e go ] || { sleep 0.05; continue; }; n=$((n+1)); \
                      /bin/true hinomi-load-$n; echo $n > file-$((n % 50)); echo $n > last.new; \
                      mv last.new last; sleep 0.03; done";
        let child = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", script])
            .current_dir(dir)
            .stdin(Stdio::null())
            .spawn()
            .context("make a mount namespace")?;
        let own = std::fs::metadata("/proc/self/ns/mnt")?.ino();
        let path = format!("/proc/{}/ns/mnt", child.id());
        // between fork and unshare it is still ours
        let namespace = loop {
            let found = std::fs::metadata(&path)?.ino();
            if found != own {
                break found;
            }
            std::thread::yield_now();
        };
        Ok(Load { child, dir: dir.to_owned(), namespace })
    }

    fn last(&self) -> u64 {
        std::fs::read_to_string(self.dir.join("last")).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }

    fn stop(&mut self) -> Result<u64> {
        std::fs::write(self.dir.join("stop"), "")?;
        self.child.wait()?;
        Ok(self.last())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The marker of an exec, if the event is one of the load's.
fn marker(event: &Event) -> Option<u64> {
    let created = event.table == Table::DeviceProcessEvents && event.str("ActionType") == Some("ProcessCreated");
    let line = created.then(|| event.str("ProcessCommandLine")).flatten()?;
    line.split_once(MARK)?.1.parse().ok()
}

/// Everything in the spool of a killed sensor and its generation, without touching it.
fn spooled(data: &Path) -> Result<(u64, Vec<Event>)> {
    let copy = tempfile::tempdir()?;
    for entry in std::fs::read_dir(data.join("spool"))? {
        let entry = entry?;
        std::fs::copy(entry.path(), copy.path().join(entry.file_name()))?;
    }
    let spool = Spool::open(copy.path(), 1 << 30)?;
    let mut reader = spool.reader(0);
    let mut events = Vec::new();
    while let Some(batch) = reader.next_batch()? {
        events.extend(hinomi_wire::unpack(&batch.frame, batch.count as usize)?);
    }
    Ok((spool.generation(), events))
}

/// What the fake sensors report: harmless starts of programs, numbered.
fn made_up(number: u64) -> Event {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let mut event = Event::new(Table::DeviceProcessEvents, Timestamp::from_micros(now.as_micros() as i64));
    event.set("ActionType", "ProcessCreated").set("FileName", "true").set("FolderPath", "/usr/bin/true");
    event.set("ProcessCommandLine", format!("/usr/bin/true {number}"));
    event
}

fn report_ids(events: &[Event]) -> Vec<i64> {
    events.iter().map(|event| event.long("ReportId").unwrap_or_default()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_of_server_and_sensor_under_load_loses_and_doubles_nothing() -> Result<()> {
    let mut chance = Chance::begin("sensor_crash")?;
    let rounds = if full() { 40 } else { 6 };
    let folder = tempfile::tempdir()?;
    let program = Path::new(env!("CARGO_BIN_EXE_hinomi-sensor")).with_file_name("hinomi");
    ensure!(program.exists(), "hinomi is not built: cargo build --workspace --bins");
    let mut server = ServerProcess::new(&program, &folder.path().join("server"), None, "")?;
    server.start(None).await?;
    let mut api = server.set_up().await?;
    let mut fakes = Vec::new();
    for number in 0..FAKES {
        fakes.push(FakeSensor::enrol(&server.enrolment_token().await?, &format!("fake-{number}")).await?);
    }
    let mut load = Load::start(&make(folder.path(), "load")?)?;
    let scope = load.namespace.to_string();
    let mut sensor = Sensor::new(QUIET, &["--scope-mount-namespace", &scope]);
    let enrolled = sensor.enrol(&server.enrolment_token().await?);
    ensure!(enrolled.status.success(), "{}", String::from_utf8_lossy(&enrolled.stderr));
    sensor.start().await;
    std::fs::write(load.dir.join("go"), "")?;

    let feeder = tokio::spawn(feed(fakes.clone()));
    let mut spools = Vec::new();
    let mut fresh_since = 0;
    let (mut servers, mut sensors) = (0, 0);
    for round in 0..rounds {
        // the moment of a kill is what this test is about
        tokio::time::sleep(Duration::from_millis(100 + chance.below(900))).await;
        // each is killed in the first rounds; then chance decides
        let victim = if round < 3 { round } else { chance.below(3) };
        if victim != 1 {
            server.kill().await?;
            servers += 1;
        }
        if victim != 0 {
            sensor.kill();
            spools.push(spooled(&sensor.data)?);
            sensors += 1;
        }
        // while one is away, the other goes on
        tokio::time::sleep(Duration::from_millis(chance.below(300))).await;
        if victim != 0 {
            sensor.start().await;
            fresh_since = load.last() + 2;
        }
        if victim != 1 {
            server.start(None).await.with_context(|| format!("restart in round {round}"))?;
        }
    }
    let began = std::time::Instant::now();
    let last = load.stop()?;
    feeder.abort();
    let _ = feeder.await;
    for fake in &fakes {
        wait_for("every fake sensor's spool to be acknowledged", DEADLINE, async || Ok(fake.is_empty().then_some(())))
            .await?;
    }
    let device = wait_for("the real sensor's last event", DEADLINE, async || {
        let status = sensor.status();
        let empty = status["status"]["spooled_events"] == 0 && status["online"] == true;
        Ok(if empty { status["device_id"].as_str().map(str::to_owned) } else { None })
    })
    .await?;
    let device = device.parse()?;
    let path = format!("/devices/{device}/events?text={MARK}{last}&limit=1");
    wait_for("the last exec at the server", DEADLINE, async || {
        let page: serde_json::Value = api.get(&path).await?;
        Ok(page["items"].as_array().is_some_and(|items| !items.is_empty()).then_some(()))
    })
    .await?;

    let emptied = began.elapsed();
    let mut counted = 0;
    for stopped in [false, true] {
        if stopped {
            // once more after an orderly stop: the same events come out of the files alone
            server.terminate().await?;
            ensure!(!server.data().join("ready.json").exists(), "a stopped server is not ready");
            server.start(None).await?;
        }
        counted = check(&mut api, &fakes, device, &spools, fresh_since..=last).await?;
    }
    eprintln!(
        "{servers} kills of the server, {sensors} of the sensor: {counted} events exactly once, {last} execs, \
         {} connections of {FAKES} fake sensors; spools empty {:.1} s after the last kill, counted in {:.1} s",
        fakes.iter().map(|fake| fake.memory().connections).sum::<usize>(),
        emptied.as_secs_f64(),
        (began.elapsed() - emptied).as_secs_f64()
    );
    ensure!(servers > 1 && sensors > 1 && last > 20, "the test did too little");
    server.terminate().await
}

fn make(folder: &Path, name: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    std::fs::create_dir_all(&path)?;
    Ok(path)
}

/// Gives every fake sensor a few events again and again.
async fn feed(fakes: Vec<FakeSensor>) {
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    let mut number = 0;
    loop {
        tick.tick().await;
        for fake in &fakes {
            number += 1;
            fake.spool((0..number % 4).map(|_| made_up(number)));
        }
    }
}

/// Counts at the server; returns how many events were compared.
async fn check(
    api: &mut Api,
    fakes: &[FakeSensor],
    device: hinomi_model::DeviceId,
    spools: &[(u64, Vec<Event>)],
    fresh: std::ops::RangeInclusive<u64>,
) -> Result<usize> {
    let mut counted = 0;
    for fake in fakes {
        let held = api.device_events(fake.device).await?;
        counted += held.len();
        let memory = fake.memory();
        ensure!(memory.broken.is_empty(), "{:?}", memory.broken);
        exactly_once("fake sensor", report_ids(&held), memory.events.len() as i64)?;
        ensure!(held.len() == memory.events.len(), "{} of {} events", held.len(), memory.events.len());
    }
    let held = api.device_events(device).await?;
    counted += held.len();
    let through = held.iter().filter_map(|event| event.long("ReportId")).max().unwrap_or_default();
    exactly_once("real sensor", report_ids(&held), through)?;
    let by_id: BTreeMap<i64, &Event> = held.iter().filter_map(|event| Some((event.long("ReportId")?, event))).collect();
    for (generation, events) in spools {
        ensure!(*generation == spools[0].0, "a kill made the sensor begin its spool anew");
        for event in events {
            let id = event.long("ReportId").unwrap_or_default();
            ensure!(by_id.get(&id).is_some_and(|found| *found == event), "spooled event {id} is not at the server");
        }
    }
    // execs since the sensor's last start: kills of the server alone lost none of them
    let mut times: BTreeMap<u64, usize> = BTreeMap::new();
    held.iter().filter_map(marker).for_each(|number| *times.entry(number).or_default() += 1);
    for number in fresh {
        ensure!(times.get(&number) == Some(&1), "exec {number} is at the server {:?} times", times.get(&number));
    }
    ensure!(times.values().all(|count| *count == 1), "an exec is at the server twice");
    Ok(counted)
}
