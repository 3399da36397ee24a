//! Notifications of a real server: a scenario's alerts go by the rules to receivers on this machine,
//! which answer, refuse and fail. Slack and Teams themselves are not asked: their forms are checked
//! against what they document.

#[path = "scenario/expected.rs"]
#[allow(dead_code, reason = "shared with other tests, which use other parts")]
mod expected;
#[path = "scenario/house.rs"]
#[allow(dead_code, reason = "shared with other tests, which use other parts")]
mod house;
mod recorded;

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path as UrlPath, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use hinomi_model::{Notification, NotificationKind, NotificationState, Severity, Timestamp};
use hinomi_server::config::Config;
use hinomi_server::notifications;
use hinomi_store::{JobFilter, JobState, NotificationFilter, Page};
use house::House;
use recorded::scenarios;
use ring::hmac;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, UdpSocket};
use tokio::time::Instant;

const WAIT: Duration = Duration::from_secs(60);
const SECRET: &str = "a key of this test";

/// What came, by channel, and the statuses to be answered first.
#[derive(Default)]
struct Inbox {
    came: BTreeMap<String, Vec<(HeaderMap, Bytes)>>,
    answers: BTreeMap<String, Vec<StatusCode>>,
}

type Shared = Arc<Mutex<Inbox>>;

async fn receive(
    State(inbox): State<Shared>,
    UrlPath(channel): UrlPath<String>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    let mut inbox = inbox.lock().expect("inbox");
    inbox.came.entry(channel.clone()).or_default().push((headers, body));
    let answers = inbox.answers.entry(channel).or_default();
    (if answers.is_empty() { StatusCode::OK } else { answers.remove(0) }, "thank you")
}

/// A server with a clock that can be moved on, and the receivers.
struct Stage {
    house: House,
    inbox: Shared,
    ahead: Arc<AtomicI64>,
}

