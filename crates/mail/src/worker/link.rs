//! The server's end: one connection to a mail worker, many sessions over it.
//!
//! The worker is not believed: frames have limits, answers must fit their questions, mails must have
//! the size they were announced with. Who breaks that, or is silent for too long, is cut off; work
//! in flight then fails as passing.

use super::frame::{Frame, FrameError};
use super::message::{FromWorker, Tell, ToWorker, written};
use crate::connector::ConnectorError;
use bytes::{Bytes, BytesMut};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};

/// Answers waiting for the one who asked; pieces of at most 256 KiB.
const WAITING_MAX: usize = 32;
/// Longest time an answer waits for the one who asked.
const TAKE_TIME_MAX: Duration = Duration::from_secs(60);
/// Time between two looks whether the worker is there.
const PING: Duration = Duration::from_secs(10);
/// A worker silent for this long is given up.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Opening its secrets and giving up its privileges takes a worker no longer than this.
const READY_TIME_MAX: Duration = Duration::from_secs(30);

/// A connection to a mail worker. Dropping it ends the connection, and with it the worker.
#[derive(Debug)]
pub struct Link {
    shared: Arc<Shared>,
    next: AtomicU64,
    out: mpsc::UnboundedSender<Vec<u8>>,
    reader: tokio::task::AbortHandle,
}

#[derive(Debug)]
struct Shared {
    sessions: Mutex<HashMap<u64, mpsc::Sender<(Tell, Bytes)>>>,
    /// Why it is over; none while it lives.
    over: watch::Sender<Option<String>>,
    seen: Mutex<Instant>,
}

/// One session of a link: what is told about it.
#[derive(Debug)]
pub(super) struct Session {
    link: Arc<Link>,
    number: u64,
    told: mpsc::Receiver<(Tell, Bytes)>,
    closed: bool,
}

impl Link {
    /// Speaks with a worker over a stream and waits until it is ready.
    ///
    /// # Errors
    /// What the worker says is wrong, or that it says nothing sensible.
    pub async fn open<S>(stream: S) -> Result<Link, String>
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (mut read, write) = tokio::io::split(stream);
        let mut buffer = BytesMut::with_capacity(64 << 10);
        let first = timeout(READY_TIME_MAX, next_frame(&mut read, &mut buffer)).await;
        let first = first.map_err(|_| "the mail worker says nothing".to_owned())?.map_err(|error| error.0)?;
        match first.as_ref().map(|frame| FromWorker::read(&frame.head)) {
            Some(Ok(FromWorker::Ready)) => {}
            Some(Ok(FromWorker::Failed { reason })) => return Err(reason),
            Some(Ok(_)) => return Err("the mail worker speaks before it is ready".to_owned()),
            Some(Err(error)) => return Err(error.0),
            None => return Err("the mail worker ended before it was ready".to_owned()),
        }
        let shared = Arc::new(Shared {
            sessions: Mutex::default(),
            over: watch::Sender::new(None),
            seen: Mutex::new(Instant::now()),
        });
        let (out, outgoing) = mpsc::unbounded_channel();
        tokio::spawn(write_all(write, outgoing, Arc::clone(&shared)));
        let reading = Arc::clone(&shared);
        let pings = out.downgrade();
        let reader = tokio::spawn(async move {
            let ended = tokio::select! {
                ended = reading.read_all(read, buffer) => ended,
                silent = reading.watch(pings) => silent,
            };
            reading.end(ended);
        });
        Ok(Link { shared, next: AtomicU64::new(1), out, reader: reader.abort_handle() })
    }

    /// Why the connection is over; `None` while it lives.
    pub fn over(&self) -> Option<String> {
        self.shared.over.borrow().clone()
    }

    /// Waits until the connection is over, and says why; does not keep it.
    pub fn ended(&self) -> impl Future<Output = String> + Send + use<> {
        let mut over = self.shared.over.subscribe();
        async move {
            let ended = over.wait_for(Option::is_some).await;
            ended.ok().and_then(|why| why.clone()).unwrap_or_else(|| "nobody needs it any more".to_owned())
        }
    }

    /// Begins a session with what `first` says of its number.
    pub(super) fn begin(self: &Arc<Self>, first: impl FnOnce(u64) -> ToWorker) -> Result<Session, ConnectorError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (tell, told) = mpsc::channel(WAITING_MAX);
        self.shared.sessions().insert(number, tell);
        let session = Session { link: Arc::clone(self), number, told, closed: false };
        session.say(&first(number), &[])?;
        Ok(session)
    }

    fn say(&self, said: &ToWorker, piece: &[u8]) -> Result<(), ConnectorError> {
        let mut bytes = Vec::with_capacity(piece.len() + 256);
        Frame::put(&written(said), piece, &mut bytes)
            .map_err(|error| ConnectorError::refused(format!("ask the mail worker: {error}")))?;
        match self.out.send(bytes) {
            Ok(()) if self.over().is_none() => Ok(()),
            _ => Err(self.broken()),
        }
    }

    /// The worker is gone: whoever asked may try again on the next one.
    fn broken(&self) -> ConnectorError {
        let why = self.over().unwrap_or_else(|| "it ended".to_owned());
        ConnectorError::Passing { attempt: format!("ask the mail worker: {why}"), retry_after: None, source: None }
    }

    /// Cuts a worker off that does not keep to the protocol.
    pub(super) fn cut(&self, why: &str) {
        tracing::error!("a mail worker is cut off: {why}");
        self.shared.end(why.to_owned());
        self.reader.abort();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.reader.abort();
        self.shared.end("nobody needs it any more".to_owned());
    }
}

