//! Mail: the gateway's milter server, message analysis, sender authentication, and finding, taking
//! out and putting back copies in mailboxes over IMAP.
//!
//! Knows only the words of [`hinomi_model`]: where verdicts come from ([`milter::Judge`]), where
//! removed mails are kept ([`remediate::Vault`]) and where intents are written down
//! ([`remediate::Journal`]) is the caller's business.
//!
//! ```
//! let raw = b"From: a@example.com\r\nSubject: hello\r\n\r\nsee http://Example.com/x\r\n";
//! let analysis = hinomi_mail::parse::analyse(raw, &hinomi_mail::parse::Limits::default());
//! assert_eq!(analysis.subject, "hello");
//! assert_eq!(analysis.urls[0].url, "http://example.com/x");
//! ```

pub mod auth;
pub mod connector;
pub mod filters;
pub mod graph;
pub mod imap;
pub mod lmtp;
pub mod milter;
pub mod parse;
pub mod remediate;
pub mod worker;
