//! Captured connections: what packets show beside their bytes.

use super::super::super::{Cause, Confidence, Outcome, Side, diagnose};
use super::build::{Build, at, host};
use crate::session::{
    Answer, CloseKind, Closer, GiveUp, Opening, PacketFacts, PathError, PathFacts, Peer, Phase, RepeatedSegment,
    ResetFacts, Tail, Upstream,
};
use crate::wire::FailureCode;

impl Build {
    fn packets(self, change: impl FnOnce(&mut PacketFacts)) -> Build {
        self.with(|timeline| change(timeline.packets.get_or_insert_default()))
    }

    /// A segment of `length` that `from` sent again five times between 2 s and 14 s; the other end was heard last then.
    fn stuck(self, from: Peer, length: u32, heard: u64) -> Build {
        self.packets(|facts| {
            let sent = &mut facts.sent[from];
            (sent.largest, sent.segments, sent.retransmits) = (length.max(1_448), 9, 5);
            sent.largest_acknowledged = 300;
            sent.repeated =
                Some(RepeatedSegment { length, times: 5, first: at(2_000), last: at(14_000), heard: Some(at(heard)) });
        })
    }

    fn reset(self, by: Peer, hops: u8, usual: Option<u8>, ms: u64) -> Build {
        let closer = if by == Peer::Client { Closer::Client } else { Closer::Host };
        self.closed(closer, CloseKind::Rst, ms).packets(|facts| {
            let reset = ResetFacts { at: at(ms), hops, usual_hops: usual, strange_id: false, went_on: 2 };
            facts.reset[by] = Some(reset);
        })
    }
}

#[test]
fn full_size_segments_that_never_arrive_are_a_black_hole_only_while_the_other_end_is_there() {
    let asked = || Build::agreed(1).hello(&[0x0304], 310).chose(0x0303);
    let verdict = diagnose(&asked().stuck(Peer::Host, 1_448, 9_000).client_left(15_000).0);
    let got = (verdict.cause, verdict.side, verdict.confidence);
    assert_eq!(got, (Cause::MtuBlackhole, Side::Network, Confidence::Likely), "{:?}", verdict.evidence);
    assert!(verdict.evidence[0].contains("1448 bytes again 5 times over 12.0 s"), "{:?}", verdict.evidence);

    let small = diagnose(&asked().stuck(Peer::Host, 90, 9_000).client_left(15_000).0);
    assert_ne!(small.cause, Cause::MtuBlackhole, "small segments are lost too");
    let arrived = asked().stuck(Peer::Host, 1_448, 9_000).packets(|facts| facts.sent.host.largest_acknowledged = 1_448);
    assert_ne!(diagnose(&arrived.client_left(15_000).0).cause, Cause::MtuBlackhole, "others of that size arrived");
    let gone = diagnose(&asked().stuck(Peer::Host, 1_448, 1_900).host_left(15_000).0);
    assert_eq!((gone.cause, gone.side), (Cause::ClientSideNetworkLoss, Side::Network), "the client fell silent");
}

#[test]
fn a_hello_of_more_than_one_segment_that_never_arrives_is_named() {
    let build = Build::agreed(1).hello(&[0x0304], 1_717).stuck(Peer::Client, 1_448, 9_000).client_left(15_000);
    let verdict = diagnose(&build.0);
    assert_eq!((verdict.cause, verdict.confidence), (Cause::LargeClienthelloLost, Confidence::Likely));
    assert_eq!(verdict.alternatives, [Cause::MtuBlackhole]);
}

#[test]
fn a_session_whose_client_fell_silent_is_lost_to_the_network() {
    let silent = diagnose(&Build::active().stuck(Peer::Host, 700, 1_900).host_reset(15_000).0);
    assert_eq!((silent.cause, silent.phase), (Cause::ClientSideNetworkLoss, Phase::Active), "{}", silent.message);
    let open = diagnose(&Build::active().stuck(Peer::Host, 700, 1_900).0);
    assert_eq!(open.cause, Cause::ClientSideNetworkLoss, "the capture ends before the host gives up");
    let left_before = diagnose(&Build::active().client_left(1_500).stuck(Peer::Host, 700, 1_900).0);
    assert_eq!(left_before.outcome(), Outcome::Success, "what a client that left does not answer is no failure");
    let one_sided = Build::active().stuck(Peer::Host, 700, 0).packets(|facts| {
        facts.sent.host.repeated = facts.sent.host.repeated.map(|stuck| RepeatedSegment { heard: None, ..stuck });
    });
    assert_eq!(diagnose(&one_sided.0).outcome(), Outcome::Success, "a capture of one direction shows no silence");
}

