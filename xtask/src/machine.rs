//! The machine: Debian packages, spoken steps, root.

use anyhow::{Context, Result, bail};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Instant;

/// Packages to build: C compiler for crates with C parts, clang for the BPF object, libelf for its loader.
pub const BUILD: &[&str] =
    &["build-essential", "pkg-config", "clang-14", "libelf-dev", "zlib1g-dev", "ca-certificates"];
/// Packages the running sensor uses.
pub const RUN: &[&str] = &["nftables", "iproute2", "procps"];
/// Packages of the mail tests and the story.
pub const MAIL: &[&str] = &["postfix", "dovecot-imapd", "dovecot-lmtpd", "openssl", "curl", "util-linux", "bsdutils"];
/// Packages of the browser tests.
pub const BROWSER: &[&str] = &["chromium", "fonts-noto-cjk"];
/// Packages only tests use: PostgreSQL, an LDAP server, a session bus, QEMU with what makes a small root file system.
pub const TEST: &[&str] =
    &["postgresql-15", "dbus", "qemu-system-x86", "cpio", "e2fsprogs", "zstd", "sqlite3", "slapd", "ldap-utils"];

/// Says what is done now, with the time since the start.
pub fn step(what: &str) {
    static START: OnceLock<Instant> = OnceLock::new();
    let elapsed = START.get_or_init(Instant::now).elapsed().as_secs();
    eprintln!("[{:>3}:{:02}] {what}", elapsed / 60, elapsed % 60);
}

/// Installs the Debian packages that are missing, naming them.
pub fn install(groups: &[&[&str]]) -> Result<()> {
    let missing: Vec<&str> =
        groups.iter().flat_map(|group| group.iter().copied()).filter(|name| !installed(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    step(&format!("installing Debian packages: {}", missing.join(" ")));
    if !is_root() {
        bail!("run as root, or install them yourself: apt-get install --no-install-recommends {}", missing.join(" "));
    }
    let _no_services = NoServices::declare()?;
    let lists = std::fs::read_dir("/var/lib/apt/lists").map(|entries| entries.count()).unwrap_or_default();
    if lists < 4 || !apt(&["install", "--no-install-recommends", "-y"], &missing)? {
        apt(&["update"], &[])?;
        if !apt(&["install", "--no-install-recommends", "-y"], &missing)? {
            bail!("apt-get could not install {}", missing.join(" "));
        }
    }
    Ok(())
}

/// While it lives, packages are installed without starting their services: tests and story start
/// copies of their own on their own ports. Debian asks this program before it starts a service
/// (invoke-rc.d(8)); 101 is "no".
struct NoServices;

const POLICY: &str = "/usr/sbin/policy-rc.d";
const NO: &str = "#!/bin/sh\n# made by cargo xtask while it installs packages\nexit 101\n";

impl NoServices {
    /// Leaves a policy of somebody else alone; takes over one that a killed run left behind.
    fn declare() -> Result<Option<NoServices>> {
        match std::fs::read_to_string(POLICY) {
            Ok(text) if text != NO => return Ok(None),
            _ => std::fs::write(POLICY, NO).with_context(|| format!("write {POLICY}"))?,
        }
        let guard = NoServices;
        std::fs::set_permissions(POLICY, std::fs::Permissions::from_mode(0o755))?;
        Ok(Some(guard))
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(POLICY) {
            eprintln!("{POLICY} could not be removed: {error}");
        }
    }
}

fn installed(name: &str) -> bool {
    let output = Command::new("dpkg-query").args(["-W", "-f=${Status}", name]).stderr(Stdio::null()).output();
    output.is_ok_and(|output| output.stdout.starts_with(b"install ok installed"))
}

fn apt(verb: &[&str], names: &[&str]) -> Result<bool> {
    let output = Command::new("apt-get")
        .arg("-q")
        .args(verb)
        .args(names)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .context("run apt-get")?;
    if !output.status.success() {
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(output.status.success())
}

/// True when we are root.
pub fn is_root() -> bool {
    // SAFETY: geteuid has no arguments and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Runs a command with its output shown; an error names it.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("start {:?}", command.get_program()))?;
    if !status.success() {
        bail!("{:?} {:?} ended with {status}", command.get_program(), command.get_args().collect::<Vec<_>>());
    }
    Ok(())
}
