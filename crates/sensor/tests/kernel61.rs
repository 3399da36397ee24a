//! The collector on Debian's own 6.1 kernel, booted in QEMU without hardware acceleration.
//!
//! This one program is both sides: on the host it boots a guest whose first process it is again; there
//! (process 1) it collects its own doings and prints them on the serial line. Needs root, `qemu-system-x86`,
//! `cpio` and, the first time, Debian's package server.

use hinomi_model::{Event, Table};
use hinomi_sensor::collect::{CollectConfig, Collector, DeviceIdentity};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::net::{TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

const BOOT_DEADLINE: Duration = Duration::from_secs(180);
const GUEST_DEADLINE: Duration = Duration::from_secs(60);
const TEST: &str = "collector_works_on_debian_61";
const PROGRAMS: &[&str] = &["/bin/sh", "/bin/true", "/bin/sleep", "/bin/chmod", "/bin/mv", "/bin/rm"];
const STORY: &str = "cd /tmp; printf '#!/bin/sh\\nexit 0\\n' > invoice.sh; chmod +x invoice.sh; ./invoice.sh; \
                     (printf x > by-fork; :); sleep 0; exit 7";
const SEQUEL: &str = "cd /tmp; mv invoice.sh 請求書.sh; rm 請求書.sh";

#[test]
fn collector_works_on_debian_61() {
    if std::process::id() == 1 {
        guest();
        return;
    }
    let serial = boot(&kernel());
    let line = |prefix: &'static str| {
        serial.lines().filter_map(move |line| line.trim_end().split_once(prefix).map(|(_, rest)| rest))
    };
    let release = line("RELEASE ").next().unwrap_or_else(|| panic!("the guest told nothing:\n{serial}"));
    assert!(release.starts_with("6.1."), "{release}");
    let capabilities: BTreeMap<String, String> =
        serde_json::from_str(line("CAPABILITIES ").next().expect("capabilities")).unwrap();
    assert!(capabilities.values().all(|state| state == "ok"), "{capabilities:?}");
    let events: Vec<Event> = line("EVENT ").map(|json| serde_json::from_str(json).unwrap()).collect();
    let find = |what: &str, fits: &dyn Fn(&Event) -> bool| -> Event {
        events.iter().find(|event| fits(event)).cloned().unwrap_or_else(|| panic!("no {what} in\n{serial}"))
    };
    let is = |event: &Event, action: &str| event.str("ActionType") == Some(action);
    let file = |action: &'static str, path: &'static str| {
        find(action, &move |event| is(event, action) && event.str("FolderPath") == Some(path))
    };

    let shell = find("shell", &|event| is(event, "ProcessCreated") && event.long("InitiatingProcessId") == Some(1));
    assert_eq!(shell.additional("Argv").unwrap()[2], STORY);
    assert_eq!(shell.additional("ProcessCurrentDirectory").unwrap(), "/");
    assert_eq!(shell.str("SHA256").map(str::len), Some(64));
    let end = find("end", &|event| {
        is(event, "ProcessTerminated") && event.get("ProcessUniqueId") == shell.get("ProcessUniqueId")
    });
    assert_eq!(end.additional("ExitCode").unwrap(), 7);
    let saved = file("FileCreated", "/tmp/invoice.sh");
    assert_eq!(saved.str("SHA256"), Some("306c6ca7407560340797866e077e053627ad409277d1b9da58106fce4cf717cb"));
    assert_eq!(saved.get("InitiatingProcessUniqueId"), shell.get("ProcessUniqueId"));
    let script = find("script", &|event| is(event, "ProcessCreated") && event.additional("ScriptPath").is_some());
    assert_eq!(script.additional("ScriptPath").unwrap(), "/tmp/invoice.sh");
    assert_eq!(script.additional("ScriptSHA256").unwrap().as_str(), saved.str("SHA256"));
    assert_eq!(file("FileRenamed", "/tmp/請求書.sh").str("PreviousFileName"), Some("invoice.sh"));
    file("FileDeleted", "/tmp/請求書.sh");
    let by_fork = file("FileCreated", "/tmp/by-fork");
    find("fork", &|event| {
        is(event, "ProcessForked") && event.get("ProcessUniqueId") == by_fork.get("InitiatingProcessUniqueId")
    });
    for (ip, kind) in [("127.0.0.1", "Loopback"), ("::1", "Loopback")] {
        let request = find("connection", &|event| is(event, "ConnectionRequest") && event.str("RemoteIP") == Some(ip));
        assert_eq!(request.long("RemotePort"), Some(4443));
        assert_eq!(request.str("RemoteIPType"), Some(kind));
        assert_eq!(request.long("InitiatingProcessId"), Some(1));
    }
    let name = find("name", &|event| is(event, "DnsConnectionInspected"));
    assert_eq!(name.str("RemoteUrl"), Some("old.example"));
    assert_eq!(name.long("InitiatingProcessId"), Some(1));
    assert_eq!(line("DROPS ").next(), Some("{}"));
}

