//! A PostgreSQL server of its own for a test: Debian's PostgreSQL 15 on a Unix socket in a temporary
//! folder, gone when dropped or when the test dies.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const BIN: &str = "/usr/lib/postgresql/15/bin";
const START_DEADLINE: Duration = Duration::from_secs(60);

/// A running server.
pub struct Postgres {
    server: Child,
    folder: tempfile::TempDir,
}

impl Postgres {
    /// Makes a database cluster and starts a server on it. Durability is off: it is for tests.
    pub fn start() -> Result<Postgres> {
        let folder = tempfile::Builder::new().prefix("hinomi-pg-").tempdir().context("temporary folder")?;
        give_to_postgres(folder.path())?;
        let data = folder.path().join("data");
        let output = as_postgres("initdb", false)?
            .args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-locale", "-D"])
            .arg(&data)
            .current_dir(folder.path())
            .output()
            .context("run initdb (Debian package postgresql-15)")?;
        if !output.status.success() {
            bail!("initdb failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        let log = std::fs::File::create(folder.path().join("server.log")).context("log file")?;
        let server = as_postgres("postgres", true)?
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(folder.path())
            .args([
                "-c",
                "listen_addresses=",
                "-c",
                "fsync=off",
                "-c",
                "shared_buffers=32MB",
                "-c",
                "max_connections=60",
            ])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("start postgres")?;
        let mut running = Postgres { server, folder };
        running.wait_until_ready()?;
        Ok(running)
    }

    /// Makes a database and returns its URL.
    pub fn database(&self, name: &str) -> Result<String> {
        let made = Command::new(Path::new(BIN).join("createdb"))
            .args(["-U", "postgres", "-h"])
            .arg(self.folder.path())
            .arg(name)
            .output()
            .context("run createdb")?;
        if !made.status.success() {
            bail!("createdb {name} failed: {}", String::from_utf8_lossy(&made.stderr));
        }
        Ok(format!("postgres://postgres@localhost/{name}?host={}", self.folder.path().display()))
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let begin = Instant::now();
        loop {
            let ready = Command::new(Path::new(BIN).join("pg_isready"))
                .args(["-q", "-h"])
                .arg(self.folder.path())
                .status()
                .context("run pg_isready")?;
            if ready.success() {
                return Ok(());
            }
            if let Some(status) = self.server.try_wait().context("server process")? {
                let log = std::fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default();
                bail!("postgres ended with {status}: {log}");
            }
            if begin.elapsed() > START_DEADLINE {
                bail!("postgres was not ready within {START_DEADLINE:?}");
            }
            // pg_isready is the condition; this only keeps the loop from spinning
            std::thread::sleep(Duration::from_millis(30));
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // immediate shutdown: the folder goes away anyway
        if let Ok(pid) = i32::try_from(self.server.id()) {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGQUIT);
        }
        let _ = self.server.wait();
    }
}

/// PostgreSQL refuses to run as root: root becomes the user `postgres`.
fn as_postgres(program: &str, dies_with_us: bool) -> Result<Command> {
    let program: PathBuf = Path::new(BIN).join(program);
    if !nix::unistd::geteuid().is_root() {
        return Ok(Command::new(program));
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]);
    if dies_with_us {
        command.arg("--pdeathsig=QUIT");
    }
    command.arg(program);
    Ok(command)
}

fn give_to_postgres(folder: &Path) -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    let user = nix::unistd::User::from_name("postgres")
        .context("look up user postgres")?
        .context("user postgres is missing (Debian package postgresql-15)")?;
    nix::unistd::chown(folder, Some(user.uid), Some(user.gid)).context("chown")
}
