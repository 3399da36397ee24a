//! Correlation rules over the events of all devices: one alert with its events, counted exactly once
//! over restarts, whatever order and batches they come in.

use anyhow::{Context, Result, ensure};
use hinomi_detect::{Engine, RuleSource, content};
use hinomi_model::{Alert, DemoId, DeviceId, Event, Severity, Table, Timestamp};
use hinomi_server::analyst;
use hinomi_server::app::{ANALYST, App, CORRELATIONS, Ctx, Urls};
use hinomi_server::config::Config;
use hinomi_server::indicators;
use hinomi_server::ingest::{self, Source};
use hinomi_store::{AlertFilter, Page};
use hinomi_testkit::postgres::Postgres;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const WAIT: Duration = Duration::from_secs(60);
/// When the stories begin, seconds: now, as the time goes on while they are told.
fn start() -> i64 {
    jiff::Timestamp::now().as_second()
}

const RULES: &str = "\
title: a guess
id: guess
name: guess
logsource: {product: hinomi, service: DeviceProcessEvents}
detection: {s: {FileName: guess}, condition: s}
---
title: Password guessed
id: guessed
level: high
tags: [attack.credential-access, attack.t1110]
correlation:
  type: event_count
  rules: [guess]
  group-by: [AccountName]
  timespan: 10m
  condition: {gte: 5}
---
title: a rare thing
id: rare
logsource: {product: hinomi, service: DeviceProcessEvents}
detection: {s: {FileName: rare}, condition: s}
---
title: Few
id: few
level: low
correlation:
  type: event_count
  rules: [rare]
  group-by: [DeviceId]
  timespan: 1s
  condition: {lte: 1}
";

struct House {
    ctx: Ctx,
    pipeline: tokio::task::JoinHandle<Result<()>>,
}

impl House {
    async fn open(data: &Path, database: Option<&str>) -> Result<House> {
        let mut config = Config::default();
        config.store.url = database.map(str::to_owned);
        let urls = Urls { console: "https://hinomi.test".to_owned(), sensors: "https://hinomi.test:8444".to_owned() };
        let ctx: Ctx = Arc::new(App::open(config, data, urls, &["localhost".to_owned()]).await?);
        indicators::load(&ctx).await?;
        ctx.set_rules(engine(RULES));
        let pipeline = tokio::spawn(ingest::run(ctx.clone()));
        Ok(House { ctx, pipeline })
    }

    /// Hands events in and waits until they are analysed.
    async fn feed(&self, events: Vec<Event>) -> Result<()> {
        self.feed_from(Source::Gateway, events).await
    }

