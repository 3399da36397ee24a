//! Starts and stops the servers.

use super::config::{Plan, SHARED_PREFIX, SHARED_USER};
use super::imap::ImapUser;
use anyhow::{Context, Result, bail, ensure};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor, address::Envelope};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// System user Dovecot runs as.
pub const RIG_USER: &str = "hinomi-test";

/// Tries to find ports nobody else takes between choosing and binding.
const START_ATTEMPTS: u32 = 5;
/// Longest wait for a server to answer with its greeting.
const START_DEADLINE: Duration = Duration::from_secs(30);

/// What kind of mail server to start.
#[derive(Debug, Clone)]
pub struct MailRigConfig {
    /// Number of mailboxes, `user01@…` and up.
    pub users: usize,
    /// Domain of the mailboxes.
    pub domain: String,
    /// Milter Postfix asks about every message.
    pub milter: Option<SocketAddr>,
    /// What Postfix does when the milter does not answer: `accept`, `tempfail`, `reject`.
    pub milter_default_action: String,
    /// LMTP listener that gets a copy of every mail; `user=domain@journal.invalid` names each recipient.
    pub journal: Option<SocketAddr>,
    /// Offer IMAP with TLS too (a self-made certificate; `openssl` makes it).
    pub tls: bool,
    /// Start Postfix; without it only IMAP is there.
    pub smtp: bool,
    /// One more user who sees the mailboxes of all others ([`MailRig::shared_user`]).
    pub shared: bool,
    /// Lines at the end of Dovecot's configuration; they win over what stands before.
    pub dovecot: String,
}

impl Default for MailRigConfig {
    fn default() -> Self {
        MailRigConfig {
            users: 50,
            domain: "example.test".to_owned(),
            milter: None,
            milter_default_action: "tempfail".to_owned(),
            journal: None,
            tls: false,
            smtp: true,
            shared: false,
            dovecot: String::new(),
        }
    }
}

/// A running mail server; dropping it stops the servers and removes every trace.
pub struct MailRig {
    /// Where SMTP is accepted.
    pub smtp_addr: SocketAddr,
    /// Where IMAP without TLS is served (STARTTLS too when `tls` was asked for).
    pub imap_addr: SocketAddr,
    /// Where IMAP over TLS is served.
    pub imaps_addr: Option<SocketAddr>,
    /// Certificate of the TLS listener (also its own authority), for host name `localhost`.
    pub ca_file: Option<PathBuf>,
    /// Dovecot master user; logs in as `address*master_user`.
    pub master_user: String,
    /// Its password.
    pub master_password: String,
    /// With [`MailRigConfig::shared`]: the user who sees the mailboxes of all others; its password is
    /// [`MailRig::master_password`].
    pub shared_user: String,
    /// Where it sees them, `%u` for the address.
    pub shared_prefix: String,
    /// Password of every mailbox user.
    pub user_password: String,
    /// One address per line.
    pub users_file: PathBuf,
    /// Addresses of the mailboxes.
    pub users: Vec<String>,
    /// Folder of the rig.
    pub dir: PathBuf,
    // last: the servers stop after everything else is gone
    _watcher: Watcher,
}

impl MailRig {
    /// Starts Dovecot and Postfix and waits until both answer.
    ///
    /// # Errors
    /// When not run as root, a package is missing, or a server does not come up; the error holds
    /// the end of its log.
    pub async fn start(config: MailRigConfig) -> Result<MailRig> {
        tokio::task::spawn_blocking(move || MailRig::start_blocking(&config)).await?
    }

    /// Same as [`MailRig::start`] for callers without a runtime.
    ///
    /// # Errors
    /// As [`MailRig::start`].
    pub fn start_blocking(config: &MailRigConfig) -> Result<MailRig> {
        ensure!(nix::unistd::geteuid().is_root(), "the mail rig needs root");
        for program in ["/usr/sbin/dovecot", "/usr/sbin/postfix"] {
            ensure!(Path::new(program).exists(), "{program} is missing: install dovecot-imapd dovecot-lmtpd postfix");
        }
        ensure_user()?;
        let mut last = None;
        for _ in 0..START_ATTEMPTS {
            match start_once(config) {
                Ok(rig) => return Ok(rig),
                Err(error) => last = Some(error),
            }
        }
        Err(last.expect("at least one attempt was made")).context("start Postfix and Dovecot")
    }

