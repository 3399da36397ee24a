//! Mails as the gateway tells them.

use super::id;
use hinomi_model::{Event, Table, Timestamp};

/// A file of a mail.
#[derive(Debug, Clone)]
pub struct Part {
    /// Name.
    pub name: String,
    /// Hash of the content.
    pub sha256: String,
    /// Hash and path of the archive it lies in.
    pub inside: Option<(String, String)>,
}

/// A mail to several recipients.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Number of the message.
    pub number: u64,
    /// Sender, in the envelope and as shown.
    pub from: String,
    /// Name shown.
    pub display: String,
    /// Subject.
    pub subject: String,
    /// What SPF, DKIM and DMARC came to: `pass` or `fail`.
    pub checks: &'static str,
    /// Address it came from.
    pub ip: String,
    /// Recipients.
    pub to: Vec<String>,
    /// Files.
    pub parts: Vec<Part>,
    /// Web addresses.
    pub urls: Vec<String>,
}

impl Mail {
    /// The rows of the mail.
    pub fn tell(&self, at: Timestamp, out: &mut Vec<Event>) {
        let message = id(2, self.number);
        let domain = self.from.rsplit('@').next().unwrap_or_default();
        for (n, recipient) in self.to.iter().enumerate() {
            let mut event = Event::new(Table::EmailEvents, at);
            event
                .set("NetworkMessageId", message.as_str())
                .set("InternetMessageId", format!("{}@{domain}", self.number))
                .set("SenderMailFromAddress", self.from.as_str())
                .set("SenderMailFromDomain", domain)
                .set("SenderFromAddress", self.from.as_str())
                .set("SenderFromDomain", domain)
                .set("SenderDisplayName", self.display.as_str())
                .set("SenderIPv4", self.ip.as_str())
                .set("RecipientEmailAddress", recipient.as_str())
                .set("Subject", self.subject.as_str())
                .set("EmailDirection", "Inbound")
                .set("DeliveryAction", "Delivered")
                .set("DeliveryLocation", "Inbox/folder")
                .set("AuthenticationDetails", format!(r#"{{"SPF":"{0}","DKIM":"{0}","DMARC":"{0}"}}"#, self.checks))
                .set("AttachmentCount", self.parts.len() as i64)
                .set("UrlCount", self.urls.len() as i64)
                .set("ReportId", format!("{message}/{n}"))
                .set("AdditionalFields", r#"{"Size": 2345}"#);
            out.push(event);
            for (m, part) in self.parts.iter().enumerate() {
                let mut event = Event::new(Table::EmailAttachmentInfo, at);
                event
                    .set("NetworkMessageId", message.as_str())
                    .set("SenderFromAddress", self.from.as_str())
                    .set("RecipientEmailAddress", recipient.as_str())
                    .set("FileName", part.name.as_str())
                    .set("FileType", "application/octet-stream")
                    .set("SHA256", part.sha256.as_str())
                    .set("FileSize", 321_i64)
                    .set("ReportId", format!("{message}/{n}/{m}"));
                if let Some((parent, path)) = &part.inside {
                    event.set_additional("ParentSHA256", parent.as_str());
                    event.set_additional("ContainerPath", path.as_str());
                }
                out.push(event);
            }
        }
        for (n, url) in self.urls.iter().enumerate() {
            let host = url.split('/').nth(2).unwrap_or_default();
            let mut event = Event::new(Table::EmailUrlInfo, at);
            event.set("NetworkMessageId", message.as_str()).set("Url", url.as_str()).set("UrlDomain", host);
            event.set("ReportId", format!("{message}/u{n}"));
            out.push(event);
        }
    }
}
