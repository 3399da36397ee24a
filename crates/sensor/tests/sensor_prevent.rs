//! Blocked files do not run. Needs root; marks lie only on a mount of a private mount namespace.

mod rig;

use hinomi_model::{Event, ReceiptState};
use hinomi_wire::Command as Order;
use rig::{Sensor, Server, until};
use sha2::{Digest, Sha256};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A mount namespace of its own with a tmpfs, kept by a process that waits.
struct Stage {
    keeper: Child,
    folder: tempfile::TempDir,
}

impl Stage {
    fn new() -> Stage {
        let folder = tempfile::tempdir().unwrap();
        let script = format!("mount -t tmpfs stage {} && echo && read end", folder.path().display());
        let mut keeper = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(keeper.stdout.as_mut().unwrap()), &mut line).unwrap();
        Stage { keeper, folder }
    }

    fn enter(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--target", &self.keeper.id().to_string()]);
        command
    }

    /// The stage's folder as seen from outside.
    fn outside(&self, name: &str) -> std::path::PathBuf {
        let inside = self.folder.path().join(name);
        Path::new(&format!("/proc/{}/root", self.keeper.id())).join(inside.strip_prefix("/").unwrap())
    }

    /// Starts something of the stage that goes on running.
    fn start(&self, script: &str) -> Child {
        self.enter()
            .args(["bash", "-c", script])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn place(&self, name: &str, content: &[u8]) -> String {
        std::fs::write(self.outside(name), content).unwrap();
        std::fs::set_permissions(self.outside(name), std::fs::Permissions::from_mode(0o755)).unwrap();
        hex::encode(Sha256::digest(content))
    }

    /// Runs a program of the stage from a shell; returns its exit code (126 = not allowed).
    fn run(&self, name: &str) -> i32 {
        let path = self.folder.path().join(name);
        let status = self.enter().args(["sh", "-c", "\"$0\" a; exit $?"]).arg(path).stderr(Stdio::null()).status();
        status.unwrap().code().unwrap()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.keeper.kill().unwrap();
        self.keeper.wait().unwrap();
    }
}

fn block(version: u64, sha256: &[&str]) -> Order {
    Order::SetBlockedHashes { version, sha256: sha256.iter().map(|hash| (*hash).to_owned()).collect() }
}

fn told(server: &Server, action: &str) -> Vec<Event> {
    let board = server.board();
    let all = board.stored.values().flatten();
    all.filter(|event| event.str("ActionType") == Some(action)).cloned().collect()
}

