//! Alerts, the entities they share, and the keys under which repeated detections join one alert.

use crate::db::{
    Db, Document, Key, Listed, Listing, Page, document, list, put_document, read_document, update_document,
};
use crate::demos::within;
use crate::error::Result;
use crate::sql::{Arg, Cells, Filter, Sql, indexed, search_text};
use hinomi_model::{
    Alert, AlertId, AlertStatus, DemoId, DeviceId, EntityKey, IncidentId, ServiceSource, Severity, Timestamp,
};
use std::collections::{BTreeSet, HashMap};

/// Most rows of [`Store::open_alerts_sharing`](crate::Store::open_alerts_sharing).
const SHARING_MAX: i64 = 1000;
/// Most alerts returned for one incident.
const OF_INCIDENT_MAX: i64 = 10_000;
/// Entities per statement.
const CHUNK: usize = 100;

/// Which alerts to list; empty means all.
#[derive(Debug, Clone, Default)]
pub struct AlertFilter {
    /// One of these.
    pub status: Vec<AlertStatus>,
    /// One of these.
    pub severity: Vec<Severity>,
    /// Of this incident.
    pub incident: Option<IncidentId>,
    /// On this device.
    pub device: Option<DeviceId>,
    /// Of this rule.
    pub rule_id: Option<String>,
    /// Of this part of the product.
    pub service_source: Option<ServiceSource>,
    /// Owned by.
    pub assigned_to: Option<String>,
    /// Speaks about this entity.
    pub entity: Option<EntityKey>,
    /// Text in title, rule, device, user, mailboxes or evidence names.
    pub text: Option<String>,
    /// Last activity at or after.
    pub since: Option<Timestamp>,
    /// Last activity before.
    pub until: Option<Timestamp>,
    /// With or without those a tuning rule hides.
    pub hidden: Hidden,
}

/// What a list does with alerts a tuning rule hides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hidden {
    /// They are left out.
    #[default]
    Without,
    /// They alone are listed.
    Only,
}

reads! {
    /// Returns an alert.
    fn alert(id: AlertId) -> Option<Alert>;
    /// Lists alerts by last activity, newest first.
    fn alerts(filter: &AlertFilter, page: &Page) -> Listed<Alert>;
    /// Returns the alerts of an incident, oldest first.
    fn alerts_of_incident(incident: IncidentId) -> Vec<Alert>;
    /// Returns the alert that repeated detections with this key join at `now`.
    fn alert_by_dedupe(key: &str, now: Timestamp) -> Option<AlertId>;
    /// Returns alerts that speak about one of the entities and were active since `since`: shared
    /// entity, alert, its incident, its last activity; latest first. Left out are alerts judged a
    /// false positive, hidden ones and those of incidents that are resolved or merged into another. What is real
    /// and each demo are apart.
    fn open_alerts_sharing(entities: &[EntityKey], demo: Option<DemoId>, since: Timestamp)
        -> Vec<(EntityKey, AlertId, IncidentId, Timestamp)>;
}

writes! {
    /// Inserts or replaces an alert and adds the entities it can share; returns the version now stored.
    fn put_alert(alert: &Alert, entities: &[EntityKey]) -> i64;
    /// Replaces an alert at the expected version; returns it with its new version.
    fn update_alert(alert: &Alert, expected: i64) -> Alert;
    /// Lets detections with this key join the alert until then.
    fn set_alert_dedupe(key: &str, id: AlertId, until: Timestamp) -> ();
}

impl Document for Alert {
    const WHAT: &'static str = "alert";
    const TABLE: &'static str = "alerts";

    fn columns(&self) -> Vec<(&'static str, Arg)> {
        let search = [self.title.en.as_str(), &self.title.ja, &self.rule_id]
            .into_iter()
            .chain(self.device.iter().map(|device| device.name.as_str()))
            .chain(self.user.as_deref())
            .chain(self.mailboxes.iter().map(String::as_str))
            .chain(self.techniques.iter().map(String::as_str))
            .chain(self.evidence.iter().map(|evidence| evidence.name.as_str()));
        vec![
            ("id", Arg::id(self.id)),
            ("incident_id", Arg::id(self.incident_id)),
            ("severity", severity(self.severity)),
            ("status", Arg::word(self.status)),
            ("classification", Arg::word(self.classification)),
            ("service_source", Arg::word(self.service_source)),
            ("rule_id", self.rule_id.as_str().into()),
            ("device_id", Arg::id_or_null(self.device.as_ref().map(|device| device.id))),
            ("assigned_to", self.assigned_to.clone().into()),
            ("created_at", self.created_at.into()),
            ("last_activity", self.last_activity.into()),
            ("tuned", self.tuned.as_ref().map(|tuned| tuned.action.word()).unwrap_or_default().into()),
            ("search", search_text(search)),
        ]
    }

    fn set_version(&mut self, version: i64) {
        self.version = version;
    }
}

/// Severities are kept as numbers, so that lists can order by them.
pub(crate) fn severity(severity: Severity) -> Arg {
    Arg::from(severity as i64)
}

pub(crate) fn filter_severity(filter: &mut Filter, column: &'static str, wanted: &[Severity]) {
    if !wanted.is_empty() {
        filter.and(column).push(" IN ").args(wanted.iter().map(|value| severity(*value)));
    }
}

fn entity_column(entity: &EntityKey) -> String {
    indexed(&entity.to_string().replace('\0', "\u{fffd}"))
}

async fn alert(db: &mut Db<'_>, id: AlertId) -> Result<Option<Alert>> {
    document(db, vec![Arg::id(id)]).await
}

