//! One mail in every mailbox: found, quarantined, put back, expunged, searched by its body; by the
//! house's own mailbox work (engine, vault, journal, index) over IMAP, with one login for many mailboxes
//! and with a login for each, and by Dovecot's doveadm, one after the other and eight at a time, in the
//! same run.
//!
//! `cargo xtask bench mail-remove [--mailboxes N] [--mails N] [--rounds N]`; the last line is a JSON
//! object with medians in seconds.

use hinomi_mail::parse::{Limits, analyse};
use hinomi_mail::remediate::Identity;
use hinomi_model::{
    ActionId, AuthResults, DeliveryAction, DeliveryLocation, MailDirection, MailSource, MessageCopy, MessageCopyRef,
    MessageRemedy, Receipt, ReceiptState, Timestamp, Verdict,
};
use hinomi_server::config::{ImapConfig, MailTls, MailboxesConfig};
use hinomi_server::ingest::{Ingest, Log};
use hinomi_server::mailboxes::worker::{self, MailWorker, WorkerOptions};
use hinomi_server::mailboxes::{FileVault, Found, Mailboxes, Order, Reading, Reason};
use hinomi_store::Store;
use hinomi_testkit::mail::{MailRig, MailRigConfig};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

/// Message-ID of the mail that is in every mailbox.
const TARGET: &str = "target@partner.test";
/// A word only that mail holds.
const WORD: &str = "quincunx";
/// Parallel doveadm processes.
const PARALLEL: usize = 8;
/// The verbs, in the order of a round.
const VERBS: [&str; 5] = ["find", "quarantine", "restore", "expunge", "body_search"];
/// Who does them.
const WHO: [&str; 4] = ["hinomi_s", "hinomi_imap_s", "doveadm_s", "doveadm_parallel_s"];

fn main() -> ExitCode {
    let numbers: Vec<String> = std::env::args().skip(1).collect();
    if numbers.first().is_some_and(|word| word == "mail-worker") {
        return worker::main();
    }
    let option = |name: &str, default: usize| {
        let at = numbers.iter().position(|word| word == name);
        at.and_then(|at| numbers.get(at + 1)).and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    // `cargo bench --benches` runs every bench: this one takes long and only runs when it is asked for
    if !numbers.iter().any(|word| word == "--mail-remove") {
        eprintln!("mail_remove: run it with cargo xtask bench mail-remove");
        return ExitCode::SUCCESS;
    }
    let size = Size {
        mailboxes: option("--mailboxes", 1_000),
        mails: option("--mails", 100),
        rounds: option("--rounds", 5),
        connections: option("--connections", 8),
        logins_per_process: option("--logins-per-process", 256),
    };
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    runtime.block_on(run(size));
    ExitCode::SUCCESS
}

#[derive(Debug, Clone, Copy)]
struct Size {
    mailboxes: usize,
    mails: usize,
    rounds: usize,
    connections: usize,
    /// Dovecot's `service imap { service_count }`. Its default of 1 starts a process for every login,
    /// which costs more than the work itself; doveadm never pays it.
    logins_per_process: usize,
}

async fn run(size: Size) {
    eprintln!("filling {} mailboxes with {} mails each", size.mailboxes, size.mails);
    let world = World::start(size).await;
    let mut times: BTreeMap<(&str, &str), Vec<f64>> = BTreeMap::new();
    let mut cpu: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for round in 0..=size.rounds {
        for turn in 0..WHO.len() {
            // who begins changes from round to round
            let who = WHO[(round + turn) % WHO.len()];
            let done = match who {
                "hinomi_s" => world.hinomi(&world.shared).await,
                "hinomi_imap_s" => world.hinomi(&world.login_each).await,
                "doveadm_s" => world.doveadm(1),
                _ => world.doveadm(PARALLEL),
            };
            let told: Vec<String> = VERBS.iter().zip(&done).map(|(verb, one)| format!("{verb} {:.2}", one.0)).collect();
            eprintln!("round {round} {:<19} {} (load {})", who, told.join("  "), load());
            if round == 0 {
                continue;
            }
            for (verb, (seconds, own)) in VERBS.iter().zip(done) {
                times.entry((verb, who)).or_default().push(seconds);
                if who == "hinomi_s" {
                    cpu.entry(verb).or_default().push(own);
                }
            }
        }
    }
    print(size, &times, &cpu);
}

fn print(size: Size, times: &BTreeMap<(&str, &str), Vec<f64>>, cpu: &BTreeMap<&str, Vec<f64>>) {
    let mut verbs = serde_json::Map::new();
    for verb in VERBS {
        let mut one = serde_json::Map::new();
        for who in WHO {
            one.insert(who.to_owned(), times.get(&(verb, who)).map(|all| median(all)).into());
        }
        one.insert("hinomi_cpu_s".to_owned(), cpu.get(verb).map(|all| median(all)).into());
        verbs.insert(verb.to_owned(), one.into());
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak_kb: f64 = peak.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default();
    let json = serde_json::json!({
        "verbs": verbs,
        "mailboxes": size.mailboxes,
        "mails": size.mails,
        "rounds": size.rounds,
        "connections": size.connections,
        "logins_per_process": size.logins_per_process,
        "hinomi_peak_rss_mb": (peak_kb / 102.4).round() / 10.0,
        "load_average": load(),
    });
    println!("{json}");
}

fn median(all: &[f64]) -> f64 {
    let mut all = all.to_vec();
    all.sort_by(f64::total_cmp);
    let middle = all.len() / 2;
    let median = if all.len() % 2 == 1 { all[middle] } else { (all[middle - 1] + all[middle]) / 2.0 };
    (median * 1_000.0).round() / 1_000.0
}

fn load() -> String {
    std::fs::read_to_string("/proc/loadavg").unwrap_or_default().split(' ').next().unwrap_or_default().to_owned()
}

/// User and system time of this process and its mail worker so far, seconds (clock ticks are 1/100 s
/// on Linux).
fn own_cpu() -> f64 {
    let mut sum = cpu_of("self");
    for task in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        let workers = children.split_whitespace().filter(|pid| {
            std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains("mail-worker"))
        });
        sum += workers.map(cpu_of).sum::<f64>();
    }
    sum
}

