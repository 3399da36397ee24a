//! Entities: what events, alerts and evidence speak about, each with one key and one permalink.

use crate::id::{DeviceId, MessageId};
use crate::time::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// The kinds of entities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum EntityKind {
    /// An enrolled endpoint; value: device id.
    Device,
    /// A person's account on devices; value: `name` or `domain\name`, lower case.
    User,
    /// A mailbox; value: address, lower case.
    Mailbox,
    /// A message of the gateway; value: NetworkMessageId.
    Message,
    /// One mailbox copy of a message; value: `NetworkMessageId/recipient`.
    MessageCopy,
    /// A file; value: SHA-256, lower-case hex.
    File,
    /// A process; value: `device/pid/start time in µs`.
    Process,
    /// An IP address in canonical text.
    Ip,
    /// A registrable or full domain name, lower case, A-labels.
    Domain,
    /// A normalised URL.
    Url,
    /// A mail address that sends, lower case.
    Sender,
    /// A signing certificate; value: SHA-256, lower-case hex.
    Certificate,
    /// The subject of a mail, or a pattern of subjects, lower case.
    Subject,
}

impl EntityKind {
    /// Returns the name used in keys.
    pub const fn name(self) -> &'static str {
        match self {
            EntityKind::Device => "device",
            EntityKind::User => "user",
            EntityKind::Mailbox => "mailbox",
            EntityKind::Message => "message",
            EntityKind::MessageCopy => "messageCopy",
            EntityKind::File => "file",
            EntityKind::Process => "process",
            EntityKind::Ip => "ip",
            EntityKind::Domain => "domain",
            EntityKind::Url => "url",
            EntityKind::Sender => "sender",
            EntityKind::Certificate => "certificate",
            EntityKind::Subject => "subject",
        }
    }

    const ALL: [EntityKind; 13] = [
        EntityKind::Device,
        EntityKind::User,
        EntityKind::Mailbox,
        EntityKind::Message,
        EntityKind::MessageCopy,
        EntityKind::File,
        EntityKind::Process,
        EntityKind::Ip,
        EntityKind::Domain,
        EntityKind::Url,
        EntityKind::Sender,
        EntityKind::Certificate,
        EntityKind::Subject,
    ];
}

/// The one key of an entity, `kind:value` as text (`file:9f86d0…`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntityKey {
    /// Kind of the entity.
    pub kind: EntityKind,
    /// Normalised value, see [`EntityKind`].
    pub value: String,
}

impl EntityKey {
    /// Builds a key from an already normalised value.
    pub fn new(kind: EntityKind, value: impl Into<String>) -> Self {
        EntityKey { kind, value: value.into() }
    }

    /// Key of a device.
    pub fn device(id: DeviceId) -> Self {
        Self::new(EntityKind::Device, id.to_string())
    }

    /// Key of a file by SHA-256 (hex in either case).
    pub fn file(sha256: &str) -> Self {
        Self::new(EntityKind::File, sha256.to_ascii_lowercase())
    }

    /// Key of a message.
    pub fn message(id: MessageId) -> Self {
        Self::new(EntityKind::Message, id.to_string())
    }

    /// Key of one mailbox copy of a message.
    pub fn message_copy(id: MessageId, recipient: &str) -> Self {
        Self::new(EntityKind::MessageCopy, format!("{id}/{}", recipient.to_lowercase()))
    }

    /// Key of a mailbox.
    pub fn mailbox(address: &str) -> Self {
        Self::new(EntityKind::Mailbox, address.to_lowercase())
    }

    /// Key of a sender address.
    pub fn sender(address: &str) -> Self {
        Self::new(EntityKind::Sender, address.to_lowercase())
    }

    /// Key of a signing certificate by its SHA-256.
    pub fn certificate(sha256: &str) -> Self {
        Self::new(EntityKind::Certificate, sha256.to_ascii_lowercase())
    }

    /// Key of a subject or a pattern of subjects.
    pub fn subject(subject: &str) -> Self {
        Self::new(EntityKind::Subject, subject.to_lowercase())
    }

