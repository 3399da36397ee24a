//! Lists of indicators as others write them: tables, STIX 2.1 bundles, MISP events.
//!
//! Reading is pure: text in, entries and refusals out. Nothing is guessed that would block more than
//! was meant: an entry that needs two values together, or a kind we cannot compare, is refused with
//! its reason.

mod misp;
mod stix;
mod table;
mod value;

pub use value::{guess, refang, sound};

use hinomi_model::{
    IndicatorAction, IndicatorFormat, IndicatorKind, IndicatorScope, IndicatorSpec, RefusedIndicator, Severity, Text,
    Timestamp,
};

/// Largest list, bytes.
pub const LIST_BYTES_MAX: usize = 256 << 20;
/// Most entries of a list.
pub const ENTRIES_MAX: usize = 1_000_000;
/// Refusals that are told one by one; the others are counted.
pub const REFUSALS_MAX: usize = 200;
/// Longest value, bytes.
const VALUE_BYTES_MAX: usize = 2_048;
/// Longest note, characters.
const NOTE_CHARS_MAX: usize = 500;

/// What entries are that do not say it themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defaults {
    /// What happens when the value is seen.
    pub action: IndicatorAction,
    /// Severity of the alert.
    pub severity: Severity,
    /// Why it is there.
    pub note: String,
    /// End; an entry that ends earlier keeps its own.
    pub expires_at: Option<Timestamp>,
    /// Where all of them count.
    pub scope: IndicatorScope,
}

/// A list that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndicatorList {
    /// How it was written.
    pub format: IndicatorFormat,
    /// One per kind and value, the first that names it.
    pub entries: Vec<IndicatorSpec>,
    /// Entries that were not taken, the first [`REFUSALS_MAX`].
    pub refused: Vec<RefusedIndicator>,
    /// How many were not taken in all.
    pub refused_count: u64,
    /// What the list takes back: it was said before and counts no more.
    pub withdrawn: Vec<(IndicatorKind, String)>,
}

/// The list as a whole cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.en)]
pub struct ListError(pub Text);

/// Reads a list.
///
/// # Errors
/// When it is too large, or not what `format` says it is.
pub fn read(text: &str, format: IndicatorFormat, defaults: &Defaults) -> Result<IndicatorList, ListError> {
    if text.len() > LIST_BYTES_MAX {
        return Err(ListError(Text::new("the list is larger than 256 MiB", "リストが 256 MiB を超えています")));
    }
    let text = text.trim_start_matches('\u{feff}');
    let mut reading = Reading::new(defaults);
    let format = match format {
        IndicatorFormat::Auto => format_of(text),
        told => told,
    };
    match format {
        IndicatorFormat::Stix => stix::read(&json(text)?, &mut reading)?,
        IndicatorFormat::Misp => misp::read(&json(text)?, &mut reading)?,
        IndicatorFormat::Csv | IndicatorFormat::Auto => table::read(text, &mut reading)?,
    }
    Ok(IndicatorList {
        format,
        entries: reading.entries,
        refused: reading.refused,
        refused_count: reading.refused_count,
        withdrawn: reading.withdrawn,
    })
}

fn format_of(text: &str) -> IndicatorFormat {
    match text.trim_start().as_bytes().first() {
        Some(b'{' | b'[') if text.contains("\"pattern\"") && text.contains("\"indicator\"") => IndicatorFormat::Stix,
        Some(b'{') if text.contains("\"objects\"") && !text.contains("\"Attribute\"") => IndicatorFormat::Stix,
        Some(b'{' | b'[') => IndicatorFormat::Misp,
        _ => IndicatorFormat::Csv,
    }
}

fn json(text: &str) -> Result<serde_json::Value, ListError> {
    serde_json::from_str(text).map_err(|error| {
        ListError(Text::new(format!("the list is not JSON: {error}"), format!("JSON として読み取れません: {error}")))
    })
}

