//! Cuts the byte stream of a server into whole answers.

use super::{ImapError, Limits};
use bytes::{Bytes, BytesMut};

/// Deepest nesting of parentheses in an answer. We ask for nothing that nests deeper than 2; the
/// parser behind recurses on them.
const NESTING_MAX: usize = 16;
/// Literals in one answer. We ask for one body at a time.
const LITERALS_MAX: usize = 32;

/// Progress within one answer.
#[derive(Debug, Default)]
pub struct Framer {
    /// Where the current line began.
    line: usize,
    /// Bytes before this are known to hold no line end.
    scanned: usize,
    text_bytes: usize,
    nesting: usize,
    literals: usize,
}

impl Framer {
    /// Takes the next whole answer out of `buffer`, literals included; `None` when more is needed.
    ///
    /// # Errors
    /// When the answer is beyond a limit.
    pub fn take(&mut self, buffer: &mut BytesMut, limits: &Limits) -> Result<Option<Bytes>, ImapError> {
        loop {
            if self.scanned > buffer.len() {
                return Ok(None);
            }
            let Some(offset) = buffer[self.scanned..].iter().position(|byte| *byte == b'\n') else {
                self.scanned = buffer.len();
                if self.text_bytes + buffer.len().saturating_sub(self.line) > limits.line_bytes_max {
                    return Err(malformed("line too long"));
                }
                return Ok(None);
            };
            let end = self.scanned + offset + 1;
            self.check_line(&buffer[self.line..end], limits)?;
            match literal_size(&buffer[self.line..end]) {
                Some(size) => {
                    self.literals += 1;
                    if size > limits.literal_bytes_max || self.literals > LITERALS_MAX {
                        return Err(malformed(format!("literal of {size} bytes")));
                    }
                    self.line = end + size;
                    self.scanned = self.line;
                }
                None => {
                    *self = Framer::default();
                    return Ok(Some(buffer.split_to(end).freeze()));
                }
            }
        }
    }

    fn check_line(&mut self, line: &[u8], limits: &Limits) -> Result<(), ImapError> {
        self.text_bytes += line.len();
        if self.text_bytes > limits.line_bytes_max {
            return Err(malformed("line too long"));
        }
        for byte in line {
            match byte {
                b'(' => self.nesting += 1,
                b')' => self.nesting = self.nesting.saturating_sub(1),
                _ => {}
            }
            if self.nesting > NESTING_MAX {
                return Err(malformed("nested too deep"));
            }
        }
        Ok(())
    }
}

fn malformed(text: impl Into<String>) -> ImapError {
    ImapError::Malformed(text.into())
}

/// Size of the literal a line announces at its end (`{123}`), if any.
fn literal_size(line: &[u8]) -> Option<usize> {
    let line = line.strip_suffix(b"\n")?;
    let line = line.strip_suffix(b"\r").unwrap_or(line).strip_suffix(b"}")?;
    let open = line.iter().rposition(|byte| *byte == b'{')?;
    let digits = &line[open + 1..];
    let digits = digits.strip_suffix(b"+").unwrap_or(digits);
    if digits.is_empty() || digits.len() > 12 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}
