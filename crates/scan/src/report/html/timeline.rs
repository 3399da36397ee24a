//! Detections over time as bars.

use super::{Report, escape, say};
use crate::report::LEVELS;
use hinomi_model::{Language, Timestamp};
use std::io::{self, Write};

const BARS_MAX: i64 = 120;
const WIDTH: f64 = 1_200.0;
const HEIGHT: f64 = 160.0;
const BASE: f64 = 135.0;
/// Widths of a bar, seconds.
const STEPS: [i64; 18] = [
    1,
    5,
    15,
    30,
    60,
    300,
    900,
    1_800,
    3_600,
    3 * 3_600,
    6 * 3_600,
    12 * 3_600,
    86_400,
    7 * 86_400,
    30 * 86_400,
    90 * 86_400,
    365 * 86_400,
    3_650 * 86_400,
];

pub(super) fn write(report: &Report, out: &mut dyn Write, language: Language) -> io::Result<()> {
    let spans = &report.timeline.spans;
    let (Some((first, _)), Some((last, _))) = (spans.first_key_value(), spans.last_key_value()) else {
        let none = say(language, "No detection tells its time.", "時刻のある検出はありません。");
        return writeln!(out, "<p class=\"quiet\">{none}</p>");
    };
    let unit = report.timeline.span_seconds;
    let (first, last) = (first * unit, last * unit);
    let wanted = ((last - first) / BARS_MAX + 1).max(unit);
    let step = STEPS.iter().copied().find(|step| *step >= wanted).unwrap_or(wanted);
    let start = first.div_euclid(step) * step;
    let bars = ((last - start) / step + 1) as usize;
    let mut counts = vec![[0u64; 5]; bars];
    for (span, levels) in spans {
        let bar = &mut counts[((span * unit - start) / step) as usize];
        for (sum, count) in bar.iter_mut().zip(levels) {
            *sum += count;
        }
    }
    let highest = counts.iter().map(|bar| bar.iter().sum::<u64>()).max().unwrap_or(1).max(1) as f64;
    let width = (WIDTH - 20.0) / bars.max(24) as f64;
    let label = say(language, "Detections over time", "検出数の推移");
    writeln!(out, "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{label}\">")?;
    for (at, bar) in counts.iter().enumerate() {
        let total: u64 = bar.iter().sum();
        if total == 0 {
            continue;
        }
        let x = 10.0 + at as f64 * width;
        let mut y = BASE;
        let when = escape(&second(start + at as i64 * step));
        writeln!(out, "<g><title>{when}: {total}</title>")?;
        // the gravest at the bottom, where it is seen
        for (level, count) in LEVELS.iter().zip(bar).filter(|(_, count)| **count > 0) {
            let height = (*count as f64 / highest * (BASE - 15.0)).max(1.5);
            y -= height;
            let wide = (width - 1.0).max(1.0);
            writeln!(
                out,
                "<rect class=\"bar-{level}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{wide:.1}\" height=\"{height:.1}\"/>"
            )?;
        }
        writeln!(out, "</g>")?;
    }
    let end = start + bars as i64 * step;
    writeln!(out, "<text x=\"10\" y=\"152\">{}</text>", escape(&second(start)))?;
    writeln!(out, "<text x=\"{}\" y=\"152\" text-anchor=\"end\">{}</text>", WIDTH - 10.0, escape(&second(end)))?;
    writeln!(out, "<text x=\"10\" y=\"12\">{highest}</text></svg>")?;
    if report.untimed > 0 {
        let text = say(language, "detections without a time are not drawn", "件は時刻がないため表示していません");
        writeln!(out, "<p class=\"quiet\">{} {text}</p>", report.untimed)?;
    }
    Ok(())
}

fn second(second: i64) -> String {
    let text = Timestamp::from_micros(second.saturating_mul(1_000_000)).to_string();
    text.chars().take(19).collect::<String>().replace('T', " ") + " UTC"
}
