//! Finding, removing and restoring over a real Dovecot, byte by byte, also through crashes.

use bytes::Bytes;
use futures::future::BoxFuture;
use hinomi_mail::connector::Connector;
use hinomi_mail::connector::imap::{Access, ImapConnector, RootTemplate};
use hinomi_mail::imap::{Limits as ImapLimits, Security, Server, Trust};
use hinomi_mail::parse::{Limits, analyse};
use hinomi_mail::remediate::{
    Engine, Entry, Finding, Identity, Intent, Journal, Located, Outcome, StoredMail, Vault, Wanted,
};
use hinomi_model::{MessageCopyRef, MessageId, MessageRemedy, ReceiptState};
use hinomi_testkit::mail::{Mail, MailRig, MailRigConfig};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

const DATES: [&str; 3] = ["22-Nov-2026 01:02:03 +0900", " 1-Jan-2020 23:59:59 +0000", "15-Jul-2024 12:00:00 -0700"];

/// Vault and journal in a folder; aborts the process at the call whose number is in the environment.
struct Files {
    dir: PathBuf,
    calls: Mutex<u32>,
    abort_at: Option<u32>,
}

impl Files {
    fn new(dir: &Path) -> Self {
        for part in ["vault", "journal"] {
            std::fs::create_dir_all(dir.join(part)).expect("folder");
        }
        let abort_at = std::env::var("HINOMI_TEST_ABORT_AT").ok().and_then(|text| text.parse().ok());
        Files { dir: dir.to_owned(), calls: Mutex::new(0), abort_at }
    }

    /// A place where a crash may happen.
    fn point(&self) {
        let mut calls = self.calls.lock().expect("lock");
        *calls += 1;
        if Some(*calls) == self.abort_at {
            // as hard as kill -9: no destructor, no flush
            std::process::abort();
        }
    }

    fn write(&self, path: PathBuf, bytes: &[u8]) {
        self.point();
        let beside = path.with_extension("new");
        std::fs::write(&beside, bytes).expect("write");
        std::fs::rename(beside, path).expect("rename");
        self.point();
    }

    fn entry_path(&self, copy: &MessageCopyRef, what: &str) -> PathBuf {
        self.dir.join(format!("journal/{}-{}.{what}", copy.recipient, copy.message_id))
    }
}

impl Vault for Files {
    fn put<'a>(&'a self, key: &'a str, mail: &'a StoredMail) -> BoxFuture<'a, Result<StoredMail, String>> {
        Box::pin(async move {
            let path = self.dir.join("vault").join(key);
            if !path.exists() {
                let mut bytes = serde_json::to_vec(&mail.located).expect("json");
                bytes.push(b'\n');
                bytes.extend_from_slice(&mail.raw);
                self.write(path, &bytes);
            }
            Ok(self.get(key).await?.expect("just written"))
        })
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<StoredMail>, String>> {
        Box::pin(async move {
            self.point();
            let Ok(bytes) = std::fs::read(self.dir.join("vault").join(key)) else { return Ok(None) };
            let end = bytes.iter().position(|byte| *byte == b'\n').expect("header");
            let located: Located = serde_json::from_slice(&bytes[..end]).expect("json");
            Ok(Some(StoredMail { located, raw: Bytes::copy_from_slice(&bytes[end + 1..]) }))
        })
    }
}

impl Journal for Files {
    fn entry<'a>(&'a self, copy: &'a MessageCopyRef) -> BoxFuture<'a, Result<Option<Entry>, String>> {
        Box::pin(async move {
            let Ok(intent) = std::fs::read(self.entry_path(copy, "intent")) else { return Ok(None) };
            let outcome = std::fs::read(self.entry_path(copy, "outcome")).ok();
            Ok(Some(Entry {
                intent: serde_json::from_slice(&intent).expect("json"),
                outcome: outcome.map(|outcome| serde_json::from_slice(&outcome).expect("json")),
            }))
        })
    }

