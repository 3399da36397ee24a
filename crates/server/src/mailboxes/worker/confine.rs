//! What a worker gives up before the first byte of a mail server reaches it.
//!
//! Nothing here is a condition for working: what the system does not offer is told in the log. Linux
//! only, as the server.

use super::filter::{self, Network};
use crate::config::MailboxesConfig;
use anyhow::{Context, Result, bail};
use std::ffi::CString;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Open files and sockets of a worker.
const FILES_MAX: u64 = 4_096;
/// Bytes a worker may hold: eight mailboxes with the most they may answer, and room.
const MEMORY_MAX: u64 = 8 << 30;
/// Processes and threads of a worker that has a user of its own.
const THREADS_MAX: u64 = 128;
/// Numbers systemd gives to users that exist only while something runs (systemd, "Users, Groups, UIDs
/// and GIDs on systemd systems"): nobody else has them.
const OWN_USERS: std::ops::Range<u32> = 61_184..65_520;
/// Where names, authorities and libraries for looking up names lie.
const READABLE: [&str; 7] =
    ["/etc", "/usr", "/lib", "/lib64", "/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager"];

/// Closes whatever was inherited beside the three standard streams.
pub(super) fn close_other_files() {
    // SAFETY: nothing has been opened yet by this program that it would miss.
    unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, 0u32) };
}

/// First things, before any secret is read: no core dumps, no tracing by others, no new privileges.
pub(super) fn harden() -> Result<()> {
    // SAFETY: these calls take numbers only.
    unsafe {
        check(libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0)).context("refuse to be dumped")?;
        check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)).context("refuse new privileges")?;
    }
    limit(libc::RLIMIT_CORE, 0)?;
    limit(libc::RLIMIT_NOFILE, FILES_MAX)?;
    limit(libc::RLIMIT_DATA, MEMORY_MAX)
}

/// Gives up user, capabilities and the view of the file system, as far as the mail system allows.
/// `reads` are folders with tokens that are read again at every login.
pub(super) fn give_up(config: &MailboxesConfig, user: Option<&str>, reads: &[PathBuf]) -> Result<()> {
    let maildir = config.maildir.as_ref().map(|maildir| fixed_part(&maildir.path));
    // SAFETY: asks for a number.
    let is_root = unsafe { libc::geteuid() } == 0;
    if is_root {
        match (user, &maildir) {
            (Some(user), _) => become_user(named(user)?)?,
            // mailboxes belong to many users: only files may be touched in spite of their owners
            (None, Some(_)) => {
                let files = [CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER];
                bound(&files);
                keep_capabilities(&files)?;
            }
            // some containers know few user numbers: then without capabilities at least
            (None, None) => {
                if let Err(error) = own_user(&config.name).and_then(become_user) {
                    tracing::warn!("the mail worker has no user of its own (mail_worker.user names one): {error:#}");
                }
            }
        }
    }
    if !is_root || user.is_some() || maildir.is_none() {
        keep_capabilities(&[])?;
    }
    let writes: Vec<PathBuf> = maildir.into_iter().collect();
    let reads: Vec<PathBuf> = READABLE.iter().map(PathBuf::from).chain(reads.iter().cloned()).collect();
    match landlock(&reads, &writes, &ports(config)) {
        Ok(()) => {}
        Err(error) => tracing::warn!("this kernel does not confine the mail worker's view (Landlock): {error:#}"),
    }
    if let Err(error) = filter::apply(network(config)) {
        tracing::warn!("this kernel does not filter the mail worker's system calls (seccomp): {error:#}");
    }
    Ok(())
}

/// What the mail system needs of the network: UDP only when its address is a name.
fn network(config: &MailboxesConfig) -> Network {
    let urls = config.graph.iter().flat_map(|graph| [&graph.login_url, &graph.graph_url]);
    let mut hosts: Vec<String> = config.imap.iter().map(|imap| imap.host.clone()).collect();
    hosts.extend(urls.filter_map(|url| Some(url::Url::parse(url).ok()?.host_str()?.to_owned())));
    let is_address = |host: &String| host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
    match (hosts.is_empty(), hosts.iter().all(is_address)) {
        (true, _) => Network::None,
        (false, true) => Network::Tcp,
        (false, false) => Network::TcpAndNames,
    }
}

