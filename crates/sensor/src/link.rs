//! The link to the server: one outbound connection, events up, acknowledgements and commands down.
//!
//! Batches are sent ahead of acknowledgements up to a window; what is not acknowledged when the
//! connection ends is sent again on the next one, from where the server's Welcome says.

use crate::channel::{self, ChannelError, ServerAddress};
use crate::commands::Ledger;
use crate::identity::Identity;
use crate::spool::{Reader, Spool, SpoolError, SpooledBatch};
use hinomi_model::{CommandId, SensorStatus, Timestamp};
use hinomi_wire::PROTOCOL_VERSION;
use hinomi_wire::proto::sensor_link_client::SensorLinkClient;
use hinomi_wire::proto::{Batch, FromSensor, Hello, Receipt, SignedCommand, Status, ToSensor, from_sensor, to_sensor};
use ring::rand::{SecureRandom, SystemRandom};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;

const WELCOME_TIMEOUT: Duration = Duration::from_secs(15);
/// No acknowledgement of a sent batch for this long means the connection is dead.
const ACK_TIMEOUT: Duration = Duration::from_secs(60);
/// A receipt sent this long ago on a connection that still lives has arrived.
const RECEIPT_SETTLE: Duration = Duration::from_secs(20);
const STATUS_EVERY: Duration = Duration::from_secs(60);
const WINDOW_BATCHES: usize = 64;
const WINDOW_BYTES: usize = 8 * 1024 * 1024;
const BACKOFF_MIN: Duration = Duration::from_millis(500);
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// A block list of 100,000 hashes has 7 MiB.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What the rest of the sensor sees of the link.
#[derive(Default)]
pub struct LinkState {
    online: AtomicBool,
    clock_offset_us: AtomicI64,
}

impl LinkState {
    /// True while connected and welcomed.
    pub fn online(&self) -> bool {
        self.online.load(Ordering::Relaxed)
    }

    /// The server's clock, by which commands expire; the own clock before the first contact.
    pub fn server_time(&self) -> Timestamp {
        Timestamp::from_micros(
            crate::clock::now().as_micros().saturating_add(self.clock_offset_us.load(Ordering::Relaxed)),
        )
    }
}

