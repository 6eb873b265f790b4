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
mod tests;
