//! Every step of every playbook: a scenario that brings the playbook's steps is played as a demo, the
//! server ends at each point of each of its steps, and the outcome is that of a run without a crash.

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hinomi_cases::playbook::Playbook;
use hinomi_model::{EntityKind, Investigation};
use hinomi_server::abort::STEP_POINTS;
use hinomi_store::{ActionFilter, IncidentFilter, InvestigationFilter, JobFilter, JobState, Page, Store};
use hinomi_testkit::seed::{Chance, full};
use hinomi_testkit::server::ServerProcess;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::time::{Duration, Instant};

/// Longest one story may take, restarts included.
const STORY: Duration = Duration::from_secs(240);
/// Points of a normal run.
const SAMPLE: usize = 6;

/// A scenario whose investigation has all steps of the playbook.
const STORIES: [(&str, &str); 10] = [
    ("ransomware", "ransomware"),
    ("sensor_tampering", "sensor-tampering"),
    ("credential_access", "credential-theft"),
    ("command_and_control", "living-off-the-land"),
    ("malicious_attachment", "mail-attachment-linux"),
    ("malicious_file", "html-smuggling"),
    ("user_reported_mail", "user-reported-mail"),
    ("phishing_mail", "bec-without-payload"),
    ("persistence", "ssh-brute-force"),
    ("suspicious_process", "mail-borne-document"),
];

/// What a story came to.
#[derive(Debug, PartialEq, Eq)]
struct Outcome(BTreeMap<String, usize>);

struct Stage {
    server: ServerProcess,
    store: Store,
    scenario: String,
    points: VecDeque<String>,
    reached: Vec<String>,
}

/// Plays a scenario in a new server that ends at the points in their order.
async fn play(dir: &Path, scenario: &str, points: &[String]) -> Result<(Outcome, Vec<String>, BTreeSet<String>)> {
    std::fs::create_dir_all(dir)?;
    let more = "[investigation]\nautomation_level = \"full\"\n";
    let mut server = ServerProcess::new(Path::new(env!("CARGO_BIN_EXE_hinomi")), dir, None, more)?;
    server.start(None).await?;
    let mut api = server.set_up().await?;
    let store = Store::open(&format!("sqlite:{}", server.data().join("hinomi.db").display())).await?;
    let mut stage = Stage {
        server,
        store,
        scenario: scenario.to_owned(),
        points: points.iter().cloned().collect(),
        reached: Vec::new(),
    };
    stage.server.kill().await?;
    stage.server.start(stage.points.front().map(String::as_str)).await?;
    // the demo is handed in whole before its first event is analysed; the server may end just then
    let handed = api.post("/demos", stage.demo()?).await;
    ensure!(handed.is_ok() || !stage.points.is_empty(), "the demo is refused: {handed:?}");
    let done = stage.finish().await;
    let (outcome, steps) = done.with_context(|| {
        format!("{scenario} after {:?}, armed {:?}\n{}", stage.reached, stage.points.front(), stage.server.log_end())
    })?;
    if !stage.server.has_ended()? {
        stage.server.terminate().await?;
    }
    stage.store.close().await;
    Ok((outcome, stage.reached, steps))
}

