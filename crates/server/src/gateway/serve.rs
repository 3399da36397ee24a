//! Wires the judge to the running server.

use super::{Gateway, GatewayOptions};
use crate::app::Ctx;
use crate::config::OnFailure;
use crate::mailboxes::{FileVault, VAULT_DIR};
use anyhow::{Context, Result};
use hinomi_mail::milter;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// Part of the deadline authentication may take; the rest is for parsing and writing.
const AUTHENTICATION_SHARE: u32 = 3;

/// Serves the milter until the server stops.
///
/// # Errors
/// When the vault cannot be opened or the listener is of no use.
pub async fn serve(ctx: Ctx, listener: TcpListener) -> Result<()> {
    let config = &ctx.config.gateway;
    let deadline = Duration::from_millis(config.deadline_ms);
    let limits = milter::Limits {
        message_bytes_max: usize::try_from(config.message_bytes_max).unwrap_or(usize::MAX),
        judge_deadline: deadline,
        on_failure: match config.on_failure {
            OnFailure::Deliver => milter::OnFailure::Deliver,
            OnFailure::Tempfail => milter::OnFailure::TempFail,
        },
        ..milter::Limits::default()
    };
    let context = ctx.clone();
    let options = GatewayOptions {
        own_domains: config.own_domains.iter().map(|domain| domain.to_lowercase()).collect(),
        on_block: config.on_block,
        authentication_deadline: Some(deadline / AUTHENTICATION_SHARE),
        analysis_deadline: deadline / 2,
        trusted_filters: config.trusted_filters.clone(),
    };
    let vault = FileVault::open(&ctx.data.join(VAULT_DIR), ctx.keys.vault()).context("open vault")?;
    let indicators = Arc::new(move || context.indicators.get());
    let gateway = Arc::new(Gateway::new(options, ctx.ingest.clone(), vault, indicators));
    let mut server = milter::MilterServer::start(listener, gateway, limits).context("start milter")?;
    tracing::info!(addr = %server.addr, "the mail gateway listens on {}", server.addr);
    tokio::select! {
        () = ctx.stop.cancelled() => {}
        () = server.wait() => anyhow::bail!("the milter listener ended"),
    }
    Ok(())
}