/// Process 1 of the guest: collects what it does itself and prints it.
fn guest() {
    let mount = |kind: &str, place: &str| {
        fs::create_dir_all(place).unwrap();
        let flags = nix::mount::MsFlags::empty();
        nix::mount::mount(Some(kind), place, Some(kind), flags, None::<&str>).unwrap();
    };
    for (kind, place) in [("proc", "/proc"), ("sysfs", "/sys"), ("tmpfs", "/tmp")] {
        mount(kind, place);
    }
    raise_loopback();
    println!("\nRELEASE {}", fs::read_to_string("/proc/sys/kernel/osrelease").unwrap().trim());
    let (sink, mut receiver) = tokio::sync::mpsc::channel(4096);
    let identity = DeviceIdentity {
        device_id: "01900000-0000-7000-8000-000000000061".parse().unwrap(),
        device_name: "debian-12".to_owned(),
    };
    let collector = Collector::start(CollectConfig::default(), identity, sink).expect("collector starts");
    println!("CAPABILITIES {}", serde_json::to_string(&collector.capabilities()).unwrap());

    let mut print_until = |is_last: &dyn Fn(&Event) -> bool| {
        let deadline = Instant::now() + GUEST_DEADLINE;
        while Instant::now() < deadline {
            let Ok(event) = receiver.try_recv() else {
                std::thread::park_timeout(Duration::from_millis(5));
                continue;
            };
            println!("EVENT {}", serde_json::to_string(&event).unwrap());
            if is_last(&event) {
                return;
            }
        }
    };
    let shell = |script: &str| Command::new("/bin/sh").args(["-c", script]).current_dir("/").status().unwrap().code();
    assert_eq!(shell(STORY), Some(7));
    print_until(&|event| event.additional("ExitCode").is_some_and(|code| code == 7));
    assert_eq!(shell(SEQUEL), Some(0));
    // nobody listens: asking is what counts
    let _ = (TcpStream::connect("127.0.0.1:4443"), TcpStream::connect("[::1]:4443"));
    let query = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03old\x07example\0\0\x01\0\x01";
    UdpSocket::bind("0.0.0.0:0").unwrap().send_to(query, "127.0.0.1:53").unwrap();
    print_until(&|event| event.table == Table::DeviceNetworkEvents && event.str("RemoteUrl").is_some());
    println!("DROPS {}", serde_json::to_string(&collector.drops()).unwrap());
    drop(collector);
    nix::unistd::sync();
    // SAFETY: process 1 of a throw-away guest turns it off; nothing runs after
    unsafe { libc::reboot(libc::RB_POWER_OFF) };
}

