//! Command lines of LMTP, and the headers of other filters.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for line in bytes.split(|byte| *byte == b'\n') {
        let _ = hinomi_mail::lmtp::parse(line);
    }
    let fields = hinomi_mail::filters::fields(bytes);
    let own = ["mx.example".to_owned()];
    let filter = hinomi_mail::filters::TrustedFilter {
        name: "filter".to_owned(),
        received_by: vec!["filter.example".to_owned()],
        authserv_ids: vec!["filter.example".to_owned()],
        removes_forged: true,
        ..Default::default()
    };
    let _ = hinomi_mail::filters::said(&fields, hinomi_mail::filters::Handed::Written(&own), &[filter]);
});