/// A connection ended.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error(transparent)]
    Connect(#[from] ChannelError),
    #[error("the server ended the link: {0}")]
    Refused(String),
    #[error("the server closed the link")]
    Closed,
    #[error("no Welcome in time")]
    NoWelcome,
    #[error("the server speaks protocol {0}, this sensor {PROTOCOL_VERSION}")]
    Protocol(u32),
    #[error("no acknowledgement for {} s", ACK_TIMEOUT.as_secs())]
    NoAck,
    #[error("the server knows another past of this spool: a new generation begins")]
    Renewed,
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

/// Everything the link works with.
pub struct Link {
    /// Who we are.
    pub identity: Identity,
    /// Where the server is.
    pub address: ServerAddress,
    /// Events.
    pub spool: Spool,
    /// Results of commands.
    pub ledger: Ledger,
    /// Where commands go.
    pub commands: mpsc::Sender<SignedCommand>,
    /// Tells the status.
    pub status: Arc<dyn Fn() -> SensorStatus + Send + Sync>,
    /// Changes when the status changed in a way the server should know at once.
    pub status_changed: watch::Receiver<u64>,
    /// Shared with the rest.
    pub state: Arc<LinkState>,
}

impl Link {
    /// Connects again and again; never returns.
    pub async fn run(mut self) {
        let mut backoff = BACKOFF_MIN;
        loop {
            let began = Instant::now();
            let ended = self.session().await;
            self.state.online.store(false, Ordering::Relaxed);
            if began.elapsed() > BACKOFF_MAX {
                backoff = BACKOFF_MIN;
            }
            let wait = jitter(backoff);
            let reason = crate::chain(&ended);
            tracing::warn!(reason, wait_ms = wait.as_millis() as u64, "link to the server is down: {reason}");
            tokio::time::sleep(wait).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    async fn session(&mut self) -> LinkError {
        match self.connect().await {
            Ok(mut session) => loop {
                if let Err(error) = session.step(self).await {
                    return error;
                }
            },
            Err(error) => error,
        }
    }

    async fn connect(&mut self) -> Result<Session, LinkError> {
        let channel = channel::connect_as(&self.address, &self.identity).await?;
        let mut client = SensorLinkClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let (up, messages) = mpsc::channel(4);
        let hello = Hello {
            protocol_version: PROTOCOL_VERSION,
            status: self.status_json().into(),
            generation: self.spool.generation(),
            command_sequence: self.ledger.sequence(),
        };
        let _ = up.send(from(from_sensor::Message::Hello(hello))).await;
        let welcome = async {
            let mut down = client.link(ReceiverStream::new(messages)).await?.into_inner();
            let first = down.message().await?;
            Ok::<_, tonic::Status>((down, first))
        };
        let (down, first) =
            tokio::time::timeout(WELCOME_TIMEOUT, welcome).await.map_err(|_| LinkError::NoWelcome)?.map_err(refused)?;
        let Some(ToSensor { message: Some(to_sensor::Message::Welcome(welcome)) }) = first else {
            return Err(LinkError::NoWelcome);
        };
        if welcome.protocol_version != PROTOCOL_VERSION {
            return Err(LinkError::Protocol(welcome.protocol_version));
        }
        // the server takes ReportIds without gaps only
        if welcome.acknowledged > self.spool.last() {
            return self.renew(self.spool.acknowledged()).await;
        }
        if welcome.acknowledged + 1 < self.spool.oldest() {
            return self.renew(0).await;
        }
        self.spool.acknowledge(welcome.acknowledged)?;
        let offset = welcome.server_time_us.saturating_sub(crate::clock::now().as_micros());
        self.state.clock_offset_us.store(offset, Ordering::Relaxed);
        self.state.online.store(true, Ordering::Relaxed);
        tracing::info!(acknowledged = welcome.acknowledged, "link to the server is up");
        let mut status_every = tokio::time::interval(STATUS_EVERY);
        status_every.reset();
        Ok(Session {
            up,
            down,
            reader: Some(self.spool.reader(welcome.acknowledged)),
            durable: self.spool.watch(),
            sent_through: welcome.acknowledged,
            flight: VecDeque::new(),
            flight_bytes: 0,
            last_ack: Instant::now(),
            next: None,
            more: true,
            sent_receipts: HashMap::new(),
            receipts: VecDeque::new(),
            look_at_receipts: true,
            status_due: false,
            status_every,
            tick: tokio::time::interval(Duration::from_secs(5)),
        })
    }

    async fn renew<T>(&self, after: u64) -> Result<T, LinkError> {
        let spool = self.spool.clone();
        tokio::task::spawn_blocking(move || spool.renew(after)).await.expect("renewing the spool does not panic")?;
        Err(LinkError::Renewed)
    }

    fn status_json(&self) -> Vec<u8> {
        serde_json::to_vec(&(self.status)()).expect("a status always serialises")
    }
}

struct Session {
    up: mpsc::Sender<FromSensor>,
    down: tonic::Streaming<ToSensor>,
    reader: Option<Reader>,
    /// ReportId of the last event sent.
    sent_through: u64,
    durable: watch::Receiver<u64>,
    /// (last ReportId, bytes) of batches sent and not acknowledged.
    flight: VecDeque<(u64, usize)>,
    flight_bytes: usize,
    last_ack: Instant,
    next: Option<SpooledBatch>,
    /// The spool may hold more than was read.
    more: bool,
    /// Command → (times asked, when sent).
    sent_receipts: HashMap<CommandId, (u32, Instant)>,
    receipts: VecDeque<Receipt>,
    look_at_receipts: bool,
    status_due: bool,
    status_every: tokio::time::Interval,
    tick: tokio::time::Interval,
}

impl Session {
    /// Does one thing: sends what is ready, or waits for the next happening.
    async fn step(&mut self, link: &mut Link) -> Result<(), LinkError> {
        self.prepare(link).await?;
        let room = self.flight.len() < WINDOW_BATCHES && self.flight_bytes < WINDOW_BYTES;
        // events lost to damage leave a gap, which only a new generation can pass
        let gap = self.next.as_ref().is_some_and(|batch| batch.first > self.sent_through + 1);
        if gap && self.flight.is_empty() {
            return link.renew(link.spool.acknowledged()).await;
        }
        let to_send = self.status_due || !self.receipts.is_empty() || (self.next.is_some() && room && !gap);
        let happened = tokio::select! {
            message = self.down.message() => Happened::Message(Box::new(message.map_err(refused)?.ok_or(LinkError::Closed)?)),
            permit = self.up.reserve(), if to_send => permit.map(|_| Happened::Room).map_err(|_| LinkError::Closed)?,
            changed = self.durable.changed(), if !self.more => {
                changed.map(|()| Happened::Spooled).map_err(|_| LinkError::Closed)?
            }
            () = link.ledger.changed() => Happened::Receipts,
            changed = link.status_changed.changed() => {
                changed.map(|()| Happened::Status).map_err(|_| LinkError::Closed)?
            }
            _ = self.status_every.tick() => Happened::Status,
            _ = self.tick.tick() => Happened::Tick,
        };
        match happened {
            Happened::Message(message) => self.received(*message, link)?,
            Happened::Room => self.send(link)?,
            Happened::Spooled => self.more = true,
            Happened::Receipts => self.look_at_receipts = true,
            Happened::Status => self.status_due = true,
            Happened::Tick if !self.flight.is_empty() && self.last_ack.elapsed() > ACK_TIMEOUT => {
                return Err(LinkError::NoAck);
            }
            Happened::Tick => self.settle_receipts(link),
        }
        Ok(())
    }

    /// Sends one thing; there is room for it.
    fn send(&mut self, link: &Link) -> Result<(), LinkError> {
        let message = if let Some(receipt) = self.receipts.pop_front() {
            from_sensor::Message::Receipt(receipt)
        } else if self.status_due {
            self.status_due = false;
            from_sensor::Message::Status(Status { status: link.status_json().into() })
        } else if let Some(batch) = self.next.take() {
            self.sent_through = batch.last();
            if self.flight.is_empty() {
                self.last_ack = Instant::now();
            }
            self.flight.push_back((batch.last(), batch.frame.len()));
            self.flight_bytes += batch.frame.len();
            from_sensor::Message::Batch(Batch {
                generation: link.spool.generation(),
                first_report_id: batch.first,
                count: batch.count,
                events: batch.frame.into(),
            })
        } else {
            return Ok(());
        };
        self.up.try_send(from(message)).map_err(|_| LinkError::Closed)
    }

    async fn prepare(&mut self, link: &Link) -> Result<(), LinkError> {
        if self.look_at_receipts {
            self.look_at_receipts = false;
            self.queue_receipts(link);
        }
        if self.next.is_none() && self.more {
            self.durable.mark_unchanged();
            let mut reader = self.reader.take().expect("put back below");
            let (reader, read) = tokio::task::spawn_blocking(move || {
                let read = reader.next_batch();
                (reader, read)
            })
            .await
            .expect("reading the spool does not panic");
            self.reader = Some(reader);
            self.next = read?;
            self.more = self.next.is_some();
        }
        Ok(())
    }

    fn received(&mut self, message: ToSensor, link: &Link) -> Result<(), LinkError> {
        match message.message {
            Some(to_sensor::Message::Ack(ack)) if ack.generation == link.spool.generation() => {
                self.last_ack = Instant::now();
                while let Some((last, bytes)) = self.flight.front().copied()
                    && last <= ack.through_report_id
                {
                    self.flight.pop_front();
                    self.flight_bytes -= bytes;
                }
                link.spool.acknowledge(ack.through_report_id)?;
            }
            Some(to_sensor::Message::Command(command)) => {
                // the executor is never far behind: its queue holds more than a server has open
                if link.commands.try_send(command).is_err() {
                    tracing::warn!("a command came while too many wait; the server sends it again");
                }
            }
            _ => tracing::debug!("a message of the server that means nothing here"),
        }
        Ok(())
    }

    fn queue_receipts(&mut self, link: &Link) {
        for open in link.ledger.unsettled() {
            let fresh = self.sent_receipts.get(&open.command_id).is_none_or(|(asked, _)| *asked < open.asked);
            if fresh {
                self.sent_receipts.insert(open.command_id, (open.asked, Instant::now()));
                let result = serde_json::to_vec(&open.result).expect("a result always serialises");
                self.receipts.push_back(Receipt { command_id: open.command_id.to_string(), result: result.into() });
            }
        }
    }

    fn settle_receipts(&mut self, link: &Link) {
        if !self.receipts.is_empty() {
            return;
        }
        let arrived: Vec<_> = link
            .ledger
            .unsettled()
            .into_iter()
            .filter(|open| {
                let sent = self.sent_receipts.get(&open.command_id);
                sent.is_some_and(|(asked, at)| *asked == open.asked && at.elapsed() > RECEIPT_SETTLE)
            })
            .collect();
        for open in arrived {
            link.ledger.settle(open.command_id);
        }
    }
}

enum Happened {
    Message(Box<ToSensor>),
    /// Something can be sent.
    Room,
    /// New events are durable.
    Spooled,
    /// A result has to be told.
    Receipts,
    /// The status has to be told.
    Status,
    Tick,
}

fn from(message: from_sensor::Message) -> FromSensor {
    FromSensor { message: Some(message) }
}

fn refused(status: tonic::Status) -> LinkError {
    LinkError::Refused(format!("{:?}: {}", status.code(), status.message()))
}

/// Half to one and a half times `base`, so that a fleet does not come back in one instant.
fn jitter(base: Duration) -> Duration {
    let mut byte = [128];
    let _ = SystemRandom::new().fill(&mut byte);
    base.mul_f64(0.5 + f64::from(byte[0]) / 255.0)
}
