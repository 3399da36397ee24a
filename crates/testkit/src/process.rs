//! Waiting for programs and conditions.

use anyhow::{Result, ensure};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;
use tokio::process::Child;

/// Asks a program to end, waits, insists.
pub async fn terminate(child: &mut Child) {
    if let Some(pid) = child.id() {
        let pid = nix::unistd::Pid::from_raw(pid as i32);
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        if tokio::time::timeout(Duration::from_secs(20), child.wait()).await.is_err() {
            let _ = child.kill().await;
        }
    }
}

/// A loopback address nobody listens on.
pub fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
}

/// Waits until `look` answers something; errors of `look` count as "not yet" and the last is told.
pub async fn wait_for<T>(
    what: &str,
    deadline: Duration,
    mut look: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let end = tokio::time::Instant::now() + deadline;
    loop {
        let last = match look().await {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => String::new(),
            Err(error) => format!(": {error:#}"),
        };
        ensure!(tokio::time::Instant::now() < end, "waited {} s for {what}{last}", deadline.as_secs());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