impl Stage {
    /// `more`: channels and rules; `{base}` is the address of the receiver, `{dir}` a folder with the key.
    async fn open(more: &str, dir: &std::path::Path) -> Result<Stage> {
        let inbox = Shared::default();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let base = format!("http://{}", listener.local_addr()?);
        let router = Router::new().route("/{channel}", post(receive)).with_state(inbox.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        std::fs::write(dir.join("key"), format!("{SECRET}\n"))?;
        let more = more.replace("{base}", &base).replace("{dir}", &dir.display().to_string());
        let config: Config = toml::from_str(&format!("[gateway]\nown_domains = [\"corp.example\"]\n{more}"))?;
        config.check()?;
        let ahead = Arc::new(AtomicI64::new(0));
        let shift = ahead.clone();
        let clock = Box::new(move || {
            let now = jiff::Timestamp::now().as_microsecond();
            Timestamp::from_micros(now + shift.load(Ordering::Relaxed) * 1_000_000)
        });
        Ok(Stage { house: House::open_with(config, Some(clock)).await?, inbox, ahead })
    }

    /// Plays a scenario and waits until nothing but what is due later is left.
    async fn play(&mut self, scenario: &str) -> Result<()> {
        self.house.play(&scenarios().join(scenario)).await?;
        self.rest().await
    }

    async fn rest(&self) -> Result<()> {
        let until = Instant::now() + WAIT;
        loop {
            let filter = JobFilter { state: vec![JobState::Waiting, JobState::Leased], kind: None };
            let jobs = self.house.ctx.store.jobs(&filter, &Page::first(200)).await?.items;
            // what is tried again comes sooner than what is due later
            let later = self.house.ctx.now().plus_seconds(30);
            if jobs.iter().all(|job| job.run_at > later) {
                return Ok(());
            }
            ensure!(Instant::now() < until, "jobs do not end: {jobs:?}");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// Moves the clock on.
    async fn wait(&self, seconds: i64) -> Result<()> {
        self.ahead.fetch_add(seconds, Ordering::Relaxed);
        self.house.ctx.jobs.notify_one();
        self.rest().await
    }

    fn came(&self, channel: &str) -> Vec<(HeaderMap, Value)> {
        let inbox = self.inbox.lock().expect("inbox");
        let came = inbox.came.get(channel).cloned().unwrap_or_default();
        came.into_iter().map(|(headers, body)| (headers, serde_json::from_slice(&body).expect("JSON"))).collect()
    }

    fn answer(&self, channel: &str, answers: &[StatusCode]) {
        self.inbox.lock().expect("inbox").answers.insert(channel.to_owned(), answers.to_vec());
    }

    async fn told(&self, channel: &str) -> Result<Vec<Notification>> {
        let filter = NotificationFilter { channel: Some(channel.to_owned()), ..Default::default() };
        let mut told = self.house.ctx.store.notifications(&filter, &Page::first(200)).await?.items;
        told.reverse();
        Ok(told)
    }
}

fn states(told: &[Notification]) -> Vec<(NotificationKind, NotificationState)> {
    told.iter().map(|one| (one.kind, one.state)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_channel_is_told_once_per_incident_and_severity_in_its_own_form() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let tcp = TcpListener::bind("127.0.0.1:0").await?;
    let udp = UdpSocket::bind("127.0.0.1:0").await?;
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let (into, tcp_address) = (lines.clone(), tcp.local_addr()?);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = tcp.accept().await {
            let mut text = String::new();
            if stream.read_to_string(&mut text).await.is_ok() {
                into.lock().expect("lines").push(text);
            }
        }
    });
    let config = format!(
        r#"
[notify]
[[notify.channel]]
name = "chat"
kind = "slack"
url = "{{base}}/chat"
allow_local = true
language = "ja"
[[notify.channel]]
name = "cards"
kind = "teams"
url = "{{base}}/cards"
allow_local = true
names = false
[[notify.channel]]
name = "soar"
kind = "webhook"
url = "{{base}}/soar"
allow_local = true
secret_file = "{{dir}}/key"
[[notify.channel]]
name = "siem"
kind = "syslog_json"
url = "tcp://{tcp_address}"
[[notify.channel]]
name = "old siem"
kind = "syslog_cef"
url = "udp://{}"
[[notify.channel]]
name = "closed"
kind = "webhook"
url = "{{base}}/closed"
[[notify.rule]]
name = "everything"
severities = ["high", "medium", "low", "informational"]
channels = ["chat", "cards", "soar", "siem", "old siem", "closed"]
"#,
        udp.local_addr()?
    );
    let mut stage = Stage::open(&config, dir.path()).await?;
    stage.answer("soar", &[StatusCode::SERVICE_UNAVAILABLE]);
    stage.play("mail-attachment-linux").await?;
    let incidents = stage.house.incidents().await?;
    let mut severities: Vec<Severity> = Vec::new();
    for link in incidents.iter().flat_map(|incident| &incident.alerts) {
        let alert = stage.house.ctx.store.alert(link.alert_id).await?.context("alert")?;
        severities.push(alert.severity);
    }
    severities.sort_unstable();
    severities.dedup();
    ensure!(incidents.len() == 1 && !severities.is_empty(), "{incidents:?}");
    let wanted = vec![(NotificationKind::Alert, NotificationState::Sent); severities.len()];

    for channel in ["chat", "cards", "soar", "siem", "old siem"] {
        assert_eq!(states(&stage.told(channel).await?), wanted, "{channel}");
    }
    let chat = stage.came("chat");
    assert_eq!(chat.len(), severities.len());
    for (_, document) in &chat {
        let text = document["text"].as_str().context("text")?;
        ensure!(text.starts_with("[Hinomi][") && text.contains("INC-"), "{text}");
        for block in document["blocks"].as_array().context("blocks")? {
            ensure!(!block.to_string().contains("mrkdwn"), "nothing is read as markup: {block}");
        }
        ensure!(document.to_string().contains("https://hinomi.test/incidents/"), "{document}");
    }
    let device = incidents[0].devices[0].name.clone();
    ensure!(chat.iter().any(|(_, document)| document.to_string().contains(&device)));
    for (_, document) in stage.came("cards") {
        let card = document.to_string();
        ensure!(card.len() < 28_000 && card.contains("AdaptiveCard") && !card.contains("\"TextBlock\""), "{card}");
        ensure!(!card.contains(&device), "names stay in the house: {card}");
    }

    // the one that was refused came again under the same id, and every try is signed
    let soar = stage.came("soar");
    assert_eq!(soar.len(), severities.len() + 1);
    let again = soar.iter().filter(|(_, one)| one["id"] == soar[0].1["id"]).count();
    assert_eq!(again, 2);
    let tries: Vec<i64> = stage.told("soar").await?.iter().map(|one| one.attempts).collect();
    assert_eq!(tries.iter().sum::<i64>(), soar.len() as i64, "{tries:?}");
    let raw = stage.inbox.lock().expect("inbox").came["soar"].clone();
    for (headers, body) in raw {
        let header =
            |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let signed = format!("{}.{}", header("hinomi-timestamp"), String::from_utf8_lossy(&body));
        let tag = hex::decode(header("hinomi-signature").trim_start_matches("v1="))?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        hmac::verify(&key, signed.as_bytes(), &tag).map_err(|_| anyhow::anyhow!("the signature does not fit"))?;
    }

    let until = Instant::now() + WAIT;
    while lines.lock().expect("lines").len() < severities.len() {
        ensure!(Instant::now() < until, "syslog lines are missing");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for line in lines.lock().expect("lines").iter() {
        let (length, message) = line.split_once(' ').context("octet counting")?;
        assert_eq!(length.parse::<usize>()?, message.len(), "{line}");
        ensure!(
            message.starts_with('<') && message.contains(">1 ") && message.contains(" hinomi - alert - "),
            "{line}"
        );
        let (_, json) = message.split_once('\u{feff}').context("byte order mark")?;
        assert_eq!(serde_json::from_str::<Value>(json)?["incident"], incidents[0].number);
    }
    let mut datagram = vec![0; 4_096];
    let length = tokio::time::timeout(WAIT, udp.recv(&mut datagram)).await??;
    let cef = String::from_utf8_lossy(&datagram[..length]).into_owned();
    ensure!(cef.contains("CEF:0|Hinomi|Hinomi|") && cef.contains("externalId=INC-"), "{cef}");

    // loopback is not allowed unless said so: given up, and told
    let closed = stage.told("closed").await?;
    ensure!(
        closed.iter().all(|one| one.state == NotificationState::Failed && one.answer.contains("allowed")),
        "{closed:?}"
    );
    assert!(stage.came("closed").is_empty());
    stage.house.close().await
}

/// A syslog server over TLS whose certificate is signed by itself: its certificate as PEM, its port and what
/// it was told.
async fn tls_syslog() -> Result<(String, u16, Arc<Mutex<Vec<String>>>)> {
    let key = rcgen::KeyPair::generate()?;
    let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()])?.self_signed(&key)?;
    let secret = rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], secret)?;
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let into = lines.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut text = String::new();
            // who does not trust the certificate never gets this far
            if let Ok(mut stream) = acceptor.accept(stream).await
                && stream.read_to_string(&mut text).await.is_ok()
            {
                into.lock().expect("lines").push(text);
            }
        }
    });
    Ok((certificate.pem(), port, lines))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_choose_by_source_and_tag_and_syslog_goes_over_tls() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (authority, port, lines) = tls_syslog().await?;
    let (stranger, ..) = tls_syslog().await?;
    std::fs::write(dir.path().join("ca.pem"), authority)?;
    std::fs::write(dir.path().join("stranger.pem"), stranger)?;
    let webhook = |name: &str| {
        format!(
            "[[notify.channel]]\nname = \"{name}\"\nkind = \"webhook\"\nurl = \"{{base}}/{name}\"\n\
             allow_local = true\nsecret_file = \"{{dir}}/key\"\n"
        )
    };
    let syslog = |name: &str, file: &str| {
        format!(
            "[[notify.channel]]\nname = \"{name}\"\nkind = \"syslog_json\"\n\
             url = \"tls://localhost:{port}\"\nca_file = \"{{dir}}/{file}\"\n"
        )
    };
    let rule = |name: &str, choice: &str, channel: &str| {
        format!(
            "[[notify.rule]]\nname = \"{name}\"\nseverities = [\"high\", \"medium\", \"low\", \"informational\"]\n\
             {choice}\nchannels = [\"{channel}\"]\n"
        )
    };
    let parts = [
        "[notify]\n".to_owned(),
        ["behaviour", "indicators", "finance", "servers"].map(webhook).concat(),
        syslog("siem", "ca.pem"),
        syslog("distrusted", "stranger.pem"),
        rule("behaviour", "sources = [\"rule\"]", "behaviour"),
        rule("indicators", "sources = [\"customTi\"]", "indicators"),
        rule("finance", "tags = [\"sales\", \"finance\"]", "finance"),
        rule("servers", "tags = [\"servers\"]", "servers"),
        rule("siem", "", "siem"),
    ];
    let mut stage = Stage::open(&parts.concat(), dir.path()).await?;
    for batch in recorded::batches(&scenarios().join("mail-attachment-linux"))? {
        if let Some(mut device) = recorded::device(&batch, stage.house.ctx.now()) {
            device.tags = vec!["finance".to_owned()];
            stage.house.ctx.store.put_device(&device).await?;
        }
    }
    stage.play("mail-attachment-linux").await?;

    let sent = |told: &[Notification]| !told.is_empty() && told.iter().all(|one| one.state == NotificationState::Sent);
    for (channel, chosen) in [("behaviour", true), ("indicators", false), ("finance", true), ("servers", false)] {
        let told = stage.told(channel).await?;
        ensure!(sent(&told) == chosen && told.is_empty() != chosen, "{channel}: {told:?}");
        assert_eq!(stage.came(channel).is_empty(), !chosen, "{channel}");
    }

    let told = stage.told("siem").await?;
    ensure!(sent(&told), "{told:?}");
    let until = Instant::now() + WAIT;
    while lines.lock().expect("lines").len() < told.len() {
        ensure!(Instant::now() < until, "syslog lines are missing");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for line in lines.lock().expect("lines").iter() {
        let (length, message) = line.split_once(' ').context("octet counting (RFC 5425)")?;
        assert_eq!(length.parse::<usize>()?, message.len(), "{line}");
    }
    // nothing is told to a server whose certificate is not trusted
    let tried = notifications::test(&stage.house.ctx, "distrusted", "kana").await?.context("a channel")?;
    ensure!(!tried.ok && tried.answer.contains("certificate"), "{tried:?}");
    stage.house.close().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_is_told_together_and_what_nobody_takes_is_told_to_others() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let config = r#"
[notify]
digest_at = "08:00"
[[notify.channel]]
name = "desk"
kind = "webhook"
url = "{base}/desk"
allow_local = true
[[notify.channel]]
name = "boss"
kind = "webhook"
url = "{base}/boss"
allow_local = true
[[notify.channel]]
name = "daily"
kind = "webhook"
url = "{base}/daily"
allow_local = true
[[notify.channel]]
name = "little"
kind = "webhook"
url = "{base}/little"
allow_local = true
per_hour = 0
[[notify.rule]]
name = "at once"
severities = ["high", "medium"]
channels = ["desk"]
escalate_minutes = 15
escalate_to = ["boss"]
[[notify.rule]]
name = "later"
severities = ["high", "medium", "low", "informational"]
when = "digest"
channels = ["daily"]
[[notify.rule]]
name = "not too many"
severities = ["high", "medium", "low"]
channels = ["little"]
[[notify.rule]]
name = "decisions"
about = ["approvals"]
channels = ["desk"]
"#;
    let mut stage = Stage::open(config, dir.path()).await?;
    stage.play("two-attacks-apart").await?;
    let incidents = stage.house.incidents().await?;
    assert_eq!(incidents.len(), 2);
    assert!(stage.came("daily").is_empty() && stage.came("boss").is_empty());
    let held = stage.told("daily").await?;
    assert!(!held.is_empty() && held.iter().all(|one| one.state == NotificationState::Held), "{held:?}");
    let little = stage.told("little").await?;
    let is_right = |one: &Notification| {
        one.state
            == if one.severity == Some(Severity::High) { NotificationState::Sent } else { NotificationState::Held }
    };
    assert!(little.iter().all(is_right), "high is never held back: {little:?}");

    // somebody takes one of the two
    let mut tx = stage.house.ctx.store.begin().await?;
    let mut taken = tx.incident(incidents[0].id).await?.context("incident")?;
    taken.assigned_to = Some("kana".to_owned());
    tx.put_incident(&taken).await?;
    tx.commit().await?;
    stage.wait(15 * 60 + 1).await?;
    let boss = stage.told("boss").await?;
    let severities = |number: i64| boss.iter().filter(|one| one.incident == Some(number)).count();
    assert_eq!(severities(incidents[0].number), 0, "{boss:?}");
    assert!(severities(incidents[1].number) > 0, "{boss:?}");
    assert!(boss.iter().all(|one| one.kind == NotificationKind::Escalation && one.state == NotificationState::Sent));
    let (_, document) = &stage.came("boss")[0];
    assert_eq!(document["type"], "hinomi.escalation");
    let untaken = stage.house.ctx.store.incident(incidents[1].id).await?.context("incident")?;
    assert!(untaken.activities.iter().any(|one| one.text.en.contains("boss told")), "{:?}", untaken.activities);

    // the digests, one per channel
    stage.wait(24 * 3_600).await?;
    for channel in ["daily", "little"] {
        let told = stage.told(channel).await?;
        let digests: Vec<&Notification> = told.iter().filter(|one| one.kind == NotificationKind::Digest).collect();
        let waited: Vec<&Notification> = told.iter().filter(|one| one.digest.is_some()).collect();
        if waited.is_empty() {
            continue;
        }
        assert_eq!(digests.len(), 1, "{told:?}");
        assert!(waited.iter().all(|one| one.state == NotificationState::Digested && one.digest == Some(digests[0].id)));
        let came = stage.came(channel);
        let digest = &came.iter().find(|(_, one)| one["type"] == "hinomi.digest").context("digest")?.1;
        assert_eq!(digest["data"]["list"].as_array().context("lines")?.len(), waited.len());
    }
    assert!(stage.told("daily").await?.iter().any(|one| one.kind == NotificationKind::Digest));
    let approvals: Vec<Notification> =
        stage.told("desk").await?.into_iter().filter(|one| one.kind == NotificationKind::Approval).collect();
    let investigations: std::collections::BTreeSet<_> = approvals.iter().map(|one| one.incident).collect();
    assert_eq!(approvals.len(), investigations.len(), "those of one investigation together: {approvals:?}");
    stage.house.close().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_for_good_waits_for_a_person_who_sends_it_again() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let config = r#"
[notify]
[[notify.channel]]
name = "desk"
kind = "webhook"
url = "{base}/desk"
allow_local = true
[[notify.rule]]
name = "high"
severities = ["high"]
channels = ["desk"]
"#;
    let mut stage = Stage::open(config, dir.path()).await?;
    stage.answer("desk", &[StatusCode::NOT_FOUND]);
    stage.play("mail-attachment-linux").await?;
    let ctx = &stage.house.ctx;
    let [failed] = &stage.told("desk").await?[..] else { anyhow::bail!("one") };
    assert_eq!((failed.state, failed.attempts), (NotificationState::Failed, 1));
    assert!(failed.answer.contains("404"), "{failed:?}");
    let sent = notifications::resend(ctx, failed.id).await?.context("it waits")?;
    assert_eq!(sent.state, NotificationState::Pending);
    assert!(notifications::resend(ctx, failed.id).await?.is_none(), "it is on its way");
    stage.rest().await?;
    let [told] = &stage.told("desk").await?[..] else { anyhow::bail!("one") };
    assert_eq!((told.state, told.attempts), (NotificationState::Sent, 2));
    let came = stage.came("desk");
    assert_eq!(came[0].1["id"], came[1].1["id"]);

    stage.answer("desk", &[StatusCode::FORBIDDEN]);
    let refused = notifications::test(ctx, "desk", "kana").await?.context("a channel")?;
    assert!(!refused.ok && refused.answer.contains("403"), "{refused:?}");
    let taken = notifications::test(ctx, "desk", "kana").await?.context("a channel")?;
    assert!(taken.ok && taken.answer.contains("200"), "{taken:?}");
    assert!(notifications::test(ctx, "nobody", "kana").await?.is_none());
    let tests: Vec<_> = states(&stage.told("desk").await?).split_off(1);
    let of_test = |state| (NotificationKind::Test, state);
    assert_eq!(tests, [of_test(NotificationState::Failed), of_test(NotificationState::Sent)]);
    stage.house.close().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_that_cannot_be_fetched_is_told_once() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let config = r#"
[[indicators.feeds]]
name = "isac"
kind = "mispFeed"
url = "http://127.0.0.1:1/"
[notify]
[[notify.channel]]
name = "desk"
kind = "webhook"
url = "{base}/desk"
allow_local = true
[[notify.rule]]
name = "connectors"
about = ["connectors"]
channels = ["desk"]
"#;
    let stage = Stage::open(config, dir.path()).await?;
    let ctx = &stage.house.ctx;
    let end = Instant::now() + WAIT;
    for round in 0..2 {
        hinomi_server::indicators::feeds::order(ctx, "isac", "aki", false).await?;
        // the chores that look for it come every 15 s
        while round == 0 && stage.came("desk").is_empty() {
            ensure!(Instant::now() < end, "nothing was told");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    stage.house.settle().await?;
    let [(_, body)] = stage.came("desk").try_into().expect("told once");
    ensure!(body.to_string().contains("isac") && body.to_string().contains("hinomi indicators feeds"), "{body}");
    ensure!(stage.told("desk").await?.len() == 1);
    stage.house.close().await
}
