//! The modern leg: rustls, TLS 1.2 with ECDHE and AEAD, and TLS 1.3.
//!
//! Its unbuffered form: records are opened where they were read to, and an idle session holds no buffer here.

use super::tls::{Failure, Out, REST_MAX, Tls};
use super::trust::{Trust, Untrusted};
use crate::record::capture::Keys;
use crate::tls_provider::provider;
use config::{BridgeRules, Ciphers};
use parser::session::BridgeLeg;
use parser::wire::{AlertDescription, CipherSuite, NamedGroup, TlsVersion};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, ClientConnectionData, Resumption, UnbufferedClientConnection};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ServerConfig, ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus};
use rustls::{
    CommonState, DigitallySignedStruct, Error, HandshakeKind, OtherError, SignatureScheme, SupportedProtocolVersion,
};
use std::sync::Arc;

/// Sessions of one host that are kept for resumption: its tickets are used once each, and hosts send two or so.
const SESSIONS: usize = 64;

/// How a client leg answers: with this chain and key, within these versions.
pub(crate) fn server(
    rules: &BridgeRules,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, Error> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&versions(&rules.client_versions))?
        .with_no_client_auth();
    let mut config = builder.with_single_cert(chain, key)?;
    // Tickets under a key of this configuration alone: a session is never resumed under another certificate.
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
    // One is enough: a client that comes back gets a new one.
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}

/// How a host leg asks. `post_quantum`: the host is known to take such a share. `resumes`: sessions may be resumed;
/// not where NLA binds the key that the host has now.
pub(crate) fn client(
    rules: &BridgeRules,
    trust: &Trust,
    post_quantum: bool,
    resumes: bool,
) -> Result<Arc<ClientConfig>, Error> {
    let provider = host_provider(rules, post_quantum);
    let verifier = Verifier { trust: trust.clone(), provider: Arc::clone(&provider) };
    let builder =
        ClientConfig::builder_with_provider(provider).with_protocol_versions(&versions(&rules.host_versions))?;
    let mut config = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth();
    config.resumption = if resumes { Resumption::in_memory_sessions(SESSIONS) } else { Resumption::disabled() };
    Ok(Arc::new(config))
}

/// A leg towards a client. Its secrets go to `keys`, if they may be kept.
pub(crate) fn accept(config: &Arc<ServerConfig>, keys: Option<Arc<Keys>>) -> Result<Box<dyn Tls>, Failure> {
    let config = keys.map_or_else(
        || Arc::clone(config),
        |keys| {
            let mut own = ServerConfig::clone(config);
            own.key_log = keys;
            Arc::new(own)
        },
    );
    let connection = UnbufferedServerConnection::new(config).map_err(failure)?;
    Ok(Box::new(Modern { connection, rest: Vec::new(), peer_closed: false, established: false }))
}

/// A leg towards the host called `name`. `keys` as for [`accept`].
pub(crate) fn connect(
    config: &Arc<ClientConfig>,
    name: ServerName<'static>,
    keys: Option<Arc<Keys>>,
) -> Result<Box<dyn Tls>, Failure> {
    let config = keys.map_or_else(
        || Arc::clone(config),
        |keys| {
            let mut own = ClientConfig::clone(config);
            own.key_log = keys;
            Arc::new(own)
        },
    );
    let connection = UnbufferedClientConnection::new(config, name).map_err(failure)?;
    Ok(Box::new(Modern { connection, rest: Vec::new(), peer_closed: false, established: false }))
}

/// The versions of a window that this leg can speak.
fn versions(window: &[TlsVersion]) -> Vec<&'static SupportedProtocolVersion> {
    let mut versions = Vec::with_capacity(2);
    if window.contains(&TlsVersion::TLS13) {
        versions.push(&rustls::version::TLS13);
    }
    if window.contains(&TlsVersion::TLS12) {
        versions.push(&rustls::version::TLS12);
    }
    versions
}

/// The suites that may be offered to the host, and the groups that every host since Windows 10 has. A post-quantum
/// share makes a hello of more than one segment, which old hosts and what stands before them may not take.
fn host_provider(rules: &BridgeRules, post_quantum: bool) -> Arc<CryptoProvider> {
    use rustls::crypto::aws_lc_rs::kx_group::{SECP256R1, SECP384R1, X25519, X25519MLKEM768};
    let whole = provider();
    let mut suites = whole.cipher_suites.clone();
    if let Ciphers::Named(named) = &rules.host_ciphers {
        let place =
            |suite: &rustls::SupportedCipherSuite| named.iter().position(|named| named.0 == u16::from(suite.suite()));
        suites.retain(|suite| place(suite).is_some());
        suites.sort_by_key(place);
    }
    let mut groups = vec![X25519, SECP256R1, SECP384R1];
    if post_quantum {
        groups.insert(0, X25519MLKEM768);
    }
    Arc::new(CryptoProvider { cipher_suites: suites, kx_groups: groups, ..CryptoProvider::clone(&whole) })
}

