//! The mail worker as a process, under the real server and over a real Dovecot: what it may, what
//! happens when it is killed in the middle of a removal, and that nobody but it ever sees the secret.

use anyhow::{Context, Result, ensure};
use hinomi_model::{Action, ActionState, MessageCopy, ReceiptState};
use hinomi_testkit::mail::{Mail, MailRig, MailRigConfig};
use hinomi_testkit::process::{free_address, wait_for};
use hinomi_testkit::server::ServerProcess;
use hinomi_testkit::story::api::Api;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

const SOON: Duration = Duration::from_secs(60);
const USERS: usize = 40;
const SENDER: &str = "news@partner.test";

struct World {
    rig: MailRig,
    server: ServerProcess,
    api: Api,
    dir: tempfile::TempDir,
}

impl World {
    /// A server without a secret, and a mail in every mailbox.
    async fn start() -> Result<World> {
        let milter = free_address()?;
        let rig = MailRig::start(MailRigConfig { users: USERS, milter: Some(milter), ..Default::default() }).await?;
        let dir = tempfile::tempdir()?;
        let config = format!(
            "[[mailboxes]]\nusers_file = \"{}\"\n\n[mailboxes.imap]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\n\
             master_user = \"{}\"\n",
            rig.users_file.display(),
            rig.imap_addr.port(),
            rig.master_user,
        );
        let program = Path::new(env!("CARGO_BIN_EXE_hinomi"));
        let mut server = ServerProcess::new(program, dir.path(), Some(milter), &config)?;
        server.start(None).await?;
        let api = server.set_up().await?;
        Ok(World { rig, server, api, dir })
    }

    async fn deliver(&mut self) -> Result<Vec<MessageCopy>> {
        let mut raw = format!("From: <{SENDER}>\r\nMessage-ID: <one@partner.test>\r\nSubject: offer\r\n\r\n");
        (0..2_000).for_each(|line| raw.push_str(&format!("line {line} of an offer nobody needs\r\n")));
        let recipients: Vec<&str> = self.rig.users.iter().map(String::as_str).collect();
        self.rig.send(SENDER, &recipients, raw.as_bytes()).await?;
        for user in &recipients {
            self.rig.wait_for(user, 1, SOON).await?;
        }
        let api = &mut self.api;
        wait_for("the record of every copy", SOON, async || {
            let copies: Vec<MessageCopy> = api.list("/messages").await?;
            Ok((copies.len() == USERS).then_some(copies))
        })
        .await
    }

    async fn hinomi(&self, arguments: &[&str], input: &str) -> Result<(String, String)> {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_hinomi"));
        command.args(arguments).arg("--json");
        command.env("HINOMI_DATA", self.server.data()).env("HINOMI_CONFIG", self.dir.path().join("hinomi.toml"));
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn()?;
        child.stdin.take().context("no input")?.write_all(input.as_bytes()).await?;
        let output = child.wait_with_output().await?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let (told, talk) = (text(output.stdout), text(output.stderr));
        ensure!(output.status.success(), "{arguments:?}: {talk}");
        Ok((told, talk))
    }

    fn server_pid(&self) -> Result<i32> {
        let ready: Value = serde_json::from_slice(&fs::read(self.server.data().join("ready.json"))?)?;
        Ok(i32::try_from(ready["pid"].as_i64().context("no pid")?)?)
    }

