//! `/api/hosts`: what each host accepts, how old that is, what changed, and which clients came with what result.

use super::Admin;
use super::answer::{Fault, json};
use crate::clock;
use crate::probe::HostView;
use crate::record::{profile_json, rfc3339};
use axum::extract::State;
use axum::response::Response;
use parser::Timestamp;
use serde_json::{Map, Value, json as value};

pub(super) async fn list(State(admin): State<Admin>) -> Result<Response, Fault> {
    let now = clock::now();
    let hosts: Vec<Value> = admin.observer()?.hosts().iter().map(|view| host(view, now)).collect();
    Ok(json(&value!({ "hosts": hosts })))
}

fn host(view: &HostView, now: Timestamp) -> Value {
    let changes = view.changes.iter().map(|noticed| {
        value!({
            "what": noticed.what,
            "text": noticed.text,
            "after": rfc3339(noticed.after),
            "before": rfc3339(noticed.before),
        })
    });
    let clients = view.shapes.iter().map(|shape| {
        let outcomes: Map<String, Value> =
            shape.outcomes.iter().map(|(cause, count)| ((*cause).to_owned(), Value::from(*count))).collect();
        let mut client = value!({ "ja4": shape.ja4, "first": rfc3339(shape.first), "last": rfc3339(shape.last), "outcomes": outcomes });
        if shape.bridged {
            client["bridge"] = value!({ "retired_by": shape.retires_bridge });
        }
        client
    });
    let age = view.profile.as_ref().map(|profile| now.since(profile.ended).as_millis() as f64 / 1e3);
    value!({
        "address": view.target.address.to_string(),
        "tls_first": view.target.tls_first,
        "upstreams": view.upstreams.iter().map(|label| &**label).collect::<Vec<_>>(),
        "needs_bridge": view.shapes.iter().any(|shape| shape.bridged),
        "asking": view.asking,
        "outdated": view.outdated,
        "age_s": age,
        "profile": view.profile.as_deref().map(profile_json),
        "changes": changes.collect::<Vec<_>>(),
        "clients": clients.collect::<Vec<_>>(),
    })
}