/// Ports the mail system is reached at, and that of name servers.
fn ports(config: &MailboxesConfig) -> Vec<u16> {
    let mut ports = Vec::new();
    if let Some(imap) = &config.imap {
        ports.extend([imap.port, 53]);
    }
    if let Some(graph) = &config.graph {
        let port = |text: &str| url::Url::parse(text).ok()?.port_or_known_default();
        ports.extend([&graph.login_url, &graph.graph_url].into_iter().filter_map(|url| port(url)));
        ports.push(53);
    }
    ports
}

/// The folder of a Maildir template above its first variable part.
fn fixed_part(template: &str) -> PathBuf {
    let fixed = template.split('%').next().unwrap_or(template);
    match fixed.rsplit_once('/') {
        Some(("", _)) | None => PathBuf::from("/"),
        Some((folder, _)) => PathBuf::from(folder),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct User {
    uid: u32,
    gid: u32,
}

/// A user of the system by name or number.
fn named(user: &str) -> Result<User> {
    if let Ok(number) = user.parse::<u32>() {
        return Ok(known_user(number).unwrap_or(User { uid: number, gid: number }));
    }
    let name = CString::new(user).context("the name of a user holds no zero byte")?;
    // SAFETY: the name ends with a zero byte; the answer is used before the next such call, and there is
    // one thread only.
    let found = unsafe { libc::getpwnam(name.as_ptr()).as_ref() };
    match found {
        Some(found) => Ok(User { uid: found.pw_uid, gid: found.pw_gid }),
        None => bail!("there is no user {user:?} on this system (mail_worker.user)"),
    }
}

fn known_user(uid: u32) -> Option<User> {
    // SAFETY: as in `named`.
    let found = unsafe { libc::getpwuid(uid).as_ref() };
    found.map(|found| User { uid: found.pw_uid, gid: found.pw_gid })
}

/// A number nobody else has: none of the user list, and nobody's process.
fn own_user(name: &str) -> Result<User> {
    let count = OWN_USERS.end - OWN_USERS.start;
    let first = crc32fast::hash(name.as_bytes()) % count;
    let in_use: Vec<u32> = std::fs::read_dir("/proc")
        .map(|entries| entries.flatten().filter_map(|entry| Some(entry.metadata().ok()?.uid())).collect())
        .unwrap_or_default();
    let mut tries = (0..count).map(|step| OWN_USERS.start + (first + step) % count);
    let free = tries.find(|uid| !in_use.contains(uid) && known_user(*uid).is_none());
    let uid = free.context("no user number is free")?;
    Ok(User { uid, gid: uid })
}

fn become_user(user: User) -> Result<()> {
    let User { uid, gid } = user;
    bound(&[]);
    limit(libc::RLIMIT_NPROC, THREADS_MAX)?;
    // SAFETY: these calls take numbers, and a list of length zero.
    unsafe {
        check(libc::setgroups(0, std::ptr::null())).context("leave all groups")?;
        check(libc::setresgid(gid, gid, gid)).with_context(|| format!("become group {gid}"))?;
        check(libc::setresuid(uid, uid, uid)).with_context(|| format!("become user {uid}"))?;
        if uid != 0 && libc::setuid(0) == 0 {
            bail!("the way back to root is still open");
        }
    }
    Ok(())
}

// numbers of <linux/capability.h>
const CAP_CHOWN: u32 = 0;
const CAP_DAC_OVERRIDE: u32 = 1;
const CAP_FOWNER: u32 = 3;
const CAP_LAST: u32 = 63;
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CapabilityData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Nothing that is ever started from here has a capability but these.
fn bound(kept: &[u32]) {
    for capability in (0..=CAP_LAST).filter(|capability| !kept.contains(capability)) {
        // beyond the last one this kernel knows: nothing is lost
        // SAFETY: takes numbers.
        unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability as libc::c_ulong, 0, 0, 0) };
    }
}

