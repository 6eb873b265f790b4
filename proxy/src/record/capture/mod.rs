//! A pcapng file of the opening of every session that failed.
//!
//! In the order of a session: its [`Tape`] keeps what passes while the tracker reads; at its end [`Captures`] takes the
//! tape of one that failed to a thread of its own, where `mask` leaves of the bytes what may be shown, `reveal` makes what
//! was bridged readable for as long as `until` allows it, `packets` puts headers around them, `words` and `facts` say what
//! it came to, `pcapng` makes it a file, and `store` writes it within its bounds. What is known later (a probe, the
//! client's next connection) is told in the file too.

pub(crate) mod facts;
mod mask;
mod packets;
pub(crate) mod pcapng;
mod reveal;
mod store;
mod tape;
mod until;
mod words;
mod writer;

pub(crate) use reveal::Keys;
pub use store::StoreError;
pub use tape::Tape;
use tape::{Passed, Wire};
pub(crate) use writer::{Captures, Tally};

use crate::record::{Names, SessionRecord};
use facts::Facts;
use parser::diagnosis::{Cause, Outcome};
use parser::profile::HostProfile;
use parser::session::{Peer, PerPeer, Timeline, Upstream};
use std::net::IpAddr;
use std::sync::Arc;

/// Names of the two legs, as Wireshark lists them.
const NAMES: [&str; 2] = ["client leg", "host leg"];

/// Why a session that failed has no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum NotWritten {
    /// The session was up before, or was watched for long enough: its opening was let go of.
    Released,
    /// The opening budget had no memory for a copy.
    Budget,
    /// Many failed in the same second: a capture of each would tell no more.
    Rate,
    /// Too many wait to be written.
    QueueFull,
    /// It would leave too little free on the disk.
    DiskFull,
    /// The system would not write it.
    Error,
}

impl NotWritten {
    /// All, for metrics that start at zero.
    pub(crate) const ALL: [NotWritten; 6] = [
        NotWritten::Released,
        NotWritten::Budget,
        NotWritten::Rate,
        NotWritten::QueueFull,
        NotWritten::DiskFull,
        NotWritten::Error,
    ];

    /// Label value.
    pub(crate) fn name(self) -> &'static str {
        match self {
            NotWritten::Released => "released",
            NotWritten::Budget => "budget",
            NotWritten::Rate => "rate",
            NotWritten::QueueFull => "queue_full",
            NotWritten::DiskFull => "disk_full",
            NotWritten::Error => "error",
        }
    }
}

/// Something is to be learnt from a capture of it: somebody could not work, and not because we were stopped.
pub(crate) fn is_wanted(cause: Cause) -> bool {
    cause.outcome() == Outcome::Failure && cause != Cause::ProxyShutdown
}

/// Bytes of each peer that a relay passed on without showing them to a tape. Behind a bridge everything is shown: what its
/// tracker counts is what is inside.
fn unseen(timeline: &Timeline, passed: &Passed) -> PerPeer<u64> {
    if timeline.plaintext.is_some() {
        return PerPeer::default();
    }
    let seen = passed.carried(PerPeer::default()).client_leg;
    let beyond = |peer: Peer| timeline.traffic[peer].bytes.saturating_sub(seen[peer]);
    PerPeer { client: beyond(Peer::Client), host: beyond(Peer::Host) }
}

/// The file of a session that is `over`, or of one as it is now. `profile` is what its host accepts, when the verdict
/// rests on it.
pub(crate) fn file(
    record: &SessionRecord,
    passed: &Passed,
    names: &Names,
    over: bool,
    profile: Option<&Arc<HostProfile>>,
) -> Vec<u8> {
    let timeline = &record.timeline;
    let mut wires: Vec<Wire> = passed.wires();
    wires.iter_mut().for_each(|wire| mask::mask(wire, timeline, names));
    let key_log = passed.keys.as_deref().map(|keys| reveal::reveal(&mut wires, keys)).filter(|lines| !lines.is_empty());
    let packets::Packets { mut packets, decisive } = packets::packets(record, passed, &wires);
    if over {
        let verdict = words::verdict(record);
        for at in decisive {
            if let Some(packet) = packets.get_mut(at).filter(|packet| !packet.comments.contains(&verdict)) {
                packet.comments.push(verdict.clone());
            }
        }
    }
    let mut file = pcapng::section(&[
        words::about(record, (passed.stopped, passed.is_apart(), key_log.is_some()), over),
        Facts::of(record, passed, over, profile).comment(),
    ]);
    let identity = &record.identity;
    let client = format!("client {} to proxy {} (listener {})", identity.client, identity.local, identity.listener);
    file.extend(pcapng::interface(NAMES[0], &client));
    file.extend(pcapng::interface(NAMES[1], &format!("proxy to host {}", identity.upstream)));
    if let Some((address, name)) = name_of_host(record) {
        file.extend(pcapng::name(address, &name));
    }
    file.extend(key_log.iter().flat_map(|lines| pcapng::secrets(lines)));
    packets.iter().for_each(|packet| file.extend(pcapng::packet(packet)));
    file
}

/// The address that the host's name stood for, when it was given by name.
fn name_of_host(record: &SessionRecord) -> Option<(IpAddr, String)> {
    let (Upstream::Connecting(address) | Upstream::Connected(address) | Upstream::ConnectFailed { address, .. }) =
        &record.timeline.upstream
    else {
        return None;
    };
    let (name, _) = record.identity.upstream.rsplit_once(':')?;
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.parse::<IpAddr>().is_err().then(|| (address.ip().to_canonical(), name.to_owned()))
}
