//! Detections over time as bars.

use super::{Report, escape, say};
use crate::report::LEVELS;
use hinomi_model::{Language, Timestamp};
use std::io::{self, Write};

const BARS_MAX: i64 = 120;
const WIDTH: f64 = 1_200.0;
const HEIGHT: f64 = 160.0;
const BASE: f64 = 135.0;
/// Widths of a bar, minutes.
const STEPS: [i64; 12] = [1, 5, 15, 30, 60, 180, 360, 720, 1_440, 7 * 1_440, 30 * 1_440, 365 * 1_440];

pub(super) fn write(report: &Report, out: &mut dyn Write, language: Language) -> io::Result<()> {
    let (Some((first, _)), Some((last, _))) = (report.minutes.first_key_value(), report.minutes.last_key_value())
    else {
        let none = say(language, "No detection tells its time.", "時刻のある検出はありません。");
        return writeln!(out, "<p class=\"quiet\">{none}</p>");
    };
    let span = last - first + 1;
    let mut step = STEPS.iter().copied().find(|step| span / step < BARS_MAX).unwrap_or(span / BARS_MAX + 1);
    step = step.max(1);
    let start = first.div_euclid(step) * step;
    let bars = ((last - start) / step + 1) as usize;
    let mut counts = vec![[0u64; 5]; bars];
    for (minute, levels) in &report.minutes {
        let bar = &mut counts[((minute - start) / step) as usize];
        for (sum, count) in bar.iter_mut().zip(levels) {
            *sum += u64::from(*count);
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
        let when = escape(&minute(start + at as i64 * step));
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
    writeln!(out, "<text x=\"10\" y=\"152\">{}</text>", escape(&minute(start)))?;
    writeln!(out, "<text x=\"{}\" y=\"152\" text-anchor=\"end\">{}</text>", WIDTH - 10.0, escape(&minute(end)))?;
    writeln!(out, "<text x=\"10\" y=\"12\">{highest}</text></svg>")?;
    if report.untimed > 0 {
        let text = say(language, "detections without a time are not drawn", "件は時刻がないため表示していません");
        writeln!(out, "<p class=\"quiet\">{} {text}</p>", report.untimed)?;
    }
    Ok(())
}

fn minute(minute: i64) -> String {
    let text = Timestamp::from_micros(minute.saturating_mul(60_000_000)).to_string();
    text.chars().take(16).collect::<String>().replace('T', " ") + " UTC"
}
