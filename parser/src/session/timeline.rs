//! What is known of one connection: plain data, filled by the tracker, read by the diagnosis and by every output.

use super::{BridgeFacts, Phase, PhaseLog, Told};
use crate::Timestamp;
use crate::wire::{
    AlertDescription, AlertLevel, CipherSuite, FailureCode, Fingerprints, NamedGroup, Protocols, RequestFlags,
    ResponseFlags, SignatureScheme, TlsVersion,
};
use core::ops::{Index, IndexMut};
use std::net::SocketAddr;

/// Which end of the connection: the RDP client, or the host (an RD Gateway included).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    /// The end that opened the connection.
    Client,
    /// The end that was connected to.
    Host,
}

impl Peer {
    /// The other end.
    #[must_use]
    pub fn other(self) -> Peer {
        match self {
            Peer::Client => Peer::Host,
            Peer::Host => Peer::Client,
        }
    }

    /// `client` or `host`, as events and labels spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Peer::Client => "client",
            Peer::Host => "host",
        }
    }
}

/// One value per end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerPeer<T> {
    /// What concerns the client, or what the client sent.
    pub client: T,
    /// What concerns the host, or what the host sent.
    pub host: T,
}

impl<T> Index<Peer> for PerPeer<T> {
    type Output = T;
    fn index(&self, peer: Peer) -> &T {
        match peer {
            Peer::Client => &self.client,
            Peer::Host => &self.host,
        }
    }
}

impl<T> IndexMut<Peer> for PerPeer<T> {
    fn index_mut(&mut self, peer: Peer) -> &mut T {
        match peer {
            Peer::Client => &mut self.client,
            Peer::Host => &mut self.host,
        }
    }
}

/// What the first client bytes turned out to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Opening {
    /// No byte yet, or too few to tell.
    #[default]
    Unknown,
    /// TPKT with an X.224 Connection Request, perhaps after a preconnection blob. [MS-RDPBCGR] 1.3.1.1
    X224,
    /// TLS at once: an RD Gateway leg, or a client that skips negotiation.
    TlsFirst,
    /// Clear HTTP of an RD Gateway client behind a TLS terminator.
    GatewayHttp,
    /// None of these.
    NotRdp,
}

/// The Connection Request as the client sent it. [MS-RDPBCGR] 2.2.1.1
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestFacts {
    /// Whole TPKT length in bytes.
    pub length: u16,
    /// `mstshash` cookie value: a user name, to be hashed or dropped before it is written anywhere.
    pub cookie: Option<String>,
    /// `msts=` routing token or another token, as sent, without CRLF.
    pub routing_token: Option<String>,
    /// `None` when the request carried no RDP_NEG_REQ (standard RDP security is then meant).
    pub protocols: Option<Protocols>,
    /// Flags of RDP_NEG_REQ.
    pub flags: RequestFlags,
    /// `correlationId` in wire order. [MS-RDPBCGR] 2.2.1.1.2
    pub correlation_id: Option<[u8; 16]>,
    /// Id and text of a preconnection blob that came first. [MS-RDPEPS] 2.2.1
    pub preconnection: Option<(u32, Option<String>)>,
}

/// What the host said to the Connection Request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Connection Confirm with RDP_NEG_RSP. [MS-RDPBCGR] 2.2.1.2.1
    Selected {
        /// The protocol the host chose; exactly one bit, or none for standard RDP security.
        protocol: Protocols,
        /// Flags of RDP_NEG_RSP.
        flags: ResponseFlags,
    },
    /// Connection Confirm without negotiation data: standard RDP security.
    Plain,
    /// Connection Confirm with RDP_NEG_FAILURE. [MS-RDPBCGR] 2.2.1.2.2
    Failure(FailureCode),
    /// A clear MCS Disconnect Provider Ultimatum instead of a Connection Confirm (xrdp), with its reason.
    Ultimatum(u8),
    /// An X.224 Disconnect Request or Error TPDU, with its TPDU code byte.
    Refused(u8),
    /// Bytes that are none of these: the first up to 16 of them.
    NotRdp(Vec<u8>),
}

