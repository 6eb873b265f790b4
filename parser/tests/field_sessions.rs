//! Sessions as administrators meet them, of every generation of client and host: those that end in order are ok, those that
//! are cut are not, however they are seen.

mod support;

use parser::Timestamp;
use parser::diagnosis::{Cause, Confidence, End, Outcome, Side};
use parser::session::{Awaiting, CloseKind, Closer, Peer, Phase};
use support::field::{Seen, Step, Story};
use support::told::{
    ACTIVE, DRAWING, KERBEROS_EX, LICENSED, MCS, NTLM, NTLM_EX, assert_called, assert_ok, suites, told, up,
};
use support::{
    CONTENT_CCS, CONTENT_DATA, CONTENT_HANDSHAKE, HYBRID, HYBRID_EX, Happening, RDSTLS, SSL, Settled, client_hello,
    connection_confirm, connection_request, fresh, handshake, opening, record, sealed, server_hello,
};

/// Every generation of authentication there is.
const AUTHENTICATIONS: [(u32, &str); 6] = [
    (SSL, ""),
    (HYBRID, NTLM),
    (HYBRID_EX, NTLM_EX),
    (HYBRID_EX, KERBEROS_EX),
    (RDSTLS, "S8 C600 S10"),
    (HYBRID, "C175 S1351 C1887 S227 C191 S103 C361"),
];

#[test]
fn every_generation_of_session_that_ends_in_order_is_ok() {
    for settled in suites() {
        for (selected, authentication) in AUTHENTICATIONS {
            // A greeting of eight bytes came after TLS 1.0; with blocks it is not told from other things.
            if selected == RDSTLS
                && !Settled::EXACT.iter().any(|s| s.suite == settled.suite && s.version == settled.version)
            {
                continue;
            }
            let session = || up(settled, selected, authentication);
            let name = format!("{settled:?} {selected} {authentication}");
            assert_ok(
                &format!("window closed, {name}"),
                &session().records(settled, "C33 S33 C9 CA").client_fin(),
                End::UserClosed,
            );
            assert_ok(&format!("closed without a word, {name}"), &session().client_fin(), End::UserClosed);
            assert_ok(&format!("client killed, {name}"), &session().client_rst(), End::ClientGone);
            assert_ok(
                &format!("logoff, mstsc resets, {name}"),
                &session().records(settled, "S9").client_rst(),
                End::HostEnded,
            );
            assert_ok(
                &format!("logoff, host closes, {name}"),
                &session().records(settled, "S9").host_fin(),
                End::HostEnded,
            );
            assert_ok(
                &format!("admin disconnect, {name}"),
                &session().records(settled, "S36 S9").host_fin().client_fin(),
                End::HostEnded,
            );
            assert_ok(
                &format!("both fins, {name}"),
                &session().records(settled, "CA SA").host_fin().client_fin(),
                End::UserClosed,
            );
            assert_ok(
                &format!("half-close, then the host goes on, {name}"),
                &session().client_fin().records(settled, "S4000 S4000 S4000 S4000 S4000").host_fin(),
                End::UserClosed,
            );
            assert_ok(
                &format!("host says a TLS goodbye only, {name}"),
                &session().records(settled, "SA").host_fin(),
                End::HostEnded,
            );
        }
    }
}