const CONFIG: &str = "[isolation]\nenabled = false\n[notify]\nenabled = false\n[detection]\nstop = false\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_hash_does_not_run() {
    let stage = Stage::new();
    let bad = stage.place("invoice.sh", b"#!/bin/sh\nexit 7\n");
    let copy_of_true = std::fs::read("/bin/true").unwrap();
    let program = stage.place("program", &copy_of_true);
    let mut server = Server::start().await;
    let mount = stage.folder.path().to_str().unwrap().to_owned();
    let keeper = stage.keeper.id().to_string();
    let mut sensor = Sensor::new(CONFIG, &["--scope-mount-namespace", &keeper, "--prevent-mount", &mount]);
    sensor.begin(&server).await;
    assert_eq!((stage.run("invoice.sh"), stage.run("program")), (7, 0));

    let ordered = server.order(block(1, &[&bad])).await;
    assert_eq!(ordered.state, ReceiptState::Done, "{ordered:?}");
    assert_eq!(ordered.proof["prevention"], "ok");
    assert_eq!((stage.run("invoice.sh"), stage.run("program")), (126, 0));
    // the run before the order may be judged after it and is then told too, as something that ran
    let prevented = |event: &Event| event.additional("DetectionStatus").is_some_and(|status| status == "prevented");
    let event = until("the event", || told(&server, "ExecBlocked").into_iter().find(prevented)).await;
    assert_eq!(event.str("SHA256"), Some(bad.as_str()));
    assert_eq!(event.str("FileName"), Some("invoice.sh"));
    assert_eq!(event.str("FolderPath"), stage.folder.path().join("invoice.sh").to_str());
    assert_eq!(event.additional("IndicatorSha256").unwrap(), bad.as_str());
    assert_eq!(event.additional("DetectionStatus").unwrap(), "prevented");
    assert!(event.long("InitiatingProcessId").is_some_and(|pid| pid > 1));
    assert!(event.str("InitiatingProcessFileName").is_some(), "{event:?}");
    assert_eq!(event.device_id(), Some(server.device()));

    // another name, another copy: the content counts
    stage.place("renamed", b"#!/bin/sh\nexit 7\n");
    assert_eq!(stage.run("renamed"), 126);
    // changed content is another file
    stage.place("invoice.sh", b"#!/bin/sh\nexit 8\n");
    assert_eq!(stage.run("invoice.sh"), 8);
    // a file the guard was told to ignore (only root can write it) is asked for again
    assert_eq!(stage.run("program"), 0);
    server.order(block(2, &[&bad, &program])).await;
    assert_eq!((stage.run("program"), stage.run("renamed")), (126, 126));

    // it holds over kill -9: while the sensor is away things run, from its start on they do not
    sensor.kill();
    assert_eq!(stage.run("renamed"), 7, "a dead sensor blocks nobody");
    sensor.start().await;
    assert_eq!((stage.run("renamed"), stage.run("program")), (126, 126));
    assert_eq!(sensor.status()["status"]["block_list_version"], 2);

    let old = server.order(block(1, &[])).await;
    assert_eq!((old.state, stage.run("renamed")), (ReceiptState::AlreadyDone, 126), "versions only grow");
    server.order(block(3, &[])).await;
    assert_eq!((stage.run("renamed"), stage.run("program")), (7, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_checked_in_time_runs() {
    let stage = Stage::new();
    let big = vec![b'#'; 3 * 1024 * 1024];
    let bad = stage.place("big", &[b"#!/bin/sh\nexit 7\n".to_vec(), big].concat());
    let mut server = Server::start().await;
    let mount = stage.folder.path().to_str().unwrap().to_owned();
    let config = format!("{CONFIG}[prevention]\nhash_size_max_mib = 2\n");
    let keeper = stage.keeper.id().to_string();
    let mut sensor = Sensor::new(&config, &["--scope-mount-namespace", &keeper, "--prevent-mount", &mount]);
    sensor.begin(&server).await;
    server.order(block(1, &[&bad])).await;
    assert_eq!(stage.run("big"), 7, "above the size limit");
    assert_eq!(sensor.status()["status"]["drops"]["prevention_unchecked"], 1);

    let config = format!("{CONFIG}[prevention]\ndeadline_ms = 0\n");
    sensor.kill();
    std::fs::write(sensor.folder().join("sensor.toml"), config).unwrap();
    sensor.start().await;
    let codes: Vec<i32> = (0..3).map(|_| stage.run("big")).collect();
    assert!(codes.iter().all(|code| matches!(code, 7 | 126)), "{codes:?}: nobody hangs");
    until("the hash to be known", || (stage.run("big") == 126).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_that_says_stop_stops_the_tree_at_once() {
    let stage = Stage::new();
    let server = Server::start().await;
    let config = CONFIG.replace("stop = false", "stop = true");
    let keeper = stage.keeper.id().to_string();
    let mut sensor = Sensor::new(&config, &["--scope-mount-namespace", &keeper]);
    sensor.begin(&server).await;
    // harmless, but named like a kernel thread, with a child
    let mut bad = stage.start("exec -a '[kworker/0:1]' bash -c 'sleep 1000 & wait'");
    let mut good = stage.start("exec sleep 1000");
    let event = until("the detection", || told(&server, "HinomiDetection").pop()).await;
    assert_eq!(event.additional("DetectionStatus").unwrap(), "blocked", "{event:?}");
    assert!(event.additional("Reason").unwrap()["en"].as_str().unwrap().contains("2 processes stopped"), "{event:?}");
    assert_eq!(event.additional("Severity").unwrap(), "high");
    assert_eq!(event.long("ProcessId"), Some(bad.id().into()));
    assert!(event.str("ProcessCommandLine").unwrap().contains("kworker"));
    assert!(event.additional("RuleId").is_some() && event.process().is_some());
    assert!(!bad.wait().unwrap().success());
    assert!(good.try_wait().unwrap().is_none());
    good.kill().unwrap();
    good.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_script_given_to_an_interpreter_is_stopped_after_its_start() {
    let stage = Stage::new();
    let bad = stage.place("invoice.sh", b"#!/bin/sh\nsleep 1000\n");
    let mut server = Server::start().await;
    let mount = stage.folder.path().to_str().unwrap().to_owned();
    let keeper = stage.keeper.id().to_string();
    let config = CONFIG.replace("stop = false", "enabled = false");
    let mut sensor = Sensor::new(&config, &["--scope-mount-namespace", &keeper, "--prevent-mount", &mount]);
    sensor.begin(&server).await;
    server.order(block(1, &[&bad])).await;
    let mut script = stage.start(&format!("exec sh {mount}/invoice.sh"));
    let event = until("the event", || told(&server, "ExecBlocked").pop()).await;
    assert_eq!(event.additional("DetectionStatus").unwrap(), "blocked", "{event:?}");
    assert_eq!(event.additional("IndicatorSha256").unwrap(), bad.as_str());
    assert!(!script.wait().unwrap().success());
}
