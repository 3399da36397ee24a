//! URLs: found, normalised, counted once.

use super::reason::Limit;
use super::{Work, html, unwrap};
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
/// address with a host. `hxxp` and `[.]`, as people write harmful addresses, are understood here; in
/// the text of a mail they are no address, because no program follows them.
///
/// ```
/// use hinomi_mail::parse::normalise_url;
/// assert_eq!(normalise_url("HTTP://User@EXAMPLE.com:80/a#b").as_deref(), Some("http://example.com/a"));
/// assert_eq!(normalise_url("hxxps://日本語[.]jp").as_deref(), Some("https://xn--wgv71a119e.jp/"));
/// assert_eq!(normalise_url("mailto:a@example.com"), None);
/// ```
pub fn normalise_url(text: &str) -> Option<String> {
    let text = text.trim().replace("[.]", ".");
    let defanged = text.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("hxxp"));
    let text = if defanged { format!("http{}", &text[4..]) } else { text };
    parse(&text).map(|(url, _)| url)
}

/// Returns the addresses a URL wraps (link protection services, redirectors), outermost first,
/// normalised; empty when it wraps none.
///
/// ```
/// use hinomi_mail::parse::unwrap_url;
/// let wrapped = "https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Fexample.com%2Fa&data=x";
/// assert_eq!(unwrap_url(wrapped), ["https://example.com/a"]);
/// ```
pub fn unwrap_url(url: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut layer = vec![url.to_owned()];
    for _ in 0..unwrap::LAYERS_MAX {
        let targets = layer.iter().flat_map(|one| unwrap::targets(one));
        layer = targets.filter_map(|target| parse(&target).map(|(url, _)| url)).collect();
        layer.retain(|one| one != url && !found.contains(one));
        layer.truncate(unwrap::TARGETS_MAX);
        layer.dedup();
        found.extend(layer.iter().cloned());
    }
    found
}

/// Returns the registrable part of a domain name (`a.b.example.co.jp` → `example.co.jp`).
pub fn registrable_domain(domain: &str) -> Option<&str> {
    psl::domain_str(domain)
}

/// Normalised address and its host.
fn parse(text: &str) -> Option<(String, String)> {
    let mut text = text.trim();
    if text.len() > URL_BYTES_MAX {
        text = &text[..text.floor_char_boundary(URL_BYTES_MAX)];
    }
    let mut text = text.replace(['\r', '\n', '\t'], "");
    if text.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("www.")) {
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
        for link in finder.links(text).filter(|link| !is_defanged(&text[link.end()..])) {
            self.add_url(without_prose(link.as_str()), location);
        }
        let words = text.split(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | '(' | ')' | '（' | '）'));
        let bare = words.filter(|word| word.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("www.")));
        for word in bare.filter(|word| !word.contains("[.]")) {
            self.add_url(without_prose(word).trim_end_matches(['.', ',', ';', ':', '!', '?']), location);
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

    /// Records an address and what it wraps.
    pub(super) fn add_url(&mut self, link: &str, location: Location) {
        if self.analysis.urls.len() >= self.limits.urls_max {
            if parse(link).is_some_and(|(url, _)| !self.seen_urls.contains(&(location, url))) {
                self.note_once("urls", Limit::Urls(self.limits.urls_max));
            }
            return;
        }
        let Some((url, domain)) = parse(link) else { return };
        if !self.push_url(url.clone(), domain, location, None) {
            return;
        }
        for target in unwrap_url(&url) {
            if let Some((target, domain)) = parse(&target) {
                self.push_url(target, domain, location, Some(url.clone()));
            }
        }
    }

    /// False when it is known or there is no room.
    fn push_url(&mut self, url: String, domain: String, location: Location, wrapper: Option<String>) -> bool {
        if self.analysis.urls.len() >= self.limits.urls_max {
            self.note_once("urls", Limit::Urls(self.limits.urls_max));
            return false;
        }
        if !self.seen_urls.insert((location, url.clone())) {
            return false;
        }
        let registrable_domain = registrable_domain(&domain).unwrap_or(&domain).to_owned();
        self.analysis.urls.push(UrlFound { url, domain, registrable_domain, location, unwrapped_from: wrapper });
        true
    }

    /// Takes the part of `text` that may still be searched.
    fn take_text<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        if !self.budget.in_time() || self.text_left == 0 {
            self.note_once("text", Limit::Text);
            return None;
        }
        if text.len() > self.text_left {
            self.note_once("text", Limit::Text);
        }
        let cut = &text[..text.floor_char_boundary(self.text_left)];
        self.text_left -= cut.len();
        Some(cut)
    }
}

/// True when a link is only the beginning of a defanged address (`http://evil[.]example`).
fn is_defanged(after: &str) -> bool {
    ["[.]", "[dot]", "(.)", "(dot)", "[:]", "{.}"].iter().any(|mark| after.starts_with(mark))
}

/// Cuts off the sentence that follows an address without a space, as Japanese text does
/// (`https://example.com/aをご覧ください`). In the host, characters beyond ASCII stay when they end in a
/// known suffix.
fn without_prose(link: &str) -> &str {
    let host_at = link.find("://").map_or(0, |at| at + 3);
    let host_end = link[host_at..].find(['/', '?', '#']).map_or(link.len(), |at| host_at + at);
    let beyond = |text: &str| text.find(|c: char| !c.is_ascii());
    let host = &link[host_at..host_end];
    if let Some(at) = beyond(host) {
        let known = psl::suffix(host.as_bytes()).is_some_and(|one| one.is_known());
        if !known && host[..at].contains('.') {
            return &link[..host_at + at];
        }
    }
    beyond(&link[host_end..]).map_or(link, |at| &link[..host_end + at])
}
