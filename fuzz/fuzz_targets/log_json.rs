#![no_main]

use hinomi_detect::{Correlator, LogEngine, LogOptions, LogScratch, LogSource, content};
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use std::sync::LazyLock;

static ENGINE: LazyLock<LogEngine> =
    LazyLock::new(|| LogEngine::load(&content::embedded().rules, &LogOptions::default()).0);

thread_local! {
    static SCRATCH: RefCell<LogScratch> = RefCell::new(ENGINE.scratch());
}

// a line of JSON from anywhere, and saved state of correlations
fuzz_target!(|data: &[u8]| {
    let kind = ENGINE.kind(&[LogSource::new("linux", "process_creation", "")]);
    let mut record = ENGINE.record();
    let _ = record.read_json(data);
    SCRATCH.with_borrow_mut(|scratch| {
        for rule in ENGINE.matches(&record, &kind, scratch).to_vec() {
            assert!(ENGINE.explain(&record, rule).len() <= 20);
        }
        let mut state = ENGINE.restore(Default::default(), data).unwrap_or_else(|_| Correlator::default());
        ENGINE.correlate(&record, 0, scratch, &mut state);
    });
});
