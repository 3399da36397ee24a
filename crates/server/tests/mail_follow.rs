//! Mail actions that are held, stopped, tried again and undone, and those that stay armed for late
//! copies, over a real Dovecot.

#[allow(dead_code, reason = "shared with other tests of mail actions")]
mod house;

use hinomi_model::{
    Action, ActionState, DeliveryLocation, LateCause, MailFilter, MessageCopy, MessageCopyRef, MessageRemedy, Receipt,
    ReceiptState, Timestamp,
};
use hinomi_server::actions;
use hinomi_server::config::CrawlConfig;
use hinomi_store::Page;
use house::{DATE, DEADLINE, House, late, mail, states};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_copies_are_treated_until_the_action_is_undone() {
    let mut house = House::start(3, |_| {}).await;
    let id = "wave@elsewhere.test";
    for user in 0..2 {
        house.put(user, "INBOX", &mail(id, "first", "please pay")).await;
    }
    let known =
        house.copies(id, "known", |found| found.len() == 2 && found.iter().all(|one| one.folder.is_some())).await;
    let incident = house.incident().await;
    let action = house.order(MessageRemedy::SoftDelete, &known, "kana", Some(incident.clone())).await;
    let done = house.over(action).await;
    assert_eq!(states(&done), [ReceiptState::Done; 2], "{done:#?}");
    let follow_up = done.follow_up.expect("armed");
    assert_eq!(follow_up.until.micros_since(done.decided_at.expect("decided")) / 3_600_000_000, 48);

    // it comes again: to one who had it, while the server is away, and to one who had not
    house.stop().await;
    house.put(0, "INBOX", &mail(id, "second", "please pay")).await;
    house.run().await;
    house.put(2, "INBOX", &mail(id, "third", "please pay")).await;
    house.put(2, "INBOX", &mail(id, "forged", "other words under the same Message-ID")).await;
    let acted = house.action(action, "two late copies", |action| late(action).len() == 2).await;
    let treated = [(LateCause::Delivered, ReceiptState::Done), (LateCause::Returned, ReceiptState::Done)];
    assert_eq!(late(&acted), treated, "{acted:#?}");
    assert_eq!((house.count(0, "INBOX").await, house.count(2, "INBOX").await), (0, 1), "the forged one stays");
    assert_eq!((acted.state, states(&acted)), (ActionState::Succeeded, vec![ReceiptState::Done; 2]));
    let told = house.activities(&incident).await;
    assert_eq!(told.iter().filter(|text| text.contains("delivered late") || text.contains("moved back")).count(), 2);
    let rows = house.rows();
    let follow = |row: &&(String, String, String)| row.0 == "Soft delete" && row.1 == "Follow-up remediation";
    assert_eq!(rows.iter().filter(follow).count(), 2, "{rows:#?}");
    let manual = |row: &&(String, String, String)| row.0 == "Soft delete" && row.1 == "Manual remediation";
    assert_eq!(rows.iter().filter(manual).count(), 2, "{rows:#?}");

    // the undo brings everything back, and nothing takes it out again
    let undo = actions::undo(&house.running().ctx, action, "kana").await.expect("undone").id;
    let undone = house.over(undo).await;
    assert_eq!((undone.state, states(&undone)), (ActionState::Succeeded, vec![ReceiptState::Done; 3]), "{undone:#?}");
    let counts = [house.count(0, "INBOX").await, house.count(1, "INBOX").await, house.count(2, "INBOX").await];
    assert_eq!(counts, [2, 1, 2]);
    let original = house.action(action, "undone", |action| action.state == ActionState::Undone).await;
    assert_eq!(original.follow_up.as_ref().and_then(|one| one.disarmed_by.as_deref()), Some("kana"));
    assert!(late(&original).iter().all(|(_, state)| *state == ReceiptState::Undone));
    house.put(1, "INBOX", &mail(id, "fourth", "please pay")).await;
    let store = &house.running().ctx.store;
    let mailbox = &house.rig.users[1];
    let end = Instant::now() + DEADLINE;
    while store.crawl_places(mailbox, "INBOX").await.expect("places").len() < 2 {
        assert!(Instant::now() < end, "the crawl sees the last one");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    assert!(store.late_of_action(action).await.expect("late").iter().all(|late| late.settled_at.is_some()));
    assert_eq!(house.count(1, "INBOX").await, 2, "nobody touches it any more");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_left_a_copy_follows_its_own_targets_and_what_is_delivered_after_it() {
    let mut house = House::start(4, |_| {}).await;
    let id = "wrong@elsewhere.test";
    for user in 0..2 {
        house.put(user, "INBOX", &mail(id, "first", "your payslip")).await;
    }
    let known =
        house.copies(id, "known", |found| found.len() == 2 && found.iter().all(|one| one.folder.is_some())).await;
    let (own, left): (Vec<MessageCopy>, _) = known.into_iter().partition(|copy| copy.recipient == house.rig.users[0]);
    let action = house.order(MessageRemedy::SoftDelete, &own, "kana", None).await;
    house.over(action).await;

    // the one that was left is moved about by its owner
    let mut owner = house.rig.imap(&house.rig.users[1]).await.expect("login");
    let uid = owner.mails("INBOX").await.expect("mails")[0].uid;
    owner.move_to("INBOX", uid, "Junk").await.expect("moved");
    let seen = |place: DeliveryLocation| {
        let left = left[0].recipient.clone();
        move |found: &[MessageCopy]| found.iter().any(|copy| copy.recipient == left && copy.latest_location == place)
    };
    house.copies(id, "moved to junk", seen(DeliveryLocation::JunkFolder)).await;
    let uid = owner.mails("Junk").await.expect("mails")[0].uid;
    owner.move_to("Junk", uid, "INBOX").await.expect("moved");
    house.copies(id, "moved back", seen(DeliveryLocation::Inbox)).await;
    // one more lies in a mailbox since before, one comes to its own target again, one is delivered
    house.put(2, "INBOX", &mail(id, "older", "your payslip")).await;
    house.copies(id, "found", |found| found.len() == 3).await;
    house.put(0, "INBOX", &mail(id, "second", "your payslip")).await;
    house.action(action, "its own target", |action| late(action).len() == 1).await;
    house.deliver(3, &mail(id, "third", "your payslip")).await;
    let acted = house.action(action, "one delivered", |action| late(action).len() == 2).await;
    let treated = [(LateCause::Delivered, ReceiptState::Done), (LateCause::Returned, ReceiptState::Done)];
    assert_eq!(late(&acted), treated, "{acted:#?}");
    let noticed = house.running().ctx.store.late_of_action(action).await.expect("late");
    assert_eq!(noticed.len(), 2, "{noticed:#?}");
    let mut counts = Vec::new();
    for user in 0..4 {
        counts.push(house.count(user, "INBOX").await);
    }
    assert_eq!(counts, [0, 1, 1, 0]);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_its_owner_moves_back_is_moved_again_with_and_without_a_crawl() {
    for crawl in [true, false] {
        let mut house = House::start(1, |_| {}).await;
        let id = "back@elsewhere.test";
        house.put(0, "INBOX", &mail(id, "first", "please pay")).await;
        let known = house.copies(id, "known", |found| found.iter().any(|one| one.folder.is_some())).await;
        if !crawl {
            house.stop().await;
            house.config.crawl = None;
            house.config.follow_up.first_look_seconds = 1;
            house.run().await;
        }
        let incident = house.incident().await;
        let action = house.order(MessageRemedy::MoveToJunk, &known, "kana", Some(incident.clone())).await;
        house.over(action).await;
        let mut owner = house.rig.imap(&house.rig.users[0]).await.expect("login");
        let uid = owner.mails("Junk").await.expect("mails")[0].uid;
        owner.move_to("Junk", uid, "INBOX").await.expect("moved");
        let acted = house.action(action, "moved again", |action| late(action).len() == 1).await;
        assert_eq!(late(&acted), [(LateCause::Returned, ReceiptState::Done)], "crawl: {crawl}");
        assert_eq!((house.count(0, "INBOX").await, house.count(0, "Junk").await), (0, 1));
        let copy = house.copies(id, "in junk", |found| found[0].latest_location == DeliveryLocation::JunkFolder).await;
        assert_eq!(copy[0].moved_by, Some(format!("action:{action}")));
        if crawl {
            let rows = house.rows();
            let owners = |row: &&(String, String, String)| row.0 == "Move to inbox" && row.1 == "User action";
            assert_eq!(rows.iter().filter(owners).count(), 1, "{rows:#?}");
            let told = house.activities(&incident).await;
            assert!(told.iter().any(|text| text.starts_with("The owner of")), "{told:?}");
        }
        // moved back, moved again: the undo puts it back once
        let undo = actions::undo(&house.running().ctx, action, "kana").await.expect("undone").id;
        let undone = house.over(undo).await;
        assert_eq!(states(&undone), [ReceiptState::Done], "{undone:#?}");
        assert_eq!((house.count(0, "INBOX").await, house.count(0, "Junk").await), (1, 0));
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_copies_of_widely_sent_mail_wait_for_a_person_and_disarmed_actions_rest() {
    let mut house = House::start(2, |_| {}).await;
    let id = "news@elsewhere.test";
    let newsletter = |hop: &str| {
        let raw = String::from_utf8(mail(id, hop, "this month")).expect("text");
        raw.replacen("Subject:", "List-Unsubscribe: <https://elsewhere.test/>\r\nSubject:", 1).into_bytes()
    };
    house.put(0, "INBOX", &newsletter("first")).await;
    let known = house.copies(id, "known", |found| found.iter().any(|one| one.folder.is_some())).await;
    assert!(known[0].bulk);
    let by_itself = house.order(MessageRemedy::SoftDelete, &known, "automation:full", None).await;
    house.over(by_itself).await;
    house.put(1, "INBOX", &newsletter("second")).await;
    let end = Instant::now() + DEADLINE;
    let waiting = loop {
        let filter = hinomi_store::ActionFilter { state: vec![ActionState::PendingApproval], ..Default::default() };
        let waiting = house.running().ctx.store.actions(&filter, &Page::first(10)).await.expect("actions").items;
        if let Some(first) = waiting.into_iter().next() {
            break first;
        }
        assert!(Instant::now() < end, "nothing was proposed");
        tokio::time::sleep(Duration::from_millis(30)).await;
    };
    assert_eq!(waiting.spec.kind(), "soft_delete_messages");
    assert_eq!(waiting.receipts[0].target.value.rsplit('/').next(), Some(house.rig.users[1].as_str()));
    assert_eq!(house.count(1, "INBOX").await, 1, "left to a person");
    // a person's own go holds for late copies too
    let approved = actions::approve(&house.running().ctx, waiting.id, "kana", None).await.expect("approved").id;
    house.over(approved).await;
    house.put(0, "INBOX", &newsletter("third")).await;
    let acted = house.action(approved, "late", |action| late(action).len() == 1).await;
    assert_eq!(late(&acted), [(LateCause::Returned, ReceiptState::Done)]);

    let disarmed = actions::disarm(&house.running().ctx, approved, "kana").await.expect("disarmed");
    assert_eq!(disarmed.follow_up.and_then(|one| one.disarmed_by).as_deref(), Some("kana"));
    assert!(actions::disarm(&house.running().ctx, approved, "kana").await.is_err());
    actions::disarm(&house.running().ctx, by_itself, "kana").await.expect("disarmed");
    house.put(1, "INBOX", &newsletter("fourth")).await;
    house
        .copies(id, "seen again", |found| {
            let own = found.iter().find(|one| one.recipient == house.rig.users[1]);
            own.is_some_and(|one| one.latest_location == DeliveryLocation::Inbox)
        })
        .await;
    let store = &house.running().ctx.store;
    assert!(store.late_of_action(approved).await.expect("late").iter().all(|late| late.settled_at.is_some()));
    assert_eq!(house.count(1, "INBOX").await, 1);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_action_is_held_goes_on_is_stopped_and_undone() {
    const MAILS: usize = 150;
    let mut house = House::start(2, |config| config.mailboxes[0].connections = 1).await;
    let id = |number: usize| format!("{number}@elsewhere.test");
    for user in 0..2 {
        let mut client = house.rig.imap(&house.rig.users[user]).await.expect("login");
        for number in 0..MAILS {
            let raw = mail(&id(user * MAILS + number), "first", &format!("text {number}"));
            client.append("INBOX", "", DATE, &raw).await.expect("append");
        }
    }
    let filter = MailFilter::default();
    let end = Instant::now() + DEADLINE;
    while house.running().ctx.store.count_messages(&filter).await.expect("count").count < 2 * MAILS as i64 {
        assert!(Instant::now() < end, "the crawl knows them all");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut known = Vec::new();
    let mut page = Page::first(200);
    loop {
        let listed = house.running().ctx.store.messages(&filter, &page).await.expect("list");
        known.extend(listed.items);
        page.after = listed.next;
        if page.after.is_none() {
            break;
        }
    }
    assert_eq!(known.len(), 2 * MAILS);
    let ctx = house.running().ctx.clone();
    let settled = |action: &Action| action.receipts.iter().filter(|receipt| !receipt.is_open()).count();
    let action = house.order(MessageRemedy::SoftDelete, &known, "kana", None).await;
    let first = house.action(action, "it began", |action| settled(action) > 0).await;
    assert_eq!(first.state, ActionState::Running, "too quick to be held: more mails are needed");
    actions::pause(&ctx, action, "kana").await.expect("held");
    house.rests().await;
    let held = house.action(action, "held", |_| true).await;
    assert_eq!(held.state, ActionState::Paused);
    let gone = settled(&held);
    let left = house.count(0, "INBOX").await + house.count(1, "INBOX").await;
    assert!(gone > 0 && gone < 2 * MAILS && left == 2 * MAILS - gone, "{gone} done, {left} left");
    // held through a restart
    house.stop().await;
    house.run().await;
    let ctx = house.running().ctx.clone();
    assert_eq!(house.action(action, "held", |_| true).await.state, ActionState::Paused);
    actions::resume(&ctx, action, "kana").await.expect("goes on");
    house.action(action, "it goes on", |action| settled(action) > gone).await;
    actions::cancel(&ctx, action, "kana").await.expect("stopped");
    let stopped = house.over(action).await;
    let of = |action: &Action, state| action.receipts.iter().filter(|receipt| receipt.state == state).count();
    let done = of(&stopped, ReceiptState::Done);
    assert_eq!(stopped.state, ActionState::Cancelled, "too quick to be stopped: more mails are needed");
    assert_eq!(done + of(&stopped, ReceiptState::Cancelled), 2 * MAILS);
    assert!(done > gone && done < 2 * MAILS, "{done}");
    assert!(!stopped.is_armed(ctx.now()));
    let left = house.count(0, "INBOX").await + house.count(1, "INBOX").await;
    assert_eq!(left, 2 * MAILS - done, "what is told is what was done");
    assert!(actions::pause(&ctx, action, "kana").await.is_err());
    let undo = actions::undo(&ctx, action, "kana").await.expect("undone").id;
    let undone = house.over(undo).await;
    assert_eq!(states(&undone), vec![ReceiptState::Done; done]);
    assert_eq!(house.count(0, "INBOX").await + house.count(1, "INBOX").await, 2 * MAILS);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_failed_is_tried_again_and_a_removal_cut_short_is_undone() {
    let mut house = House::start(3, |config| config.follow_up.hours = 0).await;
    let id = "pay@elsewhere.test";
    for user in 0..3 {
        house.put(user, "INBOX", &mail(id, "first", "please pay")).await;
    }
    let known = house.copies(id, "known", |found| found.len() == 3).await;
    // one mailbox is not in the list yet
    let users = house.rig.users.clone();
    std::fs::write(&house.users_file, users[..2].join("\n")).expect("users");
    let action = house.order(MessageRemedy::SoftDelete, &known, "kana", None).await;
    let failed = house.over(action).await;
    assert_eq!(failed.state, ActionState::PartiallySucceeded, "{failed:#?}");
    assert!(failed.follow_up.is_none(), "0 hours: not armed");
    std::fs::write(&house.users_file, users.join("\n")).expect("users");
    let ctx = house.running().ctx.clone();
    let before: Vec<Receipt> = failed.receipts.iter().filter(|one| one.state == ReceiptState::Done).cloned().collect();
    actions::retry(&ctx, action, "kana").await.expect("tried again");
    let done = house.over(action).await;
    assert_eq!((done.state, states(&done)), (ActionState::Succeeded, vec![ReceiptState::Done; 3]));
    assert!(before.iter().all(|receipt| done.receipts.contains(receipt)), "what was done is not done again");
    assert!(actions::retry(&ctx, action, "kana").await.is_err(), "nothing failed");

    // as if the server had lost the mailbox between the act and its entry: one mail is gone, one was
    // never touched
    let rows = ctx.store.journal(action).await.expect("journal");
    let mut tx = ctx.store.begin().await.expect("tx");
    let mut cut = tx.action(action).await.expect("read").expect("there");
    for row in rows.iter().take(1) {
        tx.journal_intent(action, &row.copy, &row.intent).await.expect("open again");
    }
    let gone = rows[0].copy.recipient.clone();
    for receipt in cut.receipts.iter_mut().filter(|receipt| receipt.target.value.ends_with(&gone)) {
        receipt.state = ReceiptState::Failed;
    }
    cut.state = ActionState::PartiallySucceeded;
    tx.put_action(&cut).await.expect("put");
    tx.commit().await.expect("commit");
    let undo = actions::undo(&ctx, action, "kana").await.expect("undone").id;
    let undone = house.over(undo).await;
    assert_eq!((undone.state, states(&undone)), (ActionState::Succeeded, vec![ReceiptState::Done; 3]), "{undone:#?}");
    let counts = [house.count(0, "INBOX").await, house.count(1, "INBOX").await, house.count(2, "INBOX").await];
    assert_eq!(counts, [1, 1, 1]);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_that_began_before_an_act_does_not_say_where_the_mail_is() {
    const MAILS: usize = 20;
    let mut house = House::start(1, |config| config.crawl = None).await;
    for number in 0..MAILS {
        house.put(0, "INBOX", &mail(&format!("{number}@elsewhere.test"), "first", &format!("text {number}"))).await;
    }
    // known from elsewhere, as from a gateway
    let reader = hinomi_mail::parse::Limits::default();
    let mails = house.rig.imap(&house.rig.users[0]).await.expect("login").mails("INBOX").await.expect("mails");
    let store = house.running().ctx.store.clone();
    let mut tx = store.begin().await.expect("tx");
    for mail in &mails {
        let analysis = hinomi_mail::parse::analyse(&mail.raw, &reader);
        tx.put_message(&copy(&analysis, &house.rig.users[0])).await.expect("put");
    }
    tx.commit().await.expect("commit");
    let known = store.messages(&MailFilter::default(), &Page::first(200)).await.expect("list").items;
    assert_eq!(known.len(), MAILS);
    house.stop().await;
    house.config.crawl = Some(CrawlConfig { every_seconds: 1, mails_per_second: 10, ..Default::default() });
    house.config.follow_up.hours = 0;
    house.run().await;
    let store = house.running().ctx.store.clone();
    // the crawl reads a batch for two seconds; once it is logged in all of it is moved
    let logged_in = || {
        let told = house.rig.doveadm().args(["-f", "flow", "who"]).output().expect("doveadm");
        String::from_utf8_lossy(&told.stdout).contains("username=")
    };
    let end = Instant::now() + DEADLINE;
    while !logged_in() {
        assert!(Instant::now() < end, "the crawl begins");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let action = house.order(MessageRemedy::MoveToJunk, &known, "kana", None).await;
    house.over(action).await;
    let end = Instant::now() + DEADLINE;
    let crawl = loop {
        let crawl = store.crawl_mailbox(&house.rig.users[0]).await.expect("crawl").expect("there");
        let places = store.crawl_places(&house.rig.users[0], "Junk").await.expect("places").len();
        if crawl.finished_at.is_some() && places == MAILS {
            break crawl;
        }
        assert!(Instant::now() < end, "the crawl ends: {crawl:?}, {places}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(crawl.mails > MAILS as i64, "it read some before they were moved: {crawl:?}");
    let known = store.messages(&MailFilter::default(), &Page::first(200)).await.expect("list").items;
    let by = format!("action:{action}");
    for copy in &known {
        assert_eq!(
            (copy.latest_location, copy.moved_by.as_deref()),
            (DeliveryLocation::JunkFolder, Some(by.as_str())),
            "{copy:#?}"
        );
    }
    house.stop().await;
}

fn copy(analysis: &hinomi_mail::parse::Analysis, recipient: &str) -> MessageCopy {
    MessageCopy {
        message_id: hinomi_server::ids::new(),
        recipient: recipient.to_owned(),
        internet_message_id: analysis.message_id.clone(),
        sender_mail_from: "someone@elsewhere.test".to_owned(),
        sender_from: analysis.from_address.clone(),
        sender_display_name: String::new(),
        sender_ip: String::new(),
        subject: analysis.subject.clone(),
        size: 1,
        received_at: Timestamp::from_micros(1_700_000_000_000_000),
        body_sha256: analysis.body_sha256.clone(),
        attachments: Vec::new(),
        urls: Vec::new(),
        auth: hinomi_model::AuthResults::default(),
        delivery_action: hinomi_model::DeliveryAction::Delivered,
        delivery_location: DeliveryLocation::Inbox,
        latest_location: DeliveryLocation::Inbox,
        verdict: hinomi_model::Verdict::Unknown,
        indicators: Vec::new(),
        threats: Vec::new(),
        source: hinomi_model::MailSource::Gateway,
        direction: hinomi_model::MailDirection::Inbound,
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forwarded_and_replied_copies_are_found_shown_apart_and_taken_out() {
    let mut house = House::start(2, |_| {}).await;
    let users = house.rig.users.clone();
    let with_file = |id: &str, from: &str, more: &str, text: &str| {
        format!(
            "From: <{from}>\r\nTo: staff@example.test\r\nSubject: papers\r\nMessage-ID: <{id}>\r\n{more}MIME-Version: 1.0\r\n\
             Date: Sun, 22 Nov 2026 01:00:00 +0000\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\
             Content-Type: text/plain\r\n\r\n{text}\r\n--b\r\nContent-Type: application/octet-stream; name=a.bin\r\n\
             Content-Disposition: attachment; filename=a.bin\r\nContent-Transfer-Encoding: base64\r\n\r\n\
             AAECAwQFBgcICQ==\r\n--b--\r\n"
        )
        .into_bytes()
    };
    let plain = |id: &str, from: &str, more: &str| {
        format!(
            "From: <{from}>\r\nTo: staff@example.test\r\nSubject: Re: papers\r\nMessage-ID: <{id}>\r\n{more}\
             Date: Sun, 22 Nov 2026 01:00:00 +0000\r\nContent-Type: text/plain\r\n\r\nthank you\r\n"
        )
        .into_bytes()
    };
    let id = "papers@elsewhere.test";
    house.put(0, "INBOX", &with_file(id, "someone@elsewhere.test", "", "see the papers")).await;
    // one of us forwards it under a Message-ID of its own, the other answers
    house.put(1, "INBOX", &with_file("forward@example.test", &users[0], "", "fyi")).await;
    let reference = format!("In-Reply-To: <{id}>\r\nReferences: <older@example.test>\r\n <{id}>\r\n");
    house.put(0, "INBOX", &plain("reply@example.test", &users[1], &reference)).await;
    // neither an outsider who names it nor what has nothing to do with it
    house.put(1, "INBOX", &plain("outside@elsewhere.test", "other@elsewhere.test", &reference)).await;
    house.put(1, "INBOX", &plain("other@example.test", &users[0], "")).await;
    // and one that only claims to be the reply
    let claims = String::from_utf8(plain("reply@example.test", &users[1], "")).expect("text");
    house.put(1, "INBOX", claims.replace("thank you", "other words").as_bytes()).await;
    let known = house.copies(id, "known", |found| found.iter().any(|one| one.folder.is_some())).await;
    for other in ["forward@example.test", "outside@elsewhere.test", "other@example.test"] {
        house.copies(other, "known", |found| !found.is_empty()).await;
    }
    house.copies("reply@example.test", "known", |found| found.len() == 2).await;
    let ctx = house.running().ctx.clone();
    let mut copies = vec![MessageCopyRef { message_id: known[0].message_id, recipient: known[0].recipient.clone() }];
    let order = hinomi_api::DryRun { copies: copies.clone(), related: true, ..Default::default() };
    let dry = hinomi_server::dry_run::make(&ctx, &order, "test").await.expect("dry run");
    assert_eq!((dry.copies, dry.present), (1, 1), "related copies are not among the counts");
    let mut shown: Vec<_> = dry.related.iter().map(|one| (one.by, one.sender.clone(), one.folders.clone())).collect();
    shown.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    shown.dedup();
    let inbox = vec!["INBOX".to_owned()];
    assert_eq!(
        shown,
        [
            (hinomi_api::RelatedBy::Reference, users[1].clone(), inbox.clone()),
            (hinomi_api::RelatedBy::Attachment, users[0].clone(), inbox),
        ],
        "{dry:#?}"
    );
    hinomi_server::related::extend(&ctx, &mut copies).await.expect("extended");
    let wanted: Vec<MessageCopy> = {
        let mut found = Vec::new();
        for copy in &copies {
            found.extend(ctx.store.message(copy.message_id, &copy.recipient).await.expect("read"));
        }
        found
    };
    let action = house.order(MessageRemedy::SoftDelete, &wanted, "kana", None).await;
    let done = house.over(action).await;
    assert_eq!(done.state, ActionState::Succeeded, "{done:#?}");
    let left = |mails: Vec<hinomi_testkit::mail::Mail>| {
        let texts = mails.into_iter().map(|mail| String::from_utf8_lossy(&mail.raw).into_owned());
        let mut ids: Vec<String> =
            texts.filter_map(|text| Some(text.split("Message-ID: <").nth(1)?.split('>').next()?.to_owned())).collect();
        ids.sort();
        ids
    };
    let mut first = house.rig.imap(&users[0]).await.expect("login");
    assert_eq!(left(first.mails("INBOX").await.expect("mails")), Vec::<String>::new());
    let mut second = house.rig.imap(&users[1]).await.expect("login");
    let kept = left(second.mails("INBOX").await.expect("mails"));
    assert!(kept.contains(&"outside@elsewhere.test".to_owned()) && kept.contains(&"other@example.test".to_owned()));
    assert!(kept.contains(&"reply@example.test".to_owned()), "other content under the same Message-ID stays");
    assert!(!kept.contains(&"forward@example.test".to_owned()), "{kept:?}");
    house.stop().await;
}
