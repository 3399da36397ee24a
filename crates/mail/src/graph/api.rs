//! The calls of Graph that mailbox work needs.

use super::client::{Call, Client, Reply};
use super::types::{DeltaRow, Listed};
use super::{GraphError, MailFolder, Message, Moved, Trace, User};
use bytes::Bytes;
use hinomi_model::Timestamp;
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::json;

/// What is read of a mail.
const SELECT: &str = "$select=id,parentFolderId,internetMessageId,receivedDateTime,isRead,isDraft,flag";
/// What is read of a user.
const SELECT_USER: &str = "$select=id,userPrincipalName,displayName,mail,proxyAddresses,accountEnabled,\
                           onPremisesSamAccountName,onPremisesSecurityIdentifier";
/// Longest time one message trace may span: 10 days (Microsoft, "List messageTraces").
const TRACE_SECONDS_MAX: i64 = 10 * 24 * 3600;
/// Message traces per page, 1 to 5,000; 1,000 is the service's own default.
const TRACES_PER_PAGE: usize = 1_000;
/// How far the service's clock may be behind ours.
const LEEWAY_SECONDS: i64 = 600;
/// Changes of a folder per page; the service's own default is 10 (Microsoft, "message: delta").
const CHANGES_PER_PAGE: usize = 200;
/// Folders of one mailbox, and how deep they lie.
const FOLDERS_MAX: usize = 10_000;
const FOLDER_DEPTH_MAX: usize = 32;
/// Exchange's id of headers kept as named properties (Microsoft, MS-OXPROPS: PS_INTERNET_HEADERS).
const INTERNET_HEADERS: &str = "00020386-0000-0000-C000-000000000046";

/// Calls of one tenant. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Graph {
    client: Client,
}

/// Which message traces are wanted.
#[derive(Debug, Clone, Default)]
pub struct TraceQuery {
    /// Message-ID without angle brackets.
    pub message_id: Option<String>,
    /// Sender.
    pub sender: Option<String>,
    /// Recipient.
    pub recipient: Option<String>,
    /// First time; the service keeps 90 days.
    pub from: Timestamp,
    /// Last time.
    pub to: Timestamp,
}

/// Where mails of a mailbox are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Within {
    /// In every folder its owner can see, deleted items included.
    Visible,
    /// In the hidden folder of removed mails (recoverable items, Deletions).
    Hidden,
}

/// One page of a folder's changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeltaPage {
    /// Mails that are new or changed.
    pub changed: Vec<Message>,
    /// Ids of mails that left the folder.
    pub removed: Vec<String>,
    /// Where it goes on.
    pub next: Link,
}

/// Where a delta goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// More pages of this round.
    More(String),
    /// The round is complete; the next one begins here.
    Done(String),
}

impl Graph {
    /// Makes the calls of a client.
    pub fn new(client: Client) -> Self {
        Graph { client }
    }

    /// Finds out to whom a mail went, from the tenant's message trace. `max` bounds the answer.
    ///
    /// # Errors
    /// As [`GraphError`]; [`GraphError::TooMany`] beyond `max`.
    pub async fn traces(&self, query: &TraceQuery, max: usize) -> Result<Vec<Trace>, GraphError> {
        let mut found = Vec::new();
        let mut from = query.from;
        while from <= query.to {
            let to = from.plus_seconds(TRACE_SECONDS_MAX).min(query.to);
            let filter = query.filter(from, to);
            let path = format!(
                "/admin/exchange/tracing/messageTraces?$filter={}&$top={}",
                encode(&filter),
                TRACES_PER_PAGE.min(max.max(1))
            );
            found.extend(self.list::<Trace>(call("trace a message", Method::GET, path, ""), max - found.len()).await?);
            from = to.plus_seconds(1);
        }
        Ok(found)
    }

