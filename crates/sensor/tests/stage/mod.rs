//! A private corner of this machine: a thread with its own mount and network namespace, and a
//! collector that sees only that namespace.

#![allow(dead_code, reason = "each test file uses its part")]

use hinomi_model::{Event, Table};
use hinomi_sensor::collect::{CollectConfig, Collector, DeviceIdentity};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use sha2::{Digest, Sha256};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::Receiver;

pub const DEVICE: &str = "01900000-0000-7000-8000-000000000001";
const DEADLINE: Duration = Duration::from_secs(20);

type Job = Box<dyn FnOnce() + Send>;

pub struct Stage {
    pub collector: Collector,
    pub events: Vec<Event>,
    pub dir: PathBuf,
    receiver: Receiver<Event>,
    jobs: mpsc::Sender<Job>,
    _temp: tempfile::TempDir,
}

impl Stage {
    pub fn new() -> Stage {
        Stage::with(CollectConfig::default())
    }

    pub fn with(config: CollectConfig) -> Stage {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().canonicalize().unwrap();
        let (jobs, queue) = mpsc::channel::<Job>();
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET).expect("own namespaces");
            let none: Option<&Path> = None;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("private mounts");
            run("ip", &["link", "set", "lo", "up"]);
            tell.send(std::fs::metadata("/proc/thread-self/ns/mnt").unwrap().ino()).unwrap();
            queue.into_iter().for_each(|job| job());
        });
        let scope = told.recv().unwrap();
        let (sink, receiver) = tokio::sync::mpsc::channel(4096);
        let identity = DeviceIdentity { device_id: DEVICE.parse().unwrap(), device_name: "舞台".to_owned() };
        let config = CollectConfig { scope_mount_namespace: Some(scope), ..config };
        let collector = Collector::start(config, identity, sink).expect("collector starts");
        let capabilities = collector.capabilities();
        assert!(capabilities.values().all(|state| state == "ok"), "{capabilities:?}");
        Stage { collector, events: Vec::new(), dir, receiver, jobs, _temp: temp }
    }

    /// Does something inside the namespaces and waits for its result.
    pub fn inside<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (tell, told) = mpsc::channel();
        self.jobs.send(Box::new(move || tell.send(job()).unwrap())).unwrap();
        told.recv().expect("the job inside did not panic")
    }

    /// Runs a shell script inside, in the stage's folder.
    pub fn shell(&self, script: &str) {
        let (script, dir) = (script.to_owned(), self.dir.clone());
        self.inside(move || {
            let status = std::process::Command::new("/bin/sh").arg("-ec").arg(&script).current_dir(&dir).status();
            assert!(status.unwrap().success(), "{script}");
        });
    }

    /// Waits for the first event that fits, keeping all that came.
    pub fn wait(&mut self, what: &str, fits: impl Fn(&Event) -> bool) -> Event {
        let deadline = Instant::now() + DEADLINE;
        let mut seen = 0;
        loop {
            if let Some(event) = self.events[seen..].iter().find(|event| fits(event)) {
                return event.clone();
            }
            seen = self.events.len();
            match self.receiver.try_recv() {
                Ok(event) => self.events.push(event),
                Err(_) => {
                    assert!(Instant::now() < deadline, "no {what} among\n{}", self.dump());
                    std::thread::park_timeout(Duration::from_millis(2));
                }
            }
        }
    }

    /// Waits for a row with this action whose full path is `path`.
    pub fn wait_file(&mut self, action: &str, path: &Path) -> Event {
        let path = path.to_str().unwrap().to_owned();
        self.wait(&format!("{action} {path}"), |event| is(event, action) && event.str("FolderPath") == Some(&path))
    }

    pub fn dump(&self) -> String {
        let brief = |event: &Event| {
            let text = |name: &str| event.get(name).map(|value| value.to_text()).unwrap_or_default();
            format!(
                "{} {} {} {} {} <- {}",
                text("ActionType"),
                text("FolderPath"),
                text("ProcessCommandLine"),
                text("RemoteIP"),
                text("AdditionalFields"),
                text("InitiatingProcessCommandLine")
            )
        };
        self.events.iter().map(brief).collect::<Vec<_>>().join("\n")
    }
}

pub fn is(event: &Event, action: &str) -> bool {
    event.str("ActionType") == Some(action)
}

pub fn field(event: &Event, name: &str) -> serde_json::Value {
    event.additional(name).unwrap_or_default()
}

pub fn sha256(path: impl AsRef<Path>) -> String {
    hex::encode(Sha256::digest(std::fs::read(path).unwrap()))
}

pub fn run(program: &str, args: &[&str]) {
    let status = std::process::Command::new(program).args(args).status().unwrap();
    assert!(status.success(), "{program} {args:?}");
}

pub fn created(event: &Event) -> bool {
    event.table == Table::DeviceProcessEvents && is(event, "ProcessCreated")
}
