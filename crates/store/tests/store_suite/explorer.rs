//! The mail explorer: conditions, pages, groups, counts, verdicts.

use crate::both;
use crate::fixtures::*;
use hinomi_model::*;
use hinomi_store::*;

fn mail(number: u64, recipient: &str) -> MessageCopy {
    let copy = message(number, recipient, &format!("{number:064x}"));
    MessageCopy {
        sender_from: format!("s{}@d{}.example", number % 7, number % 3),
        subject: format!("Invoice {number} / 請求書"),
        received_at: at(number as i64 * 3600),
        urls: vec![format!("https://p{number}.example/pay?id={number}")],
        url_domains: vec![format!("p{number}.example")],
        auth: AuthResults { spf: "pass".to_owned(), dkim: "none".to_owned(), dmarc: "fail".to_owned() },
        ..copy
    }
}

async fn numbers(store: &Store, filter: &MailFilter, limit: u32) -> Vec<i64> {
    let mut page = Page::first(limit);
    let mut found = Vec::new();
    loop {
        let explored = store.explore(filter, &page).await.unwrap();
        found.extend(explored.items.iter().map(|one| one.copies[0].received_at.micros_since(at(0)) / 3_600_000_000));
        match explored.next {
            Some(next) => page.after = Some(next),
            None => return found,
        }
    }
}

