//! A session that is up, in a few hundred bytes.
//!
//! Once the tracker has let go little is added to what it knows, and nobody asks for it before the session ends, which may be
//! days later. [`Session::rest`] packs all of it; what wakes up from that is the session as it was.

use super::Limits;
use super::records::Tls;
use super::{
    Answer, CertificateFacts, ClientHelloFacts, Downgrade, GiveUp, Opening, Peer, PerPeer, Phase, PhaseLog, Progress,
    RecordShape, RequestFacts, ServerHelloFacts, Session, Tail, Timeline, TlsProgress, Traffic, Upstream,
};
use crate::Timestamp;
use crate::pack::{Pack, Packer, Unpacker, pack_fields, pack_variants};
use crate::wire::HelloShape;
use core::time::Duration;
use std::sync::Arc;

/// What most of them take, in bytes.
const ROOM: usize = 384;

/// A session at rest. It is to be woken before anything is told to it or read from it.
#[derive(Clone, Debug)]
pub struct Resting {
    packed: Box<[u8]>,
    /// Not packed, as it is shared with other sessions.
    shape: Option<Arc<HelloShape>>,
    certificate: Option<Box<CertificateFacts>>,
    /// Bytes per direction: asked for from time to time, and no reason to wake it.
    traffic: PerPeer<u64>,
}

impl Session {
    /// Packs a session in which nothing is expected before its end.
    ///
    /// # Errors
    /// The session itself, when it is another one: an opening, an end, RDP that is read in clear. Those are few, or short.
    pub fn rest(self: Box<Self>) -> Result<Resting, Box<Self>> {
        let Session {
            timeline,
            limits,
            client,
            host,
            marks: None,
            client_hello,
            tls: Some(tls),
            clear: None,
            plain: None,
            release: None,
            stopped: false,
            let_go: true,
        } = &*self
        else {
            return Err(self);
        };
        let follows = client.only_follows() && host.only_follows() && client_hello.is_empty();
        let Some(handshake) = tls.handshake_alone().filter(|_| follows && can_be_packed(timeline)) else {
            return Err(self);
        };
        let mut packer = Packer::with_room(ROOM);
        pack_timeline(timeline, &mut packer);
        limits.pack(&mut packer);
        client.pack(&mut packer);
        host.pack(&mut packer);
        handshake.pack(&mut packer);
        let traffic = PerPeer { client: timeline.traffic.client.bytes, host: timeline.traffic.host.bytes };
        let Timeline { client_hello, certificate, .. } = self.timeline;
        let shape = client_hello.map(|hello| hello.shape);
        Ok(Resting { packed: packer.into_bytes(), shape, certificate, traffic })
    }
}

impl Resting {
    /// The session as it was.
    #[must_use]
    pub fn wake(self) -> Box<Session> {
        let mut from = Unpacker::new(&self.packed);
        let timeline = unpack_timeline(&mut from, self.shape, self.certificate);
        let limits = Pack::unpack(&mut from);
        let (client, host) = (Pack::unpack(&mut from), Pack::unpack(&mut from));
        let handshake = Pack::unpack(&mut from);
        let tls = timeline.server_hello.as_ref().map(|hello| Tls::beyond_opening(handshake, hello));
        Box::new(Session {
            timeline,
            limits,
            client,
            host,
            marks: None,
            client_hello: Box::default(),
            tls,
            clear: None,
            plain: None,
            release: None,
            stopped: false,
            let_go: true,
        })
    }

    /// Bytes read from each peer.
    #[must_use]
    pub fn traffic(&self) -> PerPeer<u64> {
        self.traffic
    }

    /// Bytes of memory it holds beside itself, without what it shares.
    #[must_use]
    pub fn held(&self) -> usize {
        self.packed.len()
    }
}

/// It is that of a session without an end, an oddity, or anything read in clear.
fn can_be_packed(timeline: &Timeline) -> bool {
    matches!(timeline.upstream, Upstream::Unknown | Upstream::Connected(_))
        && matches!(timeline.answer, None | Some(Answer::Selected { .. } | Answer::Plain))
        && timeline.server_hello.is_some()
        && timeline.first_bytes.is_empty()
        && timeline.alerts.is_empty()
        && timeline.plaintext.is_none()
        && timeline.told.is_none()
        && timeline.closes.is_empty()
        && timeline.proxy_act.is_none()
        && timeline.bridge.is_none()
        && timeline.tcp == PerPeer::default()
        && timeline.packets.is_none()
}

fn pack_timeline(timeline: &Timeline, to: &mut Packer) {
    // All fields by name: a new one has to be packed, or excluded above.
    let Timeline {
        opened,
        phases,
        upstream,
        opening,
        first_bytes: _,
        request,
        answer,
        client_hello,
        hello_retry,
        server_hello,
        certificate: _,
        alerts: _,
        tls,
        progress,
        plaintext: _,
        told: _,
        traffic,
        tail,
        gave_up,
        closes: _,
        proxy_act: _,
        bridge: _,
        tcp: _,
        packets: _,
    } = timeline;
    opened.pack(to);
    phases.pack(to);
    let host = match upstream {
        Upstream::Connected(address) => Some(*address),
        _ => None,
    };
    host.pack(to);
    opening.pack(to);
    request.pack(to);
    answer.pack(to);
    client_hello.pack(to);
    hello_retry.pack(to);
    server_hello.pack(to);
    tls.pack(to);
    progress.pack(to);
    traffic.pack(to);
    tail.pack(to);
    gave_up.pack(to);
}

