#![no_main]
//! Logs of any kind, cut into blocks and read: EVTX chunks, JSON of shippers, audit, syslog, the journal.

use hinomi_scan::read::{self, Block, Format, sniff, split};
use hinomi_scan::Completer;
use libfuzzer_sys::fuzz_target;

struct Read(Completer);

impl split::Out for Read {
    fn block(&mut self, block: Block) -> bool {
        read::block(block, &mut self.0, |record| assert!(record.own_fields().len() <= record.fields().len()), |_, _| {});
        true
    }
    fn bad(&mut self, _: String, _: String) {}
}

fuzz_target!(|data: &[u8]| {
    let Some((which, bytes)) = data.split_first() else { return };
    let formats = [
        Format::Evtx,
        Format::JsonLines,
        Format::JsonValues,
        Format::Audit,
        Format::Syslog,
        Format::JournalExport,
    ];
    sniff::kind(bytes);
    let format = formats[usize::from(*which) % formats.len()];
    let mut out = Read(Completer::default());
    split::split(format, &mut &*bytes, &mut out).expect("memory reads");
});
