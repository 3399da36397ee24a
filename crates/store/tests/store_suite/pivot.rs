//! Sightings.

use crate::both;
use crate::fixtures::*;
use hinomi_model::*;
use hinomi_store::*;

#[tokio::test(flavor = "multi_thread")]
async fn one_value_leads_to_every_device_and_mailbox() {
    both(|store| async move {
        let file = EntityKey::file(&"12".repeat(32));
        let long_url = EntityKey::url(&format!("https://evil.example/{}", "z".repeat(9000)));
        let device = |number| EntityKey::device(id(number));
        let copy = |number, to: &str| EntityKey::message_copy(id(number), to);

        // the same key three times in one batch, more rows than one statement takes
        let mut batch = vec![sighting(file.clone(), device(1), 5), sighting(file.clone(), device(1), 2)];
        batch.extend((1..=250).map(|number| sighting(file.clone(), device(number), 9)));
        batch.push(sighting(file.clone(), copy(1, "aki@example.jp"), 1));
        batch.push(sighting(file.clone(), copy(1, "hana@example.jp"), 1));
        batch.push(sighting(long_url.clone(), copy(1, "hana@example.jp"), 1));
        // ids are kept as bytes: whatever is no id in canonical text comes back as it was
        let odd = ["", "short", "not/an/id/but/longer/than/sixteen/bytes", "00000000-0000-7000-8000-00000000000G/x"];
        batch.extend(odd.map(|text| sighting(long_url.clone(), EntityKey::new(EntityKind::User, text), 3)));
        assert_eq!(store.upsert_sightings(&batch).await.unwrap(), 0);
        let later = [
            sighting(file.clone(), device(1), 1),
            sighting(file.clone(), copy(2, &"a".repeat(2000)), 1),
            sighting(file.clone(), EntityKey::new(EntityKind::Device, "00000000-0000-7000-8000-00000000000G"), 1),
        ];
        assert_eq!(store.upsert_sightings(&later).await.unwrap(), 2, "endless recipient, device without an id");

        let summary = store.sighting_summary(&file).await.unwrap();
        let expected = SightingSummary {
            first: Some(at(1)),
            last: Some(at(9)),
            count: 255,
            devices: 250,
            messages: 1,
            copies: 2,
            exact: true,
        };
        assert_eq!(summary, expected);
        assert_eq!(store.sighting_summary(&EntityKey::ip("192.0.2.1")).await.unwrap(), SightingSummary::default());

        let devices = store.sightings(&file, Some(EntityKind::Device), &Page::first(200)).await.unwrap();
        assert_eq!((devices.items.len(), devices.total), (200, 250));
        let first = &devices.items[0];
        assert_eq!((first.count, first.first_seen, first.last_seen), (4, at(1), at(9)));
        assert_eq!((&first.observable, &first.entity), (&file, &device(1)));
        let rest = Page { after: devices.next, limit: 200 };
        assert_eq!(store.sightings(&file, Some(EntityKind::Device), &rest).await.unwrap().items.len(), 50);
        let mailboxes = store.sightings(&file, Some(EntityKind::MessageCopy), &Page::default()).await.unwrap();
        assert_eq!(mailboxes.items[0].entity, copy(1, "aki@example.jp"));
        // the pointer is the event of the first sight, also when it arrived last
        assert_eq!(first.sample, sighting(file.clone(), device(1), 1).sample);
        let urls = store.sightings(&long_url, None, &Page::default()).await.unwrap();
        let names: Vec<&str> = urls.items.iter().map(|seen| seen.entity.value.as_str()).collect();
        let message = copy(1, "hana@example.jp").value;
        assert_eq!(names, [message.as_str(), "", odd[3], odd[2], odd[1]]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_is_merged_and_counted_within_limits() {
    both(|store| async move {
        let file = EntityKey::file(&"34".repeat(32));
        let on = |number: u64, seconds, stages| Sighting {
            stages,
            account: Some(format!("user{number}")),
            ..sighting(file.clone(), EntityKey::device(id(number)), seconds)
        };
        let saved = |seconds, by: &str| SightingStages {
            saved_at: Some(at(seconds)),
            saved_by: Some(by.to_owned()),
            ..SightingStages::default()
        };
        let ran = |seconds| SightingStages {
            executed_at: Some(at(seconds)),
            deleted_at: Some(at(seconds)),
            ..SightingStages::default()
        };
        // whichever order events arrive in, the first save, the first run and the last deletion stay
        for batch in [
            vec![on(1, 7, ran(7))],
            vec![on(1, 9, ran(9)), on(1, 5, saved(5, "tar"))],
            vec![on(1, 3, saved(3, "mutt"))],
        ] {
            assert_eq!(store.upsert_sightings(&batch).await.unwrap(), 0);
        }
        let seen = store.seen(&file, EntityKind::Device, 10).await.unwrap();
        let expected = SightingStages { executed_at: Some(at(7)), deleted_at: Some(at(9)), ..saved(3, "mutt") };
        assert_eq!((&seen.items[0].stages, seen.items[0].account.as_deref()), (&expected, Some("user1")));
        assert_eq!(
            (seen.entities, seen.exact, seen.first, seen.last, seen.times),
            (1, true, Some(at(3)), Some(at(9)), 4)
        );

        let many: Vec<Sighting> = (2..=SEEN_MAX as u64 + 5).map(|number| on(number, number as i64, ran(1))).collect();
        assert_eq!(store.upsert_sightings(&many).await.unwrap(), 0);
        let seen = store.seen(&file, EntityKind::Device, 3).await.unwrap();
        assert_eq!((seen.entities, seen.exact, seen.items.len()), (SEEN_MAX, false, 3), "counted so far and said so");
        assert_eq!(seen.items[0].entity, EntityKey::device(id(2)), "who saw it first");
        assert_eq!(
            store.seen(&EntityKey::ip("192.0.2.7"), EntityKind::Device, 3).await.unwrap(),
            Seen { exact: true, ..Seen::default() }
        );

        // counted and summed up to a limit, whatever the value's other entities are
        let copies = (1..=COUNTED_MAX as u64 + 3)
            .map(|number| sighting(file.clone(), EntityKey::message_copy(id(number), "aki@example.jp"), 2));
        assert_eq!(store.upsert_sightings(&copies.collect::<Vec<_>>()).await.unwrap(), 0);
        let summary = store.sighting_summary(&file).await.unwrap();
        assert_eq!((summary.devices, summary.copies, summary.messages), (SEEN_MAX + 5, COUNTED_MAX, COUNTED_MAX));
        assert!(!summary.exact);
        assert_eq!(store.sighting_summary_within(&file, None).await.unwrap(), summary);
        let page = Page::first(5);
        let listed = store.sightings(&file, Some(EntityKind::MessageCopy), &page).await.unwrap();
        assert_eq!((listed.items.len(), listed.total), (5, COUNTED_MAX));
        let told = EntityKey::url("https://evil.example/told");
        let message = EntityKey::message(id(1));
        store.upsert_sightings(&[sighting(told.clone(), message, 2)]).await.unwrap();
        let summary = store.sighting_summary(&told).await.unwrap();
        assert_eq!((summary.messages, summary.copies, summary.exact), (1, 0, true));

        let hashes =
            |sha256: &str, md5: &str| FileHashes { sha256: sha256.repeat(32), sha1: None, md5: Some(md5.repeat(16)) };
        let batch = [hashes("aa", "01"), hashes("bb", "01"), hashes("cc", "02")].into();
        store.add_file_hashes(&batch).await.unwrap();
        store.add_file_hashes(&batch).await.unwrap();
        let files = store.files_of_hash(&"01".repeat(16)).await.unwrap();
        assert_eq!(files, ["aa".repeat(32), "bb".repeat(32)], "two files made to have one MD5");
        assert!(store.files_of_hash("zz").await.unwrap().is_empty());
        store.put_device(&device(1, "PC-Tanaka")).await.unwrap();
        let names = store.device_names(&[id(1), id(2)].into()).await.unwrap();
        assert_eq!(names.into_values().collect::<Vec<_>>(), ["PC-Tanaka"]);
        assert_eq!(store.devices_named("pc-TANAKA").await.unwrap().len(), 1);
    })
    .await;
}