impl Session {
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn say(&self, said: &ToWorker, piece: &[u8]) -> Result<(), ConnectorError> {
        self.link.say(said, piece)
    }

    /// The next thing told, and the bytes with it.
    pub(super) async fn next(&mut self) -> Result<(Tell, Bytes), ConnectorError> {
        self.told.recv().await.ok_or_else(|| self.link.broken())
    }

    /// The worker answered what was not asked.
    pub(super) fn nonsense(&self, why: &str) -> ConnectorError {
        self.link.cut(why);
        self.link.broken()
    }

    /// Ends the session well.
    pub(super) fn close(mut self) {
        self.closed = true;
        let _ = self.say(&ToWorker::Close { session: self.number }, &[]);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.link.shared.sessions().remove(&self.number);
        if !self.closed {
            let _ = self.say(&ToWorker::Drop { session: self.number }, &[]);
        }
    }
}

impl Shared {
    fn sessions(&self) -> MutexGuard<'_, HashMap<u64, mpsc::Sender<(Tell, Bytes)>>> {
        lock(&self.sessions)
    }

    fn end(&self, why: String) {
        self.over.send_if_modified(|over| over.is_none().then(|| *over = Some(why)).is_some());
        // whoever waits for an answer learns it now
        self.sessions().clear();
    }

    async fn read_all(&self, mut stream: impl AsyncRead + Unpin, mut buffer: BytesMut) -> String {
        loop {
            let frame = match next_frame(&mut stream, &mut buffer).await {
                Ok(Some(frame)) => frame,
                Ok(None) => return "it ended".to_owned(),
                Err(error) => return error.0,
            };
            *lock(&self.seen) = Instant::now();
            let (session, tell) = match FromWorker::read(&frame.head) {
                Ok(FromWorker::Told { session, tell }) => (session, tell),
                Ok(FromWorker::Pong) => continue,
                Ok(FromWorker::Ready | FromWorker::Failed { .. }) => return "it was ready already".to_owned(),
                Err(error) => return error.0,
            };
            // nobody waits for it any more
            let Some(waiting) = self.sessions().get(&session).cloned() else { continue };
            if let Err(tokio::sync::mpsc::error::SendTimeoutError::Timeout(_)) =
                waiting.send_timeout((tell, frame.piece), TAKE_TIME_MAX).await
            {
                return "it tells more than anybody asked for".to_owned();
            }
        }
    }

    async fn watch(&self, pings: mpsc::WeakUnboundedSender<Vec<u8>>) -> String {
        let mut ping = Vec::new();
        Frame::put(&written(&ToWorker::Ping), &[], &mut ping).expect("a ping is short");
        loop {
            tokio::time::sleep(PING).await;
            if lock(&self.seen).elapsed() > SILENCE_MAX {
                return format!("it was silent for {} s", SILENCE_MAX.as_secs());
            }
            match pings.upgrade() {
                Some(pings) => drop(pings.send(ping.clone())),
                None => return "nobody needs it any more".to_owned(),
            }
        }
    }
}

async fn write_all(
    mut stream: impl AsyncWrite + Unpin,
    mut outgoing: mpsc::UnboundedReceiver<Vec<u8>>,
    shared: Arc<Shared>,
) {
    while let Some(bytes) = outgoing.recv().await {
        if let Err(error) = stream.write_all(&bytes).await {
            shared.end(format!("it takes nothing any more: {error}"));
            return;
        }
    }
    let _ = stream.shutdown().await;
}

/// Reads one frame; `None` at the end of the stream.
pub(super) async fn next_frame(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
) -> Result<Option<Frame>, FrameError> {
    loop {
        if let Some(frame) = Frame::take(buffer)? {
            return Ok(Some(frame));
        }
        buffer.reserve(64 << 10);
        match stream.read_buf(buffer).await {
            Ok(0) if buffer.is_empty() => return Ok(None),
            Ok(0) => return Err(FrameError("it ended within a frame".to_owned())),
            Ok(_) => {}
            Err(error) => return Err(FrameError(format!("read from it: {error}"))),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
