//! What the sensor does on the device: stops, moves, isolates. Needs root and nftables.

mod rig;

use hinomi_model::{DeviceId, ProcessKey, ReceiptState};
use hinomi_sensor::respond::process::{stat, stop_tree};
use hinomi_sensor::respond::quarantine::Quarantine;
use hinomi_sensor::scope::Scope;
use hinomi_wire::Command as Order;
use rig::{Authority, Sensor, Server, id, process_key, until};
use sha2::{Digest, Sha256};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// Starts a shell that starts children in every way that could let them slip out of the tree, and
/// returns it with the pids it told.
fn family() -> (Child, Vec<u32>) {
    let script = "setsid sleep 1000 & echo $!; (trap '' TERM HUP INT; sleep 1000) & echo $!; \
                  nohup sh -c 'sleep 1000 & echo $!; wait' & echo $!; echo end; wait";
    let mut root =
        Command::new("sh").args(["-c", script]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut pids = vec![root.id()];
    let mut ended = false;
    for line in BufReader::new(root.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        match line.parse() {
            Ok(pid) => pids.push(pid),
            Err(_) => ended = true,
        }
        if ended && pids.len() == 5 {
            break;
        }
    }
    (root, pids)
}

fn runs(pid: u32) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    state.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

#[test]
fn a_tree_is_stopped_whole_and_a_reused_pid_is_left_alone() {
    let device: DeviceId = id();
    let (mut root, pids) = family();
    let key = process_key(device, root.id());

    let reused = ProcessKey { started_at: key.started_at.plus_seconds(-5), ..key };
    let outcome = stop_tree(&reused, None, Scope::DEVICE);
    assert_eq!(outcome.state, ReceiptState::AlreadyDone);
    assert!(pids.iter().all(|pid| runs(*pid)), "a process that started at another time is another process");

    let outcome = stop_tree(&key, None, Scope::DEVICE);
    assert_eq!(outcome.state, ReceiptState::Done, "{outcome:?}");
    let killed = outcome.proof["killed"].as_array().unwrap();
    for pid in &pids {
        assert!(killed.iter().any(|entry| entry["pid"] == *pid), "{pid} in {killed:?}");
        assert!(!runs(*pid));
    }
    root.wait().unwrap();
    assert_eq!(stop_tree(&key, None, Scope::DEVICE).state, ReceiptState::AlreadyDone);
}

#[test]
fn the_system_and_the_sensor_are_never_stopped() {
    let device: DeviceId = id();
    for pid in [1, std::process::id()] {
        let outcome = stop_tree(&process_key(device, pid), None, Scope::DEVICE);
        assert_eq!(outcome.state, ReceiptState::Failed);
        assert!(stat(pid).is_some());
    }
    // a sensor that is scoped to a namespace stops nobody outside of it
    let (mut root, pids) = family();
    let mut other = Command::new("unshare")
        .args(["-m", "sh", "-c", "echo; read x"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    BufReader::new(other.stdout.as_mut().unwrap()).read_line(&mut String::new()).unwrap();
    let scope = Scope::namespace(other.id().into()).unwrap();
    let outcome = stop_tree(&process_key(device, root.id()), None, scope);
    assert_eq!(outcome.state, ReceiptState::Failed, "{outcome:?}");
    assert!(pids.iter().all(|pid| runs(*pid)));
    assert_eq!(stop_tree(&process_key(device, other.id()), None, scope).state, ReceiptState::Done);
    other.wait().unwrap();
    stop_tree(&process_key(device, root.id()), None, Scope::DEVICE);
    root.wait().unwrap();
}

fn write(path: &Path, content: &[u8], mode: u32) -> String {
    std::fs::write(path, content).unwrap();
    std::os::unix::fs::chown(path, Some(65534), Some(65534)).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    let text = path.to_str().unwrap();
    assert!(Command::new("setfattr").args(["-n", "user.origin", "-v", "mail", text]).status().unwrap().success());
    assert!(Command::new("touch").args(["-d", "2020-02-03 04:05:06.789", text]).status().unwrap().success());
    hex::encode(Sha256::digest(content))
}

fn facts(path: &Path) -> (u32, u32, u32, i64, i64, u64, Vec<u8>) {
    let it = std::fs::metadata(path).unwrap();
    let attributes = Command::new("getfattr").args(["-d", "--absolute-names"]).arg(path).output().unwrap().stdout;
    (it.mode(), it.uid(), it.gid(), it.mtime(), it.mtime_nsec(), it.len(), attributes)
}

#[test]
fn quarantine_and_restore_give_back_the_same_file() {
    let temp = tempfile::tempdir().unwrap();
    let home = temp.path().join("home 家");
    std::fs::create_dir(&home).unwrap();
    let file = home.join("請求書 invoice.sh");
    let content = [b"#!/bin/sh\necho harmless\n".to_vec(), vec![0, 255, 7]].concat().repeat(10_000);
    let sha256 = write(&file, &content, 0o4755);
    let before = facts(&file);
    let data = temp.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let quarantine = Quarantine::open(&data).unwrap();
    let paths = vec![file.to_str().unwrap().to_owned(), home.join("not there").to_str().unwrap().to_owned()];

    let other = quarantine.take(&"0".repeat(64), &paths, Scope::DEVICE, None);
    assert_eq!((other.state, file.exists()), (ReceiptState::NotFound, true), "the hash of what is moved is checked");

    let taken = quarantine.take(&sha256, &paths, Scope::DEVICE, Some(id()));
    assert_eq!(taken.state, ReceiptState::Done, "{taken:?}");
    assert!(!file.exists());
    let stored: Vec<_> = std::fs::read_dir(data.join("quarantine")).unwrap().map(|entry| entry.unwrap()).collect();
    assert_eq!(stored.len(), 1);
    let meta = stored[0].metadata().unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.uid()), (0o600, 0));
    let raw = std::fs::read(stored[0].path()).unwrap();
    assert!(!raw.starts_with(b"#!") && !raw.windows(9).any(|window| window == b"#!/bin/sh"));
    assert_eq!(quarantine.take(&sha256, &paths, Scope::DEVICE, None).state, ReceiptState::AlreadyDone);

    // somebody put another file there meanwhile
    std::fs::write(&file, "mine").unwrap();
    let occupied = quarantine.restore(&sha256, Scope::DEVICE);
    assert_eq!(occupied.state, ReceiptState::Failed);
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
    std::fs::remove_file(&file).unwrap();

    let restored = quarantine.restore(&sha256, Scope::DEVICE);
    assert_eq!(restored.state, ReceiptState::Done, "{restored:?}");
    assert_eq!(std::fs::read(&file).unwrap(), content);
    assert_eq!(facts(&file), before);
    assert_eq!(std::fs::read_dir(data.join("quarantine")).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(&home).unwrap().count(), 1, "nothing else was left behind");
    assert_eq!(quarantine.restore(&sha256, Scope::DEVICE).state, ReceiptState::NotFound);
}

#[test]
fn quarantine_follows_no_links_and_tells_of_other_names() {
    let temp = tempfile::tempdir().unwrap();
    let victim = temp.path().join("victim");
    let sha256 = write(&victim, b"important", 0o644);
    let link = temp.path().join("link");
    std::os::unix::fs::symlink(&victim, &link).unwrap();
    let fifo = temp.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let data = temp.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let quarantine = Quarantine::open(&data).unwrap();
    let path = |path: &Path| vec![path.to_str().unwrap().to_owned()];
    for odd in [&link, &fifo] {
        let outcome = quarantine.take(&sha256, &path(odd), Scope::DEVICE, None);
        assert_eq!(outcome.state, ReceiptState::Failed, "{outcome:?}");
        assert!(outcome.detail.en.contains("not a regular file"));
    }
    assert!(victim.exists());
    let second = temp.path().join("second name");
    std::fs::hard_link(&victim, &second).unwrap();
    let outcome = quarantine.take(&sha256, &path(&victim), Scope::DEVICE, None);
    assert!(outcome.state == ReceiptState::Failed && outcome.detail.en.contains("1 other names"), "{outcome:?}");
    assert_eq!(quarantine.take(&sha256, &path(&second), Scope::DEVICE, None).state, ReceiptState::Done);
    let own = std::env::current_exe().unwrap();
    let own_hash = hex::encode(Sha256::digest(std::fs::read(&own).unwrap()));
    let outcome = quarantine.take(&own_hash, &path(&own), Scope::DEVICE, None);
    assert!(outcome.state == ReceiptState::Failed && own.exists(), "{outcome:?}");
}

/// Two network namespaces of our own joined by a cable: the endpoint's and, inside this process's
/// reach through another one, the rest of the world. Removed at the end.
struct World {
    endpoint: String,
    outside: String,
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().unwrap();
    assert!(status.success(), "ip {arguments}");
}

impl World {
    fn new() -> World {
        let tag = std::process::id();
        let world = World { endpoint: format!("hnmE{tag}"), outside: format!("hnmO{tag}") };
        let (inner, outer) = (&world.endpoint, &world.outside);
        for name in [inner, outer] {
            ip(&format!("netns add {name}"));
            ip(&format!("-n {name} link set lo up"));
        }
        ip(&format!("link add v{tag}e netns {inner} type veth peer name v{tag}o netns {outer}"));
        for (name, device, host) in [(inner, format!("v{tag}e"), 2), (outer, format!("v{tag}o"), 1)] {
            ip(&format!("-n {name} addr add 10.77.0.{host}/24 dev {device}"));
            ip(&format!("-n {name} link set {device} up"));
        }
        // the server's neighbour: another host
        ip(&format!("-n {outer} addr add 10.77.0.3/24 dev v{tag}o"));
        world
    }

    fn enter(namespace: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace]);
        command
    }

    /// Tries to connect from the endpoint.
    fn reaches(&self, address: &str, port: u16) -> bool {
        let script = format!("exec 3<>/dev/tcp/{address}/{port}");
        let mut command = World::enter(&self.endpoint);
        command.args(["timeout", "2", "bash", "-c", &script]).stderr(Stdio::null()).status().unwrap().success()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for name in [&self.endpoint, &self.outside] {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

/// Runs the rest of this thread's life in a network namespace.
fn move_to(namespace: &str) {
    let file = std::fs::File::open(format!("/run/netns/{namespace}")).unwrap();
    nix::sched::setns(file, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
}

#[test]
fn isolation_leaves_only_the_server_and_ends_with_its_lease() {
    let world = World::new();
    let outside = world.outside.clone();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let (tell, told) = std::sync::mpsc::channel();
    let servers = std::thread::spawn(move || {
        move_to(&outside);
        // a second service on the server's host, and one on another host
        let others = [
            std::net::TcpListener::bind("10.77.0.1:80").unwrap(),
            std::net::TcpListener::bind("10.77.0.3:80").unwrap(),
        ];
        tell.send(others).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let authority = Arc::new(Authority::new(&["10.77.0.1"]));
            let mut server = Server::start_at("10.77.0.1:8444".parse().unwrap(), authority).await;
            let config = "[prevention]\nenabled = false\n[notify]\nenabled = false\n";
            let mut sensor = Sensor::new(config, &["--synthetic-events", "10"]);
            let token = server.token();
            let data = sensor.data.clone();
            let inside = world.endpoint.clone();
            let enrolled = tokio::task::spawn_blocking(move || {
                World::enter(&inside)
                    .arg(env!("CARGO_BIN_EXE_hinomi-sensor"))
                    .args(["enrol", "--token", &token, "--data"])
                    .arg(data)
                    .status()
            });
            assert!(enrolled.await.unwrap().unwrap().success());
            let mut start = World::enter(&world.endpoint);
            start.arg(env!("CARGO_BIN_EXE_hinomi-sensor"));
            sensor.start_as(start).await;
            until("events", || (server.board().events() > 0).then_some(())).await;
            play(&world, &mut server, &mut sensor).await;
        });
        drop(stopped);
    });
    let others = told.recv().unwrap();
    let acceptors: Vec<_> = others
        .into_iter()
        .map(|listener| {
            std::thread::spawn(move || {
                while let Ok((stream, _)) = listener.accept() {
                    drain(stream)
                }
            })
        })
        .collect();
    servers.join().unwrap();
    drop(stop);
    drop(acceptors);
}

fn drain(mut stream: std::net::TcpStream) {
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
}

async fn play(world: &World, server: &mut Server, sensor: &mut Sensor) {
    let try_all = || (world.reaches("10.77.0.1", 8444), world.reaches("10.77.0.1", 80), world.reaches("10.77.0.3", 80));
    assert_eq!(try_all(), (true, true, true));
    // a connection that stands when the network is cut
    let mut flow = World::enter(&world.endpoint)
        .args(["bash", "-c", "exec 3<>/dev/tcp/10.77.0.3/80; while read line; do echo $line >&3; done"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(flow.stdin.as_mut().unwrap(), "before").unwrap();

    let isolated = server.order(Order::Isolate { lease_seconds: 600 }).await;
    assert_eq!(isolated.state, ReceiptState::Done, "{isolated:?}");
    assert!(isolated.status.unwrap().isolated);
    assert!(isolated.proof["rules"].as_u64().unwrap() > 8, "{:?}", isolated.proof);
    assert_eq!(try_all(), (true, false, false));
    let sent_before = dropped(world);
    writeln!(flow.stdin.as_mut().unwrap(), "after").unwrap();
    until("the standing connection to be cut", || (dropped(world) > sent_before).then_some(())).await;
    let events = server.board().events();
    until("events while isolated", || (server.board().events() > events).then_some(())).await;

    // it holds over kill -9 and restart, and when somebody removes the rules
    sensor.kill();
    assert_eq!(try_all(), (true, false, false));
    nft(world, "flush ruleset");
    let mut start = World::enter(&world.endpoint);
    start.arg(env!("CARGO_BIN_EXE_hinomi-sensor"));
    sensor.start_as(start).await;
    assert_eq!(try_all(), (true, false, false));
    nft(world, "flush ruleset");
    until("the rules to come back", || (dropped(world) != u64::MAX).then_some(())).await;

    // the code told in the receipt releases on the spot, another does not
    let code = isolated.proof["release_code"].as_str().unwrap();
    let release = |code: &str| {
        let mut command = rig::program();
        command.args(["release", "--code", code, "--data"]).arg(&sensor.data).output().unwrap()
    };
    assert!(!release("0000-0000-0000").status.success());
    assert_eq!(try_all(), (true, false, false));
    assert!(release(&code.to_lowercase()).status.success());
    assert_eq!(try_all(), (true, true, true));
    until("the server to know", || server.board().statuses.last().filter(|status| !status.isolated).map(|_| ())).await;

    // a lease ends by itself, even when the sensor is gone
    let lease = server.order(Order::Isolate { lease_seconds: 4 }).await;
    assert_eq!((lease.state, world.reaches("10.77.0.3", 80)), (ReceiptState::Done, false));
    sensor.kill();
    let began = std::time::Instant::now();
    until("the end of the lease", || world.reaches("10.77.0.3", 80).then_some(())).await;
    assert!(began.elapsed() < Duration::from_secs(20));
    let mut start = World::enter(&world.endpoint);
    start.arg(env!("CARGO_BIN_EXE_hinomi-sensor"));
    sensor.start_as(start).await;
    assert_eq!(dropped(world), u64::MAX, "the table of a lease that is over is removed");

    let released = server.order(Order::Release).await;
    assert_eq!(released.state, ReceiptState::AlreadyDone);
    flow.kill().unwrap();
    flow.wait().unwrap();
}

fn nft(world: &World, what: &str) {
    let mut command = World::enter(&world.endpoint);
    assert!(command.arg("nft").args(what.split(' ')).status().unwrap().success());
}

/// Packets the outward chain has dropped; MAX when there is no table.
fn dropped(world: &World) -> u64 {
    let mut command = World::enter(&world.endpoint);
    let output = command.args(["nft", "list", "chain", "inet", "hinomi_isolation", "outward"]).output().unwrap();
    if !output.status.success() {
        return u64::MAX;
    }
    let text = String::from_utf8(output.stdout).unwrap();
    text.split("counter packets ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap()
}
