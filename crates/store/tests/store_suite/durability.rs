//! What was committed is there after `kill -9`.

use crate::fixtures::*;
use hinomi_model::{Device, DeviceId};
use hinomi_store::*;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// Set in the child process: the database it writes to until it is killed.
const CHILD: &str = "HINOMI_STORE_SUITE_CHILD";

/// Commits and reports devices for ever.
async fn write_for_ever(path: &str) {
    let store = Store::open_sqlite(path.as_ref()).await.unwrap();
    for number in 1_u64.. {
        let mut tx = store.begin().await.unwrap();
        tx.put_device(&Device { id: id(number), ..device(1, "ws") }).await.unwrap();
        tx.set_offset("analyst", number).await.unwrap();
        tx.commit().await.unwrap();
        println!("\ncommitted {number}");
    }
}

#[tokio::test]
async fn committed_work_survives_kill_9() {
    if let Ok(path) = std::env::var(CHILD) {
        return write_for_ever(&path).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    for round in 0..3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "durability::committed_work_survives_kill_9", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut reported = 0;
        let number = |line: &str| line.strip_prefix("committed ").and_then(|number| number.parse().ok());
        while reported < 40 + 20 * round {
            let line = lines.next().expect("the child writes until it is killed").unwrap();
            reported = number(&line).unwrap_or(reported);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // what it said until its last moment
        for line in lines.map_while(|line| line.ok()) {
            reported = number(&line).unwrap_or(reported);
        }

        let store = Store::open_sqlite(&path).await.unwrap();
        let offset = store.offset("analyst").await.unwrap();
        assert!(offset >= reported, "reported {reported}, found {offset}");
        for number in 1..=offset {
            assert!(store.device(id::<DeviceId>(number)).await.unwrap().is_some(), "{number} of {offset}");
        }
        assert!(store.device(id(offset + 1)).await.unwrap().is_none(), "all or nothing");
        store.close().await;
        std::fs::remove_file(&path).unwrap();
    }
}
