//! Mailboxes of a Microsoft 365 tenant through the house's journal and receipts, against our stub of
//! Microsoft Graph. Not run against the service.

use hinomi_mail::parse::{Limits, analyse};
use hinomi_model::{
    ActionSpec, AuthResults, DeliveryAction, DeliveryLocation, MailDirection, MailFilter, MailSource, MessageCopy,
    MessageCopyRef, MessageId, MessageRemedy, ReceiptState, Text, Timestamp, Verdict,
};
use hinomi_server::actions::{self, Proposal};
use hinomi_server::config::{Config, CrawlConfig, MailboxesConfig};
use hinomi_server::ingest::{Ingest, Log};
use hinomi_server::mailboxes::{FileVault, Found, Mailboxes, Order, Reading, Reason};
use hinomi_server::serve::{Running, ServeOptions, start};
use hinomi_store::{Page, Store};
use hinomi_testkit::graph::{Fault, GraphStub};
use std::path::Path;
use std::time::{Duration, Instant};

const CLIENT: &str = "11111111-2222-3333-4444-555555555555";
const USERS: usize = 25;

fn mail() -> Vec<u8> {
    b"From: billing@attacker.test\r\nTo: staff@example.test\r\nSubject: Invoice\r\nMessage-ID: <a@x>\r\n\r\nplease pay\r\n"
        .to_vec()
}

/// The copy the gateway would have recorded.
fn copy(id: MessageId, recipient: &str) -> MessageCopy {
    let analysis = analyse(&mail(), &Limits::default());
    MessageCopy {
        message_id: id,
        recipient: recipient.to_owned(),
        internet_message_id: analysis.message_id,
        sender_mail_from: "billing@attacker.test".to_owned(),
        sender_from: "billing@attacker.test".to_owned(),
        sender_display_name: String::new(),
        sender_ip: "192.0.2.1".to_owned(),
        subject: "Invoice".to_owned(),
        size: 100,
        received_at: Timestamp::default(),
        body_sha256: analysis.body_sha256,
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
        version: 0,
    }
}

