//! Cross-site requests: every change needs the header `X-Hinomi` and must come from our own origin.
//!
//! Browsers send `Sec-Fetch-Site` and `Origin` themselves; pages cannot forge them. A custom header
//! makes other sites' requests need a preflight, which is never answered.

use axum::http::{HeaderMap, Method};

/// Tells whether a request may change something as far as its origin goes.
pub fn allowed(method: &Method, headers: &HeaderMap, public_url: &str) -> bool {
    if method.is_safe() {
        return true;
    }
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if text("x-hinomi").is_none() {
        return false;
    }
    // "none" is a person's own doing (address bar); programs send nothing
    if text("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none") {
        return false;
    }
    let Some(origin) = text("origin") else { return true };
    let own = text("host").is_some_and(|host| origin.strip_prefix("https://") == Some(host));
    own || url::Url::parse(public_url).is_ok_and(|url| url.origin().ascii_serialization() == origin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderName;

    fn check(method: Method, headers: &[(&'static str, &str)]) -> bool {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().expect("header")))
            .collect();
        allowed(&method, &headers, "https://hinomi.example:8443/")
    }

    #[test]
    fn only_our_own_pages_and_programs_change_things() {
        assert!(check(Method::GET, &[("sec-fetch-site", "cross-site")]));
        assert!(check(Method::POST, &[("x-hinomi", "1")]), "a program");
        assert!(check(Method::POST, &[("x-hinomi", "1"), ("origin", "https://a:1"), ("host", "a:1")]));
        assert!(check(Method::POST, &[("x-hinomi", "1"), ("origin", "https://hinomi.example:8443"), ("host", "a")]));
        assert!(!check(Method::POST, &[]));
        assert!(!check(Method::DELETE, &[("x-hinomi", "1"), ("sec-fetch-site", "same-site")]));
        assert!(!check(Method::POST, &[("x-hinomi", "1"), ("origin", "null"), ("host", "a:1")]));
        assert!(!check(Method::PATCH, &[("x-hinomi", "1"), ("origin", "http://a:1"), ("host", "a:1")]));
    }
}