fn cpu_of(process: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or_default();
    (ticks(11) + ticks(12)) / 100.0
}

/// Dovecot with full mailboxes, and the house's parts that work on them.
struct World {
    rig: MailRig,
    store: Store,
    /// The house's parts with one login for many mailboxes.
    shared: Mailboxes,
    /// The same with a login for each.
    login_each: Mailboxes,
    copies: Vec<MessageCopy>,
    lists: Vec<PathBuf>,
    target: Vec<u8>,
    _dir: tempfile::TempDir,
}

impl World {
    async fn start(size: Size) -> World {
        let dovecot = format!("service imap {{\n  service_count = {}\n}}\n", size.logins_per_process);
        let config =
            MailRigConfig { users: size.mailboxes, smtp: false, shared: true, dovecot, ..MailRigConfig::default() };
        let rig = MailRig::start(config).await.expect("rig");
        let target = mail(TARGET, WORD);
        fill(&rig, &target, size.mails);
        let dir = tempfile::tempdir().expect("temp dir");
        let store = Store::open(&format!("sqlite:{}", dir.path().join("hinomi.db").display())).await.expect("store");
        let password = dir.path().join("password");
        std::fs::write(&password, &rig.master_password).expect("password");
        let mut parts = Vec::new();
        for (name, user, shared_prefix) in
            [("shared", &rig.shared_user, Some(rig.shared_prefix.clone())), ("each", &rig.master_user, None)]
        {
            let imap = ImapConfig {
                host: "127.0.0.1".to_owned(),
                port: rig.imap_addr.port(),
                tls: MailTls::None,
                ca_file: None,
                master_user: Some(user.clone()),
                master_separator: "*".to_owned(),
                shared_prefix,
                password_file: Some(password.clone()),
                credentials_file: None,
            };
            let config = MailboxesConfig {
                name: "main".to_owned(),
                users_file: Some(rig.users_file.clone()),
                connections: size.connections,
                imap: Some(imap),
                maildir: None,
                graph: None,
            };
            let log = Log::open(&dir.path().join(name).join("log"), 0).expect("log");
            let ingest = Ingest::open(log, store.clone()).await.expect("ingest");
            let vault = FileVault::open(&dir.path().join(name).join("vault"), &[5; 32]).expect("vault");
            let domains = ["example.test".to_owned()];
            // this program is its own mail worker, as the server is
            let program = MailWorker::Program(PathBuf::from("/proc/self/exe"));
            let workers = WorkerOptions { place: program, ..WorkerOptions::default() };
            let mailboxes =
                Mailboxes::new(&[config], &domains, workers, vault, store.clone(), ingest).expect("mailboxes");
            mailboxes.start().await.expect("mail worker");
            parts.push(mailboxes);
        }
        let (Some(login_each), Some(shared)) = (parts.pop(), parts.pop()) else { unreachable!("two were made") };
        let copies = copies(&rig.users, &target);
        let mut tx = store.begin().await.expect("tx");
        for copy in &copies {
            tx.put_message(copy).await.expect("put");
        }
        tx.commit().await.expect("commit");
        let lists = lists(&rig, dir.path());
        World { rig, store, shared, login_each, copies, lists, target, _dir: dir }
    }

