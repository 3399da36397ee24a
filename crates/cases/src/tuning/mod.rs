//! Tuning: rules over an alert's evidence that hide it, resolve it or lower its severity.
//!
//! A rule sees what the alert itself says (rule, device, accounts, evidence), so the same code decides
//! when an alert is made and when a rule is tried on the alerts of the last weeks.

mod check;
mod facts;
mod like;
mod suggest;

pub use check::{TUNING_CONDITIONS_MAX, TUNING_VALUE_CHARS_MAX, TUNING_VALUES_MAX, TuningFault, check_tuning};
pub use suggest::suggest_tuning;

use crate::alert::{AlertDraft, next_steps};
use crate::playbook::Playbook;
use facts::Facts;
use hinomi_model::{
    Alert, AlertStatus, Classification, Determination, Text, Timestamp, Tuned, TuningAction, TuningCondition,
    TuningField, TuningOperator, TuningRule,
};
use like::Like;

/// Rules ready to be asked, in the order in which they are asked.
#[derive(Debug, Default)]
pub struct TuningSet {
    rules: Vec<Ready>,
    asks_tags: bool,
}

#[derive(Debug)]
struct Ready {
    rule: TuningRule,
    conditions: Vec<(TuningField, Vec<Like>)>,
}

impl TuningSet {
    /// Prepares rules. The strongest action is asked first, of equal ones the oldest rule. Those with a
    /// fault are for no alert.
    pub fn new(rules: Vec<TuningRule>) -> TuningSet {
        let mut rules: Vec<Ready> = rules.into_iter().filter_map(Ready::new).collect();
        rules.sort_by_key(|ready| (ready.rule.action, ready.rule.id));
        let asks_tags =
            rules.iter().any(|ready| ready.conditions.iter().any(|(field, _)| *field == TuningField::DeviceTag));
        TuningSet { rules, asks_tags }
    }

    /// True when there is nothing to ask.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// True when a rule looks at the tags of devices.
    pub fn asks_tags(&self) -> bool {
        self.asks_tags
    }

    /// Returns the rule that is for an alert and in force at `now`; `tags` are those of its device.
    ///
    /// A sensor somebody tampers with must not be silenced by a rule about something else: for such
    /// alerts only rules count that name the detection rule.
    pub fn rule_for(&self, alert: &Alert, tags: &[String], now: Timestamp) -> Option<&TuningRule> {
        let mut facts = None;
        let tampering = !self.rules.is_empty() && is_tampering(alert);
        let mut asked = self.rules.iter().filter(|ready| ready.rule.in_force(now));
        let found = asked.find(|ready| {
            let facts = facts.get_or_insert_with(|| Facts::of(alert, tags));
            (!tampering || names_rule(&ready.rule.conditions, &alert.rule_id)) && ready.holds(facts)
        });
        found.map(|ready| &ready.rule)
    }

    /// True when the conditions of a rule hold for a tampering alert that the rule does not name.
    pub fn spares(&self, alert: &Alert, tags: &[String]) -> bool {
        let facts = Facts::of(alert, tags);
        is_tampering(alert)
            && self.rules.iter().any(|ready| ready.holds(&facts) && !names_rule(&ready.rule.conditions, &alert.rule_id))
    }
}

impl Ready {
    fn new(rule: TuningRule) -> Option<Ready> {
        let conditions = rule.conditions.iter().map(|condition| {
            let likes = condition.values.iter().map(|value| Like::new(condition.operator, value));
            Some((condition.field, likes.collect::<Option<Vec<Like>>>()?))
        });
        let conditions = conditions.collect::<Option<Vec<_>>>()?;
        (!conditions.is_empty()).then_some(Ready { rule, conditions })
    }

    fn holds(&self, facts: &Facts) -> bool {
        self.conditions.iter().all(|(field, likes)| {
            let mut values = facts.values(*field);
            values.any(|value| likes.iter().any(|like| like.matches(value)))
        })
    }
}

/// True for alerts about a sensor, firewall or log that was switched off or removed: those the playbook
/// of the same name is for.
pub fn is_tampering(alert: &Alert) -> bool {
    Playbook::embedded("sensor_tampering").is_some_and(|playbook| playbook.fits(alert))
}

/// True when a condition names this detection rule itself.
fn names_rule(conditions: &[TuningCondition], rule_id: &str) -> bool {
    conditions.iter().any(|condition| {
        condition.field == TuningField::Rule
            && condition.operator == TuningOperator::Equals
            && condition.values.iter().any(|value| value.trim().eq_ignore_ascii_case(rule_id))
    })
}

/// Does to a new alert what a rule says. Hidden and resolved ones link with nothing and take in their
/// repetitions by a key of their own. Returns false when the rule has nothing to do: the severity is low
/// enough already.
pub fn tune(draft: &mut AlertDraft, rule: &TuningRule) -> bool {
    let alert = &mut draft.alert;
    let before = alert.severity;
    match rule.action {
        TuningAction::LowerSeverity => {
            let Some(severity) = rule.severity.filter(|severity| *severity < before) else { return false };
            alert.severity = severity;
            let own = alert.next_steps.iter().filter(|step| step.action.is_none());
            let texts: Vec<Text> = own.map(|step| step.text.clone()).collect();
            alert.next_steps = next_steps(&texts, alert);
        }
        TuningAction::Resolve => {
            alert.status = AlertStatus::Resolved;
            alert.classification = Classification::FalsePositive;
            alert.determination = Determination::NotMalicious;
        }
        TuningAction::Hide => {}
    }
    if rule.action != TuningAction::LowerSeverity {
        draft.links.clear();
        draft.dedupe = format!("tuned:{}:{}", rule.id, draft.dedupe);
    }
    alert.tuned = Some(Tuned { rule: rule.id, title: rule.title.clone(), action: rule.action, severity: before });
    true
}

#[cfg(test)]
mod tests;
