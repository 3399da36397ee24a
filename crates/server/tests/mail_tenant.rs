//! Mailboxes of a Microsoft 365 tenant through the house's journal and receipts, against our stub of
//! Microsoft Graph. Not run against the service.

use hinomi_mail::parse::{Limits, analyse};
use hinomi_model::{
    AuthResults, DeliveryAction, DeliveryLocation, MailDirection, MailSource, MessageCopy, MessageCopyRef, MessageId,
    MessageRemedy, ReceiptState, Timestamp, Verdict,
};
use hinomi_server::config::MailboxesConfig;
use hinomi_server::ingest::{Ingest, Log};
use hinomi_server::mailboxes::{FileVault, Found, Mailboxes, Order, Reading, Reason};
use hinomi_store::Store;
use hinomi_testkit::graph::{Fault, GraphStub};

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

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_leaves_every_mailbox_of_a_tenant_and_comes_back() {
    let stub = GraphStub::start(CLIENT, "stub-secret").await.expect("stub");
    stub.set_page(100);
    let dir = tempfile::tempdir().expect("temp dir");
    let store = Store::open(&format!("sqlite:{}", dir.path().join("hinomi.db").display())).await.expect("store");
    let ingest =
        Ingest::open(Log::open(&dir.path().join("log"), 0).expect("log"), store.clone()).await.expect("ingest");
    let vault = FileVault::open(&dir.path().join("vault"), &[5; 32]).expect("vault");
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "stub-secret\n").expect("write");
    let users = dir.path().join("users");
    let names: Vec<String> = (0..USERS).map(|number| format!("user{number}@example.test")).collect();
    std::fs::write(&users, names.join("\n")).expect("write");
    let text = format!(
        "name = \"microsoft365\"\nusers_file = {users:?}\nconnections = 64\n[graph]\ntenant = \"example.test\"\nclient_id = {CLIENT:?}\n\
         secret_file = {secret:?}\nlogin_url = {:?}\ngraph_url = {:?}\n",
        stub.login_url(),
        stub.graph_url()
    );
    let config: MailboxesConfig = toml::from_str(&text).expect("config");
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
