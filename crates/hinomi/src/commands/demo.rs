//! `hinomi demo`

use crate::client::Client;
use crate::output::{self, exit, line, printable};
use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use hinomi_api::{DemoFile, DemoIncident, DemoStatus, PlayDemo};
use hinomi_model::{DemoId, DemoState, Language};
use hinomi_server::demos::read_folder;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Pause between two looks at what became of a demo.
const POLL: Duration = Duration::from_millis(300);
/// Longest wait for a demo's investigations to end, or for its removal.
const WAIT_MAX: Duration = Duration::from_secs(180);

/// Plays a story, lists the demos, removes them.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct DemoCommand {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Folder of a scenario; the built-in story when left out
    path: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List demos
    List,
    /// Remove a demo without trace
    Remove {
        /// Id of the demo; may be left out when there is one only
        id: Option<DemoId>,
        /// Remove every demo
        #[arg(long, conflicts_with = "id")]
        all: bool,
    },
}

impl DemoCommand {
    /// Runs the verb.
    ///
    /// # Errors
    /// When the folder is no scenario or the server says no.
    pub async fn run(self, client: &Client, json: bool, language: Language) -> Result<u8> {
        match self.verb {
            None => play(client, self.path.as_deref(), json, language).await,
            Some(Verb::List) => list(client, json, language).await,
            Some(Verb::Remove { id, all }) => remove(client, id, all, json).await,
        }
    }
}

async fn play(client: &Client, path: Option<&Path>, json: bool, language: Language) -> Result<u8> {
    let request = match path {
        Some(path) => upload(path)?,
        None => PlayDemo::default(),
    };
    let mut status: DemoStatus = client.post("/demos", &request).await?;
    let demo = &status.demo;
    eprintln!(
        "{} ({}): {} events of {} devices and {} messages handed in",
        printable(demo.title.get(language)),
        printable(&demo.name),
        demo.events,
        demo.devices,
        demo.messages,
    );
    let mut told = BTreeSet::new();
    let until = Instant::now() + WAIT_MAX;
    loop {
        for incident in &status.incidents {
            if told.insert(incident.number) {
                eprintln!("INC-{} is there: {}", incident.number, printable(&incident.url));
            }
        }
        if status.analysed && status.investigating == 0 {
            break;
        }
        if Instant::now() > until {
            eprintln!("investigations still run; the demo goes on without this command");
            break;
        }
        tokio::time::sleep(POLL).await;
        let now: Option<DemoStatus> = client.find(&format!("/demos/{}", status.demo.id)).await?;
        status = now.context("somebody removed the demo")?;
    }
    if json {
        output::json(&status);
    } else {
        // severity and title grow until the last event is analysed
        status.incidents.iter().for_each(|incident| tell(incident, language));
    }
    eprintln!("remove it with: hinomi demo remove {}", status.demo.id);
    Ok(if status.incidents.is_empty() { exit::NOTHING } else { exit::DONE })
}

fn upload(path: &Path) -> Result<PlayDemo> {
    let files = read_folder(path)?;
    let full = path.canonicalize().with_context(|| format!("find {}", path.display()))?;
    let name = full.file_name().map(|name| printable(&name.to_string_lossy()).chars().take(100).collect());
    let file = |file: hinomi_server::demos::ScenarioFile| DemoFile {
        path: file.path,
        content: STANDARD.encode(&file.content),
    };
    let played = files.into_iter().filter(|file| file.path != "expect.toml");
    Ok(PlayDemo { name, files: played.map(file).collect() })
}

fn tell(incident: &DemoIncident, language: Language) {
    let severity = incident.severity.word();
    let title = printable(incident.title.get(language));
    line(&format!("INC-{} [{severity}] {title}\n  {}", incident.number, printable(&incident.url)));
}

async fn list(client: &Client, json: bool, language: Language) -> Result<u8> {
    let demos = client.list::<DemoStatus>("/demos", &[], 200).await?.items;
    let head = ["ID", "NAME", "TITLE", "STATE", "PLAYED", "BY", "INCIDENTS"];
    Ok(output::list(json, &demos, &head, |status| {
        let demo = &status.demo;
        let numbers: Vec<String> = status.incidents.iter().map(|one| format!("INC-{}", one.number)).collect();
        vec![
            demo.id.to_string(),
            demo.name.clone(),
            demo.title.get(language).to_owned(),
            match &demo.failure {
                Some(failure) => format!("{}: {failure}", demo.state.word()),
                None => demo.state.word(),
            },
            demo.played_at.to_string(),
            demo.played_by.clone(),
            numbers.join(" "),
        ]
    }))
}

async fn remove(client: &Client, id: Option<DemoId>, all: bool, json: bool) -> Result<u8> {
    let ids = match id {
        Some(id) => vec![id],
        None => {
            let there = client.list::<DemoStatus>("/demos", &[], 200).await?.items;
            if there.len() > 1 && !all {
                bail!("there are {} demos: name one (hinomi demo list), or give --all", there.len());
            }
            there.iter().map(|status| status.demo.id).collect()
        }
    };
    if ids.is_empty() {
        eprintln!("there is no demo");
        return Ok(exit::NOTHING);
    }
    for id in &ids {
        let _: DemoStatus =
            client.delete(&format!("/demos/{id}")).await.with_context(|| format!("remove demo {id}"))?;
    }
    let until = Instant::now() + WAIT_MAX;
    for id in &ids {
        while let Some(status) = client.find::<DemoStatus>(&format!("/demos/{id}")).await? {
            if let (DemoState::Removing, Some(failure)) = (status.demo.state, &status.demo.failure) {
                bail!("demo {id} is not removed yet, the server tries again: {}", printable(failure));
            }
            if Instant::now() > until {
                bail!("demo {id} is still being removed; the server goes on by itself");
            }
            tokio::time::sleep(POLL).await;
        }
        eprintln!("demo {id} is removed");
        if json {
            line(&serde_json::json!({ "removed": id }).to_string());
        }
    }
    Ok(exit::DONE)
}