/// A ClientHello, every field an operator may need. GREASE is kept; printers leave it out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientHelloFacts {
    /// When its last byte came.
    pub at: Timestamp,
    /// Version of the first record that carried it.
    pub record_version: TlsVersion,
    /// `legacy_version`.
    pub legacy_version: TlsVersion,
    /// True for the SSLv2-compatible form. RFC 5246 appendix E.2
    pub sslv2_form: bool,
    /// Handshake message length in bytes, header included.
    pub length: u32,
    /// Records it was spread over.
    pub records: u16,
    /// `supported_versions` in the order offered; empty when the extension is absent.
    pub supported_versions: Vec<TlsVersion>,
    /// Suites in the order offered.
    pub suites: Vec<CipherSuite>,
    /// Extension types in the order sent.
    pub extensions: Vec<u16>,
    /// `supported_groups` in the order offered.
    pub groups: Vec<NamedGroup>,
    /// Groups with a key share, and the share's size in bytes.
    pub key_shares: Vec<(NamedGroup, u16)>,
    /// `signature_algorithms` in the order offered.
    pub signature_schemes: Vec<SignatureScheme>,
    /// `server_name`, as sent (mstsc and FreeRDP may send an IP literal).
    pub server_name: Option<String>,
    /// ALPN values, as sent, lossily decoded.
    pub alpn: Vec<String>,
    /// A session ticket or PSK was offered: resumption is being tried.
    pub resumption_offered: bool,
    /// A session id that is not empty (its length).
    pub session_id_length: u8,
    /// `TLS_FALLBACK_SCSV` is among the suites.
    pub fallback_scsv: bool,
    /// JA3 and JA4, computed when the hello was read.
    pub fingerprints: Fingerprints,
}

impl ClientHelloFacts {
    /// Longest hello whose bytes are kept for a replay, in bytes: one TLS record. Two key shares with ML-KEM-1024, a long
    /// session ticket and every extension together stay below half of it.
    pub const REPLAYED_MAX: usize = 16 * 1024;

    /// The versions the client is ready to speak, best first, GREASE left out.
    ///
    /// Without `supported_versions` a hello formally offers everything up to `legacy_version` (RFC 8446 4.2.1);
    /// then only `legacy_version` itself is listed, as it is the only one that was said.
    #[must_use]
    pub fn versions(&self) -> Vec<TlsVersion> {
        if self.supported_versions.is_empty() {
            vec![self.legacy_version]
        } else {
            self.supported_versions.iter().copied().filter(|v| !v.is_grease()).collect()
        }
    }
}

/// A ServerHello, and what followed it in clear.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerHelloFacts {
    /// When its last byte came.
    pub at: Timestamp,
    /// The version that was chosen (`supported_versions` if present, else `legacy_version`).
    pub version: TlsVersion,
    /// The suite that was chosen.
    pub suite: CipherSuite,
    /// Group of the key share (TLS 1.3), or of ServerKeyExchange (TLS 1.0–1.2).
    pub group: Option<NamedGroup>,
    /// A HelloRetryRequest came first. RFC 8446 4.1.4
    pub hello_retry: bool,
    /// Downgrade sentinel in the random. RFC 8446 4.1.3
    pub downgrade: Option<Downgrade>,
    /// The handshake was an abbreviated one (session id echoed in TLS ≤ 1.2, PSK chosen in 1.3).
    pub resumed: bool,
    /// Extension types in the order sent.
    pub extensions: Vec<u16>,
    /// JA3S, md5 in hex.
    pub ja3s: String,
    /// A CertificateRequest was seen in clear (TLS ≤ 1.2).
    pub certificate_requested: bool,
}

/// Which downgrade sentinel a ServerHello carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Downgrade {
    /// The host speaks TLS 1.3 and chose 1.2.
    To12,
    /// The host speaks TLS 1.2 or newer and chose 1.1 or older.
    To11OrOlder,
}

/// A host certificate seen in clear (TLS ≤ 1.2). Dates are Unix seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Subject, RFC 4514 order as in the certificate.
    pub subject: String,
    /// Issuer.
    pub issuer: String,
    /// `notBefore`, Unix seconds.
    pub not_before: i64,
    /// `notAfter`, Unix seconds.
    pub not_after: i64,
    /// SHA-256 of the DER form.
    pub sha256: [u8; 32],
    /// DNS names and addresses of subjectAltName.
    pub alternative_names: Vec<String>,
    /// `RSA`, `ECDSA`, …, or the OID.
    pub key_algorithm: String,
    /// Key size in bits; 0 when unknown.
    pub key_bits: u32,
    /// Signature algorithm name, or the OID.
    pub signature_algorithm: String,
    /// Extended key usage OIDs, dotted; empty when the extension is absent.
    pub extended_key_usage: Vec<String>,
    /// Subject equals issuer.
    pub self_issued: bool,
    /// Certificates in the chain as sent, this one included.
    pub chain_length: u8,
    /// Total size of the Certificate message in bytes.
    pub message_length: u32,
    /// Why the leaf could not be read, when it could not; the other fields are then empty.
    pub unreadable: Option<String>,
}

