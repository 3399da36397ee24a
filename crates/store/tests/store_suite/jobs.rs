//! The job queue with workers that die.

use crate::both;
use crate::fixtures::at;
use hinomi_store::*;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

const JOBS: usize = 80;
const WORKERS: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn no_job_is_lost_or_done_twice() {
    both(|store| async move {
        let mut tx = store.begin().await.unwrap();
        for number in 0..JOBS {
            let job = |key: String| Job { kind: "count".to_owned(), key, payload: number.to_string(), run_at: at(0) };
            assert!(tx.enqueue(job(format!("job-{number}"))).await.unwrap());
            assert!(!tx.enqueue(job(format!("job-{number}"))).await.unwrap(), "same key");
        }
        tx.commit().await.unwrap();

        // one clock for all: who finds nothing to do moves it on, so leases of dead workers end
        let clock = Arc::new(AtomicI64::new(1));
        let late = Arc::new(Mutex::new(Vec::new()));
        let workers: Vec<_> =
            (0..WORKERS).map(|worker| tokio::spawn(work(store.clone(), worker, clock.clone(), late.clone()))).collect();
        for worker in workers {
            worker.await.unwrap();
        }

        // what a dead worker says afterwards is refused
        let late = std::mem::take(&mut *late.lock().unwrap());
        for (job, attempt) in late {
            let answer = store.finish(job, attempt, at(9999)).await;
            assert!(matches!(answer, Err(StoreError::LeaseOver { .. })), "{answer:?}");
            assert!(store.extend_lease(job, attempt, at(99999)).await.is_err());
            assert!(store.fail(job, attempt, "late", None).await.is_err());
        }
        // the effect of each job, written in the transaction that finished it
        assert_eq!(store.next_number("effects").await.unwrap(), JOBS as i64 + 1);
        let done = JobFilter { state: vec![JobState::Done], ..JobFilter::default() };
        let listed = store.jobs(&done, &Page::first(200)).await.unwrap();
        assert_eq!(listed.total, JOBS as i64);
        let mut payloads: HashMap<String, usize> = HashMap::new();
        for job in listed.items {
            *payloads.entry(job.payload).or_default() += 1;
        }
        assert!(payloads.values().all(|times| *times == 1));
        assert_eq!(store.prune_jobs(at(i64::from(i32::MAX))).await.unwrap(), JOBS as u64);
    })
    .await;
}

/// Takes jobs until none is left; dies with every seventh, fails every eleventh once.
async fn work(store: Store, worker: usize, clock: Arc<AtomicI64>, late: Arc<Mutex<Vec<(hinomi_model::JobId, i64)>>>) {
    loop {
        let now = at(clock.load(Ordering::Relaxed));
        let job = store.lease(&["count"], &format!("worker-{worker}"), now, 100).await.unwrap();
        let Some(job) = job else {
            let open = JobFilter { state: vec![JobState::Waiting, JobState::Leased], ..JobFilter::default() };
            if store.jobs(&open, &Page::first(1)).await.unwrap().total == 0 {
                return;
            }
            clock.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        let number: usize = job.payload.parse().unwrap();
        if number.is_multiple_of(7) && job.attempt == 1 {
            // dies without a word, in the middle of its transaction
            let mut tx = store.begin().await.unwrap();
            tx.next_number("effects").await.unwrap();
            drop(tx);
            late.lock().unwrap().push((job.id, job.attempt));
            continue;
        }
        if number.is_multiple_of(11) && job.attempt == 1 {
            // too late when the lease ended while we were slow: then somebody else has it
            match store.fail(job.id, job.attempt, "try again", Some(now)).await {
                Ok(()) | Err(StoreError::LeaseOver { .. }) => continue,
                Err(error) => panic!("{error}"),
            }
        }
        let mut tx = store.begin().await.unwrap();
        match tx.finish(job.id, job.attempt, now).await {
            Ok(()) => {
                tx.next_number("effects").await.unwrap();
                tx.commit().await.unwrap();
            }
            Err(StoreError::LeaseOver { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn jobs_given_up_stay_visible() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_sqlite(&folder.path().join("state.db")).await.unwrap();
    let job = Job { kind: "mail".to_owned(), key: "k".to_owned(), payload: "{}".to_owned(), run_at: at(10) };
    store.enqueue(job.clone()).await.unwrap();
    assert_eq!(store.lease(&[], "w", at(9), 60).await.unwrap(), None, "not before its time");
    assert_eq!(store.lease(&["other"], "w", at(10), 60).await.unwrap(), None);
    let leased = store.lease(&[], "w", at(10), 60).await.unwrap().unwrap();
    assert_eq!(store.lease(&[], "w", at(11), 60).await.unwrap(), None, "leased");
    store.fail(leased.id, leased.attempt, "try again", Some(at(20))).await.unwrap();
    assert_eq!(store.lease(&[], "w", at(19), 60).await.unwrap(), None, "not before the next try");
    let leased = store.lease(&[], "w", at(20), 60).await.unwrap().unwrap();
    assert_eq!((leased.attempt, leased.error.as_deref()), (2, Some("try again")));
    store.fail(leased.id, leased.attempt, "smtp refused", None).await.unwrap();
    let failed = JobFilter { state: vec![JobState::Failed], kind: Some("mail".to_owned()) };
    let listed = store.jobs(&failed, &Page::default()).await.unwrap();
    assert_eq!(listed.items[0].error.as_deref(), Some("smtp refused"));
    assert!(!store.enqueue(job).await.unwrap());
}
