//! INTERNALDATE (RFC 3501: date-time), which is also how connectors tell when a mail was received.

/// Months as RFC 3501 writes them.
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Seconds since 1970 of an INTERNALDATE; `None` when it is not one.
///
/// ```
/// assert_eq!(hinomi_mail::imap::internal_date_seconds("22-Nov-2026 11:27:03 +0900"), Some(1_795_314_423));
/// ```
pub fn internal_date_seconds(text: &str) -> Option<i64> {
    let mut parts = text.split_whitespace();
    let (date, time, zone) = (parts.next()?, parts.next()?, parts.next()?);
    let mut date = date.split('-');
    let day: i64 = date.next()?.parse().ok().filter(|day| (1..=31).contains(day))?;
    let month = date.next()?;
    let month = MONTHS.iter().position(|known| known.eq_ignore_ascii_case(month))? as i64 + 1;
    let year: i64 = date.next()?.parse().ok().filter(|year| (1..=9_999).contains(year))?;
    let mut time = time.split(':').map(|part| part.parse::<i64>().ok().filter(|part| (0..=60).contains(part)));
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits: i64 = zone.get(1..).filter(|digits| digits.len() == 4)?.parse().ok()?;
    let offset = sign * (digits / 100 * 3_600 + digits % 100 * 60);
    Some(days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset)
}

/// Writes seconds since 1970 as an INTERNALDATE in UTC.
///
/// ```
/// assert_eq!(hinomi_mail::imap::internal_date_of(1_795_314_423), "22-Nov-2026 02:27:03 +0000");
/// ```
pub fn internal_date_of(seconds: i64) -> String {
    let (day_number, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(day_number);
    let month = MONTHS.get(usize::try_from(month - 1).unwrap_or_default()).unwrap_or(&MONTHS[0]);
    format!("{day:2}-{month}-{year:04} {:02}:{:02}:{:02} +0000", rest / 3_600, rest % 3_600 / 60, rest % 60)
}

/// Days since 1970-01-01 of a date (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The opposite of [`days`]: year, month, day.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_go_there_and_back() {
        for seconds in [0, 951_782_399, 951_782_400, 1_795_314_423, 4_102_444_800, -1] {
            assert_eq!(internal_date_seconds(&internal_date_of(seconds)), Some(seconds));
        }
        assert_eq!(internal_date_of(0), " 1-Jan-1970 00:00:00 +0000");
        let zones = ["22-Nov-2026 01:02:03 +0900", "21-Nov-2026 16:02:03 +0000", "21-Nov-2026 09:02:03 -0700"];
        assert!(zones.iter().all(|zone| internal_date_seconds(zone) == internal_date_seconds(zones[0])));
        for bad in ["", "22-Nov-2026", "22-Foo-2026 01:02:03 +0900", "22-Nov-2026 01:02 +0900", "99-Nov-2026 1:2:3 +0"]
        {
            assert_eq!(internal_date_seconds(bad), None, "{bad}");
        }
    }
}
