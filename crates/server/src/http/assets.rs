//! The console's files: immutable caching for hashed names, `index.html` with a nonce for any other
//! path that is not the API's.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use hinomi_console_assets::NONCE_PLACEHOLDER;

/// Answers a file of the console, or its page.
pub async fn console(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let path = uri.path().trim_start_matches('/');
    if path.starts_with("api/") || path == "api" {
        return StatusCode::NOT_FOUND.into_response();
    }
    match path {
        "" | "index.html" => page(),
        path => match hinomi_console_assets::asset(path) {
            Some(asset) => file(path, asset, &headers),
            // hashed files are never pages: a console of another version asks for its own
            None if path.starts_with("assets/") => StatusCode::NOT_FOUND.into_response(),
            None => page(),
        },
    }
}

fn file(path: &str, asset: hinomi_console_assets::Asset, headers: &HeaderMap) -> Response {
    let caching = if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == asset.etag.as_bytes());
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = Response::new(Body::from(asset.bytes.into_owned()));
        let media_type = match asset.content_type.as_str() {
            text if text.starts_with("text/") => format!("{text}; charset=utf-8"),
            other => other.to_owned(),
        };
        if let Ok(value) = HeaderValue::try_from(media_type) {
            response.headers_mut().insert(header::CONTENT_TYPE, value);
        }
        response
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    if let Ok(etag) = HeaderValue::try_from(asset.etag) {
        headers.insert(header::ETAG, etag);
    }
    response
}

fn page() -> Response {
    let Some(index) = hinomi_console_assets::asset("index.html") else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let nonce = base64::engine::general_purpose::STANDARD.encode(crate::keys::random::<16>());
    let html = String::from_utf8_lossy(&index.bytes).replace(NONCE_PLACEHOLDER, &nonce);
    let policy = format!(
        "default-src 'self'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data: blob:; \
         connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; object-src 'none'; \
         require-trusted-types-for 'script'"
    );
    let mut response = Response::new(Body::from(html));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::try_from(policy).expect("base64 and our own words are a header value"),
    );
    response
}
