//! Failures of requests and how they read: RFC 9457 problem documents in both languages.

use crate::actions::ActionError;
use crate::auth::PasskeyError;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hinomi_api::Problem;
use hinomi_model::Text;
use hinomi_store::StoreError;

/// Why a request was not done. The outermost layer turns it into a problem document, so that every
/// answer carries the request id, also those of the framework itself.
#[derive(Debug, Clone)]
pub struct Fail {
    /// HTTP status.
    pub status: StatusCode,
    /// Stable code.
    pub code: &'static str,
    /// What is wrong, in English.
    pub en: String,
    /// What is wrong, in Japanese.
    pub ja: String,
    /// The field of the request that is wrong.
    pub field: Option<String>,
    /// The current state of the resource.
    pub current: Option<serde_json::Value>,
    /// Seconds to wait.
    pub retry_after: Option<u64>,
}

/// Result of a handler.
pub type Answer<T> = Result<T, Fail>;

impl Fail {
    /// Builds a failure.
    pub fn new(status: StatusCode, code: &'static str, en: impl Into<String>, ja: impl Into<String>) -> Self {
        Fail { status, code, en: en.into(), ja: ja.into(), field: None, current: None, retry_after: None }
    }

    /// 400: a field is wrong.
    pub fn field(field: &str, en: impl Into<String>, ja: impl Into<String>) -> Self {
        Fail { field: Some(field.to_owned()), ..Fail::new(StatusCode::BAD_REQUEST, "bad_field", en, ja) }
    }

    /// 400: the request cannot be read.
    pub fn bad_request(detail: impl std::fmt::Display) -> Self {
        Fail::new(
            StatusCode::BAD_REQUEST,
            "bad_request",
            format!("the request cannot be read: {detail}"),
            format!("リクエストを読み取れません: {detail}"),
        )
    }

    /// 401: nobody is logged in.
    pub fn unauthenticated() -> Self {
        Fail::new(StatusCode::UNAUTHORIZED, "unauthenticated", "log in first", "ログインしてください")
    }

    /// 401: name, password or code is wrong. Which one is not told.
    pub fn wrong_login() -> Self {
        Fail::new(
            StatusCode::UNAUTHORIZED,
            "wrong_login",
            "name, password or code is wrong",
            "名前、パスワード、またはコードが正しくありません",
        )
    }

    /// 403: the role does not allow it.
    pub fn forbidden(needed: &str) -> Self {
        Fail::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            format!("your role does not allow this (needs {needed})"),
            format!("この操作に必要な権限がありません ({needed})"),
        )
    }

    /// 403: presence must be proved again.
    pub fn step_up_required() -> Self {
        Fail::new(
            StatusCode::FORBIDDEN,
            "step_up_required",
            "confirm with your authenticator app or passkey first",
            "先に認証アプリまたはパスキーで本人確認をしてください",
        )
    }

    /// 403: the password must be typed again.
    pub fn password_required() -> Self {
        Fail::new(
            StatusCode::FORBIDDEN,
            "password_required",
            "confirm with your password first",
            "先にパスワードで本人確認をしてください",
        )
    }

    /// 404: absent or hidden.
    pub fn not_found() -> Self {
        Fail::new(StatusCode::NOT_FOUND, "not_found", "there is no such thing", "見つかりません")
    }

    /// 409: the state does not allow it.
    pub fn conflict(code: &'static str, en: impl Into<String>, ja: impl Into<String>) -> Self {
        Fail::new(StatusCode::CONFLICT, code, en, ja)
    }

    /// 412: somebody changed it in between.
    pub fn version_conflict(current: impl serde::Serialize) -> Self {
        Fail {
            current: serde_json::to_value(current).ok(),
            ..Fail::new(
                StatusCode::PRECONDITION_FAILED,
                "version_conflict",
                "somebody changed it in the meantime; read it again",
                "他のユーザーが先に変更しました。読み込み直してください",
            )
        }
    }

    /// 429: too often.
    pub fn too_many(seconds: u64) -> Self {
        Fail {
            retry_after: Some(seconds),
            ..Fail::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_attempts",
                format!("too many attempts; wait {seconds} seconds"),
                format!("試行回数が多すぎます。{seconds} 秒後に再試行してください"),
            )
        }
    }

    /// 503: a part of the server is not there.
    pub fn unavailable(en: impl Into<String>, ja: impl Into<String>) -> Self {
        Fail { retry_after: Some(30), ..Fail::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", en, ja) }
    }

    /// 500: our mistake. The cause goes to the log only.
    pub fn internal(error: impl std::fmt::Display) -> Self {
        tracing::error!(error = %error, "request failed");
        Fail::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the server made a mistake; its log has the request id",
            "サーバー内部でエラーが発生しました。ログのリクエスト ID を確認してください",
        )
    }

    /// Names the failure of a bare status (unknown path, wrong method, body too large).
    pub fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Fail::not_found(),
            StatusCode::METHOD_NOT_ALLOWED => {
                Fail::new(status, "method_not_allowed", "this address has no such method", "このメソッドは使えません")
            }
            StatusCode::PAYLOAD_TOO_LARGE => {
                Fail::new(status, "too_large", "the request is too large", "リクエストが大きすぎます")
            }
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Fail::new(
                status,
                "unsupported_media_type",
                "send application/json",
                "application/json で送信してください",
            ),
            StatusCode::REQUEST_TIMEOUT => {
                Fail::new(status, "timeout", "the request took too long", "リクエストがタイムアウトしました")
            }
            status if status.is_client_error() => Fail { status, ..Fail::bad_request(status) },
            status => Fail { status, ..Fail::internal(status) },
        }
    }

    /// Builds the problem document.
    pub fn problem(&self, request_id: &str) -> Problem {
        Problem {
            kind: format!("urn:hinomi:problem:{}", self.code),
            title: self.code.replace('_', " "),
            status: self.status.as_u16(),
            code: self.code.to_owned(),
            message_ja: self.ja.clone(),
            message_en: self.en.clone(),
            field: self.field.clone(),
            current: self.current.clone(),
            request_id: request_id.to_owned(),
        }
    }

    /// Builds the finished answer.
    pub fn answer(&self, request_id: &str) -> Response {
        let body = serde_json::to_vec(&self.problem(request_id)).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(version) = self.current.as_ref().and_then(|current| current["version"].as_i64()) {
            headers.insert(header::ETAG, super::request::etag(version));
        }
        response.extensions_mut().insert(Finished(self.code));
        response
    }
}