    /// Lists the users of the tenant with their addresses.
    ///
    /// # Errors
    /// As [`GraphError`]; [`GraphError::TooMany`] beyond `max`.
    pub async fn users(&self, max: usize) -> Result<Vec<User>, GraphError> {
        self.list(call("list users", Method::GET, format!("/users?{SELECT_USER}&$top=999"), ""), max).await
    }

    /// Finds mails by Message-ID (without angle brackets).
    ///
    /// # Errors
    /// As [`GraphError`]; [`GraphError::TooMany`] beyond `max`.
    pub async fn by_message_id(
        &self,
        mailbox: &str,
        within: Within,
        id: &str,
        max: usize,
    ) -> Result<Vec<Message>, GraphError> {
        self.filtered(mailbox, within, &format!("internetMessageId eq '<{}>'", quoted(id)), max).await
    }

    /// Finds mails by the value of a header.
    ///
    /// # Errors
    /// As [`Graph::by_message_id`].
    pub async fn by_header(
        &self,
        mailbox: &str,
        within: Within,
        name: &str,
        value: &str,
        max: usize,
    ) -> Result<Vec<Message>, GraphError> {
        let filter = format!(
            "singleValueExtendedProperties/Any(ep: ep/id eq 'String {{{INTERNET_HEADERS}}} Name {}' and ep/value eq '{}')",
            quoted(name),
            quoted(value)
        );
        self.filtered(mailbox, within, &filter, max).await
    }

    /// Finds mails by words of their body, as Exchange searches them.
    ///
    /// # Errors
    /// As [`Graph::by_message_id`].
    pub async fn by_body(
        &self,
        mailbox: &str,
        within: Within,
        words: &str,
        max: usize,
    ) -> Result<Vec<Message>, GraphError> {
        let words: String = words.chars().map(|c| if matches!(c, '"' | '\\') { ' ' } else { c }).collect();
        let search = format!("$search={}", encode(&format!("\"body:{words}\"")));
        self.messages(call("search a mailbox", Method::GET, search, mailbox), within, max).await
    }

    async fn filtered(
        &self,
        mailbox: &str,
        within: Within,
        filter: &str,
        max: usize,
    ) -> Result<Vec<Message>, GraphError> {
        let filter = format!("$filter={}", encode(filter));
        self.messages(call("find a mail", Method::GET, filter, mailbox), within, max).await
    }

    /// The present time, with leeway for clocks that differ, as [`Graph::changed_since`] takes it.
    pub fn recently(&self) -> String {
        let now = self.client.0.clock().now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        second(Timestamp::from_micros(i64::try_from(now.as_micros()).unwrap_or(i64::MAX)).plus_seconds(-LEEWAY_SECONDS))
    }

    /// Lists the mails of a folder that came into it or changed since a time.
    ///
    /// # Errors
    /// As [`Graph::by_message_id`].
    pub async fn changed_since(
        &self,
        mailbox: &str,
        folder: &str,
        time: &str,
        max: usize,
    ) -> Result<Vec<Message>, GraphError> {
        let filter = encode(&format!("lastModifiedDateTime ge {time}"));
        let (user, folder, top) = (encode(mailbox), encode(folder), page_size(max));
        let path = format!("/users/{user}/mailFolders/{folder}/messages?$filter={filter}&{SELECT}&$top={top}");
        self.list(call("look for new mails", Method::GET, path, mailbox), max).await
    }

    /// Lists mails; the path of the call is the query that says which.
    async fn messages(&self, call: Call, within: Within, max: usize) -> Result<Vec<Message>, GraphError> {
        let folder = match within {
            Within::Visible => "",
            Within::Hidden => "/mailFolders/recoverableitemsdeletions",
        };
        let (user, query, top) = (encode(&call.mailbox), &call.path, page_size(max));
        let path = format!("/users/{user}{folder}/messages?{query}&{SELECT}&$top={top}");
        self.list(Call { path, ..call }, max).await
    }

