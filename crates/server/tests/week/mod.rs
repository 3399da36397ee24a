//! The simulated week: the fleet of `hinomi_testkit::week` fed through rules, correlation and
//! investigations as the server runs them, over a fake clock, in one process and without network.
//! What came of it is compared with what was an attack.

use anyhow::{Result, ensure};
use hinomi_model::{
    ActionState, Device, Event, EventRef, Incident, IncidentId, IncidentStatus, ReceiptState, Text, Timestamp,
};
use hinomi_server::actions::on_command_result;
use hinomi_server::app::{App, Ctx, Urls};
use hinomi_server::config::Config;
use hinomi_server::{analyst, indicators, ingest, jobs};
use hinomi_store::{ActionFilter, IncidentFilter, JobFilter, JobState, Page};
use hinomi_testkit::week::{BEGIN_US, DAY, HABITS, Week};
use hinomi_wire::CommandResult;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

/// Seconds of one tick.
const TICK: i64 = 60;
/// Events analysed together at most.
const GROUP: usize = 8_192;
/// Seconds from an event to the server.
const LATENCY: i64 = 2;
/// Events in memory before they become files.
const TAIL: usize = 200_000;
/// Times a habit is played to see whether a rule sees it.
const SAMPLES: usize = 40;
/// Longest the investigations after one event may take.
const SETTLE: Duration = Duration::from_secs(120);
/// Noise named beside an attack it was mixed with.
const NOISE_TOLD: usize = 5;
/// Most seconds the clock runs on for jobs that begin a moment later.
const SETTLE_SECONDS: i64 = 20;

/// What is simulated.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Devices; a quarter as many mailboxes.
    pub devices: usize,
    /// Everything follows from it.
    pub seed: u64,
    /// Attacks.
    pub attacks: usize,
    /// Days; what is opened on the first is not counted: the house is learnt.
    pub days: i64,
    /// Most benign events that no rule sees.
    pub benign_max: f64,
    /// Investigate and act by itself; else incidents are all there is.
    pub investigate: bool,
    /// Tell on the way.
    pub talk: bool,
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub devices: usize,
    pub mailboxes: usize,
    pub seed: u64,
    pub days: i64,
    pub attacks: usize,
    pub attacks_found: usize,
    pub incidents_with_attack: usize,
    pub attacks_split: usize,
    pub incidents_mixed: usize,
    pub background_incidents: usize,
    pub background_incidents_first_day: usize,
    pub background_incidents_per_day: f64,
    pub median_s_to_incident: Option<f64>,
    pub median_s_to_remediation: Option<f64>,
    pub attacks_remediated: usize,
    pub events: u64,
    /// Benign events a day that no rule sees: as they happen, and as they were fed.
    pub quiet_per_day: f64,
    pub quiet_fed_per_day: f64,
    /// Benign events a day of habits that a rule sees: none is left out.
    pub loud_fed_per_day: f64,
    pub wall_s: f64,
    pub cpu_s: f64,
    pub rss_mb: u64,
    /// What is not as it should be, for people.
    #[serde(skip)]
    pub remarks: Vec<String>,
}

struct Simulation {
    ctx: Ctx,
    clock: Arc<AtomicI64>,
    week: Week,
    offset: u64,
    tail: usize,
    events: u64,
    /// Attack events.
    told: HashMap<EventRef, usize>,
    began: Vec<Option<Timestamp>>,
}

