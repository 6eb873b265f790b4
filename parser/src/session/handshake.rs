//! The TLS handshake beyond the hellos, from record headers: ChangeCipherSpec, Finished, sealed alerts, and which
//! records are data. RFC 5246 7.3, RFC 8446 2
//!
//! Up to TLS 1.2 record types say everything. In TLS 1.3 all is type 23 and only the size of the client's Finished shows
//! where its handshake ends; the host's end is then known too, as the client finishes last.

use super::shapes::{ALERT, Sizes};
use super::{Peer, TlsProgress};
use crate::Timestamp;
use crate::pack::pack_fields;
use crate::wire::{CipherSuite, ContentType, RecordHeader, TlsVersion};

/// Certificate, CertificateVerify and Finished: a client whose third record still is no Finished packs its flight
/// in a way that sizes do not show.
const CLIENT_FLIGHT: u8 = 3;

/// A Certificate without one: header, no context, an empty list. RFC 8446 4.4.2
const NO_CERTIFICATE: u16 = 8;

/// What one record was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Part of the handshake, a clear alert, or an oddity: nothing for the layers above.
    Handshake,
    /// A sealed alert.
    Alert,
    /// Data of the protocol inside.
    Data,
}

/// One handshake, from its ServerHello on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Handshake {
    tls13: bool,
    /// Length of a TLS 1.3 record that holds an alert; [`NO_RECORD`] when the suite is not known.
    alert: u16,
    /// Length of a TLS 1.3 record that holds a Finished: a header of 4 bytes and the hash. RFC 8446 4.4.4
    finished: u16,
    client_flight: u8,
}

/// Longer than any record is.
const NO_RECORD: u16 = u16::MAX;

pack_fields!(Handshake { tls13, alert, finished, client_flight });

impl Handshake {
    pub(super) fn new(version: TlsVersion, suite: CipherSuite, sizes: &Sizes) -> Handshake {
        // TLS_AES_256_GCM_SHA384 is the one suite of TLS 1.3 with a longer hash. RFC 8446 B.4
        let hash = if suite == CipherSuite(0x1302) { 48 } else { 32 };
        let sealed = |plain| sizes.sealed(plain).unwrap_or(NO_RECORD);
        Handshake { tls13: version.is_tls13(), alert: sealed(ALERT), finished: sealed(4 + hash), client_flight: 0 }
    }

    /// Judges one record after the ServerHello and notes what it proves.
    #[inline(always)]
    pub(super) fn record(&mut self, from: Peer, header: RecordHeader, at: Timestamp, tls: &mut TlsProgress) -> Meaning {
        if self.tls13 { self.record_of_13(from, header, at, tls) } else { Self::record_up_to_12(from, header, at, tls) }
    }

    #[inline(always)]
    fn record_up_to_12(from: Peer, header: RecordHeader, at: Timestamp, tls: &mut TlsProgress) -> Meaning {
        let sealed = tls.change_cipher_spec[from];
        match header.content_type {
            ContentType::APPLICATION_DATA if tls.finished[from] => return Meaning::Data,
            ContentType::CHANGE_CIPHER_SPEC => tls.change_cipher_spec[from] = true,
            // The first handshake record under the new keys. A later one is renegotiation.
            ContentType::HANDSHAKE if sealed => finish(from, at, tls),
            ContentType::ALERT if sealed => {
                sealed_alert(from, at, tls);
                return Meaning::Alert;
            }
            _ => {}
        }
        Meaning::Handshake
    }

    #[inline(always)]
    fn record_of_13(&mut self, from: Peer, header: RecordHeader, at: Timestamp, tls: &mut TlsProgress) -> Meaning {
        if header.content_type != ContentType::APPLICATION_DATA {
            Meaning::Handshake
        } else if header.length == self.alert {
            sealed_alert(from, at, tls);
            Meaning::Alert
        } else if tls.finished.client {
            Meaning::Data
        } else {
            self.flight_of_13(from, header.length, at, tls)
        }
    }

