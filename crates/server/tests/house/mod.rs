//! A server over a real Dovecot of its own, for tests of mail actions.

use hinomi_model::{
    Action, ActionId, ActionSpec, Classification, Determination, Event, Incident, IncidentStatus, LateCause, MailField,
    MailFilter, MessageCopy, MessageCopyRef, MessageRemedy, ReceiptState, Severity, Table, Text, Timestamp,
};
use hinomi_server::actions::{self, Proposal};
use hinomi_server::config::{Config, CrawlConfig, ImapConfig, MailTls, MailboxesConfig};
use hinomi_server::serve::{Running, ServeOptions, start};
use hinomi_store::Page;
use hinomi_testkit::mail::{MailRig, MailRigConfig};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub const DEADLINE: Duration = Duration::from_secs(60);
pub const DATE: &str = "01-Feb-2020 10:00:00 +0000";

/// A server over a mail system of its own.
pub struct House {
    pub rig: MailRig,
    pub dir: tempfile::TempDir,
    pub users_file: PathBuf,
    pub config: Config,
    pub running: Option<Running>,
}

impl House {
    pub async fn start(users: usize, change: impl FnOnce(&mut Config)) -> House {
        let rig = MailRig::start(MailRigConfig { users, smtp: false, ..Default::default() }).await.expect("rig");
        let dir = tempfile::tempdir().expect("temp dir");
        let users_file = dir.path().join("users");
        std::fs::write(&users_file, rig.users.join("\n")).expect("users");
        let mut config = Config::default();
        config.listen.console = "127.0.0.1:0".parse().expect("address");
        config.listen.sensors = config.listen.console;
        config.gateway.enabled = false;
        config.gateway.own_domains = vec!["example.test".to_owned()];
        config.crawl = Some(CrawlConfig { every_seconds: 1, mails_per_second: 1_000, ..Default::default() });
        config.mailboxes = vec![mailboxes(&rig, dir.path(), &users_file)];
        change(&mut config);
        let mut house = House { rig, dir, users_file, config, running: None };
        house.run().await;
        house
    }

    pub async fn run(&mut self) {
        let options = ServeOptions {
            data: self.dir.path().join("data"),
            config: self.config.clone(),
            write_enrolment_token: None,
            mail_worker: Default::default(),
        };
        self.running = Some(start(options).await.expect("server starts"));
    }

    pub async fn stop(&mut self) {
        self.running.take().expect("runs").stop().await.expect("stops");
    }

    pub fn running(&self) -> &Running {
        self.running.as_ref().expect("runs")
    }

    pub async fn put(&self, user: usize, folder: &str, raw: &[u8]) {
        let mut client = self.rig.imap(&self.rig.users[user]).await.expect("login");
        client.append(folder, "", DATE, raw).await.expect("append");
    }

    /// Puts a mail as if it were delivered now.
    pub async fn deliver(&self, user: usize, raw: &[u8]) {
        let mut client = self.rig.imap(&self.rig.users[user]).await.expect("login");
        client.append("INBOX", "", "", raw).await.expect("append");
    }

    pub async fn count(&self, user: usize, folder: &str) -> usize {
        self.rig.imap(&self.rig.users[user]).await.expect("login").count(folder).await.expect("count")
    }

