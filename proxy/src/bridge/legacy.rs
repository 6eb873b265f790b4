//! The legacy leg: OpenSSL, for what rustls does not speak. TLS 1.0 and 1.1, CBC, RSA key exchange, RSA-1024, X.509 v1.
//!
//! What a leg may speak is in its `context`. Here is the leg itself, from the first byte to the last, and how its host is
//! judged.

mod context;

pub(crate) use context::{client, server};

use super::tls::{Failure, Out, Tls};
use super::trust::{Trust, Untrusted};
use crate::record::capture::Keys;
use crate::sys::ResumingContext;
use openssl::error::ErrorStack;
use openssl::ex_data::Index;
use openssl::ssl::{ErrorCode, ShutdownState, Ssl, SslContext, SslStream, SslVerifyMode, SslVersion};
use openssl::x509::{X509Ref, X509StoreContextRef, X509VerifyResult};
use parser::session::BridgeLeg;
use parser::wire::{AlertDescription, CipherSuite, TlsVersion};
use rustls::pki_types::{CertificateDer, ServerName};
use std::io::{self, Read, Write};
use std::sync::{Arc, OnceLock};

/// The plaintext of one record. RFC 5246 6.2.1
const RECORD: usize = 1 << 14;
/// How often a peer that has not been spoken to is answered. Only an attempt to renegotiate has an answer, a warning; it is
/// refused, and who goes on with it, in thousands to a record, keeps a core busy.
const ANSWERS: u32 = 4;
/// What waits at most for a peer to complete a message of its own.
const UNSENT: usize = 256 * 1024;
/// OpenSSL's reason codes from here on are alerts that the peer sent.
const ALERT_REASONS: i32 = 1000;

/// A leg towards a client. Its secrets go to `keys`, if they may be kept.
pub(crate) fn accept(context: &SslContext, keys: Option<Arc<Keys>>) -> Result<Box<dyn Tls>, Failure> {
    let mut ssl = Ssl::new(context).map_err(stack)?;
    keep_secrets(&mut ssl, keys);
    ssl.set_accept_state();
    Legacy::leg(ssl, None)
}

/// A leg towards the host called `name`. `resumes`: an older session may be taken up. `keys` as for [`accept`].
pub(crate) fn connect(
    context: &ResumingContext,
    name: ServerName<'static>,
    trust: &Trust,
    resumes: bool,
    keys: Option<Arc<Keys>>,
) -> Result<Box<dyn Tls>, Failure> {
    let mut ssl = context.ssl(resumes).map_err(stack)?;
    keep_secrets(&mut ssl, keys);
    if let ServerName::DnsName(name) = &name {
        ssl.set_hostname(name.as_ref()).map_err(stack)?;
    }
    ssl.set_connect_state();
    let host = Host { trust: trust.clone(), name, untrusted: Arc::default() };
    ssl.set_verify_callback(SslVerifyMode::PEER, host.clone().judging());
    Legacy::leg(ssl, Some(host))
}

/// Where a connection has its [`Keys`], if it has any.
fn place_of_keys() -> Option<Index<Ssl, Arc<Keys>>> {
    static PLACE: OnceLock<Option<Index<Ssl, Arc<Keys>>>> = OnceLock::new();
    *PLACE.get_or_init(|| Ssl::new_ex_index().ok())
}

fn keep_secrets(ssl: &mut Ssl, keys: Option<Arc<Keys>>) {
    if let (Some(place), Some(keys)) = (place_of_keys(), keys) {
        ssl.set_ex_data(place, keys);
    }
}

/// Who may be taken for the host.
#[derive(Clone)]
struct Host {
    trust: Trust,
    name: ServerName<'static>,
    /// What was found wrong with it while the handshake could still be ended with an alert.
    untrusted: Arc<OnceLock<Untrusted>>,
}

