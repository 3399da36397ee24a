//! Notifications that leave the house, in Japanese and English: mails, webhooks, syslog.
//!
//! Main types: [`Notice`] (what is said, made of [`AlertFacts`] or of [`PlainWords`]), [`render`] and
//! [`Mailer`] (mail), [`Hook`] (Slack, Teams, signed JSON), [`Syslog`]. Everything said is untrusted
//! text: HTML is escaped by the template engine, headers are cleaned of control characters, chats get
//! plain text. This room decides neither who gets what nor when.

mod mailer;
mod notice;
mod plain;
mod render;
mod syslog;
mod webhook;
mod words;

pub use mailer::{Mailer, MailerError, Sent, SmtpSettings, SmtpTls};
pub use notice::{AlertFacts, Notice};
pub use plain::PlainWords;
pub use render::{Rendered, render};
pub use syslog::{Syslog, SyslogError, SyslogForm};
pub use webhook::{Hook, HookError, HookForm};
