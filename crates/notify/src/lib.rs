//! Notifications that leave the house: alert mails in Japanese and English.
//!
//! Main types: [`AlertMail`] (the facts), [`render`] (subject, text and HTML part), [`Mailer`]
//! (SMTP). Everything in the facts is untrusted text: HTML is escaped by the template engine,
//! headers are cleaned of control characters. This room decides neither who gets a mail nor when.

mod mailer;
mod render;

pub use mailer::{Mailer, MailerError, Sent, SmtpSettings, SmtpTls};
pub use render::{AlertMail, Rendered, render};
