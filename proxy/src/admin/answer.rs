//! JSON answers, and faults that say what would be right.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::collections::HashMap;

/// A request that cannot be answered: `{"error": …, "hint": …}`.
#[derive(Debug)]
pub(super) struct Fault {
    status: StatusCode,
    error: String,
    hint: &'static str,
}

impl Fault {
    pub(super) fn new(status: StatusCode, error: impl Into<String>, hint: &'static str) -> Fault {
        Fault { status, error: error.into(), hint }
    }

    pub(super) fn bad(error: impl Into<String>, hint: &'static str) -> Fault {
        Fault::new(StatusCode::BAD_REQUEST, error, hint)
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        (self.status, json(&serde_json::json!({ "error": self.error, "hint": self.hint }))).into_response()
    }
}

/// Indented, since people read it too, and never cached: what it tells is old a second later.
pub(super) fn json(value: &impl Serialize) -> Response {
    let mut body = serde_json::to_vec_pretty(value).unwrap_or_default();
    body.push(b'\n');
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, body).into_response()
}

/// The parameters of a query; one that is not in `known` is a fault, since a filter that is misspelt would be ignored.
pub(super) fn only(
    query: HashMap<String, String>,
    known: &[&str],
    hint: &'static str,
) -> Result<HashMap<String, String>, Fault> {
    match query.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(Fault::bad(format!("unknown parameter {name:?}"), hint)),
        None => Ok(query),
    }
}
