//! Wires mailbox work to the running server.

use super::worker::{MailWorker, WorkerOptions};
use super::{FileVault, Mailboxes, VAULT_DIR};
use crate::app::Ctx;
use crate::secrets::SecretStore;
use anyhow::{Context, Result};

/// Opens the mailboxes of the configuration and starts their workers; `None` when it names none.
///
/// # Errors
/// When a worker cannot work, or the vault cannot be read.
pub async fn open(ctx: &Ctx, place: MailWorker) -> Result<Option<Mailboxes>> {
    if ctx.config.mailboxes.is_empty() {
        return Ok(None);
    }
    let vault = FileVault::open(&ctx.data.join(VAULT_DIR), ctx.keys.vault()).context("open vault")?;
    let own_domains = &ctx.config.gateway.own_domains;
    let workers =
        WorkerOptions { place, user: ctx.config.mail_worker.user.clone(), secrets: Some(SecretStore::of(&ctx.data)) };
    let (store, ingest) = (ctx.store.clone(), ctx.ingest.clone());
    let mailboxes = Mailboxes::new(&ctx.config.mailboxes, own_domains, workers, vault, store, ingest)?;
    mailboxes.start().await?;
    Ok(Some(mailboxes))
}
