//! What each message means for the timeline. The streams say what came; this file says what is now known.

use super::after_tls::AfterTls;
use super::clear_rdp::ClearRdp;
use super::credssp::Authentication;
use super::gateway::Gateway;
use super::records::{Inside, Tls};
use super::release::Release;
use super::tracker::Session;
use super::{Answer, ClearAlert, GiveUp, Opening, Peer, RecordShape, ServerHelloFacts};
use crate::Timestamp;
use crate::stream::Event;
use crate::wire::{ClearPdu, PduKind, Protocols, SessionId, TPKT_VERSION, TlsVersion};

/// Clear alerts that are kept: each side's own and one answer to each. More would be noise a stranger can make.
const MOST_ALERTS: usize = 4;

impl Session {
    /// One message from `from`.
    pub(super) fn event(&mut self, from: Peer, event: Event, at: Timestamp) {
        match event {
            Event::Record(header) => self.record(from, header, at),
            Event::Pdu(pdu) => self.pdu(from, pdu, at),
            Event::Message(message) => self.message(from, message, at),
            Event::TsRequest(shape) => self.ts_request(from, shape, at),
            Event::EarlyUserAuth(result) => self.early_user_auth(result, at),
            Event::Opening(opening) => self.opening(opening),
            Event::Request(request) => {
                self.timeline.request = Some(*request);
                self.mark(|marks| marks.request = Some(at));
            }
            Event::Answer(answer) => self.answer(answer, at),
            Event::ClientHello { facts, session_id, message } => {
                if self.timeline.client_hello.is_none() && self.timeline.server_hello.is_none() {
                    self.client_hello = message;
                }
                self.mark(|marks| {
                    marks.client_hello = Some(at);
                    marks.session_id = session_id;
                    marks.hello_retry = None;
                });
                // The offer that decided is the first one; the second repeats it. RFC 8446 4.1.2
                self.timeline.client_hello.get_or_insert(*facts);
            }
            Event::HelloRetryRequest { .. } => {
                self.mark(|marks| marks.hello_retry = Some(at));
                self.timeline.hello_retry.get_or_insert(at);
            }
            Event::ServerHello { facts, session_id } => self.server_hello(*facts, &session_id),
            Event::Certificate(certificate) => _ = self.timeline.certificate.get_or_insert(certificate),
            Event::KeyExchange { group, .. } => {
                if let Some(hello) = &mut self.timeline.server_hello {
                    hello.group = hello.group.or(group);
                }
            }
            Event::CertificateRequest => {
                if let Some(hello) = &mut self.timeline.server_hello {
                    hello.certificate_requested = true;
                }
            }
            Event::Alert { level, description, record_version } => {
                if self.timeline.alerts.len() < MOST_ALERTS {
                    let tls = &self.timeline.tls;
                    self.timeline.alerts.push(ClearAlert {
                        from,
                        level,
                        description,
                        record_version,
                        at,
                        after_handshake: tls.change_cipher_spec[from] || tls.finished[from],
                        after_close: !self.timeline.closes.is_empty(),
                    });
                }
            }
            Event::NotTls(bytes) => match from {
                Peer::Host => _ = self.timeline.tls.not_tls.get_or_insert(bytes),
                Peer::Client => self.stop(GiveUp::Malformed, at),
            },
            Event::Malformed { fatal: true, .. } => self.stop(GiveUp::Malformed, at),
            // Without the hellos nothing that follows can be told, but a clear alert still can.
            Event::Malformed { message: "client_hello" | "server_hello", .. } => {
                self.timeline.gave_up.get_or_insert((GiveUp::Malformed, at));
            }
            Event::TooLarge { .. } => self.stop(GiveUp::TooLarge, at),
            Event::Preconnection { .. }
            | Event::ServerHelloDone
            | Event::Handshake { .. }
            | Event::Malformed { .. }
            | Event::Resynced => {}
        }
    }