/// A list while it is read.
struct Reading<'a> {
    defaults: &'a Defaults,
    entries: Vec<IndicatorSpec>,
    known: std::collections::HashSet<(IndicatorKind, String)>,
    refused: Vec<RefusedIndicator>,
    refused_count: u64,
    withdrawn: Vec<(IndicatorKind, String)>,
}

/// What an entry says itself.
#[derive(Debug, Default)]
struct Said {
    kind: Option<IndicatorKind>,
    action: Option<IndicatorAction>,
    severity: Option<Severity>,
    note: Option<String>,
    expires_at: Option<Timestamp>,
}

impl<'a> Reading<'a> {
    fn new(defaults: &'a Defaults) -> Self {
        Reading {
            defaults,
            entries: Vec::new(),
            known: std::collections::HashSet::new(),
            refused: Vec::new(),
            refused_count: 0,
            withdrawn: Vec::new(),
        }
    }

    /// Notes a value the list takes back.
    fn withdraw(&mut self, kind: IndicatorKind, value: &str) {
        if let Ok(value) = sound(kind, &refang(value.trim()))
            && self.withdrawn.len() < ENTRIES_MAX
        {
            self.withdrawn.push((kind, value));
        }
    }

    /// Takes a value, or refuses it with the reason.
    fn take(&mut self, place: &str, value: &str, said: Said) -> Result<(), ListError> {
        let written = refang(value.trim());
        let kind = match said.kind.or_else(|| guess(&written)) {
            Some(kind) => kind,
            None => {
                self.refuse(place, value, "it is no hash, address, network, domain or URL", "値の種類が分かりません");
                return Ok(());
            }
        };
        let kind = match kind {
            IndicatorKind::Ip if written.contains('/') => IndicatorKind::Cidr,
            other => other,
        };
        let value = match sound(kind, &written) {
            Ok(value) if value.len() <= VALUE_BYTES_MAX => value,
            Ok(_) => {
                self.refuse(place, &written, "longer than 2,048 bytes", "2,048 バイトを超えています");
                return Ok(());
            }
            Err(reason) => {
                self.refuse_for(place, &written, reason);
                return Ok(());
            }
        };
        if self.entries.len() >= ENTRIES_MAX {
            return Err(ListError(Text::new(
                "the list has more than 1,000,000 entries",
                "項目が 100 万件を超えています",
            )));
        }
        if !self.known.insert((kind, value.clone())) {
            return Ok(());
        }
        let Defaults { action, severity, note, expires_at, scope } = self.defaults;
        let note = said.note.filter(|note| !note.trim().is_empty()).unwrap_or_else(|| note.clone());
        let ends = [said.expires_at, *expires_at].into_iter().flatten().min();
        self.entries.push(IndicatorSpec {
            kind,
            value,
            action: said.action.unwrap_or(*action),
            severity: said.severity.unwrap_or(*severity),
            note: note.trim().chars().take(NOTE_CHARS_MAX).collect(),
            expires_at: ends,
            scope: scope.clone(),
        });
        Ok(())
    }

    fn refuse(&mut self, place: &str, value: &str, en: &str, ja: &str) {
        self.refuse_for(place, value, Text::new(en, ja));
    }

    fn refuse_for(&mut self, place: &str, value: &str, reason: Text) {
        self.refused_count += 1;
        if self.refused.len() < REFUSALS_MAX {
            let value = value.chars().take(120).collect();
            let place = place.chars().take(120).collect();
            self.refused.push(RefusedIndicator { place, value, reason });
        }
    }
}

/// A time as lists write it: RFC 3339, a date, seconds since 1970.
fn time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<i64>() {
        return seconds.checked_mul(1_000_000).map(Timestamp::from_micros);
    }
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.replacen(' ', "T", 1) };
    Timestamp::parse(&whole).or_else(|| Timestamp::parse(&format!("{whole}Z")))
}
