//! JSON events of any shipper, flattened.

use crate::complete::Completer;
use crate::limits::{FIELDS_MAX, LIST_MAX, NESTING_MAX};
use crate::record::{Record, Value};
use sonic_rs::{JsonContainerTrait, JsonValueTrait, Value as Json, ValueRef};

/// Reads one JSON value as an event, or as several when it is nothing but a list of them under one name
/// (`{"Records": [...]}`, as CloudTrail writes its files).
///
/// Nested names are joined by dots and lose the prefixes of `content/logsources.yml`; attributes of
/// converted XML (`#attributes`, `_attributes`) are joined by an underscore, as Sigma names them; texts
/// and unnamed data of it lose their marks.
///
/// # Errors
/// When it is not JSON or not an object.
pub fn events(bytes: &[u8], completer: &mut Completer, each: &mut dyn FnMut(Record)) -> Result<(), String> {
    let json = parse(bytes)?;
    let listed = json.as_object().filter(|object| object.len() == 1).and_then(|object| object.iter().next());
    match listed.and_then(|(_, value)| value.as_array()) {
        Some(items) if !items.is_empty() && items.iter().all(|item| item.is_object()) => {
            items.iter().for_each(|item| each(flat(item, completer)));
        }
        _ => each(flat(&json, completer)),
    }
    Ok(())
}

/// Reads one JSON value as one event, whatever it holds.
///
/// # Errors
/// As [`events`].
pub fn event(bytes: &[u8], completer: &mut Completer) -> Result<Record, String> {
    Ok(flat(&parse(bytes)?, completer))
}

fn parse(bytes: &[u8]) -> Result<Json, String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    check_nesting(bytes)?;
    let json: Json = sonic_rs::from_slice(bytes).map_err(|error| first_line(&error.to_string()))?;
    match json.is_object() {
        true => Ok(json),
        false => Err("not a JSON object".to_owned()),
    }
}

/// Flattens a JSON object into an event that is not completed yet.
pub fn flat(json: &Json, completer: &mut Completer) -> Record {
    let mut record = Record::default();
    let mut path = String::with_capacity(64);
    Flattener { completer, record: &mut record }.value(json, &mut path, 0);
    record
}

/// Ends a path whose next step is an attribute.
const ATTRIBUTES: char = '\u{1}';

struct Flattener<'c, 'r> {
    completer: &'c mut Completer,
    record: &'r mut Record,
}

impl Flattener<'_, '_> {
    fn value(&mut self, json: &Json, path: &mut String, depth: usize) {
        if self.record.fields.len() >= FIELDS_MAX || depth > NESTING_MAX {
            return;
        }
        match json.as_ref() {
            ValueRef::Object(object) => {
                if let Some((name, value)) = named_data(json) {
                    let name = self.completer.name(name);
                    self.record.push(name, scalar(value));
                    return;
                }
                for (key, value) in object.iter() {
                    let before = path.len();
                    step(path, key);
                    self.value(value, path, depth + 1);
                    path.truncate(before);
                }
            }
            ValueRef::Array(items) => {
                if items.iter().any(|item| item.is_object() || item.is_array()) {
                    for item in items.iter().take(LIST_MAX) {
                        self.value(item, path, depth + 1);
                    }
                } else {
                    let items = items.iter().take(LIST_MAX).map(scalar).collect();
                    self.leaf(path, Value::List(items));
                }
            }
            _ => self.leaf(path, scalar(json)),
        }
    }

    fn leaf(&mut self, path: &str, value: Value) {
        let name = match path.strip_prefix("Event.UserData.") {
            // <UserData><EventXML><Name>: only the innermost name says something
            Some(rest) => rest.rsplit('.').next().unwrap_or(rest),
            None => path,
        };
        // what XML namespaces leave behind
        if name.ends_with("_xmlns") || name.is_empty() {
            return;
        }
        let name = self.completer.name(name);
        self.record.push(name, value);
    }
}

