//! Mails of a scenario: taken apart by the gateway's own code, delivered to nobody.

use super::script::address;
use crate::app::Ctx;
use crate::gateway::{Gateway, GatewayOptions};
use crate::ids;
use crate::mailboxes::{FileVault, VAULT_DIR};
use bytes::Bytes;
use hinomi_detect::IndicatorSet;
use hinomi_mail::milter::Envelope;
use hinomi_mail::parse::addresses;
use hinomi_model::{DemoId, Event, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// Longest time for taking one mail apart.
const ANALYSIS: Duration = Duration::from_secs(10);

/// Returns when a mail says it was sent.
pub(super) fn date(raw: &[u8]) -> Option<Timestamp> {
    addresses(raw).date
}

/// Returns the rows of a mail as one of the demo, in parts the ingest log takes. Nobody is asked about
/// its sender, and the indicators in force are not for demos.
///
/// # Errors
/// Why it cannot be played.
pub(super) async fn rows(ctx: &Ctx, demo: DemoId, at: Timestamp, raw: &[u8]) -> Result<Vec<Vec<Event>>, String> {
    let found = addresses(raw);
    if found.recipients.is_empty() {
        return Err("the mail has no recipients (To or Cc)".to_owned());
    }
    let vault = FileVault::open(&ctx.data.join(VAULT_DIR), ctx.keys.vault()).map_err(|error| error.to_string())?;
    let config = &ctx.config.gateway;
    let options = GatewayOptions {
        own_domains: config.own_domains.iter().map(|domain| address(domain)).collect(),
        on_block: config.on_block,
        authentication_deadline: None,
        analysis_deadline: ANALYSIS,
        trusted_filters: Vec::new(),
    };
    let nothing = Arc::new(Arc::<IndicatorSet>::default);
    let gateway = Gateway::new(options, ctx.ingest.clone(), vault, nothing);
    let envelope = Envelope {
        mail_from: found.from,
        recipients: found.recipients.iter().map(|recipient| address(recipient)).collect(),
        client_ip: None,
        client_name: String::new(),
        helo: String::new(),
        queue_id: String::new(),
        truncated: false,
    };
    let parts = gateway.examine(ids::within(Some(demo)), at, &envelope, Bytes::copy_from_slice(raw)).await?.parts;
    Ok(parts)
}
