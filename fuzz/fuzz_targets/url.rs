//! Any text as an address: normalising is stable, and taking wrappers off ends.
#![no_main]

use hinomi_mail::parse::{normalise_url, registrable_domain, subject_key, unwrap_url};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = subject_key(text);
    let Some(url) = normalise_url(text) else { return };
    if url.len() <= 4_096 {
        assert_eq!(normalise_url(&url).as_deref(), Some(url.as_str()), "{text:?}");
    }
    for target in unwrap_url(&url) {
        let _ = registrable_domain(&target);
    }
});
