//! Parts of a date as text, for the modifiers `minute`, `hour`, `day`, `week`, `month`, `year`.

/// A part of a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    Minute,
    Hour,
    Day,
    /// Week of the year as ISO 8601 counts.
    Week,
    Month,
    Year,
}

impl Part {
    pub fn from_name(name: &str) -> Option<Part> {
        Some(match name {
            "minute" => Part::Minute,
            "hour" => Part::Hour,
            "day" => Part::Day,
            "week" => Part::Week,
            "month" => Part::Month,
            "year" => Part::Year,
            _ => return None,
        })
    }

    /// The part of `2026-03-04T05:06:07Z` or `2026-03-04 05:06`, as written: no time zone is applied
    /// (the specification asks for none).
    pub fn of(self, text: &str) -> Option<f64> {
        let text = text.trim();
        let number = |range: std::ops::Range<usize>| -> Option<u32> {
            let digits = text.get(range)?;
            digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
        };
        let separated = |at: usize, allowed: &[u8]| text.as_bytes().get(at).is_some_and(|byte| allowed.contains(byte));
        if !separated(4, b"-/") || !separated(7, b"-/") {
            return None;
        }
        let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        let clock = |range: std::ops::Range<usize>, max: u32| {
            (separated(10, b"T t") && separated(13, b":")).then(|| number(range)).flatten().filter(|n| *n < max)
        };
        let part = match self {
            Part::Minute => clock(14..16, 60)?,
            Part::Hour => clock(11..13, 24)?,
            Part::Day => day,
            Part::Week => week(year, month, day),
            Part::Month => month,
            Part::Year => year,
        };
        Some(f64::from(part))
    }
}

/// ISO 8601 week: the week belongs to the year of its Thursday.
fn week(year: u32, month: u32, day: u32) -> u32 {
    let weekday = |day_of_year: i64, year: u32| {
        let before = i64::from(year) - 1;
        // day 1 of year 1 was a Monday
        (before * 365 + before / 4 - before / 100 + before / 400 + day_of_year - 1).rem_euclid(7) + 1
    };
    let leap = |year: u32| (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400);
    const BEFORE: [u32; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let day_of_year = i64::from(BEFORE[month as usize - 1] + day + u32::from(month > 2 && leap(year)));
    let week = (day_of_year - weekday(day_of_year, year) + 10) / 7;
    let weeks = |year: u32| {
        let first = weekday(1, year);
        52 + i64::from(first == 4 || (first == 3 && leap(year)))
    };
    match week {
        0 => weeks(year.saturating_sub(1)) as u32,
        week if week > weeks(year) => 1,
        week => week as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_dates() {
        for (part, text, expected) in [
            (Part::Minute, "2026-03-04T05:06:07.123Z", Some(6.0)),
            (Part::Hour, "2026-03-04 05:06", Some(5.0)),
            (Part::Day, "2026-03-04", Some(4.0)),
            (Part::Month, "2026/03/04 05:06:07", Some(3.0)),
            (Part::Year, "2026-03-04", Some(2026.0)),
            (Part::Week, "2026-01-01", Some(1.0)),
            (Part::Week, "2021-01-03", Some(53.0)),
            (Part::Week, "2024-12-30", Some(1.0)),
            (Part::Week, "2026-11-22", Some(47.0)),
            (Part::Hour, "2026-03-04", None),
            (Part::Hour, "2026-13-04T05:06", None),
            (Part::Hour, "2026-03-04T25:06", None),
            (Part::Year, "４2026-03-04", None),
            (Part::Year, "yesterday", None),
        ] {
            assert_eq!(part.of(text), expected, "{part:?} {text}");
        }
    }
}
