//! Whether a rule can be taken as it is written.

use super::like::Like;
use hinomi_model::{Severity, Text, TuningAction, TuningCondition, TuningField, TuningOperator};

/// Most conditions of a rule.
pub const TUNING_CONDITIONS_MAX: usize = 12;
/// Most values of a condition.
pub const TUNING_VALUES_MAX: usize = 20;
/// Longest value of a condition, characters.
pub const TUNING_VALUE_CHARS_MAX: usize = 1_024;

/// What is wrong with a rule, and in which field of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TuningFault {
    /// Field (`conditions`, `severity`).
    pub field: &'static str,
    /// What is wrong.
    pub text: Text,
}

/// Checks conditions and action.
///
/// # Errors
/// The first fault.
pub fn check_tuning(
    conditions: &[TuningCondition],
    action: TuningAction,
    severity: Option<Severity>,
) -> Result<(), TuningFault> {
    let fault = |field, en: String, ja: String| Err(TuningFault { field, text: Text::new(en, ja) });
    let lowers = action == TuningAction::LowerSeverity;
    if lowers != severity.is_some() || severity == Some(Severity::High) {
        let en = "lowerSeverity needs a severity below high, the other actions none";
        return fault(
            "severity",
            en.to_owned(),
            "lowerSeverity には高より低い重大度が必要です。ほかの動作では指定できません".to_owned(),
        );
    }
    if conditions.is_empty() || conditions.len() > TUNING_CONDITIONS_MAX {
        let most = TUNING_CONDITIONS_MAX;
        return fault("conditions", format!("1 to {most} conditions"), format!("条件は 1〜{most} 個です"));
    }
    for (at, condition) in conditions.iter().enumerate() {
        if let Err(text) = check_condition(condition) {
            let number = at + 1;
            let (en, ja) = (format!("condition {number}: {}", text.en), format!("条件 {number}: {}", text.ja));
            return fault("conditions", en, ja);
        }
    }
    let place = |field| {
        matches!(field, TuningField::Device | TuningField::DeviceTag | TuningField::User | TuningField::Recipient)
    };
    if conditions.iter().all(|condition| place(condition.field)) {
        return fault(
            "conditions",
            "a rule must say what it is about, not only where: add the detection rule, a file, a command line, an \
             address, a sender or a subject"
                .to_owned(),
            "場所だけでなく対象も指定してください。検知ルール、ファイル、コマンド ライン、通信先、送信者、件名のいずれかを条件に加えます"
                .to_owned(),
        );
    }
    Ok(())
}

fn check_condition(condition: &TuningCondition) -> Result<(), Text> {
    let TuningCondition { field, operator, values } = condition;
    if values.is_empty() || values.len() > TUNING_VALUES_MAX {
        return Err(Text::new(
            format!("1 to {TUNING_VALUES_MAX} values"),
            format!("値は 1〜{TUNING_VALUES_MAX} 個です"),
        ));
    }
    if *operator == TuningOperator::Cidr && *field != TuningField::Address {
        return Err(Text::new("cidr is for addresses only", "cidr はアドレスにだけ使えます"));
    }
    for value in values {
        let shown: String = value.chars().take(60).collect();
        if value.chars().count() > TUNING_VALUE_CHARS_MAX {
            return Err(Text::new(
                format!("{shown}…: at most {TUNING_VALUE_CHARS_MAX} characters"),
                format!("{shown}…: {TUNING_VALUE_CHARS_MAX} 文字までです"),
            ));
        }
        let hash = value.trim();
        let whole = *operator == TuningOperator::Equals;
        if *field == TuningField::FileSha256 && whole && !crate::sighting::is_sha256(hash) {
            return Err(Text::new(format!("{shown}: no SHA-256"), format!("{shown}: SHA-256 ではありません")));
        }
        if Like::new(*operator, value).is_none() {
            return Err(Text::new(
                format!("{shown:?} does not fit {}", operator.word()),
                format!("「{shown}」は {} の値として使えません", operator.word()),
            ));
        }
    }
    Ok(())
}