    /// A record before the client's Finished is known to have come.
    #[inline(never)]
    fn flight_of_13(&mut self, from: Peer, length: u16, at: Timestamp, tls: &mut TlsProgress) -> Meaning {
        let finished = length == self.finished;
        match from {
            Peer::Host if finished => tls.finished.host = true,
            // The host goes on after records of the client in which no Finished was told: it was in one of them.
            Peer::Host if self.client_flight > 0 => {
                self.client_flight = 0;
                finish_both(at, tls);
                return Meaning::Data;
            }
            Peer::Host => {}
            Peer::Client if finished => finish_both(at, tls),
            // Both in one record.
            Peer::Client if self.client_flight == 0 && length == self.finished.saturating_add(NO_CERTIFICATE) => {
                self.client_flight = 1;
                finish_both(at, tls);
            }
            Peer::Client if self.client_flight >= CLIENT_FLIGHT => {
                self.client_flight = 0;
                finish_both(at, tls);
                return Meaning::Data;
            }
            Peer::Client => self.client_flight += 1,
        }
        Meaning::Handshake
    }

    /// Of a finished handshake: in TLS 1.3 the client sent more than its Finished, which only who is asked for a certificate
    /// does, with one or without. RFC 8446 4.4.2
    pub(super) fn client_was_asked(&self) -> bool {
        self.client_flight > 0
    }
}

#[inline(never)]
fn sealed_alert(from: Peer, at: Timestamp, tls: &mut TlsProgress) {
    tls.encrypted_alert[from].get_or_insert(at);
    tls.first_encrypted_alert.get_or_insert(from);
}

/// Data after a sealed alert: it was none, for nothing follows a close_notify (RFC 8446 6.1). Gateway clients that end an
/// HTTP chunk in a record of its own send two bytes as well.
#[inline]
pub(super) fn goes_on(from: Peer, tls: &mut TlsProgress) {
    if tls.encrypted_alert[from].take().is_some() && tls.first_encrypted_alert == Some(from) {
        let other = from.other();
        tls.first_encrypted_alert = tls.encrypted_alert[other].map(|_| other);
    }
}

fn finish(from: Peer, at: Timestamp, tls: &mut TlsProgress) {
    tls.finished[from] = true;
    if tls.finished.client && tls.finished.host {
        tls.established.get_or_insert(at);
    }
}

