//! The state an investigation ends in.

use hinomi_model::{
    Action, ActionState, DeviceId, Evidence, Investigation, InvestigationState, StepState, Text, Verdict,
};
use std::collections::BTreeSet;

/// Derives the state from steps, evidence and actions once no step is open. States a person or the
/// system forced stay.
pub fn final_state(investigation: &Investigation, actions: &[Action]) -> (InvestigationState, Option<Text>) {
    use InvestigationState as State;
    if matches!(investigation.state, State::TerminatedByUser | State::TerminatedBySystem) {
        return (investigation.state, investigation.state_reason.clone());
    }
    let open = |step: &&hinomi_model::Step| matches!(step.state, StepState::Pending | StepState::Running);
    if investigation.steps.iter().any(|step| open(&step)) {
        return (if investigation.state == State::Queued { State::Queued } else { State::Running }, None);
    }
    let failed: Vec<&hinomi_model::Step> =
        investigation.steps.iter().filter(|step| step.state == StepState::Failed).collect();
    let failure = failed.first().map(|step| {
        Text::new(
            format!("Step \"{}\" failed: {}", step.title.en, step.result.en),
            format!("手順「{}」に失敗しました: {}", step.title.ja, step.result.ja),
        )
    });
    let count = |states: &[ActionState]| actions.iter().filter(|action| states.contains(&action.state)).count();
    let pending = count(&[ActionState::PendingApproval]);
    if pending > 0 {
        let waits = Text::new(
            format!("{pending} actions wait for approval."),
            format!("{pending} 件の対処が承認を待っています。"),
        );
        return (State::PendingApproval, Some(join(waits, failure)));
    }
    if count(&[ActionState::Running, ActionState::Paused, ActionState::Cancelling]) > 0 {
        return (State::Running, failure);
    }
    let queued = count(&[ActionState::Queued]);
    if queued > 0 {
        let waits = Text::new(
            format!("{queued} actions wait for a device that is offline."),
            format!("{queued} 件の対処がオフラインのデバイスを待っています。"),
        );
        return (State::PendingResource, Some(join(waits, failure)));
    }
    let away: BTreeSet<DeviceId> = investigation.steps.iter().flat_map(|step| step.waits_for.clone()).collect();
    let done = !actions.is_empty() && count(&[ActionState::Succeeded]) == actions.len();
    if !away.is_empty() && !done {
        let number = away.len();
        let waits = Text::new(
            format!("{number} devices are away; it goes on when they are back."),
            format!("{number} 台のデバイスがオフラインです。接続されると調査を再開します。"),
        );
        return (State::PendingResource, Some(join(waits, failure)));
    }
    let judged = investigation.steps.iter().any(|step| step.name == "judge" && step.state == StepState::Done);
    if let Some(failure) = failure {
        return (if judged { State::PartiallyInvestigated } else { State::Failed }, Some(failure));
    }
    let bad = |piece: &&Evidence| piece.verdict >= Verdict::Suspicious;
    if !investigation.evidence.iter().any(|piece| bad(&piece)) {
        return (State::Benign, None);
    }
    let good = count(&[ActionState::Succeeded]);
    let expired = count(&[ActionState::Expired]);
    match actions.len() {
        0 => (
            State::PartiallyInvestigated,
            Some(Text::new(
                "Nothing found can be dealt with automatically.",
                "自動で対処できるものはありませんでした。",
            )),
        ),
        all if good == all => (State::SuccessfullyRemediated, None),
        all if expired == all => (
            State::TerminatedBySystem,
            Some(Text::new("Nobody approved the actions in time.", "期限までに承認されませんでした。")),
        ),
        all => (
            State::PartiallyRemediated,
            Some(Text::new(
                format!("{good} of {all} actions succeeded."),
                format!("{all} 件中 {good} 件の対処が成功しました。"),
            )),
        ),
    }
}

fn join(first: Text, more: Option<Text>) -> Text {
    match more {
        None => first,
        Some(more) => Text::new(format!("{} {}", first.en, more.en), format!("{} {}", first.ja, more.ja)),
    }
}