#[test]
fn a_reset_that_came_another_way_was_made_by_another_machine() {
    let asked = || Build::agreed(1).hello(&[0x0304], 310);
    let forged = diagnose(&asked().reset(Peer::Host, 61, Some(116), 300).0);
    let got = (forged.cause, forged.side, forged.confidence);
    assert_eq!(got, (Cause::RstByMiddlebox, Side::Network, Confidence::Likely));
    assert_eq!(forged.alternatives.first(), Some(&Cause::TlsServerRefusedHelloSilently));
    assert!(forged.evidence.iter().any(|e| e.contains("has TTL 61") && e.contains("had 116")), "{:?}", forged.evidence);
    for (hops, usual) in [(116, Some(116)), (115, Some(116)), (61, None)] {
        let verdict = diagnose(&asked().reset(Peer::Host, hops, usual, 300).0);
        assert_eq!(verdict.cause, Cause::TlsServerRefusedHelloSilently, "{hops} {usual:?}");
    }
}

#[test]
fn a_forged_reset_changes_no_verdict_that_bytes_prove_and_blames_no_session_that_ended_in_order() {
    let alert = Build::agreed(1).hello(&[], 200).chose(0x0301).alert(Peer::Client, 70, 25);
    assert_eq!(diagnose(&alert.reset(Peer::Client, 61, Some(116), 30).0).cause, Cause::TlsClientRefusedChoice);
    let goodbye = Build::active().record(Peer::Client, 23, 9, 60_000).reset(Peer::Client, 61, Some(116), 61_000);
    assert_eq!(diagnose(&goodbye.0).outcome(), Outcome::Success);
    let cut = Build::active().record(Peer::Client, 23, 200, 60_000).reset(Peer::Client, 61, Some(116), 61_000);
    let verdict = diagnose(&cut.0);
    assert_eq!((verdict.cause, verdict.phase, verdict.end), (Cause::RstByMiddlebox, Phase::Active, None));
}

#[test]
fn a_connect_that_fails_says_what_the_network_said() {
    let connecting = |syns, ms| {
        let build = Build::opened().phase(Phase::Tcp, 0).with(|t| t.upstream = Upstream::Connecting(host(3389)));
        build.packets(|facts| (facts.syns, facts.first_syn, facts.last_syn) = (syns, Some(at(0)), Some(at(ms))))
    };
    let until = |ms| connecting(1, 0).packets(|facts| facts.until = Some(at(ms)));
    let once = diagnose(&until(40_000).0);
    assert_eq!((once.cause, once.confidence), (Cause::TcpTimeoutSynDrop, Confidence::Possible));
    // No host answers within no time.
    let over = diagnose(&until(300).0);
    assert_eq!((over.cause, over.outcome()), (Cause::CaptureIncomplete, Outcome::Unknown), "{:?}", over.evidence);
    assert!(over.evidence.iter().any(|said| said.contains("ends 300 ms after the first SYN")), "{:?}", over.evidence);
    let often = diagnose(&connecting(5, 15_000).0);
    assert_eq!((often.cause, often.confidence), (Cause::TcpTimeoutSynDrop, Confidence::Likely));
    assert!(often.evidence[0].contains("sent 5 times over 15.0 s"), "{:?}", often.evidence);

    let by = [10, 0, 0, 254].into();
    let said = |error, failure, errno| {
        let upstream = Upstream::ConnectFailed { address: host(3389), failure, errno, tried: 1 };
        let build = connecting(1, 0).with(|t| t.upstream = upstream);
        diagnose(&build.packets(|facts| facts.path.push(PathFacts { at: at(3), by, about: Peer::Client, error })).0)
    };
    let prohibited = said(PathError::Prohibited, crate::session::ConnectFailure::Unreachable, 113);
    assert_eq!((prohibited.cause, prohibited.confidence), (Cause::TcpUnreachable, Confidence::Proven));
    assert!(prohibited.evidence[0].starts_with("10.0.0.254 reported by ICMP"), "{:?}", prohibited.evidence);
    let refused = said(PathError::PortClosed, crate::session::ConnectFailure::Refused, 111);
    assert_eq!((refused.cause, refused.side), (Cause::TcpRefused, Side::Network), "not the host itself");
}

