//! Frames between server and mail worker: a head (JSON) and some bytes behind it.
//!
//! `u32` length of the head, `u32` number of bytes, both little-endian, then head, then bytes. Either
//! side may be in the hands of an attacker: lengths are checked before anything is kept.

use bytes::{Buf, Bytes, BytesMut};

/// Longest head, bytes. The longest there is carries folders of a mailbox.
pub const HEAD_BYTES_MAX: usize = 4 << 20;
/// Most bytes behind a head; mails are cut into pieces of at most this size, so that a big one
/// does not keep others waiting.
pub const PIECE_BYTES_MAX: usize = 256 << 10;
const LENGTHS: usize = 8;

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frame {
    /// JSON.
    pub head: Bytes,
    /// What the head speaks of.
    pub piece: Bytes,
}

/// The other side does not keep to the protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FrameError(pub String);

impl Frame {
    /// Takes the first whole frame out of a buffer; `None` when more bytes are needed.
    ///
    /// # Errors
    /// When a length is beyond its limit.
    pub fn take(buffer: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        let Some(lengths) = buffer.first_chunk::<LENGTHS>() else { return Ok(None) };
        let [a, b, c, d, e, f, g, h] = *lengths;
        let head = u32::from_le_bytes([a, b, c, d]) as usize;
        let piece = u32::from_le_bytes([e, f, g, h]) as usize;
        if head == 0 || head > HEAD_BYTES_MAX || piece > PIECE_BYTES_MAX {
            return Err(FrameError(format!("a frame of {head} + {piece} bytes is not allowed")));
        }
        if buffer.len() < LENGTHS + head + piece {
            return Ok(None);
        }
        buffer.advance(LENGTHS);
        let head = buffer.split_to(head).freeze();
        Ok(Some(Frame { head, piece: buffer.split_to(piece).freeze() }))
    }

    /// Appends the frame to a buffer.
    ///
    /// # Errors
    /// When it is beyond a limit: what we are about to say is too long.
    pub fn put(head: &[u8], piece: &[u8], buffer: &mut Vec<u8>) -> Result<(), FrameError> {
        if head.is_empty() || head.len() > HEAD_BYTES_MAX || piece.len() > PIECE_BYTES_MAX {
            return Err(FrameError(format!("a frame of {} + {} bytes is not allowed", head.len(), piece.len())));
        }
        buffer.extend_from_slice(&(head.len() as u32).to_le_bytes());
        buffer.extend_from_slice(&(piece.len() as u32).to_le_bytes());
        buffer.extend_from_slice(head);
        buffer.extend_from_slice(piece);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn frames_survive_any_cut(heads in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 1..5), cut in 0usize..200) {
            let mut sent = Vec::new();
            for head in &heads {
                Frame::put(head, b"piece", &mut sent).expect("small");
            }
            let cut = cut.min(sent.len());
            let mut buffer = BytesMut::from(&sent[..cut]);
            let mut got = Vec::new();
            while let Some(frame) = Frame::take(&mut buffer).expect("fits") {
                got.push(frame);
            }
            buffer.extend_from_slice(&sent[cut..]);
            while let Some(frame) = Frame::take(&mut buffer).expect("fits") {
                got.push(frame);
            }
            prop_assert!(buffer.is_empty());
            prop_assert_eq!(got.iter().map(|frame| frame.head.to_vec()).collect::<Vec<_>>(), heads);
        }
    }

    #[test]
    fn lengths_are_refused_before_anything_is_kept() {
        for lengths in [[0xff; 8], [0, 0, 0, 0, 1, 0, 0, 0], [1, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f]] {
            assert!(Frame::take(&mut BytesMut::from(&lengths[..])).is_err(), "{lengths:?}");
        }
        assert!(Frame::put(&[], b"", &mut Vec::new()).is_err());
        assert!(Frame::put(b"{}", &vec![0; PIECE_BYTES_MAX + 1], &mut Vec::new()).is_err());
    }
}
