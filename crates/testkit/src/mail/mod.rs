//! A real mail server of its own: Postfix and Dovecot in a temporary folder on free loopback ports.
//!
//! [`MailRig::start`] needs root (Postfix's master does) and the Debian packages `postfix`,
//! `dovecot-imapd` and `dovecot-lmtpd`; it makes the system user [`RIG_USER`] when missing. Nothing
//! can leave the machine: every transport except delivery to its own mailboxes is an error.
//!
//! A watcher process of its own session stops the servers and removes the folder when the rig is
//! dropped, and also when the test process dies without dropping anything.

mod config;
mod imap;
mod rig;

pub use imap::{ImapUser, Mail};
pub use rig::{MailRig, MailRigConfig, RIG_USER};