    /// Workers of the server, by their parent.
    fn workers(&self) -> Result<Vec<i32>> {
        let server = self.server_pid()?;
        let mut workers = Vec::new();
        for task in fs::read_dir(format!("/proc/{server}/task"))? {
            // a thread may end meanwhile
            let children = fs::read_to_string(task?.path().join("children")).unwrap_or_default();
            workers.extend(children.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
        }
        workers.retain(|pid| {
            let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.contains("mail-worker\0main")
        });
        Ok(workers)
    }

    async fn worker(&self) -> Result<i32> {
        wait_for("a mail worker", SOON, async || Ok(self.workers()?.pop())).await
    }

    async fn mails(&self) -> Result<Vec<Vec<Mail>>> {
        let mut found = Vec::new();
        for user in &self.rig.users {
            found.push(self.rig.imap(user).await?.mails("INBOX").await?);
        }
        Ok(found)
    }

    /// Mails in the vault.
    fn kept(&self) -> usize {
        files(&self.server.data().join("vault")).len()
    }

    async fn ended(&mut self, action: &Action) -> Result<Action> {
        let path = format!("/actions/{}", action.id);
        let api = &mut self.api;
        wait_for("the end of the action", 2 * SOON, async || {
            let action: Action = api.get(&path).await?;
            Ok((!matches!(action.state, ActionState::Queued | ActionState::Running)).then_some(action))
        })
        .await
    }

    /// Kills the worker whenever `count` has come closer to `until`, by `times` steps.
    async fn kill_while(&self, times: usize, count: impl Fn() -> Result<usize>, until: usize) -> Result<Vec<usize>> {
        let mut killed_at = Vec::new();
        for step in 1..=times {
            let wanted = until * step / (times + 2);
            let at = wait_for("the work to go on", 2 * SOON, async || Ok(Some(count()?).filter(|now| *now >= wanted)))
                .await?;
            let Some(worker) = self.workers()?.pop() else { continue };
            kill(Pid::from_raw(worker), Signal::SIGKILL)?;
            if at < until {
                killed_at.push(at);
            }
        }
        Ok(killed_at)
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

fn status(pid: i32, field: &str) -> Result<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{field}:")));
    Ok(line.with_context(|| format!("no {field}"))?.trim().to_owned())
}

/// True when the writable memory of a process holds these bytes.
fn memory_holds(pid: i32, wanted: &[u8]) -> Result<bool> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let mut memory = fs::File::open(format!("/proc/{pid}/mem"))?;
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (from, to) = line.split(' ').next().and_then(|range| range.split_once('-')).context("a range")?;
        let (from, to) = (u64::from_str_radix(from, 16)?, u64::from_str_radix(to, 16)?);
        let mut bytes = vec![0; usize::try_from(to - from)?];
        memory.seek(SeekFrom::Start(from))?;
        // mapped, but not there
        if memory.read_exact(&mut bytes).is_ok() && bytes.windows(wanted.len()).any(|window| window == wanted) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_worker_loses_nothing_and_does_nothing_twice() -> Result<()> {
    let mut world = World::start().await?;
    ensure!(world.workers()?.is_empty(), "there is no secret yet");
    let copies = world.deliver().await?;
    let test = json!({"mailbox": world.rig.users[0]});
    let told = world.api.post("/mail/connectors/main/test", test.clone()).await?;
    ensure!(told.to_string().contains("hinomi mail secret set main"), "what is missing is said: {told}");

    // a running server takes it up by itself
    let secret = world.rig.master_password.clone();
    world.hinomi(&["mail", "secret", "set", "main"], &secret).await?;
    let told = world.api.post("/mail/connectors/main/test", test.clone()).await?;
    ensure!(told["ok"] == true, "{told}");
    let worker = world.worker().await?;
    let server = world.server_pid()?;
    ensure!(status(worker, "NoNewPrivs")? == "1");
    ensure!(status(worker, "Seccomp")? == "2", "its system calls are filtered");
    if status(server, "Uid")?.starts_with('0') {
        let users = status(worker, "Uid")?;
        ensure!(users.split_whitespace().all(|uid| uid.parse::<u32>().is_ok_and(|uid| uid > 60_000)), "{users}");
        ensure!(status(worker, "Groups")?.is_empty());
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            ensure!(status(worker, set)?.trim_start_matches('0').is_empty(), "{set}");
        }
        // only root may look, and finds the secret with the worker alone
        ensure!(memory_holds(worker, secret.as_bytes())?, "the worker has it");
        ensure!(!memory_holds(server, secret.as_bytes())?, "the server has seen the secret");
    }
    let environment = fs::read(format!("/proc/{worker}/environ"))?;
    ensure!(!environment.windows(6).any(|part| part == b"HINOMI") || std::env::var_os("HINOMI_LOG").is_some());
    // a new master key and a new version of the secret: a new worker, with nothing cut short
    world.hinomi(&["mail", "secret", "rotate"], "").await?;
    world.hinomi(&["mail", "secret", "set", "main"], &secret).await?;
    let told = world.api.post("/mail/connectors/main/test", test).await?;
    ensure!(told["ok"] == true && world.worker().await? != worker, "{told}");

    let before = world.mails().await?;
    let kept_before = world.kept();
    let targets: Vec<Value> =
        copies.iter().map(|copy| json!({"message_id": copy.message_id, "recipient": copy.recipient})).collect();
    let spec = json!({"kind": "soft_delete_messages", "copies": targets, "senders_copy": false});
    let order = json!({"spec": spec, "reason": "a test"});
    let action: Action = serde_json::from_value(world.api.post("/actions", order).await?)?;
    let killed = world.kill_while(2, || Ok(world.kept() - kept_before), USERS).await?;
    ensure!(!killed.is_empty(), "the removal was over before its worker could be killed");
    let removed = world.ended(&action).await?;
    let not_done = removed.receipts.iter().find(|receipt| receipt.state != ReceiptState::Done);
    ensure!(not_done.is_none() && removed.receipts.len() == USERS, "{not_done:?}");
    ensure!(world.mails().await?.iter().all(Vec::is_empty), "mails are left");
    ensure!(world.kept() - kept_before == USERS, "one copy in the vault for each mail");

    let undo = world.api.post(&format!("/actions/{}/undo", removed.id), json!({})).await?;
    let undo: Action = serde_json::from_value(undo)?;
    let back = || -> Result<usize> {
        // a mail that was put back is a file again
        let folders =
            world.rig.users.iter().map(|user| world.rig.dir.join("mail").join(user.split('@').next().unwrap_or(user)));
        Ok(folders.flat_map(|folder| files(&folder)).filter(|path| is_mail_of_inbox(path)).count())
    };
    let killed_back = world.kill_while(2, back, USERS).await?;
    let undone = world.ended(&undo).await?;
    ensure!(undone.receipts.iter().all(|receipt| receipt.state == ReceiptState::Done), "{:?}", undone.receipts);
    for (user, (before, after)) in world.rig.users.iter().zip(before.iter().zip(world.mails().await?)) {
        ensure!(after.len() == before.len(), "{user} has {} mails instead of {}", after.len(), before.len());
        let same = before.iter().zip(&after).all(|(before, after)| {
            before.raw == after.raw && before.flags == after.flags && before.internal_date == after.internal_date
        });
        ensure!(same, "a mail of {user} came back changed");
    }
    eprintln!("worker killed after {killed:?} removals and {killed_back:?} restores of {USERS}");
    nothing_is_told(&mut world, &secret).await?;
    // the server's end is its workers' end
    let last = world.worker().await?;
    world.server.kill().await?;
    wait_for("the end of the worker", SOON, async || Ok((!Path::new(&format!("/proc/{last}")).exists()).then_some(())))
        .await
}

/// True for files of the inbox itself.
fn is_mail_of_inbox(path: &Path) -> bool {
    let folder = path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
    let above = path.parent().and_then(Path::parent).and_then(Path::file_name).and_then(|name| name.to_str());
    matches!(folder, Some("cur" | "new")) && !above.is_some_and(|above| above.starts_with('.'))
}

/// Looks for the secret in every answer, log line, file and list of the run.
async fn nothing_is_told(world: &mut World, secret: &str) -> Result<()> {
    let sealed = fs::read_to_string(world.server.data().join("secrets/mail.json"))?;
    let master = hex_of(&fs::read(world.server.data().join("keys/mail.key"))?);
    let mut texts: Vec<(String, String)> = Vec::new();
    let document: Value = serde_json::from_str(include_str!("../../../docs/openapi.json"))?;
    let paths = document["paths"].as_object().context("paths")?;
    let mut answered = 0;
    for (path, _) in paths.iter().filter(|(path, verbs)| !path.contains('{') && verbs["get"].is_object()) {
        let path = path.strip_prefix("/api/v1").unwrap_or(path);
        // streams, files and what wants parameters are refused or no JSON: the words of that count too
        let asked = tokio::time::timeout(Duration::from_secs(5), world.api.get::<Value>(path)).await;
        let text = match asked {
            Ok(Ok(answer)) => {
                answered += 1;
                answer.to_string()
            }
            Ok(Err(error)) => format!("{error:#}"),
            Err(_) => continue,
        };
        texts.push((format!("GET {path}"), text));
    }
    ensure!(answered >= 15, "only {answered} routes answered");
    let to = world.dir.path().join("backup");
    let (told, talk) = world.hinomi(&["backup", "--to", to.to_str().context("path")?], "").await?;
    texts.push(("backup".to_owned(), told + &talk));
    for words in [&["mail", "secret", "list"][..], &["check"]] {
        let (told, talk) = world.hinomi(words, "").await?;
        texts.push((words.join(" "), told + &talk));
    }
    for name in ["log", "said"] {
        texts.push((name.to_owned(), fs::read_to_string(world.dir.path().join(name))?));
    }
    let content = serde_json::from_str::<Value>(&sealed)?["secrets"]["main"]["content"].as_str().map(str::to_owned);
    let sealed = content.context("nothing is sealed")?;
    for (what, text) in &texts {
        for (name, part) in [("the secret", secret), ("the master key", &master), ("the sealed secret", &sealed)] {
            ensure!(!text.contains(part), "{what} tells {name}");
        }
    }
    for file in files(&world.server.data()).into_iter().chain(files(&to)) {
        // temporary files of the running server come and go
        let Ok(bytes) = fs::read(&file) else { continue };
        ensure!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()), "{} holds it", file.display());
    }
    Ok(())
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
