//! `/api/events`: the live feed as Server-Sent Events.

use super::Admin;
use super::answer::{Fault, only};
use crate::observe::{Item, SUBSCRIBERS};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream, StreamExt};
use parser::diagnosis::Cause;
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::time::Duration;

const HINT: &str = "filters are cause= (an id of `rdpscope explain`), client= (an address) and host= (an upstream, \
     with or without its port); an event passes when it meets all of them";

/// A comment this often shows both ends that the other is there.
const HEARTBEAT: Duration = Duration::from_secs(15);

pub(super) async fn stream(
    State(admin): State<Admin>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Fault> {
    let filter = Filter::new(query)?;
    let Some(receiver) = admin.observer()?.subscribe() else {
        let error = format!("{SUBSCRIBERS} subscribers listen already");
        return Err(Fault::new(StatusCode::SERVICE_UNAVAILABLE, error, "close one of them, or read the event file"));
    };
    // Said at once, so that a reader knows that the feed is open before anything happens.
    let opened = stream::once(async { Ok(Event::default().comment("rdpscope events, from now on")) });
    let items = stream::unfold((receiver, filter), |(mut receiver, filter)| async move {
        loop {
            let item = receiver.recv().await?;
            if filter.passes(&item) {
                let event = Event::default().event(item.action).data(&*item.json);
                return Some((Ok(event), (receiver, filter)));
            }
        }
    });
    Ok(Sse::new(opened.chain(items)).keep_alive(KeepAlive::new().interval(HEARTBEAT).text("still here")))
}

/// What a subscriber wants to see. Empty: everything.
#[derive(Debug, Default)]
struct Filter {
    cause: Option<Cause>,
    client: Option<IpAddr>,
    host: Option<String>,
}

impl Filter {
    fn new(query: HashMap<String, String>) -> Result<Filter, Fault> {
        let mut filter = Filter::default();
        for (name, text) in only(query, &["cause", "client", "host"], HINT)? {
            match name.as_str() {
                "cause" => match Cause::from_id(&text) {
                    Some(cause) => filter.cause = Some(cause),
                    None => return Err(Fault::bad(format!("no cause is called {text:?}"), HINT)),
                },
                "client" => match text.parse::<IpAddr>() {
                    Ok(client) => filter.client = Some(client.to_canonical()),
                    Err(_) => return Err(Fault::bad(format!("{text:?} is not an address"), HINT)),
                },
                _ => filter.host = Some(text),
            }
        }
        Ok(filter)
    }

    fn passes(&self, item: &Item) -> bool {
        let host_is = |wanted: &str| {
            item.host.as_deref().is_some_and(|label| {
                let name = label.rsplit_once(':').map_or(label, |(name, _)| name);
                label.eq_ignore_ascii_case(wanted)
                    || name.trim_start_matches('[').trim_end_matches(']').eq_ignore_ascii_case(wanted)
            })
        };
        self.cause.is_none_or(|cause| item.cause == Some(cause.id()))
            && self.client.is_none_or(|client| item.client == Some(client))
            && self.host.as_deref().is_none_or(host_is)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn filter(pairs: &[(&str, &str)]) -> Result<Filter, Fault> {
        Filter::new(pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect())
    }

    fn item() -> Item {
        Item {
            action: "session_end",
            cause: Some("tcp_refused"),
            client: Some("10.1.2.3".parse().unwrap()),
            host: Some(Arc::from("rds07.example.net:3389")),
            json: Arc::from("{}"),
        }
    }

    #[test]
    fn an_event_passes_when_it_meets_all_filters() {
        for pairs in [
            &[][..],
            &[("cause", "tcp_refused")],
            &[("client", "10.1.2.3")],
            &[("client", "::ffff:10.1.2.3")],
            &[("host", "RDS07.example.net")],
            &[("host", "rds07.example.net:3389"), ("cause", "tcp_refused")],
        ] {
            assert!(filter(pairs).unwrap().passes(&item()), "{pairs:?}");
        }
        for pairs in [
            &[("cause", "ok")][..],
            &[("client", "10.1.2.4")],
            &[("host", "rds07")],
            &[("host", "rds07.example.net"), ("cause", "ok")],
        ] {
            assert!(!filter(pairs).unwrap().passes(&item()), "{pairs:?}");
        }
    }

    #[test]
    fn what_the_proxy_itself_did_meets_no_filter() {
        let item = Item { action: "drain", cause: None, client: None, host: None, json: Arc::from("{}") };
        assert!(filter(&[]).unwrap().passes(&item));
        assert!(!filter(&[("host", "a")]).unwrap().passes(&item));
        assert!(!filter(&[("cause", "ok")]).unwrap().passes(&item));
    }

    #[test]
    fn a_misspelt_filter_is_refused() {
        for pair in [("couse", "ok"), ("cause", "okay"), ("client", "example.net")] {
            assert!(filter(&[pair]).is_err(), "{pair:?}");
        }
    }
}
