//! A linear scanner over HTML: text, links and script text. It builds no tree, so nothing a mail
//! writes makes it slow or deep.

/// Attributes that hold an address; the last two in Office relationships and XPS pages.
const LINK_ATTRIBUTES: &[&str] = &[
    "href",
    "src",
    "action",
    "formaction",
    "data",
    "background",
    "poster",
    "srcset",
    "xlink:href",
    "target",
    "navigateuri",
];

/// What was found.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Scanned {
    /// Values of attributes that hold an address, entities decoded.
    pub links: Vec<String>,
    /// Text outside tags, and scripts: searched for written-out addresses.
    pub text: String,
    /// Text a reader sees: without scripts and styles.
    pub visible: String,
}

/// Most links taken from one part.
const LINKS_MAX: usize = 5_000;

/// Elements inside a line: text goes on without a gap.
const INLINE: &[&str] = &[
    "a", "abbr", "b", "bdi", "bdo", "big", "code", "em", "font", "i", "label", "mark", "s", "small", "span", "strike",
    "strong", "sub", "sup", "tt", "u", "wbr",
];

/// Scans HTML.
pub(super) fn scan(html: &str) -> Scanned {
    let mut found = Scanned::default();
    let mut rest = html;
    let mut hidden = None;
    while let Some(open) = rest.find('<') {
        push_text(&mut found, &rest[..open], hidden);
        rest = &rest[open..];
        rest = match rest {
            comment if comment.starts_with("<!--") => comment.find("-->").map_or("", |at| &comment[at + 3..]),
            tag if tag[1..].starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?')) => {
                let (name, after) = scan_tag(&tag[1..], &mut found);
                hidden = match (hidden, name.as_str()) {
                    (None, "script") => Some("/script"),
                    (None, "style") => Some("/style"),
                    (Some(end), name) if end == name => None,
                    (unchanged, _) => unchanged,
                };
                if !INLINE.contains(&name.trim_start_matches('/')) {
                    found.visible.push('\n');
                }
                after
            }
            text => {
                push_text(&mut found, "<", hidden);
                &text[1..]
            }
        };
    }
    push_text(&mut found, rest, hidden);
    found
}

/// Reads one tag behind its `<` and returns its lower-case name and what follows it.
fn scan_tag<'h>(tag: &'h str, found: &mut Scanned) -> (String, &'h str) {
    let name_end = tag.find(|c: char| c.is_ascii_whitespace() || c == '>').unwrap_or(tag.len());
    let name = tag[..name_end].trim_end_matches('/').to_ascii_lowercase();
    let mut rest = &tag[name_end..];
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || matches!(c, '/' | '"' | '\''));
        if rest.is_empty() {
            return (name, "");
        }
        if let Some(after) = rest.strip_prefix('>') {
            found.text.push(' ');
            return (name, after);
        }
        let (key, value, after) = attribute(rest);
        rest = after;
        if found.links.len() >= LINKS_MAX {
            continue;
        }
        if LINK_ATTRIBUTES.contains(&key.as_str()) {
            found.links.push(decode_entities(value));
        } else if name == "meta" && key == "content" {
            // <meta http-equiv=refresh content="0;url=…">
            let decoded = decode_entities(value);
            if let Some(at) = decoded.to_ascii_lowercase().find("url=") {
                found.links.push(decoded[at + 4..].trim_matches(['\'', '"', ' ']).to_owned());
            }
        }
    }
}

/// Reads one attribute: lower-case name, raw value, rest. Always moves forward.
fn attribute(text: &str) -> (String, &str, &str) {
    let key_end = text
        .char_indices()
        .skip(1)
        .find(|(_, c)| c.is_ascii_whitespace() || matches!(c, '=' | '>'))
        .map_or(text.len(), |(at, _)| at);
    let key = text[..key_end].to_ascii_lowercase();
    let after = text[key_end..].trim_start();
    let Some(value) = after.strip_prefix('=').map(str::trim_start) else {
        return (key, "", &text[key_end..]);
    };
    for quote in ['"', '\''] {
        if let Some(quoted) = value.strip_prefix(quote) {
            return match quoted.find(quote) {
                Some(end) => (key, &quoted[..end], &quoted[end + 1..]),
                None => (key, quoted, ""),
            };
        }
    }
    let end = value.find(|c: char| c.is_ascii_whitespace() || c == '>').unwrap_or(value.len());
    (key, &value[..end], &value[end..])
}

fn push_text(found: &mut Scanned, text: &str, hidden: Option<&str>) {
    let text = decode_entities(text);
    if hidden.is_none() {
        found.visible.push_str(&text);
    }
    found.text.push_str(&text);
}

/// Decodes numeric entities and the few named ones that occur in addresses.
pub(super) fn decode_entities(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        // the longest entity we know has ten characters
        let end = rest.char_indices().take(12).find(|(_, c)| *c == ';').map(|(end, _)| end);
        match end.and_then(|end| Some((entity(&rest[1..end])?, end))) {
            Some((decoded, end)) => {
                out.push(decoded);
                rest = &rest[end + 1..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

fn entity(name: &str) -> Option<char> {
    let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
    match name {
        "amp" | "AMP" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some(' '),
        "colon" => Some(':'),
        "sol" => Some('/'),
        "period" => Some('.'),
        "Tab" | "NewLine" => Some(' '),
        _ => match name.strip_prefix('#')? {
            hex if hex.starts_with(['x', 'X']) => number(&hex[1..], 16),
            digits => number(digits, 10),
        },
    }
}
