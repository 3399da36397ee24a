//! Addresses inside addresses: link protection services and redirectors put the real target into the
//! path or a parameter of their own address.
//!
//! Known services are read after their published or visible form; beyond them, a parameter whose value
//! is a whole web address counts on any host, because open redirects work that way.

use super::header::decode_escapes;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Most layers taken off.
pub(super) const LAYERS_MAX: usize = 4;
/// Most targets of one address, and of one layer.
pub(super) const TARGETS_MAX: usize = 4;

/// Returns what a normalised address wraps, not yet normalised.
pub(super) fn targets(url: &str) -> Vec<String> {
    let Ok(parsed) = url::Url::parse(url) else { return Vec::new() };
    let host = parsed.host_str().unwrap_or_default();
    if let Some(target) = known(&parsed, host) {
        return vec![target];
    }
    let mut found: Vec<String> = Vec::new();
    for (_, value) in parsed.query_pairs() {
        if found.len() < TARGETS_MAX && is_web(&value) && !found.iter().any(|one| *one == value) {
            found.push(value.into_owned());
        }
    }
    if found.is_empty() {
        found.extend(in_path(&parsed));
    }
    found
}

fn is_web(text: &str) -> bool {
    let head = text.get(..8).unwrap_or(text).to_ascii_lowercase();
    head.starts_with("http://") || head.starts_with("https://")
}

fn under(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn parameter(url: &url::Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// Services whose form is not simply "an address in a parameter".
fn known(url: &url::Url, host: &str) -> Option<String> {
    let target = match host {
        // Proofpoint URL Defense, versions 1 to 3
        _ if under(host, "urldefense.proofpoint.com") && url.path().starts_with("/v2/") => {
            decode(&parameter(url, "u")?.replace('-', "%").replace('_', "/"))
        }
        _ if under(host, "urldefense.com") || under(host, "urldefense.proofpoint.com") => match url.path() {
            path if path.starts_with("/v3/__") => defense_v3(url.as_str())?,
            _ => decode(&parameter(url, "u")?),
        },
        // Bing: "a1" and the address in base64
        _ if under(host, "bing.com") && url.path().starts_with("/ck/") => {
            let packed = parameter(url, "u")?;
            text_of(URL_SAFE_NO_PAD.decode(packed.strip_prefix("a1")?).ok()?)?
        }
        // Sophos: scheme-less host in d, whole address in base64 in u
        _ if under(host, "protection.sophos.com") => {
            let packed = parameter(url, "u")?;
            text_of(STANDARD_NO_PAD.decode(packed.trim_end_matches('=')).ok()?)?
        }
        // Google AMP viewer: /amp/s/host/path
        _ if host.starts_with("www.google.") && url.path().starts_with("/amp/s/") => {
            format!("https://{}", &url.path()["/amp/s/".len()..])
        }
        // machine translation: dashes for dots, doubled for dashes
        _ if under(host, "translate.goog") => {
            let name = host.strip_suffix(".translate.goog")?;
            let name = name.replace("--", "\0").replace('-', ".").replace('\0', "-");
            format!("https://{name}{}", url.path())
        }
        _ => return None,
    };
    (is_web(&target) && target != url.as_str()).then_some(target)
}

/// `https://urldefense.com/v3/__URL__;BASE64!!…$`: each `*` stands for a character of the base64 text,
/// `**X` for a run of them whose length X names.
fn defense_v3(url: &str) -> Option<String> {
    const RUNS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let rest = url.split_once("/v3/__")?.1;
    let (target, rest) = rest.split_once("__;")?;
    let packed = rest.split('!').next().unwrap_or_default();
    let replaced = text_of(URL_SAFE_NO_PAD.decode(packed.trim_end_matches('=')).ok()?)?;
    let mut replaced = replaced.chars();
    let mut out = String::new();
    let mut chars = target.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '*' {
            out.push(c);
        } else if chars.next_if_eq(&'*').is_some() {
            let run = chars.next().and_then(|c| RUNS.find(c))? + 2;
            out.extend(replaced.by_ref().take(run));
        } else {
            out.push(replaced.next().unwrap_or('*'));
        }
    }
    // the service folds the two slashes behind the scheme
    Some(match out.split_once(":/") {
        Some((scheme, rest)) if !rest.starts_with('/') => format!("{scheme}://{rest}"),
        _ => out,
    })
}

fn text_of(bytes: Vec<u8>) -> Option<String> {
    String::from_utf8(bytes).ok()
}

/// `https://gateway.example/…/https%3A%2F%2Ftarget/…` or the same unescaped (web archives, Cisco and
/// Symantec gateways).
fn in_path(url: &url::Url) -> Option<String> {
    let path = decode(url.path());
    let at = ["https://", "http://", "https:/", "http:/"].iter().filter_map(|scheme| path.find(scheme)).min()?;
    let (scheme, rest) = path[at..].split_once(":/")?;
    let mut target = format!("{scheme}://{}", rest.trim_start_matches('/'));
    if let Some(query) = url.query() {
        target.push('?');
        target.push_str(query);
    }
    Some(target)
}

/// Undoes percent escapes once; what is not UTF-8 afterwards is replaced.
fn decode(text: &str) -> String {
    String::from_utf8_lossy(&decode_escapes(text.as_bytes(), b'%')).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrappers_are_taken_off() {
        for (wrapped, wanted) in [
            (
                "https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Fevil.example%2Fa%3Fb%3D1&data=05%7C01&reserved=0",
                "https://evil.example/a?b=1",
            ),
            (
                "https://urldefense.proofpoint.com/v2/url?u=http-3A__evil.example_a-3Fb-3D1&d=DwMF&c=x",
                "http://evil.example/a?b=1",
            ),
            ("https://urldefense.proofpoint.com/v1/url?u=http%3A%2F%2Fevil.example%2Fa&k=x", "http://evil.example/a"),
            ("https://urldefense.com/v3/__https:/evil.example/a*b__;Iw!!x$", "https://evil.example/a#b"),
            ("https://urldefense.com/v3/__https://evil.example/a**Ab__;Iys!!x$", "https://evil.example/a#+b"),
            ("https://www.google.com/url?q=https://evil.example/x&sa=D", "https://evil.example/x"),
            ("https://www.bing.com/ck/a?!&&p=1&u=a1aHR0cHM6Ly9ldmlsLmV4YW1wbGUv&ntb=1", "https://evil.example/"),
            ("https://www.google.com/amp/s/evil.example/x", "https://evil.example/x"),
            ("https://evil--site-example.translate.goog/x?_x_tr_sl=ja", "https://evil-site.example/x"),
            ("https://l.facebook.com/l.php?u=https%3A%2F%2Fevil.example%2F&h=1", "https://evil.example/"),
            ("https://secure-web.cisco.com/1abc/https%3A%2F%2Fevil.example%2Fx", "https://evil.example/x"),
            ("https://any.example/redirect?next=HTTP://evil.example", "HTTP://evil.example"),
        ] {
            assert_eq!(targets(wrapped), [wanted], "{wrapped}");
        }
        for plain in ["https://example.com/?a=b", "https://example.com/?q=http", "https://example.com/x:/y", "nothing"]
        {
            assert_eq!(targets(plain), Vec::<String>::new(), "{plain}");
        }
    }
}
