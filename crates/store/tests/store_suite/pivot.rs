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
        let expected =
            SightingSummary { first: Some(at(1)), last: Some(at(9)), count: 255, devices: 250, messages: 1, copies: 2 };
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
