//! Actions.

use crate::db::{
    Db, Document, Key, Listed, Listing, Page, document, document_by, insert_document, list, put_document,
    read_document, update_document,
};
use crate::error::{Result, StoreError};
use crate::sql::{Arg, Cells, Filter, Sql, search_text};
use hinomi_model::{Action, ActionId, ActionState, IncidentId, InvestigationId, Timestamp};

/// Most actions returned as expired or due at once.
const EXPIRED_MAX: i64 = 500;
/// Most pending actions returned at once.
const PENDING_MAX: i64 = 5_000;

/// Which actions to list; empty means all.
#[derive(Debug, Clone, Default)]
pub struct ActionFilter {
    /// One of these.
    pub state: Vec<ActionState>,
    /// Of this kind (`soft_delete_messages`).
    pub kind: Option<String>,
    /// Of this incident.
    pub incident: Option<IncidentId>,
    /// Of this investigation.
    pub investigation: Option<InvestigationId>,
    /// Text in kind, reason or who proposed it.
    pub text: Option<String>,
}

reads! {
    /// Returns an action.
    fn action(id: ActionId) -> Option<Action>;
    /// Returns the state of an action.
    fn action_state(id: ActionId) -> Option<ActionState>;
    /// Returns the action made with this idempotency key.
    fn action_by_idempotency(key: &str) -> Option<Action>;
    /// Lists actions, newest first.
    fn actions(filter: &ActionFilter, page: &Page) -> Listed<Action>;
    /// Returns actions that wait for approval or a device and whose time is over.
    fn expired_actions(now: Timestamp) -> Vec<Action>;
    /// Returns pending actions the automation policy has to look at, at most 500.
    fn due_actions(now: Timestamp) -> Vec<Action>;
    /// Returns pending actions, oldest first, at most 5,000.
    fn pending_actions() -> Vec<Action>;
    /// Returns the actions of a time, newest first, at most `limit`; a demo's are left out.
    fn actions_between(from: Timestamp, until: Timestamp, limit: i64) -> Vec<Action>;
}

writes! {
    /// Inserts an action, with the key under which the same request finds it again.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`](crate::StoreError::Duplicate) when the id or the key exists.
    fn insert_action(action: &Action, idempotency_key: Option<&str>) -> ();
    /// Inserts or replaces an action, its idempotency key untouched; returns the version now stored.
    fn put_action(action: &Action) -> i64;
    /// Replaces an action at the expected version; returns it with its new version.
    fn update_action(action: &Action, expected: i64) -> Action;
}

impl Document for Action {
    const WHAT: &'static str = "action";
    const TABLE: &'static str = "actions";

    fn columns(&self) -> Vec<(&'static str, Arg)> {
        let search = [self.spec.kind(), &self.reason.en, &self.reason.ja, &self.proposed_by];
        vec![
            ("id", Arg::id(self.id)),
            ("kind", self.spec.kind().into()),
            ("state", Arg::word(self.state)),
            ("incident_id", Arg::id_or_null(self.incident_id)),
            ("investigation_id", Arg::id_or_null(self.investigation_id)),
            ("created_at", self.created_at.into()),
            ("expires_at", self.expires_at.into()),
            ("due_at", self.approval.due_at().filter(|_| self.state == ActionState::PendingApproval).into()),
            ("search", search_text(search)),
        ]
    }

    fn set_version(&mut self, version: i64) {
        self.version = version;
    }
}

async fn action(db: &mut Db<'_>, id: ActionId) -> Result<Option<Action>> {
    document(db, vec![Arg::id(id)]).await
}

async fn action_state(db: &mut Db<'_>, id: ActionId) -> Result<Option<ActionState>> {
    let sql = Sql::new("SELECT state FROM actions WHERE id = $1").bind(Arg::id(id));
    let Some(row) = sql.row(db).await? else { return Ok(None) };
    row.text("state")?.parse().map(Some).map_err(|error| StoreError::damaged("state", error))
}

async fn action_by_idempotency(db: &mut Db<'_>, key: &str) -> Result<Option<Action>> {
    document_by(db, "idempotency_key", Arg::indexed(key)).await
}

async fn insert_action(db: &mut Db<'_>, action: &Action, idempotency_key: Option<&str>) -> Result<()> {
    insert_document(db, action, &[("idempotency_key", idempotency_key.map(crate::sql::indexed).into())]).await
}

async fn put_action(db: &mut Db<'_>, action: &Action) -> Result<i64> {
    put_document(db, action).await
}

async fn update_action(db: &mut Db<'_>, action: &Action, expected: i64) -> Result<Action> {
    update_document(db, action, expected).await
}

async fn actions(db: &mut Db<'_>, wanted: &ActionFilter, page: &Page) -> Result<Listed<Action>> {
    const LISTING: Listing = Listing {
        select: "doc, version",
        from: "actions",
        order: &[Key::Int("created_at"), Key::Text("id")],
        descending: true,
    };
    let mut filter = Filter::new();
    filter
        .words("state", &wanted.state)
        .eq("kind", wanted.kind.as_deref())
        .id("incident_id", wanted.incident)
        .id("investigation_id", wanted.investigation)
        .text("search", wanted.text.as_deref());
    list(db, &LISTING, &filter, page, read_document).await
}

async fn expired_actions(db: &mut Db<'_>, now: Timestamp) -> Result<Vec<Action>> {
    let rows = Sql::new(
        "SELECT doc, version FROM actions WHERE state IN ('pendingApproval', 'queued') AND expires_at <= $1 \
         ORDER BY created_at, id LIMIT $2",
    )
    .bind(now)
    .bind(EXPIRED_MAX)
    .rows(db)
    .await?;
    rows.iter().map(read_document).collect()
}

async fn due_actions(db: &mut Db<'_>, now: Timestamp) -> Result<Vec<Action>> {
    let rows = Sql::new(
        "SELECT doc, version FROM actions WHERE due_at <= $1 AND state = 'pendingApproval' \
         ORDER BY created_at, id LIMIT $2",
    );
    rows.bind(now).bind(EXPIRED_MAX).rows(db).await?.iter().map(read_document).collect()
}

async fn pending_actions(db: &mut Db<'_>) -> Result<Vec<Action>> {
    let rows =
        Sql::new("SELECT doc, version FROM actions WHERE state = 'pendingApproval' ORDER BY created_at, id LIMIT $1");
    rows.bind(PENDING_MAX).rows(db).await?.iter().map(read_document).collect()
}

async fn actions_between(db: &mut Db<'_>, from: Timestamp, until: Timestamp, limit: i64) -> Result<Vec<Action>> {
    let mut sql = Sql::new("SELECT doc, version FROM actions WHERE created_at >= ");
    sql.arg(from).push(" AND created_at < ").arg(until);
    sql.push(" ORDER BY created_at DESC, id DESC LIMIT ").arg(limit);
    let actions: Vec<Action> = sql.rows(db).await?.iter().map(read_document).collect::<Result<_>>()?;
    Ok(actions.into_iter().filter(|action| action.id.demo().is_none()).collect())
}
