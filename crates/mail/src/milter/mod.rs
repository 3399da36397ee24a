//! Our own milter server: the mail server asks it about every message before it takes it.
//!
//! Protocol version 6 as Postfix and Sendmail speak it: option negotiation, then one packet per
//! step of the SMTP conversation. A connection that sends nonsense, stalls or closes half way costs
//! only itself. What to do with a message is asked of a [`Judge`] with a deadline; when the judge is
//! late or fails, [`OnFailure`] decides.

mod server;
mod session;
pub mod wire;

pub use server::{Counters, MilterServer};

use bytes::Bytes;
use futures::future::BoxFuture;
use std::net::IpAddr;
use std::time::Duration;

/// What the mail server told about a message besides its bytes. All text is untrusted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Envelope {
    /// Envelope sender without angle brackets; empty for bounces.
    pub mail_from: String,
    /// Recipients without angle brackets, in order.
    pub recipients: Vec<String>,
    /// Address of the client that handed the mail in; none for local submission.
    pub client_ip: Option<IpAddr>,
    /// Name of the client as the mail server looked it up.
    pub client_name: String,
    /// What the client called itself.
    pub helo: String,
    /// Queue id of the mail server, when it told one.
    pub queue_id: String,
    /// True when the message was longer than [`Limits::message_bytes_max`] and its end is missing.
    pub truncated: bool,
}

/// What happens to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It goes on. Headers a sender may not set himself are taken out first.
    Deliver {
        /// Headers to add: name, value.
        add_headers: Vec<(String, String)>,
        /// Names of headers to take out, every occurrence.
        remove_headers: Vec<String>,
    },
    /// The mail server says "accepted" and drops it: the judge holds a durable copy.
    Quarantine {
        /// Why, for our log.
        reason: String,
    },
    /// Refused for ever.
    Reject {
        /// Text behind `550 5.7.1`.
        text: String,
    },
    /// Refused for now; the sender tries again.
    TempFail {
        /// Text behind `451 4.7.1`.
        text: String,
    },
}

/// Decides about messages. Must write down durably what it saw before it answers.
pub trait Judge: Send + Sync + 'static {
    /// Judges one message.
    ///
    /// # Errors
    /// A reason in words when it could not decide; then [`OnFailure`] does.
    fn judge(&self, envelope: Envelope, raw: Bytes) -> BoxFuture<'_, Result<Decision, String>>;
}

/// What happens to a message when the judge is late or fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// It goes on, unjudged.
    Deliver,
    /// The sender is asked to try again later.
    TempFail,
}

/// Bounds of the server.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections served at once; more wait in the listener's queue.
    pub connections_max: usize,
    /// Bytes of a message kept; the rest is not read and the envelope says so.
    pub message_bytes_max: usize,
    /// Recipients of one message.
    pub recipients_max: usize,
    /// Header fields of one message.
    pub headers_max: usize,
    /// Longest wait for the options packet.
    pub negotiation_timeout: Duration,
    /// Longest silence between packets. The mail server keeps the connection over the client's
    /// pauses, so this is the SMTP timeout (RFC 5321 4.5.3.2: 5 minutes) and some.
    pub idle_timeout: Duration,
    /// Longest time from the sender to the end of a message.
    pub message_timeout: Duration,
    /// Longest time the judge may take.
    pub judge_deadline: Duration,
    /// What happens after that.
    pub on_failure: OnFailure,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections_max: 200,
            message_bytes_max: 64 << 20,
            recipients_max: 10_000,
            headers_max: 5_000,
            negotiation_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(330),
            message_timeout: Duration::from_secs(1_200),
            judge_deadline: Duration::from_secs(20),
            on_failure: OnFailure::Deliver,
        }
    }
}
