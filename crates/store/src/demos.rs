//! Demos, and taking everything of one out of every table.

use crate::db::{Db, Document, Key, Listed, Listing, Page, document, list, put_document, read_document};
use crate::error::Result;
use crate::sql::{Arg, Cells, Filter, Sql};
use hinomi_model::{Demo, DemoId, Incident, InvestigationState};

/// Tables and the column that begins with an id of the demo.
const OWNED: [(&str, &str); 14] = [
    ("devices", "id"),
    ("sensor_progress", "device_id"),
    ("commands", "device_id"),
    ("alerts", "id"),
    ("alert_entities", "alert_id"),
    ("alert_dedupe", "alert_id"),
    ("incidents", "id"),
    ("investigations", "id"),
    ("actions", "id"),
    ("mail_journal", "action_id"),
    ("indicators", "id"),
    ("weak_signs", "id"),
    ("notifications", "subject"),
    ("habits", "subject"),
];

/// Incidents of one demo returned.
const INCIDENTS_MAX: i64 = 100;

reads! {
    /// Returns a demo.
    fn demo(id: DemoId) -> Option<Demo>;
    /// Lists demos, newest first.
    fn demos(page: &Page) -> Listed<Demo>;
    /// Returns the demo's incidents, oldest first.
    fn demo_incidents(id: DemoId) -> Vec<Incident>;
    /// Counts the demo's investigations that have not ended.
    fn demo_investigations_running(id: DemoId) -> i64;
    /// Counts the demo's jobs a worker has just now.
    fn demo_jobs_leased(id: DemoId) -> i64;
}

writes! {
    /// Inserts or replaces a demo; returns the version now stored.
    fn put_demo(demo: &Demo) -> i64;
    /// Removes the demo's jobs nobody works on. Returns how many.
    fn delete_waiting_demo_jobs(id: DemoId) -> u64;
    /// Removes every row of a demo from every table but its sightings, which only its events name, and
    /// its own in `demos`. Returns how many.
    fn delete_demo_rows(id: DemoId) -> u64;
    /// Removes the demo's own row; false when there is none.
    fn delete_demo(id: DemoId) -> bool;
}

impl Document for Demo {
    const WHAT: &'static str = "demo";
    const TABLE: &'static str = "demos";

    fn columns(&self) -> Vec<(&'static str, Arg)> {
        vec![("id", Arg::id(self.id)), ("state", Arg::word(self.state))]
    }

    fn set_version(&mut self, version: i64) {
        self.version = version;
    }
}

/// Limits a list to what is real, or to one demo, by a column that begins with an id.
pub(crate) fn within(filter: &mut Filter, column: &'static str, demo: Option<DemoId>) {
    match demo {
        None => drop(filter.and("substr(").push(column).push(", 15, 4) <> ").arg(hinomi_model::DEMO_MARK)),
        Some(demo) => {
            let (from, to) = demo.range();
            filter.and(column).push(" >= ").arg(from).push(" AND ").push(column).push(" < ").arg(to);
        }
    }
}

async fn demo(db: &mut Db<'_>, id: DemoId) -> Result<Option<Demo>> {
    document(db, vec![Arg::id(id)]).await
}

async fn demos(db: &mut Db<'_>, page: &Page) -> Result<Listed<Demo>> {
    const LISTING: Listing =
        Listing { select: "doc, version", from: "demos", order: &[Key::Text("id")], descending: true };
    list(db, &LISTING, &Filter::new(), page, read_document).await
}

async fn demo_incidents(db: &mut Db<'_>, id: DemoId) -> Result<Vec<Incident>> {
    let mut filter = Filter::new();
    within(&mut filter, "id", Some(id));
    let mut sql = filter.select("SELECT doc, version FROM incidents");
    sql.push(" ORDER BY number LIMIT ").arg(INCIDENTS_MAX);
    sql.rows(db).await?.iter().map(read_document).collect()
}

async fn demo_investigations_running(db: &mut Db<'_>, id: DemoId) -> Result<i64> {
    let mut filter = Filter::new();
    within(&mut filter, "id", Some(id));
    filter.words("state", &[InvestigationState::Queued, InvestigationState::Running]);
    let row = filter.select("SELECT count(*) AS running FROM investigations").row(db).await?;
    row.map_or(Ok(0), |row| row.int("running"))
}

async fn put_demo(db: &mut Db<'_>, demo: &Demo) -> Result<i64> {
    put_document(db, demo).await
}

/// Jobs name what they work on in key and payload.
fn of_demo(sql: &mut Sql, id: DemoId) {
    let part = format!("%{}%", &id.to_string()[..18]);
    sql.push(" (job_key LIKE ").arg(part.as_str()).push(" OR payload LIKE ").arg(part.as_str()).push(")");
}

async fn demo_jobs_leased(db: &mut Db<'_>, id: DemoId) -> Result<i64> {
    let mut sql = Sql::new("SELECT count(*) AS leased FROM jobs WHERE state = 'leased' AND");
    of_demo(&mut sql, id);
    sql.row(db).await?.map_or(Ok(0), |row| row.int("leased"))
}

async fn delete_waiting_demo_jobs(db: &mut Db<'_>, id: DemoId) -> Result<u64> {
    let mut sql = Sql::new("DELETE FROM jobs WHERE state <> 'leased' AND");
    of_demo(&mut sql, id);
    sql.run(db).await
}

async fn delete_demo_rows(db: &mut Db<'_>, id: DemoId) -> Result<u64> {
    let (from, to) = id.range();
    let mut sql = Sql::new("DELETE FROM jobs WHERE");
    of_demo(&mut sql, id);
    let mut deleted = sql.run(db).await?;
    deleted += crate::messages::delete_between(db, &from, &to).await?;
    for (table, column) in OWNED {
        let mut sql = Sql::new("DELETE FROM ");
        sql.push(table).push(" WHERE ").push(column).push(" >= ").arg(from.as_str());
        sql.push(" AND ").push(column).push(" < ").arg(to.as_str());
        deleted += sql.run(db).await?;
    }
    Ok(deleted)
}

async fn delete_demo(db: &mut Db<'_>, id: DemoId) -> Result<bool> {
    Ok(Sql::new("DELETE FROM demos WHERE id = $1").bind(Arg::id(id)).run(db).await? > 0)
}
