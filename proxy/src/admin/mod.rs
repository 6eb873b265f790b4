//! The admin endpoint: metrics, health, live and ended sessions, and the live feed, over plain HTTP.
//!
//! It reads, it changes nothing. It runs on a thread and a runtime of its own, so that no scrape and no slow reader
//! delays a session; connections, time without an answer and subscribers are bounded. Web pages cannot read it: `host.rs`.

mod accept;
mod answer;
mod events;
mod host;
mod hosts;
mod page;
mod sessions;

use crate::observe::{LatencyRow, Observer, Readiness};
use answer::{Fault, json};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use host::Names;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use tokio::net::TcpListener;

/// Binds `listen`, serves in the background until `observer` is no longer used, and returns the real address.
///
/// # Errors
/// What bind(2) says, or that no thread can be had.
pub async fn start(listen: SocketAddr, observer: Arc<Observer>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(listen).await?.into_std()?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Whoever holds the observer decides how long this lives.
    let admin = Admin { observer: Arc::downgrade(&observer) };
    let mut gone = observer.gone();
    drop(observer);
    std::thread::Builder::new().name("admin".to_owned()).spawn(move || {
        runtime.block_on(async {
            let listener = match TcpListener::from_std(listener) {
                Ok(listener) => accept::Bounded::new(listener),
                Err(error) => return tracing::error!("admin endpoint: {error}"),
            };
            tokio::select! {
                result = axum::serve(listener, router(admin, Names::of(address))) => {
                    if let Err(error) = result {
                        tracing::error!("admin endpoint: {error}");
                    }
                }
                // Nothing is ever sent: it ends with the observer.
                _ = gone.changed() => {}
            }
        });
    })?;
    Ok(address)
}

/// What every handler has.
#[derive(Clone)]
struct Admin {
    observer: Weak<Observer>,
}

impl Admin {
    fn observer(&self) -> Result<Arc<Observer>, Fault> {
        self.observer.upgrade().ok_or_else(|| Fault::new(StatusCode::SERVICE_UNAVAILABLE, "the proxy is stopping", ""))
    }
}

fn router(admin: Admin, names: Names) -> Router {
    Router::new()
        .route("/", get(page::page))
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/api/sessions", get(sessions::list))
        .route("/api/sessions/{id}", get(sessions::one))
        .route("/api/sessions/{id}/capture", get(sessions::capture))
        .route("/api/hosts", get(hosts::list))
        .route("/api/latency", get(latency))
        .route("/api/events", get(events::stream))
        .fallback(|| async { Fault::new(StatusCode::NOT_FOUND, "there is nothing here", page::ENDPOINTS_HINT) })
        .method_not_allowed_fallback(|| async {
            Fault::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "this endpoint only answers",
                "use GET; nothing can be changed here",
            )
        })
        .layer(from_fn_with_state(names, host::check))
        .with_state(admin)
}

async fn metrics(State(admin): State<Admin>) -> Result<Response, Fault> {
    let text = admin.observer()?.metrics_text();
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

async fn readyz(State(admin): State<Admin>) -> (StatusCode, &'static str) {
    match admin.observer().map(|observer| observer.ready()) {
        Ok(Readiness::Ready) => (StatusCode::OK, "ready\n"),
        Ok(Readiness::Starting) => (StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
        Ok(Readiness::Draining) | Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
    }
}

async fn latency(State(admin): State<Admin>) -> Result<Response, Fault> {
    let rows: Vec<LatencyRow> = admin.observer()?.phase_latencies().into_iter().map(LatencyRow::from).collect();
    Ok(json(&serde_json::json!({ "phases": rows })))
}

#[cfg(test)]
mod tests;
