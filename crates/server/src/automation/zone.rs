//! Time zones of the automation policy, read from the machine's own files: `/etc/localtime` and the
//! time zone database (Debian: `tzdata`).

use hinomi_cases::automation::{LocalTime, minute_of_day};
use hinomi_model::{Timestamp, Weekday};
use jiff::tz::{Offset, TimeZone};
use std::path::Path;

/// Where the database lies.
const DATABASE: &str = "/usr/share/zoneinfo";
/// The server's own zone; without it UTC.
const OWN: &str = "/etc/localtime";
/// The largest file of the database is some 4 KiB.
const FILE_BYTES_MAX: u64 = 65_536;
/// Furthest offset from UTC, minutes.
const OFFSET_MINUTES_MAX: u16 = 14 * 60;

/// Finds a time zone: `server`, a name of the database, or an offset.
///
/// # Errors
/// What is wrong with it.
pub fn zone(name: &str) -> Result<TimeZone, String> {
    if name == "server" {
        return match Path::new(OWN).exists() {
            true => read("server", Path::new(OWN)),
            false => Ok(TimeZone::UTC),
        };
    }
    if let Some((sign, rest)) = name.split_at_checked(1).filter(|(sign, _)| ["+", "-"].contains(sign)) {
        let minutes = minute_of_day(rest).filter(|minutes| *minutes <= OFFSET_MINUTES_MAX);
        let minutes = minutes.ok_or_else(|| format!("{name:?} is not an offset like +09:00"))?;
        let seconds = i32::from(minutes) * if sign == "-" { -60 } else { 60 };
        let offset = Offset::from_seconds(seconds).map_err(|error| error.to_string())?;
        return Ok(TimeZone::fixed(offset));
    }
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-/".contains(&byte);
    if name.is_empty() || name.len() > 64 || name.starts_with('/') || !name.bytes().all(good) {
        return Err(format!("{name:?} is not a time zone like Asia/Tokyo"));
    }
    read(name, &Path::new(DATABASE).join(name))
}

fn read(name: &str, path: &Path) -> Result<TimeZone, String> {
    let unknown = |error: std::io::Error| format!("there is no time zone {name:?}: read {}: {error}", path.display());
    let found = std::fs::metadata(path).map_err(unknown)?;
    if !found.is_file() || found.len() > FILE_BYTES_MAX {
        return Err(format!("there is no time zone {name:?}"));
    }
    let bytes = std::fs::read(path).map_err(unknown)?;
    TimeZone::tzif(name, &bytes).map_err(|error| format!("read time zone {name:?}: {error}"))
}

/// What the clocks of a place show.
pub fn local(zone: &TimeZone, at: Timestamp) -> LocalTime {
    let at = jiff::Timestamp::from_microsecond(at.as_micros()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let shown = zone.to_datetime(at);
    let day = Weekday::ALL[shown.weekday().to_monday_zero_offset().unsigned_abs() as usize % 7];
    let minute = u16::from(shown.hour().unsigned_abs()) * 60 + u16::from(shown.minute().unsigned_abs());
    LocalTime { day, minute }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(name: &str, at: &str) -> (Weekday, u16) {
        let LocalTime { day, minute } = local(&zone(name).expect(name), Timestamp::parse(at).expect("a time"));
        (day, minute)
    }

    #[test]
    fn clocks_of_places() {
        assert_eq!(shown("+09:00", "2026-11-22T15:30:00Z"), (Weekday::Mon, 30));
        assert_eq!(shown("-05:30", "2026-11-22T04:00:00Z"), (Weekday::Sat, 22 * 60 + 30));
        assert_eq!(shown("Asia/Tokyo", "2026-11-22T14:59:00Z"), (Weekday::Sun, 23 * 60 + 59));
        // one hour apart: Berlin is on summer time until 2026-10-25
        assert_eq!(shown("Europe/Berlin", "2026-10-24T20:00:00Z"), (Weekday::Sat, 22 * 60));
        assert_eq!(shown("Europe/Berlin", "2026-10-25T20:00:00Z"), (Weekday::Sun, 21 * 60));
        assert!(zone("server").is_ok());
        for bad in ["", "Mars/Olympus", "../../etc/passwd", "/etc/localtime", "+15:00", "+9", "Asia", "a b"] {
            assert!(zone(bad).is_err(), "{bad}");
        }
    }
}
