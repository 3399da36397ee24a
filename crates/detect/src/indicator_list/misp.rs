//! MISP events in JSON: attributes of the event and of its objects.
//!
//! Only attributes meant for detection (`to_ids`) are taken.

use super::{ListError, Reading, Said};
use hinomi_model::{IndicatorKind, Text};
use serde_json::Value;

pub(super) fn read(list: &Value, reading: &mut Reading) -> Result<(), ListError> {
    let events: Vec<&Value> = match list {
        Value::Array(events) => events.iter().collect(),
        Value::Object(_) => match list.get("response") {
            Some(Value::Array(events)) => events.iter().collect(),
            _ => vec![list],
        },
        _ => Vec::new(),
    };
    let mut found = false;
    for event in events {
        let event = event.get("Event").unwrap_or(event);
        let note = event.get("info").and_then(Value::as_str).unwrap_or_default();
        let objects = event.get("Object").and_then(Value::as_array).into_iter().flatten();
        for holder in std::iter::once(event).chain(objects) {
            let Some(attributes) = holder.get("Attribute").and_then(Value::as_array) else { continue };
            found = true;
            for attribute in attributes {
                take(attribute, note, reading)?;
            }
        }
    }
    if found {
        return Ok(());
    }
    Err(ListError(Text::new("this is no MISP event: nothing has attributes", "MISP のイベントではありません")))
}

fn take(attribute: &Value, info: &str, reading: &mut Reading) -> Result<(), ListError> {
    let text = |name: &str| attribute.get(name).and_then(Value::as_str).unwrap_or_default();
    let is = |name: &str| match attribute.get(name) {
        Some(Value::Bool(yes)) => *yes,
        Some(Value::String(word)) => word == "1" || word == "true",
        Some(Value::Number(number)) => number.as_i64() == Some(1),
        _ => false,
    };
    let (place, value, kind) = (text("uuid"), text("value"), text("type"));
    if is("deleted") {
        let values: Vec<&str> = if kind.contains('|') { value.split('|').collect() } else { vec![value] };
        for (kind, value) in kind.split('|').zip(values) {
            of_type(kind).into_iter().for_each(|kind| reading.withdraw(kind, value));
        }
        return Ok(());
    }
    if !is("to_ids") {
        reading.refuse(place, value, "it is not meant for detection (to_ids)", "検知用ではありません (to_ids)");
        return Ok(());
    }
    let note = match (info.is_empty(), text("comment")) {
        (_, "") => info.to_owned(),
        (true, comment) => comment.to_owned(),
        (false, comment) => format!("{info}: {comment}"),
    };
    // a subject of MISP is literal
    let literal = value.replace(['*', '?'], "?");
    let value = if kind == "email-subject" { literal.as_str() } else { value };
    // `filename|sha256`, `domain|ip`, `ip-dst|port`: the parts that can be compared
    let kinds = kind.split('|');
    let values = if kind.contains('|') { value.split('|').collect() } else { vec![value] };
    let mut taken = false;
    for (kind, value) in kinds.zip(values) {
        let Some(kind) = of_type(kind) else { continue };
        taken = true;
        reading.take(place, value, Said { kind: Some(kind), note: Some(note.clone()), ..Said::default() })?;
    }
    if !taken {
        let en = format!("nothing here compares values of the type {kind:?}");
        reading.refuse(place, value, &en, &format!("種類 {kind:?} には対応していません"));
    }
    Ok(())
}

/// The types of <https://www.misp-standard.org/rfc/misp-standard-core.html> that can be compared here.
fn of_type(word: &str) -> Option<IndicatorKind> {
    Some(match word {
        "sha256" => IndicatorKind::FileSha256,
        "sha1" => IndicatorKind::FileSha1,
        "md5" => IndicatorKind::FileMd5,
        "ip-src" | "ip-dst" | "ip" => IndicatorKind::Ip,
        "domain" | "hostname" => IndicatorKind::Domain,
        "url" | "uri" | "link" => IndicatorKind::Url,
        "email-src" | "email" => IndicatorKind::SenderAddress,
        "email-subject" => IndicatorKind::SubjectPattern,
        "x509-fingerprint-sha256" => IndicatorKind::CertificateSha256,
        _ => return None,
    })
}