    /// Key of an account on devices.
    pub fn user(name: &str) -> Self {
        Self::new(EntityKind::User, name.to_lowercase())
    }

    /// Key of a process.
    pub fn process(key: &ProcessKey) -> Self {
        Self::new(EntityKind::Process, key.to_string())
    }

    /// Key of an address.
    pub fn ip(address: &str) -> Self {
        Self::new(EntityKind::Ip, address.to_lowercase())
    }

    /// Key of a domain.
    pub fn domain(name: &str) -> Self {
        Self::new(EntityKind::Domain, name.trim_end_matches('.').to_lowercase())
    }

    /// Key of a URL.
    pub fn url(url: &str) -> Self {
        Self::new(EntityKind::Url, url)
    }

    /// Splits the value of a message copy into message and recipient.
    pub fn as_message_copy(&self) -> Option<(MessageId, &str)> {
        if self.kind != EntityKind::MessageCopy {
            return None;
        }
        let (id, recipient) = self.value.split_once('/')?;
        Some((id.parse().ok()?, recipient))
    }

    /// Returns the process a key names.
    pub fn as_process(&self) -> Option<ProcessKey> {
        if self.kind == EntityKind::Process { self.value.parse().ok() } else { None }
    }

    /// Returns the device a key names.
    pub fn as_device(&self) -> Option<DeviceId> {
        if self.kind == EntityKind::Device { self.value.parse().ok() } else { None }
    }
}

impl fmt::Display for EntityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.name(), self.value)
    }
}

/// A text is not a key of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadKey(pub String);

impl fmt::Display for BadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not an entity key: {:?}", self.0)
    }
}

impl std::error::Error for BadKey {}

impl FromStr for EntityKey {
    type Err = BadKey;
    fn from_str(text: &str) -> Result<Self, BadKey> {
        let (kind, value) = text.split_once(':').ok_or_else(|| BadKey(text.to_owned()))?;
        let kind =
            EntityKind::ALL.into_iter().find(|known| known.name() == kind).ok_or_else(|| BadKey(text.to_owned()))?;
        Ok(EntityKey::new(kind, value))
    }
}

impl Serialize for EntityKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EntityKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for EntityKey {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some("kind:value, for example file:<sha256>"))
            .into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for EntityKey {}

/// A process: device, process id and start time. `device/pid/start µs` as text and in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProcessKey {
    /// Device it runs on.
    pub device_id: DeviceId,
    /// Process id in the device's initial PID namespace.
    pub pid: i64,
    /// Start time.
    pub started_at: Timestamp,
}

impl fmt::Display for ProcessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.device_id, self.pid, self.started_at.as_micros())
    }
}

impl FromStr for ProcessKey {
    type Err = BadKey;
    fn from_str(text: &str) -> Result<Self, BadKey> {
        let bad = || BadKey(text.to_owned());
        let mut parts = text.splitn(3, '/');
        let mut next = || parts.next().ok_or_else(bad);
        let (device, pid, start) = (next()?, next()?, next()?);
        Ok(ProcessKey {
            device_id: device.parse().map_err(|_| bad())?,
            pid: pid.parse().map_err(|_| bad())?,
            started_at: Timestamp::from_micros(start.parse().map_err(|_| bad())?),
        })
    }
}

impl Serialize for ProcessKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ProcessKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for ProcessKey {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some("device/pid/start time in microseconds"))
            .into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for ProcessKey {}

impl crate::Event {
    /// Returns the process a DeviceProcessEvents row created or ended.
    pub fn process(&self) -> Option<ProcessKey> {
        Some(ProcessKey {
            device_id: self.device_id()?,
            pid: self.long("ProcessId")?,
            started_at: self.datetime("ProcessCreationTime")?,
        })
    }

    /// Returns the process that caused a device event.
    pub fn initiating_process(&self) -> Option<ProcessKey> {
        Some(ProcessKey {
            device_id: self.device_id()?,
            pid: self.long("InitiatingProcessId")?,
            started_at: self.datetime("InitiatingProcessCreationTime")?,
        })
    }
}
