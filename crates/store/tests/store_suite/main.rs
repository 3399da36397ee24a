//! One suite for both databases: every check runs on SQLite and on PostgreSQL.

mod audit;
mod backup;
mod demos;
mod documents;
mod durability;
mod explorer;
mod fixtures;
mod habits;
mod jobs;
mod people;
mod pivot;

use hinomi_store::Store;
use std::future::Future;

/// Runs `check` on a fresh SQLite database and on a fresh PostgreSQL database.
async fn both<F, Fut>(check: F)
where
    F: Fn(Store) -> Fut,
    Fut: Future<Output = ()>,
{
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("state with space?.db").display());
    let sqlite = Store::open(&url).await.unwrap();
    check(sqlite.clone()).await;
    sqlite.close().await;

    let server = hinomi_testkit::postgres::Postgres::start().unwrap();
    let postgres = Store::open(&server.database("hinomi").unwrap()).await.unwrap();
    check(postgres.clone()).await;
    postgres.close().await;
}
