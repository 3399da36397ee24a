//! URLs: found, normalised, counted once.

use super::Work;
use super::html;
use super::reason::Limit;
use linkify::{LinkFinder, LinkKind};

/// Where in a message a URL stood (words of the public hunting table).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Location {
    /// In the body.
    Body,
    /// In a file.
    Attachment,
    /// In the subject.
    Header,
}

impl Location {
    /// Returns the word of the column `UrlLocation`.
    pub fn word(self) -> &'static str {
        match self {
            Location::Body => "Body",
            Location::Attachment => "Attachment",
            Location::Header => "Header",
        }
    }
}

/// A URL of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlFound {
    /// Normalised, see [`normalise_url`].
    pub url: String,
    /// Its host, lower case, A-labels.
    pub domain: String,
    /// Registrable part of the host (`a.b.example.co.jp` → `example.co.jp`); the host itself for an
    /// address or a bare suffix.
    pub registrable_domain: String,
    /// Where it stood.
    pub location: Location,
    /// The URL in the mail that wraps this one (a link protection service, a redirector); the wrapper
    /// has an entry of its own.
    pub unwrapped_from: Option<String>,
}

/// Longest URL kept, bytes; longer ones are cut before they are read.
const URL_BYTES_MAX: usize = 4_096;

/// Normalises a web address: scheme and host lower case, host in A-labels without a trailing dot,
/// no user name, no default port, no fragment. `None` when it is not an `http`, `https` or `ftp`
/// address with a host. `hxxp` and `[.]`, as people write harmful addresses, are understood.
///
/// ```
/// use hinomi_mail::parse::normalise_url;
/// assert_eq!(normalise_url("HTTP://User@EXAMPLE.com:80/a#b").as_deref(), Some("http://example.com/a"));
/// assert_eq!(normalise_url("hxxps://日本語[.]jp").as_deref(), Some("https://xn--wgv71a119e.jp/"));
/// assert_eq!(normalise_url("mailto:a@example.com"), None);
/// ```
pub fn normalise_url(text: &str) -> Option<String> {
    parse(text).map(|(url, _)| url)
}

/// Returns the registrable part of a domain name (`a.b.example.co.jp` → `example.co.jp`).
pub fn registrable_domain(domain: &str) -> Option<&str> {
    psl::domain_str(domain)
}

fn parse(text: &str) -> Option<(String, String)> {
    let mut text = text.trim();
    if text.len() > URL_BYTES_MAX {
        text = &text[..text.floor_char_boundary(URL_BYTES_MAX)];
    }
    let mut text = text.replace("[.]", ".").replace(['\r', '\n', '\t'], "");
    if let Some(rest) = text.get(..4).filter(|head| head.eq_ignore_ascii_case("hxxp")).map(|_| text[4..].to_owned()) {
        text = format!("http{rest}");
    } else if text.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("www.")) {
        text = format!("http://{text}");
    } else if text.starts_with("//") {
        text = format!("https:{text}");
    }
    let mut url = url::Url::parse(&text).ok()?;
    if !matches!(url.scheme(), "http" | "https" | "ftp") {
        return None;
    }
    let host = url.host_str()?.trim_end_matches('.').to_owned();
    if host.is_empty() || url.set_host(Some(&host)).is_err() {
        return None;
    }
    url.set_fragment(None);
    // both can only fail for addresses without a host, which is checked above
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Some((url.into(), host.to_lowercase()))
}

impl Work<'_> {
    /// Finds addresses in plain text.
    pub(super) fn urls_in_text(&mut self, text: &str, location: Location) {
        let Some(text) = self.take_text(text) else { return };
        let mut finder = LinkFinder::new();
        finder.kinds(&[LinkKind::Url]).url_must_have_scheme(true);
        let links: Vec<&str> = finder.links(text).map(|link| link.as_str()).collect();
        let bare = text.split(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | '(' | ')'));
        let bare =
            bare.filter(|word| starts_like_url(word)).map(|word| word.trim_end_matches(['.', ',', ';', '。', '、']));
        for link in links.into_iter().chain(bare) {
            self.add_url(link, location);
        }
    }

    /// Finds addresses in HTML: attributes, text and scripts. Returns the text a reader sees.
    pub(super) fn urls_in_html(&mut self, text: &str, location: Location) -> String {
        let Some(text) = self.take_text(text) else { return String::new() };
        let scanned = html::scan(text);
        for link in &scanned.links {
            self.add_url(link, location);
        }
        // the text was paid for as part of the HTML
        self.text_left = self.text_left.saturating_add(scanned.text.len());
        self.urls_in_text(&scanned.text, location);
        scanned.visible
    }

    fn add_url(&mut self, link: &str, location: Location) {
        let Some((url, domain)) = parse(link) else { return };
        let urls = &mut self.analysis.urls;
        if urls.iter().any(|known| known.url == url && known.location == location) {
            return;
        }
        if urls.len() < self.limits.urls_max {
            let registrable_domain = registrable_domain(&domain).unwrap_or(&domain).to_owned();
            urls.push(UrlFound { url, domain, registrable_domain, location, unwrapped_from: None });
        } else {
            self.note_once("urls", Limit::Urls(self.limits.urls_max));
        }
    }

    /// Takes the part of `text` that may still be searched.
    fn take_text<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        if !self.budget.in_time() || self.text_left == 0 {
            self.note_once("text", Limit::Text);
            return None;
        }
        let cut = &text[..text.floor_char_boundary(self.text_left)];
        self.text_left -= cut.len();
        Some(cut)
    }
}

/// What the link finder does not take: defanged and scheme-less addresses.
fn starts_like_url(word: &str) -> bool {
    let head: String = word.chars().take(8).flat_map(char::to_lowercase).collect();
    head.starts_with("www.") || head.starts_with("hxxp")
}
