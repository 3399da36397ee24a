//! What users are told.

use super::{Message, printable};
use hinomi_model::{DetectionStatus, Text};

/// Longest untrusted part (a path, a name) shown.
const PART_CHARS_MAX: usize = 120;

/// A blocked file was kept from running.
pub fn blocked_file(path: &str) -> Message {
    let path = part(path);
    Message {
        title: Text::new("Hinomi: blocked file stopped", "Hinomi: ブロック対象ファイルの実行を阻止しました"),
        body: Text::new(
            format!("{path} was not run because your administrator blocks it."),
            format!("{path} は管理者によってブロックされているため、実行されませんでした。"),
        ),
        urgent: true,
    }
}

/// A rule fired.
pub fn detection(title: &Text, process: &str, status: DetectionStatus) -> Message {
    let process = part(process);
    let (en, ja) = match status {
        DetectionStatus::Prevented => ("It was kept from running.", "実行される前に阻止しました。"),
        DetectionStatus::Blocked => ("It was stopped.", "停止しました。"),
        DetectionStatus::Failed => (
            "It could not be stopped. Save your work and tell your administrator.",
            "停止できませんでした。作業を保存し、管理者に連絡してください。",
        ),
        DetectionStatus::Detected => (
            "It may still be active. Your administrator is informed.",
            "まだ動作している可能性があります。管理者に通知されます。",
        ),
    };
    Message {
        title: Text::new("Hinomi: threat detected", "Hinomi: 脅威を検出しました"),
        body: Text::new(format!("{} ({process}). {en}", title.en), format!("{}（{process}）。{ja}", title.ja)),
        urgent: true,
    }
}

fn part(text: &str) -> String {
    let clean = printable(text);
    if clean.chars().count() <= PART_CHARS_MAX {
        return clean;
    }
    let tail: Vec<char> = clean.chars().rev().take(PART_CHARS_MAX - 1).collect();
    std::iter::once('…').chain(tail.into_iter().rev()).collect()
}
