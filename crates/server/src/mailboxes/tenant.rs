//! The users of a tenant as its mail system lists them, and who got a mail as it traces it.

use super::directory::Directory;
use super::{Homes, Mailboxes};
use anyhow::{Context, Result};
use hinomi_mail::connector::{Tenant, TraceAsked};
use hinomi_model::{MessageCopy, MessageCopyRef, MessageId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// A list is used this long before the tenant is asked again.
const LIST_FRESH: Duration = Duration::from_secs(300);
/// A list that cannot be renewed is used this long.
const LIST_USABLE: Duration = Duration::from_secs(24 * 3_600);
/// A tenant that could not be asked is left alone this long.
const REST: Duration = Duration::from_secs(30);
/// Messages traced at once, and recipients of one.
const MESSAGES_MAX: usize = 20;
const RECIPIENTS_MAX: usize = 5_000;
/// A mail may be traced from before it was told of, seconds.
const BEFORE_SECONDS: i64 = 24 * 3_600;
/// The service keeps traces this long, seconds (Microsoft, "List messageTraces": 90 days).
const KEPT_SECONDS: i64 = 89 * 24 * 3_600;
/// Longest Message-ID that is traced, bytes.
const MESSAGE_ID_BYTES_MAX: usize = 900;

/// The user list of a tenant, asked for when it is needed and kept for a while.
#[derive(Debug)]
pub struct TenantUsers {
    tenant: Arc<dyn Tenant>,
    own_domains: Vec<String>,
    kept: Mutex<Kept>,
}

/// What is known of the list.
#[derive(Debug, Default)]
struct Kept {
    list: Option<(Instant, Directory)>,
    /// Since when the tenant cannot be asked, and why.
    failed: Option<(Instant, String)>,
}

impl Kept {
    fn younger_than(&self, age: Duration) -> Option<&Directory> {
        self.list.as_ref().filter(|(at, _)| at.elapsed() < age).map(|(_, list)| list)
    }
}

impl TenantUsers {
    pub(super) fn new(tenant: Arc<dyn Tenant>, own_domains: Vec<String>) -> Self {
        TenantUsers { tenant, own_domains, kept: Mutex::default() }
    }

    /// Returns the list. While the tenant cannot be asked, the last one is used for a day.
    ///
    /// # Errors
    /// When there is none.
    pub(super) async fn read(&self) -> Result<Directory> {
        let mut kept = self.kept.lock().await;
        if let Some(list) = kept.younger_than(LIST_FRESH) {
            return Ok(list.clone());
        }
        if kept.failed.as_ref().is_none_or(|(at, _)| at.elapsed() >= REST) {
            match self.tenant.owners().await {
                Ok(owners) => {
                    let list = Directory::of_owners(&owners, &self.own_domains);
                    *kept = Kept { list: Some((Instant::now(), list.clone())), failed: None };
                    return Ok(list);
                }
                Err(error) => {
                    let why = format!("{:#}", anyhow::Error::from(error));
                    tracing::warn!("the users of the tenant cannot be listed: {why}");
                    kept.failed = Some((Instant::now(), why));
                }
            }
        }
        let why = kept.failed.as_ref().map(|(_, why)| why.clone()).unwrap_or_default();
        let list = kept.younger_than(LIST_USABLE).cloned();
        list.with_context(|| format!("list the users of the tenant: {why}"))
    }
}

impl Mailboxes {
    /// Asks the mail systems that trace mail for mailboxes that got some messages and are not known to
    /// have: the recipient of each. What they do not offer or cannot tell now is left out.
    ///
    /// # Errors
    /// When a user list cannot be read.
    pub async fn untold(&self, copies: &[MessageCopy], now: Timestamp) -> Result<Vec<MessageCopyRef>> {
        let tenants: Vec<_> = self.systems.iter().filter_map(|system| system.tenant.as_ref()).collect();
        if tenants.is_empty() {
            return Ok(Vec::new());
        }
        let homes = self.homes().await?;
        let mut messages: BTreeMap<MessageId, Vec<&MessageCopy>> = BTreeMap::new();
        for copy in copies.iter().filter(|copy| is_traceable(copy)) {
            messages.entry(copy.message_id).or_default().push(copy);
        }
        let mut untold = Vec::new();
        for (id, known) in messages.into_iter().take(MESSAGES_MAX) {
            let told = known.iter().map(|copy| copy.recipient.as_str());
            let mut seen: BTreeSet<(usize, String)> = told.filter_map(|recipient| homes.of(recipient)).collect();
            let asked = TraceAsked {
                message_id: known[0].internet_message_id.clone(),
                from: known[0].received_at.plus_seconds(-BEFORE_SECONDS).max(now.plus_seconds(-KEPT_SECONDS)),
                to: now,
                max: RECIPIENTS_MAX,
            };
            for tenant in &tenants {
                untold.extend(
                    traced(&***tenant, &asked, &homes, &mut seen)
                        .await
                        .into_iter()
                        .map(|recipient| MessageCopyRef { message_id: id, recipient }),
                );
            }
        }
        Ok(untold)
    }
}

/// Recipients of a traced mail whose mailboxes were not seen before.
async fn traced(
    tenant: &dyn Tenant,
    asked: &TraceAsked,
    homes: &Homes,
    seen: &mut BTreeSet<(usize, String)>,
) -> Vec<String> {
    let told = match tenant.recipients(asked).await {
        Ok(told) => told.unwrap_or_default(),
        Err(error) => {
            tracing::warn!("a mail cannot be traced now: {error}");
            return Vec::new();
        }
    };
    let recipients = told.into_iter().map(|traced| traced.recipient);
    recipients.filter(|recipient| homes.of(recipient).is_some_and(|home| seen.insert(home))).collect()
}

fn is_traceable(copy: &MessageCopy) -> bool {
    let id = &copy.internet_message_id;
    copy.message_id.demo().is_none() && !id.is_empty() && id.len() <= MESSAGE_ID_BYTES_MAX
}
