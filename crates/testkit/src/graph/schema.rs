//! Checks answers against the facts in `schema.json`.

use anyhow::{Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Names and types of Graph's public schema, as far as our calls touch them.
#[derive(Debug, Deserialize)]
pub struct Schema {
    enums: BTreeMap<String, Vec<String>>,
    types: BTreeMap<String, Type>,
}

#[derive(Debug, Deserialize)]
struct Type {
    #[serde(default)]
    base: Option<String>,
    properties: BTreeMap<String, String>,
}

impl Schema {
    /// Reads the table of this crate.
    pub fn load() -> Self {
        serde_json::from_str(include_str!("schema.json")).expect("the table is part of this crate")
    }

    /// Checks a value against a type: no property it does not have, every value of its type, null only
    /// where it may be. Annotations (`@odata.…`, `@removed`) are left alone.
    pub fn check(&self, kind: &str, value: &Value) -> Result<()> {
        self.value(kind, kind, value)
    }

    /// Checks `{"value": […]}` whose items are of a type.
    pub fn check_list(&self, kind: &str, answer: &Value) -> Result<()> {
        let items = answer["value"].as_array().ok_or_else(|| anyhow::anyhow!("no list in {answer}"))?;
        items.iter().try_for_each(|item| self.check(kind, item))
    }

    fn value(&self, at: &str, kind: &str, value: &Value) -> Result<()> {
        let (kind, required) = kind.strip_suffix('!').map_or((kind, false), |kind| (kind, true));
        if value.is_null() {
            ensure!(!required, "{at} must not be null");
            return Ok(());
        }
        if let Some(inner) = kind.strip_prefix("Collection(").and_then(|rest| rest.strip_suffix(')')) {
            let Some(items) = value.as_array() else { bail!("{at} is not a list") };
            return items.iter().try_for_each(|item| self.value(at, inner, item));
        }
        if let Some(words) = self.enums.get(kind) {
            let known = value.as_str().is_some_and(|word| words.iter().any(|known| known == word));
            ensure!(known, "{at} is not one of {words:?}: {value}");
            return Ok(());
        }
        if let Some(simple) = simple(kind, value) {
            ensure!(simple, "{at} is not {kind}: {value}");
            return Ok(());
        }
        let Some(object) = value.as_object() else { bail!("{at} is not an object") };
        let properties = self.properties(kind)?;
        for (name, value) in object.iter().filter(|(name, _)| !name.starts_with('@')) {
            let Some(kind) = properties.get(name.as_str()) else { bail!("{at} has no property {name}") };
            self.value(&format!("{at}.{name}"), kind, value)?;
        }
        let missing = properties.iter().find(|(name, kind)| kind.ends_with('!') && !object.contains_key(**name));
        match missing {
            Some((name, _)) => bail!("{at} lacks {name}"),
            None => Ok(()),
        }
    }

    fn properties(&self, kind: &str) -> Result<BTreeMap<&str, &str>> {
        let mut all = BTreeMap::new();
        let mut next = Some(kind);
        while let Some(name) = next {
            let Some(known) = self.types.get(name) else { bail!("no type {name}") };
            all.extend(known.properties.iter().map(|(name, kind)| (name.as_str(), kind.as_str())));
            next = known.base.as_deref();
        }
        Ok(all)
    }
}

/// Whether a value is of a simple type; none when the type is not simple.
fn simple(kind: &str, value: &Value) -> Option<bool> {
    let text = value.as_str();
    Some(match kind {
        "any" => true,
        "Edm.String" | "Edm.Binary" => text.is_some(),
        "Edm.Boolean" => value.is_boolean(),
        "Edm.Int32" => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
        "Edm.DateTimeOffset" => text.is_some_and(|text| hinomi_model::Timestamp::parse(text).is_some()),
        _ => return None,
    })
}
