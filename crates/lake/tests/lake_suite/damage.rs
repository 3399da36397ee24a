//! Damaged and missing files: named, left out, and the rest still answers.

use crate::common::*;
use hinomi_lake::*;
use hinomi_model::*;
use std::path::Path;

async fn ask(lake: &Lake) -> (usize, Vec<String>) {
    let answer = lake.ask(LakeQuery::of(Table::DeviceProcessEvents)).await.unwrap();
    (answer.events.len(), answer.damaged.into_iter().map(|(path, _)| path).collect())
}

async fn ten_files(root: &Path) -> (Lake, Vec<LakeFile>) {
    let lake = open(root, vec![]).await;
    let mut files = Vec::new();
    for round in 0..10 {
        lake.append(round as u64 + 1, (0..20).map(|number| process(1, round * 20 + number, number)).collect());
        files.extend(publish(&lake).await);
    }
    (lake, files)
}

#[tokio::test]
async fn the_rest_still_answers() {
    let folder = tempfile::tempdir().unwrap();
    let (_, files) = ten_files(folder.path()).await;
    let path = |at: usize| folder.path().join(&files[at].path);

    // gone; cut; same size but other bytes at the end, in the middle and everywhere
    std::fs::remove_file(path(0)).unwrap();
    std::fs::write(path(1), &std::fs::read(path(1)).unwrap()[..100]).unwrap();
    let overwrite = |at: usize, range: fn(usize) -> std::ops::Range<usize>| {
        let mut bytes = std::fs::read(path(at)).unwrap();
        let range = range(bytes.len());
        bytes[range].fill(0xa5);
        std::fs::write(path(at), bytes).unwrap();
    };
    overwrite(2, |length| length - 60..length);
    overwrite(3, |length| 4..length / 4);
    overwrite(4, |length| 0..length);

    let lake = open(folder.path(), files.clone()).await;
    lake.append(99, vec![process(1, 999, 5)]);
    for _ in 0..2 {
        let (rows, damaged) = ask(&lake).await;
        assert_eq!((rows, damaged), (5 * 20 + 1, files[..5].iter().map(|file| file.path.clone()).collect()));
    }
    assert_eq!(lake.damaged().len(), 5);
    // a query that does not need them is whole
    let elsewhere = LakeQuery::of(Table::DeviceFileEvents);
    assert_eq!(lake.ask(elsewhere).await.unwrap(), Answer::default());

    // new files next to the damaged ones compact, the damaged ones stay for the repair
    for round in 10..14 {
        lake.append(100 + round as u64, vec![process(1, round * 20, 1)]);
        publish(&lake).await;
    }
    let compaction = lake.compact().await.unwrap().unwrap();
    assert!(compaction.removed.iter().all(|path| files[..5].iter().all(|file| file.path != *path)));
    lake.publish_compaction(compaction);
    assert_eq!(ask(&lake).await.0, 5 * 20 + 5);
}

#[tokio::test]
async fn compaction_finds_damage_nobody_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, files) = ten_files(folder.path()).await;
    let path = folder.path().join(&files[3].path);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 4;
    bytes[4..middle].fill(0xa5);
    std::fs::write(path, bytes).unwrap();
    let compaction = lake.compact().await.unwrap().unwrap();
    assert_eq!((compaction.removed.len(), compaction.added[0].rows), (9, 180));
    lake.publish_compaction(compaction);
    assert_eq!(ask(&lake).await, (180, vec![files[3].path.clone()]));
    assert!(on_disk(folder.path()).iter().all(|path| path.ends_with(".parquet")), "nothing unfinished stays");
}

#[tokio::test]
async fn a_query_finishes_while_its_files_are_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, _) = ten_files(folder.path()).await;
    let queries: Vec<_> = (0..8)
        .map(|_| {
            let lake = lake.clone();
            tokio::spawn(async move { ask(&lake).await })
        })
        .collect();
    let compaction = lake.compact().await.unwrap().unwrap();
    lake.publish_compaction(compaction);
    for query in queries {
        assert_eq!(query.await.unwrap(), (200, vec![]));
    }
    assert_eq!(on_disk(folder.path()).len(), 1);
}
