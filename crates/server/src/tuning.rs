//! Tuning rules in force, and what a new one would have done.

use crate::app::Ctx;
use anyhow::{Context, Result};
use hinomi_api::{AlertSummary, TuningPreview};
use hinomi_cases::{AlertDraft, TuningSet, tune};
use hinomi_model::{Alert, Classification, DeviceId, Severity, Text, Timestamp, TuningAction, TuningRule, Verdict};
use hinomi_store::{AlertFilter, Page, StoreError, Tx};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

/// Most tuning rules.
pub const RULES_MAX: usize = 1_000;
/// Days a preview looks back.
const PREVIEW_DAYS: i64 = 30;
/// Alerts a preview looks at.
const PREVIEW_ALERTS_MAX: i64 = 20_000;
/// Alerts a preview lists.
const PREVIEW_LISTED_MAX: usize = 100;
/// A rule for more than this share of all alerts is worth a second thought, percent.
const WIDE_PERCENT: i64 = 50;
/// Alerts needed to speak of a share.
const WIDE_ALERTS_MIN: i64 = 20;

/// The rules in force as the analyst sees them; readers keep what they took.
#[derive(Debug, Default)]
pub struct Current(RwLock<Arc<TuningSet>>);

impl Current {
    fn get(&self) -> Arc<TuningSet> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, set: TuningSet) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(set);
    }
}

/// Reads the rules from the store and puts them in force.
///
/// # Errors
/// When the store cannot be read; the rules before stay.
pub async fn load(ctx: &Ctx) -> Result<()> {
    // changes that cross are put in force in their order
    let _turn = ctx.rule_changes.lock().await;
    let rules = ctx.store.tuning_rules().await.context("read tuning rules")?;
    ctx.tuning.set(TuningSet::new(rules));
    Ok(())
}

/// Does to a new alert what a rule in force says, and counts it. Tests of rules and demos stay as they
/// are.
///
/// Whether a rule has expired is asked of the server's clock: what a device claims as the time of an
/// event must not bring an old rule back.
pub(crate) async fn apply(ctx: &Ctx, tx: &mut Tx, draft: &mut AlertDraft, now: Timestamp) -> Result<()> {
    let Some((set, tags)) = asked(ctx, tx, &draft.alert).await? else { return Ok(()) };
    if let Some(rule) = set.rule_for(&draft.alert, &tags, now)
        && tune(draft, rule)
    {
        tx.count_tuning_hit(rule.id, draft.alert.last_activity).await?;
    }
    Ok(())
}