    fn opening(&mut self, opening: Opening) {
        self.timeline.opening = opening;
        if opening == Opening::TlsFirst {
            self.host.expect_tls();
        }
    }

    fn answer(&mut self, answer: Answer, at: Timestamp) {
        self.mark(|marks| marks.answer = Some(at));
        if security(&answer) == Some(Protocols::RDP) && self.timeline.opening == Opening::X224 {
            self.clear = Some(ClearRdp::default());
            self.release = Some(Release::from(at, &self.limits));
        }
        self.timeline.answer = Some(answer);
    }

    fn server_hello(&mut self, mut facts: ServerHelloFacts, session_id: &SessionId) {
        if self.timeline.server_hello.is_some() {
            return;
        }
        let echoed = !session_id.is_empty() && self.marks.as_ref().is_some_and(|m| m.session_id == *session_id);
        facts.resumed |= !facts.version.is_tls13() && echoed;
        let inside = if self.timeline.opening == Opening::TlsFirst {
            Inside::Gateway(Gateway::default())
        } else {
            let may_split = facts.version <= TlsVersion::TLS10;
            Inside::Rdp(AfterTls::new(self.authentication(), facts.version.is_tls13(), may_split))
        };
        self.client_hello = Box::default();
        self.tls = Some(Tls::new(&facts, inside));
        self.timeline.server_hello = Some(facts);
    }

    /// What the selected protocol puts between TLS and MCS.
    pub(super) fn authentication(&self) -> Authentication {
        let selected = self.timeline.answer.as_ref().and_then(security).unwrap_or_default();
        if selected.contains(Protocols::HYBRID_EX) {
            Authentication::CredsspEx
        } else if selected.contains(Protocols::HYBRID) {
            Authentication::Credssp
        } else if selected.contains(Protocols::RDSTLS) {
            Authentication::Rdstls
        } else if selected.contains(Protocols::RDSAAD) {
            Authentication::Entra
        } else {
            Authentication::None
        }
    }

    fn pdu(&mut self, from: Peer, pdu: ClearPdu, at: Timestamp) {
        self.timeline.tail[from].push(RecordShape { content_type: 0, length: pdu.length, at });
        if self.clear.is_some() {
            self.kind(from, pdu, at);
        }
        if self.let_go {
            return;
        }
        self.timeline.traffic[from].records = self.timeline.traffic[from].records.saturating_add(1);
        let expects_tls = self.expects_tls();
        match &mut self.clear {
            Some(clear) => {
                if let Some(release) = &mut self.release {
                    release.record(from, pdu.length);
                }
                clear.pdu(from, pdu, at, &mut self.timeline.progress);
            }
            None if from == Peer::Host && expects_tls => {
                let tls = &mut self.timeline.tls;
                match pdu.kind {
                    PduKind::Ultimatum(_) => _ = tls.clear_ultimatum.get_or_insert(at),
                    // Of another PDU its header is kept, as of anything that is no TLS.
                    _ => {
                        let mut header = [0; 16];
                        let [high, low] = pdu.length.to_be_bytes();
                        header[..4].copy_from_slice(&[TPKT_VERSION, 0, high, low]);
                        tls.not_tls.get_or_insert(header);
                    }
                }
            }
            None => {}
        }
    }

    /// The next bytes of the host should be TLS records.
    pub(super) fn expects_tls(&self) -> bool {
        let selected = self.timeline.answer.as_ref().and_then(security);
        self.timeline.opening == Opening::TlsFirst || selected.is_some_and(|s| s != Protocols::RDP)
    }
}

/// The security protocol an answer settles on, when it settles on one.
pub(super) fn security(answer: &Answer) -> Option<Protocols> {
    match answer {
        Answer::Selected { protocol, .. } => Some(*protocol),
        Answer::Plain => Some(Protocols::RDP),
        Answer::Failure(_) | Answer::Ultimatum(_) | Answer::Refused(_) | Answer::NotRdp(_) => None,
    }
}
