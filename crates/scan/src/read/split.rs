//! Cuts a stream into blocks workers read: whole chunks, whole lines, whole JSON values.

use crate::limits::{BLOCK_BYTES, RECORD_BYTES_MAX};
use crate::read::evtx::{CHUNK_BYTES, CHUNK_MAGIC, FILE_MAGIC, HEADER_BYTES};
use crate::read::{Block, Format, audit};
use std::io::{self, Read};

/// What a cutter passes on.
pub trait Out {
    /// Takes a block. False: nobody wants more.
    fn block(&mut self, block: Block) -> bool;
    /// Takes note of something that could not be read.
    fn bad(&mut self, place: String, why: String);
}

/// Cuts `input` into blocks.
///
/// # Errors
/// When reading fails; what was read before is passed on.
pub fn split(format: Format, input: &mut dyn Read, out: &mut dyn Out) -> io::Result<()> {
    match format {
        Format::Evtx => chunks(input, out),
        Format::JsonValues => values(input, out),
        Format::JsonLines | Format::Syslog => lines(format, input, out, |_, _| true),
        // the records of one event stay together
        Format::Audit => lines(format, input, out, |last, next| {
            next.is_some_and(|next| audit::event_id(last) != audit::event_id(next))
        }),
        Format::JournalExport => lines(format, input, out, |last, _| last.is_empty()),
    }
}

fn chunks(input: &mut dyn Read, out: &mut dyn Out) -> io::Result<()> {
    let mut header = vec![0; HEADER_BYTES];
    let read = fill(input, &mut header)?;
    header.truncate(read);
    if !header.starts_with(FILE_MAGIC) && !header.starts_with(CHUNK_MAGIC) {
        out.bad(String::new(), "the file header is damaged; its chunks are read all the same".to_owned());
    }
    // a chunk saved on its own has no file header
    let mut ahead = if header.starts_with(CHUNK_MAGIC) { header } else { Vec::new() };
    for number in 0.. {
        let mut bytes = std::mem::take(&mut ahead);
        let had = bytes.len();
        bytes.resize(CHUNK_BYTES, 0);
        let read = had + fill(input, &mut bytes[had..])?;
        bytes.truncate(read);
        if bytes.is_empty() {
            return Ok(());
        }
        // space that was reserved and never written
        let unused = bytes.iter().all(|byte| *byte == 0);
        if !unused && !out.block(Block { format: Format::Evtx, bytes, first: number, spans: Vec::new() }) {
            return Ok(());
        }
    }
    Ok(())
}

