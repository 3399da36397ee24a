//! Devices, alerts, incidents, investigations, actions, indicators, messages: versions, lists, links.

use crate::both;
use crate::fixtures::*;
use hinomi_model::*;
use hinomi_store::*;

#[tokio::test(flavor = "multi_thread")]
async fn versions_lists_and_links() {
    both(|store| async move {
        versions(&store).await;
        pages(&store).await;
        text_filters(&store).await;
        sharing_alerts(&store).await;
        counts(&store).await;
        actions(&store).await;
        indicators(&store).await;
        catalogue_and_consumers(&store).await;
    })
    .await;
}

async fn versions(store: &Store) {
    assert_eq!(store.put_device(&device(1, "ws-1")).await.unwrap(), 1);
    assert_eq!(store.put_device(&device(1, "ws-1")).await.unwrap(), 2);
    let read = store.device(id(1)).await.unwrap().unwrap();
    assert_eq!(read, Device { version: 2, ..device(1, "ws-1") });

    // two people edit the same state: the second one is told
    let first = Device { tags: vec!["mine".to_owned()], ..read.clone() };
    let second = Device { tags: vec!["yours".to_owned()], ..read };
    assert_eq!(store.update_device(&first, 2).await.unwrap().version, 3);
    match store.update_device(&second, 2).await {
        Err(StoreError::Conflict { what: "device", current: 3, .. }) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(store.device(id(1)).await.unwrap().unwrap().tags, ["mine"]);
    let missing = store.update_device(&device(9, "gone"), 1).await;
    assert!(matches!(missing, Err(StoreError::NotFound { what: "device", .. })));

    // of many that change the same version at once, exactly one wins
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (store, first) = (store.clone(), first.clone());
            tokio::spawn(async move { store.update_device(&first, 3).await.is_ok() })
        })
        .collect();
    let mut winners = 0;
    for task in tasks {
        winners += usize::from(task.await.unwrap());
    }
    assert_eq!(winners, 1);

    // read, change, put inside a transaction loses nothing
    let tasks: Vec<_> = (0..8)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut tx = store.begin().await.unwrap();
                let mut device = tx.device(id(1)).await.unwrap().unwrap();
                device.tags.push(format!("tag-{number}"));
                tx.put_device(&device).await.unwrap();
                tx.commit().await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(store.device(id(1)).await.unwrap().unwrap().tags.len(), 9);

    // a dropped transaction leaves nothing
    let mut tx = store.begin().await.unwrap();
    tx.put_device(&device(2, "never")).await.unwrap();
    assert!(tx.device(id(2)).await.unwrap().is_some());
    drop(tx);
    assert!(store.device(id(2)).await.unwrap().is_none());
}

async fn pages(store: &Store) {
    for number in 1..=25 {
        assert_eq!(store.next_number("incident").await.unwrap(), number as i64);
        store.put_incident(&incident(number)).await.unwrap();
    }
    for sort in [IncidentSort::LastActivity, IncidentSort::Severity, IncidentSort::Number] {
        let filter = IncidentFilter { sort, ..IncidentFilter::default() };
        let whole = store.incidents(&filter, &Page::first(200)).await.unwrap();
        assert_eq!((whole.items.len(), whole.total, whole.next), (25, 25, None));
        let mut walked = Vec::new();
        let mut page = Page::first(4);
        loop {
            let part = store.incidents(&filter, &page).await.unwrap();
            assert_eq!(part.total, 25);
            walked.extend(part.items);
            match part.next {
                Some(next) => page.after = Some(next),
                None => break,
            }
        }
        assert_eq!(walked, whole.items, "{sort:?}");
        assert!(walked.is_sorted_by_key(|incident| match sort {
            IncidentSort::LastActivity => std::cmp::Reverse((0, incident.last_activity)),
            IncidentSort::Severity => std::cmp::Reverse((incident.severity as i64, incident.last_activity)),
            IncidentSort::Number => std::cmp::Reverse((incident.number, at(0))),
        }));
    }
    // a cursor of another list, and rubbish
    let by_number = IncidentFilter { sort: IncidentSort::Number, ..IncidentFilter::default() };
    let cursor = store.incidents(&by_number, &Page::first(1)).await.unwrap().next;
    for bad in [cursor.unwrap().as_str(), "", "zz", "5b5d", "é"] {
        let page = Page { after: Some(bad.to_owned()), limit: 5 };
        let answer = store.incidents(&IncidentFilter::default(), &page).await;
        assert!(matches!(answer, Err(StoreError::BadCursor)), "{bad:?}");
    }
    assert_eq!(store.incident_by_number(7).await.unwrap().unwrap().id, id(7));
    let twice = Incident { id: id(999), ..incident(7) };
    assert!(matches!(store.put_incident(&twice).await, Err(StoreError::Duplicate { .. })));
}

