//! The server is killed at every step of an investigation and every state of an action, and is
//! started again over the same data: the work finishes, nothing is done twice, nothing is lost.
//!
//! One story plays over a real Postfix, a real Dovecot and a fake sensor on the real link. The
//! server ends at a point, is started again with the next, until the story is over; then
//! everything is counted. `HINOMI_FULL` visits every point, otherwise a sample by seed.

mod playbooks;
mod remedies;
mod story;
mod truth;

use anyhow::{Result, ensure};
use hinomi_cases::playbook::Playbook;
use hinomi_server::abort::{LATE_POINTS, POINTS, STEP_POINTS};
use hinomi_testkit::mail::{MailRig, MailRigConfig};
use hinomi_testkit::postgres::Postgres;
use hinomi_testkit::process::free_address;
use hinomi_testkit::seed::{Chance, full};
use std::path::Path;
use story::{Place, Story};

/// Points of a normal run on each store.
const SAMPLE: usize = 5;
/// Points of one story in a full run.
const TOGETHER: usize = 4;
/// Points of the last step that come after its actions were proposed.
const LAST: usize = 2;

/// Every point, in the order a story passes them.
fn points() -> Vec<String> {
    let playbook = Playbook::embedded("malicious_file").expect("ships");
    let steps: Vec<String> = playbook
        .steps
        .iter()
        .flat_map(|spec| STEP_POINTS.iter().map(move |point| format!("step.{}.{point}", spec.name.name())))
        .collect();
    let mut all = Vec::new();
    for point in POINTS {
        if *point == "action.proposing" {
            all.extend(steps[..steps.len() - LAST].iter().cloned());
        }
        all.push((*point).to_owned());
        if *point == "action.proposed" {
            all.extend(steps[steps.len() - LAST..].iter().cloned());
        }
    }
    all
}

/// What to visit: in a full run all points, spread over stories; otherwise a sample in one story.
fn chosen(chance: &mut Chance) -> Vec<Vec<String>> {
    let all = points();
    if full() {
        let stories = all.len().div_ceil(TOGETHER);
        return (0..stories).map(|first| all.iter().skip(first).step_by(stories).cloned().collect()).collect();
    }
    let mut picked: Vec<usize> = Vec::new();
    while picked.len() < SAMPLE {
        let point = chance.below(all.len() as u64) as usize;
        if !picked.contains(&point) {
            picked.push(point);
        }
    }
    picked.sort_unstable();
    vec![picked.into_iter().map(|at| all[at].clone()).collect()]
}

async fn killed_everywhere(store: &str, database: impl Fn(usize) -> Result<Option<String>>) -> Result<()> {
    let mut chance = Chance::begin(&format!("crash over {store}"))?;
    let milter = free_address()?;
    let rig = MailRig::start(MailRigConfig { users: 3, milter: Some(milter), ..Default::default() }).await?;
    let folder = tempfile::tempdir()?;
    let place = |number: usize| {
        let dir = folder.path().join(number.to_string());
        anyhow::Ok(Place { rig: &rig, milter, dir, database: database(number)? })
    };
    let whole = Story::play(place(0)?, &[]).await?;
    eprintln!("without a crash: {}", whole.told());
    let mut table = Vec::new();
    let mut number = 0;
    for mut todo in chosen(&mut chance) {
        // a point that a crash before it made the story pass by is tried in a story of its own
        while !todo.is_empty() {
            number += 1;
            let after = Story::play(place(number)?, &todo).await?;
            after.same_as(&whole)?;
            let first = todo.first().cloned().unwrap_or_default();
            ensure!(!after.reached.is_empty(), "no story reaches {first}");
            for point in &after.reached {
                table.push(format!("{point:<32} finished, same as without a crash (story {number})"));
            }
            todo.retain(|point| !after.reached.contains(point));
        }
    }
    eprintln!("{store}: killed at {} points\n{}", table.len(), table.join("\n"));
    Ok(())
}

/// Every remedy of mail over a mail system and a server of its own: see [`remedies`].
async fn killed_in_remedies(store: &str, database: Option<String>) -> Result<()> {
    let mut chance = Chance::begin(&format!("crash of remedies over {store}"))?;
    let milter = free_address()?;
    let rig = MailRig::start(MailRigConfig { users: 2, milter: Some(milter), ..Default::default() }).await?;
    let folder = tempfile::tempdir()?;
    let (server, api, truth) = story::house(&rig, milter, folder.path(), database.as_deref(), "").await?;
    let mut stage = remedies::Stage::new(&rig, server, api, truth);
    for (number, plan) in remedies::plans(&mut chance).iter().enumerate() {
        stage.play(number, plan).await?;
    }
    let table = stage.finish().await?;
    eprintln!("{store}: remedies killed at {} states\n{}", table.len(), table.join("\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_is_killed_in_every_remedy() -> Result<()> {
    killed_in_remedies("SQLite", None).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_is_killed_in_every_remedy_over_postgresql() -> Result<()> {
    let postgres = Postgres::start()?;
    killed_in_remedies("PostgreSQL", Some(postgres.database("remedies")?)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_is_killed_in_investigation_and_actions() -> Result<()> {
    killed_everywhere("SQLite", |_| Ok(None)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_is_killed_over_postgresql() -> Result<()> {
    let postgres = Postgres::start()?;
    killed_everywhere("PostgreSQL", |number| postgres.database(&format!("story_{number}")).map(Some)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_is_killed_in_the_steps_of_playbooks() -> Result<()> {
    let mut chance = Chance::begin("crash in playbooks")?;
    let table = playbooks::killed_in_every_step(&mut chance).await?;
    eprintln!("playbooks: killed at {} points\n{}", table.len(), table.join("\n"));
    Ok(())
}

/// A step or point without its place in the list would never be visited.
#[test]
fn every_point_is_listed_once() {
    let mut all = points();
    all.extend(LATE_POINTS.iter().map(|point| (*point).to_owned()));
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/src");
    let mut unlisted = Vec::new();
    let mut folders = vec![sources];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("sources") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("source");
            for part in text.split("abort_point(\"").skip(1) {
                let name = part.split('"').next().unwrap_or_default();
                if !all.iter().any(|known| known == name) {
                    unlisted.push(name.to_owned());
                }
            }
        }
    }
    assert!(unlisted.is_empty(), "not listed: {unlisted:?}");
    assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), all.len());
    let steps = Playbook::embedded("malicious_file").expect("ships").steps.len();
    assert_eq!(all.len(), POINTS.len() + LATE_POINTS.len() + steps * STEP_POINTS.len());
}
