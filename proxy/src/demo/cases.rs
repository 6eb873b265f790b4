//! The tour: every case as one entry of a table, in the order of a session's life.

use super::case::{Case, Expected, Host, Visit};
use super::rdp::{self, HYBRID, HYBRID_EX, MSTSC, RDSAAD, SSL};
use super::script::Certificate::{self, Ecdsa, Expired, Good, NotYetValid, OtherName, UnknownAuthority};
use super::script::Step::{
    AwaitEnd, ClientTls, Confirm, Exchange, HalfClose, HostTls, ReadHello, ReadPacket, ReadSome, Refuse, Request,
    Reset, Send,
};
use super::script::{self, Step, Suites, Versions};
use parser::diagnosis::Cause;
use parser::session::Phase;

/// Every case, in the order of the tour.
pub(super) const CASES: &[Case] = &[
    // The way to the host.
    Case {
        name: "no-such-name",
        about: "The listener's upstream is a name that no DNS server knows",
        host: Host::Named("rds-retired.invalid"),
        visits: &[Visit { client: &[ASK, ReadPacket], expected: is(Cause::DnsFailure, &[Phase::Resolve]) }],
    },
    Case {
        name: "port-closed",
        about: "Remote Desktop is switched off: nothing listens on the host's port",
        host: Host::ClosedPort,
        visits: &[Visit { client: &[ASK, ReadPacket], expected: is(Cause::TcpRefused, &[Phase::Tcp]) }],
    },
    // Who never was a user.
    Case {
        name: "health-check",
        about: "A load balancer connects, says nothing and leaves",
        host: Host::Plays(&[&[AwaitEnd]]),
        visits: &[Visit { client: &[], expected: is(Cause::ClientSentNothing, &[Phase::Accept]) }],
    },
    Case {
        name: "scanner",
        about: "Somebody speaks HTTP to the RDP port",
        host: Host::Plays(&[&[ReadSome]]),
        visits: &[Visit {
            client: &[Send(b"GET / HTTP/1.1\r\nHost: rds01.example.net\r\nUser-Agent: zgrab/0.x\r\n\r\n"), AwaitEnd],
            expected: is(Cause::NotRdp, &[Phase::X224]),
        }],
    },
    // Negotiation.
    Case {
        name: "hung-service",
        about: "The host takes the connection and never answers the request",
        host: Host::Plays(&[&[ReadPacket, AwaitEnd]]),
        visits: &[Visit { client: &[ASK, AwaitEnd], expected: is(Cause::HalfOpenAfterAccept, &[Phase::X224]) }],
    },
    Case {
        name: "reset-on-request",
        about: "The host resets the connection when it reads the request",
        host: Host::Plays(&[&[ReadPacket, Reset]]),
        visits: &[Visit { client: &[ASK, AwaitEnd], expected: is(Cause::ClosedBeforeCc, &[Phase::X224]) }],
    },
    Case {
        name: "tls-required",
        about: "An old client asks for standard RDP security, the host wants TLS",
        host: Host::Plays(&[&[ReadPacket, Refuse(1), AwaitEnd]]),
        visits: &[Visit {
            client: &[Request { user: "carol", protocols: rdp::RDP }, ReadPacket],
            expected: is(Cause::NegSslRequired, &[Phase::X224]),
        }],
    },
    Case {
        name: "tls-switched-off",
        about: "The host's security layer is set to RDP: it refuses TLS",
        host: Host::Plays(&[&[ReadPacket, Refuse(2), AwaitEnd]]),
        visits: &[Visit { client: &[ASK, ReadPacket], expected: is(Cause::NegSslNotAllowed, &[Phase::X224]) }],
    },
    Case {
        name: "no-certificate",
        about: "The host has lost its certificate",
        host: Host::Plays(&[&[ReadPacket, Refuse(3), AwaitEnd]]),
        visits: &[Visit { client: &[ASK, ReadPacket], expected: is(Cause::NegSslCertMissing, &[Phase::X224]) }],
    },
    Case {
        name: "nla-required",
        about: "The client cannot do Network Level Authentication, the host insists",
        host: Host::Plays(&[&[ReadPacket, Refuse(5), AwaitEnd]]),
        visits: &[Visit {
            client: &[Request { user: "carol", protocols: SSL }, ReadPacket],
            expected: is(Cause::NlaRequired, &[Phase::X224]),
        }],
    },
    Case {
        name: "entra-id-at-xrdp",
        about: "mstsc asks with the Entra ID option, an xrdp hangs up on the unknown bit",
        host: Host::Plays(&[&[ReadPacket, Send(rdp::ULTIMATUM)]]),
        visits: &[Visit {
            client: &[Request { user: "carol", protocols: MSTSC | RDSAAD }, AwaitEnd],
            expected: is(Cause::NegUnknownProtocolBits, &[Phase::X224]),
        }],
    },
    Case {
        name: "weaker-than-asked",
        about: "The client asks for TLS, the host without a certificate falls back to RDP security",
        host: Host::Plays(&[&[ReadPacket, Confirm(rdp::RDP), AwaitEnd]]),
        visits: &[Visit {
            client: &[Request { user: "carol", protocols: SSL }, ReadPacket],
            expected: is(Cause::ServerSelectedWeaker, &[Phase::X224]),
        }],
    },
    // TLS, before the ServerHello.
    Case {
        name: "silent-client",
        about: "The client takes the answer and never begins TLS",
        host: Host::Plays(&[&[ReadPacket, Confirm(HYBRID), AwaitEnd]]),
        visits: &[Visit {
            client: &[ASK, ReadPacket, AwaitEnd],
            expected: is(Cause::ClientHelloTimeout, &[Phase::TlsHello]),
        }],
    },
    Case {
        name: "silent-host",
        about: "The host reads the ClientHello and stalls",
        host: Host::Plays(&[&[ReadPacket, Confirm(HYBRID), ReadHello, AwaitEnd]]),
        visits: &[Visit {
            client: &[ASK, ReadPacket, TLS_CLIENT],
            expected: is(Cause::TlsHandshakeTimeout, &[Phase::TlsHello]),
        }],
    },
    Case {
        name: "reset-on-hello",
        about: "Every ClientHello is answered by RST",
        host: Host::Plays(&[&[ReadPacket, Confirm(HYBRID), ReadHello, Reset]]),
        visits: &[Visit {
            client: &[ASK, ReadPacket, TLS_CLIENT],
            expected: is(Cause::CertPrivateKeyUnusable, &[Phase::TlsHello]),
        }],
    },
    Case {
        name: "half-close-on-hello",
        about: "The host half-closes after every ClientHello, without an alert",
        host: Host::Plays(&[&[ReadPacket, Confirm(HYBRID), ReadHello, HalfClose]]),
        visits: &[Visit {
            client: &[ASK, ReadPacket, TLS_CLIENT],
            expected: is(Cause::CertPrivateKeyUnusable, &[Phase::TlsHello]),
        }],
    },
    Case {
        name: "tls12-client",
        about: "The client speaks TLS 1.2 at most, the host 1.3 only",
        host: Host::Plays(&[&[ReadPacket, Confirm(HYBRID), host_tls(Good, Versions::Tls13, Suites::All)]]),
        visits: &[Visit {
            client: &[ASK, ReadPacket, client_tls(Versions::Tls12, Suites::All)],
            expected: is(Cause::TlsNoCommonVersion, &[Phase::TlsHello]),
        }],
    },
    Case {
        name: "no-common-suite",
        about: "TLS 1.2 on both sides: AES-GCM offered, ChaCha20 accepted",
        host: Host::Plays(&[&[ReadPacket, Confirm(HYBRID), host_tls(Good, Versions::Tls12, Suites::ChachaOnly)]]),
        visits: &[Visit {
            client: &[ASK, ReadPacket, client_tls(Versions::Tls12, Suites::AesOnly)],
            expected: is(Cause::TlsNoCommonCipher, &[Phase::TlsHello]),
        }],
    },
    Case {
        name: "wrong-key-type",
        about: "The host has an ECDSA certificate, the client offers suites for RSA keys only",
        host: Host::Plays(&[&[ReadPacket, Confirm(HYBRID), host_tls(Ecdsa, Versions::Tls12, Suites::All)]]),
        visits: &[Visit {
            client: &[ASK, ReadPacket, client_tls(Versions::Tls12, Suites::RsaKeyOnly)],
            expected: is(Cause::TlsCertKeyTypeMismatch, &[Phase::TlsHello]),
        }],
    },
    Case {
        name: "tls-without-x224",
        about: "A tool begins with TLS at a host that wants the RDP request first",
        host: Host::Plays(&[&[ReadSome, Send(rdp::ULTIMATUM), Reset]]),
        visits: &[Visit { client: &[TLS_CLIENT], expected: is(Cause::TlsHelloWithoutNegotiation, &[Phase::X224]) }],
    },
    // TLS, after the ServerHello.
    Case {
        name: "certificate-expired",
        about: "The host's certificate ended three days ago, the client verifies",
        host: Host::Plays(&[&[ReadPacket, Confirm(HYBRID), host_tls(Expired, Versions::Tls12, Suites::All)]]),
        visits: &[Visit {
            client: &[ASK, ReadPacket, TLS_CLIENT],
            expected: is(Cause::CertExpired, &[Phase::TlsFinish]),
        }],
    },
    Case {
        name: "certificate-in-future",
        about: "The host's certificate begins in three days: a clock is wrong",
        host: Host::Plays(&[&[ReadPacket, Confirm(HYBRID), host_tls(NotYetValid, Versions::Tls12, Suites::All)]]),
        visits: &[Visit {
            client: &[ASK, ReadPacket, TLS_CLIENT],
            expected: is(Cause::CertNotYetValid, &[Phase::TlsFinish]),
        }],
    },
    Case {
        name: "unknown-authority",
        about: "The certificate's issuer was never given to the client",
        host: Host::Plays(&[&[ReadPacket, Confirm(HYBRID), host_tls(UnknownAuthority, Versions::Tls12, Suites::All)]]),
        visits: &[Visit {
            client: &[ASK, ReadPacket, TLS_CLIENT],
            expected: is(Cause::CertUntrustedCa, &[Phase::TlsFinish]),
        }],
    },
    Case {
        name: "other-name",
        about: "The certificate carries another name than the client typed",
        host: Host::Plays(&[&[ReadPacket, Confirm(HYBRID), host_tls(OtherName, Versions::Tls12, Suites::All)]]),
        visits: &[Visit {
            client: &[ASK, ReadPacket, TLS_CLIENT],
            expected: is(Cause::CertNameMismatch, &[Phase::TlsFinish]),
        }],
    },
    Case {
        name: "gateway-401",
        about: "An RD Gateway leg: TLS is fine, what ends it is inside",
        host: Host::Plays(&[&[TLS_HOST, Exchange(&[rdp::GATEWAY_REFUSAL])]]),
        visits: &[Visit {
            client: &[TLS_CLIENT, Exchange(&[rdp::GATEWAY_REFUSAL])],
            expected: is(Cause::RdgClosedAfterTls, &[Phase::TlsFinish]),
        }],
    },
    // Inside TLS, told by the sizes of records.
    Case {
        name: "wrong-password",
        about: "NLA: the host closes when it has read the client's credentials",
        host: Host::Plays(&[&[ReadPacket, Confirm(HYBRID), TLS_HOST, Exchange(&[rdp::CREDSSP_UNTIL_AUTHENTICATE])]]),
        visits: &[Visit {
            client: &[ASK, ReadPacket, TLS_CLIENT, Exchange(&[rdp::CREDSSP_UNTIL_AUTHENTICATE]), AwaitEnd],
            expected: is(Cause::NlaAuthRefused, &[Phase::Credssp]),
        }],
    },
    Case {
        name: "server-denied",
        about: "The host is in drain mode: it refuses after the channels are joined",
        host: Host::Plays(&[&[
            ReadPacket,
            Confirm(HYBRID_EX),
            TLS_HOST,
            Exchange(&[rdp::CREDSSP, rdp::MCS, rdp::CLIENT_INFO, rdp::DENIED]),
        ]]),
        visits: &[Visit {
            client: &[
                ASK,
                ReadPacket,
                TLS_CLIENT,
                Exchange(&[rdp::CREDSSP, rdp::MCS, rdp::CLIENT_INFO, rdp::DENIED]),
                AwaitEnd,
            ],
            expected: is(Cause::ServerDenied0x7, &[Phase::ClientInfo]),
        }],
    },
    Case {
        name: "host-crash",
        about: "The host resets a session that was up and running",
        host: Host::Plays(&[&[ReadPacket, Confirm(HYBRID_EX), TLS_HOST, SESSION, Reset]]),
        visits: &[Visit {
            client: &[ASK, ReadPacket, TLS_CLIENT, SESSION, AwaitEnd],
            expected: is(Cause::HostClosedActive, &[Phase::Active]),
        }],
    },
    // What is no failure.
    Case {
        name: "prompt",
        about: "mstsc drops its first connection while it asks for the password, then comes back",
        host: Host::Plays(&[
            &[ReadPacket, Confirm(HYBRID_EX), TLS_HOST, AwaitEnd],
            &[ReadPacket, Confirm(HYBRID_EX), TLS_HOST, SESSION, AwaitEnd],
        ]),
        visits: &[
            Visit {
                client: &[ASK, ReadPacket, TLS_CLIENT, HalfClose],
                expected: is(Cause::ClientPromptProbe, &[Phase::Credssp]),
            },
            Visit {
                client: &[ASK, ReadPacket, TLS_CLIENT, SESSION, Exchange(&[rdp::CLIENT_LEAVES])],
                expected: is(Cause::Ok, &[Phase::Active]),
            },
        ],
    },
    Case {
        name: "healthy",
        about: "A good session over TLS 1.3; the user closes the window",
        host: Host::Plays(&[&[
            ReadPacket,
            Confirm(HYBRID_EX),
            TLS_HOST,
            SESSION,
            Exchange(&[rdp::CLIENT_LEAVES]),
            AwaitEnd,
        ]]),
        visits: &[Visit {
            client: &[ASK, ReadPacket, TLS_CLIENT, SESSION, Exchange(&[rdp::CLIENT_LEAVES])],
            expected: is(Cause::Ok, &[Phase::Active]),
        }],
    },
    Case {
        name: "healthy-reset",
        about: "A good session over TLS 1.2; mstsc answers the log-off with RST, as it always does",
        host: Host::Plays(&[&[
            ReadPacket,
            Confirm(HYBRID_EX),
            host_tls(Good, Versions::Tls12, Suites::All),
            SESSION,
            Exchange(&[rdp::HOST_LEAVES]),
            AwaitEnd,
        ]]),
        visits: &[Visit {
            client: &[ASK, ReadPacket, TLS_CLIENT, SESSION, Exchange(&[rdp::HOST_LEAVES]), Reset],
            expected: is(Cause::Ok, &[Phase::Active]),
        }],
    },
];