/// Either role of a rustls connection.
trait Connection: Send {
    type Data;
    fn process<'c, 'i>(&'c mut self, wire: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
    fn common(&self) -> &CommonState;
}

impl Connection for UnbufferedServerConnection {
    type Data = ServerConnectionData;
    fn process<'c, 'i>(&'c mut self, wire: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(wire)
    }
    fn common(&self) -> &CommonState {
        self
    }
}

impl Connection for UnbufferedClientConnection {
    type Data = ClientConnectionData;
    fn process<'c, 'i>(&'c mut self, wire: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(wire)
    }
    fn common(&self) -> &CommonState {
        self
    }
}

struct Modern<C> {
    connection: C,
    /// Part of a record or of a handshake message, and nothing else: memory that is held only while one is under way.
    rest: Vec<u8>,
    peer_closed: bool,
    established: bool,
}

impl<C: Connection> Tls for Modern<C> {
    fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.rest)
    }

    fn receive(&mut self, wire: &mut [u8], plain: &mut dyn FnMut(&[u8]), out: &mut Out) -> Result<(), Failure> {
        let mut done = 0;
        loop {
            let UnbufferedStatus { discard, state, .. } = self.connection.process(&mut wire[done..]);
            let mut discard = discard;
            let more = match state {
                Err(error) => {
                    last_words(&mut self.connection, &mut wire[done + discard..], out);
                    return Err(failure(error));
                }
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(failure)?;
                        discard += record.discard;
                        plain(record.payload);
                    }
                    true
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    append(out, 0, |room| match data.encode(room) {
                        Ok(written) => Ok(written),
                        Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => {
                            Err(Short::By(required_size))
                        }
                        Err(error) => Err(Short::Never(error.to_string())),
                    })?;
                    true
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    true
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.peer_closed = true;
                    true
                }
                Ok(ConnectionState::WriteTraffic(_)) => {
                    self.established = true;
                    false
                }
                // Early data is never allowed, and there is no other state.
                Ok(_) => false,
            };
            done += discard;
            if !more {
                break;
            }
        }
        if !self.peer_closed {
            let rest = &wire[done..];
            if rest.len() > REST_MAX {
                return Err(Failure::Protocol(format!("a handshake message that is not whole after {REST_MAX} bytes")));
            }
            self.rest = rest.to_vec();
        }
        Ok(())
    }

    fn send(&mut self, plain: &[u8], out: &mut Out) -> Result<(), Failure> {
        self.writing(out, |traffic, room| traffic.encrypt(plain, room), plain.len() + plain.len() / 64 + 64)
    }

    fn close(&mut self, out: &mut Out) {
        // A leg that has failed has sent its alert, and one that is not up yet has nothing to close.
        if self.established {
            let _ = self.writing(out, |traffic, room| traffic.queue_close_notify(room), 64);
        }
    }

    fn peer_closed(&self) -> bool {
        self.peer_closed
    }

    fn facts(&self) -> Option<BridgeLeg> {
        let common = self.connection.common();
        if !self.established || common.is_handshaking() {
            return None;
        }
        Some(BridgeLeg {
            version: TlsVersion(common.protocol_version().map_or(0, u16::from)),
            suite: CipherSuite(common.negotiated_cipher_suite().map_or(0, |suite| u16::from(suite.suite()))),
            group: common.negotiated_key_exchange_group().map(|group| NamedGroup(u16::from(group.name()))),
            resumed: common.handshake_kind() == Some(HandshakeKind::Resumed),
            library: "rustls",
        })
    }

    fn peer_certificate(&self) -> Option<&[u8]> {
        self.connection.common().peer_certificates()?.first().map(|certificate| certificate.as_ref())
    }
}

