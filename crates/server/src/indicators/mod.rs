//! Indicators in force: the set gateway and analyst look values up in, and the block list of sensors.

pub(crate) mod guard;
pub mod import;

use crate::app::Ctx;
use anyhow::{Context, Result};
use hinomi_detect::IndicatorSet;
use hinomi_model::{ActionId, DeviceId, Indicator, IndicatorAction, IndicatorKind, Timestamp};
use hinomi_store::{StoreError, Tx};
use hinomi_wire::Command;
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

/// Setting that holds the version of the sensors' block list.
const VERSION_SETTING: &str = "block_list_version";

/// How long a block list waits for a device that is away, seconds: the next connection gets the
/// current one anyway.
const COMMAND_SECONDS: i64 = 24 * 3600;

/// Most hashes on a sensor's block list, 13.4 MB as one command: sensors take messages of 16 MiB. The
/// newest ones count; the gateway and the analyst know all.
const SENSOR_HASHES_MAX: usize = 200_000;

/// Hashes sensors must not let run.
#[derive(Debug, Default)]
struct BlockList {
    version: u64,
    sha256: Vec<String>,
    /// Hashes that did not fit.
    beyond: usize,
}

/// What is in force now; readers keep what they took.
#[derive(Debug, Default)]
pub struct Current {
    set: RwLock<Arc<IndicatorSet>>,
    list: RwLock<Arc<BlockList>>,
}

impl Current {
    /// Returns the indicators in force.
    pub fn get(&self) -> Arc<IndicatorSet> {
        self.set.read().unwrap_or_else(PoisonError::into_inner).clone()
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
    let now = ctx.now();
    let indicators = ctx.store.indicators_in_force(now).await.context("read indicators")?;
    let version = ctx.store.setting(VERSION_SETTING).await?.and_then(|text| text.parse().ok()).unwrap_or(0);
    let (sha256, beyond) = blocked(&indicators);
    if beyond > 0 {
        tracing::warn!("{beyond} file hashes do not fit on the sensors' block list of {SENSOR_HASHES_MAX}");
    }
    ctx.indicators.set(IndicatorSet::new(&indicators), BlockList { version, sha256, beyond });
    Ok(())
}

/// Hashes sensors get, in order, and how many do not fit. `indicators` come oldest first.
fn blocked(indicators: &[Indicator]) -> (Vec<String>, usize) {
    let allowed: BTreeSet<&str> = files(indicators, IndicatorAction::Allow).collect();
    let all: Vec<&str> = files(indicators, IndicatorAction::Block).filter(|sha256| !allowed.contains(sha256)).collect();
    let beyond = all.len().saturating_sub(SENSOR_HASHES_MAX);
    let newest: BTreeSet<String> = all[beyond..].iter().map(|sha256| sha256.to_ascii_lowercase()).collect();
    (newest.into_iter().collect(), beyond)
}

/// File hashes in force that sensors do not get.
pub(crate) fn beyond_sensors(ctx: &Ctx) -> u64 {
    ctx.indicators.list().beyond as u64
}

fn files(indicators: &[Indicator], action: IndicatorAction) -> impl Iterator<Item = &str> {
    let wanted = move |known: &&Indicator| known.spec.kind == IndicatorKind::FileSha256 && known.spec.action == action;
    indicators.iter().filter(wanted).map(|known| known.spec.value.as_str())
}

/// Raises the version of the block list inside the transaction that changes a file indicator.
///
/// # Errors
/// When the store fails.
pub(crate) async fn raise_version(tx: &mut Tx) -> Result<u64, StoreError> {
    let version = tx.setting(VERSION_SETTING).await?.and_then(|text| text.parse().ok()).unwrap_or(0_u64) + 1;
    tx.set_setting(VERSION_SETTING, &version.to_string()).await?;
    Ok(version)
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

/// Notices indicators that expired: the sensors' list is renewed.
///
/// # Errors
/// When the store fails.
pub(crate) async fn refresh(ctx: &Ctx, now: Timestamp) -> Result<()> {
    let indicators = ctx.store.indicators_in_force(now).await?;
    if blocked(&indicators).0 == ctx.indicators.list().sha256 {
        return Ok(());
    }
    let mut tx = ctx.store.begin().await?;
    raise_version(&mut tx).await?;
    tx.commit().await?;
    publish(ctx, None, &ctx.hub.devices()).await?;
    Ok(())
}

async fn send(ctx: &Ctx, device: DeviceId, action: Option<ActionId>) -> Result<()> {
    let list = ctx.indicators.list();
    let command = Command::SetBlockedHashes { version: list.version, sha256: list.sha256.clone() };
    let expires_at = ctx.now().plus_seconds(COMMAND_SECONDS);
    ctx.hub.send(ctx, device, command, action, expires_at).await?;
    Ok(())
}
