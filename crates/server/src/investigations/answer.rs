//! Answers the queries of a playbook from lake, store and mailboxes.

use crate::app::Ctx;
use crate::facts::{self, Wanted};
use crate::mailboxes::{Found, Reading, Reason};
use anyhow::Result;
use hinomi_cases::playbook::{Fact, Presence, Query};
use hinomi_model::{
    DeliveryLocation, DemoId, DeviceId, EntityKey, EntityKind, IndicatorKind, InvestigationId, MessageCopyRef, Text,
};
use hinomi_store::Page;
use hinomi_wire::Command;
use std::time::Duration;

/// Sightings read per value.
const SIGHTINGS_MAX: u32 = 200;
/// Pages of sightings read per value.
const PAGES_MAX: usize = 10;
/// Longest wait for a sensor's answer, seconds.
const ASK_SECONDS: i64 = 10;

/// Answers one query of an investigation, from what is real or from within its demo.
///
/// # Errors
/// When a store cannot be read; the step is tried again.
pub(super) async fn answer(ctx: &Ctx, investigation: InvestigationId, query: &Query) -> Result<Fact> {
    let demo = investigation.demo();
    Ok(match query {
        Query::Logons { device, from, to } => {
            Fact::Logons { device: *device, events: facts::events(ctx, Wanted::logons(*device, *from, *to)).await? }
        }
        Query::Device { device } => {
            if demo.is_none() {
                ask(ctx, *device).await?;
            }
            Fact::Device(ctx.store.device(*device).await?.map(Box::new))
        }
        Query::Tree { root, from, to } => {
            Fact::Tree { root: *root, events: facts::tree(ctx, *root, *from, *to).await? }
        }
        Query::Seen { observable, by } => seen(ctx, demo, observable, *by).await?,
        Query::Copies { message_id } => Fact::Copies(ctx.store.message_copies(*message_id).await?),
        Query::Locate { copies } if demo.is_some() => as_delivered(ctx, copies).await?,
        Query::Locate { copies } => locate(ctx, investigation, copies).await?,
        Query::Indicator { entity } if demo.is_some() => Fact::Indicator { entity: entity.clone(), indicator: None },
        Query::Indicator { entity } => {
            let kind = match entity.kind {
                EntityKind::Sender => IndicatorKind::SenderAddress,
                EntityKind::Domain => IndicatorKind::Domain,
                EntityKind::Url => IndicatorKind::Url,
                EntityKind::Ip => IndicatorKind::Ip,
                _ => IndicatorKind::FileSha256,
            };
            let now = ctx.now();
            let found = ctx.store.indicator_of(kind, &entity.value).await?;
            let indicator = found.filter(|known| known.spec.expires_at.is_none_or(|end| end > now));
            Fact::Indicator { entity: entity.clone(), indicator }
        }
    })
}

/// Asks a connected sensor for its state; what it answers is the state of its device then. One that does
/// not answer in time is told as it was last known.
async fn ask(ctx: &Ctx, device: DeviceId) -> Result<()> {
    if !ctx.hub.online(device) {
        return Ok(());
    }
    let until = ctx.now().plus_seconds(ASK_SECONDS);
    let command = ctx.hub.send(ctx, device, Command::CollectStatus, None, until).await?;
    Ok(ctx.hub.wait(ctx, device, command, Duration::from_secs(ASK_SECONDS.unsigned_abs())).await?)
}

async fn seen(ctx: &Ctx, demo: Option<DemoId>, observable: &EntityKey, by: EntityKind) -> Result<Fact> {
    let mut sightings = Vec::new();
    let mut page = Page::first(SIGHTINGS_MAX);
    let mut total = 0;
    for _ in 0..PAGES_MAX {
        let listed = ctx.store.sightings_within(observable, demo, Some(by), &page).await?;
        total = listed.total;
        sightings.extend(listed.items);
        match listed.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    Ok(Fact::Seen { observable: observable.clone(), by, sightings, total })
}

/// A demo's mailboxes do not exist: its copies are where its events say they were delivered.
async fn as_delivered(ctx: &Ctx, copies: &[MessageCopyRef]) -> Result<Fact> {
    let mut located = Vec::new();
    for copy in copies {
        let Some(known) = ctx.store.message(copy.message_id, &copy.recipient).await? else { continue };
        let presence = match known.latest_location {
            DeliveryLocation::Inbox => Presence::Present("INBOX".to_owned()),
            _ => Presence::Absent,
        };
        located.push((copy.clone(), presence));
    }
    Ok(Fact::Located(located))
}

async fn locate(ctx: &Ctx, investigation: InvestigationId, copies: &[MessageCopyRef]) -> Result<Fact> {
    let Some(mail) = ctx.mail.get() else {
        return Ok(Fact::Missing(Text::new("No mailboxes are connected.", "メールボックスが接続されていません。")));
    };
    let mut known = Vec::new();
    for copy in copies {
        known.extend(ctx.store.message(copy.message_id, &copy.recipient).await?);
    }
    let reading = Reading::by_system(Reason::Investigation(investigation));
    let found = mail.find(&reading, &known).await;
    let located = known.iter().zip(found).map(|(copy, found)| {
        let copy = MessageCopyRef { message_id: copy.message_id, recipient: copy.recipient.clone() };
        let presence = match found {
            Found::Located(at) => Presence::Present(at.folder),
            Found::NotFound => Presence::Absent,
            Found::Failed(reason) => Presence::Failed(Text::same(reason)),
        };
        (copy, presence)
    });
    Ok(Fact::Located(located.collect()))
}
