//! The endpoint: a private mount namespace with a home of its own, a user at a terminal, the sensor.

use super::StoryConfig;
use super::mail_client::OpenMail;
use crate::process::{terminate, wait_for};
use anyhow::{Context, Result, ensure};
use nix::pty::{OpenptyResult, openpty};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::process::{Child, Command};

const READY: Duration = Duration::from_secs(60);

/// The endpoint and everything that runs on it.
pub struct Endpoint {
    /// Home of its user, a file system of its own inside the namespace.
    pub home: PathBuf,
    user: String,
    /// Holds the namespace open.
    keeper: Child,
    /// The user's login session on a terminal.
    session: Child,
    terminal: Arc<Mutex<String>>,
    sensor: Child,
    client: Vec<Child>,
}

impl Endpoint {
    /// Makes the namespace, logs the user in, enrols and starts the sensor.
    pub async fn start(config: &StoryConfig, dir: &Path, token: &Path) -> Result<Endpoint> {
        let user = crate::mail::RIG_USER.to_owned();
        let home = dir.join("home");
        std::fs::create_dir_all(&home)?;
        let mail_program = dir.join("thunderbird");
        std::fs::copy(config.binaries.join("hinomi-story"), &mail_program).context("copy the mail program")?;
        // the test user must be able to pass through the folders above its home
        for folder in [dir, home.as_path()] {
            std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        }
        let script = "mount -t tmpfs -o mode=0755,size=64m hinomi-story \"$1\" && mkdir -p \"$1/bin\" \"$1/.cache\" \
                      && cp \"$2\" \"$1/bin/thunderbird\" && chown -R \"$3\" \"$1\" && touch \"$1/.ready\" && exec sleep 3600";
        let keeper = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"])
            .args([home.as_os_str(), mail_program.as_os_str(), user.as_ref()])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("make a mount namespace")?;
        let pid = keeper.id().context("the namespace ended")?;
        wait_for("the endpoint's home", READY, async || {
            Ok(Path::new(&format!("/proc/{pid}/root{}/.ready", home.display())).exists().then_some(()))
        })
        .await?;
        let namespace = std::fs::metadata(format!("/proc/{pid}/ns/mnt"))?.ino();
        let (session, terminal) = log_in(pid, &user, &home)?;
        let data = dir.join("sensor");
        let enrolled = inside(pid, config.binaries.join("hinomi-sensor"))
            .args(["enrol", "--data"])
            .arg(&data)
            .arg("--token-file")
            .arg(token)
            .status()
            .await?;
        ensure!(enrolled.success(), "the sensor could not enrol");
        let sensor = inside(pid, config.binaries.join("hinomi-sensor"))
            .args(["run", "--data"])
            .arg(&data)
            .arg("--scope-mount-namespace")
            .arg(namespace.to_string())
            .arg("--prevent-mount")
            .arg(&home)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(dir.join("sensor.log"))?)
            .kill_on_drop(true)
            .spawn()?;
        wait_for("the sensor to be ready", READY, async || Ok(data.join("ready").exists().then_some(()))).await?;
        Ok(Endpoint { home, user, keeper, session, terminal, sensor, client: Vec::new() })
    }

    /// Everything shown on the user's terminal so far.
    pub fn terminal(&self) -> String {
        self.terminal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The user opens the newest mail in the mail program and leaves it open.
    pub fn open_mail(&mut self, mail: &OpenMail) -> Result<()> {
        let child = self
            .program(&["open-mail"])?
            .arg(mail.imap.to_string())
            .args([&mail.user, &mail.password])
            .arg(&mail.downloads)
            .spawn()?;
        self.client.push(child);
        Ok(())
    }

    /// The user opens the newest mail once more and waits; returns whether the attachment ran and
    /// what the mail program said.
    pub async fn open_mail_again(&mut self, mail: &OpenMail) -> Result<(bool, String)> {
        let output = self
            .program(&["open-mail"])?
            .arg(mail.imap.to_string())
            .args([&mail.user, &mail.password])
            .arg(&mail.downloads)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()
            .await?;
        Ok((output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()))
    }

    /// A path of the endpoint as seen from outside its namespace.
    pub fn outside(&self, path: &Path) -> Result<PathBuf> {
        let pid = self.keeper.id().context("the endpoint is gone")?;
        Ok(PathBuf::from(format!("/proc/{pid}/root{}", path.display())))
    }

    fn program(&self, arguments: &[&str]) -> Result<Command> {
        let pid = self.keeper.id().context("the endpoint is gone")?;
        let mut command = inside(pid, "setpriv".into());
        command
            .args(["--reuid", &self.user, "--regid", &self.user, "--clear-groups"])
            .arg(self.home.join("bin/thunderbird"))
            .args(arguments)
            .env("HOME", &self.home)
            .env("LANG", "ja_JP.UTF-8")
            .stdin(Stdio::null());
        Ok(command)
    }

    /// Stops everything on the endpoint.
    pub async fn stop(&mut self) {
        terminate(&mut self.sensor).await;
        for client in &mut self.client {
            terminate(client).await;
        }
        terminate(&mut self.session).await;
        // the second stage may still run when the story failed half-way
        end_processes_below(&self.home, self.keeper.id());
        terminate(&mut self.keeper).await;
    }
}

/// A command inside the endpoint's mount namespace.
fn inside(pid: u32, program: PathBuf) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--mount=/proc/{pid}/ns/mnt")).arg("--").arg(program).kill_on_drop(true);
    command
}

/// A login session of the user on a pseudo-terminal; what is written to the terminal is collected.
fn log_in(pid: u32, user: &str, home: &Path) -> Result<(Child, Arc<Mutex<String>>)> {
    let OpenptyResult { master, slave } = openpty(None, None).context("open a terminal")?;
    let stdio = || -> Result<Stdio> { Ok(Stdio::from(slave.try_clone()?)) };
    let mut command = inside(pid, "setpriv".into());
    command
        .args(["--reuid", user, "--regid", user, "--clear-groups", "sleep", "3600"])
        .env("HOME", home)
        .env("LANG", "ja_JP.UTF-8")
        .stdin(stdio()?)
        .stdout(stdio()?)
        .stderr(stdio()?);
    // SAFETY: setsid and ioctl are async-signal-safe and touch only the new process.
    unsafe {
        command.pre_exec(|| {
            libc::setsid();
            libc::ioctl(0, libc::TIOCSCTTY, 0);
            Ok(())
        });
    }
    let child = command.spawn().context("log in")?;
    drop(slave);
    let shown = Arc::new(Mutex::new(String::new()));
    let collect = shown.clone();
    let mut terminal = std::fs::File::from(master);
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(read) = terminal.read(&mut bytes) {
            if read == 0 {
                break;
            }
            collect.lock().unwrap_or_else(PoisonError::into_inner).push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
    });
    Ok((child, shown))
}

/// Ends processes that run a program below the home of the endpoint, and only those.
fn end_processes_below(home: &Path, keeper: Option<u32>) {
    let Some(namespace) = keeper.and_then(|pid| std::fs::metadata(format!("/proc/{pid}/ns/mnt")).ok()) else { return };
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let same = std::fs::metadata(entry.path().join("ns/mnt")).is_ok_and(|found| found.ino() == namespace.ino());
        let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if same && String::from_utf8_lossy(&command).contains(&*home.to_string_lossy()) && Some(pid as u32) != keeper {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
    }
}
