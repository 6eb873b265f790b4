//! The slow way to the same lists: one suite, or one group, per connection, with blocking sockets and no plan.

use parser::profile::{GROUPS_OF_TLS12, GROUPS_OF_TLS13, SIGNATURE_SCHEMES};
use parser::wire::tls::{Fresh, Offer};
use parser::wire::{CipherSuite, NamedGroup, Protocols, SuiteClass, TlsVersion, connection_request};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// Every suite that the host takes in `version` when it is offered alone, by code.
pub(crate) fn suites(host: SocketAddr, version: TlsVersion) -> Vec<u16> {
    let of_13 = version.is_tls13();
    let secret = |suite: &&str| ["PSK", "KRB5", "SRP", "ECCPWD"].contains(suite);
    CipherSuite::all()
        .filter(|suite| {
            suite.class != SuiteClass::Signal && suite.min <= version && (suite.min == TlsVersion::TLS13) == of_13
        })
        .filter(|suite| !secret(&suite.authentication) && !secret(&suite.key_exchange) && suite.code != 0)
        .map(|suite| suite.code)
        .filter(|code| {
            chosen(host, &offer(version, vec![CipherSuite(*code)], all_groups(version))) == Some((version, *code))
        })
        .collect()
}

/// Every group that the host takes in `version` when it is offered alone with `suites`, by code.
pub(crate) fn groups(host: SocketAddr, version: TlsVersion, suites: &[CipherSuite]) -> Vec<u16> {
    let takes = |group: &NamedGroup| chosen(host, &offer(version, suites.to_vec(), vec![*group])).is_some();
    all_groups(version).into_iter().filter(takes).map(|group| group.0).collect()
}

fn all_groups(version: TlsVersion) -> Vec<NamedGroup> {
    if version.is_tls13() { GROUPS_OF_TLS13.to_vec() } else { GROUPS_OF_TLS12.to_vec() }
}

fn offer(version: TlsVersion, suites: Vec<CipherSuite>, groups: Vec<NamedGroup>) -> Offer {
    let of_13 = version.is_tls13();
    let old = version == TlsVersion::SSL3;
    Offer {
        record_version: version.min(TlsVersion::TLS10),
        legacy_version: version.min(TlsVersion::TLS12),
        supported_versions: if of_13 { vec![version] } else { vec![] },
        suites,
        key_shares: of_13.then(|| groups.iter().copied().take(1).collect()),
        groups: if old { vec![] } else { groups },
        signature_schemes: if version >= TlsVersion::TLS12 { SIGNATURE_SCHEMES.to_vec() } else { vec![] },
        renegotiation_info: !old,
        ..Offer::default()
    }
}

/// Version and suite of the ServerHello, if that is what comes back.
fn chosen(host: SocketAddr, offer: &Offer) -> Option<(TlsVersion, u16)> {
    let mut socket = TcpStream::connect(host).ok()?;
    socket.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    socket.write_all(&connection_request(Some(Protocols(1)))).ok()?;
    let mut confirm = [0; 19];
    socket.read_exact(&mut confirm).ok()?;
    socket.write_all(&offer.build(&Fresh { random: [3; 32], seed: [4; 32] })).ok()?;
    let mut header = [0; 5];
    socket.read_exact(&mut header).ok()?;
    let mut record = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
    socket.read_exact(&mut record).ok()?;
    let _ = socket.shutdown(Shutdown::Write);
    let mut rest = Vec::new();
    let _ = socket.take(1 << 20).read_to_end(&mut rest);
    let hello = parser::wire::ServerHello::parse(&record).value().filter(|_| header[0] == 22)?;
    Some((hello.version(), hello.suite.0))
}