    fn intent<'a>(&'a self, copy: &'a MessageCopyRef, intent: &'a Intent) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            self.write(self.entry_path(copy, "intent"), &serde_json::to_vec(intent).expect("json"));
            Ok(())
        })
    }

    fn outcome<'a>(&'a self, outcome: &'a Outcome) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            self.write(self.entry_path(&outcome.copy, "outcome"), &serde_json::to_vec(outcome).expect("json"));
            Ok(())
        })
    }
}

fn mail(id: &str, body: &str) -> Vec<u8> {
    format!(
        "From: =?UTF-8?B?55m96Imv?= <boss@partner.test>\r\nTo: staff@example.test\r\nSubject: invoice\r\nMessage-ID: <{id}>\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: 8bit\r\n\r\n請求書 {body}\r\n--b\r\nContent-Type: application/zip; name=invoice.zip\r\n\
         Content-Disposition: attachment; filename=invoice.zip\r\nContent-Transfer-Encoding: base64\r\n\r\nUEsFBgAAAAAAAAAAAAAAAAAAAAAAAA==\r\n--b--\r\n"
    )
    .into_bytes()
}

fn server(rig: &MailRig) -> Server {
    Server {
        host: "127.0.0.1".to_owned(),
        port: rig.imap_addr.port(),
        security: Security::None,
        trust: Trust::nobody(),
        limits: ImapLimits::default(),
    }
}

/// A mail server and the way into its mailboxes.
struct Stage {
    rig: MailRig,
    /// One login for all instead of one per mailbox.
    shared: bool,
}

impl std::ops::Deref for Stage {
    type Target = MailRig;

    fn deref(&self) -> &MailRig {
        &self.rig
    }
}

fn master(rig: &MailRig) -> Access {
    Access::Master { user: rig.master_user.clone(), separator: "*".to_owned(), password: rig.master_password.clone() }
}

fn shared(user: String, password: String) -> Access {
    Access::Shared { user, password, root: RootTemplate::parse("user/%u/").expect("template") }
}

fn engine_of(server: Server, access: Access, concurrency: usize) -> Engine {
    Engine::new(Arc::new(ImapConnector::new(server, access, concurrency)), Limits::default())
}

fn engine(stage: &Stage) -> Engine {
    let access = match stage.shared {
        true => shared(stage.shared_user.clone(), stage.master_password.clone()),
        false => master(stage),
    };
    engine_of(server(stage), access, 8)
}

fn copy_ref(user: &str) -> MessageCopyRef {
    let id: MessageId = "0199aaaa-0000-7000-8000-000000000001".parse().expect("id");
    MessageCopyRef { message_id: id, recipient: user.to_owned() }
}

fn wanted(users: &[String], raw: &[u8]) -> Vec<Wanted> {
    let identity = Identity::of_analysis(&analyse(raw, &Limits::default()));
    let one = |user: &String| Wanted {
        copy: copy_ref(user),
        mailbox: user.clone(),
        identity: identity.clone(),
        sent_only: false,
    };
    users.iter().map(one).collect()
}

/// Content, flags and date of every mail of every folder, UIDs left out: they change.
type Snapshot = Vec<(String, Vec<(Vec<u8>, Vec<String>, String)>)>;

async fn snapshot(rig: &MailRig, user: &str) -> Snapshot {
    let mut client = rig.imap(user).await.expect("login");
    let mut folders = client.folders().await.expect("folders");
    folders.sort();
    let mut all = Vec::new();
    for folder in folders {
        let mails = client.mails(&folder).await.expect("mails");
        let mut mails: Vec<_> =
            mails.into_iter().map(|Mail { raw, flags, internal_date, .. }| (raw, flags, internal_date)).collect();
        mails.sort();
        all.push((folder, mails));
    }
    all
}

