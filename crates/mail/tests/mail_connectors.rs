//! Connectors end to end: poor IMAP servers, credentials of single mailboxes, Maildir folders, every
//! remedy and its undo.

use futures::future::BoxFuture;
use hinomi_mail::connector::imap::{Access, Credentials, ImapConnector, RootTemplate, Secret};
use hinomi_mail::connector::maildir::MaildirConnector;
use hinomi_mail::imap::{Limits as ImapLimits, Security, Server, Trust};
use hinomi_mail::parse::{Limits, analyse};
use hinomi_mail::remediate::{Engine, Entry, Identity, Intent, Journal, Outcome, StoredMail, Vault, Wanted};
use hinomi_model::{MessageCopyRef, MessageId, MessageRemedy, ReceiptState};
use hinomi_testkit::mail::{MailRig, MailRigConfig};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const DATE: &str = "15-Jul-2024 12:00:00 +0000";
const NOW: i64 = 1_795_314_423;

/// Vault and journal in memory.
#[derive(Default)]
struct Memory {
    mails: Mutex<HashMap<String, StoredMail>>,
    entries: Mutex<HashMap<MessageCopyRef, Entry>>,
}

impl Vault for Memory {
    fn put<'a>(&'a self, key: &'a str, mail: &'a StoredMail) -> BoxFuture<'a, Result<StoredMail, String>> {
        let kept = self.mails.lock().expect("lock").entry(key.to_owned()).or_insert_with(|| mail.clone()).clone();
        Box::pin(async move { Ok(kept) })
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<StoredMail>, String>> {
        Box::pin(async move { Ok(self.mails.lock().expect("lock").get(key).cloned()) })
    }
}

impl Journal for Memory {
    fn entry<'a>(&'a self, copy: &'a MessageCopyRef) -> BoxFuture<'a, Result<Option<Entry>, String>> {
        Box::pin(async move { Ok(self.entries.lock().expect("lock").get(copy).cloned()) })
    }

    fn intent<'a>(&'a self, copy: &'a MessageCopyRef, intent: &'a Intent) -> BoxFuture<'a, Result<(), String>> {
        let entry = Entry { intent: intent.clone(), outcome: None };
        self.entries.lock().expect("lock").insert(copy.clone(), entry);
        Box::pin(async { Ok(()) })
    }

    fn outcome<'a>(&'a self, outcome: &'a Outcome) -> BoxFuture<'a, Result<(), String>> {
        self.entries.lock().expect("lock").entry(outcome.copy.clone()).or_default().outcome = Some(outcome.clone());
        Box::pin(async { Ok(()) })
    }
}

fn mail(id: &str) -> Vec<u8> {
    format!("From: a@partner.test\r\nTo: b@example.test\r\nSubject: s\r\nMessage-ID: <{id}>\r\n\r\npay now\r\n")
        .into_bytes()
}

fn id() -> MessageId {
    "0199aaaa-0000-7000-8000-000000000001".parse().expect("id")
}

fn wanted(mailbox: &str, raw: &[u8], sent_only: bool) -> Wanted {
    Wanted {
        copy: MessageCopyRef { message_id: id(), recipient: mailbox.to_owned() },
        mailbox: mailbox.to_owned(),
        identity: Identity::of_analysis(&analyse(raw, &Limits::default())),
        sent_only,
    }
}

fn imap(rig: &MailRig, access: Access) -> Engine {
    let server = Server {
        host: "127.0.0.1".to_owned(),
        port: rig.imap_addr.port(),
        security: Security::None,
        trust: Trust::nobody(),
        limits: ImapLimits::default(),
    };
    Engine::new(Arc::new(ImapConnector::new(server, access, 4)), Limits::default())
}

fn master(rig: &MailRig, separator: &str) -> Access {
    let (user, password) = (rig.master_user.clone(), rig.master_password.clone());
    Access::Master { user, separator: separator.to_owned(), password }
}

/// One login for all mailboxes.
fn shared(rig: &MailRig) -> Access {
    let root = RootTemplate::parse(&rig.shared_prefix).expect("template");
    Access::Shared { user: rig.shared_user.clone(), password: rig.master_password.clone(), root }
}

