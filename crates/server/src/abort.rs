//! Points at which the crash test kills the server: between any two things that must not be half done.
//!
//! `HINOMI_ABORT_AT` names a point; the process ends there at once, with no destructor, flush or
//! answer, as `kill -9` would end it. Only builds with debug assertions read it.

/// Environment variable that names the point.
pub const VARIABLE: &str = "HINOMI_ABORT_AT";

/// Every point outside the steps of an investigation, in the order a story passes them.
pub const POINTS: &[&str] = &[
    "analysis.open",
    "analysis.stored",
    "investigation.prepared",
    "action.proposing",
    "action.proposed",
    "investigation.finished",
    "action.approving",
    "action.approved",
    "command.stored",
    "command.sent",
    "order.marked",
    "receipt.arrived",
    "receipt.stored",
    "indicator.stored",
    "devices.awaited",
    "indicator.published",
    "settle.ordered",
    "mail.begun",
    "journal.intended",
    "mail.kept",
    "journal.settling",
    "journal.settled",
    "mail.settled",
    "mail.told",
    "mail.receipts",
    "mail.worked",
    "action.finished",
    "job.worked",
    "undo.ordering",
    "undo.ordered",
];

/// Points that are passed when a late copy is dealt with, in order.
pub const LATE_POINTS: &[&str] = &["late.found", "late.worked", "late.settling", "late.settled"];

/// Points of each step of an investigation, after `step.<name>.`.
pub const STEP_POINTS: &[&str] = &["begun", "answered", "stored"];

/// Ends the process here when it was asked to.
#[cfg(debug_assertions)]
pub(crate) fn abort_point(name: &str) {
    static AT: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    let at = AT.get_or_init(|| std::env::var(VARIABLE).ok());
    if at.as_deref() == Some(name) {
        eprintln!("abort at {name}");
        std::process::abort();
    }
}

/// Release builds have no such points.
#[cfg(not(debug_assertions))]
pub(crate) fn abort_point(_name: &str) {}

/// The same for acts of the command line, which no story passes ([`crate::secrets::ROTATION_POINTS`]).
pub(crate) fn end_at(name: &str) {
    abort_point(name);
}