/// Marks an answer that already is a problem document; holds its code.
#[derive(Debug, Clone, Copy)]
pub struct Finished(pub &'static str);

/// Header that carries the request id.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

impl IntoResponse for Fail {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Fail {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { .. } => Fail::not_found(),
            StoreError::Conflict { current, .. } => Fail::version_conflict(serde_json::json!({ "version": current })),
            StoreError::Duplicate { .. } => Fail::conflict("duplicate", "it exists already", "すでに存在します"),
            StoreError::BadCursor => Fail::field(
                "cursor",
                "the cursor does not belong to this list",
                "カーソルがこの一覧のものではありません",
            ),
            StoreError::Invalid { what: "mail filter", reason } => {
                let ja = format!("検索条件が正しくありません: {reason}");
                Fail::field("filter", reason, ja)
            }
            StoreError::Busy => Fail::unavailable("the store is busy", "データストアが混み合っています"),
            other => {
                let error = anyhow::Error::from(other);
                Fail::internal(format!("{error:#}"))
            }
        }
    }
}

impl From<PasskeyError> for Fail {
    fn from(error: PasskeyError) -> Self {
        match error {
            PasskeyError::NeedsHostName => Fail::conflict(
                "passkey_needs_name",
                "passkeys need the console to be opened by a host name (public_url)",
                "パスキーを使うには、コンソールをホスト名で開いてください (public_url)",
            ),
            PasskeyError::None => {
                Fail::conflict("no_passkey", "no passkey is registered", "パスキーが登録されていません")
            }
            PasskeyError::Over => Fail::conflict(
                "ceremony_over",
                "the passkey request is over; start again",
                "パスキーの要求は期限切れです。もう一度お試しください",
            ),
            PasskeyError::Refused(source) => {
                tracing::debug!(error = %source, "passkey refused");
                Fail::field("credential", "the passkey was not accepted", "パスキーを確認できませんでした")
            }
        }
    }
}

impl From<ActionError> for Fail {
    fn from(error: ActionError) -> Self {
        let Text { en, ja } = error.text();
        match error {
            ActionError::NotFound { .. } => Fail::not_found(),
            ActionError::WrongState { .. } => Fail::conflict("wrong_state", en, ja),
            ActionError::SamePerson { .. } => Fail::conflict("same_person", en, ja),
            ActionError::NoPerson => Fail::new(StatusCode::FORBIDDEN, "needs_person", en, ja),
            ActionError::Invalid { field, .. } => Fail::field(field, en, ja),
            ActionError::Unavailable { .. } => Fail::unavailable(en, ja),
            ActionError::Store(error) => error.into(),
        }
    }
}
