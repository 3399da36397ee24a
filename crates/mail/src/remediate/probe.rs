//! Checks a connector end to end with a mail of our own: stored, found, moved, removed, put back,
//! deleted. What it leaves behind when a step fails is named.

use super::engine::chain;
use super::{Engine, Entry, Finding, Identity, Intent, Journal, Outcome, StoredMail, Vault, Wanted};
use crate::connector::{ConnectorError, FolderRole, Mail, NewMail};
use crate::imap::internal_date_of;
use crate::parse::analyse;
use bytes::Bytes;
use futures::future::BoxFuture;
use hinomi_model::{MessageCopyRef, MessageId, MessageRemedy, ReceiptState, Text};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One step of the check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeStep {
    /// What was tried.
    pub what: Text,
    /// Whether it worked.
    pub ok: bool,
    /// What came of it.
    pub detail: Text,
}

/// What a check showed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Probe {
    /// Steps, in order; the first that fails is the last.
    pub steps: Vec<ProbeStep>,
    /// What the mail system lacks, and what that means.
    pub missing: Vec<Text>,
}

impl Probe {
    /// True when every step worked.
    pub fn ok(&self) -> bool {
        !self.steps.is_empty() && self.steps.iter().all(|step| step.ok)
    }

    fn note(&mut self, en: &str, ja: &str, done: Result<Text, Text>) -> bool {
        let ok = done.is_ok();
        let detail = done.unwrap_or_else(|detail| detail);
        self.steps.push(ProbeStep { what: Text::new(en, ja), ok, detail });
        ok
    }
}

impl Engine {
    /// Checks the mail system with a probe mail in `mailbox`. `id` names the probe, `now` is its
    /// date, seconds since 1970.
    pub async fn probe(&self, mailbox: &str, id: MessageId, now: i64) -> Probe {
        let mut probe = Probe::default();
        let raw = probe_mail(mailbox, id);
        let stored = self.store_probe(mailbox, &raw, now, &mut probe.missing).await;
        let stored = stored.map_err(|error| Text::new(chain(&error), told(&error)));
        let told = stored.as_ref().map(|mail| in_folder(&mail.place.folder.name)).map_err(Text::clone);
        if !probe.note("log in and store a probe mail", "ログインして確認用のメールを保存", told) {
            return probe;
        }
        let wanted = Wanted {
            copy: MessageCopyRef { message_id: id, recipient: mailbox.to_lowercase() },
            mailbox: mailbox.to_owned(),
            identity: Identity::of_analysis(&analyse(&raw, self.limits())),
            sent_only: false,
        };
        let found = self.seen(&wanted).await;
        let found = found.and_then(|there| there.ok_or_else(|| Text::new("not found", "見つかりません")));
        if !probe.note(
            "find it by Message-ID and content",
            "Message-ID と内容で検索",
            found.map(|name| in_folder(&name)),
        ) {
            return probe;
        }
        for (remedy, en, ja) in [
            (MessageRemedy::MoveToJunk, "move it to junk", "迷惑メールへ移動"),
            (MessageRemedy::SoftDelete, "take it out of the mailbox", "メールボックスから取り除く"),
        ] {
            let memory = Memory::default();
            let Some(outcome) = self.step(&mut probe, en, ja, remedy, &wanted, &memory).await else { return probe };
            let undo = Memory { mails: Mutex::new(std::mem::take(&mut *memory.mails())), ..Memory::default() };
            let outcomes = Mutex::new(Vec::new());
            self.restore(vec![outcome], &undo, &undo, &|outcome| lock(&outcomes).push(outcome)).await;
            let outcome = lock(&outcomes).pop();
            if !probe.note(&format!("undo: {en}"), &format!("元に戻す: {ja}"), settled(outcome.as_ref())) {
                return probe;
            }
        }
        let (en, ja) = ("delete it for good", "完全に削除");
        if self.step(&mut probe, en, ja, MessageRemedy::HardDelete, &wanted, &Memory::default()).await.is_none() {
            return probe;
        }
        let gone = match self.seen(&wanted).await {
            Ok(None) => Ok(Text::new("not in any folder", "どのフォルダーにもありません")),
            Ok(Some(name)) => Err(in_folder(&name)),
            Err(error) => Err(error),
        };
        probe.note("look that nothing is left", "残っていないことを確認", gone);
        probe
    }

