//! Mailboxes of others below a prefix (RFC 2342, "other users' namespace"): one login reaches them all.

use super::ImapError;

/// Where the mailboxes of others lie: `user/%u/`, in which `%u` is the mailbox, `%n` its part before
/// the `@` and `%d` that behind it. The last character is the separator of folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootTemplate {
    text: String,
    separator: char,
}

/// What stands before the folder names of one mailbox, its last separator taken off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    name: String,
    separator: char,
}

impl RootTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// [`ImapError::BadText`] when mailboxes would share a place, or it does not end with a separator.
    pub fn parse(text: &str) -> Result<Self, ImapError> {
        let bad = || ImapError::BadText(text.chars().take(200).collect());
        let separator =
            text.chars().next_back().filter(|last| matches!(last, '/' | '.' | '^' | '|')).ok_or_else(bad)?;
        let fixed = text.replace("%u", "").replace("%n", "").replace("%d", "");
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '#' | '@') || c == separator;
        let tells_apart = text.contains("%u") || text.contains("%n");
        // without a fixed beginning a folder of the login itself could pass for a mailbox
        let begins = text.chars().next().is_some_and(|first| first != '%' && first != separator);
        if !tells_apart || !begins || !fixed.chars().all(plain) || text.len() > 200 {
            return Err(bad());
        }
        Ok(RootTemplate { text: text.to_owned(), separator })
    }

    /// The root of a mailbox.
    ///
    /// # Errors
    /// [`ImapError::BadText`] for a name that could lead to another mailbox: wildcards, separators,
    /// characters that stand for others.
    pub fn of(&self, mailbox: &str) -> Result<Root, ImapError> {
        let usable =
            |c: char| c.is_ascii_graphic() && !matches!(c, '*' | '%' | '"' | '\\' | '&' | '/') && c != self.separator;
        if mailbox.is_empty() || mailbox.len() > 320 || !mailbox.chars().all(usable) {
            return Err(ImapError::BadText(mailbox.chars().take(200).collect()));
        }
        let (local, domain) = mailbox.rsplit_once('@').unwrap_or((mailbox, ""));
        if local.is_empty() || (self.text.contains("%d") && domain.is_empty()) {
            return Err(ImapError::BadText(mailbox.to_owned()));
        }
        let name = self.text.replace("%u", mailbox).replace("%n", local).replace("%d", domain);
        Ok(Root { name: name.trim_end_matches(self.separator).to_owned(), separator: self.separator })
    }
}

impl Root {
    /// The name of a folder as this login sees it.
    pub(super) fn outside(&self, folder: &str) -> String {
        format!("{}{}{folder}", self.name, self.separator)
    }

    /// The name of a folder as its owner sees it; none = it is not of this mailbox. The inbox shows
    /// under the bare root.
    pub(super) fn inside<'a>(&self, folder: &'a str) -> Option<&'a str> {
        match folder.strip_prefix(self.name.as_str())? {
            "" => Some("INBOX"),
            rest => rest.strip_prefix(self.separator).filter(|rest| !rest.is_empty()),
        }
    }

    /// Patterns that list the mailbox and nothing else: the second alone would miss the inbox.
    pub(super) fn patterns(&self) -> [String; 2] {
        [self.name.clone(), self.outside("*")]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_out_and_come_back() {
        let root = RootTemplate::parse("user/%u/").expect("template").of("alice@x.test").expect("root");
        assert_eq!(root.outside("Junk"), "user/alice@x.test/Junk");
        assert_eq!(root.inside("user/alice@x.test/a/b"), Some("a/b"));
        assert_eq!(root.inside("user/alice@x.test"), Some("INBOX"));
        for other in ["user/alice@x.test2/Junk", "user/alice@x.test2", "user/bob/Junk", "INBOX", "user/alice@x.test/"] {
            assert_eq!(root.inside(other), None, "{other}");
        }
        let split = RootTemplate::parse("#users^%d^%n^").expect("template").of("alice@x.test").expect("root");
        assert_eq!(split.outside("INBOX"), "#users^x.test^alice^INBOX");
    }

    #[test]
    fn a_name_leads_to_no_other_mailbox() {
        let template = RootTemplate::parse("user/%u/").expect("template");
        for name in ["", "a/b", "a*", "%", "a b", "ä", "a\"b", "a\\", "&AOQ-", "@x.test", "a\r\nb", &"a".repeat(400)] {
            assert!(template.of(name).is_err(), "{name:?}");
        }
        assert!(RootTemplate::parse("user.%u.").expect("template").of("a.b@x").is_err(), "a separator within");
        assert!(RootTemplate::parse("user/%d/%n/").expect("template").of("alice").is_err(), "no domain");
        for text in ["", "user/", "user/%u", "%u/", "/%u/", "user/%d/", "user/*%u/", "user/%u\"/", "user/%x%u/"] {
            assert!(RootTemplate::parse(text).is_err(), "{text:?}");
        }
    }
}
