//! What a capture says to its reader beside its packets: the report and how to read the file in the section, remarks on
//! packets.

use super::facts::Facts;
use super::pcapng;
use super::tape::Stopped;
use crate::record::{ReportStyle, SessionRecord, report};
use parser::Timestamp;
use parser::profile::HostProfile;
use parser::session::{Answer, CloseKind, Closer, ConnectFailure, Peer, Timeline, Upstream};
use std::collections::HashMap;
use std::sync::Arc;

/// What begins the comment with the verdict on a packet.
const VERDICT: &str = "verdict: ";

/// The verdict, for the packets that decided.
pub(crate) fn verdict(record: &SessionRecord) -> String {
    format!("{VERDICT}{}: {}", record.verdict.cause, record.verdict.message)
}

/// The comments of the section once more, with the verdict as it is now. `None` when the file has none of ours.
pub(crate) fn retold(file: &[u8], record: &SessionRecord, profile: Option<&Arc<HostProfile>>) -> Option<Vec<String>> {
    let facts = pcapng::comments(file).iter().find_map(|comment| Facts::read(comment))?;
    let about = about(record, (facts.stopped(), facts.is_apart(), pcapng::holds_secrets(file)), true);
    Some(vec![about, facts.judged(record, profile).comment()])
}

/// The report, and what the file is.
///
/// `how`: why bytes are missing, whether each leg carried its own, whether there are secrets.
pub(crate) fn about(record: &SessionRecord, how: (Option<Stopped>, bool, bool), over: bool) -> String {
    let (stopped, apart, secrets) = how;
    let identity = &record.identity;
    let (client, port) = (identity.client, identity.local.port());
    let mut text = if over { report(record, &ReportStyle::plain()) } else { still_open(record) };
    text.push_str(&format!(
        "\nThe opening of a connection through rdpscope, as its sockets saw it: {} is the leg of the client {client}, {} that \
         to {}. Bytes, times, addresses, FIN and RST are real; the headers around them were made for this file. Bytes that \
         may not be shown (user names, tickets, the payload of clear RDP) are replaced in their length. Wireshark shows TLS \
         inside of RDP after \"Decode As\" (tshark: -d tcp.port=={port},tls; without it the X.224 part).\n",
        super::NAMES[0],
        super::NAMES[1],
        identity.upstream,
    ));
    if apart {
        text.push_str(
            "A bridge had a hand in it: each leg shows what crossed it, and there may have been several connections to the \
             host.\n",
        );
    }
    if secrets {
        text.push_str(&format!(
            "Secrets made for this file open its TLS (they open nothing else): Wireshark shows RDP with -d tcp.port=={port},tls \
             -d tls.port=={port},tpkt, and the same for the host's port. Passwords, tokens, keys, tickets and what channels \
             and drawing hold are zeros there.\n",
        ));
    }
    match stopped {
        Some(Stopped::Full) => text.push_str("It is not whole: max_bytes_per_session was reached.\n"),
        Some(Stopped::Unread) => text.push_str("It is not whole: the proxy let go of it where it could not read on.\n"),
        Some(Stopped::Budget | Stopped::Released) | None => {}
    }
    text
}

fn still_open(record: &SessionRecord) -> String {
    format!("Session {} as it was while it was open, in phase {}.\n", record.identity.id, record.timeline.phase())
}

/// What is to be said of what was read of a peer at a time.
pub(super) fn remarks(timeline: &Timeline) -> HashMap<(Peer, Timestamp), String> {
    let mut remarks = HashMap::new();
    for alert in timeline.alerts.iter().filter(|alert| !alert.after_close) {
        let text = format!("Alert {} ({}) of the {}.", alert.description, alert.level, alert.from.name());
        remarks.entry((alert.from, alert.at)).or_insert(text);
    }
    if let (Some(at), Some(answer)) = (timeline.traffic.host.first, &timeline.answer) {
        let text = match answer {
            Answer::Failure(code) => Some(format!("The host refused the negotiation: {code}.")),
            Answer::Ultimatum(_) => Some("The host disconnected in place of an answer.".to_owned()),
            Answer::Refused(_) => Some("The host refused the connection in X.224.".to_owned()),
            Answer::NotRdp(_) => Some("The host's answer is no RDP.".to_owned()),
            Answer::Selected { .. } | Answer::Plain => None,
        };
        if let Some(text) = text {
            remarks.entry((Peer::Host, at)).or_insert(text);
        }
    }
    remarks
}

/// A socket ended.
pub(super) fn closed(by: Closer, kind: CloseKind, timeline: &Timeline, first: bool) -> String {
    let first = if first { ", before anybody else" } else { "" };
    match (by, kind) {
        (Closer::Proxy, _) => match timeline.proxy_act {
            Some(parser::session::ProxyAct::TimedOut(awaiting)) => {
                format!("The proxy closed: its time-out struck while it waited ({awaiting:?}).")
            }
            Some(_) => "The proxy closed, for a reason of its own.".to_owned(),
            None => "The proxy closed: there is no way to the host.".to_owned(),
        },
        (_, CloseKind::Fin) => format!("The {} closed (FIN){first}.", by.name()),
        (_, CloseKind::Rst) => format!("The {} reset the connection (RST){first}.", by.name()),
        (_, CloseKind::Timeout) => {
            format!("The {}'s leg was given up by the kernel{first}: nothing was acknowledged any more.", by.name())
        }
        (_, CloseKind::Error) => format!("The {}'s leg failed with a socket error{first}.", by.name()),
    }
}

/// Why there is no connection to the host.
pub(super) fn not_connected(upstream: &Upstream) -> Option<String> {
    let Upstream::ConnectFailed { address, failure, errno, .. } = upstream else { return None };
    Some(match failure {
        ConnectFailure::Refused => format!("{address} refused the connection."),
        ConnectFailure::Timeout => format!("{address} did not answer within the connect time-out."),
        ConnectFailure::Unreachable => format!("{address} cannot be reached (errno {errno})."),
        ConnectFailure::Reset => format!("{address} reset the connection while it was made (errno {errno})."),
        ConnectFailure::Local => format!("This machine had no socket left for {address} (errno {errno})."),
        ConnectFailure::Other => format!("Connecting {address} failed (errno {errno})."),
    })
}
