//! Which log sources of Sigma an event of another product belongs to (`content/logsources.yml`).
//!
//! One event belongs to several: a Sysmon event is `service: sysmon` and one or more categories. Here
//! this is a [`Class`]: the sources of an event and how it is completed with the names rules use. The
//! hunting tables of our own sensor have their mapping in `content/fields.yml` ([`crate::FieldMap`]).

mod read;

use crate::LogSource;
use std::borrow::Cow;
use std::collections::HashMap;

/// The table of log sources.
#[derive(Debug, Clone, Default)]
pub struct LogsourceMap {
    entries: Vec<Entry>,
    /// Names of the fields entries look at, each once.
    keys: Vec<String>,
    strip: Vec<String>,
    /// By native name in lower case: canonical names, and the place of the native one in its list.
    aliases: HashMap<String, Vec<(String, usize)>>,
}

#[derive(Debug, Clone)]
struct Entry {
    product: Option<String>,
    /// Index into `keys` of the field that names the product.
    product_from: Option<usize>,
    categories: Vec<String>,
    services: Vec<String>,
    /// (index into `keys`, what one of its values must be).
    when: Vec<(usize, Vec<Wanted>)>,
    fields: Vec<(String, Derive)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Wanted {
    /// Lower case.
    Is(String),
    Prefix(String),
    /// There, and something else.
    Not(String),
    Missing,
}

/// Where the value of a field comes from that the event does not have itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derive {
    /// Fields: the first that is there, or all joined when `with` is given.
    from: Vec<String>,
    with: Option<String>,
    values: Vec<(String, String)>,
    /// Prefixes in lower case, and what stands for them.
    prefixes: Vec<(String, String)>,
    constant: Option<String>,
}

/// What an event is to rules: its log sources and the fields it is completed with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Class {
    /// Products, usually one.
    pub products: Vec<String>,
    /// Categories.
    pub categories: Vec<String>,
    /// Services.
    pub services: Vec<String>,
    /// Fields to complete the event with, in order.
    pub fields: Vec<(String, Derive)>,
}

impl LogsourceMap {
    /// The fields that decide the class of an event.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// Returns a nested name without the prefix shippers put before it.
    ///
    /// ```
    /// let map = hinomi_detect::content::logsources();
    /// assert_eq!(map.strip("winlog.event_data.Image"), "Image");
    /// assert_eq!(map.strip("process.executable"), "process.executable");
    /// ```
    pub fn strip<'n>(&self, name: &'n str) -> &'n str {
        let found = self.strip.iter().find_map(|prefix| name.strip_prefix(prefix.as_str()));
        found.filter(|rest| !rest.is_empty()).unwrap_or(name)
    }

    /// Returns the other names a field has in every source, and how far it is from the first choice for
    /// each; `name` in any case.
    pub fn aliases(&self, name: &str) -> &[(String, usize)] {
        let lower = match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => Cow::Owned(name.to_ascii_lowercase()),
            false => Cow::Borrowed(name),
        };
        self.aliases.get(lower.as_ref()).map(Vec::as_slice).unwrap_or_default()
    }

    /// Returns the class of an event whose values of [`LogsourceMap::keys`] are these, in their order:
    /// no value for a field that is not there, several for a list.
    pub fn classify(&self, values: &[Vec<Cow<'_, str>>]) -> Class {
        let mut class = Class::default();
        for entry in self.entries.iter().filter(|entry| entry.holds(values)) {
            let named = entry.product_from.and_then(|at| values.get(at)?.first()).map(|value| value.to_lowercase());
            for (list, more) in [
                (&mut class.products, entry.product.iter().chain(&named).collect::<Vec<_>>()),
                (&mut class.categories, entry.categories.iter().collect()),
                (&mut class.services, entry.services.iter().collect()),
            ] {
                for name in more {
                    if !list.contains(name) {
                        list.push(name.clone());
                    }
                }
            }
            for field in &entry.fields {
                if !class.fields.contains(field) {
                    class.fields.push(field.clone());
                }
            }
        }
        class
    }

    /// Returns the products, categories and services that occur, to explain what a rule may name.
    pub fn names(&self) -> Class {
        let mut class = Class::default();
        for entry in &self.entries {
            class.products.extend(entry.product.clone());
            class.categories.extend(entry.categories.clone());
            class.services.extend(entry.services.clone());
        }
        for list in [&mut class.products, &mut class.categories, &mut class.services] {
            list.sort();
            list.dedup();
        }
        class
    }
}

impl Entry {
    fn holds(&self, values: &[Vec<Cow<'_, str>>]) -> bool {
        self.when.iter().all(|(key, wanted)| {
            let has = values.get(*key).map(Vec::as_slice).unwrap_or_default();
            wanted.iter().any(|wanted| match wanted {
                Wanted::Missing => has.is_empty(),
                Wanted::Not(text) => !has.is_empty() && !has.iter().any(|value| value.eq_ignore_ascii_case(text)),
                Wanted::Is(text) => has.iter().any(|value| value.eq_ignore_ascii_case(text)),
                Wanted::Prefix(text) => has.iter().any(|value| {
                    value.as_bytes().get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text.as_bytes()))
                }),
            })
        })
    }
}

impl Class {
    /// Says whether a rule with this log source is for such events: each part it names must be here.
    pub fn has(&self, product: Option<&str>, category: Option<&str>, service: Option<&str>) -> bool {
        let has = |list: &[String], wanted: Option<&str>| {
            wanted.is_none_or(|wanted| list.iter().any(|name| name.eq_ignore_ascii_case(wanted)))
        };
        has(&self.products, product) && has(&self.categories, category) && has(&self.services, service)
    }

