//! Indicators in force: the set gateway and analyst look values up in, and the block list of sensors.

pub mod config;
pub mod feeds;
pub(crate) mod guard;
pub mod import;
pub mod look;
pub mod reach;

use crate::app::Ctx;
use anyhow::{Context, Result};
use hinomi_detect::IndicatorSet;
use hinomi_model::{
    ActionId, Device, DeviceId, Indicator, IndicatorAction, IndicatorKind, IndicatorScope, IndicatorSpec, IndicatorWhy,
    Timestamp,
};
use hinomi_store::{DeviceFilter, Page, StoreError, Tx};
use hinomi_wire::Command;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock};

/// Setting that holds the version of the sensors' block list.
const VERSION_SETTING: &str = "block_list_version";

/// Setting that grows with every change of indicators: servers that share a store read them again.
const CHANGES_SETTING: &str = "indicator_changes";

/// How long a block list waits for a device that is away, seconds: the next connection gets the
/// current one anyway.
const COMMAND_SECONDS: i64 = 24 * 3600;

/// Most hashes on a sensor's block list, 13.4 MB as one command: sensors take messages of 16 MiB. The
/// newest ones count; the gateway and the analyst know all.
const SENSOR_HASHES_MAX: usize = 200_000;

/// Most indicators in force.
pub const IN_FORCE_MAX: usize = 1_000_000;

/// Begins the name of who put in force what a feed brought.
pub(crate) const FEED_PREFIX: &str = "feed:";

/// Indicators read from the store at a time.
const READ_TOGETHER: i64 = 20_000;

/// A hash sensors must not let run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct BlockedHash {
    sha256: String,
    /// Tags of the devices it counts on; empty = all.
    tags: Vec<String>,
}

/// Hashes sensors must not let run.
#[derive(Debug, Default)]
struct BlockList {
    version: u64,
    hashes: Vec<BlockedHash>,
    /// Hashes that did not fit.
    beyond: usize,
}

/// What was read when.
#[derive(Debug, Default, Clone)]
struct Read {
    changes: String,
    /// When the first of them ends.
    next_end: Option<Timestamp>,
}

/// What is in force now; readers keep what they took.
#[derive(Debug, Default)]
pub struct Current {
    set: RwLock<Arc<IndicatorSet>>,
    list: RwLock<Arc<BlockList>>,
    /// Tags of devices, while some indicator counts on tagged devices only.
    tags: RwLock<HashMap<DeviceId, Vec<String>>>,
    read: RwLock<Read>,
    /// Held while what is in force is put together.
    turn: tokio::sync::Mutex<()>,
}

