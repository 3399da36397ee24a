//! What a tenant knows of itself: its mailboxes, and who got which mail.

use super::{GraphConnector, GraphError, TraceQuery, User};
use crate::connector::{ConnectorError, Owner, Tenant, TraceAsked, Traced};
use futures::future::BoxFuture;

/// Users of one tenant.
const USERS_MAX: usize = 1_000_000;

impl Tenant for GraphConnector {
    fn owners(&self) -> BoxFuture<'_, Result<Vec<Owner>, ConnectorError>> {
        Box::pin(async move { Ok(self.graph().users(USERS_MAX).await?.iter().filter_map(owner).collect()) })
    }

    fn recipients<'a>(&'a self, asked: &'a TraceAsked) -> BoxFuture<'a, Result<Option<Vec<Traced>>, ConnectorError>> {
        Box::pin(async move {
            let message_id = Some(asked.message_id.clone());
            let query = TraceQuery { message_id, from: asked.from, to: asked.to, ..TraceQuery::default() };
            let traces = match self.graph().traces(&query, asked.max).await {
                // national clouds have no message trace, and the app may lack the permission
                Err(GraphError::Refused { status: 401 | 403 | 404 | 501, .. }) => return Ok(None),
                traces => traces?,
            };
            let told = traces.into_iter().filter_map(|trace| {
                let recipient = trace.recipient_address?.to_lowercase();
                Some(Traced { recipient, status: trace.status.unwrap_or_default() })
            });
            Ok(Some(told.collect()))
        })
    }
}

/// The mailbox of a user; none for guests and for users without an address.
fn owner(user: &User) -> Option<Owner> {
    let mailbox = user.user_principal_name.as_ref()?.to_lowercase();
    let addresses = user.addresses();
    // a guest's name is made of the address elsewhere: `who_example.org#EXT#@tenant`
    let is_guest = mailbox.contains("#ext#");
    (!is_guest && !addresses.is_empty()).then_some(Owner { mailbox, addresses })
}