#[test]
fn a_session_that_is_cut_is_no_orderly_end_even_while_the_mouse_moves() {
    for settled in Settled::EXACT {
        // A fast-path input PDU with one mouse event has nine bytes, as a disconnect has.
        let moving = up(settled, HYBRID_EX, NTLM_EX).records(settled, "C9 C9 C9 S1400 C9 C9");
        for story in [moving.clone().host_rst(), moving.clone().host_fin()] {
            assert_called(
                "host dies while the mouse moves",
                &story,
                (Cause::HostClosedActive, Side::Host, Phase::Active, Confidence::Possible),
            );
        }
        assert_ok("client killed while the mouse moves", &moving.clone().client_rst(), End::ClientGone);
        assert_called(
            "client's nine bytes, then a reset by the host",
            &up(settled, SSL, "").records(settled, "C31 C9").host_rst(),
            (Cause::HostClosedActive, Side::Host, Phase::Active, Confidence::Possible),
        );
        let answered =
            told("nine bytes, host closes", &up(settled, SSL, "").records(settled, "C31 C9").host_fin(), &[]);
        assert_eq!((answered.cause, answered.confidence), (Cause::Ok, Confidence::Possible), "{answered:?}");
        // The host's goodbye is the last word although the user had just moved the mouse.
        let logoff = moving.records(settled, "S9").client_rst();
        let verdict = told("logoff after a mouse move", &logoff, &[]);
        assert_eq!((verdict.cause, verdict.end), (Cause::Ok, Some(End::HostEnded)), "{verdict:?}");
    }
}

#[test]
fn legs_that_die_by_themselves_name_the_network_of_that_leg() {
    for settled in [Settled::GCM, Settled::TLS13, Settled::CBC12] {
        let session = || up(settled, HYBRID, NTLM).wait(3_000);
        assert_called(
            "laptop sleeps",
            &session().close(Closer::Client, CloseKind::Timeout),
            (Cause::ClientSideNetworkLoss, Side::Network, Phase::Active, Confidence::Possible),
        );
        assert_called(
            "host loses power",
            &session().close(Closer::Host, CloseKind::Timeout),
            (Cause::ServerResetInSession, Side::Host, Phase::Active, Confidence::Possible),
        );
        assert_called(
            "host reboots",
            &session().host_rst(),
            (Cause::HostClosedActive, Side::Host, Phase::Active, Confidence::Possible),
        );
    }
}

#[test]
fn tls_1_3_oddities_leave_a_session_healthy() {
    let settled = Settled::TLS13;
    let mut big = vec![];
    for happening in opening(SSL, settled) {
        big.push(happening.clone());
        // A chain that fills records, and one more.
        if matches!(&happening, Happening::Bytes(Peer::Host, bytes) if bytes.first() == Some(&20)) {
            big.extend([16_401, 16_401, 4_000].map(|n| Happening::Bytes(Peer::Host, sealed(CONTENT_DATA, n))));
        }
    }
    let rest = |story: Story| story.records(settled, MCS).records(settled, LICENSED).records(settled, ACTIVE);
    assert_ok("big certificates", &rest(Story::new().all(big)).client_fin(), End::UserClosed);
    let tickets = "C462 S233 S233 S126 C12 C8 S11 C12 S15";
    let four = Story::new().all(opening(SSL, settled)).records(settled, "S233 S233 S233 S233").records(settled, MCS);
    assert_ok(
        "four tickets first",
        &four.records(settled, LICENSED).records(settled, ACTIVE).client_fin(),
        End::UserClosed,
    );
    let mixed = Story::new().all(opening(SSL, settled)).records(settled, tickets);
    assert_ok(
        "tickets mixed in",
        &mixed.records(settled, LICENSED).records(settled, ACTIVE).client_fin(),
        End::UserClosed,
    );
    // KeyUpdate is a message of five bytes; later tickets come at any time.
    let updated = Story::new().all(opening(HYBRID, settled)).records(settled, NTLM).records(settled, MCS);
    let updated =
        updated.records(settled, "C5 S5").records(settled, LICENSED).records(settled, "S5 C5").records(settled, ACTIVE);
    assert_ok("key updates in the middle", &updated.records(settled, "S233 S5 C5").client_fin(), End::UserClosed);
}

#[test]
fn padded_records_never_make_a_long_session_a_failure() {
    let settled = Settled::TLS13;
    let mut story = Story::new().all(opening(HYBRID, settled));
    for _ in 0..40 {
        story = story.records(settled, "C512 S512");
    }
    for _ in 0..10 {
        story = story.records(settled, "S16384 C512");
    }
    let verdict = told("padded", &story.client_fin(), &[]);
    assert_eq!(verdict.outcome(), Outcome::Success, "{verdict:#?}");
}

