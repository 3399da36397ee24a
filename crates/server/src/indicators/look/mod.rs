//! Looks back: a new indicator is compared with the events and mail that are already there.
//!
//! One job per look compares day by day and notes after each how far it came, so that a server that is
//! killed repeats at most a day. What was found is counted and alerted in one transaction; what asks
//! for it is then taken away by actions of their own, each under a key that never orders it twice.

mod compare;
mod found;
mod remedy;

use super::IN_FORCE_MAX;
use crate::app::Ctx;
use crate::ids;
use crate::jobs::Outcome;
use anyhow::{Context, Result};
use found::Kept;
use hinomi_detect::IndicatorSet;
use hinomi_model::{
    ImportId, Indicator, IndicatorAction, IndicatorId, IndicatorLook, LookId, LookState, Text, Timestamp,
};
use hinomi_store::{Job, StoreError, Tx};
use serde_json::json;
use std::collections::HashMap;

/// Kind of the job that looks back.
pub const JOB: &str = "indicator_look";
/// Days looked back at most.
pub const DAYS_MAX: i64 = 365;
/// Indicators named one by one in a look.
pub const INDICATORS_MAX: usize = 200;
const DAY_SECONDS: i64 = 24 * 3600;
/// Indicators of a list read at a time.
const READ_TOGETHER: i64 = 20_000;

/// What to look for.
#[derive(Debug, Clone)]
pub enum Sought {
    /// These indicators.
    Indicators(Vec<IndicatorId>),
    /// What a list added.
    Import(ImportId),
}

/// Orders a look back inside the transaction that puts the indicators in force. `first` when nobody has
/// looked back for them before: then what is found is counted.
///
/// # Errors
/// When the store fails.
pub async fn order(
    tx: &mut Tx,
    sought: Sought,
    by: &str,
    days: i64,
    first: bool,
    now: Timestamp,
) -> Result<IndicatorLook, StoreError> {
    let (indicators, import_id) = match sought {
        Sought::Indicators(ids) => (ids, None),
        Sought::Import(id) => (Vec::new(), Some(id)),
    };
    let days = days.clamp(1, DAYS_MAX);
    let look = IndicatorLook {
        id: ids::new(),
        by: by.to_owned(),
        at: now,
        state: LookState::Waiting,
        indicators,
        import_id,
        from: now.plus_seconds(-days * DAY_SECONDS),
        to: now,
        days_done: 0,
        days,
        events: 0,
        messages: 0,
        truncated: false,
        counts: first,
        found: Vec::new(),
        found_count: 0,
        finished_at: None,
        reason: None,
    };
    tx.put_look(&look, "").await?;
    tx.enqueue(Job {
        kind: JOB.to_owned(),
        key: format!("indicator_look:{}", look.id),
        payload: json!({"look": look.id.to_string()}).to_string(),
        run_at: now,
    })
    .await?;
    Ok(look)
}

/// Looks back, from where an attempt before came to.
///
/// # Errors
/// When something cannot be read; the job tries again.
pub(crate) async fn run(ctx: &Ctx, payload: &str) -> Result<Outcome> {
    let Some((mut look, kept)) = ctx.store.look(id_of(payload)?).await? else { return Ok(Outcome::Done) };
    if matches!(look.state, LookState::Done | LookState::Failed) {
        return Ok(Outcome::Done);
    }
    let mut kept = Kept::read(&kept)?;
    if look.state != LookState::Remediating {
        let sought = sought(ctx, &look).await?;
        let set = IndicatorSet::new(&sought);
        look.state = LookState::Running;
        while look.days_done < look.days && !set.is_empty() {
            if ctx.stop.is_cancelled() {
                return Ok(Outcome::Later(ctx.now()));
            }
            compare::day(ctx, &set, &mut look, &mut kept).await?;
            look.days_done += 1;
            look.truncated |= kept.is_full();
            save(ctx, &look, &kept).await?;
            if look.truncated {
                break;
            }
        }
        let known: HashMap<IndicatorId, Indicator> = sought.into_iter().map(|one| (one.id, one)).collect();
        found::tell(ctx, &mut look, &mut kept, &known).await?;
    }
    remedy::order(ctx, &mut look, &kept).await?;
    look.state = LookState::Done;
    look.finished_at = Some(ctx.now());
    save(ctx, &look, &Kept::default()).await?;
    Ok(Outcome::Done)
}

/// Marks a look failed whose job gave up.
///
/// # Errors
/// When the store fails.
pub(crate) async fn give_up(ctx: &Ctx, payload: &str, error: &str) -> Result<()> {
    let Some((mut look, _)) = ctx.store.look(id_of(payload)?).await? else { return Ok(()) };
    look.state = LookState::Failed;
    look.reason = Some(Text::new(format!("Gave up: {error}"), format!("中止しました: {error}")));
    look.finished_at = Some(ctx.now());
    save(ctx, &look, &Kept::default()).await
}

fn id_of(payload: &str) -> Result<LookId> {
    let payload: serde_json::Value = serde_json::from_str(payload).context("read job of a look back")?;
    payload["look"].as_str().unwrap_or_default().parse().context("read id of a look back")
}

async fn save(ctx: &Ctx, look: &IndicatorLook, kept: &Kept) -> Result<()> {
    Ok(ctx.store.put_look(look, &kept.write()?).await?)
}

/// The indicators to look for that are in force and say more than allow.
async fn sought(ctx: &Ctx, look: &IndicatorLook) -> Result<Vec<Indicator>> {
    let mut sought = Vec::new();
    for id in &look.indicators {
        sought.extend(ctx.store.indicator(*id).await?);
    }
    if let Some(import) = look.import_id {
        loop {
            let after = sought.last().map(|last: &Indicator| last.id);
            let some = ctx.store.indicators_of_import(import, after, READ_TOGETHER).await?;
            let last = (some.len() as i64) < READ_TOGETHER;
            sought.extend(some);
            if last || sought.len() >= IN_FORCE_MAX {
                break;
            }
        }
    }
    let now = ctx.now();
    let counts =
        |one: &Indicator| one.spec.action != IndicatorAction::Allow && one.spec.expires_at.is_none_or(|end| end > now);
    sought.retain(counts);
    Ok(sought)
}
