//! Comparing one day of events and mail.

use super::found::{Kept, Place};
use crate::analyst::Around;
use crate::app::Ctx;
use anyhow::{Context, Result};
use hinomi_detect::{Hit, IndicatorSet, Scene, When};
use hinomi_lake::LakeQuery;
use hinomi_model::{Event, IndicatorKind, IndicatorLook, MatchedField, MessageCopy, Table, Timestamp};
use std::sync::Arc;

/// Messages read at a time.
const MESSAGES_TOGETHER: i64 = 500;

/// Columns that tell a row from others and say where a file lies.
const OWN: [&str; 5] = ["DeviceId", "ReportId", "ActionType", "FileName", "FolderPath"];
/// Columns values of these kinds stand in, on devices.
const COLUMNS: [(&[IndicatorKind], &[&str]); 3] = [
    (
        &[IndicatorKind::FileSha256, IndicatorKind::FileSha1, IndicatorKind::FileMd5],
        &[
            "SHA256",
            "InitiatingProcessSHA256",
            "SHA1",
            "InitiatingProcessSHA1",
            "MD5",
            "InitiatingProcessMD5",
            "AdditionalFields",
        ],
    ),
    (&[IndicatorKind::Domain, IndicatorKind::Url], &["RemoteUrl", "FileOriginUrl"]),
    (&[IndicatorKind::Ip, IndicatorKind::Cidr], &["RemoteIP", "FileOriginIP", "IPAddress"]),
];

/// Compares the next day of a look: what is kept of an attempt cut short is thrown away with it.
pub(super) async fn day(ctx: &Ctx, set: &IndicatorSet, look: &mut IndicatorLook, kept: &mut Kept) -> Result<()> {
    let from = look.from.plus_seconds(look.days_done * super::DAY_SECONDS);
    let to = from.plus_seconds(super::DAY_SECONDS).min(look.to);
    let all = ctx.indicators.get();
    look.events += devices(ctx, set, &all, (from, to), kept).await?;
    look.messages += mail(ctx, set, &all, (from, to), kept).await?;
    Ok(())
}

async fn devices(
    ctx: &Ctx,
    set: &IndicatorSet,
    all: &Arc<IndicatorSet>,
    (from, to): (Timestamp, Timestamp),
    kept: &mut Kept,
) -> Result<i64> {
    let values = COLUMNS.iter().filter(|(kinds, _)| set.has_any(kinds)).flat_map(|(_, names)| names.iter().copied());
    let values: Vec<&str> = values.collect();
    let holds = |table: &&Table| {
        let has = |name: &&str| table.column_index(name).is_some();
        table.column_index("DeviceId").is_some() && values.iter().any(has)
    };
    let tables: Vec<Table> = Table::ALL.iter().filter(holds).copied().collect();
    if tables.is_empty() {
        return Ok(0);
    }
    let columns: Vec<&str> = OWN.into_iter().chain(values.iter().copied()).collect();
    let query = LakeQuery { tables, from, to, ..LakeQuery::of(Table::DeviceEvents) };
    let mut rows = 0;
    let mut take = |events: Vec<Event>| {
        rows += events.len() as i64;
        for event in &events {
            let Some(device) = event.device_id().filter(|device| device.demo().is_none()) else { continue };
            let around = Around::of(ctx, set, event, &[]);
            for (hit, matched) in set.hits(event, around.scene()) {
                if decides(all, &hit, event, around.scene()) {
                    kept.add(&hit, matched, Place::Device { device, event });
                }
            }
        }
        !kept.is_full()
    };
    ctx.lake.scan(&query, &columns, &mut take).await.context("compare events")?;
    Ok(rows)
}

/// True when nothing stronger says something else: what is allowed now is not told about the past.
fn decides(all: &IndicatorSet, hit: &Hit, event: &Event, scene: Scene<'_>) -> bool {
    all.hits(event, scene).iter().any(|(known, _)| known.id == hit.id)
}

async fn mail(
    ctx: &Ctx,
    set: &IndicatorSet,
    all: &Arc<IndicatorSet>,
    (from, to): (Timestamp, Timestamp),
    kept: &mut Kept,
) -> Result<i64> {
    let mut messages = 0;
    let mut after = None;
    loop {
        let some = ctx.store.messages_between(from, to, after, MESSAGES_TOGETHER).await.context("compare mail")?;
        for (_, copies) in &some {
            let Some(first) = copies.first().filter(|copy| copy.message_id.demo().is_none()) else { continue };
            messages += 1;
            for (hit, matched) in hits(set, all, first, copies) {
                kept.add(&hit, matched, Place::Mail { copies });
            }
        }
        after = some.last().map(|(n, _)| *n);
        if (some.len() as i64) < MESSAGES_TOGETHER || kept.is_full() {
            return Ok(messages);
        }
    }
}

/// Looks up what a message carries, as the gateway does, as far as it is kept.
fn hits(
    set: &IndicatorSet,
    all: &IndicatorSet,
    copy: &MessageCopy,
    copies: &[MessageCopy],
) -> Vec<(Hit, MatchedField)> {
    let domain = |copy: &MessageCopy| copy.recipient.rsplit_once('@').map(|(_, domain)| domain.to_lowercase());
    let domains: Vec<String> = if set.is_scoped() { copies.iter().filter_map(domain).collect() } else { Vec::new() };
    let when = When { at: copy.received_at, scene: Scene::Mail(&domains) };
    let mut found: Vec<(Hit, MatchedField)> = Vec::new();
    let mut look = |field: &str, value: &str, ask: &dyn Fn(&IndicatorSet) -> Option<Hit>| {
        let Some(hit) = ask(set).filter(|hit| ask(all).is_some_and(|decides| decides.id == hit.id)) else { return };
        if found.iter().all(|(known, _)| known.id != hit.id) {
            let matched = MatchedField { field: field.to_owned(), value: value.to_owned(), pattern: hit.value.clone() };
            found.push((hit, matched));
        }
    };
    for file in &copy.attachments {
        look("SHA256", &file.sha256, &|set| set.file(&file.sha256, when));
    }
    for url in &copy.urls {
        look("Url", url, &|set| set.url(url, when));
    }
    for sender in [&copy.sender_mail_from, &copy.sender_from] {
        look("SenderFromAddress", sender, &|set| set.sender(sender, when));
    }
    look("Subject", &copy.subject, &|set| set.subject(&copy.subject, when));
    look("SenderIPv4", &copy.sender_ip, &|set| set.ip(&copy.sender_ip, when));
    found
}