fn by(field: MailField, value: &str) -> MailFilter {
    MailFilter::default().with(field, value)
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_pages_and_counts() {
    both(|store| async move {
        for number in 1..=60 {
            store.put_message(&mail(number, "aki@example.jp")).await.unwrap();
            if number % 2 == 0 {
                store.put_message(&mail(number, "hana@Other.jp".to_lowercase().as_str())).await.unwrap();
            }
        }
        let all = MailFilter::default();
        let newest_first: Vec<i64> = (1..=60).rev().collect();
        assert_eq!(numbers(&store, &all, 7).await, newest_first);
        assert_eq!(store.count_messages(&all).await.unwrap(), Counted { count: 60, exact: true });
        let within = MailFilter { from: Some(at(10 * 3600)), to: Some(at(20 * 3600)), ..MailFilter::default() };
        assert_eq!(numbers(&store, &within, 50).await, (10..20).rev().collect::<Vec<_>>());
        assert_eq!(store.count_messages(&within).await.unwrap().count, 10);

        for (field, value, count) in [
            (MailField::SenderDomain, "D1.example", 20),
            (MailField::Sender, "bounce@evil.example", 60),
            (MailField::Recipient, "hana@other.jp", 30),
            (MailField::RecipientDomain, "other.jp", 30),
            (MailField::Subject, "RE: invoice  7 / 請求書", 1),
            (MailField::Text, "請求 invoice", 60),
            (MailField::Text, "invoice nowhere", 0),
            (MailField::Text, "?!", 0),
            (MailField::UrlDomain, "p9.example", 1),
            (MailField::UrlPath, "http://p9.example/pay", 1),
            (MailField::Spf, "pass", 60),
            (MailField::Dmarc, "pass", 0),
            (MailField::AttachmentExtension, ".SH", 60),
            (MailField::RecipientsMin, "2", 30),
            (MailField::AttachmentsMax, "0", 0),
            (MailField::Message, &id::<MessageId>(5).to_string(), 1),
            (MailField::DeliveryAction, "delivered", 60),
        ] {
            let filter = by(field, value);
            assert_eq!(store.count_messages(&filter).await.unwrap().count, count, "{field:?} {value}");
            assert_eq!(numbers(&store, &filter, 9).await.len() as i64, count, "{field:?} {value}");
        }
        let both_conditions = by(MailField::SenderDomain, "d1.example").with(MailField::Recipient, "hana@other.jp");
        assert_eq!(store.count_messages(&both_conditions).await.unwrap().count, 10);
        let mut not = by(MailField::SenderDomain, "d1.example");
        not.conditions[0].negate = true;
        assert_eq!(store.count_messages(&not).await.unwrap().count, 40);
        let mut either = by(MailField::SenderDomain, "d1.example");
        either.conditions[0].values.push("d2.example".to_owned());
        assert_eq!(numbers(&store, &either, 11).await.len(), 40);
        for wrong in [by(MailField::Location, "nowhere"), by(MailField::SizeMin, "big"), by(MailField::Message, "x")] {
            assert!(matches!(store.explore(&wrong, &Page::default()).await, Err(StoreError::Invalid { .. })));
        }

        // a copy moves: the same copy must have both
        let mut copy = store.message(id(2), "hana@other.jp").await.unwrap().unwrap();
        copy.latest_location = DeliveryLocation::JunkFolder;
        copy.moved_by = Some("owner".to_owned());
        let moved = store.update_message(&copy, copy.version).await.unwrap();
        assert_eq!(store.count_messages(&by(MailField::Location, "junkFolder")).await.unwrap().count, 1);
        assert_eq!(store.count_messages(&by(MailField::Location, "inbox")).await.unwrap().count, 60);
        let other = by(MailField::Location, "junkFolder").with(MailField::Recipient, "aki@example.jp");
        assert_eq!(store.count_messages(&other).await.unwrap().count, 0);
        let explored = store.explore(&by(MailField::Location, "junkFolder"), &Page::default()).await.unwrap();
        assert_eq!((explored.items[0].copy_count, &*explored.items[0].copies[0].recipient), (2, "hana@other.jp"));
        let back = MessageCopy { latest_location: DeliveryLocation::Inbox, ..moved };
        store.update_message(&back, back.version).await.unwrap();
        assert_eq!(store.count_messages(&by(MailField::Location, "junkFolder")).await.unwrap().count, 0);

        let counts = store.mail_counts(&all, Pivot::Word(MailField::DeliveryAction)).await.unwrap();
        assert_eq!(counts.buckets.iter().map(|bucket| bucket.total).sum::<i64>(), 60);
        assert_eq!(counts.values, [("delivered".to_owned(), 60)]);
        let narrow = by(MailField::SenderDomain, "d1.example");
        let counts = store.mail_counts(&narrow, Pivot::Word(MailField::Source)).await.unwrap();
        assert_eq!((counts.values[0].1, counts.since), (20, None));
        assert_eq!(counts.buckets.iter().map(|bucket| bucket.values["gateway"]).sum::<i64>(), 20);
        let senders = store.mail_counts(&all, Pivot::SenderDomain).await.unwrap();
        assert_eq!(senders.values.len(), 3);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_alike_are_one_campaign() {
    both(|store| async move {
        let near = |number: u64, bits: u64| MessageCopy {
            fingerprint: format!("{:016x}", 0x1234_5678_9abc_def0_u64 ^ bits),
            sender_from: format!("x{number}@evil{number}.example"),
            subject: format!("{number} other words {}", "abcdefgh".repeat(number as usize)),
            attachments: vec![],
            ..mail(number, "aki@example.jp")
        };
        for (number, bits) in [(1, 0), (2, 0b101), (3, 0xfff0)] {
            store.put_message(&near(number, bits)).await.unwrap();
        }
        let far = MessageCopy { received_at: at(40 * 24 * 3600), ..near(4, 0) };
        store.put_message(&far).await.unwrap();
        let same_file = MessageCopy { attachments: message(9, "", &"ab".repeat(32)).attachments, ..near(5, u64::MAX) };
        let again = MessageCopy { message_id: id(6), attachments: same_file.attachments.clone(), ..near(6, 0xff00) };
        store.put_message(&same_file).await.unwrap();
        store.put_message(&again).await.unwrap();
        let groups = store.mail_groups(&MailFilter::default(), GroupBy::Campaign, 10).await.unwrap();
        let mut sizes: Vec<i64> = groups.items.iter().map(|group| group.messages).collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [1, 1, 2, 2], "1 and 2; 3 differs in twelve bits; 4 is too late; 5 and 6 share a file");
        let first = groups.items.iter().find(|group| group.messages == 2).unwrap();
        let of_group = by(MailField::Campaign, &first.key);
        assert_eq!(store.count_messages(&of_group).await.unwrap().count, 2);
        assert_eq!(first.sample.copies[0].campaign, first.key);
        let files = store.mail_groups(&MailFilter::default(), GroupBy::Attachments, 10).await.unwrap();
        assert_eq!((files.items[0].messages, files.alone), (2, 4));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn verdicts_of_scanners_are_found_by_value_and_key() {
    both(|store| async move {
        let verdict = FilterVerdict {
            engine: "Sandbox".to_owned(),
            verdict: Verdict::Malicious,
            threat: Some(ThreatType::Malware),
            reason: "drops a file".to_owned(),
            link: Some("https://sandbox.example/1".to_owned()),
        };
        let row = MailVerdictRow {
            id: id(7),
            target: EntityKey::file(&"ab".repeat(32)),
            at: at(1),
            idempotency_key: Some("bot:1".to_owned()),
            verdict: verdict.clone(),
        };
        store.add_mail_verdict(&row).await.unwrap();
        assert!(store.add_mail_verdict(&MailVerdictRow { id: id(8), ..row.clone() }).await.is_err(), "one per key");
        assert_eq!(store.mail_verdict_of_key("bot:1").await.unwrap(), Some(row.clone()));
        let targets = [EntityKey::url("https://x.example/"), row.target.clone()];
        assert_eq!(store.mail_verdicts_of(&targets).await.unwrap(), [row]);
        assert_eq!(store.mail_verdicts_of(&[]).await.unwrap(), []);

        let mut copy = mail(1, "aki@example.jp");
        store.put_message(&copy).await.unwrap();
        copy.filters.push(verdict);
        copy.threats.push(ThreatType::Malware);
        store.put_message(&copy).await.unwrap();
        for (field, value) in [
            (MailField::Engine, "sandbox"),
            (MailField::EngineVerdict, "Sandbox:malicious"),
            (MailField::Threat, "malware"),
        ] {
            assert_eq!(store.count_messages(&by(field, value)).await.unwrap().count, 1, "{field:?}");
        }
    })
    .await;
}