async fn text_filters(store: &Store) {
    let found = |text: &str| {
        let filter = IncidentFilter { text: Some(text.to_owned()), ..IncidentFilter::default() };
        async move { store.incidents(&filter, &Page::first(200)).await.unwrap().total }
    };
    assert_eq!(found("INCIDENT 7").await, 1);
    assert_eq!(found("インシデント").await, 25);
    assert_eq!(found("100%_SURE").await, 25);
    assert_eq!(found("100%%sure").await, 0, "wildcards are text");
    assert_eq!(found("___").await, 0, "wildcards are text");
    assert_eq!(found("\\").await, 0);
    assert_eq!(found("' OR 1=1 --").await, 0);
    let filter = IncidentFilter {
        severity: vec![Severity::High],
        status: vec![IncidentStatus::Active, IncidentStatus::Resolved],
        since: Some(at(4)),
        ..IncidentFilter::default()
    };
    assert_eq!(store.incidents(&filter, &Page::first(3)).await.unwrap().total, 7);
}

async fn sharing_alerts(store: &Store) {
    let (file, device) = (EntityKey::file(&"ab".repeat(32)), EntityKey::device(id(1)));
    let long_url = EntityKey::url(&format!("https://evil.example/\0{}", "y".repeat(5000)));
    store.put_alert(&alert(101, 1), &[file.clone(), device.clone(), file.clone()]).await.unwrap();
    store.put_alert(&alert(102, 2), &[device.clone(), long_url.clone()]).await.unwrap();
    let wrong = Alert { classification: Classification::FalsePositive, ..alert(103, 3) };
    store.put_alert(&wrong, std::slice::from_ref(&device)).await.unwrap();
    store.put_incident(&Incident { status: IncidentStatus::Resolved, ..incident(4) }).await.unwrap();
    store.put_alert(&alert(104, 4), std::slice::from_ref(&device)).await.unwrap();

    let wanted = [device.clone(), file.clone(), long_url.clone(), EntityKey::ip("192.0.2.9")];
    let sharing = store.open_alerts_sharing(&wanted, None, at(0)).await.unwrap();
    assert_eq!(sharing.len(), 4);
    assert!(sharing.contains(&(file.clone(), id(101), id(1), at(101))));
    assert!(sharing.contains(&(long_url.clone(), id(102), id(2), at(102))));
    assert_eq!(store.open_alerts_sharing(&[file], None, at(102)).await.unwrap(), []);
    assert_eq!(store.open_alerts_sharing(&[], None, at(0)).await.unwrap(), []);

    let speaking = AlertFilter { entity: Some(long_url), ..AlertFilter::default() };
    assert_eq!(store.alerts(&speaking, &Page::default()).await.unwrap().items[0].id, id(102));
    let text = AlertFilter { text: Some("HANA".to_owned()), device: Some(id(1)), ..AlertFilter::default() };
    assert_eq!(store.alerts(&text, &Page::first(2)).await.unwrap().total, 4);
    assert_eq!(store.alerts_of_incident(id(1)).await.unwrap().len(), 1);

    store.set_alert_dedupe("rule/device", id(101), at(50)).await.unwrap();
    assert_eq!(store.alert_by_dedupe("rule/device", at(49)).await.unwrap(), Some(id(101)));
    assert_eq!(store.alert_by_dedupe("rule/device", at(50)).await.unwrap(), None);
    store.set_alert_dedupe("rule/device", id(102), at(90)).await.unwrap();
    assert_eq!(store.alert_by_dedupe("rule/device", at(50)).await.unwrap(), Some(id(102)));
}