    /// Hands a raw mail to Postfix.
    ///
    /// # Errors
    /// The SMTP error as Postfix told it (a milter's reject text is in it).
    pub async fn send(&self, from: &str, recipients: &[&str], raw: &[u8]) -> Result<String> {
        let from = if from.is_empty() { None } else { Some(from.parse()?) };
        let to = recipients.iter().map(|to| to.parse()).collect::<Result<Vec<_>, _>>()?;
        let transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous("127.0.0.1")
            .port(self.smtp_addr.port())
            .timeout(Some(Duration::from_secs(120)))
            .build();
        let answer = transport.send_raw(&Envelope::new(from, to)?, raw).await?;
        Ok(answer.message().collect::<Vec<_>>().join(" "))
    }

    /// Logs in as a mailbox user.
    ///
    /// # Errors
    /// When the login fails.
    pub async fn imap(&self, user: &str) -> Result<ImapUser> {
        ImapUser::login(self.imap_addr, user, &self.user_password).await
    }

    /// Waits until the inbox of `user` holds at least `count` mails.
    ///
    /// # Errors
    /// When that does not happen within `deadline`.
    pub async fn wait_for(&self, user: &str, count: usize, deadline: Duration) -> Result<()> {
        let end = Instant::now() + deadline;
        let mut client = self.imap(user).await?;
        loop {
            let there = client.count("INBOX").await?;
            if there >= count {
                return Ok(());
            }
            ensure!(Instant::now() < end, "{user} has {there} of {count} mails; {}", self.log_tail());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Returns a command for Dovecot's administration tool, set up for this rig.
    pub fn doveadm(&self) -> Command {
        let mut command = Command::new("/usr/bin/doveadm");
        command.arg("-c").arg(self.dir.join("dovecot.conf"));
        command
    }

    /// Returns the end of both logs, for messages of failed tests.
    pub fn log_tail(&self) -> String {
        log_tail(&self.dir)
    }
}

/// The process that cleans up after us, whatever way we end: it waits for the end of its input.
struct Watcher {
    child: Child,
}

impl Watcher {
    fn start(dir: &Path) -> Result<Watcher> {
        // Process groups, not names: both masters lead a session of their own. Dead children nobody
        // has waited for do not count. A server that does not end within five seconds is killed.
        let script = r#"
cat >/dev/null
alive() { cat /proc/[0-9]*/stat 2>/dev/null | awk -v g="$1" '$5 == g && $3 != "Z" { n++ } END { exit !n }'; }
groups="$(cat "$1/queue/pid/master.pid" 2>/dev/null) $(cat "$1/run/master.pid" 2>/dev/null)"
for group in $groups; do kill -TERM "$group" 2>/dev/null; done
for group in $groups; do
  tries=0
  while alive "$group"; do
    tries=$((tries + 1))
    [ $tries -eq 50 ] && kill -TERM -"$group" 2>/dev/null
    [ $tries -gt 60 ] && kill -KILL -"$group" 2>/dev/null
    [ $tries -gt 100 ] && break
    sleep 0.1
  done
done
rm -rf -- "$1"
"#;
        let child = Command::new("/bin/sh")
            .args(["-c", script, "mail-rig-watcher"])
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // a group of its own: what kills the test's group must not kill its cleaner
            .process_group(0)
            .spawn()
            .context("start the rig's watcher")?;
        Ok(Watcher { child })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn start_once(config: &MailRigConfig) -> Result<MailRig> {
    let dir = tempfile::Builder::new().prefix("hm-").tempdir_in("/tmp")?.keep();
    let watcher = Watcher::start(&dir)?;
    let id = dir.file_name().context("no folder name")?.to_string_lossy().to_lowercase().replace('_', "-");
    let (smtp_port, imap_port) = (free_port()?, free_port()?);
    let imaps_port = if config.tls { Some(free_port()?) } else { None };
    let master_password = random_hex()?;
    let plan = Plan {
        id: &id,
        dir: &dir,
        smtp_port,
        imap_port,
        imaps_port,
        milter: config.milter,
        milter_default_action: &config.milter_default_action,
        journal: config.journal,
        master_user: "hinomi-admin",
        shared: config.shared,
    };
    let users: Vec<String> = (1..=config.users).map(|n| format!("user{n:02}@{}", config.domain)).collect();
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o755))?;
    write_dovecot(&plan, &users, &master_password, &config.dovecot)?;
    start_dovecot(&plan).with_context(|| log_tail(&dir))?;
    if config.smtp {
        write_postfix(&plan)?;
        start_postfix(&plan).with_context(|| log_tail(&dir))?;
    }
    let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
    Ok(MailRig {
        smtp_addr: loopback(smtp_port),
        imap_addr: loopback(imap_port),
        imaps_addr: imaps_port.map(loopback),
        ca_file: imaps_port.map(|_| dir.join("tls/cert.pem")),
        master_user: plan.master_user.to_owned(),
        master_password,
        shared_user: SHARED_USER.to_owned(),
        shared_prefix: SHARED_PREFIX.to_owned(),
        user_password: "secret".to_owned(),
        users_file: dir.join("addresses"),
        users,
        dir: dir.clone(),
        _watcher: watcher,
    })
}

fn write_dovecot(plan: &Plan<'_>, users: &[String], master_password: &str, more: &str) -> Result<()> {
    let dir = plan.dir;
    let local = |address: &String| address.split('@').next().unwrap_or_default().to_owned();
    let entries: String = users.iter().map(|user| format!("{}:{{PLAIN}}secret::::::\n", local(user))).collect();
    let (uid, gid) = rig_ids()?;
    for folder in ["run", "state", "mail"] {
        std::fs::create_dir(dir.join(folder))?;
        chown(dir.join(folder), Some(uid), Some(gid))?;
    }
    let entries = entries + &plan.shared_entry(master_password);
    if plan.shared {
        // where Dovecot puts mailboxes of users it does not know: not writable, as in an installed one
        std::fs::create_dir(dir.join("run/user-not-found"))?;
    }
    for (name, text) in [
        ("dovecot.conf", plan.dovecot() + more),
        ("users", entries),
        ("masters", plan.masters(master_password)),
        ("dovecot.log", String::new()),
    ] {
        std::fs::write(dir.join(name), text)?;
        chown(dir.join(name), Some(uid), Some(gid))?;
    }
    std::fs::write(dir.join("addresses"), users.iter().map(|user| format!("{user}\n")).collect::<String>())?;
    if plan.imaps_port.is_some() {
        make_certificate(&dir.join("tls"), uid, gid)?;
    }
    Ok(())
}

fn make_certificate(dir: &Path, uid: u32, gid: u32) -> Result<()> {
    std::fs::create_dir(dir)?;
    run(Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(dir.join("key.pem"))
        .arg("-out")
        .arg(dir.join("cert.pem")))?;
    chown(dir.join("key.pem"), Some(uid), Some(gid))?;
    Ok(())
}

fn start_dovecot(plan: &Plan<'_>) -> Result<()> {
    run(Command::new("setpriv")
        .args(["--reuid", RIG_USER, "--regid", RIG_USER, "--clear-groups", "--"])
        .arg("/usr/sbin/dovecot")
        .arg("-c")
        .arg(plan.dir.join("dovecot.conf")))?;
    wait_greeting(plan.imap_port, plan.id)
}

fn write_postfix(plan: &Plan<'_>) -> Result<()> {
    let etc = plan.dir.join("postfix");
    for folder in [&etc, &plan.dir.join("queue"), &plan.dir.join("postfix-data")] {
        std::fs::create_dir(folder)?;
    }
    run(Command::new("chown").arg("postfix").arg(plan.dir.join("postfix-data")))?;
    std::fs::write(etc.join("main.cf"), plan.main_cf())?;
    std::fs::write(etc.join("master.cf"), plan.master_cf())?;
    std::fs::write(etc.join("journal"), plan.journal_map())?;
    for (name, sources) in [
        ("postfix-files", ["/etc/postfix/postfix-files", "/usr/share/postfix/postfix-files"]),
        ("dynamicmaps.cf", ["/etc/postfix/dynamicmaps.cf", "/usr/share/postfix/dynamicmaps.cf"]),
    ] {
        match sources.iter().find(|source| Path::new(source).exists()) {
            Some(source) => drop(std::fs::copy(source, etc.join(name))?),
            None => bail!("Postfix's {name} is not where Debian puts it"),
        }
    }
    Ok(())
}

fn start_postfix(plan: &Plan<'_>) -> Result<()> {
    run(Command::new("/usr/sbin/postfix").arg("-c").arg(plan.dir.join("postfix")).arg("start"))?;
    wait_greeting(plan.smtp_port, plan.id)
}

/// Runs a command; its output is in the error when it fails.
fn run(command: &mut Command) -> Result<()> {
    // to a file, not a pipe: a daemon would inherit the pipe and keep it open for ever
    let mut output = tempfile::tempfile()?;
    let status = command
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output.try_clone()?)
        .status()
        .with_context(|| format!("run {:?}", command.get_program()))?;
    if status.success() {
        return Ok(());
    }
    let mut text = String::new();
    std::io::Seek::rewind(&mut output)?;
    output.read_to_string(&mut text)?;
    bail!("{:?} ended with {status}: {}", command.get_program(), text.trim())
}

/// Waits for a greeting that names this rig: another process may sit on the port.
fn wait_greeting(port: u16, id: &str) -> Result<()> {
    let end = Instant::now() + START_DEADLINE;
    loop {
        if let Ok(line) = greeting(port) {
            ensure!(line.contains(id), "port {port} belongs to somebody else: {line}");
            return Ok(());
        }
        ensure!(Instant::now() < end, "nobody answers on port {port}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn greeting(port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut line = Vec::new();
    let mut byte = [0];
    while line.len() < 512 && stream.read(&mut byte)? == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    let _ = stream.write_all(b"QUIT\r\n");
    Ok(String::from_utf8_lossy(&line).into_owned())
}

/// A port below the range the kernel gives to outgoing connections that nobody listens on.
fn free_port() -> Result<u16> {
    for _ in 0..200 {
        let mut random = [0; 2];
        std::fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
        let port = 12_000 + u16::from_le_bytes(random) % 20_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port between 12000 and 32000")
}

fn random_hex() -> Result<String> {
    let mut random = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn rig_ids() -> Result<(u32, u32)> {
    let user = nix::unistd::User::from_name(RIG_USER)?.with_context(|| format!("no user {RIG_USER}"))?;
    Ok((user.uid.as_raw(), user.gid.as_raw()))
}

/// Makes the system user; two rigs may try at once, so only the outcome counts.
fn ensure_user() -> Result<()> {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        if rig_ids().is_ok() {
            return Ok(());
        }
        let made = run(Command::new("useradd").args([
            "--system",
            "--user-group",
            "--no-create-home",
            "--home-dir",
            "/nonexistent",
            "--shell",
            "/usr/sbin/nologin",
            RIG_USER,
        ]));
        match made {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() > end => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

fn log_tail(dir: &Path) -> String {
    let tail = |name: &str| {
        let text = std::fs::read_to_string(dir.join(name)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        format!("{name}:\n{}\n", lines[lines.len().saturating_sub(15)..].join("\n"))
    };
    tail("dovecot.log") + &tail("postfix.log")
}