impl<C: Connection> Modern<C> {
    /// Does `write` in the state in which data may be written; what had to be sent before it goes out before it.
    fn writing(
        &mut self,
        out: &mut Out,
        mut write: impl FnMut(&mut rustls::unbuffered::WriteTraffic<'_, C::Data>, &mut [u8]) -> Result<usize, EncryptError>,
        room: usize,
    ) -> Result<(), Failure> {
        loop {
            let UnbufferedStatus { state, .. } = self.connection.process(&mut self.rest);
            match state.map_err(failure)? {
                ConnectionState::WriteTraffic(mut traffic) => {
                    return append(out, room, |room| match write(&mut traffic, room) {
                        Ok(written) => Ok(written),
                        Err(EncryptError::InsufficientSize(InsufficientSizeError { required_size })) => {
                            Err(Short::By(required_size))
                        }
                        Err(error) => Err(Short::Never(error.to_string())),
                    });
                }
                ConnectionState::EncodeTlsData(mut data) => append(out, 0, |room| match data.encode(room) {
                    Ok(written) => Ok(written),
                    Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => {
                        Err(Short::By(required_size))
                    }
                    Err(error) => Err(Short::Never(error.to_string())),
                })?,
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::PeerClosed => self.peer_closed = true,
                other => return Err(Failure::Protocol(format!("nothing can be sent in the state {other:?}"))),
            }
        }
    }
}

/// Why something was not written.
enum Short {
    /// It needs this much room.
    By(usize),
    /// It never will be.
    Never(String),
}

/// Writes behind what `out` holds, in as much room as it takes.
fn append(
    out: &mut Out,
    mut room: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Short>,
) -> Result<(), Failure> {
    loop {
        match write(out.room(room)) {
            Ok(written) => {
                out.written(written);
                return Ok(());
            }
            Err(Short::By(more)) => room = more,
            Err(Short::Never(words)) => return Err(Failure::Protocol(words)),
        }
    }
}

/// After an error: the alert that says so, if there is one. `wire` is what has not been discarded, to which positions
/// inside of the library still point. It is not read again: a record that does not open must not be tried twice.
fn last_words<C: Connection>(connection: &mut C, wire: &mut [u8], out: &mut Out) {
    while connection.common().wants_write() {
        let Ok(ConnectionState::EncodeTlsData(mut data)) = connection.process(wire).state else { return };
        let written = append(out, 0, |room| match data.encode(room) {
            Ok(written) => Ok(written),
            Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => {
                Err(Short::By(required_size))
            }
            Err(error) => Err(Short::Never(error.to_string())),
        });
        if written.is_err() {
            return;
        }
    }
}

fn failure(error: Error) -> Failure {
    match error {
        Error::AlertReceived(alert) => Failure::Alert(AlertDescription(u8::from(alert))),
        Error::Other(OtherError(error)) if error.is::<Untrusted>() => Failure::Untrusted(error.to_string()),
        error => Failure::Protocol(error.to_string()),
    }
}

/// Asks [`Trust`] who the host is, and rustls whether it holds its key.
#[derive(Debug)]
struct Verifier {
    trust: Trust,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let judged = self.trust.judge(leaf, chain, name);
        judged.map(|()| ServerCertVerified::assertion()).map_err(|error| Error::Other(OtherError(Arc::new(error))))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::super::trust::digest;
    use super::*;
    use config::{BridgeMode, Verify};
    use rcgen::generate_simple_self_signed;
    use rustls::SupportedCipherSuite;

    struct End {
        tls: Box<dyn Tls>,
        out: Out,
        plain: Vec<u8>,
    }

    impl End {
        fn new(tls: Box<dyn Tls>) -> End {
            End { tls, out: Out::default(), plain: Vec::new() }
        }

        /// Takes what the other end has sent, `chunk` bytes at a time.
        fn take(&mut self, from: &mut Out, chunk: usize) -> Result<(), Failure> {
            let sent = std::mem::take(from);
            self.hear(&sent, chunk)
        }

        fn hear(&mut self, sent: &[u8], chunk: usize) -> Result<(), Failure> {
            for part in sent.chunks(chunk) {
                let mut wire = self.tls.rest();
                assert!(wire.len() <= REST_MAX);
                wire.extend_from_slice(part);
                let plain = &mut self.plain;
                self.tls.receive(&mut wire, &mut |p| plain.extend_from_slice(p), &mut self.out)?;
            }
            Ok(())
        }
    }

    fn rules(pin: config::Pin) -> BridgeRules {
        BridgeRules { mode: BridgeMode::Always, verify: Verify::Pin, pin: vec![pin], ..BridgeRules::default() }
    }

    /// Both ends and the certificate of the server, which is trusted or not.
    fn ends(trusted: bool, window: &[TlsVersion]) -> (End, End, Vec<u8>) {
        let made = generate_simple_self_signed(["host.test".to_owned()]).expect("a certificate");
        let certificate = made.cert.der().to_vec();
        let pin = if trusted { digest(&certificate) } else { config::Pin([7; 32]) };
        let rules = BridgeRules { host_versions: window.to_vec(), ..rules(pin) };
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
        let server = server(&rules, vec![made.cert.der().clone()], key).expect("server");
        let trust = Trust::of(&rules).expect("trust");
        let client = client(&rules, &trust, false, true).expect("client");
        let name = ServerName::try_from("host.test").expect("a name");
        (
            End::new(connect(&client, name, None).expect("client")),
            End::new(accept(&server, None).expect("server")),
            certificate,
        )
    }

