//! The story that is interrupted: a mail with an attachment in two mailboxes, an endpoint that runs
//! it, an investigation, approvals one after the other, and the undo of three actions.

use crate::truth::Truth;
use anyhow::{Context, Result, ensure};
use hinomi_model::{Action, ActionState, Investigation};
use hinomi_store::{JobFilter, JobState, Page, Store};
use hinomi_testkit::fleet::{FakeSensor, replay};
use hinomi_testkit::mail::{Mail, MailRig};
use hinomi_testkit::process::wait_for;
use hinomi_testkit::server::ServerProcess;
use hinomi_testkit::story::api::Api;
use hinomi_testkit::story::mails::{SENDER, Sample};
use serde_json::json;
use sha2::Digest;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(60);
/// Longest a story may take, restarts included.
const STORY: Duration = Duration::from_secs(200);
const DEVICE: &str = "pc-tanaka";
/// What the endpoint reports; hash, device and times are replaced.
const EVENTS: &str = include_str!("../../../../scenarios/mail-attachment-linux/events/02-pc-tanaka.jsonl");
/// Hash of the attachment in them.
const ATTACHMENT: &str = "e6a3c7d72a7140858d9fdefe73200fe303797e2829e0a96081424cd5e7260877";
/// Order of approvals: one action at a time, so that each point is passed at a known place.
const ORDER: [&str; 4] = ["stop_process_tree", "quarantine_file", "add_indicator", "soft_delete_messages"];

/// Where a story plays.
pub struct Place<'a> {
    pub rig: &'a MailRig,
    pub milter: SocketAddr,
    pub dir: PathBuf,
    /// PostgreSQL; none = SQLite.
    pub database: Option<String>,
}

pub struct Story<'a> {
    place: Place<'a>,
    server: ServerProcess,
    api: Api,
    sensor: FakeSensor,
    store: Store,
    /// Points still to visit; the first is armed.
    points: VecDeque<String>,
    reached: Vec<String>,
    before: Vec<Mail>,
}

impl Story<'_> {
    /// Plays the story with the server ending at each of the points, in their order.
    pub async fn play(place: Place<'_>, points: &[String]) -> Result<Truth> {
        let mut story = begin(place, points).await?;
        let played = story.go_on().await;
        let played = played.with_context(|| {
            let armed = story.points.front().cloned().unwrap_or_default();
            format!("after {:?}, armed: {armed:?}\n{}", story.reached, story.server.log_end())
        });
        played?;
        if !story.server.has_ended()? {
            story.server.terminate().await?;
        }
        let mut truth = Truth::read(&story.store, &story.server.data(), &story.sensor).await?;
        story.store.close().await;
        truth.reached = story.reached;
        // the next story finds the mailboxes empty
        for user in &story.place.rig.users[..2] {
            let mut imap = story.place.rig.imap(user).await?;
            for mail in imap.mails("INBOX").await? {
                imap.move_to("INBOX", mail.uid, "Junk").await?;
            }
        }
        Ok(truth)
    }

    async fn go_on(&mut self) -> Result<()> {
        self.restart().await?;
        let attachment = sha256(&std::fs::read(self.place.dir.join("attachment"))?);
        self.sensor.spool(replay(&EVENTS.replace(ATTACHMENT, &attachment), self.sensor.device)?);
        let until = Instant::now() + STORY;
        let (mut removed, mut told) = (false, String::new());
        loop {
            ensure!(Instant::now() < until, "the story does not end: {told}");
            if self.server.has_ended()? {
                if let Some(point) = self.points.pop_front() {
                    self.reached.push(point);
                }
                self.restart().await?;
            }
            match self.advance(&mut removed).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                // the server has just ended, or is about to
                Err(error) => told = format!("{error:#}"),
            }
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    }

    async fn restart(&mut self) -> Result<()> {
        if !self.server.has_ended()? {
            self.server.kill().await?;
        }
        self.server.start(self.points.front().map(String::as_str)).await
    }

    /// Does the next thing a person would; true when the story is over.
    async fn advance(&mut self, removed: &mut bool) -> Result<bool> {
        let investigations: Vec<Investigation> = self.api.each("/investigations", "/investigations").await?;
        let Some(investigation) = investigations.first() else { return Ok(false) };
        // a person decides when nothing more joins the story
        let open =
            JobFilter { state: vec![JobState::Waiting, JobState::Leased], kind: Some("investigation".to_owned()) };
        if !self.sensor.is_empty() || !self.store.jobs(&open, &Page::first(1)).await?.items.is_empty() {
            return Ok(false);
        }
        ensure!(investigation.steps.iter().all(|step| step.ended_at.is_some()), "a step has no job any more");
        let actions: Vec<Action> = self.api.list("/actions").await?;
        let running = |action: &&Action| matches!(action.state, ActionState::Queued | ActionState::Running);
        if let Some(busy) = actions.iter().find(running) {
            anyhow::bail!("{} is {:?}: {:?}", busy.spec.kind(), busy.state, busy.receipts);
        }
        let mut pending: Vec<&Action> =
            actions.iter().filter(|action| action.state == ActionState::PendingApproval).collect();
        let place = |action: &Action| ORDER.iter().position(|kind| *kind == action.spec.kind());
        pending.sort_by_key(|action| (place(action), action.id));
        if let Some(next) = pending.first() {
            self.api.post(&format!("/actions/{}/approve", next.id), json!({})).await?;
            return Ok(false);
        }
        if !*removed {
            ensure!(self.mails().await?.is_empty(), "mails are left after the removal");
            *removed = true;
        }
        for kind in ["quarantine_file", "add_indicator", "soft_delete_messages"] {
            // the same one however the story was cut: which of several is ordered first depends on that
            let first = actions.iter().filter(|action| action.spec.kind() == kind).min_by_key(|action| about(action));
            let first = first.with_context(|| format!("no {kind}"))?;
            if first.state != ActionState::Undone {
                ensure!(first.state == ActionState::Succeeded, "{kind} is {:?}: {:?}", first.state, first.receipts);
                self.api.post(&format!("/actions/{}/undo", first.id), json!({})).await?;
                return Ok(false);
            }
        }
        let back = self.mails().await?;
        ensure!(back.len() == self.before.len(), "{} of {} mails are back", back.len(), self.before.len());
        for (before, after) in self.before.iter().zip(&back) {
            ensure!(before.raw == after.raw && before.flags == after.flags, "a mail came back changed");
            ensure!(before.internal_date == after.internal_date, "a mail came back with another date");
        }
        // the points left are not passed any more
        Ok(true)
    }

    async fn mails(&self) -> Result<Vec<Mail>> {
        mails(self.place.rig).await
    }
}