async fn counts(store: &Store) {
    store.put_action(&action(201, 1, ActionState::PendingApproval)).await.unwrap();
    store.put_action(&action(202, 1, ActionState::Succeeded)).await.unwrap();
    store.put_investigation(&investigation(1, 1)).await.unwrap();
    let done = Investigation { state: InvestigationState::Benign, ..investigation(2, 1) };
    store.put_investigation(&done).await.unwrap();
    let mail = Alert { service_source: ServiceSource::Mail, status: AlertStatus::Resolved, ..alert(105, 1) };
    store.put_alert(&mail, &[]).await.unwrap();
    let counts = store.incident_counts(&[id(1), id(25)]).await.unwrap();
    assert_eq!(
        counts[&id(1)],
        IncidentCounts {
            alerts: 2,
            active_alerts: 1,
            pending_actions: 1,
            sources: vec![ServiceSource::Endpoint, ServiceSource::Mail],
            investigation_state: Some(InvestigationState::Benign),
        }
    );
    assert!(!counts.contains_key(&id(25)));
    let filter = InvestigationFilter { state: vec![InvestigationState::Running], ..Default::default() };
    assert_eq!(store.investigations(&filter, &Page::default()).await.unwrap().items[0].number, 1);
    let by_device = IncidentFilter { device: Some(id(1)), ..IncidentFilter::default() };
    assert_eq!(store.incidents(&by_device, &Page::default()).await.unwrap().total, 4);
}

async fn actions(store: &Store) {
    let ordered = action(210, 1, ActionState::Queued);
    store.insert_action(&ordered, Some("request-1")).await.unwrap();
    let again = store.insert_action(&action(211, 1, ActionState::Queued), Some("request-1")).await;
    assert!(matches!(again, Err(StoreError::Duplicate { .. })));
    assert_eq!(store.action_by_idempotency("request-1").await.unwrap().unwrap().id, id(210));
    store.put_action(&Action { comment: Some("yes".to_owned()), ..ordered.clone() }).await.unwrap();
    let kept = store.action_by_idempotency("request-1").await.unwrap().unwrap();
    assert_eq!((kept.version, kept.comment.as_deref()), (2, Some("yes")));
    assert_eq!(store.expired_actions(at(999)).await.unwrap(), []);
    let expired = store.expired_actions(at(1000)).await.unwrap();
    assert_eq!(expired.iter().map(|action| action.id).collect::<Vec<_>>(), [id(201), id(210)]);
    let filter = ActionFilter { kind: Some("collect_status".to_owned()), incident: Some(id(1)), ..Default::default() };
    assert_eq!(store.actions(&filter, &Page::first(1)).await.unwrap().total, 3);

    let turn = Turn { then: UnansweredThen::Escalate, at: at(500) };
    let approval = Approval { unanswered: Some(turn), notice_at: Some(at(400)), ..Approval::default() };
    let waits = Action { approval, ..action(212, 1, ActionState::PendingApproval) };
    store.put_action(&waits).await.unwrap();
    let ids = |actions: Vec<Action>| actions.into_iter().map(|action| action.id).collect::<Vec<_>>();
    assert_eq!(ids(store.due_actions(at(399)).await.unwrap()), []);
    assert_eq!(ids(store.due_actions(at(400)).await.unwrap()), [id(212)]);
    assert!(ids(store.pending_actions().await.unwrap()).contains(&id(212)));
    store.put_action(&Action { state: ActionState::Declined, ..waits }).await.unwrap();
    assert_eq!(ids(store.due_actions(at(999)).await.unwrap()), []);
    assert_eq!(ids(store.actions_between(at(210), at(212), 9).await.unwrap()), [id(210)]);
    assert_eq!(ids(store.actions_between(at(210), at(213), 1).await.unwrap()), [id(212)]);

    assert_eq!(store.automation().await.unwrap(), AutomationPolicy::default());
    let policy = AutomationPolicy { expiry_hours: 48, ..AutomationPolicy::default() };
    assert_eq!(store.put_automation(&policy, 0).await.unwrap().version, 1);
    let late = store.put_automation(&AutomationPolicy::default(), 0).await;
    assert!(matches!(late, Err(StoreError::Conflict { current: 1, .. })));
    assert_eq!(store.put_automation(&policy, 1).await.unwrap().version, 2);
    let read = store.automation().await.unwrap();
    assert_eq!((read.version, read.expiry_hours), (2, 48));
}

