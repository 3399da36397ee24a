//! An LMTP server (RFC 2033): takes copies of mails a mail server sends to a journal address.
//!
//! The answer to each recipient comes after [`Receiver::take`] has made the mail durable: "250" means
//! it is ours, "451" that the mail server keeps it and tries again. Nothing is ever refused for what
//! it says, only for what it is too big or too malformed to be read.

mod command;
mod session;

pub use command::{Command, parse};

use bytes::Bytes;
use futures::future::BoxFuture;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Bounds on what a client may send and how long it may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest mail, bytes.
    pub message_bytes_max: usize,
    /// Recipients of one mail.
    pub recipients_max: usize,
    /// Longest command line, bytes (RFC 5321 4.5.3.1.4 asks for 512; parameters make it longer).
    pub line_bytes_max: usize,
    /// Commands of one connection that are no LMTP before it is closed.
    pub mistakes_max: usize,
    /// Wait for the next command.
    pub command_timeout: Duration,
    /// Reading one mail.
    pub data_timeout: Duration,
    /// Making one mail durable.
    pub take_timeout: Duration,
    /// Connections at the same time; more wait.
    pub connections_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            message_bytes_max: 64 << 20,
            recipients_max: 2_000,
            line_bytes_max: 4_096,
            mistakes_max: 20,
            command_timeout: Duration::from_secs(300),
            data_timeout: Duration::from_secs(600),
            take_timeout: Duration::from_secs(120),
            connections_max: 50,
        }
    }
}

/// Envelope of a mail.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Envelope {
    /// Sender without angle brackets; empty for bounces.
    pub mail_from: String,
    /// Recipients without angle brackets, in order.
    pub recipients: Vec<String>,
}

/// Takes mails.
pub trait Receiver: Send + Sync + 'static {
    /// Makes a mail durable.
    ///
    /// # Errors
    /// In words, when it could not: the mail server keeps it.
    fn take(&self, envelope: Envelope, raw: Bytes) -> BoxFuture<'_, Result<(), String>>;
}

/// What happened since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Mails taken.
    pub taken: AtomicU64,
    /// Mails put off (451).
    pub put_off: AtomicU64,
    /// Mails too big (552).
    pub too_big: AtomicU64,
    /// Connections closed for what they sent or for being too slow.
    pub closed: AtomicU64,
}

impl Counters {
    fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// A running server; dropping it closes the listener and every connection.
pub struct LmtpServer {
    /// Where it listens.
    pub addr: SocketAddr,
    /// What happened.
    pub counters: Arc<Counters>,
    task: JoinHandle<()>,
}

impl LmtpServer {
    /// Serves a listener.
    ///
    /// # Errors
    /// When the listener has no address.
    pub fn start(listener: TcpListener, receiver: Arc<dyn Receiver>, limits: Limits) -> std::io::Result<Self> {
        let addr = listener.local_addr()?;
        let counters = Arc::new(Counters::default());
        let task = tokio::spawn(accept(listener, receiver, limits, counters.clone()));
        Ok(LmtpServer { addr, counters, task })
    }

    /// Waits for the end, which is never unless the listener breaks.
    pub async fn wait(&mut self) {
        let _ = (&mut self.task).await;
    }
}

impl Drop for LmtpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, receiver: Arc<dyn Receiver>, limits: Limits, counters: Arc<Counters>) {
    let places = Arc::new(Semaphore::new(limits.connections_max));
    let mut sessions = tokio::task::JoinSet::new();
    loop {
        while sessions.try_join_next().is_some() {}
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // out of descriptors and the like: passes
                tracing::warn!("LMTP connection not accepted: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (receiver, limits, counters) = (receiver.clone(), limits.clone(), counters.clone());
        sessions.spawn(async move {
            let _ = stream.set_nodelay(true);
            if let Err(why) = session::serve(stream, &*receiver, &limits, &counters).await {
                Counters::add(&counters.closed);
                tracing::debug!("LMTP connection closed: {why}");
            }
            drop(place);
        });
    }
}