fn raise_loopback() {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    // SAFETY: a zeroed ifreq is valid
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[..2].copy_from_slice(&[b'l' as libc::c_char, b'o' as libc::c_char]);
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    // SAFETY: the request is an ifreq, as this ioctl wants
    let result = unsafe { libc::ioctl(std::os::fd::AsRawFd::as_raw_fd(&socket), libc::SIOCSIFFLAGS, &request) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

/// Boots the kernel with this program as its first process; returns what came over the serial line.
fn boot(kernel: &Path) -> String {
    let temp = tempfile::tempdir().unwrap();
    let initramfs = initramfs(temp.path());
    let arguments = format!("console=ttyS0 panic=-1 quiet rdinit=/init -- {TEST} --exact --nocapture");
    let mut qemu = Command::new("qemu-system-x86_64")
        .args(["-accel", "tcg", "-m", "768", "-nographic", "-no-reboot", "-nic", "none"])
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(&initramfs)
        .args(["-append", &arguments])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("qemu-system-x86_64 starts (package qemu-system-x86)");
    let mut output = qemu.stdout.take().unwrap();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let result = output.read_to_end(&mut bytes);
        tell.send(result.map(|_| bytes)).unwrap();
    });
    let read = told.recv_timeout(BOOT_DEADLINE);
    let _ = qemu.kill();
    qemu.wait().unwrap();
    let bytes = read.or_else(|_| told.recv()).unwrap().unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Packs this program, the tools of the story and the libraries of both.
fn initramfs(temp: &Path) -> PathBuf {
    let root = temp.join("root");
    let own = std::env::current_exe().unwrap();
    for folder in ["proc", "sys", "tmp", "dev", "etc"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").unwrap();
    run(Command::new("strip").arg("-o").arg(root.join("init")).arg(&own));
    let mut wanted: Vec<PathBuf> = libraries(&own);
    for program in PROGRAMS {
        wanted.push(PathBuf::from(program));
        wanted.extend(libraries(Path::new(program)));
    }
    for path in wanted {
        let place = root.join(path.strip_prefix("/").unwrap());
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::copy(&path, &place).unwrap();
    }
    run(Command::new("mknod").arg(root.join("dev/console")).args(["c", "5", "1"]));
    run(Command::new("mknod").arg(root.join("dev/null")).args(["c", "1", "3"]));
    let archive = temp.join("initramfs.cpio");
    run(Command::new("sh")
        .args(["-c", "find . -print0 | cpio --null --quiet -o -H newc > \"$0\""])
        .arg(&archive)
        .current_dir(&root));
    archive
}

fn libraries(program: &Path) -> Vec<PathBuf> {
    let text = output(Command::new("ldd").arg(program));
    text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

/// Returns Debian's stock kernel, unpacked from its package once and never installed.
fn kernel() -> PathBuf {
    let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("/root"), PathBuf::from);
    let cache = home.join(".cache/hinomi/kernel61");
    let kernel = cache.join("vmlinuz");
    if kernel.exists() {
        return kernel;
    }
    fs::create_dir_all(&cache).unwrap();
    let temp = tempfile::tempdir_in(&cache).unwrap();
    let unpack =
        "apt-get download -q \"$0\" && dpkg-deb --fsys-tarfile ./*.deb | tar -x --wildcards './boot/vmlinuz-*'";
    let is_unpacked = candidates().iter().any(|package| {
        Command::new("sh").args(["-ec", unpack, package]).current_dir(temp.path()).status().is_ok_and(|s| s.success())
    });
    assert!(is_unpacked, "no kernel package of Debian 12 could be fetched (apt-get update?)");
    let found = fs::read_dir(temp.path().join("boot")).unwrap().next().expect("a kernel").unwrap().path();
    fs::rename(found, &kernel).unwrap();
    kernel
}

fn candidates() -> Vec<String> {
    let depends = output(Command::new("apt-cache").args(["depends", "linux-image-amd64"]));
    let known = output(Command::new("apt-cache").args(["pkgnames", "linux-image-6.1."]));
    let mut packages: Vec<String> =
        depends.lines().filter_map(|line| line.split_once("Depends: ")).map(|(_, name)| name.to_owned()).collect();
    let mut unsigned: Vec<String> = known.lines().filter(|name| is_plain(name)).map(str::to_owned).collect();
    unsigned.sort_by_key(|name| std::cmp::Reverse(abi(name)));
    packages.extend(unsigned);
    packages
}

/// `linux-image-6.1.0-50-amd64-unsigned`, not the cloud, real-time or debug flavours.
fn is_plain(name: &str) -> bool {
    let flavour = name.trim_start_matches("linux-image-6.1.0-").trim_start_matches(|c: char| c.is_ascii_digit());
    matches!(flavour, "-amd64" | "-amd64-unsigned")
}

fn abi(name: &str) -> u32 {
    name.split('-').nth(3).and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}