fn finish_both(at: Timestamp, tls: &mut TlsProgress) {
    finish(Peer::Host, at, tls);
    finish(Peer::Client, at, tls);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::ServerHelloFacts;

    fn header(content_type: u8, length: u16) -> RecordHeader {
        RecordHeader { content_type: ContentType(content_type), version: TlsVersion::TLS12, length }
    }

    fn run(version: TlsVersion, suite: u16, records: &[(Peer, u8, u16)]) -> (TlsProgress, Vec<Meaning>) {
        let (_, tls, meanings) = run_to(version, suite, records);
        (tls, meanings)
    }

    fn run_to(version: TlsVersion, suite: u16, records: &[(Peer, u8, u16)]) -> (Handshake, TlsProgress, Vec<Meaning>) {
        let suite = CipherSuite(suite);
        let sizes = Sizes::of(&ServerHelloFacts { version, suite, ..ServerHelloFacts::default() });
        let mut handshake = Handshake::new(version, suite, &sizes);
        let mut tls = TlsProgress::default();
        let mut meanings = Vec::new();
        for (n, (from, kind, length)) in records.iter().enumerate() {
            let at = Timestamp(n as u64);
            meanings.push(handshake.record(*from, header(*kind, *length), at, &mut tls));
        }
        (handshake, tls, meanings)
    }

    use Peer::{Client as C, Host as S};

    #[test]
    fn tls_1_2_ends_with_the_second_finished() {
        let (tls, _) =
            run(TlsVersion::TLS12, 0xc030, &[(C, 22, 37), (C, 20, 1), (C, 22, 40), (S, 22, 170), (S, 20, 1)]);
        assert!(tls.finished.client && !tls.finished.host && tls.established.is_none());
        let full = [(C, 20, 1), (C, 22, 40), (S, 20, 1), (S, 22, 40), (C, 23, 491)];
        let (tls, meanings) = run(TlsVersion::TLS12, 0xc030, &full);
        assert_eq!(tls.established, Some(Timestamp(3)));
        assert_eq!(meanings.last(), Some(&Meaning::Data));
    }

    #[test]
    fn a_resumed_tls_1_2_handshake_ends_with_the_client() {
        let (tls, _) = run(TlsVersion::TLS12, 0xc030, &[(S, 20, 1), (S, 22, 40), (C, 20, 1), (C, 22, 40)]);
        assert_eq!(tls.established, Some(Timestamp(3)));
    }

    #[test]
    fn tls_1_3_ends_with_a_client_record_of_finished_size() {
        let flight = [(S, 20, 1), (S, 23, 23), (S, 23, 805), (S, 23, 281), (S, 23, 69), (C, 20, 1), (C, 23, 69)];
        let (tls, meanings) = run(TlsVersion::TLS13, 0x1302, &flight);
        assert_eq!(tls.established, Some(Timestamp(6)));
        assert!(meanings.iter().all(|m| *m == Meaning::Handshake));
        let (tls, _) = run(TlsVersion::TLS13, 0x1301, &[(S, 23, 1200), (C, 23, 53)]);
        assert!(tls.established.is_some());
    }

    #[test]
    fn a_client_certificate_comes_before_the_finished() {
        let (tls, meanings) = run(TlsVersion::TLS13, 0x1302, &[(C, 23, 25), (C, 23, 69), (C, 23, 472)]);
        assert_eq!(tls.established, Some(Timestamp(1)));
        assert_eq!(meanings[2], Meaning::Data);
        // Flight in one record: the host's next record shows that it was complete.
        let (tls, meanings) = run(TlsVersion::TLS13, 0x1302, &[(C, 23, 1400), (S, 23, 250)]);
        assert_eq!((tls.established, meanings[1]), (Some(Timestamp(1)), Meaning::Data));
    }

    #[test]
    fn a_client_that_was_asked_for_a_certificate_is_told_by_what_comes_with_its_finished() {
        let asked = |suite, records: &[_]| run_to(TlsVersion::TLS13, suite, records).0.client_was_asked();
        for records in [&[(C, 23, 25), (C, 23, 69)][..], &[(C, 23, 1400), (C, 23, 281), (C, 23, 69)], &[(C, 23, 77)]] {
            let (handshake, tls, _) = run_to(TlsVersion::TLS13, 0x1302, records);
            assert!(handshake.client_was_asked() && tls.established.is_some(), "{records:?}");
        }
        assert!(asked(0x1301, &[(C, 23, 61)]) && !asked(0x1301, &[(C, 23, 53)]) && !asked(0x1302, &[(C, 23, 69)]));
        // A Finished that sizes do not show is no certificate.
        assert!(!asked(0x1302, &[(C, 23, 80), (S, 23, 250)]));
        assert!(!asked(0x1302, &[(C, 23, 80), (C, 23, 480), (C, 23, 480), (C, 23, 480)]));
    }

    #[test]
    fn an_alert_in_place_of_the_finished_finishes_nothing() {
        let (tls, meanings) = run(TlsVersion::TLS13, 0x1302, &[(S, 23, 69), (C, 23, 19)]);
        assert_eq!((tls.established, tls.finished.client), (None, false));
        assert_eq!(tls.encrypted_alert.client, Some(Timestamp(1)));
        assert_eq!(meanings[1], Meaning::Alert);
    }

    #[test]
    fn an_alert_sized_record_that_data_follows_was_no_goodbye() {
        let mut tls = TlsProgress::default();
        sealed_alert(C, Timestamp(1), &mut tls);
        sealed_alert(S, Timestamp(2), &mut tls);
        goes_on(C, &mut tls);
        assert_eq!((tls.encrypted_alert.client, tls.encrypted_alert.host), (None, Some(Timestamp(2))));
        assert_eq!(tls.first_encrypted_alert, Some(S));
        goes_on(S, &mut tls);
        assert_eq!(tls.first_encrypted_alert, None);
    }
}