impl Stage {
    fn demo(&self) -> Result<serde_json::Value> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios").join(&self.scenario);
        let mut files = vec![(String::from("scenario.toml"), std::fs::read(folder.join("scenario.toml"))?)];
        for entry in std::fs::read_dir(folder.join("events"))? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).context("a name")?.to_owned();
            files.push((format!("events/{name}"), std::fs::read(&path)?));
        }
        let files: Vec<_> =
            files.iter().map(|(path, bytes)| json!({"path": path, "content": STANDARD.encode(bytes)})).collect();
        Ok(json!({"name": self.scenario, "files": files}))
    }

    /// Starts the server again whenever it ended, until nothing is left to do.
    async fn finish(&mut self) -> Result<(Outcome, BTreeSet<String>)> {
        let until = Instant::now() + STORY;
        loop {
            ensure!(Instant::now() < until, "the story does not end");
            if self.server.has_ended()? {
                self.reached.extend(self.points.pop_front());
                self.server.start(self.points.front().map(String::as_str)).await?;
            }
            if self.rests().await? {
                return self.outcome().await;
            }
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    }

    /// True when there are investigations, all have ended their steps, and no job waits.
    async fn rests(&self) -> Result<bool> {
        let open = JobFilter { state: vec![JobState::Waiting, JobState::Leased], kind: None };
        let jobs = self.store.jobs(&open, &Page::first(1)).await?.items;
        let demos = self.store.demos(&Page::first(1)).await?.items;
        let all = self.investigations().await?;
        let over = |one: &Investigation| one.steps.iter().all(|step| step.ended_at.is_some());
        Ok(jobs.is_empty() && !demos.is_empty() && !all.is_empty() && all.iter().all(over))
    }

    async fn investigations(&self) -> Result<Vec<Investigation>> {
        Ok(self.store.investigations(&InvestigationFilter::default(), &Page::first(200)).await?.items)
    }

    async fn outcome(&self) -> Result<(Outcome, BTreeSet<String>)> {
        let mut counts = BTreeMap::new();
        let mut count = |name: String| *counts.entry(name).or_insert(0_usize) += 1;
        let mut steps = BTreeSet::new();
        for incident in self.store.incidents(&IncidentFilter::default(), &Page::first(200)).await?.items {
            count(format!("incident {}", incident.severity.word()));
            for alert in self.store.alerts_of_incident(incident.id).await? {
                count(format!("alert {} {}", alert.rule_id, alert.severity.word()));
            }
        }
        for investigation in self.investigations().await? {
            count(format!("investigation {}", investigation.state.word()));
            for step in &investigation.steps {
                count(format!("step {} {:?}", step.name, step.state));
                steps.insert(step.name.clone());
            }
            for piece in &investigation.evidence {
                // ids of a demo differ from play to play
                let name = if piece.entity.kind == EntityKind::Device { "" } else { piece.name.as_str() };
                count(format!("evidence {} {name} {:?}", piece.entity.kind.name(), piece.verdict));
            }
        }
        for action in self.store.actions(&ActionFilter::default(), &Page::first(200)).await?.items {
            count(format!("action {} {:?}", action.spec.kind(), action.state));
        }
        ensure!(self.store.verify_audit().await?.first_bad.is_none(), "the audit log's chain is broken");
        Ok((Outcome(counts), steps))
    }
}

/// Ends the server at the points of the steps of each playbook: all of them in a full run, else some of
/// one playbook by chance. Returns the table.
pub async fn killed_in_every_step(chance: &mut Chance) -> Result<Vec<String>> {
    let names: BTreeSet<&str> = STORIES.iter().map(|(playbook, _)| *playbook).collect();
    ensure!(
        Playbook::all().iter().all(|playbook| names.contains(playbook.name.as_str())),
        "a playbook without a story"
    );
    let folder = tempfile::tempdir()?;
    let one = chance.below(STORIES.len() as u64) as usize;
    let mut table = Vec::new();
    for (number, (playbook, scenario)) in STORIES.iter().enumerate() {
        if !full() && number != one {
            continue;
        }
        let dir = |n: usize| folder.path().join(format!("{playbook}-{n}"));
        let (whole, _, steps) = play(&dir(0), scenario, &[]).await?;
        let wanted = Playbook::embedded(playbook).context("the playbook")?;
        for spec in &wanted.steps {
            ensure!(steps.contains(spec.name.name()), "{scenario} never comes to {}: {steps:?}", spec.name.name());
        }
        let all: Vec<String> = wanted
            .steps
            .iter()
            .flat_map(|spec| STEP_POINTS.iter().map(move |point| format!("step.{}.{point}", spec.name.name())))
            .collect();
        let mut todo: Vec<String> = match full() {
            true => all,
            false => {
                let first = chance.below(all.len() as u64) as usize;
                all.into_iter().cycle().skip(first).step_by(5).take(SAMPLE).collect()
            }
        };
        // a point that a crash before it made the story pass by is tried in a story of its own
        for n in 1.. {
            let (after, reached, _) = play(&dir(n), scenario, &todo).await?;
            ensure!(after == whole, "{playbook} after {reached:?}:\n{after:#?}\nwithout a crash:\n{whole:#?}");
            ensure!(!reached.is_empty(), "no story reaches {:?}", todo.first());
            table.extend(reached.iter().map(|point| format!("{playbook:<22} {point:<32} same as without a crash")));
            todo.retain(|point| !reached.contains(point));
            if todo.is_empty() {
                break;
            }
        }
    }
    Ok(table)
}