    async fn feed_from(&self, source: Source, events: Vec<Event>) -> Result<()> {
        let offset = self.ctx.ingest.append(source, events).await?;
        let until = Instant::now() + WAIT;
        while self.ctx.store.offset(ANALYST).await? <= offset {
            ensure!(Instant::now() < until, "events wait to be analysed");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    async fn alerts(&self) -> Result<Vec<Alert>> {
        Ok(self.ctx.store.alerts(&AlertFilter::default(), &Page::first(100)).await?.items)
    }

    async fn of_rule(&self, id: &str) -> Result<Vec<Alert>> {
        Ok(self.alerts().await?.into_iter().filter(|alert| alert.rule_id == id).collect())
    }

    /// Ends without a word, as a killed server does.
    async fn kill(self) -> Result<()> {
        self.pipeline.abort();
        let _ = self.pipeline.await;
        let until = Instant::now() + WAIT;
        while Arc::strong_count(&self.ctx) > 1 {
            ensure!(Instant::now() < until, "tasks go on");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.ctx.store.close().await;
        Ok(())
    }

    async fn stop(self) -> Result<()> {
        self.ctx.stop.cancel();
        self.pipeline.await??;
        self.ctx.store.close().await;
        Ok(())
    }
}

fn engine(yaml: &str) -> Arc<Engine> {
    let source = RuleSource { path: "rules.yml".to_owned(), yaml: yaml.to_owned() };
    let (engine, errors) = Engine::load(&[source], &content::embedded().fields);
    assert!(errors.is_empty(), "{}", errors[0]);
    Arc::new(engine)
}

fn device(number: u128) -> DeviceId {
    DeviceId(uuid::Uuid::from_u128(0x0197_f3a2_6b1e_7c44_9d1a_0000_0000_0000 + number))
}

fn guess(device: DeviceId, user: &str, number: i64, second: i64) -> Event {
    let mut event = Event::new(Table::DeviceProcessEvents, Timestamp::from_micros(second * 1_000_000));
    event.set("DeviceId", device.to_string()).set("DeviceName", "ws").set("ReportId", number);
    event.set("ActionType", "ProcessCreated").set("FileName", "guess").set("ProcessId", 4_000 + number);
    if !user.is_empty() {
        event.set("AccountName", user);
    }
    event.set("ProcessCreationTime", Timestamp::from_micros(second * 1_000_000));
    event
}

/// Three guesses before the server is killed, two after: one alert with five events of two devices. The
/// state is too large to be saved with every batch, so the restart reads the log again.
async fn survives(database: Option<&str>) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let house = House::open(dir.path(), database).await?;
    let (one, two, start) = (device(1), device(2), start());
    // out of order, and on two devices
    house.feed(vec![guess(one, "ann", 2, start + 9), guess(one, "ann", 1, start + 3)]).await?;
    let small = house.ctx.store.offset(CORRELATIONS).await?;
    ensure!(small == house.ctx.store.offset(ANALYST).await?, "small state is saved with the batch");
    let crowd = (0..600).map(|n| guess(one, &format!("user{n}"), 100 + n, start + 10)).collect();
    house.feed(crowd).await?;
    house.feed(vec![guess(two, "ann", 1, start + 20)]).await?;
    ensure!(house.ctx.store.offset(CORRELATIONS).await? == small, "large state waits");
    ensure!(house.alerts().await?.is_empty(), "three guesses are not five");
    house.kill().await?;

    let house = House::open(dir.path(), database).await?;
    house.feed(vec![guess(two, "ann", 2, start + 21), guess(two, "bob", 3, start + 21)]).await?;
    ensure!(house.alerts().await?.is_empty(), "four guesses are not five: nothing counts twice");
    house.kill().await?;

    let house = House::open(dir.path(), database).await?;
    house.feed(vec![guess(two, "ann", 4, start + 1)]).await?;
    let alerts = house.of_rule("guessed").await?;
    let [alert] = alerts.as_slice() else { anyhow::bail!("one alert, not {}", alerts.len()) };
    let events: Vec<_> = alert.why.iter().map(|why| (why.event.device_id, why.event.report_id.as_str())).collect();
    let expected = [(two, "4"), (one, "1"), (one, "2"), (two, "1"), (two, "2")];
    assert_eq!(events, expected.map(|(device, report)| (Some(device), report)), "its events, by time");
    assert_eq!((alert.severity, alert.category.as_str()), (Severity::High, "credential-access"));
    assert_eq!(alert.techniques, ["T1110"]);
    let matched: Vec<_> =
        alert.why[0].matched.iter().map(|field| (&*field.field, &*field.value, &*field.pattern)).collect();
    assert_eq!(matched, [("AccountName", "ann", "group-by"), ("correlation", "5", "event_count gte 5 in 10m")]);
    for device in [one, two] {
        let key = hinomi_model::EntityKey::device(device);
        ensure!(alert.evidence.iter().any(|piece| piece.entity == key), "{device} is evidence");
    }
    let filter = hinomi_store::IncidentFilter::default();
    assert_eq!(house.ctx.store.incidents(&filter, &Page::first(10)).await?.items.len(), 1);
    // told once: the state goes into the store when the server stops, the log is not needed any more
    house.stop().await?;
    let house = House::open(dir.path(), database).await?;
    ensure!(house.ctx.store.offset(CORRELATIONS).await? == house.ctx.store.offset(ANALYST).await?, "all is saved");
    house.feed(vec![guess(one, "ann", 5, start + 30)]).await?;
    assert_eq!(house.alerts().await?.len(), 1, "one alarm per time span");
    house.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_once_over_restarts() -> Result<()> {
    survives(None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_once_over_restarts_with_postgresql() -> Result<()> {
    let postgres = Postgres::start()?;
    survives(Some(&postgres.database("correlations")?)).await
}

/// What is answered at the end of a time span becomes an alert though no event comes any more, with the
/// events from the lake.
#[tokio::test(flavor = "multi_thread")]
async fn answers_when_time_passes() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let house = House::open(dir.path(), None).await?;
    let mut event = guess(device(1), "ann", 1, start() - 3_600);
    event.set("FileName", "rare");
    house.feed(vec![event]).await?;
    ensure!(house.alerts().await?.is_empty(), "the time span is open");
    // a server that stops tells the time a last time
    house.stop().await?;
    let house = House::open(dir.path(), None).await?;
    let alerts = house.of_rule("few").await?;
    assert_eq!(alerts.len(), 1);
    assert_eq!(alerts[0].why[0].event.report_id, "1");
    house.stop().await
}

/// Rules change while the server runs: what is the same goes on.
#[tokio::test(flavor = "multi_thread")]
async fn other_rules_keep_what_is_known() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let house = House::open(dir.path(), None).await?;
    let start = start();
    house.feed((1..=4).map(|n| guess(device(1), "ann", n, start + n)).collect()).await?;
    let more = "title: first\nid: first\nlogsource: {product: hinomi, service: DeviceFileEvents}\n\
                detection: {s: {FileName: x}, condition: s}\n---\n";
    house.ctx.set_rules(engine(&format!("{more}{RULES}")));
    house.feed(vec![guess(device(1), "ann", 5, start + 5)]).await?;
    assert_eq!(house.of_rule("guessed").await?.len(), 1);
    house.stop().await
}

/// Demos and real events are never looked at together, and late events are counted.
#[tokio::test(flavor = "multi_thread")]
async fn keeps_apart_and_counts_what_it_drops() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let house = House::open(dir.path(), None).await?;
    let start = start();
    let demo = DemoId::at(Timestamp::from_micros(start * 1_000_000));
    let theirs = DeviceId(demo.adopt(uuid::Uuid::from_u128(7)));
    house.feed((1..=4).map(|n| guess(device(1), "ann", n, start + n)).collect()).await?;
    house.feed_from(Source::Demo { demo }, (1..=4).map(|n| guess(theirs, "ann", n, start + n)).collect()).await?;
    ensure!(house.alerts().await?.is_empty(), "four and four are not eight");
    // ten minutes and more too late, and one without the field of group-by
    house.feed(vec![guess(device(1), "ann", 9, start - 700)]).await?;
    house.feed(vec![guess(device(1), "", 10, start)]).await?;
    let told = analyst::correlation_drops(&house.ctx);
    let guessed = told.iter().find(|rule| rule.rule_id == "guessed").context("the rule is told")?;
    assert_eq!((guessed.dropped.late, guessed.dropped.ungrouped), (1, 1));
    ensure!(guessed.bytes > 0, "it keeps the guesses");
    house.kill().await?;
    let house = House::open(dir.path(), None).await?;
    house.feed(vec![guess(device(1), "bob", 11, start)]).await?;
    let told = analyst::correlation_drops(&house.ctx);
    assert_eq!(told.iter().find(|rule| rule.rule_id == "guessed").map(|rule| rule.dropped.late), Some(1));
    house.stop().await
}