async fn treat(engine: &Engine, remedy: MessageRemedy, wanted: Wanted, memory: &Memory) -> Outcome {
    let outcomes = Mutex::new(Vec::new());
    engine.treat(remedy, vec![wanted], memory, memory, &|one| outcomes.lock().expect("lock").push(one)).await;
    outcomes.into_inner().expect("lock").pop().expect("one outcome")
}

/// Puts back with a journal of its own and the vault of the removal.
async fn restore(engine: &Engine, treated: Outcome, vault: &Memory) -> Outcome {
    let outcomes = Mutex::new(Vec::new());
    let journal = Memory::default();
    engine.restore(vec![treated], &journal, vault, &|one| outcomes.lock().expect("lock").push(one)).await;
    outcomes.into_inner().expect("lock").pop().expect("one outcome")
}

async fn rig(dovecot: &str) -> MailRig {
    let dovecot = dovecot.to_owned();
    let config = MailRigConfig { users: 1, smtp: false, shared: true, dovecot, ..MailRigConfig::default() };
    MailRig::start(config).await.expect("rig")
}

/// Mails in a folder as a fresh session sees them.
async fn count(rig: &MailRig, folder: &str) -> usize {
    rig.imap(&rig.users[0]).await.expect("login").count(folder).await.expect("count")
}

#[tokio::test]
async fn every_remedy_works_and_is_undone() {
    let rig = rig("").await;
    every_remedy_works_and_is_undone_over(&rig, imap(&rig, master(&rig, "*"))).await;
}

#[tokio::test]
async fn every_remedy_works_and_is_undone_with_one_login() {
    let rig = rig("").await;
    every_remedy_works_and_is_undone_over(&rig, imap(&rig, shared(&rig))).await;
}

async fn every_remedy_works_and_is_undone_over(rig: &MailRig, engine: Engine) {
    let user = rig.users[0].clone();
    let target = mail("all@partner.test");
    let mut client = rig.imap(&user).await.expect("login");
    client.append("INBOX", "\\Seen \\Flagged", DATE, &target).await.expect("append");
    for (remedy, folder) in [
        (MessageRemedy::MoveToJunk, Some("Junk")),
        (MessageRemedy::MoveToDeletedItems, Some("Trash")),
        (MessageRemedy::SoftDelete, None),
        (MessageRemedy::MoveToQuarantine, None),
    ] {
        let memory = Memory::default();
        let outcome = treat(&engine, remedy, wanted(&user, &target, false), &memory).await;
        assert_eq!(outcome.state, ReceiptState::Done, "{remedy:?} {outcome:?}");
        assert_eq!(count(rig, "INBOX").await, 0, "{remedy:?}");
        if let Some(folder) = folder {
            assert_eq!(count(rig, folder).await, 1, "{remedy:?}");
            assert!(outcome.proof().contains("\"moved_to\":{\"folder\":"), "{}", outcome.proof());
            let again = treat(&engine, remedy, wanted(&user, &target, false), &Memory::default()).await;
            assert_eq!(again.state, ReceiptState::AlreadyDone, "{again:?}");
        }
        let back = restore(&engine, outcome, &memory).await;
        assert_eq!(back.state, ReceiptState::Done, "{remedy:?} {back:?}");
        let mails = client.mails("INBOX").await.expect("mails");
        assert_eq!(mails.len(), 1, "{remedy:?}");
        assert_eq!((&mails[0].raw, mails[0].internal_date.as_str()), (&target, DATE), "{remedy:?}");
        assert_eq!(mails[0].flags, ["\\Flagged", "\\Seen"], "{remedy:?}");
    }
    // the inbox remedy leaves what is in a folder of the owner where it is
    let inbox = treat(&engine, MessageRemedy::MoveToInbox, wanted(&user, &target, false), &Memory::default()).await;
    assert_eq!(inbox.state, ReceiptState::AlreadyDone, "{inbox:?}");
    let uid = client.mails("INBOX").await.expect("mails")[0].uid;
    client.move_to("INBOX", uid, "Junk").await.expect("move");
    let inbox = treat(&engine, MessageRemedy::MoveToInbox, wanted(&user, &target, false), &Memory::default()).await;
    assert_eq!(inbox.state, ReceiptState::Done, "{inbox:?}");
    assert_eq!(count(rig, "INBOX").await, 1);

    let hard = treat(&engine, MessageRemedy::HardDelete, wanted(&user, &target, false), &Memory::default()).await;
    assert_eq!(hard.state, ReceiptState::Done, "{hard:?}");
    assert_eq!(count(rig, "INBOX").await, 0);
    let back = restore(&engine, hard, &Memory::default()).await;
    assert_eq!(back.state, ReceiptState::Failed, "there is no copy: {back:?}");
}