/// True when a sign that may be too weak for an alert is to be left out: it adds up to nothing. That is
/// counted.
pub(crate) async fn excludes(ctx: &Ctx, tx: &mut Tx, draft: &AlertDraft, now: Timestamp) -> Result<bool> {
    let Some((set, tags)) = asked(ctx, tx, &draft.alert).await? else { return Ok(false) };
    match set.rule_for(&draft.alert, &tags, now) {
        Some(rule) if rule.action != TuningAction::LowerSeverity => {
            tx.count_tuning_hit(rule.id, draft.alert.last_activity).await?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

async fn asked(ctx: &Ctx, tx: &mut Tx, alert: &Alert) -> Result<Option<(Arc<TuningSet>, Vec<String>)>> {
    let set = ctx.tuning.get();
    if set.is_empty() || alert.test || alert.id.demo().is_some() {
        return Ok(None);
    }
    let device = match &alert.device {
        Some(device) if set.asks_tags() => tx.device(device.id).await?,
        _ => None,
    };
    Ok(Some((set, device.map(|device| device.tags).unwrap_or_default())))
}

/// Tells what a rule would have done to the alerts of the last 30 days, were it in force alone.
///
/// # Errors
/// When the store cannot be read.
pub async fn preview(ctx: &Ctx, rule: TuningRule) -> Result<TuningPreview, StoreError> {
    let now = ctx.now();
    let (action, lowered) = (rule.action, rule.severity);
    let set = TuningSet::new(vec![TuningRule { enabled: true, expires_at: None, ..rule }]);
    let filter = AlertFilter { since: Some(now.plus_seconds(-PREVIEW_DAYS * 24 * 3600)), ..AlertFilter::default() };
    let mut tags: HashMap<DeviceId, Vec<String>> = HashMap::new();
    let mut seen = TuningPreview {
        days: PREVIEW_DAYS,
        looked_at: 0,
        complete: true,
        matches: 0,
        high: 0,
        true_positives: 0,
        malicious: 0,
        devices: 0,
        spared: 0,
        alerts: Vec::new(),
        warnings: Vec::new(),
    };
    let mut devices = BTreeSet::new();
    let mut page = Page::first(hinomi_store::PAGE_LIMIT_MAX);
    loop {
        let listed = ctx.store.alerts(&filter, &page).await?;
        for alert in listed.items.into_iter().filter(|alert| !alert.test && alert.id.demo().is_none()) {
            seen.looked_at += 1;
            let own = match &alert.device {
                Some(device) if set.asks_tags() => {
                    if !tags.contains_key(&device.id) {
                        let known = ctx.store.device(device.id).await?.map(|device| device.tags);
                        tags.insert(device.id, known.unwrap_or_default());
                    }
                    tags.get(&device.id).map(Vec::as_slice).unwrap_or_default()
                }
                _ => &[],
            };
            let lowers = lowered.is_none_or(|severity| severity < alert.severity);
            if set.rule_for(&alert, own, now).is_some() && lowers {
                devices.extend(alert.device.as_ref().map(|device| device.id));
                count(&mut seen, alert);
            } else if set.spares(&alert, own) {
                seen.spared += 1;
            }
        }
        match listed.next {
            Some(_) if seen.looked_at >= PREVIEW_ALERTS_MAX => {
                seen.complete = false;
                break;
            }
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    seen.devices = devices.len() as i64;
    seen.alerts.sort_by_key(order);
    seen.alerts.truncate(PREVIEW_LISTED_MAX);
    seen.warnings = warnings(&seen, action);
    Ok(seen)
}

fn count(seen: &mut TuningPreview, alert: Alert) {
    seen.matches += 1;
    seen.high += i64::from(alert.severity == Severity::High);
    seen.true_positives += i64::from(alert.classification == Classification::TruePositive);
    seen.malicious += i64::from(alert.evidence.iter().any(|piece| piece.verdict == Verdict::Malicious));
    seen.alerts.push(AlertSummary::new(alert, None));
    if seen.alerts.len() >= 2 * PREVIEW_LISTED_MAX {
        seen.alerts.sort_by_key(order);
        seen.alerts.truncate(PREVIEW_LISTED_MAX);
    }
}

fn order(alert: &AlertSummary) -> impl Ord + use<> {
    let real = alert.classification == Classification::TruePositive;
    std::cmp::Reverse((real, alert.severity, alert.last_activity, alert.id))
}

fn warnings(seen: &TuningPreview, action: TuningAction) -> Vec<Text> {
    let mut warnings = Vec::new();
    let (en, ja) = match action {
        TuningAction::Hide => ("have hidden", "非表示になって"),
        TuningAction::Resolve => ("have resolved", "解決済みになって"),
        TuningAction::LowerSeverity => ("have told as less severe", "重大度が下がって"),
    };
    let mut of = |number: i64, what_en: &str, what_ja: &str| {
        if number > 0 {
            let en = format!("It would {en} {number} of the alerts {what_en}.");
            warnings.push(Text::new(en, format!("{what_ja}アラート {number} 件が{ja}いたはずです。")));
        }
    };
    of(seen.true_positives, "that turned out to be real attacks", "本物の攻撃と分類された");
    of(seen.malicious, "with evidence judged malicious", "証拠が悪意ありと判定された");
    of(seen.high, "of severity high", "重大度が高の");
    if seen.looked_at >= WIDE_ALERTS_MIN && seen.matches * 100 > seen.looked_at * WIDE_PERCENT {
        let percent = seen.matches * 100 / seen.looked_at;
        warnings.push(Text::new(
            format!("It is for {percent} % of all alerts: add a condition."),
            format!("全アラートの {percent} % が対象です。条件を追加してください。"),
        ));
    }
    if seen.spared > 0 {
        let number = seen.spared;
        warnings.push(Text::new(
            format!(
                "{number} alerts about sensor tampering stay as they are: no condition names their detection rule."
            ),
            format!(
                "センサーへの妨害に関するアラート {number} 件は対象外です。検知ルールを名指しする条件がないためです。"
            ),
        ));
    }
    warnings
}