/// Plays the week.
pub async fn run(options: Options) -> Result<Report> {
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let dir = tempfile::tempdir()?;
    let level = if options.investigate { "full" } else { "none" };
    let config: Config = toml::from_str(&format!(
        "[gateway]\nown_domains = [\"corp.example\"]\n[investigation]\nautomation_level = \"{level}\"\n",
    ))?;
    let urls = Urls { console: "https://hinomi.test".to_owned(), sensors: "https://hinomi.test:8444".to_owned() };
    let mut app = App::open(config, dir.path(), urls, &["localhost".to_owned()]).await?;
    let clock = Arc::new(AtomicI64::new(BEGIN_US));
    let hand = clock.clone();
    app.clock = Box::new(move || Timestamp::from_micros(hand.load(Ordering::SeqCst)));
    let ctx: Ctx = Arc::new(app);
    indicators::load(&ctx).await?;
    let week = Week::new(options.devices, options.attacks, options.seed);
    let began = vec![None; week.attacks.len()];
    let worker = tokio::spawn(jobs::run(ctx.clone()));
    let mut simulation = Simulation { ctx, clock, week, offset: 0, tail: 0, events: 0, told: HashMap::new(), began };
    let mut report = simulation.play(options).await?;
    simulation.ctx.stop.cancel();
    worker.await??;
    simulation.ctx.store.close().await;
    report.wall_s = start.elapsed().as_secs_f64();
    report.cpu_s = cpu_seconds() - cpu;
    report.rss_mb = peak_mb();
    Ok(report)
}

impl Simulation {
    async fn play(&mut self, options: Options) -> Result<Report> {
        let rates = self.thin(options);
        self.enrol().await?;
        let boot = self.week.boot();
        for part in boot.chunks(GROUP) {
            self.feed(part.to_vec()).await?;
        }
        let mut group: Vec<Event> = Vec::new();
        for tick in 0..options.days * DAY / TICK {
            let from = Timestamp::from_micros(BEGIN_US + tick * TICK * 1_000_000);
            let mut told = self.week.tick(from, from.plus_seconds(TICK)).into_iter().peekable();
            while let Some((attack, event)) = told.next() {
                if let Some(attack) = attack {
                    self.began[attack].get_or_insert(event.timestamp);
                    self.told.insert(event.reference(), attack);
                }
                let at = event.timestamp;
                group.push(event);
                // the rows of a mail belong together
                let whole = told.peek().is_none_or(|(_, next)| next.timestamp != at);
                if whole && (attack.is_some() || group.len() >= GROUP) {
                    self.feed(std::mem::take(&mut group)).await?;
                }
            }
            if group.len() >= GROUP / 8 || tick % 10 == 9 {
                self.feed(std::mem::take(&mut group)).await?;
            }
            if options.talk && tick % (6 * 60) == 0 {
                let incidents = self.ctx.store.incidents(&IncidentFilter::default(), &Page::first(1)).await?.total;
                eprintln!(
                    "day {:.2}: {} events, {incidents} incidents",
                    (tick * TICK) as f64 / DAY as f64,
                    self.events
                );
            }
        }
        self.feed(group).await?;
        self.report(options, rates).await
    }

    /// Sees which habits a rule sees, and thins the others.
    fn thin(&mut self, options: Options) -> (f64, f64, f64) {
        let rules = self.ctx.rules();
        let (mut loud, mut quiet) = (0.0, 0.0);
        let mut quiet_habits = Vec::new();
        for (number, habit) in HABITS.iter().enumerate() {
            let mut events = 0;
            let mut seen = false;
            for _ in 0..SAMPLES {
                let sample = self.week.sample(number, Timestamp::from_micros(BEGIN_US));
                events += sample.len();
                seen |= sample.iter().any(|event| !rules.evaluate(event).is_empty());
            }
            let each = events as f64 / SAMPLES as f64;
            let per_week = each * habit.per_week * self.week.subjects(habit) as f64;
            if seen {
                loud += per_week;
            } else {
                quiet += per_week;
                quiet_habits.push(number);
            }
        }
        let days = options.days as f64;
        let rate = (options.benign_max / (quiet * days / 7.0)).min(1.0);
        for number in quiet_habits {
            self.week.thin(number, rate);
        }
        (quiet / 7.0, quiet * rate / 7.0, loud / 7.0)
    }

