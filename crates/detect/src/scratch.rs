//! What evaluating needs beside the rules, kept between events.

use crate::hash;
use crate::index::{Index, Seen};

/// Entries of the memo of one matcher, a power of two.
const MEMO_ENTRIES: usize = 1 << 13;
/// Longest value remembered, bytes.
const MEMO_VALUE_BYTES_MAX: usize = 32 * 1024;

/// Working memory of one thread: bits of the event at hand and the memo of values.
///
/// Never shared between engines.
#[derive(Debug)]
pub struct Scratch {
    pub(crate) bits: Vec<u64>,
    pub(crate) awake: Vec<u64>,
    lazy_known: Vec<u64>,
    lazy_true: Vec<u64>,
    lowered: Vec<u8>,
    seen: Seen,
    found: Vec<u32>,
    memos: Vec<Memo>,
    /// Bytes the memos hold, and may hold.
    memo_bytes: usize,
    memo_bytes_max: usize,
}

/// Bits of values seen lately: a table where a newcomer takes the place of whatever is there.
#[derive(Debug, Default)]
struct Memo {
    entries: Vec<Entry>,
}

#[derive(Debug, Default, Clone)]
struct Entry {
    hash: u64,
    slot: u32,
    bits: Vec<u32>,
    value: Vec<u8>,
}

impl Scratch {
    /// `memo_bytes_max`: most bytes of values and answers remembered; everything is forgotten beyond.
    pub(crate) fn new(memo_bytes_max: usize) -> Self {
        Scratch {
            bits: Vec::new(),
            awake: Vec::new(),
            lazy_known: Vec::new(),
            lazy_true: Vec::new(),
            lowered: Vec::new(),
            seen: Seen::default(),
            found: Vec::new(),
            memos: Vec::new(),
            memo_bytes: 0,
            memo_bytes_max,
        }
    }

    /// Clears the bits for the next event.
    pub(crate) fn begin(&mut self, bits: usize, lazy: usize, always: &[u64]) {
        let clear = |words: &mut Vec<u64>, bits: usize| {
            words.clear();
            words.resize(bits.div_ceil(64), 0);
        };
        clear(&mut self.bits, bits);
        clear(&mut self.lazy_known, lazy);
        clear(&mut self.lazy_true, lazy);
        self.awake.clear();
        self.awake.extend_from_slice(always);
    }

    /// Sets the bits of a text that hardly comes again.
    pub(crate) fn look_once(&mut self, index: &Index, value: &str) {
        self.find(index, value);
        set(&mut self.bits, &self.found);
    }

    /// Sets the bits of a value of the field `slot`; `memo` is the number of the matcher.
    pub(crate) fn look(&mut self, memo: usize, slot: u32, index: &Index, value: &str) {
        if value.len() > MEMO_VALUE_BYTES_MAX {
            self.look_once(index, value);
            return;
        }
        if self.memos.len() <= memo {
            self.memos.resize_with(memo + 1, Memo::default);
        }
        let hash = hash::bytes(u64::from(slot), value.as_bytes());
        let entries = &mut self.memos[memo].entries;
        if entries.is_empty() {
            entries.resize(MEMO_ENTRIES, Entry::default());
        }
        let at = hash as usize % MEMO_ENTRIES;
        let entry = &entries[at];
        if entry.hash == hash && entry.slot == slot && entry.value == value.as_bytes() {
            set(&mut self.bits, &entry.bits);
            return;
        }
        self.find(index, value);
        set(&mut self.bits, &self.found);
        self.remember(memo, at, (hash, slot), value);
    }

    fn remember(&mut self, memo: usize, at: usize, (hash, slot): (u64, u32), value: &str) {
        if self.memo_bytes > self.memo_bytes_max {
            self.memos.iter_mut().for_each(|memo| memo.entries = Vec::new());
            self.memo_bytes = 0;
            self.memos[memo].entries.resize(MEMO_ENTRIES, Entry::default());
        }
        let entry = &mut self.memos[memo].entries[at];
        let before = entry.bytes();
        // the memory of what was there is used again, unless it is far too much
        if entry.value.capacity() > value.len() * 4 + 256 {
            entry.value = Vec::new();
        }
        (entry.hash, entry.slot) = (hash, slot);
        entry.value.clear();
        entry.value.extend_from_slice(value.as_bytes());
        entry.bits.clear();
        entry.bits.extend_from_slice(&self.found);
        self.memo_bytes = self.memo_bytes + entry.bytes() - before;
    }

    fn find(&mut self, index: &Index, value: &str) {
        self.found.clear();
        self.lowered.clear();
        lower_into(value, &mut self.lowered);
        index.find(&self.lowered, &mut self.seen, &mut self.found);
        self.found.sort_unstable();
        self.found.dedup();
    }

    /// Answers a comparison that is evaluated on demand.
    pub(crate) fn lazy(&mut self, lazy: u32, evaluate: impl FnOnce() -> bool) -> bool {
        let (word, bit) = (lazy as usize / 64, 1_u64 << (lazy % 64));
        if self.lazy_known[word] & bit == 0 {
            self.lazy_known[word] |= bit;
            if evaluate() {
                self.lazy_true[word] |= bit;
            }
        }
        self.lazy_true[word] & bit != 0
    }
}

impl Entry {
    fn bytes(&self) -> usize {
        self.bits.capacity() * 4 + self.value.capacity()
    }
}

/// Lower-cases as [`crate::pattern::lower`] does, runs of ASCII at once.
fn lower_into(value: &str, out: &mut Vec<u8>) {
    const RUN: usize = 32;
    let (mut rest, mut utf8) = (value, [0; 4]);
    while !rest.is_empty() {
        let runs = rest.as_bytes().chunks(RUN).take_while(|run| run.is_ascii()).map(<[u8]>::len).sum::<usize>();
        out.extend_from_slice(&rest.as_bytes()[..runs]);
        rest = &rest[runs..];
        // up to the next run, character by character
        let end = rest.char_indices().map(|(at, _)| at).find(|at| *at >= RUN).unwrap_or(rest.len());
        for c in rest[..end].chars().flat_map(char::to_lowercase) {
            out.extend_from_slice(c.encode_utf8(&mut utf8).as_bytes());
        }
        rest = &rest[end..];
    }
    // bytes of other characters are not touched
    out.make_ascii_lowercase();
}

fn set(bits: &mut [u64], found: &[u32]) {
    for bit in found {
        bits[*bit as usize / 64] |= 1 << (bit % 64);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lower_cases_as_literals_are(text in "[a-zA-Z \u{130}ÄßΣ\u{212a}]{0,200}") {
            let mut lowered = Vec::new();
            super::lower_into(&text, &mut lowered);
            prop_assert_eq!(String::from_utf8(lowered).expect("text"), crate::pattern::lower(&text));
        }
    }
}
