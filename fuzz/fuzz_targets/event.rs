//! Events: any JSON that reads as an event can be evaluated by our own rules.
#![no_main]

use hinomi_model::Event;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(event) = serde_json::from_slice::<Event>(bytes) {
        hinomi_detect::content::engine().evaluate(&event);
    }
});