    /// Reads what is known of a mail; none when it is not there.
    ///
    /// # Errors
    /// As [`GraphError`].
    pub async fn message(&self, mailbox: &str, id: &str) -> Result<Option<Message>, GraphError> {
        let path = format!("{}?{SELECT}", message_path(mailbox, id));
        self.one(call("look at a mail", Method::GET, path, mailbox)).await
    }

    /// Reads a whole mail as Exchange writes it now; none when it is not there.
    ///
    /// # Errors
    /// As [`GraphError`].
    pub async fn mime(&self, mailbox: &str, id: &str) -> Result<Option<Bytes>, GraphError> {
        let path = format!("{}/$value", message_path(mailbox, id));
        let call = call("read a mail", Method::GET, path, mailbox);
        let reply = self.client.send_for_mail(&call).await?;
        match reply.status {
            404 => Ok(None),
            _ if reply.is_success() => Ok(Some(reply.body)),
            _ => Err(reply.refusal(call.attempt)),
        }
    }

    /// Reads a folder by id or well-known name (`inbox`, `junkemail`, `deleteditems` …); none when
    /// there is no such folder.
    ///
    /// # Errors
    /// As [`GraphError`].
    pub async fn folder(&self, mailbox: &str, id: &str) -> Result<Option<MailFolder>, GraphError> {
        let path = format!(
            "/users/{}/mailFolders/{}?$select=id,displayName,parentFolderId,childFolderCount",
            encode(mailbox),
            encode(id)
        );
        self.one(call("look at a folder", Method::GET, path, mailbox)).await
    }

    /// Lists every folder of a mailbox, parents before their children.
    ///
    /// # Errors
    /// As [`GraphError`]; [`GraphError::TooMany`] beyond 10,000.
    pub async fn folders(&self, mailbox: &str) -> Result<Vec<MailFolder>, GraphError> {
        const WHAT: &str = "$select=id,displayName,parentFolderId,childFolderCount&$top=100";
        let user = encode(mailbox);
        let first = format!("/users/{user}/mailFolders?{WHAT}");
        let mut all: Vec<MailFolder> =
            self.list(call("list folders", Method::GET, first, mailbox), FOLDERS_MAX).await?;
        let mut level = 0..all.len();
        for _ in 0..FOLDER_DEPTH_MAX {
            let parents: Vec<String> = all[level.clone()]
                .iter()
                .filter(|folder| folder.child_folder_count.unwrap_or_default() > 0)
                .map(|folder| folder.id.clone())
                .collect();
            let begin = all.len();
            for parent in parents {
                let path = format!("/users/{user}/mailFolders/{}/childFolders?{WHAT}", encode(&parent));
                let call = call("list folders", Method::GET, path, mailbox);
                all.extend(self.list::<MailFolder>(call, FOLDERS_MAX - all.len()).await?);
            }
            level = begin..all.len();
            if level.is_empty() {
                break;
            }
        }
        Ok(all)
    }

    /// Moves a mail and looks whether it is where it was moved to; none when it was not there.
    ///
    /// # Errors
    /// As [`GraphError`]; [`GraphError::Answer`] when the service says it moved the mail but does not
    /// show it there.
    pub async fn relocate(&self, mailbox: &str, id: &str, folder: &str) -> Result<Option<Moved>, GraphError> {
        let path = format!("{}/move", message_path(mailbox, id));
        let mut moving = call("move a mail", Method::POST, path, mailbox);
        moving.body = Some(json!({ "destinationId": folder }));
        let reply = self.client.send_together(&moving).await?;
        if reply.status == 404 {
            return match self.message(mailbox, id).await? {
                None => Ok(None),
                // the mail is there, so it is the folder that is not
                Some(_) => Err(reply.refusal(moving.attempt)),
            };
        }
        let answered: Message = reply.json(moving.attempt)?;
        let unproved =
            |reason: &str| GraphError::Answer { attempt: moving.attempt.to_owned(), reason: reason.to_owned() };
        let there = self.message(mailbox, &answered.id).await?;
        let message = there.ok_or_else(|| unproved("a look afterwards does not find the mail"))?;
        if message.parent_folder_id.as_deref() != Some(folder) {
            return Err(unproved("a look afterwards finds the mail in another folder"));
        }
        Ok(Some(Moved { kept_id: message.id == id, message }))
    }

