//! The audit log: chained, and tampering shows.

use crate::fixtures::at;
use hinomi_store::*;
use sqlx::Connection;

fn entry(number: i64) -> NewAudit {
    NewAudit {
        at: at(number),
        actor: "aki".to_owned(),
        action: "action.approve".to_owned(),
        target: format!("incident/{number}"),
        detail: "{\"comment\":\"a\\u0000b\"}".to_owned(),
        address: "192.0.2.7".to_owned(),
        result: "ok".to_owned(),
    }
}

async fn tamper(url: &str, sql: &'static str) {
    let mut conn = sqlx::AnyConnection::connect(url).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
}

async fn check(store: &Store, url: &str) {
    assert_eq!(store.verify_audit().await.unwrap(), AuditCheck { count: 0, first_bad: None });
    // several writers at once: no gaps, no forks
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for number in 0..5 {
                    store.audit(&entry(writer * 5 + number)).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let nul = NewAudit { actor: "a\0b".to_owned(), ..entry(20) };
    assert_eq!(store.audit(&nul).await.unwrap().seq, 21);
    // a transaction taken back leaves no gap
    let mut tx = store.begin().await.unwrap();
    tx.audit(&entry(99)).await.unwrap();
    tx.rollback().await.unwrap();
    let good = AuditCheck { count: 21, first_bad: None };
    assert_eq!(store.verify_audit().await.unwrap(), good);
    let filter =
        AuditFilter { text: Some("INCIDENT/3".to_owned()), actor: Some("aki".to_owned()), ..Default::default() };
    assert_eq!(store.audit_records(&filter, &Page::default()).await.unwrap().total, 1);
    assert_eq!(store.audit_after(19, 10).await.unwrap().len(), 2);

    let bad = |count: i64| AuditCheck { count, first_bad: Some(count + 1) };
    for (change, back, first_good) in [
        ("UPDATE audit SET actor = 'eve' WHERE seq = 5", "UPDATE audit SET actor = 'aki' WHERE seq = 5", 4),
        ("UPDATE audit SET at = at + 1 WHERE seq = 1", "UPDATE audit SET at = at - 1 WHERE seq = 1", 0),
        // moving a character over a field border
        (
            "UPDATE audit SET actor = 'akia', action = 'ction.approve' WHERE seq = 7",
            "UPDATE audit SET actor = 'aki', action = 'action.approve' WHERE seq = 7",
            6,
        ),
        ("UPDATE audit SET seq = 100 WHERE seq = 10", "UPDATE audit SET seq = 10 WHERE seq = 100", 9),
        ("UPDATE audit SET seq = 100 WHERE seq = 21", "UPDATE audit SET seq = 21 WHERE seq = 100", 20),
    ] {
        tamper(url, change).await;
        assert_eq!(store.verify_audit().await.unwrap(), bad(first_good), "{change}");
        tamper(url, back).await;
        assert_eq!(store.verify_audit().await.unwrap(), good, "{back}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tampering_with_the_audit_log_shows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = Store::open_sqlite(&path).await.unwrap();
    check(&store, &format!("sqlite://{}", path.display())).await;

    let server = hinomi_testkit::postgres::Postgres::start().unwrap();
    let url = server.database("hinomi").unwrap();
    let store = Store::open_postgres(&url).await.unwrap();
    check(&store, &url).await;
    store.close().await;
}
