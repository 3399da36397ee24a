//! Every remedy of mail is killed at every state: while it acts, while it deals with a late copy, and
//! while it is undone. After each restart everything is finished, nothing twice, nothing lost.

use anyhow::{Context, Result, bail, ensure};
use hinomi_lake::{Lake, LakeFile, LakeQuery};
use hinomi_model::{
    Action, ActionSpec, ActionState, MessageCopyRef, MessageRemedy, Receipt, ReceiptState, Table, Timestamp,
};
use hinomi_server::abort::LATE_POINTS;
use hinomi_store::{AuditFilter, Page, Store};
use hinomi_testkit::mail::{Mail, MailRig};
use hinomi_testkit::process::wait_for;
use hinomi_testkit::seed::{Chance, full};
use hinomi_testkit::server::ServerProcess;
use hinomi_testkit::story::api::Api;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SOON: Duration = Duration::from_secs(60);
/// Stories of a normal run on each store; each is killed three times.
const SAMPLE: usize = 2;
/// States of mailbox work, in order; keeping a copy is left out where there is none.
const WORK: &[&str] = &[
    "mail.begun",
    "journal.intended",
    "mail.kept",
    "journal.settling",
    "journal.settled",
    "mail.settled",
    "mail.told",
    "mail.receipts",
    "mail.worked",
    "action.finished",
    "job.worked",
];
/// States of the mailbox work on one late copy, besides its own.
const LATE_WORK: &[&str] = &[
    "journal.intended",
    "mail.kept",
    "journal.settling",
    "journal.settled",
    "mail.settled",
    "mail.told",
    "job.worked",
];

/// One story: where the server is killed in each of its parts.
#[derive(Debug, Clone)]
pub struct Plan {
    remedy: MessageRemedy,
    act: String,
    late: Option<String>,
    undo: Option<String>,
}

/// Every state of every remedy in as few stories as hold them; a sample by seed in a normal run.
pub fn plans(chance: &mut Chance) -> Vec<Plan> {
    let mut all = Vec::new();
    for remedy in MessageRemedy::ALL {
        let keeps = matches!(remedy, MessageRemedy::SoftDelete | MessageRemedy::MoveToQuarantine);
        let fits = |point: &&&str| keeps || **point != "mail.kept";
        let act: Vec<&str> = WORK.iter().filter(fits).copied().collect();
        let late: Vec<&str> = match remedy {
            MessageRemedy::MoveToInbox => Vec::new(),
            _ => LATE_POINTS.iter().chain(LATE_WORK.iter().filter(fits)).copied().collect(),
        };
        let back = WORK.iter().filter(|point| **point != "mail.kept");
        let undo: Vec<&str> = match remedy {
            MessageRemedy::HardDelete => Vec::new(),
            _ => ["undo.ordering", "undo.ordered"].iter().chain(back).copied().collect(),
        };
        let at =
            |points: &[&str], number: usize| (!points.is_empty()).then(|| points[number % points.len()].to_owned());
        for number in 0..act.len().max(late.len()).max(undo.len()) {
            all.push(Plan {
                remedy: *remedy,
                act: act[number % act.len()].to_owned(),
                late: at(&late, number),
                undo: at(&undo, number),
            });
        }
    }
    if full() {
        return all;
    }
    (0..SAMPLE).map(|_| all[chance.below(all.len() as u64) as usize].clone()).collect()
}

/// The mail system, a server that is killed, and who looks at both.
pub struct Stage<'a> {
    pub rig: &'a MailRig,
    pub server: ServerProcess,
    pub api: Api,
    pub store: Store,
    /// Rows about what was done, by action: expected.
    rows: BTreeMap<String, usize>,
    pub table: Vec<String>,
}