/// A TLS alert that crossed the wire in clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClearAlert {
    /// Who sent it.
    pub from: Peer,
    /// Level byte.
    pub level: AlertLevel,
    /// Description byte.
    pub description: AlertDescription,
    /// Version in its record header.
    pub record_version: TlsVersion,
    /// When.
    pub at: Timestamp,
    /// True when it came after the sender's ChangeCipherSpec or Finished could have been sent.
    pub after_handshake: bool,
    /// True when the other side, or the sender, had already closed: a reaction, never a cause.
    pub after_close: bool,
}

/// The shape of one TLS record, or of one clear TPKT / fast-path PDU under standard RDP security.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordShape {
    /// TLS content type; 0 for a clear RDP PDU.
    pub content_type: u8,
    /// Length field of the record header (bytes after the header); for a clear PDU the whole length.
    pub length: u16,
    /// When its header was seen.
    pub at: Timestamp,
}

/// The last records of one direction, newest last, so that an orderly end can be told from a cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// Up to four; unused slots are zero.
    pub records: [RecordShape; 4],
    /// How many slots are used.
    pub used: u8,
    /// False when bytes passed that were not looked at: causes that need the tail are then not given.
    pub known: bool,
}

impl Tail {
    /// The shapes, oldest first.
    #[must_use]
    pub fn shapes(&self) -> &[RecordShape] {
        &self.records[..usize::from(self.used).min(4)]
    }
}

/// Bytes and records of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes read from this peer.
    pub bytes: u64,
    /// When its first byte came.
    pub first: Option<Timestamp>,
    /// When its last byte came.
    pub last: Option<Timestamp>,
    /// TLS records (or clear PDUs) followed while the tracker watched.
    pub records: u32,
}

/// TLS progress beyond the hellos.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TlsProgress {
    /// The peer's ChangeCipherSpec (TLS ≤ 1.2) was seen.
    pub change_cipher_spec: PerPeer<bool>,
    /// The peer's Finished was seen, as far as order and size tell.
    pub finished: PerPeer<bool>,
    /// When both were: the handshake is complete.
    pub established: Option<Timestamp>,
    /// A record of alert size (close_notify or an encrypted alert) came from the peer after the handshake.
    pub encrypted_alert: PerPeer<Option<Timestamp>>,
    /// Whose came first: time stamps may be too coarse to tell.
    pub first_encrypted_alert: Option<Peer>,
    /// A clear TPKT stood where a TLS record should be (xrdp's nine bytes after a failed handshake).
    pub clear_ultimatum: Option<Timestamp>,
    /// Bytes from the host that are neither TLS nor TPKT where a TLS record should be: the first up to 16.
    pub not_tls: Option<[u8; 16]>,
    /// The peer's first record of data after the handshake: no alert, and as far as order and size tell no Finished.
    pub data: PerPeer<Option<Timestamp>>,
    /// A record header announced more than came before the close.
    pub partial_record: PerPeer<bool>,
}

/// How far the session got after TLS (or after the Connection Confirm under standard RDP security), told from
/// directions, order and sizes, or behind a bridge from the messages. [MS-RDPBCGR] 1.3.1.1. Each time is that of the record
/// that showed it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Application records before MCS, per peer: the CredSSP exchange, when NLA was selected.
    pub credssp_records: PerPeer<u16>,
    /// Plaintext size of the last CredSSP record per peer, when the suite gives exact sizes.
    pub credssp_last: PerPeer<Option<u16>>,
    /// The client's third-message-like record (bigger than its first, after a host answer) was seen: credentials were shown.
    pub credssp_authenticate: Option<Timestamp>,
    /// The host answered that message with a record that is not an alert.
    pub credssp_accepted: Option<Timestamp>,
    /// The host sent a small TSRequest (errorCode) after the client's authenticate message.
    pub credssp_error: Option<Timestamp>,
    /// A four-byte host record after CredSSP: Early User Authorization Result. [MS-RDPBCGR] 2.2.10.2
    pub early_user_auth: Option<Timestamp>,
    /// MCS Connect Initial.
    pub connect_initial: Option<Timestamp>,
    /// MCS Connect Response.
    pub connect_response: Option<Timestamp>,
    /// Attach User Confirm.
    pub attach_user: Option<Timestamp>,
    /// Channel joins confirmed.
    pub joins: u8,
    /// Client Info.
    pub client_info: Option<Timestamp>,
    /// First licensing record by the host.
    pub licensing: Option<Timestamp>,
    /// The licence was granted ("valid client" sized).
    pub licensed: Option<Timestamp>,
    /// Demand Active.
    pub demand_active: Option<Timestamp>,
    /// Confirm Active.
    pub confirm_active: Option<Timestamp>,
    /// Finalization complete or session data flowing: the session is up.
    pub active: Option<Timestamp>,
    /// Before activation the host sent a Set-Error-Info-sized record (36–37) and then nine bytes.
    pub denied: Option<Timestamp>,
}

