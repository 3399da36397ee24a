//! An event as rules see it: field values as text, lower-cased once, fetched when first asked for.

use crate::fields::Target;
use crate::pattern::lower;
use hinomi_model::{Event, Value};
use serde_json::Value as Json;
use std::borrow::Cow;
use std::cell::OnceCell;

/// Most values of one list in `AdditionalFields` (an `Argv`) that are looked at.
const LIST_MAX: usize = 1_000;

/// One text of an event with its lower-cased form.
#[derive(Debug)]
pub(crate) struct Val<'e> {
    raw: Cow<'e, str>,
    /// `None` when lower-casing changes nothing.
    lowered: Option<Box<str>>,
}

impl<'e> Val<'e> {
    fn new(raw: impl Into<Cow<'e, str>>) -> Self {
        let raw = raw.into();
        let lowered = match lower(&raw) {
            Cow::Borrowed(_) => None,
            Cow::Owned(text) => Some(text.into_boxed_str()),
        };
        Val { raw, lowered }
    }

    pub fn raw(&self) -> &str {
        &self.raw
    }

    pub fn lower(&self) -> &str {
        self.lowered.as_deref().unwrap_or(&self.raw)
    }
}

/// The values of one field.
#[derive(Debug)]
pub(crate) enum Field<'e> {
    Null,
    One(Val<'e>),
    Many(Vec<Val<'e>>),
}

impl<'e> Field<'e> {
    pub fn values(&self) -> &[Val<'e>] {
        match self {
            Field::Null => &[],
            Field::One(value) => std::slice::from_ref(value),
            Field::Many(values) => values,
        }
    }
}

/// One event and the fields the rules of its table use.
pub(crate) struct View<'e> {
    event: &'e Event,
    targets: &'e [Target],
    fields: Vec<OnceCell<Field<'e>>>,
    additional: OnceCell<Option<Json>>,
}

impl<'e> View<'e> {
    pub fn new(event: &'e Event, targets: &'e [Target]) -> Self {
        let fields = std::iter::repeat_with(OnceCell::new).take(targets.len()).collect();
        View { event, targets, fields, additional: OnceCell::new() }
    }

    /// The values of a slot, an index into the targets.
    pub fn field(&self, slot: u32) -> &Field<'e> {
        let at = slot as usize;
        self.fields[at].get_or_init(|| self.fetch(&self.targets[at]))
    }

    fn fetch(&self, target: &Target) -> Field<'e> {
        match target {
            Target::Column(index) => self.cell(*index).map_or(Field::Null, |text| Field::One(Val::new(text))),
            Target::Const(text) => Field::One(Val::new(text.clone())),
            Target::Join(columns, separator) => {
                let texts: Vec<_> = columns.iter().filter_map(|index| self.cell(*index)).collect();
                if texts.is_empty() { Field::Null } else { Field::One(Val::new(texts.join(separator))) }
            }
            Target::Hashes(columns) => {
                let names = self.event.table.columns();
                let text = |index: &u16| Some((names.get(usize::from(*index))?.name, self.cell(*index)?));
                let texts: Vec<_> =
                    columns.iter().filter_map(text).map(|(name, hash)| format!("{name}={hash}")).collect();
                if texts.is_empty() { Field::Null } else { Field::One(Val::new(texts.join(","))) }
            }
            Target::Additional(key) => match self.json().and_then(|json| json.get(key)) {
                None | Some(Json::Null) => Field::Null,
                Some(Json::Array(items)) => Field::Many(items.iter().take(LIST_MAX).map(json_value).collect()),
                Some(other) => Field::One(json_value(other)),
            },
            Target::AnyText => {
                let texts = self.event.cells().filter_map(|(_, value)| value.as_str());
                Field::Many(texts.map(Val::new).collect())
            }
        }
    }

    fn cell(&self, index: u16) -> Option<Cow<'e, str>> {
        Some(match self.event.cell(index)? {
            Value::String(text) => Cow::Borrowed(text.as_str()),
            other => Cow::Owned(other.to_text()),
        })
    }

    fn json(&self) -> Option<&Json> {
        let parse = || serde_json::from_str(self.event.str("AdditionalFields")?).ok();
        self.additional.get_or_init(parse).as_ref()
    }
}

fn json_value<'e>(json: &Json) -> Val<'e> {
    match json {
        Json::String(text) => Val::new(text.clone()),
        other => Val::new(other.to_string()),
    }
}
