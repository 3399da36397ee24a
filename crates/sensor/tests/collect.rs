//! The collector against this machine's kernel. Needs root.

mod stage;

use hinomi_model::{Event, Table};
use hinomi_sensor::collect::CollectConfig;
use serde_json::json;
use stage::{DEVICE, Stage, created, field, is, sha256};
use std::collections::HashSet;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

#[test]
fn exec_is_told_whole() {
    let mut stage = Stage::new();
    let cwd = stage.dir.join("作業 場");
    std::fs::create_dir(&cwd).unwrap();
    let inner = cwd.clone();
    let status = stage.inside(move || {
        std::fs::set_permissions(inner.parent().unwrap(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "/bin/sleep 0; exit 3", "請求書 2026.pdf", ""]).current_dir(inner).uid(65534).gid(65534);
        command.status().unwrap()
    });
    assert_eq!(status.code(), Some(3));
    let shell_path = Path::new("/bin/sh").canonicalize().unwrap();
    let sleep_path = Path::new("/bin/sleep").canonicalize().unwrap();

    let shell = stage.wait("the shell", |event| created(event) && field(event, "Argv")[3] == "請求書 2026.pdf");
    assert_eq!(shell.str("DeviceId"), Some(DEVICE));
    assert_eq!(shell.str("DeviceName"), Some("舞台"));
    assert_eq!(shell.str("FolderPath"), shell_path.to_str());
    assert_eq!(shell.str("FileName"), shell_path.file_name().unwrap().to_str());
    assert_eq!(shell.str("SHA256"), Some(sha256(&shell_path).as_str()));
    assert_eq!(shell.long("FileSize"), Some(shell_path.metadata().unwrap().len() as i64));
    assert_eq!(shell.str("ProcessCommandLine"), Some("/bin/sh -c '/bin/sleep 0; exit 3' '請求書 2026.pdf' ''"));
    assert_eq!(shell.str("AccountSid"), Some("65534"));
    assert_eq!(shell.str("AccountName"), Some("nobody"));
    assert_eq!(field(&shell, "ProcessCurrentDirectory"), json!(cwd));
    assert_eq!(field(&shell, "Argv"), json!(["/bin/sh", "-c", "/bin/sleep 0; exit 3", "請求書 2026.pdf", ""]));
    assert!(field(&shell, "CgroupPath").as_str().is_some_and(|path| path.starts_with('/')));
    assert_eq!(shell.long("InitiatingProcessId"), Some(i64::from(std::process::id())));
    let own = std::env::current_exe().unwrap();
    assert_eq!(shell.str("InitiatingProcessFolderPath"), own.to_str());

    let sleep = stage.wait("its child", |event| created(event) && event.str("FolderPath") == sleep_path.to_str());
    for (child, parent) in [
        ("InitiatingProcessId", "ProcessId"),
        ("InitiatingProcessFileName", "FileName"),
        ("InitiatingProcessFolderPath", "FolderPath"),
        ("InitiatingProcessCommandLine", "ProcessCommandLine"),
        ("InitiatingProcessCreationTime", "ProcessCreationTime"),
        ("InitiatingProcessSHA256", "SHA256"),
        ("InitiatingProcessMD5", "MD5"),
        ("InitiatingProcessAccountName", "AccountName"),
        ("InitiatingProcessUniqueId", "ProcessUniqueId"),
        ("InitiatingProcessParentId", "InitiatingProcessId"),
        ("InitiatingProcessParentFileName", "InitiatingProcessFileName"),
        ("InitiatingProcessParentCreationTime", "InitiatingProcessCreationTime"),
    ] {
        assert_eq!(sleep.get(child), shell.get(parent), "{child}");
        assert!(sleep.get(child).is_some(), "{child}");
    }
    let process = sleep.process().expect("key");
    assert_eq!(sleep.str("ProcessUniqueId"), Some(process.to_string().as_str()));

    let end = stage.wait("the end", |event| {
        is(event, "ProcessTerminated") && event.get("ProcessUniqueId") == shell.get("ProcessUniqueId")
    });
    assert_eq!(field(&end, "ExitCode"), 3);
    let table = stage.collector.processes();
    let shell_key = shell.process().expect("key");
    assert_eq!(table.descendants(shell_key), [process]);
    assert!(table.get(process.pid as u32).is_some_and(|info| info.ended_at.is_some()));
}

#[test]
fn saved_script_has_its_hash_in_file_and_process_events() {
    let mut stage = Stage::new();
    let path = stage.dir.join("invoice.sh");
    stage
        .shell("printf '#!/bin/sh\\nexit 0\\n' > invoice.sh; chmod +x invoice.sh; ./invoice.sh one; sh invoice.sh two");
    let hash = sha256(&path);

    let saved = stage.wait_file("FileCreated", &path);
    assert_eq!(saved.str("SHA256"), Some(hash.as_str()));
    assert_eq!(saved.str("FileName"), Some("invoice.sh"));
    assert_eq!(saved.long("FileSize"), Some(17));
    assert!(saved.str("InitiatingProcessCommandLine").unwrap().contains("invoice.sh"));
    for argument in ["one", "two"] {
        let ran = stage.wait(argument, |event| {
            created(event) && field(event, "Argv").as_array().is_some_and(|argv| argv.last() == Some(&json!(argument)))
        });
        assert_eq!(field(&ran, "ScriptPath"), json!(path));
        assert_eq!(field(&ran, "ScriptSHA256"), json!(hash));
    }
}