impl Host {
    fn judge(&self, leaf: &[u8], chain: &[CertificateDer<'_>]) -> Result<(), Untrusted> {
        self.trust.judge(leaf, chain, &self.name)
    }

    /// [`Host::judge`] in the place of OpenSSL's own judgement, so that the host is told. It has not proved yet that it
    /// holds its key: what counts is asked once more when it has.
    fn judging(self) -> impl Fn(bool, &mut X509StoreContextRef) -> bool {
        move |_, context| {
            let der = |certificate: &X509Ref| certificate.to_der().ok();
            let (0, Some(leaf)) = (context.error_depth(), context.current_cert().and_then(der)) else { return true };
            let issuers = context.chain().into_iter().flatten().skip(1).filter_map(der);
            let chain: Vec<_> = issuers.map(CertificateDer::from).collect();
            let judged = self.judge(&leaf, &chain);
            match judged {
                Ok(()) => context.set_error(X509VerifyResult::OK),
                // What OpenSSL has against it, that nobody it knows has issued it, becomes the alert: unknown_ca.
                Err(untrusted) => _ = self.untrusted.set(untrusted),
            }
            self.untrusted.get().is_none()
        }
    }
}

/// What OpenSSL reads from and writes to: memory.
#[derive(Debug, Default)]
struct Pipe {
    /// From the peer, not read yet.
    wire: Vec<u8>,
    read: usize,
    /// For the peer.
    out: Vec<u8>,
    /// What is written now is an answer to what is read; how many there were.
    answering: bool,
    answers: u32,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut rest = self.wire.get(self.read..).unwrap_or_default();
        if rest.is_empty() {
            self.wire = Vec::new();
            self.read = 0;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = rest.read(buffer)?;
        self.read += count;
        Ok(count)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.answers += u32::from(self.answering);
        if self.answers > ANSWERS {
            return Err(io::Error::other("too many answers"));
        }
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Legacy {
    stream: SslStream<Pipe>,
    /// Towards a host.
    host: Option<Host>,
    certificate: Option<Vec<u8>>,
    facts: Option<BridgeLeg>,
    peer_closed: bool,
    /// Plaintext: OpenSSL writes nothing while the peer is in the middle of a handshake message.
    unsent: Vec<u8>,
    /// A close_notify is due behind it.
    closing: bool,
}

impl Legacy {
    fn leg(ssl: Ssl, host: Option<Host>) -> Result<Box<dyn Tls>, Failure> {
        let stream = SslStream::new(ssl, Pipe::default()).map_err(stack)?;
        Ok(Box::new(Legacy {
            stream,
            host,
            certificate: None,
            facts: None,
            peer_closed: false,
            unsent: Vec::new(),
            closing: false,
        }))
    }

    fn go_on(&mut self, plain: &mut dyn FnMut(&[u8])) -> Result<(), Failure> {
        if self.facts.is_none() {
            match self.stream.do_handshake() {
                Ok(()) => self.established()?,
                Err(error) if error.code() == ErrorCode::WANT_READ => return Ok(()),
                Err(error) => {
                    let untrusted = self.host.as_ref().and_then(|host| host.untrusted.get());
                    return Err(untrusted.map_or_else(|| failure(&error), |why| Failure::Untrusted(why.to_string())));
                }
            }
        }
        let mut record = [0; RECORD];
        while !self.peer_closed {
            self.stream.get_mut().answering = true;
            let read = self.stream.ssl_read(&mut record);
            self.stream.get_mut().answering = false;
            if self.stream.get_ref().answers > ANSWERS {
                return Err(Failure::Protocol("the peer tries to renegotiate again and again".to_owned()));
            }
            match read {
                Ok(count) => plain(&record[..count]),
                Err(error) => match error.code() {
                    ErrorCode::WANT_READ => break,
                    ErrorCode::ZERO_RETURN => self.peer_closed = true,
                    _ => return Err(failure(&error)),
                },
            }
        }
        Ok(())
    }

    /// Seals what it can of `plain`, and says how much that was.
    fn seal(&mut self, plain: &[u8]) -> Result<usize, Failure> {
        let mut sealed = 0;
        while sealed < plain.len() {
            match self.stream.ssl_write(&plain[sealed..]) {
                Ok(count) => sealed += count,
                Err(error) if error.code() == ErrorCode::WANT_READ && self.facts.is_some() => break,
                Err(error) => return Err(failure(&error)),
            }
        }
        Ok(sealed)
    }

    /// What had to wait goes out, as far as it can now.
    fn catch_up(&mut self) -> Result<(), Failure> {
        if !self.unsent.is_empty() {
            let waiting = std::mem::take(&mut self.unsent);
            let sealed = self.seal(&waiting)?;
            self.unsent = waiting[sealed..].to_vec();
        }
        // The peer's own close_notify may come, or not.
        if self.closing && self.unsent.is_empty() && self.stream.shutdown().is_ok() {
            self.closing = false;
        }
        Ok(())
    }

    /// What OpenSSL has written goes out, and leaves no memory behind.
    fn hand_over(&mut self, out: &mut Out) {
        out.append(&std::mem::take(&mut self.stream.get_mut().out));
    }

    /// Both Finished are there: the peer holds the key it has shown.
    fn established(&mut self) -> Result<(), Failure> {
        let ssl = self.stream.ssl();
        let version = match ssl.version2() {
            Some(SslVersion::TLS1) => TlsVersion::TLS10,
            Some(SslVersion::TLS1_1) => TlsVersion::TLS11,
            Some(SslVersion::TLS1_2) => TlsVersion::TLS12,
            Some(SslVersion::TLS1_3) => TlsVersion::TLS13,
            _ => TlsVersion(0),
        };
        let suite = ssl.current_cipher().map_or([0; 2], |cipher| cipher.protocol_id());
        let facts = BridgeLeg {
            version,
            suite: CipherSuite(u16::from_be_bytes(suite)),
            group: None,
            resumed: ssl.session_reused(),
            library: "openssl",
        };
        if let Some(host) = &self.host {
            let der = |certificate: &X509Ref| certificate.to_der().map_err(stack);
            let leaf =
                ssl.peer_certificate().ok_or_else(|| Failure::Untrusted("it has shown no certificate".into()))?;
            let leaf = der(&leaf)?;
            let chain: Result<Vec<_>, Failure> =
                ssl.peer_cert_chain().into_iter().flatten().skip(1).map(|c| der(c).map(CertificateDer::from)).collect();
            host.judge(&leaf, &chain?).map_err(|untrusted| Failure::Untrusted(untrusted.to_string()))?;
            self.certificate = Some(leaf);
        }
        self.facts = Some(facts);
        Ok(())
    }
}

impl Drop for Legacy {
    fn drop(&mut self) {
        // OpenSSL would not resume a session that ended without close_notify. RDP sessions do, and since TLS 1.1 they may.
        // RFC 5246 7.2.1
        if self.facts.is_some() {
            self.stream.set_shutdown(ShutdownState::SENT | ShutdownState::RECEIVED);
        }
    }
}

impl Tls for Legacy {
    fn rest(&mut self) -> Vec<u8> {
        // Parts of records are in OpenSSL's own buffer.
        Vec::new()
    }

    fn receive(&mut self, wire: &mut [u8], plain: &mut dyn FnMut(&[u8]), out: &mut Out) -> Result<(), Failure> {
        self.stream.get_mut().wire.extend_from_slice(wire);
        let outcome = self.go_on(plain).and_then(|()| self.catch_up());
        self.hand_over(out);
        outcome
    }

    fn send(&mut self, plain: &[u8], out: &mut Out) -> Result<(), Failure> {
        let sealed = if self.unsent.is_empty() { self.seal(plain)? } else { 0 };
        self.unsent.extend_from_slice(&plain[sealed..]);
        self.hand_over(out);
        if self.unsent.len() > UNSENT {
            return Err(Failure::Protocol(format!(
                "the peer left a message half sent while {UNSENT} bytes waited for it"
            )));
        }
        Ok(())
    }

    fn close(&mut self, out: &mut Out) {
        if self.facts.is_some() {
            self.closing = true;
            let _ = self.catch_up();
            self.hand_over(out);
        }
    }

    fn peer_closed(&self) -> bool {
        self.peer_closed
    }

    fn facts(&self) -> Option<BridgeLeg> {
        self.facts
    }

    fn peer_certificate(&self) -> Option<&[u8]> {
        self.certificate.as_deref()
    }
}

fn failure(error: &openssl::ssl::Error) -> Failure {
    let errors = error.ssl_error().map(ErrorStack::errors).unwrap_or_default();
    let alert = errors.iter().map(|error| error.reason_code() - ALERT_REASONS).find(|alert| (0..256).contains(alert));
    match alert {
        Some(alert) => Failure::Alert(AlertDescription(alert as u8)),
        None => Failure::Protocol(
            errors.first().and_then(|error| error.reason()).map_or_else(|| error.to_string(), str::to_owned),
        ),
    }
}

fn stack(error: ErrorStack) -> Failure {
    Failure::Protocol(words(error))
}

fn words(error: ErrorStack) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests;