/// What mstsc asks for, with the cookie of a user.
const ASK: Step = Request { user: "alice", protocols: MSTSC };
/// All that leads to a desktop, and its first picture.
const SESSION: Step = Exchange(&[rdp::CREDSSP, rdp::MCS, rdp::CLIENT_INFO, rdp::ACTIVATION]);
/// A host with nothing wrong about its TLS.
const TLS_HOST: Step = host_tls(Good, Versions::Both, Suites::All);
/// A client with nothing wrong about its TLS.
const TLS_CLIENT: Step = client_tls(Versions::Both, Suites::All);

const fn is(cause: Cause, phases: &'static [Phase]) -> Expected {
    Expected { cause, phases }
}

const fn host_tls(certificate: Certificate, versions: Versions, suites: Suites) -> Step {
    HostTls(script::HostTls { certificate, versions, suites })
}

const fn client_tls(versions: Versions, suites: Suites) -> Step {
    ClientTls(script::ClientTls { versions, suites })
}

#[cfg(test)]
mod tests {
    use super::*;
    use parser::diagnosis::Outcome;
    use std::collections::BTreeSet;

    #[test]
    fn every_case_has_a_listener_name_of_its_own() {
        let names: BTreeSet<&str> = CASES.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), CASES.len());
        assert!(names.contains(super::super::HEALTHY));
    }

    #[test]
    fn the_tour_shows_faults_and_sessions_that_are_none() {
        let all = || CASES.iter().flat_map(|case| case.visits).map(|visit| visit.expected.cause);
        let faults: BTreeSet<Cause> = all().filter(|cause| cause.outcome() == Outcome::Failure).collect();
        assert!(faults.len() >= 12, "{faults:?}");
        assert!(all().filter(|cause| cause.outcome() == Outcome::Success).count() >= 3);
        assert!(all().any(|cause| cause.outcome() == Outcome::Unknown));
    }
}
