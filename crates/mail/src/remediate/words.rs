//! Outcomes in words.

use super::engine::chain;
use super::{Candidate, Outcome, RemediateError, Step};
use hinomi_model::{MessageCopyRef, MessageRemedy, ReceiptState, Text};

/// What one remedy reached in one mailbox.
pub(super) struct Treated {
    pub remedy: MessageRemedy,
    pub steps: Vec<Step>,
    pub differing: Vec<Candidate>,
    /// Mails that were at their destination before.
    pub already: usize,
}

/// Makes the outcome of a remedy.
pub(super) fn treated(copy: &MessageCopyRef, all: Treated) -> Outcome {
    let Treated { remedy, steps, differing, already } = all;
    let from = folders(&steps);
    let (state, mut detail) = match (steps.is_empty(), already) {
        (false, _) => (ReceiptState::Done, done(remedy, &from, &steps)),
        (true, 0) => (
            ReceiptState::NotFound,
            Text::new("Not in any folder of the mailbox", "メールボックスのどのフォルダーにもありません"),
        ),
        (true, _) => (ReceiptState::AlreadyDone, Text::new("Already at its destination", "すでに移動先にあります")),
    };
    if !differing.is_empty() {
        let others = differing.len();
        detail.en.push_str(&format!("; {others} other mail(s) with the same Message-ID but other content left alone"));
        detail.ja.push_str(&format!("。Message-ID は同じでも内容が異なるメール {others} 通はそのままです"));
    }
    Outcome { copy: copy.clone(), state, detail, steps, differing }
}

fn done(remedy: MessageRemedy, from: &str, steps: &[Step]) -> Text {
    match remedy {
        MessageRemedy::SoftDelete | MessageRemedy::MoveToQuarantine => Text::new(
            format!("Taken out of {from}; a look afterwards shows it gone"),
            format!("{from} から取り除きました。確認済み: もうありません"),
        ),
        MessageRemedy::HardDelete => Text::new(
            format!("Removed from {from} for good; a look afterwards shows it gone"),
            format!("{from} から完全に削除しました。確認済み: もうありません"),
        ),
        MessageRemedy::MoveToJunk | MessageRemedy::MoveToInbox | MessageRemedy::MoveToDeletedItems => {
            let target = steps.iter().find_map(|step| step.moved_to.as_ref());
            let target = target.map(|place| place.folder.name.as_str()).unwrap_or_default();
            Text::new(
                format!("Moved from {from} to {target}; the server told its new place"),
                format!("{from} から {target} へ移動しました。サーバーが新しい位置を示しました"),
            )
        }
    }
}

/// Makes the outcome of putting back.
pub(super) fn restored(copy: &MessageCopyRef, steps: Vec<Step>) -> Outcome {
    let (back, gone): (Vec<&Step>, Vec<&Step>) = steps.iter().partition(|step| step.restored.is_some());
    let irreversible = gone.iter().any(|step| step.vault_key.is_none() && step.moved_to.is_none());
    let lost: Vec<&Text> = back.iter().filter_map(|step| step.restored.as_ref()).flat_map(|one| &one.lost).collect();
    let folders = folders(&steps);
    let (state, detail) = match (back.is_empty(), gone.is_empty()) {
        (true, false) if irreversible => (
            ReceiptState::Failed,
            Text::new("It was removed for good: there is no copy", "完全に削除されたため、写しがありません"),
        ),
        (true, _) => (
            ReceiptState::NotFound,
            Text::new(
                "It is no longer where it was moved to: its owner has dealt with it",
                "移動先にもうありません。所有者が操作したようです",
            ),
        ),
        (false, false) => (
            ReceiptState::Failed,
            Text::new(
                format!("{} of {} mails are back in {folders}", back.len(), steps.len()),
                format!("{} 通中 {} 通を {folders} に戻しました", steps.len(), back.len()),
            ),
        ),
        (false, true) if lost.is_empty() => (
            ReceiptState::Done,
            Text::new(
                format!("Back in {folders}, the same byte for byte"),
                format!("{folders} に戻しました。内容は 1 バイトも違いません"),
            ),
        ),
        (false, true) => {
            let (en, ja): (Vec<&str>, Vec<&str>) = lost.iter().map(|text| (text.en.as_str(), text.ja.as_str())).unzip();
            (
                ReceiptState::Done,
                Text::new(
                    format!("Back in {folders} with the same content, but not all as before: {}", en.join("; ")),
                    format!("{folders} に戻しました。内容は同じですが、元どおりでない点があります: {}", ja.join("、")),
                ),
            )
        }
    };
    Outcome { copy: copy.clone(), state, detail, steps, differing: Vec::new() }
}

/// An outcome that is not journalled: the intent stays open, so running the action again resumes.
pub(super) fn failed(copy: &MessageCopyRef, error: &RemediateError) -> Outcome {
    let why = chain(error);
    let ja = match error {
        RemediateError::Connector(crate::connector::ConnectorError::Unable(text)) => text.ja.clone(),
        _ => why.clone(),
    };
    Outcome {
        copy: copy.clone(),
        state: ReceiptState::Failed,
        detail: Text::new(format!("Failed: {why}"), format!("失敗しました: {ja}")),
        steps: Vec::new(),
        differing: Vec::new(),
    }
}

fn folders(steps: &[Step]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for step in steps {
        let name = step.located.place.folder.name.as_str();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(", ")
}