    fn shake(client: &mut End, server: &mut End, chunk: usize) -> Result<(), Failure> {
        client.tls.receive(&mut [], &mut |_| (), &mut client.out)?;
        for _ in 0..4 {
            server.take(&mut client.out, chunk)?;
            client.take(&mut server.out, chunk)?;
        }
        Ok(())
    }

    #[test]
    fn two_legs_meet_carry_data_and_close_in_any_chunking() {
        for (version, chunk) in [(TlsVersion::TLS12, 1), (TlsVersion::TLS13, 3), (TlsVersion::TLS13, 65_536)] {
            let (mut client, mut server, certificate) = ends(true, &[version]);
            shake(&mut client, &mut server, chunk).expect("a handshake");
            let (here, there) = (client.tls.facts().expect("up"), server.tls.facts().expect("up"));
            assert_eq!((here.version, here.suite), (version, there.suite));
            assert_eq!(here.group, Some(NamedGroup::X25519));
            assert!(!here.is_weak() && !here.resumed);
            assert_eq!(client.tls.peer_certificate(), Some(&certificate[..]));

            let data: Vec<u8> = (0..100_000_u32).map(|n| n as u8).collect();
            client.tls.send(&data, &mut client.out).expect("sent");
            server.take(&mut client.out, chunk.max(100)).expect("received");
            assert!(server.plain == data);
            server.tls.close(&mut server.out);
            client.take(&mut server.out, chunk).expect("close_notify");
            assert!(client.tls.peer_closed() && !server.tls.peer_closed());
            client.tls.send(b"half closed", &mut client.out).expect("still sent");
            server.plain.clear();
            server.take(&mut client.out, chunk).expect("received");
            assert_eq!(server.plain, b"half closed");
        }
    }

    #[test]
    fn keys_of_tls_1_3_are_changed_before_they_are_worn_out() {
        // The third record is one too many.
        let mut worn = CryptoProvider::clone(&provider());
        worn.cipher_suites = worn.cipher_suites.iter().filter_map(SupportedCipherSuite::tls13).map(soon_worn).collect();
        let made = generate_simple_self_signed(["host.test".to_owned()]).expect("a certificate");
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
        let rules = rules(digest(made.cert.der()));
        let server = server(&rules, vec![made.cert.der().clone()], key).expect("server");
        let verifier = Arc::new(crate::tls_provider::AnyCertificate);
        let config = ClientConfig::builder_with_provider(Arc::new(worn)).with_safe_default_protocol_versions();
        let config = config.expect("versions").dangerous().with_custom_certificate_verifier(verifier);
        let config = Arc::new(config.with_no_client_auth());
        let name = ServerName::try_from("host.test").expect("a name");
        let mut client = End::new(connect(&config, name, None).expect("client"));
        let mut server = End::new(accept(&server, None).expect("server"));
        shake(&mut client, &mut server, 65_536).expect("a handshake");
        let data: Vec<u8> = (0..20_000_u32).map(|n| n as u8).collect();
        for _ in 0..50 {
            client.tls.send(&data, &mut client.out).expect("sent");
            server.take(&mut client.out, 65_536).expect("received");
        }
        assert!(server.plain == data.repeat(50));
    }

    fn soon_worn(suite: &rustls::Tls13CipherSuite) -> SupportedCipherSuite {
        let common = rustls::CipherSuiteCommon {
            suite: suite.common.suite,
            hash_provider: suite.common.hash_provider,
            confidentiality_limit: 3,
        };
        SupportedCipherSuite::Tls13(Box::leak(Box::new(rustls::Tls13CipherSuite { common, ..*suite })))
    }

    #[test]
    fn a_host_that_is_not_the_one_meant_is_refused_with_its_fingerprints() {
        let (mut client, mut server, certificate) = ends(false, &[TlsVersion::TLS12, TlsVersion::TLS13]);
        let Err(Failure::Untrusted(words)) = shake(&mut client, &mut server, 65_536) else { panic!("trusted") };
        assert!(words.contains(&digest(&certificate).to_string()), "{words}");
        assert!(client.tls.facts().is_none());
        let told = server.take(&mut client.out, 65_536);
        assert!(matches!(told, Err(Failure::Alert(_))), "{told:?}");
    }

    #[test]
    fn garbage_ends_a_leg_with_an_alert_and_never_panics() {
        let (_, mut server, _) = ends(true, &[TlsVersion::TLS13]);
        assert!(server.hear(&[0x16, 3, 1, 0, 4, 1, 0, 0, 0], 1).is_err());
        assert_eq!(server.out.first(), Some(&21), "an alert");
    }
}
