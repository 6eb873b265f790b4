//! `rdp`: what was asked for, what was answered, and what the client named.

use super::fields::{Negotiation, Rdp};
use super::said::Said;
use crate::record::Names;
use parser::session::{Answer, Timeline};
use std::borrow::Cow;
use uuid::Uuid;

pub(super) fn rdp<'a>(timeline: &'a Timeline, names: &Names) -> Rdp<'a> {
    let request = timeline.request.as_ref();
    let (selected, negotiation) = match &timeline.answer {
        Some(Answer::Selected { protocol, flags }) => {
            let flags = flags.names();
            (Some(one(protocol.names())), Some(Negotiation { flags, ..Negotiation::default() }))
        }
        Some(Answer::Plain) => (Some("rdp".into()), None),
        Some(Answer::Failure(code)) => {
            let failure_name = code.name();
            (None, Some(Negotiation { failure_code: Some(code.0), failure_name, ..Negotiation::default() }))
        }
        Some(Answer::Ultimatum(_) | Answer::Refused(_) | Answer::NotRdp(_)) | None => (None, None),
    };
    Rdp {
        requested_protocols: request
            .map(|r| r.protocols.map_or_else(|| vec!["rdp".into()], |protocols| protocols.names()))
            .unwrap_or_default(),
        selected_protocol: selected,
        negotiation,
        cookie: request.and_then(|r| r.cookie.as_deref()).and_then(|name| names.write(name)),
        routing_token: request.and_then(|r| r.routing_token.as_deref()).and_then(|token| routing_token(token, names)),
        correlation_id: request.and_then(|r| r.correlation_id).map(guid),
        said: timeline.told.as_deref().map(|told| Box::new(Said::of(told, names))),
        tracking: if timeline.gave_up.is_some() { "released" } else { "complete" },
    }
}

/// A routing token is no user name, but a stranger chooses it: 64 characters tell one broker's token from another's.
fn routing_token<'a>(token: &'a str, names: &Names) -> Option<Cow<'a, str>> {
    const KEPT: usize = 64;
    // A name that some front has put where the token belongs is still a name.
    if let Some((before, name)) = token.split_once("mstshash=") {
        return names.write(name).map(|name| format!("{before}mstshash={name}").into());
    }
    match token.char_indices().nth(KEPT) {
        Some((cut, _)) => Some(format!("{}…", &token[..cut]).into()),
        None => Some(token.into()),
    }
}

/// A GUID as Windows prints it: its first three fields are little-endian on the wire. [MS-DTYP] 2.3.4.2
fn guid(wire: [u8; 16]) -> Uuid {
    Uuid::from_bytes_le(wire)
}

/// The one name there is, or all joined by `+`.
fn one(names: Vec<Cow<'static, str>>) -> Cow<'static, str> {
    match <[Cow<'static, str>; 1]>::try_from(names) {
        Ok([name]) => name,
        Err(names) => names.join("+").into(),
    }
}