fn unpack_timeline(
    from: &mut Unpacker<'_>,
    shape: Option<Arc<HelloShape>>,
    certificate: Option<Box<CertificateFacts>>,
) -> Timeline {
    let opened = Pack::unpack(from);
    let phases = Pack::unpack(from);
    let upstream = Option::unpack(from).map_or(Upstream::Unknown, Upstream::Connected);
    let opening = Pack::unpack(from);
    let request = Pack::unpack(from);
    let answer = Pack::unpack(from);
    let mut client_hello = Option::<ClientHelloFacts>::unpack(from);
    if let (Some(hello), Some(shape)) = (&mut client_hello, shape) {
        hello.shape = shape;
    }
    Timeline {
        opened,
        phases,
        upstream,
        opening,
        request,
        answer,
        client_hello,
        hello_retry: Pack::unpack(from),
        server_hello: Pack::unpack(from),
        certificate,
        tls: Pack::unpack(from),
        progress: Pack::unpack(from),
        traffic: Pack::unpack(from),
        tail: Pack::unpack(from),
        gave_up: Pack::unpack(from),
        ..Timeline::default()
    }
}

pack_variants!(Peer { Client, Host });
pack_variants!(Opening { Unknown, X224, TlsFirst, GatewayHttp, NotRdp });
pack_variants!(Downgrade { To12, To11OrOlder });
pack_variants!(GiveUp { Malformed, TooLarge, Budget, Released, Gap });
pack_fields!(Limits { client_hello, watch_bytes, watch_records, watch_time });
pack_fields!(RequestFacts { length, cookie, routing_token, protocols, flags, correlation_id, preconnection });
pack_fields!(ServerHelloFacts {
    at,
    legacy_version,
    version,
    suite,
    group,
    hello_retry,
    downgrade,
    resumed,
    extensions,
    certificate_requested,
});
pack_fields!(TlsProgress {
    change_cipher_spec,
    finished,
    established,
    encrypted_alert,
    first_encrypted_alert,
    clear_ultimatum,
    not_tls,
    data,
    partial_record,
});
pack_fields!(Progress {
    credssp_records,
    credssp_last,
    credssp_authenticate,
    credssp_accepted,
    credssp_error,
    early_user_auth,
    connect_initial,
    connect_response,
    attach_user,
    joins,
    client_info,
    licensing,
    licensed,
    demand_active,
    confirm_active,
    active,
    denied,
});
pack_fields!(Traffic { bytes, first, last, records });
pack_fields!(RecordShape { content_type, length, at });

impl Pack for Duration {
    fn pack(&self, to: &mut Packer) {
        (self.as_secs(), self.subsec_nanos()).pack(to);
    }
    fn unpack(from: &mut Unpacker<'_>) -> Duration {
        let (seconds, nanoseconds) = <(u64, u32)>::unpack(from);
        Duration::from_secs(seconds).saturating_add(Duration::from_nanos(u64::from(nanoseconds)))
    }
}

impl Pack for PhaseLog {
    fn pack(&self, to: &mut Packer) {
        Phase::ALL.iter().for_each(|phase| self.entered(*phase).pack(to));
    }
    fn unpack(from: &mut Unpacker<'_>) -> PhaseLog {
        let mut phases = PhaseLog::default();
        for phase in Phase::ALL {
            if let Some(at) = Option::<Timestamp>::unpack(from) {
                phases.enter(phase, at);
            }
        }
        phases
    }
}

/// Without the shape, which is kept beside.
impl Pack for ClientHelloFacts {
    fn pack(&self, to: &mut Packer) {
        let ClientHelloFacts {
            at,
            record_version,
            records,
            length,
            server_name,
            resumption_offered,
            session_id_length,
            shape: _,
        } = self;
        at.pack(to);
        record_version.pack(to);
        (*records, *length).pack(to);
        server_name.pack(to);
        (*resumption_offered, *session_id_length).pack(to);
    }
    fn unpack(from: &mut Unpacker<'_>) -> ClientHelloFacts {
        let (at, record_version) = (Pack::unpack(from), Pack::unpack(from));
        let (records, length) = Pack::unpack(from);
        let server_name = Pack::unpack(from);
        let (resumption_offered, session_id_length) = Pack::unpack(from);
        ClientHelloFacts {
            at,
            record_version,
            records,
            length,
            server_name,
            resumption_offered,
            session_id_length,
            ..ClientHelloFacts::default()
        }
    }
}

/// Only those of a session: see [`can_be_packed`].
impl Pack for Answer {
    fn pack(&self, to: &mut Packer) {
        let selected = match self {
            Answer::Selected { protocol, flags } => Some((*protocol, *flags)),
            _ => None,
        };
        selected.pack(to);
    }
    fn unpack(from: &mut Unpacker<'_>) -> Answer {
        Option::unpack(from).map_or(Answer::Plain, |(protocol, flags)| Answer::Selected { protocol, flags })
    }
}

impl Pack for Tail {
    fn pack(&self, to: &mut Packer) {
        (self.known, self.used).pack(to);
        self.shapes().iter().for_each(|shape| shape.pack(to));
    }
    fn unpack(from: &mut Unpacker<'_>) -> Tail {
        let (known, used) = Pack::unpack(from);
        let mut tail = Tail { known, used, ..Tail::default() };
        for shape in tail.records.iter_mut().take(usize::from(used)) {
            *shape = Pack::unpack(from);
        }
        tail
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opening_does_not_rest() {
        let session = Box::new(Session::new(Timestamp(5), Limits::default()));
        let session = session.rest().expect_err("nothing has come yet");
        assert_eq!(session.timeline().opened, Timestamp(5));
    }
}