    /// Every verb by ours: seconds of the clock and of our processor time.
    async fn hinomi(&self, mailboxes: &Mailboxes) -> Vec<(f64, f64)> {
        let mut done = Vec::new();
        let targets: Vec<MessageCopyRef> = self
            .copies
            .iter()
            .map(|copy| MessageCopyRef { message_id: copy.message_id, recipient: copy.recipient.clone() })
            .collect();
        let (begin, cpu) = (Instant::now(), own_cpu());
        let found = mailboxes.find(&reading(), &self.copies).await;
        done.push((begin.elapsed().as_secs_f64(), own_cpu() - cpu));
        let there = found.iter().filter(|found| matches!(found, Found::Located(_))).count();
        assert_eq!(there, self.copies.len(), "{:?}", found.iter().find(|one| !matches!(one, Found::Located(_))));

        let removal: ActionId = hinomi_server::ids::new();
        let (begin, cpu) = (Instant::now(), own_cpu());
        let order = Order { action: removal, remedy: MessageRemedy::MoveToQuarantine, senders_copy: false };
        let receipts = mailboxes.treat(order, &targets, &|_| {}).await.expect("quarantine");
        done.push((begin.elapsed().as_secs_f64(), own_cpu() - cpu));
        all_done(&receipts, targets.len());

        let (begin, cpu) = (Instant::now(), own_cpu());
        let receipts =
            mailboxes.restore(hinomi_server::ids::new(), removal, &|_| true, &|_| {}).await.expect("restore");
        done.push((begin.elapsed().as_secs_f64(), own_cpu() - cpu));
        all_done(&receipts, targets.len());

        let (begin, cpu) = (Instant::now(), own_cpu());
        let order = Order { action: hinomi_server::ids::new(), remedy: MessageRemedy::HardDelete, senders_copy: false };
        let receipts = mailboxes.treat(order, &targets, &|_| {}).await.expect("expunge");
        done.push((begin.elapsed().as_secs_f64(), own_cpu() - cpu));
        all_done(&receipts, targets.len());
        self.deliver_again();

        let (begin, cpu) = (Instant::now(), own_cpu());
        let found = mailboxes.search_bodies(&reading(), WORD).await.expect("body search");
        done.push((begin.elapsed().as_secs_f64(), own_cpu() - cpu));
        let mails: usize = found.values().map(|mails| mails.as_ref().map_or(0, Vec::len)).sum();
        assert_eq!(mails, targets.len());
        // what the next round looks for
        assert!(self.store.message(targets[0].message_id, &targets[0].recipient).await.expect("row").is_some());
        done
    }

    /// Every verb by `processes` doveadm at a time.
    fn doveadm(&self, processes: usize) -> Vec<(f64, f64)> {
        let header = ["HEADER", "Message-ID", TARGET];
        let find = [&["search", "LIST"][..], &header].concat();
        let away = [&["move", "LIST", "Junk", "mailbox", "INBOX"][..], &header].concat();
        let back = [&["move", "LIST", "INBOX", "mailbox", "Junk"][..], &header].concat();
        let expunge = [&["expunge", "LIST", "mailbox", "INBOX"][..], &header].concat();
        let body = vec!["search", "LIST", "BODY", WORD];
        let mut done = Vec::new();
        for words in [find, away, back, expunge, body] {
            let begin = Instant::now();
            self.together(&words, processes);
            done.push((begin.elapsed().as_secs_f64(), 0.0));
            if words[0] == "expunge" {
                self.deliver_again();
            }
        }
        done
    }

    /// Runs doveadm on all mailboxes: one process for all, or each process for its part.
    fn together(&self, words: &[&str], processes: usize) {
        let start = |list: Option<&PathBuf>| {
            let mut command = self.rig.doveadm();
            for word in words {
                match (*word, list) {
                    ("LIST", None) => drop(command.arg("-A")),
                    ("LIST", Some(list)) => drop(command.arg("-F").arg(list)),
                    _ => drop(command.arg(word)),
                }
            }
            command.stdout(Stdio::null()).spawn().expect("doveadm")
        };
        let children: Vec<_> = match processes {
            1 => vec![start(None)],
            _ => self.lists.iter().map(|list| start(Some(list))).collect(),
        };
        for mut child in children {
            assert!(child.wait().expect("doveadm ends").success(), "doveadm {words:?}");
        }
    }

