//! Demos: told apart by their ids, removed without touching anything else.

use crate::both;
use crate::fixtures::*;
use hinomi_model::*;
use hinomi_store::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_is_apart_and_goes_alone() {
    both(|store| async move {
        let demo = DemoId::at(at(1_790_000_000));
        let other = DemoId::at(at(1_790_000_001));
        let file = EntityKey::file(&"12".repeat(32));
        let sides = [None, Some(demo), Some(other)];
        let own = |side: Option<DemoId>, number: u64| {
            let real: DeviceId = id(number);
            side.map_or(real.0, |demo| demo.adopt(real.0))
        };
        for (step, side) in (0_u64..).zip(sides) {
            let device = Device { id: own(side, 1).into(), ..device(1, "pc") };
            store.put_device(&device).await.unwrap();
            let incident = Incident { id: own(side, 2).into(), number: 7 + step as i64, ..incident(2) };
            store.put_incident(&incident).await.unwrap();
            let alert = Alert { id: own(side, 3).into(), incident_id: incident.id, ..alert(3, 2) };
            store.put_alert(&alert, std::slice::from_ref(&file)).await.unwrap();
            store.set_alert_dedupe(&format!("key {step}"), alert.id, at(9_000)).await.unwrap();
            let copy = MessageCopy { message_id: own(side, 4).into(), ..message(4, "a@example.jp", &"12".repeat(32)) };
            store.put_message(&copy).await.unwrap();
            let seen = [
                sighting(file.clone(), EntityKey::device(device.id), 5),
                sighting(file.clone(), EntityKey::message_copy(copy.message_id, "a@example.jp"), 6),
            ];
            store.upsert_sightings(&seen).await.unwrap();
            let job = Job {
                kind: "notify".into(),
                key: format!("{}/high", incident.id),
                payload: "{}".into(),
                run_at: at(0),
            };
            assert!(store.enqueue(job).await.unwrap());
        }
        for side in sides {
            let summary = store.sighting_summary_within(&file, side).await.unwrap();
            assert_eq!((summary.devices, summary.copies, summary.count), (1, 1, 2), "{side:?}");
            let seen = store.sightings_within(&file, side, None, &Page::default()).await.unwrap();
            assert_eq!(seen.total, 2);
            let sharing = store.open_alerts_sharing(std::slice::from_ref(&file), side, at(0)).await.unwrap();
            assert_eq!(sharing.iter().map(|hit| hit.1.demo()).collect::<Vec<_>>(), [side]);
        }
        assert_eq!(store.sighting_summary(&file).await.unwrap().count, 6);
        assert_eq!(store.demo_incidents(demo).await.unwrap().len(), 1);
        assert_eq!(
            (store.demo_jobs_leased(demo).await.unwrap(), store.delete_waiting_demo_jobs(demo).await.unwrap()),
            (0, 1)
        );

        let seen = store.sightings_within(&file, Some(demo), None, &Page::default()).await.unwrap().items;
        assert_eq!(store.delete_sightings(&seen).await.unwrap(), 2);
        assert!(store.delete_demo_rows(demo).await.unwrap() >= 6);
        assert_eq!(store.delete_demo_rows(demo).await.unwrap(), 0, "again changes nothing");
        for side in [None, Some(other)] {
            assert!(store.device(own(side, 1).into()).await.unwrap().is_some());
            assert!(store.alert(own(side, 3).into()).await.unwrap().is_some());
            assert_eq!(store.message_copies(own(side, 4).into()).await.unwrap().len(), 1);
            assert_eq!(store.sighting_summary_within(&file, side).await.unwrap().count, 2);
        }
        assert!(store.device(own(Some(demo), 1).into()).await.unwrap().is_none());
        assert!(store.incident(own(Some(demo), 2).into()).await.unwrap().is_none());
        assert_eq!(store.alert_by_dedupe("key 1", at(1)).await.unwrap(), None);
        assert_eq!(store.sighting_summary_within(&file, Some(demo)).await.unwrap(), SightingSummary::default());
        let jobs = store.jobs(&JobFilter::default(), &Page::default()).await.unwrap();
        assert_eq!(jobs.total, 2);
    })
    .await;
}
