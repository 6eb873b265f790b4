//! What an embedded host or client does, as data: a list of steps.
//!
//! The same vocabulary serves both ends. `actor` carries the steps out on a socket.

use parser::session::Peer;

/// One thing that an end of a connection does. A list that is at its end closes in order: close_notify where TLS is
/// up, then FIN, then it reads until the other end has closed too.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// Sends a Connection Request. [MS-RDPBCGR] 2.2.1.1
    Request {
        /// Value of the `mstshash` cookie.
        user: &'static str,
        /// requestedProtocols.
        protocols: u32,
    },
    /// Sends a Connection Confirm that selects this protocol. [MS-RDPBCGR] 2.2.1.2.1
    Confirm(u32),
    /// Sends a Connection Confirm that refuses with this code. [MS-RDPBCGR] 2.2.1.2.2
    Refuse(u32),
    /// Sends these bytes as they are.
    Send(&'static [u8]),
    /// Reads one TPKT packet: the other end's request or answer.
    ReadPacket,
    /// Reads one whole TLS record, the ClientHello, and leaves it unanswered.
    ReadHello,
    /// Reads the first bytes, whatever they are.
    ReadSome,
    /// A TLS handshake as the host.
    HostTls(HostTls),
    /// A TLS handshake as the client.
    ClientTls(ClientTls),
    /// Parts of a session, one after the other: messages in turn, one TLS record each; each end writes its own and reads
    /// the other's.
    Exchange(&'static [&'static [Turn]]),
    /// FIN, and nothing more is sent. What the other end sends is still read, until it closes.
    HalfClose,
    /// RST: closes with SO_LINGER 0, whatever is unsent or unread.
    Reset,
    /// Says nothing and reads until the other end closes.
    AwaitEnd,
}

/// Messages of one end, by their plaintext sizes in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    /// Who sends them.
    pub(super) from: Peer,
    /// One record each.
    pub(super) sizes: &'static [u16],
}

/// How an embedded host speaks TLS.
#[derive(Clone, Copy, Debug)]
pub(super) struct HostTls {
    /// The certificate it shows.
    pub(super) certificate: Certificate,
    /// The versions it accepts.
    pub(super) versions: Versions,
    /// The suites it accepts.
    pub(super) suites: Suites,
}

/// How an embedded client speaks TLS. It always verifies the host's certificate against the authority of the demo.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClientTls {
    /// The versions it offers.
    pub(super) versions: Versions,
    /// The suites it offers.
    pub(super) suites: Suites,
}

/// The certificates that hosts may show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Certificate {
    /// RSA, valid, by the authority that clients trust.
    Good,
    /// Its last day was three days ago.
    Expired,
    /// Its first day is in three days.
    NotYetValid,
    /// Valid, but by an authority that no client knows.
    UnknownAuthority,
    /// Valid, but with another name.
    OtherName,
    /// Valid, with an ECDSA key.
    Ecdsa,
}

/// TLS versions that an end speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Versions {
    /// 1.2 and 1.3.
    Both,
    /// 1.2 alone.
    Tls12,
    /// 1.3 alone.
    Tls13,
}

/// Cipher suites that an end speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suites {
    /// All that rustls has.
    All,
    /// Of TLS 1.2, only those for a host with an RSA key.
    RsaKeyOnly,
    /// Of TLS 1.2, only AES-GCM.
    AesOnly,
    /// Of TLS 1.2, only ChaCha20-Poly1305.
    ChachaOnly,
}
