//! `hinomi scan`

use crate::output::exit;
use anyhow::{Context, Result};
use clap::Args;
use hinomi_model::{Language, Timestamp};
use hinomi_scan::report::{self, html::Report};
use hinomi_scan::rules::{Detector, RuleSet, set};
use hinomi_scan::{Detection, Options, Problem, Progress, Summary, run};
use indicatif::{ProgressBar, ProgressStyle};
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// Refused rules and unread records told one by one; the others are counted.
const TOLD_MAX: usize = 50;

/// What to scan, with which rules, and how to tell.
#[derive(Debug, Args)]
pub struct ScanCommand {
    /// Folder (or file) of Sigma rules; may be given several times
    #[arg(long, value_name = "DIR")]
    rules: Vec<PathBuf>,
    /// Leave out the rules that ship with Hinomi
    #[arg(long)]
    no_content: bool,
    /// Print one JSON object per detection; the default unless on a terminal
    #[arg(long, group = "form")]
    jsonl: bool,
    /// Print a table; the default on a terminal
    #[arg(long, group = "form")]
    table: bool,
    /// Print CSV
    #[arg(long, group = "form")]
    csv: bool,
    /// Write a self-contained HTML report into this file
    #[arg(long, group = "form", value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write one JSON object of figures to stderr
    #[arg(long)]
    stats: bool,
    /// Threads; default: all cores
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Logs (EVTX, JSON, Linux audit, syslog, journal), archives of them, and folders
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

enum Form {
    Jsonl,
    Table,
    Csv,
    Html(Box<Report>),
}

impl ScanCommand {
    /// Scans; exit code 0 when something was found, 1 when not.
    ///
    /// # Errors
    /// When rules or paths cannot be read, or the report cannot be written.
    pub fn run(self, json: bool, language: Language) -> Result<u8> {
        let started = Instant::now();
        let set = load(&self.rules, !self.no_content)?;
        tell_refused(&set);
        let (files, unlisted) = run::list(&self.paths)?;
        let detector = Detector::new(&set, language);
        let progress = Progress::default();
        let mut form = match &self.html {
            Some(_) => Form::Html(Box::default()),
            None if self.csv => Form::Csv,
            None if self.table => Form::Table,
            None if self.jsonl || json || !io::stdout().is_terminal() => Form::Jsonl,
            None => Form::Table,
        };
        let colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let mut out = BufWriter::new(io::stdout().lock());
        let mut broken = None;
        if let Form::Csv = form {
            report::csv::head(&mut out)?;
        }
        let threads = self.threads.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
        let total = files.iter().map(|file| file.size_bytes).sum();
        let mut put = |detection: Detection, bar: &ProgressBar| {
            let wrote = bar.suspend(|| write(&mut form, &mut out, detection, colour));
            match wrote {
                Ok(()) => true,
                Err(error) => {
                    broken = Some(error);
                    false
                }
            }
        };
        let mut late = 0;
        let mut summary = shown(total, &progress, |bar| {
            let summary = run::run(&files, &detector, Options { threads }, &progress, &mut |found| put(found, bar));
            for found in detector.finish() {
                late += 1;
                put(found, bar);
            }
            summary
        });
        summary.detections += late;
        summary.damaged += unlisted.len() as u64;
        summary.problems.extend(unlisted);
        match broken {
            // whoever read our output has seen enough
            Some(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Some(error) => return Err(error).context("write detections"),
            None => out.flush().context("write detections")?,
        }
        if let (Form::Html(report), Some(path)) = (&form, &self.html) {
            let file = File::create(path).with_context(|| format!("write {}", path.display()))?;
            let mut file = BufWriter::new(file);
            let written = report.write(&mut file, &summary, set.engine.rules().len(), now(), language);
            written.and_then(|()| file.flush()).with_context(|| format!("write {}", path.display()))?;
        }
        tell_problems(&summary);
        if self.stats {
            let stats = serde_json::json!({
                "events": summary.events,
                "detections": summary.detections,
                "rules_loaded": set.engine.rules().len(),
                "rules_failed": set.errors.len(),
                "seconds": (started.elapsed().as_secs_f64() * 1e3).round() / 1e3,
                "damaged": summary.damaged,
                "logs": summary.logs,
                "bytes": summary.bytes,
            });
            eprintln!("{stats}");
        }
        Ok(if summary.detections > 0 { exit::DONE } else { exit::NOTHING })
    }
}

/// Loads rule folders, and our own rules behind them: a rule given wins over ours of the same id.
///
/// # Errors
/// When a folder cannot be read.
pub fn load(folders: &[PathBuf], content: bool) -> Result<RuleSet> {
    let mut sources = Vec::new();
    for folder in folders {
        sources.extend(set::read(folder)?);
    }
    if content {
        sources.extend(RuleSet::content());
    }
    Ok(RuleSet::load(sources))
}

fn tell_refused(set: &RuleSet) {
    for error in set.errors.iter().take(TOLD_MAX) {
        let (path, line, column) = (&error.path, error.line, error.column);
        told(&format!("rule not loaded: {path}:{line}:{column}: [{}] {}", error.code.name(), error.message));
    }
    if let Some(more) = set.errors.len().checked_sub(TOLD_MAX).filter(|more| *more > 0) {
        told(&format!("{more} more rules not loaded; hinomi rules check tells all"));
    }
}

fn tell_problems(summary: &Summary) {
    for Problem { source, place, why } in summary.problems.iter().take(TOLD_MAX) {
        let place = if place.is_empty() { String::new() } else { format!(" {place}") };
        told(&format!("not read: {source}{place}: {why}"));
    }
    if let Some(more) = summary.damaged.checked_sub(TOLD_MAX as u64).filter(|more| *more > 0) {
        told(&format!("{more} more could not be read"));
    }
}

fn told(text: &str) {
    eprintln!("{}", crate::output::printable(text));
}

fn write(form: &mut Form, out: &mut impl Write, detection: Detection, colour: bool) -> io::Result<()> {
    match form {
        Form::Jsonl => report::json_line(out, &detection),
        Form::Table => report::table::line(out, &detection, colour),
        Form::Csv => report::csv::line(out, &detection),
        Form::Html(report) => {
            report.add(detection);
            Ok(())
        }
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(since.as_micros() as i64)
}

/// Runs `work` and shows how far it is, on a terminal and beyond a second.
fn shown<R>(total: u64, progress: &Progress, work: impl FnOnce(&ProgressBar) -> R) -> R {
    if !io::stderr().is_terminal() {
        return work(&ProgressBar::hidden());
    }
    let bar = ProgressBar::hidden();
    bar.set_length(total.max(1));
    if let Ok(style) = ProgressStyle::with_template("{bar:24} {percent:>3} %  {bytes}/{total_bytes}  {eta}  {msg}") {
        bar.set_style(style);
    }
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let started = Instant::now();
            while !done.load(Ordering::Relaxed) {
                std::thread::park_timeout(Duration::from_millis(200));
                if started.elapsed() > Duration::from_secs(1) && bar.is_hidden() {
                    bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
                }
                bar.set_position(progress.bytes.load(Ordering::Relaxed));
                let (events, found) =
                    (progress.events.load(Ordering::Relaxed), progress.detections.load(Ordering::Relaxed));
                bar.set_message(format!("{events} events, {found} detections"));
            }
            bar.finish_and_clear();
        });
        let result = work(&bar);
        done.store(true, Ordering::Relaxed);
        watcher.thread().unpark();
        result
    })
}
