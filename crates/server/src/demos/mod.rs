//! Demos: scenarios played into this server through the normal ingest path, and removed without trace.
//!
//! Everything of a demo has an id of the demo's own range ([`DemoId`]). What is real and each demo are
//! kept apart by these ids wherever one thing leads to another: indicators, correlation, prevalence,
//! investigations and actions never cross. Actions of a demo end with the receipt that nothing was
//! done. So removing is deleting what has such an id, and changes nothing else.

mod built_in;
mod folder;
mod mail;
mod play;
mod remove;
mod script;

pub use built_in::{BUILT_IN, built_in};
pub use folder::read_folder;
pub use hinomi_cases::scenario::{Scenario, ScenarioFile};
pub use play::{DEMOS_MAX, DemoError, play};
pub use remove::remove;
pub(crate) use remove::run;

use crate::app::{ANALYST, Ctx};
use hinomi_model::{Demo, DemoId, DemoState, Incident};
use hinomi_store::{NewAudit, StoreError, Tx};

/// Demos being played or removed: one at a time.
#[derive(Debug, Default)]
pub struct Stage {
    turn: tokio::sync::Mutex<()>,
    wake: tokio::sync::Notify,
}

/// What a demo came to so far.
#[derive(Debug)]
pub struct Progress {
    /// All its events were analysed.
    pub analysed: bool,
    /// Investigations that have not ended.
    pub investigating: i64,
    /// Its incidents.
    pub incidents: Vec<Incident>,
}

/// Tells what a demo came to so far.
///
/// # Errors
/// When the store cannot be read.
pub async fn progress(ctx: &Ctx, demo: &Demo) -> Result<Progress, StoreError> {
    let analysed = demo.state != DemoState::Playing && ctx.store.offset(ANALYST).await? >= demo.through;
    // after the offset: what was analysed is counted
    let investigating = ctx.store.demo_investigations_running(demo.id).await?;
    Ok(Progress { analysed, investigating, incidents: ctx.store.demo_incidents(demo.id).await? })
}

/// True when events or actions may still come to something: always for what is real, for a demo while
/// it is there and not being removed.
pub(crate) async fn goes_on(tx: &mut Tx, demo: Option<DemoId>) -> Result<bool, StoreError> {
    let Some(id) = demo else { return Ok(true) };
    Ok(tx.demo(id).await?.is_some_and(|demo| demo.state != DemoState::Removing))
}

/// Writes an audit record. What the server does by itself within a demo is no act on anything real and
/// leaves no record, so that removing the demo leaves none either; what people do always does.
pub(crate) async fn audit(tx: &mut Tx, demo: Option<DemoId>, entry: &NewAudit) -> Result<(), StoreError> {
    let by_itself =
        entry.actor == "system" || ["investigation:", "automation:"].iter().any(|by| entry.actor.starts_with(by));
    if demo.is_none() || !by_itself {
        tx.audit(entry).await?;
    }
    Ok(())
}
