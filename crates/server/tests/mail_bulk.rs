//! Bulk actions over many mailboxes of a real Dovecot: held, stopped, tried again, undone; and what is
//! under way when somebody looks.

#[allow(dead_code, reason = "shared with other tests of mail actions")]
mod house;

use hinomi_api::{BulkState, MailBulk, NewMailBulk};
use hinomi_model::{
    Action, ActionId, ActionSpec, ActionState, DeliveryLocation, LateCause, MailField, MailFilter, MessageCopy,
    MessageCopyRef, MessageRemedy, ReceiptState, Text,
};
use hinomi_server::actions::{self, Proposal};
use hinomi_server::{bulk, related};
use house::{DEADLINE, House, late, mail, states};
use std::time::{Duration, Instant};

const USERS: usize = 50;
const EACH: usize = 5;
const ALL: usize = USERS * EACH;

fn from_sender(remedy: MessageRemedy) -> NewMailBulk {
    NewMailBulk {
        filter: MailFilter::default().with(MailField::SenderAddress, "someone@elsewhere.test"),
        remedy,
        senders_copy: false,
        related: false,
        reason: "test".to_owned(),
        incident_id: None,
        propose_only: false,
        confirmed: true,
        block: Vec::new(),
    }
}

/// The one action a bulk action of this size becomes.
async fn action_of(house: &House, order: &MailBulk) -> ActionId {
    let id = order.id.parse().expect("id");
    let end = Instant::now() + DEADLINE;
    loop {
        let bulk = bulk::get(&house.running().ctx, id).await.expect("read").expect("there");
        if bulk.state == BulkState::Ordered {
            assert_eq!((bulk.actions.len(), bulk.copies), (1, ALL as i64));
            return bulk.actions[0];
        }
        assert!(Instant::now() < end, "it is expanded: {bulk:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Mails in the inboxes now.
async fn left(house: &House) -> usize {
    let mut left = 0;
    for user in 0..USERS {
        left += house.count(user, "INBOX").await;
    }
    left
}

fn count(action: &Action, state: ReceiptState) -> usize {
    action.receipts.iter().filter(|receipt| receipt.state == state).count()
}

fn settled(action: &Action) -> usize {
    action.receipts.iter().filter(|receipt| !receipt.is_open()).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bulk_action_is_held_goes_on_is_stopped_tried_again_and_undone() {
    let mut house = House::start(USERS, |config| {
        config.mailboxes[0].connections = 1;
        config.follow_up.hours = 0;
    })
    .await;
    for user in 0..USERS {
        let mut client = house.rig.imap(&house.rig.users[user]).await.expect("login");
        for number in 0..EACH {
            let raw = mail(&format!("{user}-{number}@elsewhere.test"), "first", &format!("text {user} {number}"));
            client.append("INBOX", "", house::DATE, &raw).await.expect("append");
        }
    }
    let ctx = house.running().ctx.clone();
    let end = Instant::now() + DEADLINE;
    while ctx.store.count_messages(&MailFilter::default()).await.expect("count").count < ALL as i64 {
        assert!(Instant::now() < end, "the crawl knows them all");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    // held in the middle: what was begun is finished, nothing more is touched
    let order = bulk::order(&ctx, from_sender(MessageRemedy::SoftDelete), "kana", true, None).await.expect("ordered");
    let id = order.id.parse().expect("id");
    let action = action_of(&house, &order).await;
    house.action(action, "it began", |action| settled(action) > 0).await;
    bulk::pause(&ctx, id, "kana").await.expect("held");
    house.rests().await;
    let held = house.action(action, "held", |_| true).await;
    assert_eq!(held.state, ActionState::Paused, "too quick to be held: more mailboxes are needed");
    let gone = count(&held, ReceiptState::Done);
    assert!(gone > 0 && gone < ALL && left(&house).await == ALL - gone, "{gone}");

    // it goes on, and is stopped
    bulk::resume(&ctx, id, "kana").await.expect("goes on");
    house.action(action, "it goes on", |action| settled(action) > gone).await;
    bulk::cancel(&ctx, id, "kana").await.expect("stopped");
    let stopped = house.over(action).await;
    assert_eq!(stopped.state, ActionState::Cancelled, "too quick to be stopped: more mailboxes are needed");
    let done = count(&stopped, ReceiptState::Done);
    assert_eq!(done + count(&stopped, ReceiptState::Cancelled), ALL, "every copy is told of");
    assert!(done > gone && left(&house).await == ALL - done, "{done} of {ALL}");

    // what it did comes back
    let undone = house.over(actions::undo(&ctx, action, "kana").await.expect("undone").id).await;
    assert_eq!(states(&undone), vec![ReceiptState::Done; done]);
    assert_eq!(left(&house).await, ALL);

    // some mailboxes cannot be reached: only they are tried again
    let users = house.rig.users.clone();
    std::fs::write(&house.users_file, users[3..].join("\n")).expect("users");
    let order = bulk::order(&ctx, from_sender(MessageRemedy::SoftDelete), "kana", true, None).await.expect("ordered");
    let action = action_of(&house, &order).await;
    let partly = house.over(action).await;
    assert_eq!((partly.state, count(&partly, ReceiptState::Failed)), (ActionState::PartiallySucceeded, 3 * EACH));
    let before: Vec<_> = partly.receipts.iter().filter(|one| one.state == ReceiptState::Done).cloned().collect();
    std::fs::write(&house.users_file, users.join("\n")).expect("users");
    actions::retry(&ctx, action, "kana").await.expect("tried again");
    let whole = house.over(action).await;
    assert_eq!((whole.state, count(&whole, ReceiptState::Done)), (ActionState::Succeeded, ALL));
    assert!(before.iter().all(|receipt| whole.receipts.contains(receipt)), "what was done is not done again");
    assert_eq!(left(&house).await, 0);
    let undone = house.over(actions::undo(&ctx, action, "kana").await.expect("undone").id).await;
    assert_eq!((undone.state, states(&undone)), (ActionState::Succeeded, vec![ReceiptState::Done; ALL]));
    assert_eq!(left(&house).await, ALL);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_action_is_just_doing_is_not_told_as_its_owners_doing() {
    let mut house = House::start(1, |config| config.follow_up.hours = 0).await;
    let raw = mail("back@elsewhere.test", "first", "please pay");
    house.put(0, "INBOX", &raw).await;
    let known = |found: &[MessageCopy]| found.iter().any(|one| one.folder.is_some());
    let copies = house.copies("back@elsewhere.test", "known", known).await;
    let copy = MessageCopyRef { message_id: copies[0].message_id, recipient: copies[0].recipient.clone() };
    let removal = house.order(MessageRemedy::SoftDelete, &copies, "kana", None).await;
    house.over(removal).await;
    let ctx = house.running().ctx.clone();
    let undo = actions::undo(&ctx, removal, "kana").await.expect("ordered").id;
    house.over(undo).await;

    // as a server leaves it that was killed after the mail was put back and before that was noted
    let mut tx = ctx.store.begin().await.expect("tx");
    let row = tx.journal(undo).await.expect("journal").remove(0);
    tx.journal_intent(undo, &row.copy, &row.intent).await.expect("open again");
    let mut action = tx.action(undo).await.expect("read").expect("there");
    (action.state, action.finished_at) = (ActionState::Paused, None);
    action.receipts[0].state = ReceiptState::Pending;
    tx.put_action(&action).await.expect("put");
    let seen = tx.message(copy.message_id, &copy.recipient).await.expect("read").expect("there");
    let removed = MessageCopy {
        latest_location: DeliveryLocation::Quarantine,
        folder: None,
        moved_by: Some(format!("action:{removal}")),
        ..seen
    };
    tx.update_message(&removed, removed.version).await.expect("updated");
    tx.commit().await.expect("commit");
    let reads = async |times: usize| {
        for _ in 0..times {
            let now = ctx.now();
            let end = Instant::now() + DEADLINE;
            loop {
                let crawl = ctx.store.crawl_mailbox(&house.rig.users[0]).await.expect("crawl").expect("there");
                if crawl.started_at > now && crawl.finished_at.is_some_and(|at| at >= crawl.started_at) {
                    break;
                }
                assert!(Instant::now() < end, "the crawl goes on: {crawl:?}");
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
        }
    };
    // the crawl sees it in another folder of its owner, and where it was put back
    let mut owner = house.rig.imap(&house.rig.users[0]).await.expect("login");
    let uid = owner.mails("INBOX").await.expect("mails")[0].uid;
    owner.move_to("INBOX", uid, "Junk").await.expect("moved");
    reads(1).await;
    let uid = owner.mails("Junk").await.expect("mails")[0].uid;
    owner.move_to("Junk", uid, "INBOX").await.expect("moved");
    reads(1).await;
    let now = ctx.store.message(copy.message_id, &copy.recipient).await.expect("read").expect("there");
    assert_eq!(now.latest_location, DeliveryLocation::Quarantine, "the action says where it is: {now:#?}");
    let owners = |rows: Vec<(String, String, String)>| rows.into_iter().filter(|row| row.1 == "User action").count();
    assert_eq!(owners(house.rows()), 0, "{:#?}", house.rows());

    // once it is noted, its owner's doings count again
    actions::resume(&ctx, undo, "kana").await.expect("goes on");
    house.over(undo).await;
    let uid = owner.mails("INBOX").await.expect("mails")[0].uid;
    owner.move_to("INBOX", uid, "Junk").await.expect("moved");
    let junk = |found: &[MessageCopy]| found[0].latest_location == DeliveryLocation::JunkFolder;
    let moved = house.copies("back@elsewhere.test", "moved by its owner", junk).await;
    assert_eq!(moved[0].moved_by.as_deref(), Some("owner"));
    assert!(house.rows().iter().any(|row| row.0 == "Move to junk folder" && row.1 == "User action"));
    house.stop().await;
}

/// A mail of one of us, with more headers.
fn own(id: &str, from: &str, more: &str, text: &str) -> Vec<u8> {
    format!(
        "From: <{from}>\r\nTo: staff@example.test\r\nSubject: papers\r\nMessage-ID: <{id}>\r\n{more}\
         Date: Sun, 22 Nov 2026 01:00:00 +0000\r\nContent-Type: text/plain\r\n\r\n{text}\r\n"
    )
    .into_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_forwarded_replied_and_senders_copies_are_treated_when_they_were_asked_for() {
    for crawl in [true, false] {
        let mut house = House::start(3, |config| config.follow_up.first_look_seconds = 1).await;
        let users = house.rig.users.clone();
        house.rig.imap(&users[0]).await.expect("login").create("Sent").await.expect("created");
        let id = "papers@example.test";
        // one of us wrote it, another got it
        let raw = own(id, &users[0], "", "see the papers");
        house.put(1, "INBOX", &raw).await;
        let known = house.copies(id, "known", |found| found.iter().any(|one| one.folder.is_some())).await;
        let named = MessageCopyRef { message_id: known[0].message_id, recipient: known[0].recipient.clone() };
        let order = async |house: &House, asked: bool| -> ActionId {
            let mut copies = vec![named.clone()];
            let ctx = &house.running().ctx;
            let signs = match asked {
                true => related::extend(ctx, &mut copies).await.expect("extended"),
                false => Vec::new(),
            };
            let proposal = Proposal {
                spec: ActionSpec::of_remedy(MessageRemedy::SoftDelete, copies, asked),
                reason: Text::same("test"),
                by: "kana",
                incident: None,
                investigation: None,
                idempotency_key: None,
                approve_now: Some(("kana", None)),
                signs,
                grounds: None,
                again: None,
            };
            actions::propose(ctx, proposal).await.expect("ordered").id
        };
        if !crawl {
            house.stop().await;
            house.config.crawl = None;
            house.run().await;
            // only looks of our own: what the sender puts into his sent items later
            let action = order(&house, true).await;
            house.over(action).await;
            house.put(0, "Sent", &raw).await;
            let acted = house.action(action, "the sender's", |action| !late(action).is_empty()).await;
            assert_eq!(late(&acted), [(LateCause::Returned, ReceiptState::Done)]);
            assert_eq!(house.count(0, "Sent").await, 0);
            house.stop().await;
            continue;
        }
        // not asked for: left alone
        let plain = order(&house, false).await;
        house.over(plain).await;
        let reference = format!("In-Reply-To: <{id}>\r\n");
        house.put(0, "Sent", &raw).await;
        house.put(2, "INBOX", &own("early@example.test", &users[1], &reference, "fyi")).await;
        house.copies("early@example.test", "known", |found| !found.is_empty()).await;
        house.copies(id, "known", |found| found.len() == 2).await;
        let ctx = house.running().ctx.clone();
        let end = Instant::now() + DEADLINE;
        loop {
            let late = ctx.store.late_of_action(plain).await.expect("late");
            if !late.is_empty() && late.iter().all(|late| late.settled_at.is_some()) {
                break;
            }
            assert!(Instant::now() < end, "it is looked at: {late:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!((house.count(0, "Sent").await, house.count(2, "INBOX").await), (1, 1));
        actions::disarm(&ctx, plain, "kana").await.expect("disarmed");

        // asked for: those that are there, and those that come
        let asked = order(&house, true).await;
        let done = house.over(asked).await;
        assert_eq!(house.count(2, "INBOX").await, 0, "the answer that was there: {done:#?}");
        house.put(1, "INBOX", &own("late@example.test", &users[2], &reference, "me too")).await;
        house.put(2, "INBOX", &own("other@example.test", &users[1], "", "nothing to do with it")).await;
        let outside = own("outside@elsewhere.test", "other@elsewhere.test", &reference, "an answer of others");
        house.put(2, "INBOX", &outside).await;
        house.action(asked, "a late answer", |action| !late(action).is_empty()).await;
        house.put(0, "Sent", &raw).await;
        let acted = house.action(asked, "the sender's", |action| late(action).len() == 2).await;
        assert!(late(&acted).iter().all(|(_, state)| *state == ReceiptState::Done), "{acted:#?}");
        assert_eq!((house.count(0, "Sent").await, house.count(1, "INBOX").await), (0, 0));
        for other in ["other@example.test", "outside@elsewhere.test"] {
            house.copies(other, "known", |found| !found.is_empty()).await;
        }
        assert_eq!(house.count(2, "INBOX").await, 2, "others stay");
        // the undo brings them back too
        let undone = house.over(actions::undo(&ctx, asked, "kana").await.expect("undone").id).await;
        assert!(undone.receipts.iter().all(|receipt| receipt.state == ReceiptState::Done), "{undone:#?}");
        assert_eq!(house.count(1, "INBOX").await, 1, "the late answer");
        house.stop().await;
    }
}
