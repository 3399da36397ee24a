//! Backups and moves between databases, and opening databases that exist.

use crate::fixtures::*;
use hinomi_model::*;
use hinomi_store::*;
use std::collections::BTreeMap;
use std::path::Path;

async fn fill(store: &Store) {
    let mut tx = store.begin().await.unwrap();
    tx.put_device(&device(1, "ws-1")).await.unwrap();
    for number in 1..=3 {
        tx.put_incident(&incident(number)).await.unwrap();
        tx.put_alert(&alert(100 + number, number), &[EntityKey::device(id(1))]).await.unwrap();
    }
    tx.put_message(&message(1, "aki@example.jp", &"ab".repeat(32))).await.unwrap();
    tx.add_indicator(&indicator(1, IndicatorKind::Domain, "evil.example", None), at(0)).await.unwrap();
    tx.upsert_sightings(&[
        sighting(EntityKey::file(&"ab".repeat(32)), EntityKey::device(id(1)), 3),
        sighting(EntityKey::domain("evil.example"), EntityKey::device(id(1)), 3),
    ])
    .await
    .unwrap();
    tx.set_offset("lake", 12).await.unwrap();
    tx.next_number("incident").await.unwrap();
    for number in 1..=3 {
        let new = NewAudit {
            at: at(number),
            actor: "aki".to_owned(),
            action: "test".to_owned(),
            target: String::new(),
            detail: String::new(),
            address: String::new(),
            result: "ok".to_owned(),
        };
        tx.audit(&new).await.unwrap();
    }
    tx.commit().await.unwrap();
}

/// The content of a store, table by table.
async fn content(store: &Store) -> BTreeMap<String, String> {
    let folder = tempfile::tempdir().unwrap();
    store.export_tables(folder.path()).await.unwrap();
    let files = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    files
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(&path).unwrap()))
        .collect()
}

async fn backup(store: &Store) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let facts = store.backup_to(folder.path()).await.unwrap();
    assert_eq!(facts.offsets["lake"], 12);
    assert_eq!(facts.lake_files, []);
    assert!(std::fs::read_dir(folder.path()).unwrap().all(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        name == SQLITE_FILE || name.ends_with(".jsonl")
    }));
    folder
}

async fn restored(store: Store, from: &Path, expected: &BTreeMap<String, String>) {
    store.restore_from(from).await.unwrap();
    assert_eq!(&content(&store).await, expected);
    assert_eq!(store.verify_audit().await.unwrap(), AuditCheck { count: 3, first_bad: None });
    // work goes on where it ended
    assert_eq!(store.next_number("incident").await.unwrap(), 2);
    store.put_incident(&incident(4)).await.unwrap();
    // and what is there is never overwritten
    assert!(matches!(store.restore_from(from).await, Err(StoreError::Backup(_))));
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_restore_into_either_database() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = |name: &str| folder.path().join(name);
    let server = hinomi_testkit::postgres::Postgres::start().unwrap();
    let postgres = |name: &str| server.database(name).unwrap();

    let embedded = Store::open_sqlite(&sqlite("a.db")).await.unwrap();
    let served = Store::open_postgres(&postgres("a")).await.unwrap();
    fill(&embedded).await;
    fill(&served).await;
    let expected = content(&embedded).await;
    assert_eq!(expected["sightings.jsonl"].lines().count(), 2);
    assert_eq!(content(&served).await, expected, "both databases hold the same after the same work");

    let from_sqlite = backup(&embedded).await;
    let from_postgres = backup(&served).await;
    assert!(matches!(embedded.backup_to(from_sqlite.path()).await, Err(StoreError::Backup(_))));
    served.close().await;
    restored(Store::open_sqlite(&sqlite("b.db")).await.unwrap(), from_sqlite.path(), &expected).await;
    restored(Store::open_sqlite(&sqlite("c.db")).await.unwrap(), from_postgres.path(), &expected).await;
    restored(Store::open_postgres(&postgres("b")).await.unwrap(), from_sqlite.path(), &expected).await;
    restored(Store::open_postgres(&postgres("c")).await.unwrap(), from_postgres.path(), &expected).await;

    // a damaged backup is refused whole
    std::fs::write(from_postgres.path().join("alerts.jsonl"), "{\"id\": tr\n").unwrap();
    let empty = Store::open_sqlite(&sqlite("d.db")).await.unwrap();
    let error = empty.restore_from(from_postgres.path()).await.unwrap_err();
    assert!(error.to_string().contains("alerts.jsonl line 1"), "{error}");
    assert_eq!(empty.devices(&DeviceFilter::default(), &Page::default()).await.unwrap().total, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_open_again_but_not_foreign_ones() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let server = hinomi_testkit::postgres::Postgres::start().unwrap();
    let url = server.database("hinomi").unwrap();
    for round in 0..2 {
        for store in [Store::open_sqlite(&path).await.unwrap(), Store::open_postgres(&url).await.unwrap()] {
            if round == 0 {
                fill(&store).await;
            }
            assert_eq!(store.incident_by_number(2).await.unwrap().unwrap().id, id(2));
            store.close().await;
        }
    }
    // two servers that start at once do not trip over each other
    let fresh = server.database("fresh").unwrap();
    let (one, other) = tokio::join!(Store::open_postgres(&fresh), Store::open_postgres(&fresh));
    one.unwrap().close().await;
    other.unwrap().close().await;

    for change in [
        "UPDATE schema_migrations SET sha256 = 'x'",
        "INSERT INTO schema_migrations (version, name, sha256) VALUES (99990101, 'later', 'y')",
    ] {
        use sqlx::Connection;
        let copy = folder.path().join("copy.db");
        std::fs::copy(&path, &copy).unwrap();
        let mut conn = sqlx::AnyConnection::connect(&format!("sqlite://{}", copy.display())).await.unwrap();
        sqlx::raw_sql(change).execute(&mut conn).await.unwrap();
        conn.close().await.unwrap();
        assert!(matches!(Store::open_sqlite(&copy).await, Err(StoreError::Schema(_))), "{change}");
    }
}
