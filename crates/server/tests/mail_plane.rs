//! Gateway and mailboxes with the house's ingest, store and vault, over real Postfix and Dovecot.

use hinomi_detect::IndicatorSet;
use hinomi_mail::milter::{Limits, MilterServer, OnFailure};
use hinomi_model::{
    ActionId, DeliveryLocation, Event, Indicator, IndicatorAction, IndicatorKind, IndicatorScope, IndicatorSpec,
    MessageCopy, MessageCopyRef, MessageRemedy, ReceiptState, Severity, Table, Timestamp,
};
use hinomi_server::config::{ImapConfig, MailTls, MailboxesConfig, OnBlock};
use hinomi_server::gateway::{Gateway, GatewayOptions, quarantine_key};
use hinomi_server::ingest::{Ingest, Log};
use hinomi_server::mailboxes::{FileVault, Found, Mailboxes, Order, Reading, Reason};
use hinomi_store::{Page, Store};
use hinomi_testkit::mail::{MailRig, MailRigConfig};
use std::path::Path;
use std::sync::{Arc, RwLock};
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(30);

/// The parts of the house that mail needs.
struct House {
    rig: MailRig,
    milter: MilterServer,
    ingest: Ingest,
    store: Store,
    vault: FileVault,
    indicators: Arc<RwLock<Arc<IndicatorSet>>>,
    dir: tempfile::TempDir,
}

impl House {
    async fn start(users: usize, on_block: OnBlock) -> House {
        let dir = tempfile::tempdir().expect("temp dir");
        let store = Store::open(&format!("sqlite:{}", dir.path().join("hinomi.db").display())).await.expect("store");
        let log = Log::open(&dir.path().join("log"), 0).expect("log");
        let ingest = Ingest::open(log, store.clone()).await.expect("ingest");
        let vault = FileVault::open(&dir.path().join("vault"), &[5; 32]).expect("vault");
        let indicators: Arc<RwLock<Arc<IndicatorSet>>> = Arc::default();
        let current = indicators.clone();
        let options = GatewayOptions {
            own_domains: vec!["example.test".to_owned()],
            on_block,
            authentication_deadline: None,
            analysis_deadline: Duration::from_secs(2),
            trusted_filters: Vec::new(),
        };
        let source = Arc::new(move || current.read().expect("lock").clone());
        let judge = Arc::new(Gateway::new(options, ingest.clone(), vault.clone(), source));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let limits = Limits { on_failure: OnFailure::TempFail, ..Limits::default() };
        let milter = MilterServer::start(listener, judge, limits).expect("milter");
        let config = MailRigConfig { users, milter: Some(milter.addr), ..MailRigConfig::default() };
        let rig = MailRig::start(config).await.expect("rig");
        House { rig, milter, ingest, store, vault, indicators, dir }
    }

    fn block(&self, kind: IndicatorKind, value: &str) {
        self.say(kind, value, IndicatorAction::Block, &[]);
    }

    fn say(&self, kind: IndicatorKind, value: &str, action: IndicatorAction, mail_domains: &[&str]) {
        let mail_domains = mail_domains.iter().map(|domain| (*domain).to_owned()).collect();
        let spec = IndicatorSpec {
            kind,
            value: value.to_owned(),
            action,
            severity: Severity::High,
            note: "test".to_owned(),
            expires_at: None,
            scope: IndicatorScope { device_tags: Vec::new(), mail_domains },
        };
        let indicator = Indicator {
            id: hinomi_server::ids::new(),
            spec,
            created_by: "test".to_owned(),
            created_at: Timestamp::default(),
            incident_id: None,
            import_id: None,
            list_version: None,
            hits: 0,
            last_hit: None,
            version: 1,
        };
        *self.indicators.write().expect("lock") = Arc::new(IndicatorSet::new(&[indicator]));
    }

    /// Every event in the log.
    fn events(&self) -> Vec<Event> {
        let mut reader = self.ingest.log().read_from(0);
        let mut events = Vec::new();
        while let Some((_, payload)) = reader.try_next().expect("log reads") {
            let end = payload.iter().position(|byte| *byte == b'\n').expect("header");
            let header: serde_json::Value = serde_json::from_slice(&payload[..end]).expect("json");
            let count = header["count"].as_u64().expect("count") as usize;
            events.extend(hinomi_wire::unpack(&payload[end + 1..], count).expect("unpacks"));
        }
        events
    }