/// Reads until the buffer is full or the input ends.
fn fill(input: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // what was read before the stream broke is still good
            Err(_) if filled > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Whole lines; a block may end after a line when `cut` says so of it and the next whole one.
fn lines(
    format: Format,
    input: &mut dyn Read,
    out: &mut dyn Out,
    cut: impl Fn(&[u8], Option<&[u8]>) -> bool,
) -> io::Result<()> {
    let mut buffer: Vec<u8> = Vec::with_capacity(BLOCK_BYTES * 2);
    let (mut line, mut ended, mut broken, mut skipping) = (1u64, false, None, false);
    while !ended {
        let had = buffer.len();
        buffer.resize(had + BLOCK_BYTES, 0);
        match fill(input, &mut buffer[had..]) {
            Ok(read) => {
                buffer.truncate(had + read);
                ended = read == 0;
            }
            Err(error) => {
                buffer.truncate(had);
                (ended, broken) = (true, Some(error));
            }
        }
        if skipping {
            match memchr::memchr(b'\n', &buffer) {
                Some(end) => {
                    buffer.drain(..=end);
                    (line, skipping) = (line + 1, false);
                }
                None => {
                    buffer.clear();
                    continue;
                }
            }
        }
        let end = if ended { buffer.len() } else { cut_at(&buffer, &cut) };
        if end == 0 {
            if buffer.len() > RECORD_BYTES_MAX {
                out.bad(format!("line {line}"), format!("longer than {RECORD_BYTES_MAX} bytes, left out"));
                // at least one whole line that cannot be cut off is given up with the rest
                let whole = memchr::memrchr(b'\n', &buffer).map_or(0, |at| at + 1);
                line += memchr::memchr_iter(b'\n', &buffer[..whole]).count() as u64;
                buffer.clear();
                skipping = true;
            }
            continue;
        }
        let rest = buffer.split_off(end);
        let bytes = std::mem::replace(&mut buffer, rest);
        let first = line;
        line += memchr::memchr_iter(b'\n', &bytes).count() as u64;
        if !out.block(Block { format, bytes, first, spans: Vec::new() }) {
            return Ok(());
        }
    }
    broken.map_or(Ok(()), Err)
}

/// The last place where a block may end; 0 when there is none.
fn cut_at(buffer: &[u8], cut: impl Fn(&[u8], Option<&[u8]>) -> bool) -> usize {
    let mut ends = memchr::memrchr_iter(b'\n', buffer).peekable();
    let mut next = None;
    while let Some(end) = ends.next() {
        let line = &buffer[ends.peek().map_or(0, |before| before + 1)..end];
        if cut(line, next) {
            return end + 1;
        }
        next = Some(line);
    }
    0
}

/// JSON values, one after another or in one list at the top.
fn values(input: &mut dyn Read, out: &mut dyn Out) -> io::Result<()> {
    let mut buffer: Vec<u8> = Vec::with_capacity(BLOCK_BYTES * 2);
    let mut scan = Scan::default();
    let (mut spans, mut number) = (Vec::new(), 1u64);
    loop {
        let had = buffer.len();
        buffer.resize(had + BLOCK_BYTES, 0);
        let read = fill(input, &mut buffer[had..]);
        buffer.truncate(had + *read.as_ref().unwrap_or(&0));
        scan.run(&buffer, &mut spans);
        let ended = !matches!(read, Ok(1..));
        let keep_from = scan.begun.unwrap_or(buffer.len());
        if ended && scan.begun.is_some() {
            out.bad(format!("value {}", number + spans.len() as u64), "the value does not end".to_owned());
        }
        if !spans.is_empty() {
            let rest = buffer.split_off(keep_from);
            let bytes = std::mem::replace(&mut buffer, rest);
            let first = number;
            number += spans.len() as u64;
            let block = Block { format: Format::JsonValues, bytes, first, spans: std::mem::take(&mut spans) };
            if !out.block(block) {
                return Ok(());
            }
            scan.moved(keep_from);
        } else if scan.begun.is_none() {
            buffer.clear();
            scan.at = 0;
        } else if buffer.len() > RECORD_BYTES_MAX {
            out.bad(format!("value {number}"), format!("longer than {RECORD_BYTES_MAX} bytes; the rest is left out"));
            return Ok(());
        }
        if ended {
            return read.map(|_| ());
        }
    }
}

/// Finds objects at the top, or in lists and envelopes of lists at the top.
#[derive(Default)]
struct Scan {
    at: usize,
    depth: usize,
    quoted: bool,
    escaped: bool,
    begun: Option<usize>,
}

impl Scan {
    fn run(&mut self, bytes: &[u8], spans: &mut Vec<(usize, usize)>) {
        while self.at < bytes.len() {
            let byte = bytes[self.at];
            match (self.quoted, self.escaped, byte) {
                (true, true, _) => self.escaped = false,
                (true, false, b'\\') => self.escaped = true,
                (true, false, b'"') => self.quoted = false,
                (true, false, _) => {
                    // the inside of a text is skipped at once
                    let more = memchr::memchr2(b'"', b'\\', &bytes[self.at..]).unwrap_or(bytes.len() - self.at);
                    self.at += more;
                    continue;
                }
                // nothing but objects counts at the top: a stray quote must not swallow the rest
                (false, _, b'"') => self.quoted = self.begun.is_some(),
                (false, _, b'{') => {
                    self.begun.get_or_insert(self.at);
                    self.depth += 1;
                }
                (false, _, b'}') if self.depth > 0 => {
                    self.depth -= 1;
                    if self.depth == 0
                        && let Some(begun) = self.begun.take()
                    {
                        spans.push((begun, self.at + 1));
                    }
                }
                _ => {}
            }
            self.at += 1;
        }
    }

    fn moved(&mut self, by: usize) {
        self.at -= by;
        self.begun = self.begun.map(|begun| begun - by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Kept {
        blocks: Vec<Block>,
        problems: Vec<String>,
    }

    impl Out for Kept {
        fn block(&mut self, block: Block) -> bool {
            self.blocks.push(block);
            true
        }
        fn bad(&mut self, place: String, why: String) {
            self.problems.push(format!("{place}: {why}"));
        }
    }

    /// Gives one byte at a time, the worst a stream may do.
    struct Slow<'b>(&'b [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = buffer.len().min(7).min(self.0.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn run(format: Format, bytes: &[u8]) -> Kept {
        let mut kept = Kept::default();
        split(format, &mut Slow(bytes), &mut kept).expect("reads");
        kept
    }

    #[test]
    fn values_in_every_shape() {
        for text in [
            r#"[{"a":"}{\""},{"b":[{}]}]"#,
            "{\"a\":\"}{\\\"\"}\n{\"b\":[{}]}",
            "[\n {\n  \"a\": \"}{\\\"\"\n },\n {\"b\":[{}]}\n]\n",
        ] {
            let kept = run(Format::JsonValues, text.as_bytes());
            let values: usize = kept.blocks.iter().map(|block| block.spans.len()).sum();
            assert_eq!((values, kept.problems.len()), (2, 0), "{text}");
            for block in &kept.blocks {
                for (from, to) in &block.spans {
                    serde_json::from_slice::<serde_json::Value>(&block.bytes[*from..*to]).expect("a whole value");
                }
            }
        }
        assert_eq!(run(Format::JsonValues, b"[{\"a\":1},{\"b\"").problems.len(), 1);
    }

    #[test]
    fn many_values_need_little_memory() {
        let text = format!("[{}{{}}]", r#"{"a":"0123456789"},"#.repeat(100_000));
        let kept = run(Format::JsonValues, text.as_bytes());
        assert_eq!(kept.blocks.iter().map(|block| block.spans.len()).sum::<usize>(), 100_001);
        assert!(kept.blocks.iter().all(|block| block.bytes.len() <= 2 * BLOCK_BYTES));
        assert_eq!(kept.blocks[1].first, 1 + kept.blocks[0].spans.len() as u64);
    }

    #[test]
    fn lines_are_whole_and_numbered() {
        let text = "{\"a\": \"0123456789\"}\n".repeat(50_000);
        let kept = run(Format::JsonLines, text.as_bytes());
        assert!(kept.blocks.len() > 2);
        let mut line = 1;
        for block in &kept.blocks {
            assert_eq!(block.first, line);
            assert!(block.bytes.ends_with(b"\n") && block.bytes.starts_with(b"{"));
            line += memchr::memchr_iter(b'\n', &block.bytes).count() as u64;
        }
        assert_eq!(line, 50_001);
    }

    #[test]
    fn a_line_without_end_is_left_out() {
        let mut text = b"first\n".to_vec();
        text.resize(RECORD_BYTES_MAX + 3 * BLOCK_BYTES, b'x');
        text.extend(b"\nlast\n");
        let mut kept = Kept::default();
        split(Format::JsonLines, &mut text.as_slice(), &mut kept).expect("reads");
        let read: Vec<u8> = kept.blocks.iter().flat_map(|block| block.bytes.clone()).collect();
        assert_eq!(read, b"first\nlast\n");
        assert_eq!(kept.problems.len(), 1, "{:?}", kept.problems);
        assert_eq!(kept.blocks.last().map(|block| block.first), Some(3));
    }

    #[test]
    fn events_of_the_audit_log_stay_together() {
        let event = |id: u32| {
            let record = |kind: &str| format!("type={kind} msg=audit(1700000000.1:{id}): a={}\n", "x".repeat(500));
            ["SYSCALL", "EXECVE", "CWD"].map(record).concat()
        };
        let text: String = (0..1_000).map(event).collect();
        let kept = run(Format::Audit, text.as_bytes());
        assert!(kept.blocks.len() > 2);
        for block in &kept.blocks {
            assert_eq!(memchr::memchr_iter(b'\n', &block.bytes).count() % 3, 0);
        }
    }

    #[test]
    fn a_cut_event_log_is_read_to_its_end() {
        let mut file = [FILE_MAGIC, &vec![1; HEADER_BYTES - 8][..]].concat();
        file.extend(vec![0; CHUNK_BYTES]);
        file.extend([CHUNK_MAGIC, &[2; 1000]].concat());
        let kept = run(Format::Evtx, &file);
        assert_eq!(kept.blocks.len(), 1, "the empty chunk is nothing");
        assert_eq!((kept.blocks[0].first, kept.blocks[0].bytes.len()), (1, 1008));
    }
}
