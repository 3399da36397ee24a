//! Packets of the milter protocol: a length (32 bit, big endian), a command letter, data.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Longest packet taken, bytes. Postfix sends bodies in pieces of 64 KiB and a header as one packet
/// of at most `header_size_limit` (100 KiB unless told otherwise).
pub const PACKET_BYTES_MAX: usize = 1 << 20;

/// Protocol version we speak.
pub const VERSION: u32 = 6;
/// Action: we may add headers.
pub const ACTION_ADD_HEADERS: u32 = 0x01;
/// Action: we may change or remove headers.
pub const ACTION_CHANGE_HEADERS: u32 = 0x10;

/// Steps we do not want to hear of: DATA and unknown commands.
const SKIP_STEPS: u32 = 0x100 | 0x200;
/// We may say "skip the rest of the body".
const MAY_SKIP_BODY: u32 = 0x400;
/// Steps we do not answer: header, connect, helo, mail, rcpt, data, unknown, end of headers, body.
const NO_REPLY: u32 = 0x80 | 0x1000 | 0x2000 | 0x4000 | 0x8000 | 0x1_0000 | 0x2_0000 | 0x4_0000 | 0x8_0000;
/// Header values come with their leading space, so the mail can be put together as it was.
const LEADING_SPACE: u32 = 0x10_0000;

/// A packet is not what the protocol says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Its length is zero or beyond the limit.
    #[error("packet of {0} bytes")]
    Length(usize),
    /// Its command is not known.
    #[error("unknown command {0:#04x}")]
    Command(u8),
    /// Its data is too short or lacks an end mark.
    #[error("malformed data of command {0}")]
    Data(char),
    /// The other side speaks a version we do not.
    #[error("protocol version {0}")]
    Version(u32),
}

/// A packet of the mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// `O`: version, actions and steps it offers.
    Options(Options),
    /// `C`: a client connected.
    Connect {
        /// Its looked-up name.
        name: Vec<u8>,
        /// Its address; empty when unknown.
        address: Vec<u8>,
    },
    /// `H`: HELO or EHLO.
    Helo(Vec<u8>),
    /// `M`: the envelope sender.
    Mail(Vec<u8>),
    /// `R`: one recipient.
    Recipient(Vec<u8>),
    /// `L`: one header field.
    Header(Vec<u8>, Vec<u8>),
    /// `B`: a piece of the body.
    Body(Bytes),
    /// `E`: end of the message, with the body's last piece.
    End(Bytes),
    /// `D`: macros for the command of that letter.
    Macros(u8, Vec<(Vec<u8>, Vec<u8>)>),
    /// `A`: the message is given up.
    Abort,
    /// `Q`: goodbye.
    Quit,
    /// `K`: goodbye, the next client follows on this connection.
    QuitNewClient,
    /// `N`, `T`, `U`: end of headers, DATA, unknown SMTP command.
    Step(u8),
}

/// Versions and capabilities, as offered and as chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Protocol version.
    pub version: u32,
    /// Actions.
    pub actions: u32,
    /// Steps.
    pub steps: u32,
}

impl Options {
    /// Chooses what we use out of what the mail server offers.
    ///
    /// # Errors
    /// When it speaks a version before 2 or lets us change no headers.
    pub fn choose(offered: Options) -> Result<Options, WireError> {
        if offered.version < 2 {
            return Err(WireError::Version(offered.version));
        }
        Ok(Options {
            version: offered.version.min(VERSION),
            actions: offered.actions & (ACTION_ADD_HEADERS | ACTION_CHANGE_HEADERS),
            steps: offered.steps & (SKIP_STEPS | MAY_SKIP_BODY | NO_REPLY | LEADING_SPACE),
        })
    }

    /// True when the command of this letter must not be answered.
    pub fn is_silent(&self, command: u8) -> bool {
        let bit = match command {
            b'L' => 0x80,
            b'C' => 0x1000,
            b'H' => 0x2000,
            b'M' => 0x4000,
            b'R' => 0x8000,
            b'T' => 0x1_0000,
            b'U' => 0x2_0000,
            b'N' => 0x4_0000,
            b'B' => 0x8_0000,
            _ => return false,
        };
        self.steps & bit != 0
    }

