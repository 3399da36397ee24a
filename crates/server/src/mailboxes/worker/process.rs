//! The worker as a process: how the server starts it, and what it does then.

use super::super::access;
use super::confine;
use crate::config::MailboxesConfig;
use crate::secrets::{Handed, Hidden};
use anyhow::{Context, Result, ensure};
use hinomi_mail::worker::{Link, refuse, serve};
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

/// Largest start message, bytes: a sealed list of credentials fits.
const START_BYTES_MAX: u32 = 128 << 20;
/// A worker whose connection is over ends within this time, or is ended.
const END_TIME_MAX: Duration = Duration::from_secs(5);
/// Threads of a worker: it waits for the network most of the time.
const THREADS: usize = 2;
/// Names of the environment a worker keeps: how much to log.
const ENVIRONMENT: [&str; 1] = ["HINOMI_LOG"];

/// What a worker is told first, once: `u32` length, little-endian, then JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Start {
    /// Its mail system.
    pub config: MailboxesConfig,
    /// The sealed secret and its key.
    pub handed: Option<Handed>,
    /// System user to become when it is started as root.
    pub user: Option<String>,
}

/// Starts a worker and waits until it is ready.
pub(super) async fn start(program: &Path, start: Start) -> Result<Link> {
    let name = start.config.name.clone();
    let (ours, theirs) = UnixStream::pair().context("make a socket pair")?;
    ours.set_nonblocking(true)?;
    let mut ours = tokio::net::UnixStream::from_std(ours)?;
    let mut command = Command::new(program);
    command.arg("mail-worker").arg(&name).current_dir("/").env_clear();
    command.envs(ENVIRONMENT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    // nothing but the socket pair is inherited; a Ctrl-C for the server is not one for its workers
    command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null()).process_group(0);
    let child = command.spawn().with_context(|| format!("start {}", program.display()))?;
    // it holds the worker's end: as long as it does, the worker's death is not seen
    drop(command);
    let pid = child.id();
    let told = async {
        let text = Hidden::from(serde_json::to_vec(&start)?);
        let length = u32::try_from(text.bytes().len()).ok().filter(|length| *length <= START_BYTES_MAX);
        ours.write_all(&length.context("the credentials are too long")?.to_le_bytes()).await?;
        ours.write_all(text.bytes()).await?;
        Ok::<_, anyhow::Error>(())
    };
    let opened = match told.await {
        // what it says before it ends tells more than that it takes nothing
        Ok(()) | Err(_) => Link::open(ours).await,
    };
    match opened {
        Ok(link) => {
            tracing::info!(worker.pid = pid, "mail worker of {name} is ready");
            tokio::spawn(bury(child, name, link.ended()));
            Ok(link)
        }
        Err(why) => {
            tokio::spawn(bury(child, name, std::future::ready(why.clone())));
            anyhow::bail!("{why}")
        }
    }
}

/// Waits until a worker's connection is over and then for its end.
async fn bury(mut child: Child, name: String, ended: impl Future<Output = String>) {
    let pid = child.id();
    let why = tokio::select! {
        why = ended => why,
        status = child.wait() => match status {
            Ok(status) => format!("it ended: {status}"),
            Err(error) => error.to_string(),
        },
    };
    if tokio::time::timeout(END_TIME_MAX, child.wait()).await.is_err() {
        let _ = child.start_kill();
        let _ = child.wait().await;
    }
    tracing::info!(worker.pid = pid, "mail worker of {name} is gone: {why}");
}

/// The whole life of a worker: `hinomi mail-worker`. Its standard input is the socket pair.
pub fn main() -> ExitCode {
    confine::close_other_files();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<()> {
    let input = std::io::stdin().as_fd().try_clone_to_owned().context("take the socket")?;
    let mut stream = UnixStream::from(input);
    stream.peer_addr().context("a mail worker is started by the server only")?;
    confine::harden().context("harden the worker")?;
    let start = read_start(&mut stream).context("read what the server says first")?;
    // rustls wants one process-wide provider
    let _ = rustls::crypto::ring::default_provider().install_default();
    let opened = access::open(&start.config, start.handed.as_ref());
    let confined = opened.and_then(|opened| {
        confine::give_up(&start.config, start.user.as_deref(), &opened.reads)?;
        Ok(opened.served)
    });
    drop(start);
    stream.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()?;
    runtime.block_on(async {
        let stream = tokio::net::UnixStream::from_std(stream)?;
        match confined {
            Ok(served) => serve(stream, served).await.context("talk to the server")?,
            Err(error) => refuse(stream, format!("{error:#}")).await?,
        }
        Ok::<_, anyhow::Error>(())
    })?;
    // the server is gone or has no more use for it: nothing is worth waiting for
    runtime.shutdown_background();
    Ok(())
}

fn read_start(stream: &mut UnixStream) -> Result<Start> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    ensure!(length <= START_BYTES_MAX, "{length} bytes are not allowed");
    let mut text = vec![0; length as usize];
    let read = stream.read_exact(&mut text);
    let text = Hidden::from(text);
    read?;
    // the parser's message could quote what it reads
    serde_json::from_slice(text.bytes()).map_err(|error| anyhow::anyhow!("not understood at column {}", error.column()))
}