#[test]
fn files_are_told_with_full_paths() {
    let mut stage = Stage::new();
    // a mount only this namespace has: hashes must come from inside it
    stage.shell(
        "mkdir -p private real/deep; mount -t tmpfs none private; ln -s real/deep way; cd private
         mkdir -p a/b; cd a; printf one > b/new.txt; printf two >> ../a/b/new.txt
         (printf first; /bin/echo second) > b/many.txt
         mv b/new.txt ../renamed.txt; ln ../renamed.txt hard.txt; ln -s /etc/passwd soft.txt
         cd ../..; printf x > way/via-link; rm way/via-link
         cp /bin/true private/copy; echo 1 > /dev/null; cat private/copy > /dev/null",
    );
    let private = stage.dir.join("private");
    let new = stage.wait_file("FileCreated", &private.join("a/b/new.txt"));
    assert!(new.str("InitiatingProcessFileName").is_some());
    let many = stage.wait_file("FileCreated", &private.join("a/b/many.txt"));
    assert_eq!(many.long("FileSize"), Some(12), "told once the last writer closed it: {many:?}");
    let renamed = stage.wait_file("FileRenamed", &private.join("renamed.txt"));
    assert_eq!(renamed.str("PreviousFolderPath"), private.join("a/b/new.txt").to_str());
    assert_eq!(renamed.str("PreviousFileName"), Some("new.txt"));
    assert_eq!(renamed.str("SHA256"), Some("25b6746d5172ed6352966a013d93ac846e1110d5a25e8f183b5931f4688842a1"));
    assert_eq!(renamed.long("FileSize"), Some(6));
    let hard = stage.wait_file("FileCreated", &private.join("a/hard.txt"));
    assert_eq!(hard.get("SHA256"), renamed.get("SHA256"));
    let soft = stage.wait_file("FileCreated", &private.join("a/soft.txt"));
    assert_eq!(field(&soft, "LinkTarget"), "/etc/passwd");
    // links in the folder part lead where the file really is
    stage.wait_file("FileCreated", &stage.dir.join("real/deep/via-link"));
    stage.wait_file("FileDeleted", &stage.dir.join("real/deep/via-link"));
    let copy = stage.wait_file("FileCreated", &private.join("copy"));
    assert_eq!(copy.str("SHA256"), Some(sha256("/bin/true").as_str()));
    stage.shell("cd private/a; rm ../renamed.txt");
    stage.wait_file("FileDeleted", &private.join("renamed.txt"));

    std::fs::write(stage.dir.join("old"), "before").unwrap();
    stage.shell("printf after >> old; cat old; exec 3>held; sleep 1.5; printf late >&3; exec 3>&-");
    let old = stage.wait_file("FileModified", &stage.dir.join("old"));
    assert_eq!(old.long("FileSize"), Some(11));
    let held = stage.wait_file("FileCreated", &stage.dir.join("held"));
    assert_eq!(field(&held, "HashUnavailable"), "still open");
    let late = stage.wait_file("FileModified", &stage.dir.join("held"));
    assert_eq!(late.str("SHA256"), Some(sha256(stage.dir.join("held")).as_str()));
    let noise = |event: &Event| {
        event.table == Table::DeviceFileEvents
            && event.str("FolderPath").is_some_and(|path| path.starts_with("/dev") || path.starts_with("/proc"))
    };
    assert!(!stage.events.iter().any(noise), "{}", stage.dump());
}