#[tokio::test]
async fn the_senders_copy_is_only_looked_for_in_sent_items() {
    let rig = rig("").await;
    the_senders_copy_is_only_looked_for_in_sent_items_over(&rig, imap(&rig, master(&rig, "*"))).await;
}

#[tokio::test]
async fn the_senders_copy_is_only_looked_for_in_sent_items_with_one_login() {
    let rig = rig("").await;
    the_senders_copy_is_only_looked_for_in_sent_items_over(&rig, imap(&rig, shared(&rig))).await;
}

async fn the_senders_copy_is_only_looked_for_in_sent_items_over(rig: &MailRig, engine: Engine) {
    let user = rig.users[0].clone();
    let target = mail("sent@example.test");
    let mut client = rig.imap(&user).await.expect("login");
    client.create("Sent Items").await.expect("create");
    client.append("INBOX", "", DATE, &target).await.expect("append");
    client.append("Sent Items", "\\Seen", DATE, &target).await.expect("append");
    let memory = Memory::default();
    let outcome = treat(&engine, MessageRemedy::SoftDelete, wanted(&user, &target, true), &memory).await;
    assert_eq!((outcome.state, outcome.steps.len()), (ReceiptState::Done, 1), "{outcome:?}");
    assert_eq!(count(rig, "INBOX").await, 1);
    assert_eq!(count(rig, "Sent Items").await, 0);
    assert_eq!(restore(&engine, outcome, &memory).await.state, ReceiptState::Done);
    assert_eq!(count(rig, "Sent Items").await, 1);
}

#[tokio::test]
async fn a_poor_server_is_worked_with_and_what_it_lacks_is_told() {
    let rig = rig("imap_capability = IMAP4rev1 SASL-IR\n").await;
    let user = rig.users[0].clone();
    let engine = imap(&rig, master(&rig, "*"));
    let probe = engine.probe(&user, id(), NOW).await;
    assert!(probe.ok(), "{probe:?}");
    assert_eq!(probe.steps.len(), 8, "{probe:?}");
    let missing: Vec<&str> = probe.missing.iter().filter_map(|text| text.en.split(':').next()).collect();
    assert_eq!(missing, ["no UIDPLUS", "no MOVE", "no LITERAL+", "no SPECIAL-USE", "no LIST-STATUS"]);

    // the only expunge there is would take the user's own marked mail along
    let target = mail("poor@partner.test");
    let mut client = rig.imap(&user).await.expect("login");
    client.append("INBOX", "\\Deleted", DATE, &mail("other@partner.test")).await.expect("append");
    client.append("INBOX", "\\Seen", DATE, &target).await.expect("append");
    let refused = treat(&engine, MessageRemedy::SoftDelete, wanted(&user, &target, false), &Memory::default()).await;
    assert_eq!(refused.state, ReceiptState::Failed, "{refused:?}");
    assert!(refused.detail.en.contains("without UIDPLUS") && refused.detail.ja.contains("削除マーク"), "{refused:?}");
    let mails = client.mails("INBOX").await.expect("mails");
    assert_eq!(mails.len(), 2);
    assert_eq!(mails[1].flags, ["\\Seen"], "our own mark is taken back");
}