/// Keeps no capability but these.
fn keep_capabilities(kept: &[u32]) -> Result<()> {
    let bits = kept.iter().fold(0, |bits, capability| bits | 1 << capability);
    let header = CapabilityHeader { version: CAPABILITY_VERSION_3, pid: 0 };
    let data = [CapabilityData { effective: bits, permitted: bits, inheritable: 0 }, CapabilityData::default()];
    // SAFETY: both point to what this version of the call reads, and live through it.
    unsafe {
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong, 0, 0, 0);
        check(libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) as libc::c_int)
            .context("give up capabilities")
    }
}

// <linux/landlock.h>: access rights by the version that brought them
const ACCESS_READ_FILE: u64 = 1 << 2;
const ACCESS_READ_DIR: u64 = 1 << 3;
const ACCESS_EXECUTE: u64 = 1;
const ACCESS_BIND_TCP: u64 = 1;
const ACCESS_CONNECT_TCP: u64 = 1 << 1;
const SCOPE_ALL: u64 = 0b11;
const RULE_PATH: u32 = 1;
const RULE_PORT: u32 = 2;
const CREATE_RULESET_VERSION: u32 = 1;

#[repr(C)]
struct Ruleset {
    files: u64,
    network: u64,
    scoped: u64,
}

#[repr(C, packed)]
struct PathRule {
    allowed: u64,
    folder: i32,
}

#[repr(C)]
struct PortRule {
    allowed: u64,
    port: u64,
}

/// From here on this thread, and what it starts, reads below `reads`, reads and writes below `writes`,
/// and connects to `ports` by TCP; nothing else (UDP and sockets in the file system are the filter's matter).
///
/// # Errors
/// When the kernel has no Landlock; nothing is confined then.
fn landlock(reads: &[PathBuf], writes: &[PathBuf], ports: &[u16]) -> Result<()> {
    // SAFETY: with this flag the call takes no structure.
    let version = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0usize, CREATE_RULESET_VERSION)
    };
    anyhow::ensure!(version >= 1, "not there");
    let files = match version {
        1 => (1 << 13) - 1,
        2 => (1 << 14) - 1,
        3 | 4 => (1 << 15) - 1,
        _ => (1u64 << 16) - 1,
    };
    let network = if version >= 4 { ACCESS_BIND_TCP | ACCESS_CONNECT_TCP } else { 0 };
    let ruleset = Ruleset { files, network, scoped: if version >= 6 { SCOPE_ALL } else { 0 } };
    let size: usize = match version {
        1..=3 => 8,
        4 | 5 => 16,
        _ => 24,
    };
    // SAFETY: the structure is at least `size` bytes and lives through the call.
    let rules = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, &raw const ruleset, size, 0u32) };
    check(rules as libc::c_int).context("make rules")?;
    let rules = {
        use std::os::fd::FromRawFd;
        // SAFETY: the kernel just made this descriptor for us.
        unsafe { std::os::fd::OwnedFd::from_raw_fd(rules as i32) }
    };
    let rules = rules.as_raw_fd();
    for (paths, allowed) in [(reads, ACCESS_READ_FILE | ACCESS_READ_DIR), (writes, files & !ACCESS_EXECUTE)] {
        for path in paths {
            allow_below(rules, path, allowed)?;
        }
    }
    for port in ports.iter().filter(|_| network != 0) {
        let rule = PortRule { allowed: ACCESS_CONNECT_TCP, port: u64::from(*port) };
        // SAFETY: the structure lives through the call.
        let added = unsafe { libc::syscall(libc::SYS_landlock_add_rule, rules, RULE_PORT, &raw const rule, 0u32) };
        check(added as libc::c_int).with_context(|| format!("allow port {port}"))?;
    }
    // SAFETY: takes numbers.
    unsafe {
        check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
        check(libc::syscall(libc::SYS_landlock_restrict_self, rules, 0u32) as libc::c_int).context("apply the rules")
    }
}