    /// Returns the log sources as rules name them: every product with every category and service.
    pub fn log_sources(&self) -> Vec<LogSource> {
        let or_none = |list: &[String]| match list {
            [] => vec![String::new()],
            list => list.to_vec(),
        };
        let mut sources = Vec::new();
        for product in or_none(&self.products) {
            for category in or_none(&self.categories) {
                sources
                    .extend(or_none(&self.services).iter().map(|service| LogSource::new(&product, &category, service)));
            }
        }
        sources
    }

    /// Says whether no rule can be for such events.
    pub fn is_empty(&self) -> bool {
        self.products.is_empty() && self.categories.is_empty() && self.services.is_empty()
    }
}

impl Derive {
    /// Returns the value for an event; `None` when it has none of the fields.
    pub fn value<'e>(&self, get: impl Fn(&str) -> Option<Cow<'e, str>>) -> Option<Cow<'e, str>> {
        if let Some(constant) = &self.constant {
            return Some(Cow::Owned(constant.clone()));
        }
        let mut found = self.from.iter().filter_map(|name| get(name));
        let value = match &self.with {
            None => found.next()?,
            Some(with) => {
                let parts: Vec<_> = found.filter(|part| !part.is_empty() && part != "-").collect();
                if parts.is_empty() {
                    return None;
                }
                Cow::Owned(parts.join(with))
            }
        };
        if let Some((_, translated)) = self.values.iter().find(|(from, _)| value.eq_ignore_ascii_case(from)) {
            return Some(Cow::Owned(translated.clone()));
        }
        let prefix = |prefix: &str| {
            let start = value.as_bytes().get(..prefix.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
        };
        match self.prefixes.iter().find(|(from, _)| prefix(from)) {
            Some((from, to)) => value.get(from.len()..).map(|rest| Cow::Owned(format!("{to}{rest}"))),
            None => Some(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::content;
    use std::borrow::Cow;
    use std::collections::HashMap;

    fn class(event: &[(&str, &str)]) -> super::Class {
        let map = content::logsources();
        let value = |key: &String| {
            let found = event.iter().filter(|(name, _)| name == key);
            found.map(|(_, value)| Cow::Borrowed(*value)).collect::<Vec<_>>()
        };
        map.classify(&map.keys().iter().map(value).collect::<Vec<_>>())
    }

    #[test]
    fn one_event_belongs_to_several_categories() {
        let sysmon = |id, kind| {
            class(&[("Channel", "Microsoft-Windows-Sysmon/Operational"), ("EventID", id), ("EventType", kind)])
        };
        for (id, kind, categories) in [
            ("1", "", vec!["process_creation"]),
            ("12", "CreateKey", vec!["registry_event", "registry_add"]),
            ("12", "DeleteValue", vec!["registry_event", "registry_delete"]),
            ("12", "INFO", vec!["registry_event"]),
            ("13", "SetValue", vec!["registry_event", "registry_set"]),
            ("14", "RenameKey", vec!["registry_event", "registry_rename"]),
            ("26", "", vec!["file_delete"]),
        ] {
            let class = sysmon(id, kind);
            assert_eq!(class.categories, categories, "{id} {kind}");
            assert_eq!((class.products, class.services), (vec!["windows".to_owned()], vec!["sysmon".to_owned()]));
        }
    }

    #[test]
    fn audit_events_speak_sysmon() {
        let class = class(&[("Channel", "security"), ("EventID", "4688")]);
        assert!(class.has(Some("windows"), Some("process_creation"), None));
        assert!(class.has(Some("windows"), None, Some("security")));
        assert!(!class.has(Some("linux"), Some("process_creation"), None));
        assert!(!class.has(Some("windows"), Some("file_event"), None));
        let event: HashMap<&str, &str> = [
            ("NewProcessName", r"C:\Windows\System32\cmd.exe"),
            ("SubjectDomainName", "CORP"),
            ("SubjectUserName", "kato"),
            ("MandatoryLabel", "s-1-16-12288"),
        ]
        .into();
        let derived = |name: &str| {
            let (_, derive) = class.fields.iter().find(|(field, _)| field == name).expect("derived");
            derive.value(|name| event.get(name).map(|value| Cow::Borrowed(*value))).map(Cow::into_owned)
        };
        assert_eq!(derived("Image").as_deref(), Some(r"C:\Windows\System32\cmd.exe"));
        assert_eq!(derived("User").as_deref(), Some(r"CORP\kato"));
        assert_eq!(derived("IntegrityLevel").as_deref(), Some("High"));
        assert_eq!(derived("ParentImage"), None);
    }

    #[test]
    fn registry_paths_of_the_audit_log_are_those_of_sysmon() {
        let class = class(&[("Channel", "Security"), ("EventID", "4657")]);
        let event: HashMap<&str, &str> =
            [("ObjectName", r"\REGISTRY\MACHINE\SOFTWARE\Run"), ("ObjectValueName", "x")].into();
        let (_, derive) = class.fields.iter().find(|(field, _)| field == "TargetObject").expect("derived");
        let value = derive.value(|name| event.get(name).map(|value| Cow::Borrowed(*value)));
        assert_eq!(value.as_deref(), Some(r"HKLM\SOFTWARE\Run\x"));
    }

    #[test]
    fn unknown_events_have_no_source() {
        assert!(class(&[("EventID", "1")]).is_empty());
        assert!(!class(&[("Channel", "Something else")]).is_empty());
    }
}
