//! The page at `/`: what can be asked here.

use axum::http::header;
use axum::response::{IntoResponse, Response};

pub(super) const ENDPOINTS_HINT: &str = "try /metrics, /healthz, /readyz, /api/sessions?state=live|failed|ended, \
     /api/sessions/{id}, /api/sessions/{id}/capture, /api/hosts, /api/latency or /api/events";

const PAGE: &str = r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>rdpscope</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:46em;margin:2em auto;padding:0 1em}code{font-size:.95em}dt{margin-top:.6em}</style>
</head><body><h1>rdpscope</h1>
<p>What can be asked here. What a cause means: <code>rdpscope explain CAUSE</code>.</p>
<dl>
<dt><a href="/api/sessions?state=failed"><code>/api/sessions?state=failed</code></a></dt>
<dd>The last sessions that failed, newest first, each with its cause, evidence and remedy.</dd>
<dt><a href="/api/sessions?state=live"><code>/api/sessions?state=live</code></a></dt>
<dd>Sessions that go on now, and where they are.</dd>
<dt><a href="/api/sessions?state=ended"><code>/api/sessions?state=ended</code></a></dt>
<dd>The last sessions that ended, healthy ones too.</dd>
<dt><code>/api/sessions/{id}</code></dt><dd>One session in full, with its timeline and the state of both TCP connections.</dd>
<dt><code>/api/sessions/{id}/capture</code></dt><dd>The opening of a failed session, or of one that is opening now, as a pcapng file for
Wireshark (with <code>[capture]</code> in the configuration); its path is <code>rdpscope.capture.path</code> of the event. One that
holds secrets is read from there alone (403 here), and a live one is never readable.</dd>
<dt><a href="/api/hosts"><code>/api/hosts</code></a></dt>
<dd>The hosts behind: what each accepts, how old that is, what changed, and which clients came with what result.</dd>
<dt><a href="/api/latency"><code>/api/latency</code></a></dt><dd>Percentiles of the time spent in each phase.</dd>
<dt><a href="/api/events"><code>/api/events</code></a></dt>
<dd>The live feed as Server-Sent Events: <code>curl -N …/api/events?client=10.1.2.3&amp;cause=…&amp;host=…</code></dd>
<dt><a href="/metrics"><code>/metrics</code></a></dt><dd>Counters and times for Prometheus.</dd>
<dt><a href="/healthz"><code>/healthz</code></a>, <a href="/readyz"><code>/readyz</code></a></dt><dd>Whether the process lives, and whether it takes new sessions (503 while it drains).</dd>
</dl></body></html>
"#;

pub(super) async fn page() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"),
    ];
    (headers, PAGE).into_response()
}