#[test]
fn what_packets_show_is_told_of_failures_and_gaps_of_everything() {
    let troubled = |build: Build| {
        build.packets(|facts| {
            facts.sent.host.zero_window_since = Some(at(100));
            facts.sent.client.duplicate_acks = 40;
            facts.sent.host.missing = 1_448;
            let (by, error) = ([10, 0, 0, 254].into(), PathError::TooBig { mtu: 1_400 });
            facts.path.push(PathFacts { at: at(3), by, about: Peer::Host, error });
        })
    };
    let failed = diagnose(&troubled(Build::agreed(1).hello(&[0x0304], 310).client_left(12_000)).0);
    for part in ["window was closed for the last 11.9 s", "asked 40 times in a row", "MTU 1400 bytes", "capture lacks"]
    {
        assert!(failed.evidence.iter().any(|e| e.contains(part) && e.ends_with('.')), "{part}: {:?}", failed.evidence);
    }
    let healthy = diagnose(&troubled(Build::active().client_left(60_000)).0);
    assert_eq!(healthy.outcome(), Outcome::Success);
    let noted: Vec<&String> =
        healthy.evidence.iter().filter(|e| e.contains("capture lacks") || e.contains("window")).collect();
    assert_eq!(noted.len(), 1, "{:?}", healthy.evidence);
}

#[test]
fn a_goodbye_that_the_capture_lacks_may_have_been_said() {
    let lacks = |build: Build, lacks: bool| {
        let build = build.with(|t| {
            if lacks {
                t.tail.host = Tail::default();
            }
        });
        let cut = |facts: &mut PacketFacts| {
            (facts.sent.host.missing, facts.sent.host.cut, facts.sent.host.cut_packets) = (900, 900, 2);
        };
        diagnose(&build.packets(cut).0)
    };
    for build in [Build::active().host_left(60_000), Build::active().host_reset(60_000)] {
        let (unseen, seen) = (lacks(build.clone(), true), lacks(build, false));
        assert_eq!((unseen.cause, unseen.side), (Cause::CaptureIncomplete, Side::Host), "{:?}", unseen.evidence);
        assert_eq!((unseen.outcome(), seen.cause), (Outcome::Unknown, Cause::HostClosedActive));
        for verdict in [unseen, seen] {
            let said = verdict.evidence.iter().filter(|said| said.contains("2): 0 bytes of the client and 900 bytes"));
            assert_eq!(said.count(), 1, "{:?}", verdict.evidence);
            assert!(!verdict.evidence.iter().any(|said| said.contains("The capture lacks")), "{:?}", verdict.evidence);
        }
    }
    let forged = lacks(Build::active().reset(Peer::Host, 250, Some(64), 60_000), true);
    assert_eq!(forged.cause, Cause::CaptureIncomplete);
    assert!(forged.alternatives.contains(&Cause::RstByMiddlebox), "{:?}", forged.alternatives);
}

#[test]
fn a_connection_that_is_open_when_its_record_ends_has_not_failed() {
    let verdict = diagnose(&Build::agreed(1).hello(&[0x0304], 310).chose(0x0303).0);
    assert_eq!((verdict.cause, verdict.outcome()), (Cause::CaptureIncomplete, Outcome::Unknown));
    assert!(verdict.message.contains("while the connection is open"), "{}", verdict.message);
}

#[test]
fn a_client_that_had_no_time_to_speak_before_the_record_ends_did_not_stay_silent() {
    let until = |ms| diagnose(&Build::opened().packets(|facts| (facts.syns, facts.until) = (1, Some(at(ms)))).0);
    let over = until(1);
    assert_eq!((over.cause, over.confidence), (Cause::CaptureIncomplete, Confidence::Possible), "{:?}", over.evidence);
    let silent = until(30_000);
    assert_eq!((silent.cause, silent.confidence), (Cause::ClientSentNothing, Confidence::Proven));
    assert!(silent.message.contains("after 30.0 s"), "{}", silent.message);
}

#[test]
fn what_only_a_first_message_proves_needs_the_beginning_of_the_connection() {
    let tls_first = || {
        let build = Build::opened().connected(3389).hello(&[0x0303], 200);
        let build = build.with(|t| (t.opening, t.tls.clear_ultimatum) = (Opening::TlsFirst, Some(at(20))));
        build.sent(Peer::Host, 9, 20).client_left(30)
    };
    let mid_tls = || {
        let build = Build::opened().with(|t| (t.opening, t.first_bytes) = (Opening::NotRdp, vec![23, 3, 3, 0, 40]));
        build.sent(Peer::Client, 300, 5).client_left(30)
    };
    let unasked = || Build::opened().sent(Peer::Host, 300, 5).host_left(30);
    for (build, cause) in [
        (tls_first(), Cause::TlsHelloWithoutNegotiation),
        (mid_tls(), Cause::NotRdp),
        (unasked(), Cause::NotRdp),
        (Build::opened().client_left(30), Cause::ClientSentNothing),
    ] {
        assert_eq!(diagnose(&build.clone().packets(|facts| facts.syns = 1).0).cause, cause);
        let verdict = diagnose(&build.packets(|facts| facts.syns = 0).0);
        assert_eq!((verdict.cause, verdict.side), (Cause::CaptureIncomplete, Side::Network), "{cause}");
        assert_eq!(verdict.confidence, Confidence::Possible);
        assert!(verdict.alternatives.contains(&cause), "{:?}", verdict.alternatives);
        assert_eq!(verdict.remedy, Cause::CaptureIncomplete.entry().remedy, "{cause}: nobody else's remedies");
    }
}