/// Why the tracker stopped reading before the session was understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GiveUp {
    /// A message could not be parsed; from then on bytes were only forwarded.
    Malformed,
    /// An opening message exceeded its stated bound.
    TooLarge,
    /// The process-wide budget for openings was used up.
    Budget,
    /// 256 KiB, 1,000 records or ten minutes passed after the handshake.
    Released,
}

impl GiveUp {
    /// All, for metrics that start at zero.
    pub const ALL: [GiveUp; 4] = [GiveUp::Malformed, GiveUp::TooLarge, GiveUp::Budget, GiveUp::Released];

    /// Label value.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            GiveUp::Malformed => "malformed",
            GiveUp::TooLarge => "too_large",
            GiveUp::Budget => "budget",
            GiveUp::Released => "released",
        }
    }
}

/// Who closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Closer {
    /// The client's socket.
    Client,
    /// The host's socket.
    Host,
    /// We did: a time-out, a limit, a drain, a failed connect.
    Proxy,
}

impl Closer {
    /// Label value.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Closer::Client => "client",
            Closer::Host => "host",
            Closer::Proxy => "proxy",
        }
    }
}

/// How a socket ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseKind {
    /// FIN.
    Fin,
    /// RST.
    Rst,
    /// A time-out of ours, or the kernel's (keep-alive, retransmission).
    Timeout,
    /// Another socket error.
    Error,
}

impl CloseKind {
    /// Label value.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            CloseKind::Fin => "fin",
            CloseKind::Rst => "rst",
            CloseKind::Timeout => "timeout",
            CloseKind::Error => "error",
        }
    }
}

/// One close as it was noticed, before anything was forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close {
    /// Whose socket.
    pub by: Closer,
    /// How.
    pub kind: CloseKind,
    /// When.
    pub at: Timestamp,
}

/// Why a name did not resolve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResolveFailure {
    /// The name does not exist, or has no address.
    NotFound,
    /// The resolver failed or could not be reached.
    ServerFailure,
    /// No answer within the connect time-out.
    Timeout,
}

/// Why no address could be connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectFailure {
    /// ECONNREFUSED: RST to the SYN.
    Refused,
    /// No answer to the SYN within the connect time-out.
    Timeout,
    /// EHOSTUNREACH or ENETUNREACH (or the route says prohibited: EACCES).
    Unreachable,
    /// ECONNRESET or ECONNABORTED while connecting.
    Reset,
    /// A local resource ran out: descriptors, ports, memory.
    Local,
    /// Anything else.
    Other,
}

/// The way to the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Upstream {
    /// Not begun, or a capture in which it cannot be seen.
    #[default]
    Unknown,
    /// Name being looked up.
    Resolving,
    /// SYN sent.
    Connecting(SocketAddr),
    /// Connected.
    Connected(SocketAddr),
    /// The name did not resolve.
    ResolveFailed {
        /// Kind.
        failure: ResolveFailure,
        /// The resolver's words.
        detail: String,
    },
    /// No address could be connected.
    ConnectFailed {
        /// The last address tried.
        address: SocketAddr,
        /// Kind.
        failure: ConnectFailure,
        /// `errno`, 0 for our own time-out.
        errno: i32,
        /// Addresses tried.
        tried: u16,
    },
}