fn allow_below(rules: i32, path: &Path, allowed: u64) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let folder = match File::options().read(true).custom_flags(libc::O_PATH | libc::O_CLOEXEC).open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        folder => folder.with_context(|| format!("open {}", path.display()))?,
    };
    let rule = PathRule { allowed, folder: folder.as_raw_fd() };
    // SAFETY: the structure and the descriptor in it live through the call.
    let added = unsafe { libc::syscall(libc::SYS_landlock_add_rule, rules, RULE_PATH, &raw const rule, 0u32) };
    check(added as libc::c_int).with_context(|| format!("allow {}", path.display()))
}

fn limit(what: libc::__rlimit_resource_t, most: u64) -> Result<()> {
    let mut now = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls get a structure that lives through them.
    unsafe {
        check(libc::getrlimit(what, &raw mut now)).context("read a limit")?;
        let most = most.min(now.rlim_max);
        let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
        check(libc::setrlimit(what, &raw const limit)).context("set a limit")
    }
}

fn check(returned: libc::c_int) -> Result<()> {
    if returned < 0 { Err(std::io::Error::last_os_error().into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn landlock_leaves_what_is_named_and_nothing_else() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = |name: &str| dir.path().join(name);
        for name in ["seen", "written", "hidden"] {
            std::fs::create_dir(path(name)).expect("folder");
            std::fs::write(path(name).join("file"), name).expect("file");
        }
        let (good, bad) =
            (TcpListener::bind("127.0.0.1:0").expect("port"), TcpListener::bind("127.0.0.1:0").expect("port"));
        let (good, bad) = (good.local_addr().expect("address"), bad.local_addr().expect("address"));
        let (seen, written, hidden) = (path("seen"), path("written"), path("hidden"));
        // rules hold for the thread that makes them
        let confined = std::thread::spawn(move || {
            if let Err(error) = landlock(std::slice::from_ref(&seen), std::slice::from_ref(&written), &[good.port()]) {
                eprintln!("not on this kernel: {error:#}");
                return;
            }
            assert_eq!(std::fs::read_to_string(seen.join("file")).expect("read"), "seen");
            assert!(std::fs::write(seen.join("file"), "x").is_err() && std::fs::write(seen.join("new"), "x").is_err());
            std::fs::write(written.join("new"), "x").expect("write");
            std::fs::rename(written.join("new"), written.join("newer")).expect("rename");
            assert!(std::fs::read(hidden.join("file")).is_err() && std::fs::read("/etc/passwd").is_err());
            TcpStream::connect(good).expect("named port");
            assert!(TcpStream::connect(bad).is_err() && TcpListener::bind("127.0.0.1:0").is_err());
        });
        confined.join().expect("as confined");
        assert!(std::fs::read("/etc/passwd").is_ok(), "only that thread");
    }

    #[test]
    fn folders_and_ports_follow_from_the_configuration() {
        for (template, fixed) in
            [("/var/mail/%d/%n/Maildir", "/var/mail"), ("/var/mail/x%u", "/var/mail"), ("/%u", "/")]
        {
            assert_eq!(fixed_part(template), Path::new(fixed));
        }
        for (system, needed) in [
            ("[maildir]\npath = \"/m/%u\"", Network::None),
            ("[imap]\nhost = \"192.0.2.1\"", Network::Tcp),
            ("[imap]\nhost = \"mail.example.jp\"", Network::TcpAndNames),
            ("[graph]\ntenant = \"t\"\nclient_id = \"c\"", Network::TcpAndNames),
        ] {
            let config = toml::from_str(&format!("users_file = \"u\"\n{system}")).expect(system);
            assert_eq!(network(&config), needed, "{system}");
        }
        let user = own_user("main").expect("a number");
        assert!(OWN_USERS.contains(&user.uid) && user.uid == user.gid);
        assert_eq!(named("0").expect("root"), User { uid: 0, gid: 0 });
        assert!(named("nobody-of-this-name").is_err());
    }
}
