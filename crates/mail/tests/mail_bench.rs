//! Figures over many mailboxes beside Dovecot's own tool. Runs only when asked for:
//! `HINOMI_MAIL_BENCH=1000 cargo test --test mail_bench -- --nocapture`.

mod kept;

use hinomi_mail::imap::{Limits as ImapLimits, Security, Server, Trust};
use hinomi_mail::parse::{Limits, analyse};
use hinomi_mail::remediate::{Access, Engine, Finding, Identity, Wanted};
use hinomi_model::{MessageCopyRef, MessageId, ReceiptState};
use hinomi_testkit::mail::{MailRig, MailRigConfig};
use kept::InMemory;
use std::sync::Mutex;
use std::time::Instant;

/// Other mails in each mailbox.
const OTHERS: usize = 100;

fn mail(id: &str) -> Vec<u8> {
    let text = "All work and no play makes a long mail body. ".repeat(60);
    format!("From: a@x.test\r\nTo: all@example.test\r\nSubject: s\r\nMessage-ID: <{id}>\r\nDate: Sun, 22 Nov 2026 02:27:03 +0000\r\n\r\n{text}\r\n")
        .into_bytes()
}

/// Writes mails straight into the Maildirs, as a delivery agent does.
fn fill(rig: &MailRig, target: &[u8]) {
    let owner = std::fs::metadata(rig.dir.join("mail")).expect("mail folder");
    let (uid, gid) = (std::os::unix::fs::MetadataExt::uid(&owner), std::os::unix::fs::MetadataExt::gid(&owner));
    for user in &rig.users {
        let home = rig.dir.join("mail").join(user.split('@').next().expect("local part"));
        for folder in ["", "Maildir", "Maildir/cur", "Maildir/new", "Maildir/tmp"] {
            let path = home.join(folder);
            std::fs::create_dir_all(&path).expect("folder");
            std::os::unix::fs::chown(&path, Some(uid), Some(gid)).expect("chown");
        }
        for number in 0..=OTHERS {
            let path = home.join(format!("Maildir/cur/17638000{number:02}.M{number}P1.rig:2,S"));
            let raw = if number == OTHERS / 2 { target.to_vec() } else { mail(&format!("{number}-{user}")) };
            std::fs::write(&path, raw).expect("mail");
            std::os::unix::fs::chown(&path, Some(uid), Some(gid)).expect("chown");
        }
    }
}

fn doveadm(rig: &MailRig, what: &[&str]) -> f64 {
    let started = Instant::now();
    let status = rig.doveadm().args(what).stdout(std::process::Stdio::null()).status().expect("doveadm");
    assert!(status.success(), "doveadm {what:?}");
    started.elapsed().as_secs_f64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_mailboxes() {
    let Some(users) = std::env::var("HINOMI_MAIL_BENCH").ok().and_then(|text| text.parse().ok()) else { return };
    let rig = MailRig::start(MailRigConfig { users, smtp: false, ..MailRigConfig::default() }).await.expect("rig");
    let target = mail("target@x.test");
    fill(&rig, &target);
    let access = Access {
        server: Server {
            host: "127.0.0.1".to_owned(),
            port: rig.imap_addr.port(),
            security: Security::None,
            trust: Trust::nobody(),
            limits: ImapLimits::default(),
        },
        master_user: rig.master_user.clone(),
        separator: "*".to_owned(),
        password: rig.master_password.clone(),
    };
    let engine = Engine::new(access, 8, Limits::default());
    let identity = Identity::of_analysis(&analyse(&target, &Limits::default()));
    let id: MessageId = "0199aaaa-0000-7000-8000-000000000001".parse().expect("id");
    let wanted = || -> Vec<Wanted> {
        let one = |user: &String| Wanted {
            copy: MessageCopyRef { message_id: id, recipient: user.clone() },
            mailbox: user.clone(),
            identity: identity.clone(),
        };
        rig.users.iter().map(one).collect()
    };
    let find = async || {
        let (started, hits) = (Instant::now(), Mutex::new(0));
        engine
            .find(wanted(), &|_, finding| match finding {
                Finding::Seen { present, .. } => *hits.lock().expect("lock") += present.len(),
                Finding::Failed(reason) => panic!("{reason}"),
            })
            .await;
        (started.elapsed().as_secs_f64(), hits.into_inner().expect("lock"))
    };
    let search = ["search", "-A", "HEADER", "Message-ID", "target@x.test"];
    eprintln!("{users} mailboxes with {} mails each", OTHERS + 1);
    eprintln!("find, cold caches: {:.2} s {} hits", find().await.0, users);
    for round in 1..=3 {
        let (ours, hits) = find().await;
        assert_eq!(hits, users);
        let theirs = doveadm(&rig, &search);
        let kept = InMemory::default();
        let (started, outcomes) = (Instant::now(), Mutex::new(Vec::new()));
        engine.soft_delete(wanted(), &kept, &kept, &|outcome| outcomes.lock().expect("lock").push(outcome)).await;
        let removal = started.elapsed().as_secs_f64();
        let outcomes = outcomes.into_inner().expect("lock");
        assert!(outcomes.iter().all(|outcome| outcome.state == ReceiptState::Done));
        let (started, back, undo) = (Instant::now(), Mutex::new(0), InMemory::default());
        engine.restore(outcomes, &undo, &kept, &|_| *back.lock().expect("lock") += 1).await;
        let restore = started.elapsed().as_secs_f64();
        eprintln!(
            "round {round}: find {ours:.2} s (doveadm {theirs:.2} s), soft delete {removal:.2} s, restore {restore:.2} s"
        );
    }
    let there = doveadm(&rig, &["move", "-A", "Junk", "mailbox", "INBOX", "HEADER", "Message-ID", "target@x.test"]);
    let back = doveadm(&rig, &["move", "-A", "INBOX", "mailbox", "Junk", "HEADER", "Message-ID", "target@x.test"]);
    let expunge = doveadm(&rig, &["expunge", "-A", "mailbox", "INBOX", "HEADER", "Message-ID", "target@x.test"]);
    eprintln!("doveadm: move {there:.2} s, move back {back:.2} s, expunge {expunge:.2} s");
}
