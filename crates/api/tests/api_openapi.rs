//! The OpenAPI document is complete, sound and as checked in.

use hinomi_api::routes::routes;
use std::collections::BTreeSet;

const CHECKED_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");

/// `HINOMI_WRITE_OPENAPI=1` writes the file instead of comparing it.
#[test]
fn checked_in_document_is_current() {
    let current = hinomi_api::openapi::text(env!("CARGO_PKG_VERSION"));
    if std::env::var_os("HINOMI_WRITE_OPENAPI").is_some() {
        std::fs::write(CHECKED_IN, &current).expect("write docs/openapi.json");
    }
    let checked_in = std::fs::read_to_string(CHECKED_IN).expect("docs/openapi.json exists");
    assert!(checked_in == current, "docs/openapi.json is out of date: run this test with HINOMI_WRITE_OPENAPI=1");
}

#[test]
fn every_reference_resolves() {
    let document = hinomi_api::openapi::document("0");
    let mut wanted = BTreeSet::new();
    references(&document, &mut wanted);
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    let known: BTreeSet<String> = schemas.keys().map(|name| format!("#/components/schemas/{name}")).collect();
    assert_eq!(wanted.difference(&known).collect::<Vec<_>>(), Vec::<&String>::new(), "references without schema");
}

fn references(value: &serde_json::Value, found: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(map) => {
            for (key, value) in map {
                match value.as_str() {
                    Some(target) if key == "$ref" => drop(found.insert(target.to_owned())),
                    _ => references(value, found),
                }
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn operation_ids_and_routes_are_unique() {
    let mut ids = BTreeSet::new();
    let mut paths = BTreeSet::new();
    for route in routes() {
        assert!(ids.insert(route.id), "{} twice", route.id);
        assert!(paths.insert((route.method.name(), route.path)), "{} {} twice", route.method.name(), route.path);
    }
}