fn step(path: &mut String, key: &str) {
    if matches!(key, "#text" | "$text") {
        return;
    }
    if matches!(key, "#attributes" | "@attributes") {
        return path.push(ATTRIBUTES);
    }
    // attributes of converted XML are joined as Sigma names them
    let attribute = key.strip_prefix('@').filter(|_| !path.is_empty());
    match path.pop() {
        None => {}
        Some(ATTRIBUTES) => path.push('_'),
        Some(last) => {
            path.push(last);
            path.push(if attribute.is_some() { '_' } else { '.' });
        }
    }
    match key.strip_suffix("_attributes") {
        Some(element) => {
            path.push_str(element);
            path.push(ATTRIBUTES);
        }
        None => path.push_str(attribute.unwrap_or(key)),
    }
}

/// `{"@Name": "Image", "#text": "…"}`: one `<Data Name="Image">`, as some converters write it.
fn named_data(json: &Json) -> Option<(&str, &Json)> {
    let name = ["@Name", "Name"].iter().find_map(|key| json.get(*key));
    let name = name.or_else(|| json.get("#attributes")?.get("Name"))?.as_str()?;
    let value = ["#text", "$text"].iter().find_map(|key| json.get(*key))?;
    json.as_object().is_some_and(|object| object.len() == 2).then_some((name, value))
}

fn scalar(json: &Json) -> Value {
    match json.as_ref() {
        ValueRef::Null => Value::Null,
        ValueRef::Bool(truth) => Value::Bool(truth),
        ValueRef::Number(_) => match json.as_i64() {
            Some(number) => Value::Int(number),
            None => match json.as_u64() {
                Some(number) => Value::Text(number.to_string()),
                None => Value::Float(json.as_f64().unwrap_or_default()),
            },
        },
        ValueRef::String(text) => Value::Text(text.to_owned()),
        ValueRef::Array(_) | ValueRef::Object(_) => Value::Text(sonic_rs::to_string(json).unwrap_or_default()),
    }
}

