//! Facts about the host.

use hinomi_model::SensorStatus;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Most addresses told.
const ADDRESSES_MAX: usize = 32;

/// Returns a status with what can be known without the rest of the sensor.
pub fn status() -> SensorStatus {
    SensorStatus {
        sensor_version: env!("CARGO_PKG_VERSION").to_owned(),
        host_name: host_name(),
        os_platform: "linux".to_owned(),
        os_version: os_version(&fs::read_to_string("/etc/os-release").unwrap_or_default()),
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
        ip_addresses: addresses(),
        memory_bytes: memory_bytes(),
        ..SensorStatus::default()
    }
}

/// Returns the host name, `unknown` when there is none.
pub fn host_name() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
    if name.is_empty() { "unknown".to_owned() } else { name }
}

fn os_version(os_release: &str) -> String {
    let line = os_release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    line.map(|value| value.trim_matches('"').to_owned()).unwrap_or_default()
}

fn addresses() -> Vec<String> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    let found: BTreeSet<String> = interfaces
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|v4| std::net::IpAddr::from(v4.ip()));
            let ip = v4.or_else(|| address.as_sockaddr_in6().map(|v6| v6.ip().into()))?;
            (!ip.is_loopback()).then(|| ip.to_string())
        })
        .collect();
    found.into_iter().take(ADDRESSES_MAX).collect()
}

/// Resident memory of this process (second field of `/proc/self/statm`, in pages).
fn memory_bytes() -> u64 {
    let pages = fs::read_to_string(Path::new("/proc/self/statm"))
        .ok()
        .and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok())
        .unwrap_or_default();
    // SAFETY: sysconf has no preconditions.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    pages * u64::try_from(page).unwrap_or(4096)
}