async fn indicators(store: &Store) {
    let hash = "cd".repeat(32);
    let block = indicator(301, IndicatorKind::FileSha256, &hash, Some(at(100)));
    store.add_indicator(&block, at(0)).await.unwrap();
    let same = indicator(302, IndicatorKind::FileSha256, &hash, None);
    assert!(matches!(store.add_indicator(&same, at(99)).await, Err(StoreError::Duplicate { .. })));
    assert_eq!(store.indicators_in_force(at(100)).await.unwrap(), []);
    store.add_indicator(&same, at(100)).await.unwrap();
    store.count_indicator_hit(id(302), at(120)).await.unwrap();
    store.count_indicator_hit(id(302), at(110)).await.unwrap();
    let read = store.indicator_of(IndicatorKind::FileSha256, &hash).await.unwrap().unwrap();
    assert_eq!((read.id, read.hits, read.last_hit, read.version), (id(302), 2, Some(at(120)), 1));
    assert_eq!(read.spec.note, "nul \0 here");
    let filter = IndicatorFilter { text: Some("CDCD".to_owned()), in_force_at: Some(at(0)), ..Default::default() };
    assert_eq!(store.indicators(&filter, &Page::default()).await.unwrap().total, 1);
    assert!(store.delete_indicator(id(302)).await.unwrap());
    assert!(!store.delete_indicator(id(302)).await.unwrap());
}