    /// Waits until the copies of a Message-ID are as wanted.
    pub async fn copies(&self, id: &str, what: &str, wanted: impl Fn(&[MessageCopy]) -> bool) -> Vec<MessageCopy> {
        let filter = MailFilter::default().with(MailField::InternetMessageId, id);
        let end = Instant::now() + DEADLINE;
        loop {
            let found = self.running().ctx.store.messages(&filter, &Page::first(200)).await.expect("list").items;
            if wanted(&found) {
                return found;
            }
            assert!(Instant::now() < end, "{what}: {found:#?}");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    pub async fn order(
        &self,
        remedy: MessageRemedy,
        copies: &[MessageCopy],
        by: &str,
        incident: Option<Incident>,
    ) -> ActionId {
        let refs =
            copies.iter().map(|copy| MessageCopyRef { message_id: copy.message_id, recipient: copy.recipient.clone() });
        let proposal = Proposal {
            spec: ActionSpec::of_remedy(remedy, refs.collect(), false),
            reason: Text::same("test"),
            by,
            incident: incident.map(|incident| incident.id),
            investigation: None,
            idempotency_key: None,
            approve_now: Some((by, None)),
            signs: Vec::new(),
            grounds: None,
            again: None,
        };
        actions::propose(&self.running().ctx, proposal).await.expect("ordered").id
    }

    /// Waits until an action is as wanted.
    pub async fn action(&self, id: ActionId, what: &str, wanted: impl Fn(&Action) -> bool) -> Action {
        let end = Instant::now() + DEADLINE;
        loop {
            let action = self.running().ctx.store.action(id).await.expect("read").expect("there");
            if wanted(&action) {
                return action;
            }
            assert!(Instant::now() < end, "{what}: {action:#?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn over(&self, id: ActionId) -> Action {
        self.action(id, "over", |action| action.finished_at.is_some()).await
    }

    /// Waits until no action is worked on.
    pub async fn rests(&self) {
        let leased = hinomi_store::JobFilter {
            state: vec![hinomi_store::JobState::Leased],
            kind: Some(actions::JOB.to_owned()),
        };
        let end = Instant::now() + DEADLINE;
        while !self.running().ctx.store.jobs(&leased, &Page::first(10)).await.expect("jobs").items.is_empty() {
            assert!(Instant::now() < end, "its job stops");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Rows about what was done after delivery: what, why, recipient.
    pub fn rows(&self) -> Vec<(String, String, String)> {
        let mut reader = self.running().ctx.ingest.log().read_from(0);
        let mut rows = Vec::new();
        while let Some((_, payload)) = reader.try_next().expect("log reads") {
            let end = payload.iter().position(|byte| *byte == b'\n').expect("header");
            let header: serde_json::Value = serde_json::from_slice(&payload[..end]).expect("json");
            let count = header["count"].as_u64().expect("count") as usize;
            let events: Vec<Event> = hinomi_wire::unpack(&payload[end + 1..], count).expect("unpacks");
            rows.extend(events.iter().filter(|event| event.table == Table::EmailPostDeliveryEvents).map(|event| {
                let text = |name: &str| event.str(name).unwrap_or_default().to_owned();
                (text("Action"), text("ActionType"), text("RecipientEmailAddress"))
            }));
        }
        rows.sort();
        rows
    }

    pub async fn incident(&self) -> Incident {
        let mut tx = self.running().ctx.store.begin().await.expect("tx");
        let incident = incident();
        tx.put_incident(&incident).await.expect("put");
        tx.commit().await.expect("commit");
        incident
    }

    pub async fn activities(&self, incident: &Incident) -> Vec<String> {
        let known = self.running().ctx.store.incident(incident.id).await.expect("read").expect("there");
        known.activities.into_iter().map(|activity| activity.text.en).collect()
    }
}

pub fn incident() -> Incident {
    let now = Timestamp::from_micros(1_700_000_000_000_000);
    Incident {
        id: hinomi_server::ids::new(),
        number: 1,
        title: Text::same("test"),
        title_by_person: false,
        severity_by_person: false,
        severity: Severity::Low,
        status: IncidentStatus::Active,
        classification: Classification::Unknown,
        determination: Determination::Unknown,
        assigned_to: None,
        tags: vec![],
        alerts: vec![],
        devices: vec![],
        users: vec![],
        mailboxes: vec![],
        tactics: vec![],
        techniques: vec![],
        investigations: vec![],
        comments: vec![],
        activities: vec![],
        redirected_to: None,
        merged: None,
        apart: Vec::new(),
        took_in: Vec::new(),
        created_at: now,
        updated_at: now,
        first_activity: now,
        last_activity: now,
        version: 0,
    }
}

pub fn mailboxes(rig: &MailRig, dir: &Path, users_file: &Path) -> MailboxesConfig {
    let password = dir.join("password");
    std::fs::write(&password, format!("{}\n", rig.master_password)).expect("password");
    let imap = ImapConfig {
        host: "127.0.0.1".to_owned(),
        port: rig.imap_addr.port(),
        tls: MailTls::None,
        ca_file: None,
        master_user: Some(rig.master_user.clone()),
        master_separator: "*".to_owned(),
        shared_prefix: None,
        password_file: Some(password),
        credentials_file: None,
    };
    MailboxesConfig {
        name: "main".to_owned(),
        users_file: Some(users_file.to_owned()),
        connections: 2,
        imap: Some(imap),
        maildir: None,
        graph: None,
    }
}

/// A mail; `hop` is a line another delivery of the same mail has otherwise.
pub fn mail(id: &str, hop: &str, text: &str) -> Vec<u8> {
    format!(
        "Received: by {hop}\r\nFrom: Someone <someone@elsewhere.test>\r\nTo: staff@example.test\r\nSubject: Hello\r\n\
         Message-ID: <{id}>\r\nDate: Sun, 22 Nov 2026 01:00:00 +0000\r\nContent-Type: text/plain\r\n\r\n{text}\r\n"
    )
    .into_bytes()
}

pub fn states(action: &Action) -> Vec<ReceiptState> {
    let mut states: Vec<ReceiptState> = action.receipts.iter().map(|receipt| receipt.state).collect();
    states.sort();
    states
}

pub fn late(action: &Action) -> Vec<(LateCause, ReceiptState)> {
    let late = action.follow_up.iter().flat_map(|follow_up| &follow_up.receipts);
    let mut late: Vec<_> = late.map(|late| (late.cause, late.receipt.state)).collect();
    late.sort();
    late
}