/// Refuses deep nesting before anything is built of it.
fn check_nesting(bytes: &[u8]) -> Result<(), String> {
    // real events nest four or five levels; the brackets in texts only make the count larger
    let brackets = memchr::memchr2_iter(b'{', b'[', bytes).take(NESTING_MAX + 1).count();
    if brackets <= NESTING_MAX {
        return Ok(());
    }
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0usize, 0usize, false, false);
    for byte in bytes {
        match (quoted, escaped, byte) {
            (true, true, _) => escaped = false,
            (true, false, b'\\') => escaped = true,
            (_, _, b'"') => quoted = !quoted,
            (false, _, b'{' | b'[') => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (false, _, b'}' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    match deepest > NESTING_MAX {
        true => Err(format!("nested deeper than {NESTING_MAX} levels")),
        false => Ok(()),
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Record {
        let mut completer = Completer::default();
        let mut record = event(json.as_bytes(), &mut completer).expect("an event");
        completer.complete(&mut record);
        record
    }

    #[test]
    fn shapes_of_shippers() {
        let image = r"C:\Windows\cmd.exe";
        let shapes = [
            // EVTX to JSON, attributes apart and inside
            r#"{"Event":{"System":{"Provider_attributes":{"Name":"Microsoft-Windows-Sysmon"},"EventID":1,"Channel":"Microsoft-Windows-Sysmon/Operational"},"EventData":{"Image":"C:\\Windows\\cmd.exe"}}}"#,
            r##"{"Event":{"#attributes":{"xmlns":"x"},"System":{"Provider":{"#attributes":{"Name":"Microsoft-Windows-Sysmon"}},"EventID":{"#text":1,"#attributes":{"Qualifiers":0}},"Channel":"Microsoft-Windows-Sysmon/Operational"},"EventData":{"Image":"C:\\Windows\\cmd.exe"}}}"##,
            r##"{"Event":{"System":{"Provider":{"@Name":"Microsoft-Windows-Sysmon"},"EventID":"1","Channel":"Microsoft-Windows-Sysmon/Operational"},"EventData":{"Data":[{"@Name":"Image","#text":"C:\\Windows\\cmd.exe"},{"@Name":"X","#text":"y"}]}}}"##,
            // Winlogbeat
            r#"{"@timestamp":"2026-01-01T00:00:00Z","winlog":{"channel":"Microsoft-Windows-Sysmon/Operational","event_id":1,"provider_name":"Microsoft-Windows-Sysmon","event_data":{"Image":"C:\\Windows\\cmd.exe"}}}"#,
            // flat
            r#"{"Channel":"Microsoft-Windows-Sysmon/Operational","EventID":1,"SourceName":"Microsoft-Windows-Sysmon","Image":"C:\\Windows\\cmd.exe"}"#,
        ];
        for shape in shapes {
            let record = read(shape);
            assert_eq!(record.text("Image").as_deref(), Some(image), "{shape}");
            assert_eq!(record.text("EventID").as_deref(), Some("1"), "{shape}");
            assert_eq!(
                record.text("Provider_Name").as_deref(),
                Some("Microsoft-Windows-Sysmon"),
                "{shape}: {record:?}"
            );
            assert!(record.class.has(Some("windows"), Some("process_creation"), Some("sysmon")), "{shape}");
        }
    }

    #[test]
    fn elastic_common_schema() {
        let record = read(
            r#"{"host":{"os":{"type":"linux"}},"event":{"category":["process"],"type":["start"]},"process":{"executable":"/usr/bin/curl","command_line":"curl x","parent":{"executable":"/bin/sh"}},"user":{"name":"root"}}"#,
        );
        assert!(record.class.has(Some("linux"), Some("process_creation"), None));
        assert_eq!(record.text("Image").as_deref(), Some("/usr/bin/curl"));
        assert_eq!(record.text("ParentImage").as_deref(), Some("/bin/sh"));
        assert_eq!(record.text("User").as_deref(), Some("root"));
    }

    #[test]
    fn lists_under_one_name_are_events() {
        let mut completer = Completer::default();
        let mut seen = Vec::new();
        let json = r#"{"Records":[{"eventSource":"s3.amazonaws.com","awsRegion":"eu"},{"eventSource":"iam.amazonaws.com","awsRegion":"eu"}]}"#;
        events(json.as_bytes(), &mut completer, &mut |record| seen.push(record)).expect("events");
        assert_eq!(seen.len(), 2);
        completer.complete(&mut seen[1]);
        assert!(seen[1].class.has(Some("aws"), None, Some("cloudtrail")));
        events(b"\xef\xbb\xbf{\"a\":[1]}", &mut completer, &mut |record| seen.push(record)).expect("one event");
        assert_eq!(seen.len(), 3);
    }

    #[test]
    fn duplicates_hide_nothing_and_bombs_are_refused() {
        let record = read(r#"{"CommandLine":"evil","CommandLine":"good"}"#);
        assert_eq!(record.get("CommandLine").expect("there").texts(), ["evil", "good"]);
        let mut completer = Completer::default();
        for bad in ["", "[]", "{", "{\"a\":", "\u{0}", "nul", "{\"a\":\"\\ud800\"}x"] {
            assert!(event(bad.as_bytes(), &mut completer).is_err(), "{bad}");
        }
        let bomb = format!("{}{}", "{\"a\":".repeat(100_000), "1");
        assert!(event(bomb.as_bytes(), &mut completer).expect_err("refused").contains("nested"));
        assert!(event(b"{\"a\":\"\xff\"}", &mut completer).is_err());
        let wide = format!("{{{}\"z\":1}}", (0..5_000).map(|n| format!("\"f{n}\":1,")).collect::<String>());
        assert_eq!(event(wide.as_bytes(), &mut completer).expect("cut").fields().len(), FIELDS_MAX);
    }
}