impl Current {
    /// Returns the indicators in force.
    pub fn get(&self) -> Arc<IndicatorSet> {
        self.set.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The tags of a device, as far as they matter to an indicator.
    pub(crate) fn tags(&self, device: DeviceId) -> Vec<String> {
        self.tags.read().unwrap_or_else(PoisonError::into_inner).get(&device).cloned().unwrap_or_default()
    }

    fn list(&self) -> Arc<BlockList> {
        self.list.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, set: IndicatorSet, list: BlockList) {
        *self.set.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(set);
        *self.list.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(list);
    }
}

/// Reads the indicators in force from the store.
///
/// # Errors
/// When the store cannot be read; the snapshot before stays.
pub async fn load(ctx: &Ctx) -> Result<()> {
    let _turn = ctx.indicators.turn.lock().await;
    let now = ctx.now();
    let changes = ctx.store.setting(CHANGES_SETTING).await?.unwrap_or_default();
    let version = ctx.store.setting(VERSION_SETTING).await?.and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut set = IndicatorSet::default();
    let mut blocked: VecDeque<BlockedHash> = VecDeque::new();
    let (mut beyond, mut next_end, mut after) = (0, None::<Timestamp>, None);
    loop {
        let some = ctx.store.indicators_in_force_after(now, after, READ_TOGETHER).await.context("read indicators")?;
        for indicator in &some {
            set.add(indicator);
            next_end = next_end.into_iter().chain(indicator.spec.expires_at).min();
            if let Some(hash) = blocked_hash(indicator) {
                blocked.push_back(hash);
                if blocked.len() > SENSOR_HASHES_MAX {
                    blocked.pop_front();
                    beyond += 1;
                }
            }
        }
        after = some.last().map(|last| (last.created_at, last.id));
        if (some.len() as i64) < READ_TOGETHER || set.len() >= IN_FORCE_MAX {
            break;
        }
    }
    if beyond > 0 {
        tracing::warn!("{beyond} file hashes do not fit on the sensors' block list of {SENSOR_HASHES_MAX}");
    }
    let allowed = |hash: &BlockedHash| {
        set.file(&hash.sha256, now).is_some_and(|decides| decides.action == IndicatorAction::Allow)
    };
    let mut hashes: Vec<BlockedHash> = blocked.into_iter().filter(|hash| !allowed(hash)).collect();
    hashes.sort_unstable();
    hashes.dedup();
    let tags = if set.is_scoped() { tags(ctx).await? } else { HashMap::new() };
    *ctx.indicators.tags.write().unwrap_or_else(PoisonError::into_inner) = tags;
    ctx.indicators.set(set, BlockList { version, hashes, beyond });
    *ctx.indicators.read.write().unwrap_or_else(PoisonError::into_inner) = Read { changes, next_end };
    Ok(())
}

/// Puts what the store says about one value in force: with a million others, reading all again would
/// take seconds.
async fn load_one(ctx: &Ctx, kind: IndicatorKind, value: &str) -> Result<()> {
    let turn = ctx.indicators.turn.lock().await;
    let now = ctx.now();
    let read = ctx.indicators.read.read().unwrap_or_else(PoisonError::into_inner).clone();
    // the version first: what it counts is in force when the changes read after it are
    let version = ctx.store.setting(VERSION_SETTING).await?.and_then(|text| text.parse().ok()).unwrap_or(0);
    let changes = ctx.store.setting(CHANGES_SETTING).await?.unwrap_or_default();
    let number = |text: &str| text.parse::<u64>().unwrap_or(0);
    if number(&changes) == number(&read.changes) {
        return Ok(());
    }
    if number(&changes) != number(&read.changes) + 1 {
        // others changed something too: a list with their version must hold what they said
        drop(turn);
        return load(ctx).await;
    }
    let known = ctx.store.indicator_of(kind, value).await.context("read indicator")?;
    let known = known.filter(|one| one.spec.expires_at.is_none_or(|end| end > now));
    let mut set = IndicatorSet::clone(&ctx.indicators.get());
    if !set.remove(kind, value) {
        drop(turn);
        return load(ctx).await;
    }
    let before = ctx.indicators.list();
    let mut list = BlockList { version, hashes: before.hashes.clone(), beyond: before.beyond };
    if kind == IndicatorKind::FileSha256 {
        let sha256 = value.to_ascii_lowercase();
        list.hashes.retain(|hash| hash.sha256 != sha256);
    }
    if let Some(known) = &known {
        set.add(known);
        list.hashes.extend(blocked_hash(known));
        list.hashes.sort_unstable();
    }
    // a full list drops its oldest hashes, and only the store knows which those are
    let full = list.hashes.len() > SENSOR_HASHES_MAX || before.beyond > 0;
    if set.is_scoped() && !ctx.indicators.get().is_scoped() {
        *ctx.indicators.tags.write().unwrap_or_else(PoisonError::into_inner) = tags(ctx).await?;
    }
    list.hashes.truncate(SENSOR_HASHES_MAX);
    ctx.indicators.set(set, list);
    // otherwise the next look at the counter reads all again
    let changes = if full && kind == IndicatorKind::FileSha256 { read.changes } else { changes };
    let next_end = read.next_end.into_iter().chain(known.and_then(|one| one.spec.expires_at)).min();
    *ctx.indicators.read.write().unwrap_or_else(PoisonError::into_inner) = Read { changes, next_end };
    Ok(())
}

/// The hash an indicator puts on the sensors' block list.
fn blocked_hash(indicator: &Indicator) -> Option<BlockedHash> {
    let spec = &indicator.spec;
    on_sensors(spec)
        .then(|| BlockedHash { sha256: spec.value.to_ascii_lowercase(), tags: spec.scope.device_tags.clone() })
}

async fn tags(ctx: &Ctx) -> Result<HashMap<DeviceId, Vec<String>>> {
    let mut tags = HashMap::new();
    let mut page = Page::first(200);
    loop {
        let listed = ctx.store.devices(&DeviceFilter::default(), &page).await.context("read devices")?;
        tags.extend(listed.items.into_iter().map(|device| (device.id, device.tags)));
        match listed.next {
            Some(next) => page.after = Some(next),
            None => return Ok(tags),
        }
    }
}

/// Notices that a person changed the tags of a device: what counts on it may be another list.
pub(crate) async fn retag(ctx: &Ctx, device: &Device) -> Result<()> {
    if !ctx.indicators.get().is_scoped() {
        return Ok(());
    }
    let mut tx = ctx.store.begin().await?;
    changed(&mut tx, true).await?;
    tx.commit().await?;
    publish(ctx, None, &[device.id]).await
}

/// Tells every indicator that says something about a value, also those that have ended.
///
/// # Errors
/// When the store cannot be read.
pub async fn why(ctx: &Ctx, value: &str) -> Result<IndicatorWhy, StoreError> {
    let keys = ctx.indicators.get().keys(&hinomi_detect::indicator_list::refang(value.trim()));
    let known = ctx.store.indicators_of(&keys).await?;
    Ok(IndicatorSet::new(&known).why(value, ctx.now()))
}

/// File hashes in force that sensors do not get.
pub(crate) fn beyond_sensors(ctx: &Ctx) -> u64 {
    ctx.indicators.list().beyond as u64
}

/// Notes, inside the transaction that changes indicators, that they changed; `files` when the sensors'
/// block list does too.
///
/// # Errors
/// When the store fails.
pub(crate) async fn changed(tx: &mut Tx, files: bool) -> Result<(), StoreError> {
    raise(tx, CHANGES_SETTING).await?;
    if files {
        raise(tx, VERSION_SETTING).await?;
    }
    Ok(())
}

async fn raise(tx: &mut Tx, setting: &str) -> Result<(), StoreError> {
    let version = tx.setting(setting).await?.and_then(|text| text.parse().ok()).unwrap_or(0_u64) + 1;
    tx.set_setting(setting, &version.to_string()).await
}

/// The version of the sensors' block list that will be the first to hold this indicator; none when it is
/// not for sensors.
///
/// # Errors
/// When the store fails.
pub(crate) async fn list_version(tx: &mut Tx, spec: &IndicatorSpec) -> Result<Option<u64>, StoreError> {
    if !on_sensors(spec) {
        return Ok(None);
    }
    Ok(Some(tx.setting(VERSION_SETTING).await?.and_then(|text| text.parse().ok()).unwrap_or(0_u64) + 1))
}

/// True for a hash sensors are given.
pub(crate) fn on_sensors(spec: &IndicatorSpec) -> bool {
    let only_mail = spec.scope.device_tags.is_empty() && !spec.scope.is_everything();
    spec.kind == IndicatorKind::FileSha256 && spec.action.blocks() && !only_mail
}

/// Puts the stored indicators in force: here at once, on these sensors by a command that names the
/// action.
///
/// # Errors
/// When the store fails.
pub async fn publish(ctx: &Ctx, action: Option<ActionId>, devices: &[DeviceId]) -> Result<()> {
    load(ctx).await?;
    for device in devices {
        send(ctx, *device, action).await?;
    }
    Ok(())
}

/// Puts one value in force as the store has it: here at once, on these sensors by a command that names
/// the action.
///
/// # Errors
/// When the store fails.
pub(crate) async fn publish_one(
    ctx: &Ctx,
    kind: IndicatorKind,
    value: &str,
    action: ActionId,
    devices: &[DeviceId],
) -> Result<()> {
    load_one(ctx, kind, value).await?;
    for device in devices {
        send(ctx, *device, Some(action)).await?;
    }
    Ok(())
}

/// Brings a device that has just connected up to date. `has` is the version of the block list it
/// has or is being sent.
pub async fn on_connect(ctx: &Ctx, device: DeviceId, has: u64) {
    if has == ctx.indicators.list().version {
        return;
    }
    if let Err(error) = send(ctx, device, None).await {
        tracing::error!(device.id = %device, "block list could not be sent to {device}: {error:#}");
    }
}

/// Notices indicators that expired or that another server changed: the sensors' list is renewed.
///
/// # Errors
/// When the store fails.
pub(crate) async fn refresh(ctx: &Ctx, now: Timestamp) -> Result<()> {
    let read = ctx.indicators.read.read().unwrap_or_else(PoisonError::into_inner).clone();
    let changes = ctx.store.setting(CHANGES_SETTING).await?.unwrap_or_default();
    let ended = read.next_end.is_some_and(|end| end <= now);
    if !ended && changes == read.changes {
        return Ok(());
    }
    let before = ctx.indicators.list();
    load(ctx).await?;
    let after = ctx.indicators.list();
    if after.hashes == before.hashes {
        return Ok(());
    }
    if after.version == before.version {
        let mut tx = ctx.store.begin().await?;
        changed(&mut tx, true).await?;
        tx.commit().await?;
    }
    publish(ctx, None, &ctx.hub.devices()).await
}

async fn send(ctx: &Ctx, device: DeviceId, action: Option<ActionId>) -> Result<()> {
    let list = ctx.indicators.list();
    let tags = ctx.indicators.tags(device);
    let scope = |hash: &&BlockedHash| {
        let scope = IndicatorScope { device_tags: hash.tags.clone(), mail_domains: Vec::new() };
        hash.tags.is_empty() || scope.has_device(&tags)
    };
    let sha256 = list.hashes.iter().filter(scope).map(|hash| hash.sha256.clone()).collect();
    let command = Command::SetBlockedHashes { version: list.version, sha256 };
    let expires_at = ctx.now().plus_seconds(COMMAND_SECONDS);
    ctx.hub.send(ctx, device, command, action, expires_at).await?;
    Ok(())
}