#[test]
fn an_alert_of_the_client_explains_nothing_while_bytes_of_the_host_are_missing() {
    let lacking = |build: Build, missing: u64| {
        let build = build.alert(Peer::Client, 80, 20).client_left(21);
        // That they are missing is known when the other end was acknowledged for long enough.
        let build = if missing > 0 { build.with(|t| t.gave_up = Some((GiveUp::Gap, at(22)))) } else { build };
        diagnose(&build.packets(|facts| (facts.syn_ack, facts.sent.host.missing) = (Some(at(0)), missing)).0)
    };
    for build in [Build::asked(1).hello(&[0x0303], 200), Build::agreed(1).hello(&[0x0303], 200)] {
        let verdict = lacking(build.clone(), 1_198);
        assert_eq!((verdict.cause, verdict.outcome()), (Cause::CaptureIncomplete, Outcome::Unknown));
        assert!(verdict.evidence.iter().any(|said| said.contains("alert internal_error")), "{:?}", verdict.evidence);
        assert_eq!(lacking(build, 0).outcome(), Outcome::Failure);
    }
    // The ServerHello it answers was read.
    let chosen = Build::agreed(1).hello(&[0x0303], 200).chose(0x0301);
    assert_ne!(lacking(chosen, 900).cause, Cause::CaptureIncomplete);
}

#[test]
fn whose_doing_a_refusal_is_needs_the_request() {
    let refused = |code, lacks: bool| {
        let build = Build::opened().connected(3389).answered(Answer::Failure(FailureCode(code))).client_left(30);
        let build = if lacks { build.with(|t| t.gave_up = Some((GiveUp::Gap, at(4)))) } else { build };
        diagnose(&build.packets(|facts| (facts.syns, facts.sent.client.missing) = (1, 43)).0)
    };
    for (code, cause) in [(1, Cause::NegSslRequired), (5, Cause::NlaRequired)] {
        let verdict = refused(code, true);
        let got = (verdict.cause, verdict.side, verdict.confidence);
        assert_eq!(got, (cause, Side::Both, Confidence::Likely), "{}", verdict.message);
        assert!(verdict.message.contains("whether the client offered it is not in the capture"), "{}", verdict.message);
    }
    let begun_before = Build::opened().connected(3389).answered(Answer::Failure(FailureCode(1)));
    let begun_before = begun_before.sent(Peer::Client, 7, 20).client_left(30);
    let verdict = diagnose(&begun_before.packets(|facts| facts.syns = 0).0);
    assert_eq!((verdict.side, verdict.confidence), (Side::Both, Confidence::Likely), "{}", verdict.message);
    let own = refused(3, true);
    assert_eq!((own.cause, own.side, own.confidence), (Cause::NegSslCertMissing, Side::Host, Confidence::Proven));
}

#[test]
fn a_host_whose_client_is_not_in_the_capture_did_not_speak_first() {
    let build = Build::opened().sent(Peer::Host, 300, 5).host_left(30);
    let build = build.with(|t| t.gave_up = Some((GiveUp::Gap, at(4))));
    let build = build.packets(|facts| (facts.syn_ack, facts.sent.client.missing) = (Some(at(0)), 36));
    let stranger = build.clone().with(|t| t.answer = Some(Answer::NotRdp(vec![22, 3, 3, 0, 90])));
    for build in [build, stranger] {
        let verdict = diagnose(&build.0);
        assert_eq!(verdict.cause, Cause::CaptureIncomplete, "{}", verdict.message);
    }
}

#[test]
fn where_a_capture_has_no_packet_of_the_host_its_silence_is_no_failure() {
    let asked = |syn_ack| Build::asked(1).client_left(30).packets(|facts| (facts.syns, facts.syn_ack) = (1, syn_ack));
    let unseen = diagnose(&asked(None).0);
    assert_eq!((unseen.cause, unseen.side), (Cause::CaptureIncomplete, Side::Network), "{}", unseen.message);
    assert_eq!(diagnose(&asked(Some(at(0))).0).cause, Cause::ClientClosedBeforeCc);
}
