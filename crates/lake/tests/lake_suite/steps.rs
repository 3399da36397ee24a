//! Append, flush, publish, compact, expire: nothing lost, nothing doubled, whatever step is the last.

use crate::common::*;
use hinomi_lake::*;
use hinomi_model::*;

#[tokio::test]
async fn every_table_comes_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path(), vec![]).await;
    let mut expected = Vec::new();
    for table in Table::ALL {
        expected.push(full(*table));
        expected.push(Event::new(*table, at(8)));
    }
    lake.append(1, expected.clone());
    let read = |lake: Lake| async move {
        let query = LakeQuery { tables: Table::ALL.to_vec(), newest_first: false, ..LakeQuery::of(Table::AlertInfo) };
        let mut events = lake.query(query).await.unwrap();
        events.sort_by_key(|event| (event.table, event.timestamp));
        events
    };
    assert_eq!(read(lake.clone()).await, expected, "from memory");
    let files = publish(&lake).await;
    assert_eq!(files.len(), Table::ALL.len());
    assert_eq!((files[0].rows, files[0].day.as_str()), (2, "2026-11-22"));
    assert_eq!((files[0].first, files[0].last), (at(7), at(8)));
    assert_eq!(read(lake).await, expected, "from files");
    // and after a restart
    assert_eq!(read(open(folder.path(), files).await).await, expected);
}

#[tokio::test]
async fn tail_and_files_never_overlap() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path(), vec![]).await;
    assert_eq!(lake.flush().await.unwrap(), None);
    lake.append(1, vec![process(2, 1, 1), process(1, 2, 2)]);
    lake.append(2, vec![process(1, 3, 3)]);
    let flush = lake.flush().await.unwrap().unwrap();
    assert_eq!((flush.through, flush.files.len(), flush.files[0].rows), (2, 1, 3));
    // events that come while files are written and committed
    lake.append(3, vec![process(1, 4, 4)]);
    assert_eq!(report_ids(&lake).await, [1, 2, 3, 4], "before the files count");
    lake.publish(flush);
    assert_eq!(report_ids(&lake).await, [1, 2, 3, 4], "after");
    assert_eq!(lake.tail_rows(), 1);
    // a batch without events still moves the position on
    lake.append(4, vec![]);
    assert_eq!(lake.flush().await.unwrap().unwrap().through, 4);
}

/// Small appends are joined in memory; what is being written is not joined with what comes after it.
#[tokio::test]
async fn many_small_appends_lose_and_double_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path(), vec![]).await;
    let mut writing = None;
    for number in 0..600_i64 {
        lake.append(number as u64 + 1, vec![process(number as u64 % 3, number, number)]);
        match number {
            150 | 400 => writing = lake.flush().await.unwrap(),
            // given up: the same rows are written again later
            250 => writing = None,
            450 => lake.publish(writing.take().unwrap()),
            _ => {}
        }
    }
    assert_eq!(lake.tail_rows(), 599 - 400);
    assert_eq!(report_ids(&lake).await, (0..600).collect::<Vec<_>>());
    let query = LakeQuery {
        device: Some(device(1)),
        from: at(100),
        to: at(500),
        newest_first: false,
        ..LakeQuery::of(Table::DeviceProcessEvents)
    };
    let found = lake.query(query).await.unwrap();
    let found: Vec<i64> = found.iter().map(|event| event.long("ReportId").unwrap()).collect();
    assert_eq!(found, (100..500).filter(|number| number % 3 == 1).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_crash_before_the_commit_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path(), vec![]).await;
    lake.append(1, vec![process(1, 1, 1)]);
    let known = publish(&lake).await;
    lake.append(2, vec![process(1, 2, 2), Event::new(Table::EmailEvents, at(86_400))]);
    let lost = lake.flush().await.unwrap().unwrap();
    assert_eq!(on_disk(folder.path()).len(), 3);
    drop(lake);
    let unfinished = folder.path().join(&known[0].path).with_extension("tmp");
    std::fs::write(unfinished, b"half").unwrap();
    let foreign = folder.path().join("EmailEvents/note.txt");
    std::fs::write(&foreign, b"not ours").unwrap();

    // the catalogue never heard of them; the log brings the events again
    let lake = open(folder.path(), known.clone()).await;
    assert_eq!(
        on_disk(folder.path()),
        ["DeviceProcessEvents/".to_owned() + &known[0].path[20..], "EmailEvents/note.txt".to_owned()]
    );
    assert!(lost.files.iter().all(|file| !folder.path().join(&file.path).exists()));
    lake.append(2, vec![process(1, 2, 2)]);
    assert_eq!(report_ids(&lake).await, [1, 2]);
}

#[tokio::test]
async fn compaction_keeps_every_row_sorted() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path(), vec![]).await;
    let mut catalogue = Vec::new();
    for round in 0..10 {
        let events = (0..50).map(|number| process((number % 5) as u64, round * 50 + number, 500 - number));
        lake.append(round as u64 + 1, events.collect());
        catalogue.extend(publish(&lake).await);
    }
    lake.append(99, vec![process(1, 10_000, 900)]);
    let mut before = report_ids(&lake).await;
    before.sort();

    let compaction = lake.compact().await.unwrap().unwrap();
    assert_eq!((compaction.removed.len(), compaction.added.len(), compaction.added[0].rows), (10, 1, 500));
    let mut between = report_ids(&lake).await;
    between.sort();
    assert_eq!(between, before, "the old files still count");
    lake.publish_compaction(compaction.clone());
    let mut after = report_ids(&lake).await;
    after.sort();
    assert_eq!(after, before);
    assert_eq!(on_disk(folder.path()), [compaction.added[0].path.clone()]);
    assert_eq!(lake.files(), compaction.added);
    assert_eq!(lake.compact().await.unwrap(), None);

    // a crash after the commit but before the old files went: they go at the next start
    drop(lake);
    let lake = open(folder.path(), compaction.added).await;
    assert_eq!(report_ids(&lake).await.len(), 500);
}

#[tokio::test]
async fn old_days_expire_and_wild_clocks_do_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path(), vec![]).await;
    let mut events = vec![process(1, 1, 0), process(1, 2, 86_400)];
    // clocks from the beginning to the end of time, on far more days than a flush makes files
    for (number, micros) in [i64::MIN, -1, 0, i64::MAX].into_iter().enumerate() {
        let mut event = process(1, 3 + number as i64, 0);
        event.timestamp = Timestamp::from_micros(micros);
        events.push(event);
    }
    events.extend((0..100).map(|number| process(1, 100 + number, number * 86_400)));
    let rows = events.len() as u64;
    lake.append(1, events);
    let files = publish(&lake).await;
    assert!(files.len() <= 32, "{}", files.len());
    assert_eq!(files.iter().map(|file| file.rows).sum::<u64>(), rows);
    assert_eq!(report_ids(&lake).await.len() as u64, rows - 1, "the end of time itself is beyond every query");

    let expired = lake.expired("2026-11-23");
    assert!(expired.iter().all(|path| path.split('/').nth(1).unwrap() < "2026-11-23") && !expired.is_empty());
    lake.remove(&expired).await;
    assert!(expired.iter().all(|path| !folder.path().join(path).exists()));
    assert!(report_ids(&lake).await.contains(&2));
    assert!(!report_ids(&lake).await.contains(&1));
}