    async fn store_probe(
        &self,
        mailbox: &str,
        raw: &[u8],
        now: i64,
        missing: &mut Vec<Text>,
    ) -> Result<Mail, ConnectorError> {
        let mut open = self.connector().open(mailbox).await?;
        let inbox = open.folder(FolderRole::Inbox).await;
        let abilities = open.abilities();
        *missing = abilities.missing;
        let stored = match inbox {
            Ok(_) if !abilities.puts => Err(ConnectorError::Unable(Text::new(
                "mails cannot be stored, so there is nothing to check with",
                "メールを保存できないため、確認できません",
            ))),
            Ok(inbox) => match open.mark(&inbox).await {
                Ok(mark) => {
                    let new = NewMail {
                        flags: vec!["\\Seen".to_owned()],
                        internal_date: internal_date_of(now),
                        raw: Bytes::copy_from_slice(raw),
                    };
                    open.put(&mark, &new).await
                }
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        open.close().await;
        stored
    }

    /// Does one remedy to the probe mail and notes it; the outcome when it was done.
    async fn step(
        &self,
        probe: &mut Probe,
        en: &str,
        ja: &str,
        remedy: MessageRemedy,
        wanted: &Wanted,
        memory: &Memory,
    ) -> Option<Outcome> {
        let outcomes = Mutex::new(Vec::new());
        self.treat(remedy, vec![wanted.clone()], memory, memory, &|outcome| lock(&outcomes).push(outcome)).await;
        let outcome = lock(&outcomes).pop();
        probe.note(en, ja, settled(outcome.as_ref())).then_some(outcome)?
    }

    /// The folder the probe mail is in.
    async fn seen(&self, wanted: &Wanted) -> Result<Option<String>, Text> {
        let found = Mutex::new(None);
        self.find(vec![wanted.clone()], &|_, finding| *lock(&found) = Some(finding)).await;
        match lock(&found).take() {
            Some(Finding::Seen { present, .. }) => {
                Ok(present.into_iter().next().map(|located| located.place.folder.name))
            }
            Some(Finding::Failed(reason)) => Err(Text::same(reason)),
            None => Err(Text::new("no answer", "応答がありません")),
        }
    }
}

fn settled(outcome: Option<&Outcome>) -> Result<Text, Text> {
    match outcome {
        Some(outcome) if outcome.state == ReceiptState::Done => Ok(outcome.detail.clone()),
        Some(outcome) => Err(outcome.detail.clone()),
        None => Err(Text::new("no answer", "応答がありません")),
    }
}

fn in_folder(name: &str) -> Text {
    Text::new(format!("in {name}"), format!("{name} にあります"))
}

fn told(error: &ConnectorError) -> String {
    match error {
        ConnectorError::Unable(text) => text.ja.clone(),
        other => chain(other),
    }
}

fn probe_mail(mailbox: &str, id: MessageId) -> Vec<u8> {
    let to: String = mailbox.chars().filter(|c| !c.is_control()).collect();
    format!(
        "From: Hinomi <hinomi@localhost>\r\nTo: <{to}>\r\nSubject: Hinomi connector test {id}\r\n\
         Message-ID: <{id}@probe.hinomi>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: 8bit\r\n\r\n\
         This mail checks that Hinomi can work on this mailbox. It removes itself.\r\n\
         接続確認用のメールです。自動で削除されます。\r\n"
    )
    .into_bytes()
}

/// Vault and journal of one check: nothing of it is worth keeping.
#[derive(Default)]
struct Memory {
    mails: Mutex<HashMap<String, StoredMail>>,
    entries: Mutex<HashMap<MessageCopyRef, Entry>>,
}

impl Memory {
    fn mails(&self) -> MutexGuard<'_, HashMap<String, StoredMail>> {
        lock(&self.mails)
    }
}

impl Vault for Memory {
    fn put<'a>(&'a self, key: &'a str, mail: &'a StoredMail) -> BoxFuture<'a, Result<StoredMail, String>> {
        Box::pin(async move { Ok(self.mails().entry(key.to_owned()).or_insert_with(|| mail.clone()).clone()) })
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<StoredMail>, String>> {
        Box::pin(async move { Ok(self.mails().get(key).cloned()) })
    }
}

impl Journal for Memory {
    fn entry<'a>(&'a self, copy: &'a MessageCopyRef) -> BoxFuture<'a, Result<Option<Entry>, String>> {
        Box::pin(async move { Ok(lock(&self.entries).get(copy).cloned()) })
    }

    fn intent<'a>(&'a self, copy: &'a MessageCopyRef, intent: &'a Intent) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            lock(&self.entries).insert(copy.clone(), Entry { intent: intent.clone(), outcome: None });
            Ok(())
        })
    }

    fn outcome<'a>(&'a self, outcome: &'a Outcome) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            lock(&self.entries).entry(outcome.copy.clone()).or_default().outcome = Some(outcome.clone());
            Ok(())
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
