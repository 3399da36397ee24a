//! Reading requests: caller, JSON bodies, query parameters, versions, words.

use super::Http;
use super::fail::{Answer, Fail};
use crate::auth::Caller;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hinomi_api::{LIMIT_DEFAULT, LIMIT_MAX};
use hinomi_model::BadWord;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::str::FromStr;

/// Largest body of a request, bytes.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Largest body that carries a file, bytes: 64 MiB in base64.
const UPLOAD_BYTES_MAX: usize = 88 * 1024 * 1024;

impl FromRequestParts<Http> for Caller {
    type Rejection = Fail;

    async fn from_request_parts(parts: &mut Parts, _: &Http) -> Answer<Self> {
        parts.extensions.get::<Caller>().cloned().ok_or_else(Fail::unauthenticated)
    }
}

/// A JSON body that carries a file.
pub struct Upload<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Http> for Upload<T> {
    type Rejection = Fail;

    async fn from_request(request: Request, _: &Http) -> Answer<Self> {
        json(request, UPLOAD_BYTES_MAX).await.map(Upload)
    }
}

/// A JSON body.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Http> for Json<T> {
    type Rejection = Fail;

    async fn from_request(request: Request, _: &Http) -> Answer<Self> {
        json(request, BODY_BYTES_MAX).await.map(Json)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// A JSON body that may be left out.
pub struct MaybeJson<T>(pub T);

impl<T: DeserializeOwned + Default> FromRequest<Http> for MaybeJson<T> {
    type Rejection = Fail;

    async fn from_request(request: Request, state: &Http) -> Answer<Self> {
        let is_json = is_json(request.headers());
        if is_json {
            return Json::from_request(request, state).await.map(|Json(body)| MaybeJson(body));
        }
        if read(request, BODY_BYTES_MAX).await?.is_empty() {
            return Ok(MaybeJson(T::default()));
        }
        Err(Fail::of_status(StatusCode::UNSUPPORTED_MEDIA_TYPE))
    }
}

async fn json<T: DeserializeOwned>(request: Request, bytes_max: usize) -> Answer<T> {
    let is_json = is_json(request.headers());
    let body = read(request, bytes_max).await?;
    if !is_json {
        return Err(Fail::of_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    parse(&body)
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"))
}

async fn read(request: Request, bytes_max: usize) -> Answer<axum::body::Bytes> {
    let too_large = || Fail::of_status(StatusCode::PAYLOAD_TOO_LARGE);
    let declared = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if declared.is_some_and(|bytes: u64| bytes > bytes_max as u64) {
        return Err(too_large());
    }
    axum::body::to_bytes(request.into_body(), bytes_max).await.map_err(|_| too_large())
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Answer<T> {
    // serde_json refuses more than 128 levels of nesting by itself
    serde_json::from_slice(body).map_err(Fail::bad_request)
}

/// Query parameters; unknown ones are refused.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<Http> for Query<T> {
    type Rejection = Fail;

    async fn from_request_parts(parts: &mut Parts, _: &Http) -> Answer<Self> {
        let query =
            axum::extract::Query::try_from_uri(&parts.uri).map_err(|error| Fail::bad_request(error.body_text()))?;
        Ok(Query(query.0))
    }
}

/// Parts of the path.
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<Http> for Path<T> {
    type Rejection = Fail;

    async fn from_request_parts(parts: &mut Parts, state: &Http) -> Answer<Self> {
        // an id of another shape names nothing we have
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(path) => Ok(Path(path.0)),
            Err(_) => Err(Fail::not_found()),
        }
    }
}

/// The version a change is based on, from `If-Match`; none when the caller does not care.
pub struct IfMatch(pub Option<i64>);

impl IfMatch {
    /// Fails with the current state when the caller saw another version.
    ///
    /// # Errors
    /// 412 with `current`.
    pub fn check(&self, version: i64, current: impl Serialize) -> Answer<()> {
        match self.0 {
            Some(expected) if expected != version => Err(Fail::version_conflict(current)),
            _ => Ok(()),
        }
    }
}

impl FromRequestParts<Http> for IfMatch {
    type Rejection = Fail;

    async fn from_request_parts(parts: &mut Parts, _: &Http) -> Answer<Self> {
        let Some(value) = parts.headers.get(header::IF_MATCH) else { return Ok(IfMatch(None)) };
        let text = value.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Ok(IfMatch(None));
        }
        let version = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).and_then(|text| text.parse().ok());
        match version {
            Some(version) => Ok(IfMatch(Some(version))),
            None => Err(Fail::field(
                "If-Match",
                "If-Match is not an ETag of this API (\"version\")",
                "If-Match がこの API の ETag ではありません",
            )),
        }
    }
}

/// Writes the ETag of a version.
pub fn etag(version: i64) -> HeaderValue {
    HeaderValue::try_from(format!("\"{version}\"")).expect("a quoted number is a header value")
}

/// Answers JSON with the ETag of its version.
pub struct Versioned<T>(pub i64, pub T);

impl<T: Serialize> IntoResponse for Versioned<T> {
    fn into_response(self) -> Response {
        ([(header::ETAG, etag(self.0))], axum::Json(self.1)).into_response()
    }
}

/// Answers 201 with JSON.
pub struct Created<T>(pub T);

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, axum::Json(self.0)).into_response()
    }
}

/// Reads words separated by commas; none and empty mean no filter.
///
/// # Errors
/// 400 naming the parameter.
pub fn words<T: FromStr<Err = BadWord>>(field: &str, text: Option<&str>) -> Answer<Vec<T>> {
    let words = text.unwrap_or_default().split(',').map(str::trim).filter(|word| !word.is_empty());
    words
        .map(|word| {
            word.parse().map_err(|error: BadWord| {
                Fail::field(field, error.to_string(), format!("{field}: 「{word}」は使えない値です"))
            })
        })
        .collect()
}

/// Returns the page size asked for, within limits.
pub fn limit(asked: Option<u32>) -> u32 {
    asked.unwrap_or(LIMIT_DEFAULT).clamp(1, LIMIT_MAX)
}

/// Checks the length of a text in characters.
///
/// # Errors
/// 400 naming the field.
pub fn length(field: &str, text: &str, min: usize, max: usize) -> Answer<()> {
    if (min..=max).contains(&text.chars().count()) {
        return Ok(());
    }
    Err(Fail::field(
        field,
        format!("{field} must have {min} to {max} characters"),
        format!("{field} は {min}〜{max} 文字で入力してください"),
    ))
}

/// Builds the page asked for.
pub fn page(cursor: Option<String>, asked: Option<u32>) -> hinomi_store::Page {
    hinomi_store::Page { after: cursor, limit: limit(asked) }
}

/// Turns a page of the store into one of the API.
pub fn list_of<T, U>(listed: hinomi_store::Listed<T>, each: impl FnMut(T) -> U) -> hinomi_api::List<U> {
    hinomi_api::List { items: listed.items.into_iter().map(each).collect(), next: listed.next, total: listed.total }
}