    /// Puts the expunged mail back into every inbox and lets Dovecot notice it.
    fn deliver_again(&self) {
        for user in &self.rig.users {
            let name = format!("{}.M1P1.again:2,S", uptime_micros());
            write_mail(&self.rig, user, &name, &self.target);
        }
        let status: &mut Command = &mut self.rig.doveadm();
        let status = status.args(["mailbox", "status", "-A", "messages", "INBOX"]).stdout(Stdio::null()).status();
        assert!(status.expect("doveadm").success());
    }
}

fn reading() -> Reading {
    Reading { actor: "bench".to_owned(), reason: Reason::DryRun }
}

fn all_done(receipts: &[Receipt], wanted: usize) {
    let other = receipts.iter().find(|receipt| receipt.state != ReceiptState::Done);
    assert!(other.is_none() && receipts.len() == wanted, "{} receipts, {other:?}", receipts.len());
}

fn mail(id: &str, word: &str) -> Vec<u8> {
    let text = "All work and no play makes a long mail body. ".repeat(60);
    format!(
        "From: Billing <a@partner.test>\r\nTo: all@example.test\r\nSubject: invoice\r\nMessage-ID: <{id}>\r\n\
         Date: Sun, 22 Nov 2026 02:27:03 +0000\r\n\r\n{text}{word}\r\n"
    )
    .into_bytes()
}

fn copies(users: &[String], target: &[u8]) -> Vec<MessageCopy> {
    let identity = Identity::of_analysis(&analyse(target, &Limits::default()));
    let id = hinomi_server::ids::new();
    let copy = |user: &String| MessageCopy {
        message_id: id,
        recipient: user.clone(),
        internet_message_id: identity.internet_message_id.clone(),
        sender_mail_from: "a@partner.test".to_owned(),
        sender_from: "a@partner.test".to_owned(),
        sender_display_name: "Billing".to_owned(),
        sender_ip: "192.0.2.1".to_owned(),
        subject: "invoice".to_owned(),
        size: target.len() as u64,
        received_at: Timestamp::default(),
        body_sha256: identity.body_sha256.clone(),
        attachments: Vec::new(),
        urls: Vec::new(),
        auth: AuthResults::default(),
        delivery_action: DeliveryAction::Delivered,
        delivery_location: DeliveryLocation::Inbox,
        latest_location: DeliveryLocation::Inbox,
        verdict: Verdict::Unknown,
        indicators: Vec::new(),
        threats: Vec::new(),
        source: MailSource::Gateway,
        direction: MailDirection::Inbound,
        return_path: String::new(),
        url_domains: Vec::new(),
        fingerprint: String::new(),
        campaign: String::new(),
        bulk: false,
        references: Vec::new(),
        findings: Vec::new(),
        filters: Vec::new(),
        folder: None,
        moved_by: None,
        moved_at: None,
        version: 1,
    };
    users.iter().map(copy).collect()
}

/// Writes mails straight into the Maildirs, as a delivery agent does.
fn fill(rig: &MailRig, target: &[u8], mails: usize) {
    for user in &rig.users {
        for folder in ["", "Maildir", "Maildir/cur", "Maildir/new", "Maildir/tmp"] {
            let path = home(rig, user).join(folder);
            std::fs::create_dir_all(&path).expect("folder");
            own(rig, &path);
        }
        for number in 0..mails {
            let name = format!("17638{number:05}.M{number}P1.rig:2,S");
            let raw = if number == mails / 2 { target.to_vec() } else { mail(&format!("{number}-{user}"), "") };
            write_mail(rig, user, &name, &raw);
        }
    }
}

fn home(rig: &MailRig, user: &str) -> PathBuf {
    rig.dir.join("mail").join(user.split('@').next().expect("local part"))
}

fn write_mail(rig: &MailRig, user: &str, name: &str, raw: &[u8]) {
    let path = home(rig, user).join("Maildir/cur").join(name);
    std::fs::write(&path, raw).expect("mail");
    own(rig, &path);
}

fn own(rig: &MailRig, path: &std::path::Path) {
    use std::os::unix::fs::MetadataExt;
    let owner = std::fs::metadata(rig.dir.join("mail")).expect("mail folder");
    std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid())).expect("chown");
}

fn uptime_micros() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_micros()
}

/// The users in as many files as doveadm processes run in parallel.
fn lists(rig: &MailRig, dir: &std::path::Path) -> Vec<PathBuf> {
    let per_list = rig.users.len().div_ceil(PARALLEL).max(1);
    let names: Vec<&str> = rig.users.iter().map(|user| user.split('@').next().expect("local part")).collect();
    let write = |(number, part): (usize, &[&str])| {
        let path = dir.join(format!("users-{number}"));
        std::fs::write(&path, part.join("\n") + "\n").expect("list");
        path
    };
    names.chunks(per_list).enumerate().map(write).collect()
}