#[tokio::test]
async fn one_login_reaches_every_mailbox_and_says_which_it_does_not() {
    let rig = rig("").await;
    let engine = imap(&rig, shared(&rig));
    let user = rig.users[0].clone();
    let probe = engine.probe(&user, id(), NOW).await;
    assert!(probe.ok(), "{probe:?} {}", rig.log_tail());
    assert!(probe.missing.len() == 1 && probe.missing[0].en.starts_with("shared prefix"), "{:?}", probe.missing);

    // what cannot be opened was not looked into: that is never "not found"
    let target = mail("nowhere@partner.test");
    for stranger in ["user99@example.test", "*", "user01@example.test/INBOX", "u r"] {
        let outcome =
            treat(&engine, MessageRemedy::SoftDelete, wanted(stranger, &target, false), &Memory::default()).await;
        assert_eq!(outcome.state, ReceiptState::Failed, "{stranger} {outcome:?}");
    }
    // and it does not spoil the login for the others
    let missing = treat(&engine, MessageRemedy::SoftDelete, wanted(&user, &target, false), &Memory::default()).await;
    assert_eq!(missing.state, ReceiptState::NotFound, "{missing:?}");

    // a removal that was done with a login per mailbox is undone with this one
    let mut client = rig.imap(&user).await.expect("login");
    client.create("Work/2026").await.expect("create");
    client.append("Work/2026", "\\Seen", DATE, &target).await.expect("append");
    let memory = Memory::default();
    let alone = imap(&rig, master(&rig, "*"));
    let removed = treat(&alone, MessageRemedy::SoftDelete, wanted(&user, &target, false), &memory).await;
    assert_eq!(removed.state, ReceiptState::Done, "{removed:?}");
    assert_eq!(removed.steps[0].located.place.folder.id, "Work/2026");
    assert_eq!(restore(&engine, removed, &memory).await.state, ReceiptState::Done);
    assert_eq!(count(&rig, "Work/2026").await, 1);
}