    /// Deletes a mail the way its owner would; false when it was not there. Where it goes is the
    /// mailbox's own affair (deleted items, then recoverable items).
    ///
    /// # Errors
    /// As [`GraphError`].
    pub async fn delete(&self, mailbox: &str, id: &str) -> Result<bool, GraphError> {
        let before = self.message(mailbox, id).await?;
        let call = call("delete a mail", Method::DELETE, message_path(mailbox, id), mailbox);
        let reply = self.client.send_together(&call).await?;
        self.gone(&call, mailbox, id, before, reply).await
    }

    /// Removes a mail for good, out of its owner's reach (folder Purges); false when it was not there.
    ///
    /// # Errors
    /// As [`GraphError`].
    pub async fn permanent_delete(&self, mailbox: &str, id: &str) -> Result<bool, GraphError> {
        let before = self.message(mailbox, id).await?;
        let path = format!("{}/permanentDelete", message_path(mailbox, id));
        let call = call("remove a mail for good", Method::POST, path, mailbox);
        let reply = self.client.send_together(&call).await?;
        self.gone(&call, mailbox, id, before, reply).await
    }

    /// Looks whether a mail left the folder it was in.
    async fn gone(
        &self,
        call: &Call,
        mailbox: &str,
        id: &str,
        before: Option<Message>,
        reply: Reply,
    ) -> Result<bool, GraphError> {
        let Some(before) = before else { return Ok(false) };
        if reply.status != 404 && !reply.is_success() {
            return Err(reply.refusal(call.attempt));
        }
        let after = self.message(mailbox, id).await?;
        match after {
            // 404 to our own second try: the first one did it
            None => Ok(reply.is_success() || reply.uncertain),
            Some(after) if after.parent_folder_id != before.parent_folder_id => Ok(true),
            // it is there, so what is not there is the call: national clouds lack some
            Some(_) if reply.status == 404 => Err(reply.refusal(call.attempt)),
            Some(_) => Err(GraphError::Answer {
                attempt: call.attempt.to_owned(),
                reason: "a look afterwards still finds the mail".to_owned(),
            }),
        }
    }

    /// Reads one page of what changed in a folder. `from` is none for the first round, else the link
    /// of the page before.
    ///
    /// # Errors
    /// As [`GraphError`]; [`GraphError::DeltaExpired`] when the folder must be read anew.
    pub async fn delta(&self, mailbox: &str, folder: &str, from: Option<&str>) -> Result<DeltaPage, GraphError> {
        let path = match from {
            Some(link) => self.client.follow(link)?,
            None => format!("/users/{}/mailFolders/{}/messages/delta?{SELECT}", encode(mailbox), encode(folder)),
        };
        let mut call = call("read changes of a folder", Method::GET, path, mailbox);
        call.rows = Some(CHANGES_PER_PAGE);
        let reply = self.client.send(&call).await?;
        if reply.status == 410 {
            return Err(GraphError::DeltaExpired);
        }
        // Exchange answers 400 with this code for links it has forgotten
        if let GraphError::Refused { code, .. } = reply.refusal(call.attempt)
            && !reply.is_success()
            && code.eq_ignore_ascii_case("syncStateNotFound")
        {
            return Err(GraphError::DeltaExpired);
        }
        let page: Listed<DeltaRow> = reply.json(call.attempt)?;
        let next = match (page.next_link, page.delta_link) {
            (Some(link), _) => Link::More(link),
            (None, Some(link)) => Link::Done(link),
            (None, None) => {
                let reason = "neither a next link nor a delta link".to_owned();
                return Err(GraphError::Answer { attempt: call.attempt.to_owned(), reason });
            }
        };
        // refused here, before it is stored and followed days later
        let (Link::More(link) | Link::Done(link)) = &next;
        self.client.follow(link)?;
        let (mut changed, mut removed) = (Vec::new(), Vec::new());
        for row in page.value {
            match row.removed {
                Some(_) => removed.push(row.message.id),
                None => changed.push(row.message),
            }
        }
        Ok(DeltaPage { changed, removed, next })
    }