/// Twelve of the mailboxes hold the mail in different folders and states; all hold other mail.
async fn fill(rig: &MailRig, target: &[u8]) -> Vec<String> {
    let chosen: Vec<String> = rig.users.iter().step_by(4).take(12).cloned().collect();
    for (index, user) in rig.users.iter().enumerate() {
        let mut client = rig.imap(user).await.expect("login");
        client
            .append("INBOX", "\\Seen", DATES[1], &mail(&format!("other-{index}@x.test"), "other"))
            .await
            .expect("append");
        let Some(at) = chosen.iter().position(|known| known == user) else { continue };
        let (folder, flags) = match at {
            0 => ("Junk", "\\Flagged"),
            1 => ("Trash", ""),
            2 => {
                client.create("&MLQw33ux-").await.expect("create");
                ("&MLQw33ux-", "\\Seen \\Answered $Label1")
            }
            _ => ("INBOX", if at % 2 == 0 { "\\Seen" } else { "" }),
        };
        client.append(folder, flags, DATES[at % DATES.len()], target).await.expect("append");
        if at == 3 {
            client.append("Junk", "", DATES[2], target).await.expect("the user filed a second one");
        }
    }
    chosen
}

async fn found(engine: &Engine, wanted: Vec<Wanted>) -> Vec<(usize, usize)> {
    let counts = Mutex::new(Vec::new());
    engine
        .find(wanted, &|_, finding| match finding {
            Finding::Seen { present, differing } => counts.lock().expect("lock").push((present.len(), differing.len())),
            Finding::Failed(reason) => panic!("{reason}"),
        })
        .await;
    counts.into_inner().expect("lock")
}

async fn remove(rig: &Stage, wanted: Vec<Wanted>, files: &Files) -> Vec<Outcome> {
    let outcomes = Mutex::new(Vec::new());
    let on = |outcome| outcomes.lock().expect("lock").push(outcome);
    engine(rig).treat(MessageRemedy::SoftDelete, wanted, files, files, &on).await;
    outcomes.into_inner().expect("lock")
}

async fn restore(rig: &Stage, removed: Vec<Outcome>, files: &Files) -> Vec<Outcome> {
    let outcomes = Mutex::new(Vec::new());
    engine(rig).restore(removed, files, files, &|outcome| outcomes.lock().expect("lock").push(outcome)).await;
    outcomes.into_inner().expect("lock")
}