/// What an action is about, the same in every run.
fn about(action: &Action) -> String {
    let mut spec = serde_json::to_value(&action.spec).expect("specs serialise");
    spec.as_object_mut().expect("a spec is an object").remove("device_id");
    spec.to_string()
}

async fn mails(rig: &MailRig) -> Result<Vec<Mail>> {
    let mut found = Vec::new();
    for user in &rig.users[..2] {
        found.extend(rig.imap(user).await?.mails("INBOX").await?);
    }
    Ok(found)
}

/// Starts a server over the mail system for the first time; returns it with its first administrator
/// and the store beside it. `more` is added to its configuration (TOML).
pub async fn house(
    rig: &MailRig,
    milter: SocketAddr,
    dir: &Path,
    database: Option<&str>,
    more: &str,
) -> Result<(ServerProcess, Api, Store)> {
    std::fs::create_dir_all(dir)?;
    let password = dir.join("master.password");
    std::fs::write(&password, &rig.master_password)?;
    let store = database.map(|url| format!("[store]\nurl = \"{url}\"\n\n")).unwrap_or_default();
    let more = format!(
        "{store}[[mailboxes]]\nusers_file = \"{}\"\n\n[mailboxes.imap]\nhost = \"127.0.0.1\"\nport = {}\n\
         tls = \"none\"\nmaster_user = \"{}\"\npassword_file = \"{}\"\n\n{more}",
        rig.users_file.display(),
        rig.imap_addr.port(),
        rig.master_user,
        password.display(),
    );
    let program = Path::new(env!("CARGO_BIN_EXE_hinomi"));
    let mut server = ServerProcess::new(program, dir, Some(milter), &more)?;
    server.start(None).await?;
    let api = server.set_up().await?;
    let sqlite = || format!("sqlite:{}", server.data().join("hinomi.db").display());
    let store = Store::open(&database.map_or_else(sqlite, str::to_owned)).await?;
    Ok((server, api, store))
}

/// Starts the server, enrols the sensor, delivers the mail.
async fn begin<'a>(place: Place<'a>, points: &[String]) -> Result<Story<'a>> {
    let rig = place.rig;
    let more = "[investigation]\nautomation_level = \"semiAll\"\n";
    let (server, mut api, store) = house(rig, place.milter, &place.dir, place.database.as_deref(), more).await?;
    let sensor = FakeSensor::enrol(&server.enrolment_token().await?, DEVICE).await?;
    let sample = Sample::new(rig.imap_addr)?;
    std::fs::write(place.dir.join("attachment"), &sample.script)?;
    let recipients: Vec<&str> = rig.users[..2].iter().map(String::as_str).collect();
    rig.send(SENDER, &recipients, &sample.mail(recipients[0])).await?;
    for user in &recipients {
        rig.wait_for(user, 1, SOON).await?;
    }
    let path = format!("/messages?sha256={}", sha256(&sample.script));
    wait_for("the gateway's record of the mail", SOON, async || {
        let copies: Vec<serde_json::Value> = api.list(&path).await?;
        Ok((copies.len() == recipients.len()).then_some(()))
    })
    .await?;
    let before = mails(rig).await?;
    let points = points.iter().cloned().collect();
    Ok(Story { place, server, api, sensor, store, points, reached: Vec::new(), before })
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(sha2::Sha256::digest(bytes))
}