    /// One object; none for 404.
    async fn one<T: DeserializeOwned>(&self, call: Call) -> Result<Option<T>, GraphError> {
        let reply = self.client.send_together(&call).await?;
        match reply.status {
            404 => Ok(None),
            _ => reply.json(call.attempt).map(Some),
        }
    }

    /// A whole list, page by page.
    async fn list<T: DeserializeOwned>(&self, mut call: Call, max: usize) -> Result<Vec<T>, GraphError> {
        let too_many = || GraphError::TooMany { attempt: call.attempt.to_owned(), max };
        let mut all = Vec::new();
        for _ in 0..self.client.0.settings.limits.pages_max {
            // tenant-wide lists are long: alone, so that they delay nobody
            let reply = match call.mailbox.is_empty() {
                true => self.client.send(&call).await?,
                false => self.client.send_together(&call).await?,
            };
            let page: Listed<T> = reply.json(call.attempt)?;
            all.extend(page.value);
            if all.len() > max {
                return Err(too_many());
            }
            match page.next_link {
                Some(link) => call.path = self.client.follow(&link)?,
                None => return Ok(all),
            }
        }
        Err(too_many())
    }
}

impl TraceQuery {
    fn filter(&self, from: Timestamp, to: Timestamp) -> String {
        let mut filter = format!("receivedDateTime ge {} and receivedDateTime le {}", second(from), second(to));
        let mut equal = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                filter.push_str(&format!(" and {name} eq '{}'", quoted(&value)));
            }
        };
        equal("messageId", self.message_id.as_ref().map(|id| format!("<{id}>")));
        equal("senderAddress", self.sender.clone());
        equal("recipientAddress", self.recipient.clone());
        filter
    }
}

/// A time as filters take it, without fractions.
fn second(at: Timestamp) -> String {
    format!("{}Z", at.to_string().chars().take(19).collect::<String>())
}

fn call(attempt: &'static str, method: Method, path: String, mailbox: &str) -> Call {
    Call { attempt, method, path, body: None, mailbox: mailbox.to_owned(), rows: None }
}

fn message_path(mailbox: &str, id: &str) -> String {
    format!("/users/{}/messages/{}", encode(mailbox), encode(id))
}

/// Mails per page: one more than wanted, so that too many are seen at once; at most 1,000.
fn page_size(max: usize) -> usize {
    (max + 1).min(1_000)
}

/// A text inside an OData literal.
fn quoted(text: &str) -> String {
    text.replace('\'', "''")
}

/// Percent-encodes everything but RFC 3986's unreserved characters and `@`.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'@' => {
                encoded.push(char::from(byte))
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_place() {
        assert_eq!(message_path("a/b?c#@x.example", "../x="), "/users/a%2Fb%3Fc%23@x.example/messages/..%2Fx%3D");
        let query = TraceQuery {
            message_id: Some("x' or 1 eq 1@y".to_owned()),
            from: Timestamp::parse("2026-11-20T00:00:00Z").expect("time"),
            to: Timestamp::parse("2026-11-22T00:00:00Z").expect("time"),
            ..TraceQuery::default()
        };
        assert_eq!(
            query.filter(query.from, query.to),
            "receivedDateTime ge 2026-11-20T00:00:00Z and receivedDateTime le 2026-11-22T00:00:00Z \
             and messageId eq '<x'' or 1 eq 1@y>'"
        );
    }
}