/// From the ClientHello to both Finished, TLS 1.2 resumed by session id or by ticket.
fn resumed(settled: Settled) -> Story {
    Story::new()
        .client(&connection_request(SSL))
        .host(&connection_confirm(SSL))
        .client(&client_hello())
        .host(&server_hello(settled, [9; 32], &[5; 32]))
        .host(&record(CONTENT_CCS, &[1]))
        .host(&sealed(CONTENT_HANDSHAKE, settled.seal(16)))
        .client(&record(CONTENT_CCS, &[1]))
        .client(&sealed(CONTENT_HANDSHAKE, settled.seal(16)))
}

#[test]
fn resumed_and_renegotiated_handshakes_leave_a_session_healthy() {
    for settled in suites().filter(|s| !s.is_tls13()) {
        let rest = |story: Story| story.records(settled, MCS).records(settled, LICENSED).records(settled, ACTIVE);
        assert_ok("resumed", &rest(resumed(settled)).records(settled, DRAWING).client_fin(), End::UserClosed);
        let mut story = rest(resumed(settled)).records(settled, DRAWING);
        for from in [Peer::Host, Peer::Client, Peer::Host, Peer::Client, Peer::Host] {
            let bytes = sealed(CONTENT_HANDSHAKE, settled.seal(300));
            story = if from == Peer::Client { story.client(&bytes) } else { story.host(&bytes) };
        }
        assert_ok(
            "renegotiated",
            &story.records(settled, DRAWING).records(settled, "C9").client_fin(),
            End::UserClosed,
        );
    }
}

#[test]
fn nothing_after_the_server_hello_is_timed() {
    for settled in suites() {
        let all = up(settled, HYBRID_EX, NTLM_EX).0;
        for cut in 4..all.len() {
            let timeline = Story(all[..cut].to_vec());
            let mut session = fresh();
            let mut clock = 0;
            for step in &timeline.0 {
                let Step::Bytes(from, bytes) = step else { continue };
                clock += 1_000_000;
                session.data(*from, bytes, Timestamp(clock));
            }
            assert_eq!(session.awaiting().0, Awaiting::Nothing, "{settled:?} after {cut} messages");
        }
    }
}

#[test]
fn gateway_legs_that_carried_a_session_are_ok_however_they_end() {
    for settled in [Settled::TLS13, Settled::GCM, Settled::CBC12] {
        let mut out = Story::new().all(handshake(settled)).records(settled, "C348 S298 C756 S62");
        for _ in 0..20 {
            out = out.records(settled, "S8000 C60");
        }
        let out = out.wait(4_000);
        for story in [
            out.clone().client_fin(),
            out.clone().client_rst(),
            out.clone().records(settled, "CA").host_fin(),
            out.clone().records(settled, "SA").host_fin(),
        ] {
            let verdict = told("OUT channel", &story, &[]);
            assert_eq!(verdict.cause, Cause::Ok, "{settled:?}: {verdict:#?}");
        }
        let refused = Story::new().all(handshake(settled)).records(settled, "C700 S880 C1440 S450 SA").host_fin();
        let verdict = told("refused", &refused, &[]);
        assert_eq!(
            (verdict.cause, verdict.confidence),
            (Cause::RdgClosedAfterTls, Confidence::Possible),
            "{verdict:#?}"
        );
    }
}

