//! Incidents.

use crate::alerts::{filter_severity, severity};
use crate::db::{
    Db, Document, Key, Listed, Listing, Page, document, document_by, list, put_document, read_document, update_document,
};
use crate::error::Result;
use crate::sql::{Arg, Cells, Filter, Sql, search_text};
use hinomi_model::{
    Classification, DeviceId, Incident, IncidentId, IncidentStatus, InvestigationState, ServiceSource, Severity,
    Timestamp,
};
use std::collections::HashMap;

/// Order of a list of incidents, highest or newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IncidentSort {
    /// Last event.
    #[default]
    LastActivity,
    /// Severity, then last event.
    Severity,
    /// Number.
    Number,
}

/// Which incidents to list; empty means all.
#[derive(Debug, Clone, Default)]
pub struct IncidentFilter {
    /// One of these.
    pub status: Vec<IncidentStatus>,
    /// One of these.
    pub severity: Vec<Severity>,
    /// One of these.
    pub classification: Vec<Classification>,
    /// Owned by; an empty text means nobody.
    pub assigned_to: Option<String>,
    /// Has an alert on this device.
    pub device: Option<DeviceId>,
    /// Text in title, number, devices, users, mailboxes, tags or techniques.
    pub text: Option<String>,
    /// Last activity at or after.
    pub since: Option<Timestamp>,
    /// Last activity before.
    pub until: Option<Timestamp>,
    /// Order.
    pub sort: IncidentSort,
    /// Lowest or oldest first instead.
    pub ascending: bool,
}

/// What the queue shows of an incident's parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IncidentCounts {
    /// Alerts.
    pub alerts: i64,
    /// Alerts not resolved.
    pub active_alerts: i64,
    /// Actions that wait for approval.
    pub pending_actions: i64,
    /// Parts of the product its alerts come from.
    pub sources: Vec<ServiceSource>,
    /// State of its newest investigation.
    pub investigation_state: Option<InvestigationState>,
}

reads! {
    /// Returns an incident.
    fn incident(id: IncidentId) -> Option<Incident>;
    /// Returns an incident by its number.
    fn incident_by_number(number: i64) -> Option<Incident>;
    /// Lists incidents.
    fn incidents(filter: &IncidentFilter, page: &Page) -> Listed<Incident>;
    /// Counts the parts of up to [`PAGE_LIMIT_MAX`](crate::PAGE_LIMIT_MAX) incidents.
    fn incident_counts(ids: &[IncidentId]) -> HashMap<IncidentId, IncidentCounts>;
}

writes! {
    /// Inserts or replaces an incident; returns the version now stored.
    fn put_incident(incident: &Incident) -> i64;
    /// Replaces an incident at the expected version; returns it with its new version.
    fn update_incident(incident: &Incident, expected: i64) -> Incident;
}

impl Document for Incident {
    const WHAT: &'static str = "incident";
    const TABLE: &'static str = "incidents";

    fn columns(&self) -> Vec<(&'static str, Arg)> {
        let number = format!("#{}", self.number);
        let search = [number.as_str(), &self.title.en, &self.title.ja]
            .into_iter()
            .chain(self.devices.iter().map(|device| device.name.as_str()))
            .chain(self.users.iter().map(String::as_str))
            .chain(self.tags.iter().map(String::as_str))
            .chain(self.techniques.iter().map(String::as_str))
            .chain(self.mailboxes.iter().map(String::as_str));
        vec![
            ("id", Arg::id(self.id)),
            ("number", self.number.into()),
            ("severity", severity(self.severity)),
            ("status", Arg::word(self.status)),
            ("classification", Arg::word(self.classification)),
            ("assigned_to", self.assigned_to.clone().into()),
            ("created_at", self.created_at.into()),
            ("last_activity", self.last_activity.into()),
            ("search", search_text(search)),
        ]
    }

    fn set_version(&mut self, version: i64) {
        self.version = version;
    }
}

async fn incident(db: &mut Db<'_>, id: IncidentId) -> Result<Option<Incident>> {
    document(db, vec![Arg::id(id)]).await
}

async fn incident_by_number(db: &mut Db<'_>, number: i64) -> Result<Option<Incident>> {
    document_by(db, "number", number).await
}

async fn put_incident(db: &mut Db<'_>, incident: &Incident) -> Result<i64> {
    put_document(db, incident).await
}

async fn update_incident(db: &mut Db<'_>, incident: &Incident, expected: i64) -> Result<Incident> {
    update_document(db, incident, expected).await
}

async fn incidents(db: &mut Db<'_>, wanted: &IncidentFilter, page: &Page) -> Result<Listed<Incident>> {
    let order: &'static [Key] = match wanted.sort {
        IncidentSort::LastActivity => &[Key::Int("last_activity"), Key::Text("id")],
        IncidentSort::Severity => &[Key::Int("severity"), Key::Int("last_activity"), Key::Text("id")],
        IncidentSort::Number => &[Key::Int("number")],
    };
    let listing = Listing { select: "doc, version", from: "incidents", order, descending: !wanted.ascending };
    let mut filter = Filter::new();
    filter_severity(&mut filter, "severity", &wanted.severity);
    filter
        .words("status", &wanted.status)
        .words("classification", &wanted.classification)
        .between("last_activity", wanted.since, wanted.until)
        .text("search", wanted.text.as_deref());
    match wanted.assigned_to.as_deref() {
        Some("") => {
            filter.and("assigned_to IS NULL");
        }
        owner => {
            filter.eq("assigned_to", owner);
        }
    }
    if let Some(device) = wanted.device {
        filter.and("id IN (SELECT incident_id FROM alerts WHERE device_id = ").arg(device.to_string()).push(")");
    }
    list(db, &listing, &filter, page, read_document).await
}

async fn incident_counts(db: &mut Db<'_>, ids: &[IncidentId]) -> Result<HashMap<IncidentId, IncidentCounts>> {
    let mut counts: HashMap<IncidentId, IncidentCounts> = HashMap::new();
    let ids = &ids[..ids.len().min(crate::PAGE_LIMIT_MAX as usize)];
    if ids.is_empty() {
        return Ok(counts);
    }
    let texts = || ids.iter().map(|id| Arg::id(*id));

    let mut sql = Sql::new(
        "SELECT incident_id, service_source, count(*) AS alerts, count(CASE WHEN status <> 'resolved' THEN 1 END) \
         AS active FROM alerts WHERE incident_id IN ",
    );
    sql.args(texts()).push(" GROUP BY incident_id, service_source ORDER BY incident_id, service_source");
    for row in sql.rows(db).await? {
        let entry = counts.entry(row.parsed("incident_id")?).or_default();
        entry.alerts += row.int("alerts")?;
        entry.active_alerts += row.int("active")?;
        entry.sources.push(row.parsed("service_source")?);
    }

    let mut sql = Sql::new(
        "SELECT incident_id, count(*) AS pending FROM actions WHERE state = 'pendingApproval' AND incident_id IN ",
    );
    sql.args(texts()).push(" GROUP BY incident_id");
    for row in sql.rows(db).await? {
        counts.entry(row.parsed("incident_id")?).or_default().pending_actions = row.int("pending")?;
    }

    let mut sql = Sql::new("SELECT incident_id, state FROM investigations WHERE incident_id IN ");
    sql.args(texts()).push(" ORDER BY started_at, number");
    for row in sql.rows(db).await? {
        counts.entry(row.parsed("incident_id")?).or_default().investigation_state = Some(row.parsed("state")?);
    }
    Ok(counts)
}