#[test]
fn connections_and_names_are_told_with_their_process() {
    let mut stage = Stage::new();
    let (v4, v6) = stage.inside(|| {
        let listen = |at: &str| std::net::TcpListener::bind(at).unwrap();
        let (four, six) = (listen("127.0.0.1:0"), listen("[::1]:0"));
        let resolver = std::net::UdpSocket::bind("127.0.0.53:53").unwrap();
        let ports = (four.local_addr().unwrap().port(), six.local_addr().unwrap().port());
        let script = format!(
            "import socket\n\
             socket.create_connection(('127.0.0.1', {})).close()\n\
             socket.create_connection(('::1', {})).close()\n\
             socket.create_connection(('::ffff:127.0.0.1', {})).close()\n\
             u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
             for _ in range(5): u.sendto(b'x', ('127.0.0.1', 4444))\n\
             q = b'\\x12\\x34\\x01\\0\\0\\1\\0\\0\\0\\0\\0\\0' + b'\\4evil\\7example\\3com\\0' + b'\\0\\x1c\\0\\1'\n\
             u.sendto(q, ('127.0.0.53', 53))\n",
            ports.0, ports.1, ports.0
        );
        let status = Command::new("/usr/bin/python3").args(["-c", &script]).status().unwrap();
        assert!(status.success());
        drop(resolver);
        ports
    });
    let to = |ip: &'static str, port: u16| {
        move |event: &Event| {
            is(event, "ConnectionRequest")
                && event.str("RemoteIP") == Some(ip)
                && event.long("RemotePort") == Some(i64::from(port))
        }
    };
    let four = stage.wait("IPv4", to("127.0.0.1", v4));
    assert_eq!(four.str("Protocol"), Some("Tcp"));
    assert_eq!(four.str("RemoteIPType"), Some("Loopback"));
    assert!(four.str("InitiatingProcessFileName").unwrap().starts_with("python3"));
    assert!(four.str("InitiatingProcessSHA256").is_some());
    let six = stage.wait("IPv6", to("::1", v6));
    assert_eq!(six.get("InitiatingProcessUniqueId"), four.get("InitiatingProcessUniqueId"));
    let datagram = stage.wait("UDP", to("127.0.0.1", 4444));
    assert_eq!(datagram.str("Protocol"), Some("Udp"));
    let name = stage.wait("a name", |event| is(event, "DnsConnectionInspected"));
    assert_eq!(name.str("RemoteUrl"), Some("evil.example.com"));
    assert_eq!(name.str("RemoteIP"), Some("127.0.0.53"));
    assert_eq!(field(&name, "QueryType"), "AAAA");
    assert_eq!(name.get("InitiatingProcessUniqueId"), four.get("InitiatingProcessUniqueId"));
    assert_eq!(stage.events.iter().filter(|event| to("127.0.0.1", v4)(event)).count(), 2, "IPv4, also in IPv6 form");
    assert_eq!(stage.events.iter().filter(|event| to("127.0.0.1", 4444)(event)).count(), 1, "repeats are folded");
}

#[test]
fn forks_are_told_when_they_matter() {
    let mut stage = Stage::new();
    stage.shell("(printf x > by-fork; :) & wait");
    let path = stage.dir.join("by-fork");
    let file = stage.wait_file("FileCreated", &path);
    let fork = stage.wait("the fork", |event| {
        is(event, "ProcessForked") && event.get("ProcessUniqueId") == file.get("InitiatingProcessUniqueId")
    });
    assert_ne!(fork.get("ProcessId"), fork.get("InitiatingProcessId"));
    let shell = stage.wait("the shell", created);
    assert_eq!(fork.get("InitiatingProcessUniqueId"), shell.get("ProcessUniqueId"));
}

#[test]
fn nothing_outside_the_scope_is_told() {
    let mut stage = Stage::new();
    let outside = stage.dir.join("outside");
    Command::new("/bin/sh")
        .args(["-c", "echo x > outside; /bin/true hinomi-outside"])
        .current_dir(&stage.dir)
        .status()
        .unwrap();
    stage.shell("/bin/true hinomi-inside");
    stage.wait("the inside", |event| {
        created(event) && event.str("ProcessCommandLine").is_some_and(|line| line.ends_with("hinomi-inside"))
    });
    assert!(outside.exists());
    let text = stage.dump();
    assert!(!text.contains("hinomi-outside") && !text.contains(outside.to_str().unwrap()), "{text}");
    assert!(stage.collector.drops().is_empty(), "{:?}", stage.collector.drops());
}

#[test]
fn five_hundred_execs_a_second_lose_nothing() {
    const SECONDS: u32 = 3;
    const COUNT: u32 = 500 * SECONDS;
    let mut stage = Stage::with(CollectConfig::default());
    let took = stage.inside(|| {
        let start = Instant::now();
        for number in 0..COUNT {
            let due = start + Duration::from_secs(u64::from(SECONDS)) * number / COUNT;
            std::thread::park_timeout(due.saturating_duration_since(Instant::now()));
            let status = Command::new("/bin/true").arg(format!("hinomi-{number}")).status().unwrap();
            assert!(status.success());
        }
        start.elapsed()
    });
    stage.wait("the last exec", |event| {
        created(event) && event.str("ProcessCommandLine") == Some(&format!("/bin/true hinomi-{}", COUNT - 1))
    });
    let lines: HashSet<_> = stage
        .events
        .iter()
        .filter(|event| created(event))
        .filter_map(|event| event.str("ProcessCommandLine"))
        .collect();
    let missing: Vec<_> =
        (0..COUNT).filter(|number| !lines.contains(format!("/bin/true hinomi-{number}").as_str())).collect();
    assert!(missing.is_empty(), "{} of {COUNT} missing", missing.len());
    assert!(stage.collector.drops().is_empty(), "{:?}", stage.collector.drops());
    eprintln!("{:.0} execs/s, none lost", f64::from(COUNT) / took.as_secs_f64());
}
