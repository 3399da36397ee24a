//! How mail becomes known that did not come through the gateway: the crawl of the mailboxes and the
//! journal address, over a real Postfix and Dovecot.

use hinomi_model::{DeliveryLocation, MailField, MailFilter, MailSource, MessageCopy};
use hinomi_server::config::{Config, CrawlConfig, ImapConfig, JournalConfig, MailTls, MailboxesConfig};
use hinomi_server::serve::{Running, ServeOptions, start};
use hinomi_store::Page;
use hinomi_testkit::mail::{MailRig, MailRigConfig};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(60);

fn mail(id: &str, subject: &str, text: &str) -> Vec<u8> {
    format!(
        "Received: from relay.elsewhere.test (relay.elsewhere.test [192.0.2.7]) by mx.example.test with ESMTPS; Sun, 22 Nov 2026 01:01:05 +0000\r\n\
         Received: from pc by relay.elsewhere.test with ESMTPSA; Sun, 22 Nov 2026 10:00:02 +0900\r\n\
         From: Someone <someone@elsewhere.test>\r\nTo: staff@example.test\r\nSubject: {subject}\r\nMessage-ID: <{id}>\r\n\
         Date: Sun, 22 Nov 2026 01:00:00 +0000\r\nContent-Type: text/plain\r\n\r\n{text}\r\n"
    )
    .into_bytes()
}

async fn server(rig: &MailRig, dir: &Path, journal: Option<SocketAddr>, mails_per_second: u32) -> Running {
    let password = dir.join("password");
    std::fs::write(&password, format!("{}\n", rig.master_password)).expect("password");
    let mut config = Config::default();
    let free: SocketAddr = "127.0.0.1:0".parse().expect("address");
    config.listen.console = free;
    config.listen.sensors = free;
    config.gateway.enabled = false;
    config.gateway.own_domains = vec!["example.test".to_owned()];
    config.gateway.own_servers = vec!["mx.example.test".to_owned()];
    config.journal = journal.map(|listen| JournalConfig { listen, ..JournalConfig::default() });
    config.crawl = Some(CrawlConfig { every_seconds: 1, mails_per_second, ..CrawlConfig::default() });
    config.mailboxes = vec![mailboxes(rig, &password)];
    start(ServeOptions { data: dir.join("data"), config, write_enrolment_token: None, mail_worker: Default::default() })
        .await
        .expect("server starts")
}

fn mailboxes(rig: &MailRig, password: &Path) -> MailboxesConfig {
    let imap = ImapConfig {
        host: "127.0.0.1".to_owned(),
        port: rig.imap_addr.port(),
        tls: MailTls::None,
        ca_file: None,
        master_user: Some(rig.master_user.clone()),
        master_separator: "*".to_owned(),
        shared_prefix: None,
        password_file: Some(password.to_owned()),
        credentials_file: None,
    };
    MailboxesConfig {
        name: "main".to_owned(),
        users_file: Some(rig.users_file.clone()),
        connections: 4,
        imap: Some(imap),
        maildir: None,
        graph: None,
    }
}

fn blocked(sender: &str) -> hinomi_model::IndicatorSpec {
    hinomi_model::IndicatorSpec {
        kind: hinomi_model::IndicatorKind::SenderAddress,
        value: sender.to_owned(),
        action: hinomi_model::IndicatorAction::Block,
        severity: hinomi_model::Severity::Medium,
        note: "test".to_owned(),
        expires_at: None,
        scope: Default::default(),
    }
}

async fn copies(running: &Running, filter: &MailFilter) -> Vec<MessageCopy> {
    running.ctx.store.messages(filter, &Page::first(200)).await.expect("list").items
}

