//! Any bytes from a mail server, in two pieces: packets of the milter protocol and IMAP answers.
#![no_main]

use bytes::BytesMut;
use hinomi_mail::imap::{Limits, frame::Framer};
use hinomi_mail::milter::wire;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (head, tail) = bytes.split_at(bytes.len() / 2);
    let (mut packets, mut answers, mut framer) = (BytesMut::new(), BytesMut::new(), Framer::default());
    let limits = Limits { line_bytes_max: 4_096, literal_bytes_max: 65_536, ..Limits::default() };
    for piece in [head, tail] {
        packets.extend_from_slice(piece);
        while let Ok(Some(_)) = wire::take(&mut packets) {}
        answers.extend_from_slice(piece);
        while let Ok(Some(_)) = framer.take(&mut answers, &limits) {}
    }
});