    /// True when header values keep their leading space.
    pub fn leading_space(&self) -> bool {
        self.steps & LEADING_SPACE != 0
    }

    /// True when we may ask not to be sent the rest of a body.
    pub fn may_skip_body(&self) -> bool {
        self.steps & MAY_SKIP_BODY != 0
    }
}

/// Takes the next packet out of `buffer`; `None` when it is not complete yet.
///
/// # Errors
/// When the packet is not what the protocol says; the connection is then of no more use.
pub fn take(buffer: &mut BytesMut) -> Result<Option<Packet>, WireError> {
    let Some(head) = buffer.get(..4) else { return Ok(None) };
    let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
    if length == 0 || length > PACKET_BYTES_MAX {
        return Err(WireError::Length(length));
    }
    if buffer.len() < 4 + length {
        return Ok(None);
    }
    buffer.advance(4);
    let mut data = buffer.split_to(length).freeze();
    let command = data.get_u8();
    parse(command, data).map(Some)
}

fn parse(command: u8, data: Bytes) -> Result<Packet, WireError> {
    let bad = || WireError::Data(char::from(command));
    Ok(match command {
        b'O' => {
            let mut data = data;
            if data.len() < 12 {
                return Err(bad());
            }
            Packet::Options(Options { version: data.get_u32(), actions: data.get_u32(), steps: data.get_u32() })
        }
        b'C' => {
            let (name, rest) = text(&data).ok_or_else(bad)?;
            Packet::Connect { name: name.to_vec(), address: connect_address(rest).ok_or_else(bad)? }
        }
        b'H' => Packet::Helo(text(&data).ok_or_else(bad)?.0.to_vec()),
        b'M' => Packet::Mail(text(&data).ok_or_else(bad)?.0.to_vec()),
        b'R' => Packet::Recipient(text(&data).ok_or_else(bad)?.0.to_vec()),
        b'L' => {
            let (name, rest) = text(&data).ok_or_else(bad)?;
            let (value, _) = text(rest).ok_or_else(bad)?;
            Packet::Header(name.to_vec(), value.to_vec())
        }
        b'B' => Packet::Body(data),
        b'E' => Packet::End(data),
        b'D' => {
            let (&of, mut rest) = data.split_first().ok_or_else(bad)?;
            let mut macros = Vec::new();
            while !rest.is_empty() {
                let (name, after) = text(rest).ok_or_else(bad)?;
                let (value, after) = text(after).ok_or_else(bad)?;
                macros.push((name.to_vec(), value.to_vec()));
                rest = after;
            }
            Packet::Macros(of, macros)
        }
        b'A' => Packet::Abort,
        b'Q' => Packet::Quit,
        b'K' => Packet::QuitNewClient,
        b'N' | b'T' | b'U' => Packet::Step(command),
        other => return Err(WireError::Command(other)),
    })
}

/// Splits a zero-terminated text off.
fn text(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = data.iter().position(|byte| *byte == 0)?;
    Some((&data[..end], &data[end + 1..]))
}

/// Family letter (`4`, `6`, `L` or `U` for unknown), port, address.
fn connect_address(data: &[u8]) -> Option<Vec<u8>> {
    match data.split_first()? {
        (b'4' | b'6', rest) => Some(text(rest.get(2..)?)?.0.to_vec()),
        _ => Some(Vec::new()),
    }
}

/// Builds a packet.
pub fn packet(command: u8, parts: &[&[u8]]) -> Bytes {
    let length: usize = 1 + parts.iter().map(|part| part.len()).sum::<usize>();
    let mut out = BytesMut::with_capacity(4 + length);
    out.put_u32(length as u32);
    out.put_u8(command);
    for part in parts {
        out.put_slice(part);
    }
    out.freeze()
}

/// Builds the options packet.
pub fn options(chosen: Options) -> Bytes {
    packet(b'O', &[&chosen.version.to_be_bytes(), &chosen.actions.to_be_bytes(), &chosen.steps.to_be_bytes()])
}
