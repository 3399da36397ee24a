//! Wires mailbox work to the running server.

use super::{FileVault, Mailboxes, VAULT_DIR};
use crate::app::Ctx;
use anyhow::{Context, Result};

/// Opens the mailboxes of the configuration; `None` when it names none.
///
/// # Errors
/// When the password, the authorities or the vault cannot be read.
pub fn open(ctx: &Ctx) -> Result<Option<Mailboxes>> {
    if ctx.config.mailboxes.is_empty() {
        return Ok(None);
    }
    let vault = FileVault::open(&ctx.data.join(VAULT_DIR), ctx.keys.vault()).context("open vault")?;
    let own_domains = &ctx.config.gateway.own_domains;
    Mailboxes::from_config(&ctx.config.mailboxes, own_domains, vault, ctx.store.clone(), ctx.ingest.clone()).map(Some)
}