/// Waits until the copies the filter picks are as wanted.
async fn wait(
    running: &Running,
    filter: &MailFilter,
    what: &str,
    wanted: impl Fn(&[MessageCopy]) -> bool,
) -> Vec<MessageCopy> {
    let end = Instant::now() + DEADLINE;
    loop {
        let found = copies(running, filter).await;
        if wanted(&found) {
            return found;
        }
        let state = running.ctx.store.crawl_mailboxes().await.expect("crawls");
        assert!(Instant::now() < end, "{what}: {found:#?}\n{state:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until an action has come to this end.
async fn ends(running: &Running, id: hinomi_model::ActionId, state: hinomi_model::ActionState) {
    let end = Instant::now() + DEADLINE;
    loop {
        let action = running.ctx.store.action(id).await.expect("read").expect("there");
        if action.state == state {
            return;
        }
        assert!(Instant::now() < end, "{state:?}: {action:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_mail_is_found_and_followed_across_a_restart() {
    let rig = MailRig::start(MailRigConfig { users: 3, smtp: false, ..MailRigConfig::default() }).await.expect("rig");
    let dir = tempfile::tempdir().expect("temp dir");
    let users: Vec<String> = rig.users.clone();
    for user in &users {
        let mut client = rig.imap(user).await.expect("login");
        let old = "01-Feb-2020 10:00:00 +0000";
        client
            .append("INBOX", "", old, &mail("shared@elsewhere.test", "Shared news", "the same words for all of you"))
            .await
            .expect("append");
        for number in 0..15 {
            let raw = mail(&format!("{number}-{user}"), &format!("Number {number}"), &format!("own text {number}"));
            client.append("INBOX", "", old, &raw).await.expect("append");
        }
    }
    // one that only claims to be the shared mail
    let forged = mail("shared@elsewhere.test", "Shared news", "other words under the same Message-ID");
    rig.imap(&users[0])
        .await
        .expect("login")
        .append("INBOX", "", "02-Feb-2020 10:00:00 +0000", &forged)
        .await
        .expect("append");

    // stopped in the middle and started again: nothing twice, nothing lost
    let first = server(&rig, dir.path(), None, 20).await;
    wait(&first, &MailFilter::default(), "the crawl begins", |found| !found.is_empty()).await;
    first.stop().await.expect("stops");
    let running = server(&rig, dir.path(), None, 1_000).await;
    let all = wait(&running, &MailFilter::default(), "all mail is known", |found| found.len() >= 49).await;
    assert_eq!(all.len(), 49);
    assert!(all.iter().all(|copy| copy.source == MailSource::Crawl && copy.latest_location == DeliveryLocation::Inbox));
    assert!(all.iter().all(|copy| copy.received_at.to_string().starts_with("2020-02-0")), "as the server received it");
    let shared = MailFilter::default().with(MailField::InternetMessageId, "shared@elsewhere.test");
    let found = copies(&running, &shared).await;
    let mut sizes: Vec<usize> =
        found.iter().map(|one| found.iter().filter(|two| two.message_id == one.message_id).count()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 3, 3, 3], "one message with three recipients, and the forged one apart");

    // its owner moves one and removes another
    let mut client = rig.imap(&users[1]).await.expect("login");
    let mails = client.mails("INBOX").await.expect("mails");
    let uid_of = |id: &str| {
        let id = format!("<{id}>");
        mails.iter().find(|mail| String::from_utf8_lossy(&mail.raw).contains(&id)).expect("there").uid
    };
    client.move_to("INBOX", uid_of("shared@elsewhere.test"), "Junk").await.expect("moved");
    client.move_to("INBOX", uid_of(&format!("3-{}", users[1])), "Trash").await.expect("moved");
    let own = shared.clone().with(MailField::Recipient, users[1].as_str());
    let moved =
        wait(&running, &own, "the move is seen", |found| found[0].latest_location == DeliveryLocation::JunkFolder)
            .await;
    assert_eq!((moved[0].moved_by.as_deref(), moved[0].folder.as_deref()), (Some("owner"), Some("Junk")));
    assert_eq!(moved[0].delivery_location, DeliveryLocation::Inbox);
    let trashed = MailFilter::default().with(MailField::Location, "deletedItems");
    wait(&running, &trashed, "the deletion is seen", |found| found.len() == 1).await;
    // a dry run asks the mailboxes: the forged mail is shown and not counted
    let order = hinomi_api::DryRun { filter: Some(shared.clone()), ..Default::default() };
    let dry = hinomi_server::dry_run::make(&running.ctx, &order, "test").await.expect("dry run");
    assert_eq!((dry.copies, dry.messages, dry.asked, dry.present), (4, 2, 4, 4), "{dry:#?}");
    let at = |value: &str| dry.locations.iter().find(|one| one.value == value).map(|one| one.count);
    assert_eq!((at("inbox"), at("junkFolder")), (Some(3), Some(1)), "{dry:#?}");
    assert_eq!(dry.differing.len(), 2, "each of both claims to be the other: {dry:#?}");
    assert_eq!(dry.needs_person, []);

    // a person reads the header, on record
    let why = "is it really from them?";
    let read = |recipient| hinomi_server::mail_header::read(&running.ctx, moved[0].message_id, recipient, why, "sato");
    let header = read(Some(users[1].as_str())).await.expect("header");
    assert_eq!((header.recipient.as_str(), header.folder.as_deref()), (users[1].as_str(), Some("Junk")));
    assert!(header.complete && header.raw.contains("Message-ID: <shared@elsewhere.test>"), "{header:?}");
    assert!(!header.raw.contains("the same words"), "nothing of the body: {header:?}");
    let way: Vec<_> = header.hops.iter().map(|hop| (hop.by.as_str(), hop.delay_seconds, hop.trusted)).collect();
    assert_eq!(way, [("relay.elsewhere.test", None, false), ("mx.example.test", Some(63), true)]);
    assert!(matches!(
        read(Some("nobody@example.test")).await,
        Err(hinomi_server::mail_header::HeaderError::NoSuchCopy)
    ));

    // the same filter as an action: every copy goes, the other mails stay
    let new = hinomi_api::NewMailBulk {
        filter: shared.clone(),
        remedy: hinomi_model::MessageRemedy::MoveToQuarantine,
        senders_copy: false,
        related: false,
        reason: "test".to_owned(),
        incident_id: None,
        propose_only: false,
        confirmed: false,
        block: vec![blocked("billing@elsewhere.test")],
    };
    let key = Some("test:1".to_owned());
    let own =
        hinomi_model::IndicatorSpec { kind: hinomi_model::IndicatorKind::SenderDomain, ..blocked("example.test") };
    let foolish = hinomi_api::NewMailBulk { block: vec![own], ..new.clone() };
    let refused = hinomi_server::bulk::order(&running.ctx, foolish, "test", true, None).await;
    assert!(matches!(refused, Err(hinomi_server::bulk::BulkError::Block(_))), "our own domain: {refused:?}");
    let bulk = hinomi_server::bulk::order(&running.ctx, new.clone(), "test", true, key.clone()).await.expect("ordered");
    let again = hinomi_server::bulk::order(&running.ctx, new, "test", true, key).await.expect("ordered");
    assert_eq!(bulk.id, again.id);
    let gone = shared.clone().with(MailField::Location, "quarantine");
    wait(&running, &gone, "the copies are taken out", |found| found.len() == 4).await;
    let kept = read(Some(users[1].as_str())).await.expect("the header of what was taken out");
    assert_eq!((kept.folder.as_deref(), kept.raw.as_str()), (None, header.raw.as_str()));
    assert_eq!(rig.imap(&users[2]).await.expect("login").count("INBOX").await.expect("count"), 15);
    let id = bulk.id.parse().expect("id");
    let done = hinomi_server::bulk::get(&running.ctx, id).await.expect("read").expect("there");
    assert_eq!((done.state, done.copies, done.actions.len()), (hinomi_api::BulkState::Ordered, 4, 1));

    // the sender is blocked by an action of its own, which is undone alone
    let [blocking] = done.block_actions[..] else { panic!("one indicator: {done:?}") };
    let indicators = || running.ctx.store.indicators_in_force(running.ctx.now());
    ends(&running, blocking, hinomi_model::ActionState::Succeeded).await;
    assert_eq!(indicators().await.expect("indicators").len(), 1);
    let undo = hinomi_server::actions::undo(&running.ctx, blocking, "test").await.expect("undone");
    ends(&running, undo.id, hinomi_model::ActionState::Succeeded).await;
    assert_eq!(indicators().await.expect("indicators").len(), 0);
    assert_eq!(copies(&running, &gone).await.len(), 4, "the mails stay where they are");

    let states = running.ctx.store.crawl_mailboxes().await.expect("crawls");
    assert_eq!((states.len(), states.iter().map(|one| one.skipped).sum::<i64>()), (3, 0));

    // every reading is on record: the crawl's per mailbox and run, not per mail
    let filter = hinomi_store::AuditFilter { action: Some("mail.read".to_owned()), ..Default::default() };
    let records = running.ctx.store.audit_records(&filter, &Page::first(200)).await.expect("audit").items;
    let detail = |record: &hinomi_model::AuditRecord| serde_json::from_str(&record.detail).expect("JSON");
    let details: Vec<serde_json::Value> = records.iter().map(detail).collect();
    let of = |reason: &str| details.iter().filter(|detail| detail["reason"] == reason).cloned().collect::<Vec<_>>();
    let crawl = of("crawl");
    let read: i64 = crawl.iter().filter_map(|detail| detail["mails"].as_i64()).sum();
    assert_eq!(read, states.iter().map(|one| one.mails).sum::<i64>(), "{crawl:?}");
    assert!(crawl.len() < read as usize / 2, "{crawl:?}");
    assert!(records.iter().all(|record| ["system", "test", "sato"].contains(&record.actor.as_str())));
    // in the mailbox, in the mailbox that had lost it, and in what was kept
    let read = serde_json::json!({
        "reason": "header", "message": moved[0].message_id.to_string(), "why": why, "mailboxes": 1, "named": [users[1]],
    });
    assert_eq!(of("header"), [read.clone(), read.clone(), read]);
    let action = of("action");
    assert_eq!((action.len(), of("dry_run").len()), (1, 1), "{details:?}");
    assert_eq!((&action[0]["action"], &action[0]["mailboxes"]), (&done.actions[0].to_string().into(), &3.into()));
    running.stop().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_journal_names_every_recipient_and_the_crawl_knows_the_mail_again() {
    let journal = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        listener.local_addr().expect("address")
    };
    let config = MailRigConfig { users: 3, journal: Some(journal), ..MailRigConfig::default() };
    let rig = MailRig::start(config).await.expect("rig");
    let dir = tempfile::tempdir().expect("temp dir");
    let running = server(&rig, dir.path(), Some(journal), 1_000).await;
    let to: Vec<&str> = rig.users.iter().map(String::as_str).collect();
    // nobody of them stands in To
    rig.send("bounce@elsewhere.test", &to, &mail("wave@elsewhere.test", "To all", "please read this"))
        .await
        .expect("sent");
    let filter = MailFilter::default().with(MailField::InternetMessageId, "wave@elsewhere.test");
    let found = wait(&running, &filter, "three recipients", |found| found.len() == 3).await;
    let mut recipients: Vec<&str> = found.iter().map(|copy| copy.recipient.as_str()).collect();
    recipients.sort_unstable();
    assert_eq!(recipients, to);
    assert!(
        found.iter().all(|copy| copy.sender_mail_from == "bounce@elsewhere.test" || copy.source == MailSource::Crawl)
    );
    // the crawl finds the delivered copies: the same message, now with a folder
    let seen = wait(&running, &filter, "folders are known", |found| {
        found.len() == 3 && found.iter().all(|copy| copy.folder.as_deref() == Some("INBOX"))
    })
    .await;
    assert!(seen.iter().all(|copy| copy.message_id == seen[0].message_id && copy.moved_by.is_none()), "{seen:#?}");
    running.stop().await.expect("stops");
}
