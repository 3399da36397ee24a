//! Words in both languages.

use hinomi_model::{DetectionStatus, Language, Severity};

/// Words of the notifications in one language.
pub(crate) struct Words {
    /// Stands in the subject of a mail about a demo.
    pub demo: &'static str,
    pub severities: [&'static str; 4],
    pub device: &'static str,
    pub user: &'static str,
    pub mailboxes: &'static str,
    pub and_more: &'static str,
    pub time: &'static str,
    pub technique: &'static str,
    pub status: &'static str,
    pub reason: &'static str,
    pub evidence: &'static str,
    pub incident: &'static str,
    pub statuses: [&'static str; 4],
    pub done: &'static str,
    pub next: &'static str,
    pub open: &'static str,
    pub severity_label: &'static str,
}

impl Words {
    pub fn of(language: Language) -> &'static Words {
        match language {
            Language::En => &EN,
            Language::Ja => &JA,
        }
    }

    pub fn severity(&self, severity: Severity) -> &'static str {
        self.severities[severity as usize]
    }

    pub fn status_of(&self, status: DetectionStatus) -> &'static str {
        match status {
            DetectionStatus::Prevented => self.statuses[0],
            DetectionStatus::Blocked => self.statuses[1],
            DetectionStatus::Detected => self.statuses[2],
            DetectionStatus::Failed => self.statuses[3],
        }
    }
}

const EN: Words = Words {
    demo: "[Demo]",
    severities: ["Informational", "Low", "Medium", "High"],
    device: "Device",
    user: "User",
    mailboxes: "Mailboxes",
    and_more: "and more:",
    time: "Time",
    technique: "Technique",
    status: "Status",
    reason: "Reason",
    evidence: "Evidence",
    incident: "Incident",
    statuses: [
        "Prevented: it never ran",
        "Blocked: it ran and was stopped",
        "Detected: it may still be active",
        "Failed: it could not be stopped",
    ],
    done: "What was done",
    next: "Next steps",
    open: "Open incident",
    severity_label: "Severity",
};

const JA: Words = Words {
    demo: "[デモ]",
    severities: ["情報", "低", "中", "高"],
    device: "端末",
    user: "ユーザー",
    mailboxes: "メールボックス",
    and_more: "ほか",
    time: "時刻",
    technique: "手法",
    status: "状態",
    reason: "理由",
    evidence: "証拠",
    incident: "インシデント",
    statuses: [
        "防止: 実行されませんでした",
        "ブロック: 実行後に停止しました",
        "検出: まだ動作している可能性があります",
        "失敗: 停止できませんでした",
    ],
    done: "実施した対応",
    next: "次の手順",
    open: "インシデントを開く",
    severity_label: "重大度",
};
