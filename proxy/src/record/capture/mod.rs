//! A pcapng file of the opening of every session that failed.
//!
//! In the order of a session: its [`Tape`] keeps what passes while the tracker reads; at its end [`Captures`] takes the
//! tape of one that failed to a thread of its own, where `mask` leaves of the bytes what may be shown, `packets` puts
//! headers around them, `words` and `facts` say what it came to, `pcapng` makes it a file, and `store` writes it within
//! its bounds. What is known later (a probe, the client's next connection) is told in the file too.

pub(crate) mod facts;
mod mask;
mod packets;
pub(crate) mod pcapng;
mod store;
mod tape;
mod words;
mod writer;

pub use store::StoreError;
use tape::Passed;
pub use tape::Tape;
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
    /// A bridge took part: what each leg carried is not what the other did, and is shown to us in clear.
    Bridged,
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
    pub(crate) const ALL: [NotWritten; 7] = [
        NotWritten::Released,
        NotWritten::Bridged,
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
            NotWritten::Bridged => "bridged",
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

/// A bridge had to do with it.
fn is_bridged(timeline: &Timeline) -> bool {
    timeline.bridge.is_some() || timeline.plaintext.is_some()
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
    let shown = |peer| {
        let mut bytes = passed.of(peer);
        mask::mask(peer, &mut bytes, timeline, names);
        bytes
    };
    let bytes = PerPeer { client: shown(Peer::Client), host: shown(Peer::Host) };
    let packets::Packets { mut packets, decisive } = packets::packets(record, passed, &bytes);
    if over {
        let verdict = words::verdict(record);
        for at in decisive {
            if let Some(packet) = packets.get_mut(at).filter(|packet| !packet.comments.contains(&verdict)) {
                packet.comments.push(verdict.clone());
            }
        }
    }
    let mut file = pcapng::section(&[
        words::about(record, passed.stopped, over),
        Facts::of(record, passed, over, profile).comment(),
    ]);
    let identity = &record.identity;
    let client = format!("client {} to proxy {} (listener {})", identity.client, identity.local, identity.listener);
    file.extend(pcapng::interface(NAMES[0], &client));
    file.extend(pcapng::interface(NAMES[1], &format!("proxy to host {}", identity.upstream)));
    if let Some((address, name)) = name_of_host(record) {
        file.extend(pcapng::name(address, &name));
    }
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
