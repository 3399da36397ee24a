//! Which devices refuse what an indicator blocks: what each has acknowledged.

use super::on_sensors;
use crate::app::Ctx;
use anyhow::{Context, Result};
use hinomi_detect::effects;
use hinomi_model::{Device, DeviceEnforcement, DeviceReach, Indicator, IndicatorReach, SensorHealth, Text, Timestamp};
use hinomi_store::{DeviceFilter, Page};

/// Devices named.
const DEVICES_SHOWN: usize = 200;

/// Asks every enrolled device's last status.
///
/// # Errors
/// When the store cannot be read.
pub async fn reach(ctx: &Ctx, indicator: &Indicator) -> Result<IndicatorReach> {
    let mut reach = IndicatorReach {
        list_version: indicator.list_version,
        in_force: 0,
        not_yet: 0,
        cannot: 0,
        out_of_scope: 0,
        devices: Vec::new(),
        effects: effects(indicator.spec.kind, indicator.spec.action),
    };
    let missing = missing(ctx, indicator, ctx.now());
    let mut page = Page::first(200);
    loop {
        let listed = ctx.store.devices(&DeviceFilter::default(), &page).await.context("read devices")?;
        for device in listed.items {
            if device.id.demo().is_some() || device.health == SensorHealth::Revoked {
                continue;
            }
            if !indicator.spec.scope.has_device(&device.tags) {
                reach.out_of_scope += 1;
                continue;
            }
            let one = of_device(&device, indicator.list_version, missing.as_ref());
            match one.state {
                DeviceEnforcement::InForce => reach.in_force += 1,
                DeviceEnforcement::NotYet => reach.not_yet += 1,
                DeviceEnforcement::Cannot => reach.cannot += 1,
            }
            reach.devices.push(one);
        }
        // what lacks it comes first, and only so many are named
        reach.devices.sort_by_key(|one| (order(one.state), one.name.clone()));
        reach.devices.truncate(DEVICES_SHOWN);
        match listed.next {
            Some(next) => page.after = Some(next),
            None => return Ok(reach),
        }
    }
}

fn order(state: DeviceEnforcement) -> u8 {
    match state {
        DeviceEnforcement::Cannot => 0,
        DeviceEnforcement::NotYet => 1,
        DeviceEnforcement::InForce => 2,
    }
}

/// Why no device gets it.
fn missing(ctx: &Ctx, indicator: &Indicator, now: Timestamp) -> Option<Text> {
    let spec = &indicator.spec;
    if !on_sensors(spec) {
        let sensor = effects(spec.kind, spec.action).into_iter().next();
        return sensor.map(|effect| effect.text);
    }
    if spec.expires_at.is_some_and(|end| end <= now) {
        return Some(Text::new("It has ended.", "有効期限が切れています。"));
    }
    let list = ctx.indicators.list();
    let sha256 = spec.value.to_ascii_lowercase();
    let place = list.hashes.binary_search_by(|hash| hash.sha256.as_str().cmp(&sha256));
    place.is_err().then(|| {
        Text::new(
            "The block list of sensors is full of newer hashes.",
            "センサーのブロックリストの上限を超えています。",
        )
    })
}

fn of_device(device: &Device, version: Option<u64>, missing: Option<&Text>) -> DeviceReach {
    let has = device.status.block_list_version;
    let prevent = device.status.capabilities.get("prevent").map(String::as_str);
    let lacks = |why: &str| {
        Text::new(format!("Prevention does not work there: {why}"), format!("実行の阻止が機能していません: {why}"))
    };
    let (state, reason) = match (missing, prevent) {
        (Some(why), _) => (DeviceEnforcement::Cannot, Some(why.clone())),
        (None, Some(why)) if why != "ok" => (DeviceEnforcement::Cannot, Some(lacks(why))),
        (None, _) if version.is_some_and(|version| has >= version) => (DeviceEnforcement::InForce, None),
        (None, _) => (DeviceEnforcement::NotYet, None),
    };
    DeviceReach { id: device.id, name: device.name.clone(), state, online: device.online, has, reason }
}
