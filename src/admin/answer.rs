//! Answers: JSON, and an error is `{"error": WORD, "detail": SENTENCE}`.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use serde::Serialize;
use serde_json::json;

/// What goes back to who asked.
pub(super) type Answer = Response<Full<Bytes>>;

/// Why a request gets no answer of substance.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// One word, for programs.
    pub(super) error: &'static str,
    /// A sentence, for people.
    pub(super) detail: String,
    field: Option<(HeaderName, HeaderValue)>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, error: &'static str, detail: impl Into<String>) -> Refusal {
        Refusal { status, error, detail: detail.into(), field: None }
    }

    /// RFC 9110 §15.5.6: what would be allowed is said.
    pub(super) fn method(allowed: &'static str) -> Refusal {
        let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", format!("use {allowed}"));
        Refusal { field: Some((ALLOW, HeaderValue::from_static(allowed))), ..refusal }
    }

    /// RFC 9110 §15.5.2: how to authenticate is said.
    pub(super) fn unauthorized(detail: &str) -> Refusal {
        let refusal = Refusal::new(StatusCode::UNAUTHORIZED, "unauthorized", detail);
        let challenge = HeaderValue::from_static("Bearer realm=\"ringway admin\"");
        Refusal { field: Some((WWW_AUTHENTICATE, challenge)), ..refusal }
    }

    pub(super) fn into_answer(self) -> Answer {
        let mut answer = json(self.status, &json!({ "error": self.error, "detail": self.detail }));
        if let Some((name, value)) = self.field {
            answer.headers_mut().insert(name, value);
        }
        answer
    }
}

/// An answer of JSON, with a line's end for who reads it in a terminal.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(mut text) => {
            text.push(b'\n');
            content(status, "application/json", text)
        }
        Err(error) => {
            // Plain data always serialises.
            tracing::error!("an answer of the admin API cannot be written: {error}");
            content(StatusCode::INTERNAL_SERVER_ERROR, "application/json", r#"{"error":"internal","detail":""}"#)
        }
    }
}

/// An answer that is known whole. It tells of a moment: nobody is to keep it, or to take it for something else.
pub(super) fn content(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let fields = [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
    ];
    for (name, value) in fields {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}
