//! `cargo xtask up`: server and sensor on this machine.

use crate::machine::{self, step};
use crate::{build, node};
use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Most seconds until server or sensor must be ready.
const READY: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);

/// Where a running system keeps everything unless another folder is given.
fn usual_dir() -> Result<PathBuf> {
    Ok(PathBuf::from(std::env::var_os("HOME").context("HOME is not set")?).join(".local/share/hinomi"))
}

/// The folder given, or the user's own.
pub fn data_dir(given: Option<PathBuf>) -> Result<PathBuf> {
    let dir = match given {
        Some(dir) => std::path::absolute(dir)?,
        None => usual_dir()?,
    };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&dir)
        .with_context(|| format!("create {}", dir.display()))?;
    Ok(dir)
}

/// Installs, builds, starts.
pub fn up(data: &Path, with_sensor: bool) -> Result<()> {
    if with_sensor && !machine::is_root() {
        bail!("the sensor needs root (eBPF, fanotify): run as root, or with --no-sensor");
    }
    machine::install(&[machine::BUILD, machine::RUN])?;
    node::find_or_install()?;
    build::everything()?;
    down(data)?;
    step("starting the server");
    let server = data.join("server");
    let token = data.join("sensor.token");
    let enrolled = data.join("sensor/identity.json").exists();
    let mut command = Command::new(build::binary("hinomi"));
    command.arg("serve").arg("--data").arg(&server);
    let config = data.join("hinomi.toml");
    if config.exists() {
        command.arg("--config").arg(&config);
    }
    if with_sensor && !enrolled {
        command.arg("--write-enrolment-token").arg(&token);
    }
    let from = start(&mut command, data, "server", &server.join("ready.json"))?;
    if with_sensor {
        step("starting the sensor");
        let sensor = data.join("sensor");
        let program = build::binary("hinomi-sensor");
        if !enrolled {
            let enrol = Command::new(&program)
                .arg("enrol")
                .arg("--data")
                .arg(&sensor)
                .arg("--token-file")
                .arg(&token)
                .status()?;
            let _ = fs::remove_file(&token);
            if !enrol.success() {
                bail!("the sensor could not enrol; see {}", data.join("server.log").display());
            }
        }
        start(Command::new(program).arg("run").arg("--data").arg(&sensor), data, "sensor", &sensor.join("ready"))?;
    }
    println!();
    for line in said(&data.join("server.log"), from)? {
        println!("  {line}");
    }
    println!("  Data and logs: {}", data.display());
    match usual_dir()? == *data {
        true => println!("  Stop: cargo xtask down"),
        false => println!("  Stop: cargo xtask down --data {}", data.display()),
    }
    Ok(())
}

/// What the server told people since this start: the lines of its log that are not log records.
fn said(log: &Path, from: u64) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    wait(READY, || {
        let mut file = File::open(log)?;
        file.seek(SeekFrom::Start(from))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        lines = text.lines().filter(|line| !line.starts_with('{')).map(str::to_owned).collect();
        Ok(lines.iter().any(|line| line.starts_with("Console")))
    })?;
    Ok(lines)
}

/// Stops sensor and server, if they run.
pub fn down(data: &Path) -> Result<()> {
    for name in ["sensor", "server"] {
        let file = data.join(format!("{name}.pid"));
        let Some(pid) = fs::read_to_string(&file).ok().and_then(|text| text.trim().parse::<i32>().ok()) else {
            continue;
        };
        if is_ours(pid, data) {
            step(&format!("stopping the {name} (process {pid})"));
            // SAFETY: kill takes two integers; the pid is a process that `is_ours` recognised.
            unsafe { libc::kill(pid, libc::SIGTERM) };
            wait(READY, || Ok(!is_ours(pid, data))).with_context(|| format!("{name} did not stop"))?;
        }
        fs::remove_file(&file)?;
    }
    Ok(())
}

/// Starts a program in the background and waits for its ready file; returns where its log began.
fn start(command: &mut Command, data: &Path, name: &str, ready: &Path) -> Result<u64> {
    let _ = fs::remove_file(ready);
    let log_path = data.join(format!("{name}.log"));
    let log = OpenOptions::new().append(true).create(true).mode(0o600).open(&log_path)?;
    let from = log.metadata()?.len();
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    // SAFETY: setsid is async-signal-safe; it lets the program outlive the terminal.
    unsafe {
        command.pre_exec(|| {
            libc::setsid();
            Ok(())
        });
    }
    let mut child = command.spawn().with_context(|| format!("start {:?}", command.get_program()))?;
    fs::write(data.join(format!("{name}.pid")), child.id().to_string())?;
    wait(READY, || {
        if let Some(status) = child.try_wait()? {
            bail!("the {name} ended with {status}; see {}", log_path.display());
        }
        Ok(ready.exists())
    })
    .with_context(|| format!("the {name} is not ready; see {}", log_path.display()))?;
    Ok(from)
}

fn wait(deadline: Duration, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !condition()? {
        if start.elapsed() > deadline {
            bail!("no answer within {} s", deadline.as_secs());
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}

/// True when the process is one of our programs over this data folder: after a crash the number may
/// belong to another one.
fn is_ours(pid: i32, data: &Path) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let zombie = stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z'));
    let name = stat.split(['(', ')']).nth(1).unwrap_or_default();
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut arguments = arguments.split(|byte| *byte == 0).map(|argument| Path::new(OsStr::from_bytes(argument)));
    name.starts_with("hinomi") && !zombie && arguments.any(|argument| argument.starts_with(data))
}