async fn stage(users: usize, shared: bool) -> Stage {
    let config = MailRigConfig { users, smtp: false, shared, ..MailRigConfig::default() };
    Stage { rig: MailRig::start(config).await.expect("rig"), shared }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twelve_of_fifty_go_and_come_back_byte_for_byte() {
    twelve_of_fifty_go_and_come_back_byte_for_byte_over(stage(50, false).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twelve_of_fifty_go_and_come_back_byte_for_byte_with_one_login() {
    twelve_of_fifty_go_and_come_back_byte_for_byte_over(stage(50, true).await).await;
}

async fn twelve_of_fifty_go_and_come_back_byte_for_byte_over(rig: Stage) {
    let target = mail("m1@partner.test", "please pay");
    let chosen = fill(&rig, &target).await;
    let mut before = Vec::new();
    for user in &rig.users {
        before.push(snapshot(&rig, user).await);
    }
    let dir = tempfile::tempdir().expect("temp dir");
    let (removal, undo) = (Files::new(&dir.path().join("removal")), Files::new(&dir.path().join("removal")));

    let started = Instant::now();
    let counts = found(&engine(&rig), wanted(&rig.users, &target)).await;
    eprintln!("find over 50 mailboxes: {:?}", started.elapsed());
    assert_eq!(counts.iter().filter(|(present, _)| *present > 0).count(), 12);
    assert_eq!(counts.iter().map(|(present, _)| present).sum::<usize>(), 13);

    let started = Instant::now();
    let outcomes = remove(&rig, wanted(&rig.users, &target), &removal).await;
    eprintln!("soft delete over 50 mailboxes: {:?}", started.elapsed());
    let done: Vec<Outcome> = outcomes.iter().filter(|outcome| outcome.state == ReceiptState::Done).cloned().collect();
    assert_eq!(done.len(), 12, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|outcome| outcome.state == ReceiptState::NotFound).count(), 38);
    assert!(done.iter().all(|outcome| outcome.proof().contains("uid_validity")));
    for user in &chosen {
        let left = snapshot(&rig, user).await;
        assert!(left.iter().all(|(_, mails)| mails.iter().all(|(raw, ..)| raw != &target)), "{user} still has it");
        assert_eq!(left.iter().map(|(_, mails)| mails.len()).sum::<usize>(), 1, "the other mail stays");
    }
    let again = remove(&rig, wanted(&chosen, &target), &removal).await;
    assert!(again.iter().all(|outcome| outcome.state == ReceiptState::Done), "doing it twice tells the same");

    let undo_dir = Files::new(&dir.path().join("undo"));
    std::fs::remove_dir_all(dir.path().join("undo/vault")).expect("empty");
    std::os::unix::fs::symlink(dir.path().join("removal/vault"), dir.path().join("undo/vault")).expect("link");
    drop(undo);
    let started = Instant::now();
    let back = restore(&rig, done, &undo_dir).await;
    eprintln!("restore of 12: {:?}", started.elapsed());
    assert!(back.iter().all(|outcome| outcome.state == ReceiptState::Done), "{back:?}");
    for (user, before) in rig.users.iter().zip(before) {
        assert_eq!(snapshot(&rig, user).await, before, "{user}");
    }
}

#[tokio::test]
async fn the_same_message_id_with_other_content_stays() {
    the_same_message_id_with_other_content_stays_over(stage(2, false).await).await;
}

#[tokio::test]
async fn the_same_message_id_with_other_content_stays_with_one_login() {
    the_same_message_id_with_other_content_stays_over(stage(2, true).await).await;
}

async fn the_same_message_id_with_other_content_stays_over(rig: Stage) {
    let target = mail("shared@partner.test", "harmful");
    let innocent = mail("shared@partner.test", "harmless");
    let longer = mail("prefix-shared@partner.test-suffix", "harmful");
    let user = rig.users[0].clone();
    let mut client = rig.imap(&user).await.expect("login");
    for raw in [&innocent, &target, &longer] {
        client.append("INBOX", "", DATES[0], raw).await.expect("append");
    }
    let dir = tempfile::tempdir().expect("temp dir");
    let files = Files::new(dir.path());
    let outcomes = remove(&rig, wanted(&rig.users[..1], &target), &files).await;
    assert_eq!((outcomes[0].state, outcomes[0].steps.len()), (ReceiptState::Done, 1));
    assert_eq!(outcomes[0].differing.iter().map(|one| one.difference.as_str()).collect::<Vec<_>>(), ["other text"]);
    let left: Vec<Vec<u8>> = client.mails("INBOX").await.expect("mails").into_iter().map(|mail| mail.raw).collect();
    assert_eq!(left, [innocent, longer]);
}

#[tokio::test]
async fn tls_and_starttls_work_and_strangers_are_refused() {
    let rig =
        MailRig::start(MailRigConfig { users: 1, smtp: false, tls: true, ..Default::default() }).await.expect("rig");
    let ca = rig.ca_file.clone().expect("certificate");
    let target = mail("tls@partner.test", "x");
    rig.imap(&rig.users[0]).await.expect("login").append("INBOX", "", DATES[0], &target).await.expect("append");
    let with = |security, port, trust| {
        let server = Server { host: "localhost".to_owned(), port, security, trust, ..server(&rig) };
        ImapConnector::new(server, master(&rig), 1)
    };
    let imaps = rig.imaps_addr.expect("imaps").port();
    for (security, port) in [(Security::Tls, imaps), (Security::StartTls, rig.imap_addr.port())] {
        let connector = Arc::new(with(security, port, Trust::file(&ca).expect("trust")));
        let counts = found(&Engine::new(connector, Limits::default()), wanted(&rig.users, &target)).await;
        assert_eq!(counts, [(1, 0)], "{security:?}");
        let stranger = with(security, port, Trust::nobody());
        let error = why(stranger.open(&rig.users[0]).await.map(drop).expect_err("unknown authority"));
        assert!(error.contains("protect the connection"), "{error}");
    }
    let guess =
        Access::Master { user: rig.master_user.clone(), separator: "*".to_owned(), password: "guess".to_owned() };
    let wrong = ImapConnector::new(server(&rig), guess, 1);
    let error = why(wrong.open(&rig.users[0]).await.map(drop).expect_err("wrong password"));
    assert!(error.contains("refused") && !error.contains("guess"), "{error}");
}

/// An error with its causes.
fn why(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    text
}

/// Runs in a child process of the crash test: removes or restores and dies at a chosen point.
#[tokio::test]
async fn crash_child() {
    let Ok(task) = std::env::var("HINOMI_TEST_TASK") else { return };
    let var = |name: &str| std::env::var(name).expect("set by the parent");
    let user = var("HINOMI_TEST_USER");
    let server = Server {
        host: "127.0.0.1".to_owned(),
        port: var("HINOMI_TEST_PORT").parse().expect("port"),
        security: Security::None,
        trust: Trust::nobody(),
        limits: ImapLimits::default(),
    };
    let password = var("HINOMI_TEST_PASSWORD");
    let access = match var("HINOMI_TEST_SHARED").as_str() {
        "" => Access::Master { user: "hinomi-admin".to_owned(), separator: "*".to_owned(), password },
        login => shared(login.to_owned(), password),
    };
    let engine = engine_of(server, access, 1);
    let dir = PathBuf::from(var("HINOMI_TEST_DIR"));
    let removal = Files::new(&dir);
    let outcomes = Mutex::new(Vec::new());
    let on = |outcome| outcomes.lock().expect("lock").push(outcome);
    if task == "remove" {
        let target = std::fs::read(dir.join("target.eml")).expect("target");
        engine.treat(MessageRemedy::SoftDelete, wanted(&[user], &target), &removal, &removal, &on).await;
    } else {
        let entry = removal.entry_path(&copy_ref(&user), "outcome");
        let removed: Outcome = serde_json::from_slice(&std::fs::read(entry).expect("removal")).expect("json");
        let undo = Files { abort_at: removal.abort_at, ..Files::new(&dir.join("undo")) };
        engine.restore(vec![removed], &undo, &removal, &on).await;
    }
    let outcomes = outcomes.into_inner().expect("lock");
    assert!(outcomes.iter().all(|outcome| outcome.state == ReceiptState::Done), "{outcomes:?}");
}

fn run_child(rig: &Stage, user: &str, task: &str, dir: &Path, abort_at: Option<u32>) -> bool {
    let mut child = std::process::Command::new(std::env::current_exe().expect("own path"));
    child
        .args(["--exact", "crash_child", "--test-threads=1"])
        .env("HINOMI_TEST_TASK", task)
        .env("HINOMI_TEST_USER", user)
        .env("HINOMI_TEST_DIR", dir)
        .env("HINOMI_TEST_PORT", rig.imap_addr.port().to_string())
        .env("HINOMI_TEST_PASSWORD", &rig.master_password)
        .env("HINOMI_TEST_SHARED", if rig.shared { rig.shared_user.as_str() } else { "" })
        .stdout(std::process::Stdio::null());
    match abort_at {
        Some(point) => drop(child.env("HINOMI_TEST_ABORT_AT", point.to_string()).stderr(std::process::Stdio::null())),
        None => drop(child.env_remove("HINOMI_TEST_ABORT_AT")),
    }
    child.status().expect("child runs").success()
}

#[tokio::test]
async fn a_crash_anywhere_resumes_without_loss_or_doubles() {
    a_crash_anywhere_resumes_without_loss_or_doubles_over(stage(1, false).await).await;
}

#[tokio::test]
async fn a_crash_anywhere_resumes_without_loss_or_doubles_with_one_login() {
    a_crash_anywhere_resumes_without_loss_or_doubles_over(stage(1, true).await).await;
}

async fn a_crash_anywhere_resumes_without_loss_or_doubles_over(rig: Stage) {
    let user = rig.users[0].clone();
    let target = mail("crash@partner.test", "boom");
    let mut client = rig.imap(&user).await.expect("login");
    client.append("INBOX", "\\Seen", DATES[0], &target).await.expect("append");
    client.append("Junk", "\\Flagged", DATES[0], &target).await.expect("an identical second one");
    client.append("INBOX", "", DATES[1], &mail("other@x.test", "other")).await.expect("append");
    let before = snapshot(&rig, &user).await;
    let mut crashes = 0;
    for point in 1.. {
        let dir = tempfile::tempdir().expect("temp dir");
        std::fs::write(dir.path().join("target.eml"), &target).expect("target");
        let removal_crashed = !run_child(&rig, &user, "remove", dir.path(), Some(point));
        if removal_crashed {
            crashes += 1;
            assert!(
                run_child(&rig, &user, "remove", dir.path(), None),
                "removal resumes after a crash at point {point}"
            );
        }
        let left: usize = snapshot(&rig, &user).await.iter().map(|(_, mails)| mails.len()).sum();
        assert_eq!(left, 1, "after a removal that crashed at point {point}");
        let restore_crashed = !run_child(&rig, &user, "restore", dir.path(), Some(point));
        if restore_crashed {
            crashes += 1;
            assert!(
                run_child(&rig, &user, "restore", dir.path(), None),
                "restore resumes after a crash at point {point}"
            );
        }
        assert_eq!(snapshot(&rig, &user).await, before, "after crashes at point {point}");
        if !removal_crashed && !restore_crashed {
            break;
        }
    }
    eprintln!("{crashes} crash points");
    assert!(crashes > 15, "only {crashes} crashes: the points are not reached");
}

#[tokio::test]
async fn a_mark_left_by_a_killed_run_is_finished_and_a_move_is_not_doubled() {
    a_mark_left_by_a_killed_run_is_finished_and_a_move_is_not_doubled_over(stage(1, false).await).await;
}

#[tokio::test]
async fn a_mark_left_by_a_killed_run_is_finished_and_a_move_is_not_doubled_with_one_login() {
    a_mark_left_by_a_killed_run_is_finished_and_a_move_is_not_doubled_over(stage(1, true).await).await;
}

async fn a_mark_left_by_a_killed_run_is_finished_and_a_move_is_not_doubled_over(rig: Stage) {
    let user = rig.users[0].clone();
    let target = mail("marked@partner.test", "x");
    let dir = tempfile::tempdir().expect("temp dir");
    std::fs::write(dir.path().join("target.eml"), &target).expect("target");
    let mut client = rig.imap(&user).await.expect("login");
    client.append("INBOX", "\\Seen", DATES[0], &target).await.expect("append");
    let before = snapshot(&rig, &user).await;
    // killed after the copy was stored; then the mark the killed run would have set next
    let killed_with_copy = 5;
    assert!(!run_child(&rig, &user, "remove", dir.path(), Some(killed_with_copy)));
    assert_eq!(std::fs::read_dir(dir.path().join("vault")).expect("vault").count(), 1);
    let uid = client.mails("INBOX").await.expect("mails")[0].uid;
    client.set_flags("INBOX", uid, "\\Seen \\Deleted").await.expect("mark");
    assert!(run_child(&rig, &user, "remove", dir.path(), None));
    assert!(snapshot(&rig, &user).await.iter().all(|(_, mails)| mails.is_empty()));
    assert!(run_child(&rig, &user, "restore", dir.path(), None));
    assert_eq!(snapshot(&rig, &user).await, before, "the flags are those from before the mark");

    // killed at the same point again, but now the owner moves the mail before the run is resumed
    let dir = tempfile::tempdir().expect("temp dir");
    std::fs::write(dir.path().join("target.eml"), &target).expect("target");
    assert!(!run_child(&rig, &user, "remove", dir.path(), Some(killed_with_copy)));
    let uid = client.mails("INBOX").await.expect("mails")[0].uid;
    client.move_to("INBOX", uid, "Junk").await.expect("move");
    assert!(run_child(&rig, &user, "remove", dir.path(), None));
    assert!(run_child(&rig, &user, "restore", dir.path(), None));
    let mut client = rig.imap(&user).await.expect("login");
    assert_eq!((client.count("INBOX").await.expect("count"), client.count("Junk").await.expect("count")), (0, 1));
}
