//! Devices: enrolled sensors.

use crate::alert::words;
use crate::{AutomationLevel, DeviceId, Severity, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

words! {
    /// Network isolation of a device.
    IsolationState {
        /// Connected.
        NotIsolated,
        /// Ordered, not yet confirmed.
        Isolating,
        /// Confirmed by the sensor.
        Isolated,
        /// Release ordered, not yet confirmed.
        Releasing,
    }
    /// Health of the sensor.
    SensorHealth {
        /// Reports.
        Active,
        /// Not heard for an hour.
        Inactive,
        /// Reports, but something is missing (see capabilities).
        Impaired,
        /// Certificate revoked.
        Revoked,
    }
}

/// What a sensor says of itself, with each connection and on request.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SensorStatus {
    /// Version of the sensor.
    pub sensor_version: String,
    /// Host name.
    pub host_name: String,
    /// `linux` or `windows`.
    pub os_platform: String,
    /// Distribution and version (`Debian GNU/Linux 12`).
    pub os_version: String,
    /// Kernel release.
    pub kernel: String,
    /// Addresses of the host.
    pub ip_addresses: Vec<String>,
    /// Logged-on users.
    pub logged_on_users: Vec<String>,
    /// Capability → `ok` or the reason it is missing (`exec`, `file`, `network`, `dns`, `prevent`, `isolate`, `notify`).
    pub capabilities: BTreeMap<String, String>,
    /// Dropped events by reason since the sensor started; an empty map means nothing was lost.
    pub drops: BTreeMap<String, u64>,
    /// Events waiting in the spool.
    pub spooled_events: u64,
    /// Bytes of the spool.
    pub spool_bytes: u64,
    /// Version of the block list in force.
    pub block_list_version: u64,
    /// Fingerprint of what was decided about rules; 0 = the rules that ship.
    #[serde(default)]
    pub rules_version: u64,
    /// True while the network is cut.
    pub isolated: bool,
    /// Resident memory in bytes.
    pub memory_bytes: u64,
}

/// An enrolled device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Device {
    /// Id, also the common name of its certificate.
    pub id: DeviceId,
    /// Host name.
    pub name: String,
    /// Last status.
    pub status: SensorStatus,
    /// Health.
    pub health: SensorHealth,
    /// Connected now.
    pub online: bool,
    /// Isolation.
    pub isolation: IsolationState,
    /// Highest severity of its unresolved alerts.
    pub risk: Option<Severity>,
    /// Automation level; none = the server's default.
    pub automation_level: Option<AutomationLevel>,
    /// Tags of people.
    pub tags: Vec<String>,
    /// When it was enrolled.
    pub enrolled_at: Timestamp,
    /// Last contact.
    pub last_seen: Timestamp,
    /// SHA-256 of its certificate, lower-case hex.
    pub certificate_sha256: String,
    /// Events received.
    pub events: i64,
    /// Grows by one with every change (ETag).
    pub version: i64,
}

impl Device {
    /// A device that was enrolled now and has said nothing yet.
    pub fn new(id: DeviceId, name: &str, now: Timestamp) -> Device {
        Device {
            id,
            name: name.to_owned(),
            status: SensorStatus::default(),
            health: SensorHealth::Active,
            online: false,
            isolation: IsolationState::NotIsolated,
            risk: None,
            automation_level: None,
            tags: Vec::new(),
            enrolled_at: now,
            last_seen: now,
            certificate_sha256: String::new(),
            events: 0,
            version: 1,
        }
    }
}
