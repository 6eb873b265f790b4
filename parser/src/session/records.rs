//! What a TLS record tells by its header: a step of the handshake, a sealed alert, data of the protocol inside. Most of a
//! session is such records, so this is the path that has to be short.

use super::after_tls::AfterTls;
use super::gateway::Gateway;
use super::handshake::{self, Handshake, Meaning};
use super::release::Release;
use super::shapes::Sizes;
use super::tracker::Session;
use super::{Peer, Progress, RecordShape, ServerHelloFacts};
use crate::Timestamp;
use crate::wire::RecordHeader;

/// What is inside of TLS, or in its place.
#[derive(Clone, Debug)]
pub(super) enum Inside {
    /// RDP behind TLS.
    Rdp(AfterTls),
    /// An RD Gateway connection.
    Gateway(Gateway),
}

/// The TLS handshake from the ServerHello on, and what it leads to.
#[derive(Clone, Debug)]
pub(super) struct Tls {
    handshake: Handshake,
    sizes: Sizes,
    /// Until the tracker lets go.
    inside: Option<Box<Inside>>,
}

impl Tls {
    /// From the host's `hello` on.
    pub(super) fn new(hello: &ServerHelloFacts, inside: Inside) -> Tls {
        let sizes = Sizes::of(hello);
        let handshake = Handshake::new(hello.version, hello.suite, &sizes);
        Tls { handshake, sizes, inside: Some(Box::new(inside)) }
    }

    /// What it is once the tracker has let go.
    pub(super) fn beyond_opening(handshake: Handshake, hello: &ServerHelloFacts) -> Tls {
        Tls { handshake, sizes: Sizes::of(hello), inside: None }
    }

    /// The handshake, when nothing more is followed inside of it.
    pub(super) fn handshake_alone(&self) -> Option<Handshake> {
        let Tls { handshake, sizes: _, inside } = self;
        inside.is_none().then_some(*handshake)
    }

    /// A record of data. With a suite whose record sizes are not known it is forwarded and counted; nothing is concluded.
    #[inline]
    fn data(&mut self, from: Peer, length: u16, at: Timestamp, progress: &mut Progress) {
        let Some(plain) = self.sizes.plain(length) else { return };
        match self.inside.as_deref_mut() {
            Some(Inside::Rdp(rdp)) => rdp.record(from, length, plain, at, progress),
            Some(Inside::Gateway(gateway)) => gateway.record(from, length, plain, at, progress),
            None => {}
        }
    }

    /// Only sealed alerts are told from here on.
    pub(super) fn let_go(&mut self) {
        self.inside = None;
    }
}

impl Session {
    /// A record of `from` began.
    #[inline(always)]
    pub(super) fn record(&mut self, from: Peer, header: RecordHeader, at: Timestamp) {
        let RecordHeader { content_type, length, .. } = header;
        self.timeline.tail[from].push(RecordShape { content_type: content_type.0, length, at });
        let timeline = &mut self.timeline;
        let meaning = match &mut self.tls {
            Some(tls) => tls.handshake.record(from, header, at, &mut timeline.tls),
            None => Meaning::Handshake,
        };
        if meaning == Meaning::Data {
            timeline.tls.data[from].get_or_insert(at);
            handshake::goes_on(from, &mut timeline.tls);
        }
        // A sealed alert is worth knowing to the end; the rest is not.
        if !self.let_go {
            self.watched(from, length, meaning, at);
        }
    }

    /// A record while the tracker watches.
    #[inline(never)]
    fn watched(&mut self, from: Peer, length: u16, meaning: Meaning, at: Timestamp) {
        let timeline = &mut self.timeline;
        timeline.traffic[from].records = timeline.traffic[from].records.saturating_add(1);
        if let Some(tls) = &mut self.tls {
            if let Some(release) = &mut self.release {
                release.record(from, length);
            } else if let Some(established) = timeline.tls.established {
                self.release = Some(Release::from(established, &self.limits));
                if let Some(hello) = timeline.server_hello.as_mut().filter(|hello| hello.version.is_tls13()) {
                    hello.certificate_requested = tls.handshake.client_was_asked();
                }
            }
            if meaning == Meaning::Data {
                tls.data(from, length, at, &mut timeline.progress);
            }
        }
        self.settle(at);
        self.advance(at);
    }
}
