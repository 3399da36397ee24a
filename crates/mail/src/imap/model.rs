//! What an IMAP server tells about folders and mails.

use bytes::Bytes;

/// A folder that can be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Name as the server writes it (modified UTF-7).
    pub name: String,
    /// Special use (RFC 6154) such as `\Junk`, if it has one.
    pub special_use: Option<&'static str>,
    /// Mails in it, when the server told with the list (RFC 5819).
    pub messages: Option<u32>,
}

/// State of an opened folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selected {
    /// Validity of the UIDs; changes when the server renumbers.
    pub uid_validity: u32,
    /// Mails in it.
    pub exists: u32,
    /// UID the next mail will get at least; 0 when the server does not tell.
    pub uid_next: u32,
}

/// UIDs found in one folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hits {
    /// Name of the folder.
    pub folder: String,
    /// Validity of the UIDs.
    pub uid_validity: u32,
    /// Their UIDs, ascending.
    pub uids: Vec<u32>,
}

/// A mail as the server holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// UID.
    pub uid: u32,
    /// Flags without `\Recent`, sorted.
    pub flags: Vec<String>,
    /// INTERNALDATE as the server writes it.
    pub internal_date: String,
    /// The whole mail.
    pub raw: Bytes,
}

/// Proof of a move (RFC 4315): where the mail is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyUid {
    /// UID validity of the target folder.
    pub uid_validity: u32,
    /// UID it had.
    pub source_uid: u32,
    /// UID it has now.
    pub target_uid: u32,
}

/// What a mail is searched by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Query<'a> {
    /// Part of a header.
    Header(&'a str, &'a str),
    /// Words of the body.
    Body(&'a str),
}

/// How to prove who we are.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// A password.
    Password(String),
    /// An OAuth 2 access token (SASL XOAUTH2).
    Token(String),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Secret::Password(_) => "Password",
            Secret::Token(_) => "Token",
        })
    }
}

/// Who logs in.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// Login name: the mailbox's own or the master user's.
    pub user: String,
    /// Mailbox to act for (SASL authorisation identity); none = that of `user`.
    pub act_for: Option<String>,
    /// Proof.
    pub secret: Secret,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("user", &self.user).field("act_for", &self.act_for).finish_non_exhaustive()
    }
}