impl<'a> Stage<'a> {
    pub fn new(rig: &'a MailRig, server: ServerProcess, api: Api, store: Store) -> Stage<'a> {
        Stage { rig, server, api, store, rows: BTreeMap::new(), table: Vec::new() }
    }

    /// Plays one story.
    pub async fn play(&mut self, number: usize, plan: &Plan) -> Result<()> {
        let id = format!("remedy-{number}@elsewhere.test");
        let done = self.parts(&id, plan).await;
        done.with_context(|| format!("story {number}: {plan:?}\n{}", self.server.log_end()))
    }

    async fn parts(&mut self, id: &str, plan: &Plan) -> Result<()> {
        let home = if plan.remedy == MessageRemedy::MoveToInbox { "Junk" } else { "INBOX" };
        let target = match plan.remedy {
            MessageRemedy::MoveToJunk => Some("Junk"),
            MessageRemedy::MoveToInbox => Some("INBOX"),
            MessageRemedy::MoveToDeletedItems => Some("Trash"),
            _ => None,
        };
        self.restart(None).await?;
        let copies = self.deliver(id, 2).await?;
        for user in 0..2 {
            self.arrived(user, id, "INBOX").await?;
            if home == "Junk" {
                let mut owner = self.rig.imap(&self.rig.users[user]).await?;
                let mails = owner.mails("INBOX").await?;
                let mail = mails.iter().find(|mail| holds(mail, id)).context("the mail")?;
                owner.move_to("INBOX", mail.uid, "Junk").await?;
            }
        }
        let before = [self.mails(0, id).await?, self.mails(1, id).await?];

        let spec = ActionSpec::of_remedy(plan.remedy, copies, false);
        let order = json!({"spec": spec, "reason": "crash test", "propose_only": true});
        let action: Action = serde_json::from_value(self.api.post("/actions", order).await?)?;
        let path = format!("/actions/{}", action.id);
        self.restart(Some(&plan.act)).await?;
        self.present().await?;
        // the server may end before it has answered
        let _ = self.api.post(&format!("{path}/approve"), json!({})).await;
        self.ended(&plan.act).await?;
        self.restart(None).await?;
        let acted = self.over(&path).await?;
        ensure!(acted.state == ActionState::Succeeded, "acted: {acted:?}");
        done_once(&acted.receipts, 2)?;
        for user in 0..2 {
            self.holds(user, id, target, 1).await?;
        }
        let mut rows = 2;
        self.table.push(line(plan, "act", &plan.act));

        let mut late = 0;
        if let Some(point) = &plan.late {
            self.restart(Some(point)).await?;
            let (to, again) = ([self.rig.users[0].as_str()], mail(id, "again"));
            let sent = self.rig.send("someone@elsewhere.test", &to, &again).await;
            self.ended(point).await?;
            self.restart(None).await?;
            // another job may have ended the server before the mail was taken: its sender tries again
            if sent.is_err() {
                self.rig.send("someone@elsewhere.test", &to, &again).await?;
            }
            let told = self.until(&path, "the late copy is told", |action| late_receipts(action).len() == 1).await?;
            done_once(&late_receipts(&told), 1)?;
            self.holds(0, id, target, 2).await?;
            rows += 1;
            late = 1;
            self.table.push(line(plan, "late copy", point));
        }
        self.rows.insert(action.id.to_string(), rows);

        let Some(point) = &plan.undo else { return self.logged(&action, late).await };
        self.restart(Some(point)).await?;
        let _ = self.api.post(&format!("{path}/undo"), json!({})).await;
        self.ended(point).await?;
        self.restart(None).await?;
        let undo = wait_for("the undo", SOON, async || {
            let action: Action = self.api.get(&path).await?;
            if action.undone_by.is_none() {
                self.api.post(&format!("{path}/undo"), json!({})).await?;
            }
            Ok(action.undone_by)
        })
        .await?;
        let undone = self.over(&format!("/actions/{undo}")).await?;
        ensure!(undone.state == ActionState::Succeeded, "undone: {undone:?}");
        done_once(&undone.receipts, 2 + late)?;
        self.rows.insert(undo.to_string(), 2 + late);
        for (user, before) in before.iter().enumerate() {
            let extra = if user == 0 { late } else { 0 };
            self.holds(user, id, Some(home), 1 + extra).await?;
            let after = self.mails(user, id).await?;
            for was in before {
                let same = |mail: &&Mail| mail.raw == was.raw;
                let is = after.iter().filter(same).collect::<Vec<_>>();
                ensure!(is.len() == 1, "{} copies of a mail are back", is.len());
                ensure!(is[0].flags == was.flags && is[0].internal_date == was.internal_date, "flags or date are lost");
            }
        }
        let original: Action = self.api.get(&path).await?;
        ensure!(original.state == ActionState::Undone, "{original:?}");
        ensure!(original.all_receipts().all(|receipt| receipt.state == ReceiptState::Undone), "{original:?}");
        self.table.push(line(plan, "undo", point));
        self.logged(&action, late).await
    }

    /// The audit log tells each thing once.
    async fn logged(&self, action: &Action, late: usize) -> Result<()> {
        for (what, wanted) in [("action.approve", 1), ("action.finish", 1), ("action.late", late)] {
            let filter = AuditFilter {
                action: Some(what.to_owned()),
                target: Some(format!("action:{}", action.id)),
                ..AuditFilter::default()
            };
            let found = self.store.audit_records(&filter, &Page::first(10)).await?.items.len();
            ensure!(found == wanted, "{what} is {found} times in the audit log, not {wanted}");
        }
        Ok(())
    }

    /// Ends the server and compares the rows about what was done with what was done.
    pub async fn finish(mut self) -> Result<Vec<String>> {
        if !self.server.has_ended()? {
            self.server.terminate().await?;
        }
        let files = self.store.lake_files().await?.into_iter().map(|row| LakeFile {
            path: row.path,
            table: row.table,
            day: row.day,
            rows: row.rows,
            bytes: row.bytes,
            first: row.first,
            last: row.last,
        });
        let lake = Lake::open(&self.server.data().join("lake"), files.collect()).await?;
        let mut told: BTreeMap<String, usize> = BTreeMap::new();
        for event in lake.query(LakeQuery::of(Table::EmailPostDeliveryEvents)).await? {
            let action = event.additional("ActionId").and_then(|id| id.as_str().map(str::to_owned));
            *told.entry(action.context("a row without action")?).or_default() += 1;
        }
        ensure!(told == self.rows, "rows about what was done: {told:?}, wanted {:?}", self.rows);
        self.store.close().await;
        Ok(self.table)
    }

    async fn restart(&mut self, point: Option<&str>) -> Result<()> {
        if !self.server.has_ended()? {
            self.server.kill().await?;
        }
        self.server.start(point).await
    }

    /// Waits until the server has ended at its point.
    async fn ended(&mut self, point: &str) -> Result<()> {
        let server = &mut self.server;
        wait_for(&format!("the end at {point}"), SOON, async || Ok(server.has_ended()?.then_some(()))).await
    }

    /// Proves presence, as hard deletes need it. A code of the authenticator app counts once in half a
    /// minute: written where the server keeps it instead of waiting for the next.
    async fn present(&mut self) -> Result<()> {
        let me: serde_json::Value = self.api.get("/auth/me").await?;
        let id = me["session_id"].as_str().context("no session")?.parse()?;
        let until =
            Timestamp::from_micros(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros() as i64).plus_seconds(300);
        Ok(self.store.set_step_up(id, Some(until)).await?)
    }

    async fn deliver(&mut self, id: &str, recipients: usize) -> Result<Vec<MessageCopyRef>> {
        let users: Vec<&str> = self.rig.users[..recipients].iter().map(String::as_str).collect();
        self.rig.send("someone@elsewhere.test", &users, &mail(id, "first")).await?;
        let path = format!("/messages?internet_message_id={id}");
        wait_for("the gateway's record of the mail", SOON, async || {
            let copies: Vec<serde_json::Value> = self.api.list(&path).await?;
            let target = |copy: &serde_json::Value| {
                let part = json!({"message_id": copy["message_id"], "recipient": copy["recipient"]});
                serde_json::from_value::<MessageCopyRef>(part)
            };
            let refs = copies.iter().map(target).collect::<Result<Vec<_>, _>>()?;
            Ok((refs.len() == recipients).then_some(refs))
        })
        .await
    }

    async fn arrived(&self, user: usize, id: &str, folder: &str) -> Result<()> {
        wait_for("the mail in the mailbox", SOON, async || {
            let mails = self.rig.imap(&self.rig.users[user]).await?.mails(folder).await?;
            Ok(mails.iter().any(|mail| holds(mail, id)).then_some(()))
        })
        .await
    }

    /// Every mail of the story in a mailbox, with the folder it is in.
    async fn everywhere(&self, user: usize, id: &str) -> Result<Vec<(String, Mail)>> {
        let mut client = self.rig.imap(&self.rig.users[user]).await?;
        let mut found = Vec::new();
        for folder in client.folders().await? {
            let mails = client.mails(&folder).await?.into_iter().filter(|mail| holds(mail, id));
            found.extend(mails.map(|mail| (folder.clone(), mail)));
        }
        Ok(found)
    }

    async fn mails(&self, user: usize, id: &str) -> Result<Vec<Mail>> {
        Ok(self.everywhere(user, id).await?.into_iter().map(|(_, mail)| mail).collect())
    }

    /// Checks that all mails of the story are in one folder, or nowhere.
    async fn holds(&self, user: usize, id: &str, folder: Option<&str>, count: usize) -> Result<()> {
        let found: Vec<String> = self.everywhere(user, id).await?.into_iter().map(|(folder, _)| folder).collect();
        let wanted = folder.map(|folder| vec![folder.to_owned(); count]).unwrap_or_default();
        ensure!(found == wanted, "user {user}: the mails are in {found:?}, not {wanted:?}");
        Ok(())
    }

    async fn over(&mut self, path: &str) -> Result<Action> {
        self.until(path, "the action is over", |action| action.finished_at.is_some()).await
    }

    async fn until(&mut self, path: &str, what: &str, wanted: impl Fn(&Action) -> bool) -> Result<Action> {
        let mut last = None;
        let found = wait_for(what, SOON, async || {
            let action: Action = self.api.get(path).await?;
            if action.state == ActionState::PendingApproval {
                // the order did not arrive
                self.api.post(&format!("{path}/approve"), json!({})).await?;
            }
            let found = wanted(&action);
            last = Some(action.clone());
            Ok(found.then_some(action))
        })
        .await;
        found.with_context(|| format!("{last:?}"))
    }
}

fn late_receipts(action: &Action) -> Vec<Receipt> {
    let late = action.follow_up.iter().flat_map(|follow_up| &follow_up.receipts);
    late.map(|late| late.receipt.clone()).collect()
}

/// "Already done" or "not found" would be a mail that was reached for twice.
fn done_once(receipts: &[Receipt], count: usize) -> Result<()> {
    if receipts.len() == count && receipts.iter().all(|receipt| receipt.state == ReceiptState::Done) {
        return Ok(());
    }
    bail!("{count} receipts should be done: {receipts:?}")
}

fn line(plan: &Plan, part: &str, point: &str) -> String {
    format!("{:<20} {part:<10} {point:<20} finished once, nothing lost", plan.remedy.word())
}

fn holds(mail: &Mail, id: &str) -> bool {
    String::from_utf8_lossy(&mail.raw).contains(&format!("<{id}>"))
}

fn mail(id: &str, way: &str) -> Vec<u8> {
    format!(
        "X-Way: {way}\r\nFrom: Someone <someone@elsewhere.test>\r\nTo: staff@example.test\r\nSubject: remedy\r\n\
         Message-ID: <{id}>\r\nDate: Sun, 22 Nov 2026 01:00:00 +0000\r\nContent-Type: text/plain\r\n\r\nplease pay\r\n"
    )
    .into_bytes()
}
