//! Automated investigations.

use crate::db::{
    Db, Document, Key, Listed, Listing, Page, document, document_by, list, put_document, read_document, update_document,
};
use crate::error::Result;
use crate::sql::{Arg, Filter, search_text};
use hinomi_model::{AlertId, DeviceId, IncidentId, Investigation, InvestigationId, InvestigationState};

/// Which investigations to list; empty means all.
#[derive(Debug, Clone, Default)]
pub struct InvestigationFilter {
    /// One of these.
    pub state: Vec<InvestigationState>,
    /// Of this incident.
    pub incident: Option<IncidentId>,
    /// Started by this alert.
    pub alert: Option<AlertId>,
    /// On this device.
    pub device: Option<DeviceId>,
    /// Text in number, title, playbook or device.
    pub text: Option<String>,
}

reads! {
    /// Returns an investigation.
    fn investigation(id: InvestigationId) -> Option<Investigation>;
    /// Returns an investigation by its number.
    fn investigation_by_number(number: i64) -> Option<Investigation>;
    /// Lists investigations, newest first.
    fn investigations(filter: &InvestigationFilter, page: &Page) -> Listed<Investigation>;
}

writes! {
    /// Inserts or replaces an investigation; returns the version now stored.
    fn put_investigation(investigation: &Investigation) -> i64;
    /// Replaces an investigation at the expected version; returns it with its new version.
    fn update_investigation(investigation: &Investigation, expected: i64) -> Investigation;
}

impl Document for Investigation {
    const WHAT: &'static str = "investigation";
    const TABLE: &'static str = "investigations";

    fn columns(&self) -> Vec<(&'static str, Arg)> {
        let number = format!("#{}", self.number);
        let search = [number.as_str(), &self.title.en, &self.title.ja, &self.playbook]
            .into_iter()
            .chain(self.device.iter().map(|device| device.name.as_str()));
        vec![
            ("id", Arg::id(self.id)),
            ("number", self.number.into()),
            ("state", Arg::word(self.state)),
            ("playbook", self.playbook.as_str().into()),
            ("alert_id", Arg::id(self.alert_id)),
            ("incident_id", Arg::id(self.incident_id)),
            ("device_id", Arg::id_or_null(self.device.as_ref().map(|device| device.id))),
            ("started_at", self.started_at.into()),
            ("search", search_text(search)),
        ]
    }

    fn set_version(&mut self, version: i64) {
        self.version = version;
    }
}

async fn investigation(db: &mut Db<'_>, id: InvestigationId) -> Result<Option<Investigation>> {
    document(db, vec![Arg::id(id)]).await
}

async fn investigation_by_number(db: &mut Db<'_>, number: i64) -> Result<Option<Investigation>> {
    document_by(db, "number", number).await
}

async fn put_investigation(db: &mut Db<'_>, investigation: &Investigation) -> Result<i64> {
    put_document(db, investigation).await
}

async fn update_investigation(db: &mut Db<'_>, investigation: &Investigation, expected: i64) -> Result<Investigation> {
    update_document(db, investigation, expected).await
}

async fn investigations(db: &mut Db<'_>, wanted: &InvestigationFilter, page: &Page) -> Result<Listed<Investigation>> {
    const LISTING: Listing = Listing {
        select: "doc, version",
        from: "investigations",
        order: &[Key::Int("started_at"), Key::Text("id")],
        descending: true,
    };
    let mut filter = Filter::new();
    filter
        .words("state", &wanted.state)
        .id("incident_id", wanted.incident)
        .id("alert_id", wanted.alert)
        .id("device_id", wanted.device)
        .text("search", wanted.text.as_deref());
    list(db, &LISTING, &filter, page, read_document).await
}
