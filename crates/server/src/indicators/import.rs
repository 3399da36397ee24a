//! Takes in lists of indicators, and takes them out again.

use super::{beyond_sensors, changed, guard, look, publish};
use crate::app::Ctx;
use crate::ids;
use anyhow::{Context, Result};
use hinomi_detect::indicator_list::{IndicatorList, REFUSALS_MAX};
use hinomi_model::{ImportId, Indicator, IndicatorImport, IndicatorKind, RefusedIndicator, Text};
use hinomi_store::{ListChange, Replaces};

/// Indicators written in one transaction: others get their turn in between.
const TOGETHER: usize = 2_000;

/// What a person asks for beside the list.
#[derive(Debug, Clone)]
pub struct Order {
    /// What the list is called.
    pub name: String,
    /// Who asks.
    pub by: String,
    /// What the list says about known values that counts.
    pub replaces: Replaces,
    /// Only look.
    pub dry_run: bool,
}

/// Takes in a list that was read. Cut short, it stays as far as it came, and the same list goes on
/// from there.
///
/// # Errors
/// When the store fails.
pub async fn take(ctx: &Ctx, list: IndicatorList, order: Order) -> Result<IndicatorImport> {
    let now = ctx.now();
    let id: ImportId = ids::new();
    let mut import = IndicatorImport {
        id,
        name: order.name,
        by: order.by.clone(),
        at: now,
        dry_run: order.dry_run,
        format: list.format,
        added: 0,
        changed: 0,
        unchanged: 0,
        refused_count: list.refused_count,
        refused: list.refused,
        beyond_sensors: 0,
        removed_at: None,
    };
    let own_domains = &ctx.config.gateway.own_domains;
    let mut patterns = ctx.indicators.get().patterns();
    let next = ctx.indicators.list().version + 1;
    let mut indicators = Vec::with_capacity(list.entries.len());
    for spec in list.entries {
        let ended = spec.expires_at.is_some_and(|end| end <= now);
        let ended = ended.then(|| Text::new("it has ended", "有効期限が切れています"));
        patterns += usize::from(spec.kind == IndicatorKind::SubjectPattern);
        let refused = ended
            .or_else(|| guard::refusal(&spec, own_domains))
            .or_else(|| (spec.kind == IndicatorKind::SubjectPattern).then(|| guard::patterns(patterns)).flatten());
        if let Some(reason) = refused {
            import.refused_count += 1;
            if import.refused.len() < REFUSALS_MAX {
                let value = spec.value.chars().take(120).collect();
                import.refused.push(RefusedIndicator { place: spec.kind.word(), value, reason });
            }
            continue;
        }
        indicators.push(Indicator {
            id: ids::new(),
            list_version: super::on_sensors(&spec).then_some(next),
            spec,
            created_by: order.by.clone(),
            created_at: now,
            incident_id: None,
            import_id: Some(id),
            hits: 0,
            last_hit: None,
            version: 1,
        });
    }
    for some in indicators.chunks(TOGETHER) {
        let change = if order.dry_run {
            ctx.store.compare_indicators(some, &order.replaces, now).await.context("compare indicators")?
        } else {
            let mut tx = ctx.store.begin().await?;
            let change = tx.add_indicators(some, &order.replaces, now).await.context("add indicators")?;
            add(&mut import, change);
            tx.put_import(&import).await?;
            tx.commit().await?;
            continue;
        };
        add(&mut import, change);
    }
    if !order.dry_run {
        let files = indicators.iter().any(|one| one.spec.kind == IndicatorKind::FileSha256);
        if import.added + import.changed > 0 {
            in_force(ctx, files).await?;
        }
        import.beyond_sensors = beyond_sensors(ctx);
        let days = ctx.config.indicators.look_back_days;
        let mut tx = ctx.store.begin().await?;
        tx.put_import(&import).await?;
        if days > 0 && import.added > 0 {
            look::order(&mut tx, look::Sought::Import(import.id), &order.by, days, true, now).await?;
        }
        tx.commit().await?;
    }
    Ok(import)
}

fn add(import: &mut IndicatorImport, change: ListChange) {
    import.added += change.added;
    import.changed += change.changed;
    import.unchanged += change.unchanged;
}

/// Takes out what a list added. What it changed stays changed.
///
/// # Errors
/// When the store fails.
pub async fn remove(ctx: &Ctx, mut import: IndicatorImport) -> Result<(IndicatorImport, u64)> {
    let mut removed = 0;
    loop {
        let mut tx = ctx.store.begin().await?;
        let some = tx.delete_imported(import.id, TOGETHER as i64).await?;
        if some == 0 {
            import.removed_at = Some(ctx.now());
            tx.put_import(&import).await?;
        }
        tx.commit().await?;
        removed += some;
        if some == 0 {
            break;
        }
    }
    in_force(ctx, true).await?;
    Ok((import, removed))
}

async fn in_force(ctx: &Ctx, files: bool) -> Result<()> {
    let mut tx = ctx.store.begin().await?;
    changed(&mut tx, files).await?;
    tx.commit().await?;
    publish(ctx, None, if files { ctx.hub.devices() } else { Vec::new() }.as_slice()).await
}
