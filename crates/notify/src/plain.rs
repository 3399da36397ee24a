//! Words of notifications that are not about an alert, in both languages.

use hinomi_model::Language;

/// Words of a notification that is not about an alert.
pub struct PlainWords {
    language: Language,
    /// On the button.
    pub open: &'static str,
    /// Before the title of an alert nobody has taken.
    pub escalation: &'static str,
    /// Heading over actions that wait.
    pub waiting: &'static str,
    /// Label of the time the first of them expires.
    pub expires: &'static str,
    /// Title: a device is silent.
    pub silent: &'static str,
    /// Label of its last contact.
    pub last_seen: &'static str,
    /// Title: a mail system is away.
    pub connector: &'static str,
    /// Title: a feed of indicators cannot be fetched.
    pub feed: &'static str,
    /// What to do about it.
    pub feed_step: &'static str,
    /// Heading over the lines of a digest.
    pub held: &'static str,
    /// Title of a test.
    pub test: &'static str,
}

const EN: PlainWords = PlainWords {
    language: Language::En,
    open: "Open the console",
    escalation: "Nobody has taken this yet",
    waiting: "Waiting for a person",
    expires: "Expires",
    silent: "A device has not been heard of",
    last_seen: "Last seen",
    connector: "A mail system does not answer",
    feed: "A feed of indicators cannot be fetched",
    feed_step: "Find out why with `hinomi indicators feeds`.",
    held: "Since the last digest",
    test: "Test of a notification channel",
};

const JA: PlainWords = PlainWords {
    language: Language::Ja,
    open: "コンソールを開く",
    escalation: "担当者がまだ決まっていません",
    waiting: "承認待ちの対応",
    expires: "期限",
    silent: "端末からの通信が途絶えています",
    last_seen: "最終通信",
    connector: "メールシステムが応答しません",
    feed: "インジケーターのフィードを取得できません",
    feed_step: "`hinomi indicators feeds` で原因を確認してください。",
    held: "前回のまとめ以降",
    test: "通知先のテスト",
};

impl PlainWords {
    /// Returns the words of a language.
    pub fn of(language: Language) -> &'static PlainWords {
        match language {
            Language::En => &EN,
            Language::Ja => &JA,
        }
    }

    fn is_japanese(&self) -> bool {
        self.language == Language::Ja
    }

    /// Title: so many actions wait.
    pub fn approvals(&self, count: usize) -> String {
        match (self.is_japanese(), count) {
            (true, _) => format!("{count} 件の対応が承認を待っています"),
            (false, 1) => "1 action waits for approval".to_owned(),
            (false, _) => format!("{count} actions wait for approval"),
        }
    }

    /// Title: they expire soon.
    pub fn expiring(&self, count: usize) -> String {
        match (self.is_japanese(), count) {
            (true, _) => format!("承認待ちの対応 {count} 件の期限が近づいています"),
            (false, 1) => "1 action expires soon without approval".to_owned(),
            (false, _) => format!("{count} actions expire soon without approval"),
        }
    }

    /// Title: nobody has answered.
    pub fn unanswered(&self, count: usize) -> String {
        match (self.is_japanese(), count) {
            (true, _) => format!("承認待ちの対応 {count} 件に、まだ誰も回答していません"),
            (false, 1) => "Nobody has answered: 1 action waits for approval".to_owned(),
            (false, _) => format!("Nobody has answered: {count} actions wait for approval"),
        }
    }

    /// Title of a digest of so many.
    pub fn digest(&self, count: usize) -> String {
        match (self.is_japanese(), count) {
            (true, _) => format!("通知のまとめ: {count} 件"),
            (false, 1) => "Digest: 1 notification".to_owned(),
            (false, _) => format!("Digest: {count} notifications"),
        }
    }

    /// Last line of a digest that tells not all.
    pub fn more(&self, count: usize) -> String {
        if self.is_japanese() { format!("ほか {count} 件") } else { format!("and {count} more") }
    }

    /// Who tried the channel.
    pub fn test_story(&self, by: &str) -> String {
        if self.is_japanese() {
            format!("{by} がこの通知先を試しました。この通知が届けば、設定は正しく動作しています。")
        } else {
            format!("{by} tried this channel. If you can read this, it works.")
        }
    }

    /// What to do about a mail system that is away.
    pub fn connector_step(&self, name: &str) -> String {
        if self.is_japanese() {
            format!("`hinomi mail connector test {name} --mailbox アドレス` で原因を確認してください。")
        } else {
            format!("Find out why with `hinomi mail connector test {name} --mailbox ADDRESS`.")
        }
    }

    /// Why the reader gets this; an empty rule: none asked for it.
    pub fn why(&self, rule: &str) -> String {
        match (self.is_japanese(), rule.is_empty()) {
            (true, true) => "Hinomi の通知設定に登録された通知先のため送信しました。".to_owned(),
            (true, false) => format!("Hinomi の通知ルール「{rule}」により送信しました。"),
            (false, true) => "You get this because the channel is in the notification settings of Hinomi.".to_owned(),
            (false, false) => {
                format!("You get this because of the rule \"{rule}\" in the notification settings of Hinomi.")
            }
        }
    }
}