/// The records of an inner connection, as an outer one carries each of them: header, and what `settled` adds.
fn wrapped(settled: Settled, words: &str) -> String {
    let wrap = |word: &str| {
        let (from, size) = word.split_at(1);
        format!("{from}{}", 5 + settled.seal(size.parse().expect("a size")))
    };
    words.split_whitespace().map(wrap).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_short_session_inside_of_plain_tls_is_no_failure_of_a_gateway() {
    for outer in Settled::EXACT {
        for joins in JOINS {
            for activation in ACTIVATIONS {
                let clear = format!("C43 S19 {joins} C345 S34 {activation} S1400 C29 S260 C29");
                let inner_tls = "C43 S19 C305 S1800 C80";
                let inside = |inner| {
                    let words = format!("{joins} C345 S34 {activation} S1400 C29 S260 C29");
                    format!("{inner_tls} {}", wrapped(inner, &words))
                };
                for records in [clear, inside(Settled::GCM), inside(Settled::TLS13)] {
                    let up = Story::new().all(handshake(outer)).records(outer, &records);
                    for story in [up.clone().records(outer, "CA").client_fin(), up.clone().client_rst()] {
                        let verdict = told("wrapped", &story, &[]);
                        assert_eq!(verdict.cause, Cause::Ok, "{outer:?} {records}: {verdict:#?}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_session_that_breaks_off_inside_of_plain_tls_is_not_taken_for_one_that_was_up() {
    for outer in Settled::EXACT {
        // Refused after capabilities, with the reason; and a gateway's exchange, whose records all differ.
        for records in
            ["C43 S19 C462 S126 C12 C8 S11 C345 S34 S472 C611 C36 C40 C40 S36 S9", "C700 S880 C140 C144 S450"]
        {
            let verdict =
                told("broken off", &Story::new().all(handshake(outer)).records(outer, records).host_fin(), &[]);
            assert_eq!(verdict.cause, Cause::RdgClosedAfterTls, "{verdict:#?}");
        }
    }
}

#[test]
fn clear_gateway_http_behind_a_tls_terminator_is_judged_by_volume() {
    let outward = b"RDG_OUT_DATA /remoteDesktopGateway/ HTTP/1.1\r\nHost: gw\r\n\r\n";
    let inward = b"RDG_IN_DATA /remoteDesktopGateway/ HTTP/1.1\r\nHost: gw\r\n\r\n";
    let much = vec![7; 80_000];
    let out = || Story::new().client(outward).host(b"HTTP/1.1 200 OK\r\n\r\n").host(&much).wait(600);
    let into = || Story::new().client(inward).host(b"HTTP/1.1 200 OK\r\n\r\n").client(&much).wait(600);
    for story in [out().client_fin(), out().client_rst(), out().host_fin(), into().client_fin(), into().host_fin()] {
        let verdict = told("clear HTTP", &story, &[]);
        assert_eq!((verdict.cause, verdict.phase), (Cause::Ok, Phase::Active), "{verdict:#?}");
    }
    let refused = Story::new().client(outward).host(b"HTTP/1.1 401 Unauthorized\r\n\r\n").client_fin();
    let verdict = told("refused", &refused, &[]);
    assert_eq!((verdict.cause, verdict.confidence), (Cause::RdgClosedAfterTls, Confidence::Possible), "{verdict:#?}");
}

/// What real clients and hosts put between TLS and the desktop.
const JOINS: [&str; 5] = [
    "C462 S126 C12 C8 S11 C12 S15 C12 S15 C12 S15",
    // Skip-channel-join. [MS-RDPBCGR] 2.2.1.3.2
    "C462 S126 C12 C8 S11",
    "C462 S126 C20 S11 C12 S15 C12 S15",
    // Many monitors, and the message channel.
    "C900 S134 C12 C8 S11 C12 S15 C12 S15 C12 S15 C12 S15 C12 S15 C12 S15 C12 S15 C12 S15",
    "C462 S126 C12 C8 S11 C12 C12 C12 S15 S15 S15",
];
const LICENCES: [&str; 8] = [
    "C433 S34",
    "C339 S35",
    "C339 S337 C156 S34",
    "C433 S2200 C900 S180 C300 S34",
    // Connect-time detection of round trip and bandwidth, before and after licensing.
    "C433 S25 C25 S34",
    "C433 S25 C25 S25 S1040 S1040 S33 C39 S34",
    "C433 S34 S25 C25",
    // Initiate Multitransport, twice, and the answers.
    "C433 S34 S43 S43 C31 C31",
];
const ACTIVATIONS: [&str; 5] = [
    "S472 C611 C36 C40 C40 S36 S40 C40 S40 S40",
    "S425 C550 C37 C41 C41 C41 S36 S40 S40 S40",
    "S472 C611 C36 C40 C40 C40 S36 S40 S40 S40",
    "S398 C556 C37 S41 C37 C41 C41 S41 C41 S41 S41",
    // Deactivate All and the whole run again, as after a resize.
    "S472 C611 C36 C40 C40 C40 S36 S40 S40 S40 S30 S472 C611 C36 C40 C40 C40 S36 S40 S40 S40",
];

#[test]
fn every_way_to_the_desktop_is_a_healthy_session() {
    for settled in suites() {
        for (n, authentication) in ["", NTLM, NTLM_EX, KERBEROS_EX].into_iter().enumerate() {
            let selected = [SSL, HYBRID, HYBRID_EX, HYBRID_EX][n];
            for (joins, licence) in JOINS.into_iter().flat_map(|j| LICENCES.map(|l| (j, l))) {
                for activation in ACTIVATIONS {
                    let name = format!("{settled:?}\n{authentication} {joins} {licence} {activation}");
                    let story = Story::new()
                        .all(opening(selected, settled))
                        .records(settled, authentication)
                        .records(settled, joins)
                        .records(settled, licence)
                        .records(settled, activation)
                        .records(settled, "S1400 C29 S900 C31 S4000");
                    let verdict = story.clone().records(settled, "C33 S33 C9 CA").client_fin().verdict(Seen::Live);
                    assert_eq!(
                        (verdict.cause, verdict.end),
                        (Cause::Ok, Some(End::UserClosed)),
                        "{name}: {verdict:#?}"
                    );
                    let verdict = story.records(settled, "S36 S9").client_rst().verdict(Seen::Capture);
                    assert_eq!((verdict.cause, verdict.end), (Cause::Ok, Some(End::HostEnded)), "{name}: {verdict:#?}");
                }
            }
        }
    }
}

#[test]
fn a_session_whose_peers_split_every_record_is_healthy() {
    // One byte ahead of every message, as TLS 1.0 stacks do against chosen plaintexts; on one side, or on both.
    let split = |words: &str, sides: &str| {
        let halves = words.split_whitespace().map(|word| {
            let (from, size) = word.split_at(1);
            match size.parse::<u16>() {
                Ok(size) if sides.contains(from) => format!("{from}1 {from}{}", size - 1),
                _ => word.to_owned(),
            }
        });
        halves.collect::<Vec<_>>().join(" ")
    };
    for settled in [Settled::CBC10, Settled::CBC10_ETM, Settled::TRIPLE_DES] {
        for (selected, authentication) in [(SSL, ""), (HYBRID, NTLM), (HYBRID, "C175 S1351 C1887 S227 C191 S103 C361")]
        {
            for sides in ["C", "S", "CS"] {
                let all = [authentication, MCS, LICENSED, ACTIVE, DRAWING].join(" ");
                let up = || Story::new().all(opening(selected, settled)).records(settled, &split(&all, sides));
                let end = |words: &str| split(words, sides);
                let name = format!("{settled:?} {sides} {authentication}");
                assert_ok(&name, &up().client_fin(), End::UserClosed);
                assert_ok(&name, &up().records(settled, &end("C33 S33 C9")).host_fin(), End::UserClosed);
                assert_ok(&name, &up().records(settled, &end("S36 S9")).client_rst(), End::HostEnded);
                assert_ok(&name, &up().records(settled, &end("S9")).host_fin(), End::HostEnded);
            }
        }
    }
}
