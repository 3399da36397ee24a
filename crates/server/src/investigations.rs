//! stub
use hinomi_model::*; use crate::app::Ctx; use hinomi_store::StoreError;
/// x
pub async fn rerun(ctx: &Ctx, id: InvestigationId, _s: Option<String>, _by: &str) -> Result<Investigation, StoreError> { ctx.store.investigation(id).await?.ok_or(StoreError::NotFound{what:"a",id:String::new()}) }
/// x
pub async fn cancel(ctx: &Ctx, id: InvestigationId, _by: &str) -> Result<Investigation, StoreError> { ctx.store.investigation(id).await?.ok_or(StoreError::NotFound{what:"a",id:String::new()}) }