async fn put_alert(db: &mut Db<'_>, alert: &Alert, entities: &[EntityKey]) -> Result<i64> {
    let version = put_document(db, alert).await?;
    let columns: BTreeSet<String> = entities.iter().map(entity_column).collect();
    let columns: Vec<String> = columns.into_iter().collect();
    for chunk in columns.chunks(CHUNK) {
        let mut sql = Sql::new("INSERT INTO alert_entities (entity, alert_id) VALUES ");
        for (at, entity) in chunk.iter().enumerate() {
            sql.push(if at == 0 { "" } else { ", " }).args([Arg::from(entity), Arg::id(alert.id)]);
        }
        sql.push(" ON CONFLICT (entity, alert_id) DO NOTHING");
        sql.run(db).await?;
    }
    Ok(version)
}

async fn update_alert(db: &mut Db<'_>, alert: &Alert, expected: i64) -> Result<Alert> {
    update_document(db, alert, expected).await
}

async fn alerts(db: &mut Db<'_>, wanted: &AlertFilter, page: &Page) -> Result<Listed<Alert>> {
    const LISTING: Listing = Listing {
        select: "doc, version",
        from: "alerts",
        order: &[Key::Int("last_activity"), Key::Text("id")],
        descending: true,
    };
    let mut filter = Filter::new();
    filter_severity(&mut filter, "severity", &wanted.severity);
    filter
        .words("status", &wanted.status)
        .id("incident_id", wanted.incident)
        .id("device_id", wanted.device)
        .eq("rule_id", wanted.rule_id.as_deref())
        .eq("service_source", wanted.service_source.map(Arg::word))
        .eq("assigned_to", wanted.assigned_to.as_deref())
        .between("last_activity", wanted.since, wanted.until)
        .text("search", wanted.text.as_deref());
    filter.and(match wanted.hidden {
        Hidden::Without => "tuned <> 'hide'",
        Hidden::Only => "tuned = 'hide'",
    });
    if let Some(entity) = &wanted.entity {
        filter.and("id IN (SELECT alert_id FROM alert_entities WHERE entity = ").arg(entity_column(entity)).push(")");
    }
    list(db, &LISTING, &filter, page, read_document).await
}

async fn alerts_of_incident(db: &mut Db<'_>, incident: IncidentId) -> Result<Vec<Alert>> {
    let rows = Sql::new("SELECT doc, version FROM alerts WHERE incident_id = $1 ORDER BY created_at, id LIMIT $2")
        .bind(Arg::id(incident))
        .bind(OF_INCIDENT_MAX)
        .rows(db)
        .await?;
    rows.iter().map(read_document).collect()
}

async fn alert_by_dedupe(db: &mut Db<'_>, key: &str, now: Timestamp) -> Result<Option<AlertId>> {
    let row = Sql::new("SELECT alert_id FROM alert_dedupe WHERE dedupe_key = $1 AND until > $2")
        .bind(Arg::indexed(key))
        .bind(now)
        .row(db)
        .await?;
    row.map(|row| row.parsed("alert_id")).transpose()
}

async fn set_alert_dedupe(db: &mut Db<'_>, key: &str, id: AlertId, until: Timestamp) -> Result<()> {
    Sql::new(
        "INSERT INTO alert_dedupe (dedupe_key, alert_id, until) VALUES ($1, $2, $3) ON CONFLICT (dedupe_key) \
         DO UPDATE SET alert_id = excluded.alert_id, until = excluded.until",
    )
    .bind(Arg::indexed(key))
    .bind(Arg::id(id))
    .bind(until)
    .run(db)
    .await?;
    Ok(())
}

async fn open_alerts_sharing(
    db: &mut Db<'_>,
    entities: &[EntityKey],
    demo: Option<DemoId>,
    since: Timestamp,
) -> Result<Vec<(EntityKey, AlertId, IncidentId, Timestamp)>> {
    let by_column: HashMap<String, &EntityKey> =
        entities.iter().map(|entity| (entity_column(entity), entity)).collect();
    let mut columns: Vec<&String> = by_column.keys().collect();
    columns.sort();
    let mut found = Vec::new();
    for chunk in columns.chunks(CHUNK) {
        // the incident may be written later in the same transaction
        let mut filter = Filter::new();
        filter.and("a.classification <> 'falsePositive'");
        filter.and("a.tuned <> 'hide'");
        filter.and("coalesce(i.status, 'active') NOT IN ('resolved', 'redirected')");
        filter.between("a.last_activity", Some(since), None);
        within(&mut filter, "a.id", demo);
        filter.and("e.entity IN ").args(chunk.iter().copied());
        let mut sql = filter.select(
            "SELECT e.entity, a.id, a.incident_id, a.last_activity FROM alert_entities e \
             JOIN alerts a ON a.id = e.alert_id LEFT JOIN incidents i ON i.id = a.incident_id",
        );
        sql.push(" ORDER BY a.last_activity DESC, a.id DESC, e.entity LIMIT ").arg(SHARING_MAX);
        for row in sql.rows(db).await? {
            if let Some(entity) = by_column.get(&row.text("entity")?) {
                let hit = (row.parsed("id")?, row.parsed("incident_id")?, row.time("last_activity")?);
                found.push(((*entity).clone(), hit.0, hit.1, hit.2));
            }
        }
    }
    found.sort_by_key(|one| std::cmp::Reverse((one.3, one.1)));
    found.truncate(SHARING_MAX as usize);
    Ok(found)
}