/// What we did ourselves to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProxyAct {
    /// Refused by `max_sessions`, `max_sessions_per_client` or the descriptor limit.
    LimitRefused,
    /// A per-phase time-out struck while this was awaited.
    TimedOut(Awaiting),
    /// The drain time-out ended a live session, or a second SIGTERM did.
    Shutdown,
    /// PROXY header missing, malformed or untrusted.
    ProxyHeaderUntrusted,
    /// The original destination is not in `allow_targets`.
    TargetNotAllowed,
}

/// What the connection is waiting for, for the proxy's own time-outs. Nothing is timed after the ServerHello.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Awaiting {
    /// The client's first message, complete (`negotiate`).
    ClientRequest,
    /// The host's answer to the Connection Request (`negotiate`).
    ConnectionConfirm,
    /// The ClientHello, complete (`client_hello`).
    ClientHello,
    /// The ServerHello (`server_hello`).
    ServerHello,
    /// Nothing that may be timed.
    Nothing,
}

/// `TCP_INFO` of one leg at the end (or now, for a live session). Times in microseconds, sizes in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFacts {
    /// Smoothed round trip.
    pub rtt_us: u32,
    /// Its variation.
    pub rtt_var_us: u32,
    /// Segments retransmitted in total.
    pub retransmits: u32,
    /// Segments held for lost now.
    pub lost: u32,
    /// Segments sent and not acknowledged.
    pub unacked: u32,
    /// Maximum segment size towards the peer.
    pub mss: u32,
    /// Consecutive retransmission time-outs at the end.
    pub backoff: u8,
    /// Path MTU.
    pub pmtu: u32,
    /// Milliseconds since the last data from the peer.
    pub last_data_received_ms: u32,
}

/// Everything known of one connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    /// When the client was accepted (or its SYN seen).
    pub opened: Timestamp,
    /// When each phase was entered.
    pub phases: PhaseLog,
    /// The way to the host.
    pub upstream: Upstream,
    /// What the first client bytes were.
    pub opening: Opening,
    /// First up to 16 client bytes, kept when `opening` is `NotRdp`.
    pub first_bytes: Vec<u8>,
    /// The Connection Request.
    pub request: Option<RequestFacts>,
    /// What the host answered.
    pub answer: Option<Answer>,
    /// The first ClientHello.
    pub client_hello: Option<ClientHelloFacts>,
    /// When a HelloRetryRequest came. RFC 8446 4.1.4
    pub hello_retry: Option<Timestamp>,
    /// The ServerHello (the real one, when a HelloRetryRequest came first).
    pub server_hello: Option<ServerHelloFacts>,
    /// The host's leaf certificate, when it crossed in clear.
    pub certificate: Option<CertificateFacts>,
    /// Clear alerts, in order; at most four are kept.
    pub alerts: Vec<ClearAlert>,
    /// TLS beyond the hellos.
    pub tls: TlsProgress,
    /// RDP beyond TLS.
    pub progress: Progress,
    /// Since when TLS ends at us on both legs, and what is inside of it can be read.
    pub plaintext: Option<Timestamp>,
    /// What was said in messages that could be read, when any was.
    pub told: Option<Box<Told>>,
    /// Bytes and records per direction.
    pub traffic: PerPeer<Traffic>,
    /// The last records per direction.
    pub tail: PerPeer<Tail>,
    /// Set when the tracker stopped reading early, with when.
    pub gave_up: Option<(GiveUp, Timestamp)>,
    /// Closes in the order they were noticed; at most one per socket, and ours.
    pub closes: Vec<Close>,
    /// What we did ourselves.
    pub proxy_act: Option<ProxyAct>,
    /// What a bridge did, when it had to do with this connection.
    pub bridge: Option<Box<BridgeFacts>>,
    /// `TCP_INFO` per leg, when known.
    pub tcp: PerPeer<Option<TcpFacts>>,
}

impl Timeline {
    /// The phase the connection is in, or ended in.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phases.current()
    }

    /// The first close that was noticed.
    #[must_use]
    pub fn first_close(&self) -> Option<Close> {
        self.closes.first().copied()
    }

    /// When the last thing happened that is on record.
    #[must_use]
    pub fn last_event(&self) -> Timestamp {
        let closes = self.closes.last().map(|c| c.at);
        [self.traffic.client.last, self.traffic.host.last, closes].into_iter().flatten().max().unwrap_or(self.opened)
    }

    /// The session reached the active phase.
    #[must_use]
    pub fn reached_active(&self) -> bool {
        self.progress.active.is_some()
    }
}