/// Credentials of one mailbox.
struct Own(&'static str, Secret);

impl Credentials for Own {
    fn of<'a>(&'a self, mailbox: &'a str) -> BoxFuture<'a, Result<Option<(String, Secret)>, String>> {
        let known = mailbox.starts_with(self.0).then(|| (mailbox.to_owned(), self.1.clone()));
        Box::pin(async move { Ok(known) })
    }
}

#[tokio::test]
async fn mailboxes_open_with_their_own_password_or_through_an_identity() {
    let rig = rig("").await;
    let user = rig.users[0].clone();
    let own = |secret: &str| imap(&rig, Access::Own(Arc::new(Own("user01", Secret::Password(secret.to_owned())))));
    let probe = own("secret").probe(&user, id(), NOW).await;
    assert!(probe.ok() && probe.missing.is_empty(), "{probe:?}");
    let wrong = own("wrong").probe(&user, id(), NOW).await;
    assert!(!wrong.ok() && wrong.steps[0].detail.en.contains("refused"), "{wrong:?}");
    let stranger = own("secret").probe("user99@example.test", id(), NOW).await;
    assert!(stranger.steps[0].detail.en.contains("no credentials for mailbox user99@example.test"), "{stranger:?}");
    let by_identity = imap(&rig, master(&rig, "")).probe(&user, id(), NOW).await;
    assert!(by_identity.ok(), "{by_identity:?}");
}

/// Tells Dovecot whether an access token is good (OAuth 2 token introspection).
async fn token_office(listener: tokio::net::TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut request = vec![0; 8_192];
        let read = stream.read(&mut request).await.unwrap_or_default();
        let request = String::from_utf8_lossy(&request[..read]).into_owned();
        let (status, body) = match request.contains("good-token") {
            true => ("200 OK", r#"{"active":true,"email":"user01@example.test"}"#),
            false => ("401 Unauthorized", r#"{"error":"invalid_token"}"#),
        };
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        let _ = stream.write_all(answer.as_bytes()).await;
    }
}

#[tokio::test]
async fn mailboxes_open_with_an_oauth_token() {
    use std::os::unix::fs::PermissionsExt;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let port = listener.local_addr().expect("address").port();
    let office = tokio::spawn(token_office(listener));
    let dir = tempfile::tempdir().expect("temp dir");
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).expect("open to the server");
    let conf = dir.path().join("oauth2.conf");
    std::fs::write(
        &conf,
        format!(
            "introspection_url = http://127.0.0.1:{port}/\nintrospection_mode = auth\nusername_attribute = email\n\
             active_attribute = active\nactive_value = true\n"
        ),
    )
    .expect("write");
    let rig = rig(&format!(
        "auth_mechanisms = plain login xoauth2\npassdb {{\n  driver = oauth2\n  mechanisms = xoauth2\n  args = {}\n}}\n",
        conf.display()
    ))
    .await;
    let user = rig.users[0].clone();
    let with = |token: &str| imap(&rig, Access::Own(Arc::new(Own("user01", Secret::Token(token.to_owned())))));
    let probe = with("good-token").probe(&user, id(), NOW).await;
    assert!(probe.ok(), "{probe:?} {}", rig.log_tail());
    let expired = with("expired").probe(&user, id(), NOW).await;
    assert!(!expired.ok() && expired.steps[0].detail.en.contains("refused"), "{expired:?}");
    office.abort();
}

fn maildir(root: &Path) {
    for part in ["cur", "new", "tmp", ".Junk/cur", ".Junk/new", ".Junk/tmp"] {
        std::fs::create_dir_all(root.join(part)).expect("folder");
    }
}

#[tokio::test]
async fn maildir_folders_work_like_mailboxes_and_losses_are_told() {
    let dir = tempfile::tempdir().expect("temp dir");
    let root = dir.path().join("example.test/alice");
    maildir(&root);
    std::fs::write(root.join("dovecot-keywords"), "0 $Label1\n").expect("keywords");
    let target = mail("dir@partner.test");
    std::fs::write(root.join("cur/1700000000.M1P1.host:2,FSa"), &target).expect("mail");
    std::fs::write(root.join("new/1700000001.M2P1.host"), mail("other@partner.test")).expect("mail");
    let template = format!("{}/%d/%n", dir.path().display());
    let engine = Engine::new(Arc::new(MaildirConnector::new(&template, 4).expect("template")), Limits::default());
    let user = "alice@example.test";

    let probe = engine.probe(user, id(), NOW).await;
    assert!(probe.ok(), "{probe:?}");
    let names = |part: &str| -> Vec<String> {
        let entries = std::fs::read_dir(root.join(part)).expect("list");
        entries.map(|entry| entry.expect("entry").file_name().into_string().expect("name")).collect()
    };
    assert_eq!(names("cur"), ["1700000000.M1P1.host:2,FSa"], "the probe left nothing");

    let memory = Memory::default();
    let junk = treat(&engine, MessageRemedy::MoveToJunk, wanted(user, &target, false), &memory).await;
    assert_eq!(junk.state, ReceiptState::Done, "{junk:?}");
    assert_eq!(names(".Junk/cur").len(), 1);
    assert_eq!(restore(&engine, junk, &memory).await.state, ReceiptState::Done);

    std::fs::rename(root.join("cur").join(&names("cur")[0]), root.join("cur/1700000000.M1P1.host:2,FSa"))
        .expect("flags");
    let memory = Memory::default();
    let gone = treat(&engine, MessageRemedy::SoftDelete, wanted(user, &target, false), &memory).await;
    assert_eq!((gone.state, names("cur").len(), names("new").len()), (ReceiptState::Done, 0, 1), "{gone:?}");
    std::fs::remove_file(root.join("dovecot-keywords")).expect("the folder forgets its keywords");
    let back = restore(&engine, gone, &memory).await;
    assert_eq!(back.state, ReceiptState::Done, "{back:?}");
    assert!(back.detail.en.contains("flags not kept: $Label1"), "{back:?}");
    assert!(back.proof().contains("flags not kept"), "{}", back.proof());
    let file = root.join("cur").join(&names("cur")[0]);
    assert!(file.to_string_lossy().ends_with(":2,FS"));
    assert_eq!(std::fs::read(&file).expect("mail"), target);

    // the owner's own links lead nowhere, and names of mailboxes cannot climb
    std::os::unix::fs::symlink("/etc/passwd", root.join("cur/1700000009.M9P1.host:2,S")).expect("link");
    let found =
        treat(&engine, MessageRemedy::SoftDelete, wanted(user, &mail("none@x.test"), false), &Memory::default()).await;
    assert_eq!(found.state, ReceiptState::NotFound, "{found:?}");
    for name in ["../alice", "alice/../../x@example.test", "", "nobody@example.test"] {
        let refused = engine.probe(name, id(), NOW).await;
        assert!(!refused.ok(), "{name}");
    }
    assert!(MaildirConnector::new("relative/%u", 1).is_err());
    assert!(MaildirConnector::new("/var/mail/all", 1).is_err());
}