    async fn enrol(&mut self) -> Result<()> {
        let now = self.ctx.now();
        let mut tx = self.ctx.store.begin().await?;
        for pc in &self.week.devices {
            tx.put_device(&Device::new(pc.id, &pc.name, now)).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Feeds events as the pipeline does: the lake first, then the analyst; then waits until what
    /// came of them has run.
    async fn feed(&mut self, events: Vec<Event>) -> Result<()> {
        let Some(last) = events.iter().map(|event| event.timestamp.as_micros()).max() else { return Ok(()) };
        self.clock.fetch_max(last + LATENCY * 1_000_000, Ordering::SeqCst);
        self.offset += 1;
        self.tail += events.len();
        self.events += events.len() as u64;
        self.ctx.lake.append(self.offset, events.clone());
        analyst::process(&self.ctx, self.offset, &events).await?;
        self.settle().await?;
        if self.tail > TAIL {
            ingest::checkpoint_now(&self.ctx).await?;
            self.tail = 0;
        }
        Ok(())
    }

    /// Lets jobs run and devices obey until nothing is left to do now.
    async fn settle(&self) -> Result<()> {
        let deadline = Instant::now() + SETTLE;
        let until = self.ctx.now().plus_seconds(SETTLE_SECONDS);
        loop {
            let filter = JobFilter { state: vec![JobState::Waiting, JobState::Leased], kind: None };
            let open = self.ctx.store.jobs(&filter, &Page::first(200)).await?.items;
            if open.is_empty() {
                return Ok(());
            }
            let now = self.ctx.now();
            let busy = open.iter().any(|job| job.state == JobState::Leased || job.run_at <= now);
            if !busy {
                self.obey().await?;
                let next = open.iter().map(|job| job.run_at).filter(|at| *at <= until).min();
                let Some(next) = next else { return Ok(()) };
                self.clock.fetch_max(next.as_micros(), Ordering::SeqCst);
                continue;
            }
            ensure!(Instant::now() < deadline, "jobs do not end: {open:?}");
            self.ctx.jobs.notify_one();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Devices carry out what they are told, a second later.
    async fn obey(&self) -> Result<()> {
        let filter = ActionFilter { state: vec![ActionState::Queued, ActionState::Running], ..ActionFilter::default() };
        for action in self.ctx.store.actions(&filter, &Page::first(200)).await?.items {
            for command in self.ctx.store.commands_of_action(action.id).await? {
                if command.result.is_some() {
                    continue;
                }
                self.clock.fetch_add(1_000_000, Ordering::SeqCst);
                let result = CommandResult {
                    state: ReceiptState::Done,
                    detail: Text::same("done by a simulated device"),
                    proof: serde_json::json!({"simulated": true}),
                    status: None,
                    at: self.ctx.now(),
                };
                on_command_result(&self.ctx, command.device_id, command.id, result).await?;
            }
        }
        Ok(())
    }

    async fn incidents(&self) -> Result<Vec<Incident>> {
        let mut all = Vec::new();
        let mut page = Page::first(200);
        loop {
            let listed = self.ctx.store.incidents(&IncidentFilter::default(), &page).await?;
            all.extend(listed.items.into_iter().filter(|one| one.status != IncidentStatus::Redirected));
            match listed.next {
                Some(next) => page = Page { after: Some(next), ..page },
                None => return Ok(all),
            }
        }
    }

    async fn report(&self, options: Options, (quiet, quiet_fed, loud_fed): (f64, f64, f64)) -> Result<Report> {
        let attacks = &self.week.attacks;
        let mut of_attack: Vec<BTreeSet<IncidentId>> = vec![BTreeSet::new(); attacks.len()];
        let mut remarks = Vec::new();
        let mut background: BTreeMap<String, usize> = BTreeMap::new();
        let (mut first_day, mut later, mut mixed, mut with_attack) = (0, 0, 0, 0);
        let counted_from = Timestamp::from_micros(BEGIN_US).plus_seconds(DAY);
        let mut to_incident: Vec<Option<f64>> = vec![None; attacks.len()];
        let mut to_remedy: Vec<Option<f64>> = vec![None; attacks.len()];
        for incident in self.incidents().await? {
            let mut labels: BTreeSet<Option<usize>> = BTreeSet::new();
            let mut noise: BTreeSet<String> = BTreeSet::new();
            for alert in self.ctx.store.alerts_of_incident(incident.id).await? {
                for why in &alert.why {
                    let label = self.told.get(&why.event).copied();
                    labels.insert(label);
                    if label.is_none() {
                        noise.insert(format!("{} at {} in {}", why.rule_id, why.event.timestamp, alert.title.en));
                    }
                }
            }
            let own: Vec<usize> = labels.iter().copied().flatten().collect();
            if labels.len() > 1 {
                mixed += 1;
                let names: Vec<&str> = own.iter().map(|attack| attacks[*attack].kind).collect();
                let noise = noise.iter().take(NOISE_TOLD).cloned().collect::<Vec<_>>();
                remarks.push(format!("mixed: {names:?} and noise {noise:?} in \"{}\"", incident.title.en));
            }
            if own.is_empty() {
                if incident.created_at < counted_from {
                    first_day += 1;
                } else {
                    later += 1;
                    *background.entry(format!("{:?} {}", incident.severity, incident.title.en)).or_default() += 1;
                }
                continue;
            }
            with_attack += 1;
            let filter = ActionFilter {
                incident: Some(incident.id),
                state: vec![ActionState::Succeeded],
                ..ActionFilter::default()
            };
            let actions = self.ctx.store.actions(&filter, &Page::first(200)).await?.items;
            let remedied = actions.iter().filter_map(|action| action.finished_at).min();
            for attack in own {
                of_attack[attack].insert(incident.id);
                let began = self.began[attack].unwrap_or_default();
                let least = |known: &mut Option<f64>, at: Timestamp| {
                    let seconds = at.micros_since(began) as f64 / 1e6;
                    *known = Some(known.map_or(seconds, |known| known.min(seconds)));
                };
                least(&mut to_incident[attack], incident.created_at);
                if let Some(at) = remedied {
                    least(&mut to_remedy[attack], at);
                }
            }
        }
        for (attack, incidents) in attacks.iter().zip(&of_attack) {
            match incidents.len() {
                0 => remarks.push(format!("not found: {}", attack.kind)),
                1 => {}
                n => {
                    let mut titles = Vec::new();
                    for id in incidents {
                        titles.extend(self.ctx.store.incident(*id).await?.map(|incident| incident.title.en));
                    }
                    remarks.push(format!("split over {n}: {} in {titles:?}", attack.kind));
                }
            }
        }
        let mut named: Vec<(usize, String)> = background.into_iter().map(|(title, count)| (count, title)).collect();
        named.sort_by(|one, other| other.cmp(one));
        remarks.extend(named.into_iter().take(40).map(|(count, title)| format!("background {count} × {title}")));
        let counted = (options.days - 1).max(1) as f64;
        Ok(Report {
            devices: self.week.devices.len(),
            mailboxes: self.week.mailboxes.len(),
            seed: options.seed,
            days: options.days,
            attacks: attacks.len(),
            attacks_found: of_attack.iter().filter(|incidents| !incidents.is_empty()).count(),
            incidents_with_attack: with_attack,
            attacks_split: of_attack.iter().filter(|incidents| incidents.len() > 1).count(),
            incidents_mixed: mixed,
            background_incidents: later,
            background_incidents_first_day: first_day,
            background_incidents_per_day: later as f64 / counted,
            median_s_to_incident: median(&to_incident),
            median_s_to_remediation: median(&to_remedy),
            attacks_remediated: to_remedy.iter().flatten().count(),
            events: self.events,
            quiet_per_day: quiet.round(),
            quiet_fed_per_day: quiet_fed.round(),
            loud_fed_per_day: loud_fed.round(),
            wall_s: 0.0,
            cpu_s: 0.0,
            rss_mb: 0,
            remarks,
        })
    }
}

fn median(of: &[Option<f64>]) -> Option<f64> {
    let mut known: Vec<f64> = of.iter().flatten().copied().collect();
    known.sort_by(f64::total_cmp);
    known.get(known.len() / 2).copied()
}

/// CPU time of this process so far, seconds: utime and stime of proc(5), in ticks of 1/100 s.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    [11, 12].iter().filter_map(|at| fields.get(*at)?.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn peak_mb() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default() / 1024
}