/// The stub's tenant as the configuration names it, with this many users.
fn tenant(stub: &GraphStub, dir: &Path, users: usize) -> MailboxesConfig {
    let (secret, list) = (dir.join("secret"), dir.join("users"));
    std::fs::write(&secret, "stub-secret\n").expect("write");
    let names: Vec<String> = (0..users).map(|number| format!("user{number}@example.test")).collect();
    std::fs::write(&list, names.join("\n")).expect("write");
    let text = format!(
        "name = \"microsoft365\"\nusers_file = {list:?}\nconnections = 64\n[graph]\ntenant = \"example.test\"\nclient_id = {CLIENT:?}\n\
         secret_file = {secret:?}\nlogin_url = {:?}\ngraph_url = {:?}\n",
        stub.login_url(),
        stub.graph_url()
    );
    toml::from_str(&text).expect("config")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_leaves_every_mailbox_of_a_tenant_and_comes_back() {
    let stub = GraphStub::start(CLIENT, "stub-secret").await.expect("stub");
    stub.set_page(100);
    let dir = tempfile::tempdir().expect("temp dir");
    let store = Store::open(&format!("sqlite:{}", dir.path().join("hinomi.db").display())).await.expect("store");
    let ingest =
        Ingest::open(Log::open(&dir.path().join("log"), 0).expect("log"), store.clone()).await.expect("ingest");
    let vault = FileVault::open(&dir.path().join("vault"), &[5; 32]).expect("vault");
    let config = tenant(&stub, dir.path(), USERS);
    let own = ["example.test".to_owned()];
    let mailboxes = Mailboxes::from_config(&[config], &own, vault, store.clone(), ingest).expect("mailboxes");

    let id: MessageId = hinomi_server::ids::new();
    let mut targets = Vec::new();
    for number in 0..USERS {
        let name = format!("user{number}@example.test");
        stub.add_mailbox(&name);
        stub.deliver(&name, "inbox", &mail());
        let recipient = if number % 2 == 0 { name } else { format!("user{number}+news@example.test") };
        let mut tx = store.begin().await.expect("tx");
        tx.put_message(&copy(id, &recipient)).await.expect("put");
        tx.commit().await.expect("commit");
        targets.push(MessageCopyRef { message_id: id, recipient });
    }
    // somebody who has no mailbox in the tenant
    let mut tx = store.begin().await.expect("tx");
    tx.put_message(&copy(id, "guest@example.test")).await.expect("put");
    tx.commit().await.expect("commit");
    targets.push(MessageCopyRef { message_id: id, recipient: "guest@example.test".to_owned() });

    let copies = store.message_copies(id).await.expect("copies");
    let found = mailboxes.find(&reading(), &copies).await;
    assert_eq!(found.iter().filter(|found| matches!(found, Found::Located(_))).count(), USERS, "{found:?}");

    // the service is busy now and then, inside a batch and outside
    stub.fail(Fault::InnerBusy(429, Some(0)), 5);
    stub.fail(Fault::Busy(503, Some(0)), 2);
    let order = Order { action: hinomi_server::ids::new(), remedy: MessageRemedy::SoftDelete, senders_copy: false };
    let receipts = mailboxes.treat(order, &targets, &|_| {}).await.expect("treated");
    let state = |wanted: ReceiptState| receipts.iter().filter(|receipt| receipt.state == wanted).count();
    assert_eq!((state(ReceiptState::Done), state(ReceiptState::Failed)), (USERS, 1), "{receipts:#?}");
    let folder = |number: usize| stub.mails(&format!("user{number}@example.test")).remove(0).0;
    assert!((0..USERS).all(|number| folder(number) == "recoverableitemsdeletions"));
    let copies = store.message_copies(id).await.expect("copies");
    let quarantined = copies.iter().filter(|copy| copy.latest_location == DeliveryLocation::Quarantine).count();
    assert_eq!(quarantined, USERS);

    let undo = hinomi_server::ids::new();
    let back = mailboxes.restore(undo, order.action, &|_| true, &|_| {}).await.expect("restored");
    assert_eq!(back.iter().filter(|receipt| receipt.state == ReceiptState::Done).count(), USERS, "{back:#?}");
    assert!((0..USERS).all(|number| folder(number) == "inbox"));

    // the tenant cannot be asked any more: told per copy, nothing is claimed
    stub.fail(Fault::Busy(503, Some(900)), 1_000);
    let found = mailboxes.find(&reading(), &copies[..1]).await;
    assert!(matches!(&found[0], Found::Failed(_)), "{found:?}");
}

fn reading() -> Reading {
    Reading { actor: "test".to_owned(), reason: Reason::DryRun }
}

const OWN: usize = 5;

fn letter(id: &str, text: &str) -> Vec<u8> {
    format!(
        "From: someone@elsewhere.test\r\nTo: staff@example.test\r\nSubject: {id}\r\nMessage-ID: <{id}>\r\n\r\n{text}\r\n"
    )
    .into_bytes()
}

async fn server(stub: &GraphStub, dir: &Path) -> Running {
    let mut config = Config::default();
    let free = "127.0.0.1:0".parse().expect("address");
    config.listen.console = free;
    config.listen.sensors = free;
    config.gateway.enabled = false;
    config.gateway.own_domains = vec!["example.test".to_owned()];
    config.crawl = Some(CrawlConfig { every_seconds: 1, mails_per_second: 1_000, ..CrawlConfig::default() });
    config.mailboxes = vec![tenant(stub, dir, 3)];
    start(ServeOptions { data: dir.join("data"), config, write_enrolment_token: None, mail_worker: Default::default() })
        .await
        .expect("server starts")
}

/// Without a list of our own: every mailbox of the tenant counts, at every address, and the tenant's own
/// trace tells of recipients nobody told us of.
#[tokio::test(flavor = "multi_thread")]
async fn the_tenant_lists_its_mailboxes_and_tells_who_else_got_a_mail() {
    let stub = GraphStub::start(CLIENT, "stub-secret").await.expect("stub");
    stub.set_page(2);
    // the server traces what is not older than the service keeps
    let received_at = Timestamp::from_micros(jiff::Timestamp::now().as_microsecond()).plus_seconds(-3_600);
    stub.set_begin(received_at);
    let dir = tempfile::tempdir().expect("temp dir");
    for number in 0..5 {
        stub.add_mailbox(&format!("user{number}@example.test"));
    }
    stub.add_guest("visitor@elsewhere.test");
    for number in [0, 1, 3] {
        stub.deliver(&format!("user{number}@example.test"), "inbox", &mail());
    }
    // the same Message-ID with other content
    let forged = String::from_utf8(mail()).expect("text").replace("please pay", "something else");
    stub.deliver("user4@example.test", "inbox", forged.as_bytes());
    let mut config = Config::default();
    let free = "127.0.0.1:0".parse().expect("address");
    (config.listen.console, config.listen.sensors) = (free, free);
    config.gateway.enabled = false;
    config.gateway.own_domains = vec!["example.test".to_owned()];
    config.follow_up.first_look_seconds = 1;
    config.mailboxes = vec![tenant(&stub, dir.path(), 0)];
    config.mailboxes[0].users_file = None;
    let options = ServeOptions {
        data: dir.path().join("data"),
        config,
        write_enrolment_token: None,
        mail_worker: Default::default(),
    };
    let running = start(options).await.expect("server starts");
    let ctx = running.ctx.clone();
    let mailboxes = ctx.mail.get().expect("mailboxes");
    let names = mailboxes.walkable().await.expect("names");
    assert_eq!(names, (0..5).map(|number| format!("user{number}@example.test")).collect::<Vec<_>>(), "no guest");

    // the gateway saw it go to an alias
    let id: MessageId = hinomi_server::ids::new();
    let told = MessageCopy { received_at, ..copy(id, "user0.alias@example.test") };
    ctx.store.put_message(&told).await.expect("put");
    let found = mailboxes.find(&reading(), std::slice::from_ref(&told)).await;
    assert!(matches!(&found[0], Found::Located(at) if at.mailbox == "user0@example.test"), "{found:?}");
    let untold = mailboxes.untold(std::slice::from_ref(&told), ctx.now()).await.expect("traced");
    let untold: Vec<&str> = untold.iter().map(|copy| copy.recipient.as_str()).collect();
    assert_eq!(untold, ["user1@example.test", "user3@example.test", "user4@example.test"]);
    stub.fail(Fault::NoTrace, 1);
    assert!(mailboxes.untold(std::slice::from_ref(&told), ctx.now()).await.expect("asked").is_empty());

    let proposal = Proposal {
        spec: ActionSpec::of_remedy(
            MessageRemedy::SoftDelete,
            vec![MessageCopyRef { message_id: id, recipient: told.recipient.clone() }],
            false,
        ),
        reason: Text::same("test"),
        by: "kana",
        incident: None,
        investigation: None,
        idempotency_key: None,
        approve_now: Some(("kana", None)),
        signs: Vec::new(),
        grounds: None,
        again: None,
    };
    let action = actions::propose(&ctx, proposal).await.expect("ordered").id;
    let end = Instant::now() + Duration::from_secs(60);
    let late = loop {
        let action = ctx.store.action(action).await.expect("read").expect("there");
        let late = action.follow_up.as_ref().map(|one| one.receipts.clone()).unwrap_or_default();
        if late.len() >= 2 {
            break late;
        }
        assert!(Instant::now() < end, "{action:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(late.iter().all(|late| late.receipt.state == ReceiptState::Done), "{late:#?}");
    let folder = |number: usize| stub.mails(&format!("user{number}@example.test")).remove(0).0;
    for number in [0, 1, 3] {
        assert_eq!(folder(number), "recoverableitemsdeletions", "user{number}");
    }
    assert_eq!(folder(4), "inbox", "the Message-ID alone is no proof");
    let known = ctx.store.message_copies(id).await.expect("copies");
    assert_eq!(known.len(), 3, "those that were traced are known now: {known:#?}");
    assert!(known.iter().all(|copy| copy.latest_location == DeliveryLocation::Quarantine));
    running.stop().await.expect("stops");
}

/// Waits until the known copies are as wanted.
async fn known(running: &Running, what: &str, wanted: impl Fn(&[MessageCopy]) -> bool) -> Vec<MessageCopy> {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let found = running.ctx.store.messages(&MailFilter::default(), &Page::first(200)).await.expect("list").items;
        if wanted(&found) {
            return found;
        }
        let state = running.ctx.store.crawl_mailboxes().await.expect("crawls");
        assert!(Instant::now() < end, "{what}: {found:#?}\n{state:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until every mailbox was read once more from now on.
async fn read_again(running: &Running) {
    let (now, end) = (running.ctx.now(), Instant::now() + Duration::from_secs(60));
    loop {
        let state = running.ctx.store.crawl_mailboxes().await.expect("crawls");
        if state.iter().all(|one| one.started_at > now && one.finished_at.is_some_and(|at| at >= one.started_at)) {
            return;
        }
        assert!(Instant::now() < end, "{state:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_of_a_tenant_becomes_known_and_is_followed() {
    let stub = GraphStub::start(CLIENT, "stub-secret").await.expect("stub");
    stub.set_page(2);
    let dir = tempfile::tempdir().expect("temp dir");
    let mut shared = Vec::new();
    for number in 0..3 {
        let name = format!("user{number}@example.test");
        stub.add_mailbox(&name);
        for own in 0..OWN {
            stub.deliver(&name, "inbox", &letter(&format!("{own}-{number}@x"), &format!("own words {own} {number}")));
        }
        shared.push(stub.deliver(&name, "inbox", &letter("shared@x", "the same words for all of you")));
        stub.deliver(&name, "junkemail", &letter(&format!("junk-{number}@x"), &format!("offer {number}")));
    }
    let all = 3 * (OWN + 2);
    // the service is busy in the middle of it
    stub.fail(Fault::Busy(429, Some(0)), 3);
    let running = server(&stub, dir.path()).await;
    let copies = known(&running, "old mail", |found| found.len() == all).await;
    assert!(copies.iter().all(|copy| copy.source == MailSource::Crawl && copy.folder.is_some()), "{copies:#?}");
    let of = |copies: &[MessageCopy], id: &str| -> Vec<MessageCopy> {
        copies.iter().filter(|copy| copy.internet_message_id == id).cloned().collect()
    };
    let three = of(&copies, "shared@x");
    assert_eq!(three.len(), 3);
    assert!(three.iter().all(|copy| copy.message_id == three[0].message_id), "one message: {three:#?}");
    assert_eq!(of(&copies, "junk-0@x")[0].latest_location, DeliveryLocation::JunkFolder);
    assert_eq!(of(&copies, "junk-0@x")[0].folder.as_deref(), Some("迷惑メール"));

    // its owner moves it, another comes
    let moved = |found: &[MessageCopy]| {
        let copy = of(found, "shared@x").into_iter().find(|copy| copy.recipient == "user0@example.test");
        copy.is_some_and(|copy| copy.latest_location == DeliveryLocation::JunkFolder)
    };
    stub.owner_moves("user0@example.test", &shared[0], "junkemail");
    stub.deliver("user1@example.test", "inbox", &letter("late@x", "a late one"));
    let copies = known(&running, "moved and late", |found| found.len() == all + 1 && moved(found)).await;
    assert_eq!(of(&copies, "late@x")[0].recipient, "user1@example.test");

    // the service has forgotten how far we were: read anew, nothing twice
    stub.fail(Fault::DeltaExpired, 1);
    read_again(&running).await;
    let found = known(&running, "read anew", |found| found.len() == all + 1 && moved(found)).await;
    assert!(found.iter().all(|copy| copy.latest_location != DeliveryLocation::Unknown), "{found:#?}");
    let mails = running.ctx.store.crawl_mailboxes().await.expect("crawls").iter().map(|one| one.mails).sum::<i64>();
    running.stop().await.expect("stops");

    // a restart goes on where it was
    let running = server(&stub, dir.path()).await;
    stub.deliver("user2@example.test", "inbox", &letter("later@x", "another late one"));
    known(&running, "after the restart", |found| found.len() == all + 2).await;
    read_again(&running).await;
    let states = running.ctx.store.crawl_mailboxes().await.expect("crawls");
    assert_eq!(mails, all as i64 + 2, "old mail, the one moved, the late one: each read once");
    assert_eq!(states.iter().map(|one| one.mails).sum::<i64>(), mails + 1, "{states:#?}");
    running.stop().await.expect("stops");
}
