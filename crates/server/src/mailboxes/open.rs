//! Wires mailbox work to the running server.

use super::{FileVault, Mailboxes, VAULT_DIR};
use crate::app::Ctx;
use crate::secrets::SecretStore;
use anyhow::{Context, Result};

/// Opens the mailboxes of the configuration; `None` when it names none.
///
/// # Errors
/// When a secret, the authorities or the vault cannot be read.
pub fn open(ctx: &Ctx) -> Result<Option<Mailboxes>> {
    if ctx.config.mailboxes.is_empty() {
        return Ok(None);
    }
    let vault = FileVault::open(&ctx.data.join(VAULT_DIR), ctx.keys.vault()).context("open vault")?;
    let own_domains = &ctx.config.gateway.own_domains;
    let secrets = SecretStore::of(&ctx.data);
    let (store, ingest) = (ctx.store.clone(), ctx.ingest.clone());
    Mailboxes::new(&ctx.config.mailboxes, own_domains, Some(&secrets), vault, store, ingest).map(Some)
}