    /// Waits until the log shows `count` messages with their recipients and returns all events.
    async fn events_of(&self, count: usize) -> Vec<Event> {
        let end = std::time::Instant::now() + DEADLINE;
        loop {
            let events = self.events();
            if events.iter().filter(|event| event.table == Table::EmailEvents).count() >= count {
                return events;
            }
            assert!(std::time::Instant::now() < end, "no {count} messages in the log");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Puts what the gateway wrote down into the message index, as the analyst does.
    async fn index(&self, count: usize) -> Vec<MessageCopy> {
        let events = self.events_of(count).await;
        let mut tx = self.store.begin().await.expect("tx");
        for copy in hinomi_cases::message_copies(&events) {
            if tx.message(copy.message_id, &copy.recipient).await.expect("read").is_none() {
                tx.put_message(&copy).await.expect("put");
            }
        }
        tx.commit().await.expect("commit");
        let page = Page { limit: 200, ..Page::default() };
        self.store.messages(&hinomi_model::MailFilter::default(), &page).await.expect("list").items
    }

    fn mailboxes(&self) -> Mailboxes {
        let password = self.dir.path().join("password");
        std::fs::write(&password, format!("{}\n", self.rig.master_password)).expect("password");
        let imap = ImapConfig {
            host: "127.0.0.1".to_owned(),
            port: self.rig.imap_addr.port(),
            tls: MailTls::None,
            ca_file: None,
            master_user: Some(self.rig.master_user.clone()),
            master_separator: "*".to_owned(),
            shared_prefix: None,
            password_file: Some(password),
            credentials_file: None,
        };
        let config = MailboxesConfig {
            name: "main".to_owned(),
            users_file: Some(self.rig.users_file.clone()),
            connections: 8,
            imap: Some(imap),
            maildir: None,
            graph: None,
        };
        let domains = ["example.test".to_owned()];
        Mailboxes::from_config(&[config], &domains, self.vault.clone(), self.store.clone(), self.ingest.clone())
            .expect("mailboxes")
    }
}

fn soft_delete(action: ActionId) -> Order {
    Order { action, remedy: MessageRemedy::SoftDelete, senders_copy: false }
}

fn invoice_mail(id: &str) -> (Vec<u8>, String) {
    use base64::Engine;
    use sha2::Digest;
    use std::io::Write;
    let script = b"#!/bin/sh\necho harmless\n";
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    writer.start_file("invoice.sh", zip::write::SimpleFileOptions::default()).expect("start");
    writer.write_all(script).expect("write");
    let zip = writer.finish().expect("finish").into_inner();
    let text = base64::engine::general_purpose::STANDARD.encode(zip);
    let raw = format!(
        "From: =?UTF-8?B?57WM55CG?= <Billing@Attacker.test>\r\nTo: staff@example.test\r\nSubject: =?UTF-8?B?6KuL5rGC5pu4?=\r\n\
         Message-ID: <{id}>\r\nX-Hinomi-Message-Id: forged\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
         お支払いは http://pay.attacker.test/now まで\r\n--b\r\nContent-Type: application/zip\r\n\
         Content-Disposition: attachment; filename=invoice.zip\r\nContent-Transfer-Encoding: base64\r\n\r\n{text}\r\n--b--\r\n"
    );
    (raw.into_bytes(), hex::encode(sha2::Sha256::digest(script)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_recorded_found_removed_and_restored() {
    let house = House::start(50, OnBlock::Quarantine).await;
    let (raw, script_hash) = invoice_mail("invoice-1@attacker.test");
    let reached: Vec<String> = house.rig.users.iter().step_by(4).take(12).cloned().collect();
    let to: Vec<&str> = reached.iter().map(String::as_str).collect();
    house.rig.send("bounce@attacker.test", &to, &raw).await.expect("accepted");
    for user in &reached {
        house.rig.wait_for(user, 1, DEADLINE).await.expect("delivered");
    }

    let events = house.events_of(12).await;
    let of = |table| events.iter().filter(|event| event.table == table).count();
    assert_eq!((of(Table::EmailEvents), of(Table::EmailAttachmentInfo), of(Table::EmailUrlInfo)), (12, 24, 1));
    let mail = events.iter().find(|event| event.table == Table::EmailEvents).expect("row");
    for (column, value) in [
        ("SenderFromAddress", "billing@attacker.test"),
        ("SenderMailFromAddress", "bounce@attacker.test"),
        ("SenderDisplayName", "経理"),
        ("Subject", "請求書"),
        ("InternetMessageId", "invoice-1@attacker.test"),
        ("SenderIPv4", "127.0.0.1"),
        ("DeliveryAction", "Delivered"),
        ("DeliveryLocation", "Inbox/folder"),
        ("EmailDirection", "Inbound"),
    ] {
        assert_eq!(mail.str(column), Some(value), "{column}");
    }
    let nested = events.iter().find(|event| event.str("SHA256") == Some(&script_hash)).expect("nested file");
    assert_eq!(nested.str("FileName"), Some("invoice.sh"));
    assert_eq!(nested.additional("ContainerPath"), Some("invoice.zip/invoice.sh".into()));

    let copies = house.index(12).await;
    assert_eq!(copies.len(), 12);
    let id = copies[0].message_id.to_string();
    let mut before = Vec::new();
    for user in &reached {
        let mails = house.rig.imap(user).await.expect("login").mails("INBOX").await.expect("mails");
        let text = String::from_utf8_lossy(&mails[0].raw).into_owned();
        assert!(text.contains(&format!("X-Hinomi-Message-Id: {id}")) && !text.contains("forged"), "{text}");
        before.push((mails[0].raw.clone(), mails[0].flags.clone(), mails[0].internal_date.clone()));
    }

    let mailboxes = house.mailboxes();
    let found = mailboxes.find(&reading(), &copies).await;
    assert!(found.iter().all(|found| matches!(found, Found::Located(at) if at.folder == "INBOX")), "{found:?}");

    let (removal, undo): (ActionId, ActionId) = (hinomi_server::ids::new(), hinomi_server::ids::new());
    let mut targets: Vec<MessageCopyRef> = copies
        .iter()
        .map(|copy| MessageCopyRef { message_id: copy.message_id, recipient: copy.recipient.clone() })
        .collect();
    let stranger = MessageCopyRef { message_id: copies[0].message_id, recipient: "nobody@example.test".to_owned() };
    targets.push(stranger.clone());
    let streamed = std::sync::Mutex::new(0);
    let receipts = mailboxes
        .treat(soft_delete(removal), &targets, &|_| *streamed.lock().expect("lock") += 1)
        .await
        .expect("removal");
    assert_eq!((receipts.len(), *streamed.lock().expect("lock")), (13, 13));
    assert_eq!(receipts.iter().filter(|receipt| receipt.state == ReceiptState::Done).count(), 12, "{receipts:?}");
    assert!(
        receipts
            .iter()
            .any(|receipt| receipt.state == ReceiptState::Failed
                && receipt.target.value.ends_with("nobody@example.test"))
    );
    assert!(mailboxes.find(&reading(), &copies).await.iter().all(|found| *found == Found::NotFound));
    let removed = house.index(12).await;
    assert!(removed.iter().all(|copy| copy.latest_location == DeliveryLocation::Quarantine));
    let again = mailboxes.treat(soft_delete(hinomi_server::ids::new()), &targets[..1], &|_| {}).await.expect("removal");
    assert_eq!(again[0].state, ReceiptState::AlreadyDone, "{again:?}");

    let receipts = mailboxes.restore(undo, removal, &|_| true, &|_| {}).await.expect("restore");
    assert_eq!(receipts.iter().filter(|receipt| receipt.state == ReceiptState::Done).count(), 12, "{receipts:?}");
    for (user, before) in reached.iter().zip(before) {
        let mails = house.rig.imap(user).await.expect("login").mails("INBOX").await.expect("mails");
        let after = (mails[0].raw.clone(), mails[0].flags.clone(), mails[0].internal_date.clone());
        assert_eq!((mails.len(), after), (1, before), "{user}");
    }
    assert!(house.index(12).await.iter().all(|copy| copy.latest_location == DeliveryLocation::Inbox));
    let moved = house.events().into_iter().filter(|event| event.table == Table::EmailPostDeliveryEvents);
    let mut actions: Vec<String> = moved.filter_map(|event| event.str("Action").map(str::to_owned)).collect();
    actions.sort();
    actions.dedup();
    assert_eq!(actions, ["Restore", "Soft delete"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_remedy_is_noted_where_the_copy_is_then_the_senders_too() {
    let house = House::start(2, OnBlock::Quarantine).await;
    let [sender, reader] = [house.rig.users[0].clone(), house.rig.users[1].clone()];
    let raw = format!(
        "From: {sender}\r\nTo: {reader}\r\nSubject: plan\r\nMessage-ID: <plan@example.test>\r\n\r\nsee you at noon\r\n"
    );
    house.rig.send(&sender, &[&reader], raw.as_bytes()).await.expect("sent");
    house.rig.wait_for(&reader, 1, DEADLINE).await.expect("delivered");
    let mut outbox = house.rig.imap(&sender).await.expect("login");
    outbox.create("Sent").await.expect("create");
    outbox.append("Sent", "\\Seen", "22-Nov-2026 01:02:03 +0900", raw.as_bytes()).await.expect("append");
    let copy = house.index(1).await.remove(0);
    let target = [MessageCopyRef { message_id: copy.message_id, recipient: copy.recipient.clone() }];
    let mailboxes = house.mailboxes();
    let now = async || house.index(1).await.remove(0).latest_location;

    for (remedy, location) in [
        (MessageRemedy::MoveToJunk, DeliveryLocation::JunkFolder),
        (MessageRemedy::MoveToDeletedItems, DeliveryLocation::DeletedItems),
        (MessageRemedy::MoveToQuarantine, DeliveryLocation::Quarantine),
    ] {
        let action = hinomi_server::ids::new();
        let receipts = mailboxes.treat(Order { action, remedy, senders_copy: false }, &target, &|_| {}).await;
        assert_eq!(receipts.expect("treated")[0].state, ReceiptState::Done, "{remedy:?}");
        assert_eq!(now().await, location);
        let back = mailboxes.restore(hinomi_server::ids::new(), action, &|_| true, &|_| {}).await.expect("restored");
        assert_eq!(back[0].state, ReceiptState::Done, "{back:?}");
        assert_eq!(now().await, DeliveryLocation::Inbox);
    }
    let order = Order { action: hinomi_server::ids::new(), remedy: MessageRemedy::HardDelete, senders_copy: true };
    let receipts = mailboxes.treat(order, &target, &|_| {}).await.expect("treated");
    let mut told: Vec<(&str, ReceiptState)> = receipts
        .iter()
        .map(|receipt| (receipt.target.value.rsplit('/').next().unwrap_or_default(), receipt.state))
        .collect();
    told.sort_by_key(|one| one.0);
    assert_eq!(told, [(sender.as_str(), ReceiptState::Done), (reader.as_str(), ReceiptState::Done)], "{receipts:?}");
    assert_eq!(now().await, DeliveryLocation::Dropped);
    for (user, folder) in [(&sender, "Sent"), (&reader, "INBOX")] {
        assert_eq!(house.rig.imap(user).await.expect("login").count(folder).await.expect("count"), 0, "{user}");
    }

    let probe = mailboxes.probe("main", &reader, hinomi_server::ids::new(), "test").await;
    let probe = probe.expect("the connector is there").expect("the mailbox is in the list");
    assert!(probe.ok() && probe.missing.is_empty(), "{probe:?}");
    assert!(mailboxes.probe("other", &reader, hinomi_server::ids::new(), "test").await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn indicators_stop_messages_at_the_gateway() {
    let house = House::start(2, OnBlock::Quarantine).await;
    let (raw, script_hash) = invoice_mail("blocked-1@attacker.test");
    let user = house.rig.users[0].clone();

    house.block(IndicatorKind::FileSha256, &script_hash);
    house.rig.send("a@attacker.test", &[&user], &raw).await.expect("the sender learns nothing");
    let copies = house.index(1).await;
    assert_eq!(copies.len(), 1);
    assert_eq!((copies[0].latest_location, copies[0].indicators.len()), (DeliveryLocation::Quarantine, 1));
    let kept = house.vault.content(&quarantine_key(copies[0].message_id)).await.expect("vault").expect("kept");
    let kept = String::from_utf8(kept).expect("text");
    assert!(kept.contains("お支払い") && kept.contains("a@attacker.test"), "{kept}");

    for (round, (kind, value)) in [
        (IndicatorKind::SenderDomain, "attacker.test"),
        (IndicatorKind::SenderAddress, "billing@attacker.test"),
        (IndicatorKind::Domain, "pay.attacker.test"),
        (IndicatorKind::Url, "http://pay.attacker.test/now"),
        (IndicatorKind::SubjectPattern, "請?書*"),
    ]
    .into_iter()
    .enumerate()
    {
        house.block(kind, value);
        house.rig.send("b@elsewhere.test", &[&user], &raw).await.expect("accepted");
        let blocked = house
            .events_of(round + 2)
            .await
            .into_iter()
            .rev()
            .find(|event| event.table == Table::EmailEvents)
            .expect("row");
        assert_eq!(blocked.str("DeliveryAction"), Some("Blocked"), "{kind:?}");
    }
    house.block(IndicatorKind::FileSha256, &"0".repeat(64));
    house.rig.send("c@elsewhere.test", &[&user], &raw).await.expect("accepted");
    house.rig.wait_for(&user, 1, DEADLINE).await.expect("delivered");
    let mails = house.rig.imap(&user).await.expect("login").mails("INBOX").await.expect("mails");
    assert_eq!(mails.len(), 1, "only the last one was delivered");
    assert_eq!(house.milter.counters.judge_failed.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warned_message_is_marked_and_a_scope_leaves_others_out() {
    let house = House::start(1, OnBlock::Quarantine).await;
    let user = house.rig.users[0].clone();
    let headers = async |count: usize| {
        house.rig.wait_for(&user, count, DEADLINE).await.expect("delivered");
        let mails = house.rig.imap(&user).await.expect("login").mails("INBOX").await.expect("mails");
        let texts = mails.iter().map(|mail| String::from_utf8_lossy(&mail.raw).into_owned());
        texts.filter(|text| text.contains("X-Hinomi-Warning: ")).collect::<Vec<_>>()
    };
    // a warning the sender wrote is taken off
    let forged = |id: &str| {
        let (raw, _) = invoice_mail(id);
        [b"X-Hinomi-Warning: forged\r\n".as_slice(), &raw].concat()
    };
    house.rig.send("a@attacker.test", &[&user], &forged("plain@attacker.test")).await.expect("accepted");
    assert!(headers(1).await.is_empty(), "nobody warns");
    house.say(IndicatorKind::SenderDomain, "attacker.test", IndicatorAction::Warn, &["example.test"]);
    house.rig.send("a@attacker.test", &[&user], &forged("warned@attacker.test")).await.expect("accepted");
    let [marked] = headers(2).await.try_into().expect("one is marked");
    assert!(marked.contains("X-Hinomi-Warning: senderDomain ") && !marked.contains("forged"), "{marked}");
    house.say(IndicatorKind::SenderDomain, "attacker.test", IndicatorAction::Block, &["other.test"]);
    house.rig.send("a@attacker.test", &[&user], &forged("others@attacker.test")).await.expect("accepted");
    assert_eq!(headers(3).await.len(), 1, "blocked for others only");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_message_can_be_refused_instead() {
    let house = House::start(1, OnBlock::Reject).await;
    let (raw, script_hash) = invoice_mail("refused@attacker.test");
    house.block(IndicatorKind::FileSha256, &script_hash);
    let error = house.rig.send("a@attacker.test", &[&house.rig.users[0]], &raw).await.expect_err("refused");
    let text = format!("{error:#}");
    assert!(text.contains("5.7.1 refused by policy"), "{text}");
    let copies = house.index(1).await;
    assert_eq!(copies[0].latest_location, DeliveryLocation::Dropped);
    assert!(!Path::new(&house.dir.path().join("vault").join("x")).exists());
}

/// Messages through Postfix, inspection and durable log. Runs only when asked for:
/// `HINOMI_GATEWAY_BENCH=500 cargo test --test mail_plane gateway_figures -- --nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateway_figures() {
    use futures::StreamExt;
    let Some(count) = std::env::var("HINOMI_GATEWAY_BENCH").ok().and_then(|text| text.parse::<usize>().ok()) else {
        return;
    };
    let house = House::start(10, OnBlock::Quarantine).await;
    for parallel in [1, 8] {
        let (started, times) = (std::time::Instant::now(), std::sync::Mutex::new(Vec::new()));
        futures::stream::iter(0..count)
            .for_each_concurrent(parallel, |n| {
                let (house, times) = (&house, &times);
                async move {
                    let (raw, _) = invoice_mail(&format!("bench-{parallel}-{n}@attacker.test"));
                    let before = std::time::Instant::now();
                    house.rig.send("a@attacker.test", &[&house.rig.users[n % 10]], &raw).await.expect("accepted");
                    times.lock().expect("lock").push(before.elapsed());
                }
            })
            .await;
        let seconds = started.elapsed().as_secs_f64();
        let mut times = times.into_inner().expect("lock");
        times.sort();
        eprintln!(
            "{count} messages, {parallel} at a time: {:.0}/s, p50 {:?}, p99 {:?}",
            count as f64 / seconds,
            times[count / 2],
            times[count * 99 / 100]
        );
    }
}

fn reading() -> Reading {
    Reading { actor: "test".to_owned(), reason: Reason::DryRun }
}
