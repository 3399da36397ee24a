//! stub
use hinomi_model::*; use crate::app::Ctx;
/// x
pub struct Proposal<'a> { /** x */ pub spec: ActionSpec, /** x */ pub reason: Text, /** x */ pub by: &'a str, /** x */ pub incident: Option<IncidentId>, /** x */ pub investigation: Option<InvestigationId>, /** x */ pub idempotency_key: Option<String>, /** x */ pub approve_now: Option<(&'a str, Option<String>)> }
/// x
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
 /** x */ #[error("x")] NotFound { /** x */ what: &'static str, /** x */ id: String },
 /** x */ #[error("x")] WrongState { /** x */ what: &'static str, /** x */ state: String, /** x */ wanted: &'static str },
 /** x */ #[error("x")] Invalid { /** x */ field: &'static str, /** x */ reason: Text },
 /** x */ #[error("x")] Unavailable { /** x */ what: &'static str },
 /** x */ #[error("x")] Store(#[from] hinomi_store::StoreError) }
/// x
pub async fn propose(ctx: &Ctx, p: Proposal<'_>) -> Result<Action, ActionError> {
    let now = ctx.now();
    let a = Action { id: crate::ids::new(), spec: p.spec, state: ActionState::PendingApproval, reason: p.reason, proposed_by: p.by.to_owned(), decided_by: None, decided_at: None, comment: None, incident_id: p.incident, investigation_id: p.investigation, receipts: vec![], undone_by: None, undoes: None, created_at: now, finished_at: None, expires_at: now, version: 1 };
    ctx.store.insert_action(&a, p.idempotency_key.as_deref()).await?; Ok(a) }
async fn x(ctx: &Ctx, id: ActionId) -> Result<Action, ActionError> { ctx.store.action(id).await?.ok_or(ActionError::Store(hinomi_store::StoreError::NotFound{what:"a",id:String::new()})) }
/// x
pub async fn approve(ctx: &Ctx, id: ActionId, _by: &str, _c: Option<String>) -> Result<Action, ActionError> { x(ctx,id).await }
/// x
pub async fn decline(ctx: &Ctx, id: ActionId, _by: &str, _c: Option<String>) -> Result<Action, ActionError> { x(ctx,id).await }
/// x
pub async fn cancel(ctx: &Ctx, id: ActionId, _by: &str) -> Result<Action, ActionError> { x(ctx,id).await }
/// x
pub async fn undo(ctx: &Ctx, id: ActionId, _by: &str) -> Result<Action, ActionError> { x(ctx,id).await }
