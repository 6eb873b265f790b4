//! `/api/sessions` and `/api/sessions/{id}`.

use super::answer::{Fault, json, only};
use super::{Admin, page};
use crate::clock;
use crate::observe::{Ended, Entry};
use crate::record::capture::pcapng::holds_secrets;
use crate::record::{Detail, Event};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use parser::session::Timeline;
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
    sessions: Vec<Event<'a>>,
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
    let (mut live, mut ended): (Vec<(Entry, Timeline)>, Vec<Ended>) = Default::default();
    let state = query.get("state").map_or("live", String::as_str);
    match state {
        "live" => {
            let entries = observer.live_newest(limit).into_iter();
            live = entries.map(|entry| (entry.session.timeline(), entry)).map(|(t, e)| (e, t)).collect();
        }
        "failed" => ended = observer.failed_newest(limit),
        "ended" => ended = observer.ended_newest(limit),
        other => return Err(Fault::bad(format!("unknown state {other:?}"), HINT)),
    }
    let now = clock::now();
    let going_on = live.iter().map(|(entry, timeline)| Event::live(entry.session.identity(), timeline, now, names));
    let over =
        ended.iter().map(|ended| Event::ended(ended.action(), &ended.record, ended.record.ended, names, &ended.told));
    let sessions = going_on.chain(over).collect();
    Ok(json(&List { state, live: observer.live_count(), sessions }))
}

pub(super) async fn one(State(admin): State<Admin>, Path(id): Path<String>) -> Result<Response, Fault> {
    let id = session_id(&id)?;
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

/// The capture of a session that failed, or the opening of a live one as it is now. One with secrets is for those who may
/// read the directory: here nobody is asked who they are.
pub(super) async fn capture(State(admin): State<Admin>, Path(id): Path<String>) -> Result<Response, Fault> {
    const OFF: &str = "name a directory: `directory` in [capture], or --capture";
    const NONE: &str =
        "failed sessions have one, unless their opening was over; rdpscope_captures_not_written_total counts by why";
    const OVER: &str = "an opening is kept until its session is up, and not without room in `opening_memory`; the packets of \
                        what comes later are for tcpdump and `rdpscope analyze`";
    const READABLE: &str = "copy the file from the proxy's disk, as a user who may read that directory";
    let id = session_id(&id)?;
    let observer = admin.observer()?;
    let none = |why: String, hint| Fault::new(StatusCode::NOT_FOUND, why, hint);
    let Some(captures) = observer.captures() else {
        return Err(none("captures are not written".to_owned(), OFF));
    };
    let file = match observer.live_session(id) {
        Some(entry) => match captures.live(&*entry.session) {
            Some(file) => Some(file),
            None => return Err(none(format!("of session {id} no opening is kept"), OVER)),
        },
        // On the thread of the admin endpoint, which no session waits for.
        None => std::fs::read(captures.path(id)).ok(),
    };
    let Some(file) = file else { return Err(none(format!("there is no capture of session {id}"), NONE)) };
    if holds_secrets(&file) {
        let path = captures.path(id);
        let why = format!("{} holds secrets that open its TLS, and this endpoint has no login", path.display());
        return Err(Fault::new(StatusCode::FORBIDDEN, why, READABLE));
    }
    let headers = [
        (header::CONTENT_TYPE, "application/x-pcapng".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{id}.pcapng\"")),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    Ok((headers, file).into_response())
}

fn session_id(text: &str) -> Result<Uuid, Fault> {
    let why = || Fault::bad(format!("{text:?} is not a session id"), "an id is a UUID, as in session.id of events");
    text.parse().map_err(|_| why())
}