async fn catalogue_and_consumers(store: &Store) {
    let file = |path: &str| LakeFileRow {
        path: path.to_owned(),
        table: Table::EmailEvents,
        day: "2026-11-22".to_owned(),
        rows: 3,
        bytes: 999,
        first: at(0),
        last: at(9),
    };
    let mut tx = store.begin().await.unwrap();
    tx.replace_lake_files(&[], &[file("a"), file("b")]).await.unwrap();
    tx.set_offset("lake", 7).await.unwrap();
    tx.commit().await.unwrap();
    store.replace_lake_files(&["a".to_owned(), "b".to_owned()], &[file("c")]).await.unwrap();
    assert_eq!(store.lake_files().await.unwrap(), [file("c")]);
    // another compaction was quicker: all of it is refused
    let late = store.replace_lake_files(&["c".to_owned(), "b".to_owned()], &[file("d")]).await;
    assert!(matches!(late, Err(StoreError::NotFound { what: "lake file", .. })));
    assert_eq!(store.lake_files().await.unwrap(), [file("c")]);

    assert_eq!(store.offset("lake").await.unwrap(), 7);
    assert_eq!(store.offset("analyst").await.unwrap(), 0);
    assert!(matches!(store.set_offset("lake", 6).await, Err(StoreError::Conflict { current: 7, .. })));
    store.set_sensor_progress(id(1), u64::MAX, 40).await.unwrap();
    store.set_sensor_progress(id(1), u64::MAX, 30).await.unwrap();
    assert_eq!(store.sensor_progress(id(1), u64::MAX).await.unwrap(), 40);
    assert_eq!(store.all_sensor_progress().await.unwrap()[&(id(1), u64::MAX)], 40);
    assert_eq!(store.sensor_progress(id(1), 1).await.unwrap(), 0);
    assert_eq!(store.setting("automation_level").await.unwrap(), None);
    store.set_setting("automation_level", "full").await.unwrap();
    assert_eq!(store.setting("automation_level").await.unwrap().as_deref(), Some("full"));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_and_journal() {
    both(|store| async move {
        let hash = "ef".repeat(32);
        for recipient in ["aki@example.jp", "hana@example.jp"] {
            store.put_message(&message(1, recipient, &hash)).await.unwrap();
        }
        store.put_message(&message(2, "aki@example.jp", &"00".repeat(32))).await.unwrap();
        let by = |field: MailField, value: &str| {
            let (store, filter) = (store.clone(), MailFilter::default().with(field, value));
            async move { store.messages(&filter, &Page::default()).await.unwrap().total }
        };
        let url = message(1, "", "").urls.remove(0);
        assert_eq!(by(MailField::AttachmentSha256, &hash.to_uppercase()).await, 2);
        assert_eq!(by(MailField::Url, &url).await, 3);
        assert_eq!(by(MailField::Sender, "Billing@Evil.example").await, 3);
        assert_eq!(by(MailField::Sender, "bounce@evil.example").await, 3);
        assert_eq!(by(MailField::Recipient, "hana@example.jp").await, 1);
        assert_eq!(by(MailField::Text, "invoice").await, 3);
        assert_eq!(by(MailField::InternetMessageId, "2@evil.example").await, 1);
        let mut copy = store.message(id(1), "hana@example.jp").await.unwrap().unwrap();
        copy.latest_location = DeliveryLocation::Quarantine;
        assert_eq!(store.update_message(&copy, 1).await.unwrap().version, 2);
        assert_eq!(by(MailField::Location, "quarantine").await, 1);
        assert_eq!(store.message_copies(id(1)).await.unwrap().len(), 2);
        let long = message(3, &"a".repeat(2000), &hash);
        assert!(matches!(store.put_message(&long).await, Err(StoreError::Invalid { .. })));

        let copy = MessageCopyRef { message_id: id(1), recipient: "aki@example.jp".to_owned() };
        let unknown = MessageCopyRef { recipient: "x".to_owned(), ..copy.clone() };
        store.journal_intent(id(50), &copy, "{\"uid\":4}").await.unwrap();
        assert_eq!(store.journal_open(id(50)).await.unwrap()[0].intent, "{\"uid\":4}");
        assert_eq!(store.journal_open_actions().await.unwrap(), [id::<ActionId>(50)]);
        assert!(store.journal_result(id(50), &copy, "{}").await.unwrap());
        assert!(!store.journal_result(id(50), &unknown, "{}").await.unwrap());
        assert_eq!(store.journal_open(id(50)).await.unwrap(), []);
        assert_eq!(store.journal(id(50)).await.unwrap()[0].result.as_deref(), Some("{}"));
        store.journal_intent(id(51), &copy, "{}").await.unwrap();
        store.journal_intent(id(52), &unknown, "{}").await.unwrap();
        let began: [ActionId; 2] = [id(51), id(50)];
        assert_eq!(
            store.journal_of_copy(&copy).await.unwrap().iter().map(|row| row.action).collect::<Vec<_>>(),
            began,
            "newest first, of this copy only"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn late_copies_are_noticed_once_while_an_action_is_armed() {
    both(|store| async move {
        let copy = MessageCopyRef { message_id: id(7), recipient: "a@x.test".to_owned() };
        let armed = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert!(!store.armed_any(at(1)).await.unwrap());
        store.arm(id(60), &armed(&["one", "kept:two"]), at(100)).await.unwrap();
        store.arm(id(61), &armed(&["one"]), at(50)).await.unwrap();
        assert_eq!(store.armed_with(id(60)).await.unwrap(), ["kept:two", "one"]);
        assert_eq!(store.armed_for("one", at(10)).await.unwrap(), Some(id(61)), "the newest");
        assert_eq!(store.armed_for("one", at(60)).await.unwrap(), Some(id(60)), "as long as it is");
        assert_eq!(store.armed_for("two", at(10)).await.unwrap(), None);
        let late = |number| LateRow {
            id: id(number),
            action: id(60),
            copy: copy.clone(),
            cause: LateCause::Delivered,
            noticed_at: at(2),
            settled_at: None,
        };
        assert!(store.add_late(&late(70)).await.unwrap());
        assert!(!store.add_late(&late(71)).await.unwrap(), "it is open already");
        assert!(store.settle_late(id(70), at(3)).await.unwrap() && !store.settle_late(id(70), at(4)).await.unwrap());
        assert!(store.add_late(&late(72)).await.unwrap(), "it came again");
        let known: Vec<ActionId> = store.late_of_action(id(60)).await.unwrap().into_iter().map(|one| one.id).collect();
        assert_eq!(known, [id(70), id(72)]);
        store.disarm(id(60)).await.unwrap();
        assert_eq!(store.prune_armed(at(51)).await.unwrap(), 1);
        assert!(!store.armed_any(at(1)).await.unwrap());
    })
    .await;
}
