//! `/api/sessions` and `/api/sessions/{id}`.

use super::answer::{Fault, json, only};
use super::{Admin, page};
use crate::clock;
use crate::observe::Ended;
use crate::record::{Detail, Event};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;
use std::collections::HashMap;
use uuid::Uuid;

const HINT: &str = "use ?state=live, failed or ended, and &limit= from 1 to 1000";

/// Sessions in one answer, when not said otherwise.
const USUAL: usize = 100;
/// Sessions in one answer at most: some megabytes.
const MOST: usize = 1000;

/// Fields stay in the order in which events have them.
#[derive(Serialize)]
struct List<'a> {
    state: &'a str,
    live: usize,
    sessions: Vec<Event>,
}

pub(super) async fn list(
    State(admin): State<Admin>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Response, Fault> {
    let query = only(query, &["state", "limit"], HINT)?;
    let limit = match query.get("limit") {
        None => USUAL,
        Some(text) => match text.parse() {
            Ok(limit @ 1..=MOST) => limit,
            Ok(_) | Err(_) => return Err(Fault::bad(format!("limit {text:?} is not a number from 1 to {MOST}"), HINT)),
        },
    };
    let observer = admin.observer()?;
    let names = observer.names();
    let ended = |sessions: Vec<Ended>| -> Vec<Event> {
        sessions
            .iter()
            .map(|ended| Event::ended(ended.action(), &ended.record, ended.record.ended, names, &ended.told))
            .collect()
    };
    let state = query.get("state").map_or("live", String::as_str);
    let sessions = match state {
        "live" => {
            let now = clock::now();
            let live = observer.live_newest(limit);
            live.iter()
                .map(|entry| Event::live(entry.session.identity(), &entry.session.timeline(), now, names))
                .collect()
        }
        "failed" => ended(observer.failed_newest(limit)),
        "ended" => ended(observer.ended_newest(limit)),
        other => return Err(Fault::bad(format!("unknown state {other:?}"), HINT)),
    };
    Ok(json(&List { state, live: observer.live_count(), sessions }))
}

pub(super) async fn one(State(admin): State<Admin>, Path(id): Path<String>) -> Result<Response, Fault> {
    let Ok(id) = id.parse::<Uuid>() else {
        return Err(Fault::bad(format!("{id:?} is not a session id"), "an id is a UUID, as in session.id of events"));
    };
    let observer = admin.observer()?;
    let found: Option<Value> = match observer.live_session(id) {
        Some(entry) => Some(Detail::live(&*entry.session, clock::now(), observer.names())),
        None => observer
            .ended_session(id)
            .map(|ended| Detail::ended(ended.action(), &ended.record, observer.names(), &ended.told)),
    };
    match found {
        Some(found) => Ok(json(&found)),
        None => Err(Fault::new(
            StatusCode::NOT_FOUND,
            format!("no session {id} is live or among the last ones that ended"),
            page::ENDPOINTS_HINT,
        )),
    }
}
