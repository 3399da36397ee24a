//! The listener: accepts connections up to a limit and counts what happens.

use super::session::{Session, SessionError};
use super::{Judge, Limits};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// What happened since the start. Every loss has a number here.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections accepted.
    pub connections: AtomicU64,
    /// Messages that came to their end.
    pub messages: AtomicU64,
    /// Messages longer than the limit, judged by their beginning.
    pub truncated: AtomicU64,
    /// Connections dropped because of a malformed or misplaced packet.
    pub malformed: AtomicU64,
    /// Connections dropped because of silence.
    pub stalled: AtomicU64,
    /// Connections that broke in the middle of a packet or on a write.
    pub broken: AtomicU64,
    /// Messages the judge was too late for.
    pub judge_late: AtomicU64,
    /// Messages the judge failed on.
    pub judge_failed: AtomicU64,
}

/// A running milter server.
pub struct MilterServer {
    /// Where it listens.
    pub addr: SocketAddr,
    /// What happened since the start.
    pub counters: Arc<Counters>,
    task: tokio::task::JoinHandle<()>,
}

impl MilterServer {
    /// Takes connections of `listener` and asks `judge` about every message.
    ///
    /// # Errors
    /// When the listener is of no use.
    pub fn start<J: Judge>(listener: TcpListener, judge: Arc<J>, limits: Limits) -> std::io::Result<MilterServer> {
        let addr = listener.local_addr()?;
        let counters = Arc::new(Counters::default());
        let task = tokio::spawn(accept(listener, judge, Arc::new(limits), Arc::clone(&counters)));
        Ok(MilterServer { addr, counters, task })
    }

    /// Waits until the listener ends; it does so only when the runtime does.
    pub async fn wait(&mut self) {
        let _ = (&mut self.task).await;
    }
}

impl Drop for MilterServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept<J: Judge>(listener: TcpListener, judge: Arc<J>, limits: Arc<Limits>, counters: Arc<Counters>) {
    let places = Arc::new(Semaphore::new(limits.connections_max));
    let mut sessions = tokio::task::JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        while sessions.try_join_next().is_some() {}
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // out of file descriptors, mostly: others must be able to end first
                tracing::warn!(%error, "milter connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // answers are small and awaited by the mail server
        let _ = stream.set_nodelay(true);
        counters.connections.fetch_add(1, Relaxed);
        let session = Session::new(stream, Arc::clone(&judge), Arc::clone(&limits), Arc::clone(&counters));
        let counters = Arc::clone(&counters);
        sessions.spawn(async move {
            let _place = place;
            if let Err(error) = session.run().await {
                count(&counters, &error);
            }
        });
    }
}

fn count(counters: &Counters, error: &SessionError) {
    match error {
        SessionError::Io(_) => counters.broken.fetch_add(1, Relaxed),
        SessionError::Idle => counters.stalled.fetch_add(1, Relaxed),
        SessionError::Wire(_) | SessionError::Order(_) | SessionError::TooMany(_) => {
            counters.malformed.fetch_add(1, Relaxed)
        }
    };
    tracing::info!(error = error as &dyn std::error::Error, "milter connection dropped: {error}");
}
