//! Sessions as a bridge reads them: real ones, decrypted, and what hosts may say in them.

use parser::Timestamp;
use parser::diagnosis::{Cause, Confidence, End, Side, Verdict, diagnose};
use parser::session::{CloseKind, Closer, Limits, Peer, Phase, PhaseLog, Session, Timeline, Told, Watch};
use parser::wire::{EarlyUserAuth, Mechanism, NtStatus, Protocols};
use proptest::prelude::*;

const XRDP: &str = include_str!("../testdata/plaintext/xrdp-session.txt");
const XRDP_LOGIN_BOX: &str = include_str!("../testdata/plaintext/xrdp-login-box.txt");
const XRDP_JOIN_REFUSED: &str = include_str!("../testdata/plaintext/xrdp-join-refused.txt");
const SHADOW: &str = include_str!("../testdata/plaintext/shadow-nla.txt");
const SHADOW_WRONG_PASSWORD: &str = include_str!("../testdata/plaintext/shadow-nla-wrong-password.txt");
const ALL: [&str; 5] = [XRDP, XRDP_LOGIN_BOX, XRDP_JOIN_REFUSED, SHADOW, SHADOW_WRONG_PASSWORD];

const ULTIMATUM: [u8; 9] = [3, 0, 0, 9, 2, 0xf0, 0x80, 0x21, 0x80];

/// One read: when, by whom, what.
type Said = (Timestamp, Peer, Vec<u8>);

/// `(7)` stands for seven zeros.
fn bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('(') {
            let (count, after) = after.split_once(')').expect("a closing bracket");
            bytes.resize(bytes.len() + count.parse::<usize>().expect("a count"), 0);
            rest = after;
        } else {
            let (pair, after) = rest.split_at(2);
            bytes.push(u8::from_str_radix(pair, 16).expect("hex"));
            rest = after;
        }
    }
    bytes
}

/// What was said, and who ended it when.
fn recording(text: &str) -> (Vec<Said>, Closer, Timestamp) {
    let mut said = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [seconds, who, what] = words[..] else { panic!("{line}") };
        let at = Timestamp((seconds.parse::<f64>().expect("seconds") * 1e9) as u64);
        let peer = if who == "C" { Peer::Client } else { Peer::Host };
        if what == "end" {
            let by = if peer == Peer::Client { Closer::Client } else { Closer::Host };
            return (said, by, at);
        }
        said.push((at, peer, bytes(what)));
    }
    panic!("no end")
}

/// The X.224 exchange in clear, then plaintext in pieces of these sizes.
fn play(said: &[Said], sizes: &[usize]) -> Session {
    let mut session = Session::new(Timestamp(0), Limits::default());
    for (at, peer, bytes) in &said[..2] {
        session.data(*peer, bytes, *at);
    }
    session.plain_from(said[1].0);
    let mut sizes = sizes.iter().cycle();
    for (at, peer, bytes) in &said[2..] {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(sizes.next().map_or(rest.len(), |size| (*size).min(rest.len())));
            session.plain(*peer, piece, *at);
            rest = after;
        }
    }
    session
}

fn ended(text: &str) -> (Timeline, Verdict) {
    let (said, by, at) = recording(text);
    close(play(&said, &[]), by, at)
}

fn close(mut session: Session, by: Closer, at: Timestamp) -> (Timeline, Verdict) {
    session.closed(by, CloseKind::Fin, at);
    let timeline = session.finish();
    let verdict = diagnose(&timeline);
    (timeline, verdict)
}

/// The first `count` reads of a recording, then more of the host, which then closes.
fn host_adds(text: &str, count: usize, more: &[&[u8]]) -> (Timeline, Verdict) {
    let (mut said, _, _) = recording(text);
    said.truncate(count);
    let at = said.last().expect("a read").0;
    said.extend(more.iter().enumerate().map(|(n, bytes)| (Timestamp(at.0 + n as u64), Peer::Host, bytes.to_vec())));
    close(play(&said, &[]), Closer::Host, Timestamp(at.0 + 1_000_000))
}

/// How many reads there are until the one that first holds `pattern`, itself not counted.
fn until(text: &str, pattern: &[u8]) -> usize {
    let (said, _, _) = recording(text);
    said.iter().position(|(_, _, bytes)| bytes.windows(pattern.len()).any(|w| w == pattern)).expect("the pattern")
}

/// User data of the host on the I/O channel.
fn indication(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u16 | 0x8000).to_be_bytes();
    let total = (data.len() as u16 + 15).to_be_bytes();
    [&[3, 0, total[0], total[1], 2, 0xf0, 0x80, 0x68, 0, 7, 3, 0xeb, 0x70, length[0], length[1]][..], data].concat()
}

fn set_error_info(code: u32) -> Vec<u8> {
    let head = [22, 0, 0x17, 0, 0xea, 3, 0xea, 3, 1, 0, 0, 1, 8, 0, 0x2f, 0, 0, 0];
    indication(&[&head[..], &code.to_le_bytes()].concat())
}

fn licence_error(code: u8) -> Vec<u8> {
    indication(&[0x80, 0, 0, 0, 0xff, 3, 16, 0, code, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0])
}

fn told(timeline: &Timeline) -> &Told {
    timeline.told.as_deref().expect("something was said")
}

#[test]
fn a_session_on_xrdp_is_followed_message_by_message() {
    let (timeline, verdict) = ended(XRDP);
    let entered = |phase| timeline.phases.entered(phase);
    let phases = [Phase::Mcs, Phase::ClientInfo, Phase::Licensing, Phase::Activation, Phase::Active];
    let times: Vec<Timestamp> = phases.iter().map(|phase| entered(*phase).expect("a phase")).collect();
    assert!(times.is_sorted(), "{times:?}");
    let told = told(&timeline);
    let client = told.client.as_ref().expect("core data");
    assert_eq!((&*client.name, client.build, client.selected_protocol), ("LAB-CLIENT", 18_363, Some(Protocols::SSL)));
    let server = told.server.expect("the host's data");
    assert_eq!((server.io_channel, server.requested_protocols), (Some(1003), Some(Protocols::SSL)));
    let info = told.client_info.expect("Client Info");
    assert!(info.password > 0 && info.flags.names().contains(&"autologon"));
    assert!(told.licence.host.is_some_and(|(licence, _)| licence.grants()));
    assert_eq!(timeline.progress.joins, 6);
    assert_eq!((verdict.cause, verdict.end), (Cause::OkBridged, Some(End::UserClosed)), "{verdict:#?}");
}

#[test]
fn a_login_box_is_an_active_session() {
    let (timeline, verdict) = ended(XRDP_LOGIN_BOX);
    assert_eq!((timeline.phase(), verdict.cause), (Phase::Active, Cause::OkBridged));
    assert!(timeline.gave_up.is_none());
}

#[test]
fn nla_is_told_by_its_fields() {
    let (timeline, verdict) = ended(SHADOW);
    let told = told(&timeline);
    assert_eq!((told.credssp_version.client, told.credssp_version.host), (Some(6), Some(6)));
    assert_eq!(told.mechanism, Some(Mechanism::Ntlm(3)));
    let progress = timeline.progress;
    assert_eq!((progress.credssp_records.client, progress.credssp_records.host), (3, 2));
    assert!(told.credentials_delegated > progress.credssp_accepted);
    assert!(progress.credssp_accepted > progress.credssp_authenticate);
    assert_eq!(verdict.cause, Cause::OkBridged);
}

#[test]
fn a_host_that_closes_on_a_wrong_password_refuses_the_logon() {
    let (_, verdict) = ended(SHADOW_WRONG_PASSWORD);
    assert_eq!((verdict.cause, verdict.confidence), (Cause::NlaAuthRefused, Confidence::Likely), "{verdict:#?}");
    assert_eq!(verdict.phase, Phase::Credssp);
    assert!(!verdict.alternatives.contains(&Cause::NlaPubkeyMismatch), "the bridge has compared the keys");
}

#[test]
fn a_host_that_says_why_it_refuses_a_logon_proves_it() {
    let (reads, refusal) = (5, |status: u32| {
        let [a, b, c, d] = status.to_be_bytes();
        vec![0x30, 13, 0xa0, 3, 2, 1, 6, 0xa4, 6, 2, 4, a, b, c, d]
    });
    for (status, cause) in [
        (0xc000_006d, Cause::NlaAuthRefused),
        (0xc000_0234, Cause::NlaAuthRefused),
        (0xc000_015b, Cause::NlaAuthRefused),
        (0xc000_0133, Cause::KerberosUnreachable),
    ] {
        let (timeline, verdict) = host_adds(SHADOW_WRONG_PASSWORD, reads, &[&refusal(status)]);
        assert_eq!((verdict.cause, verdict.confidence), (cause, Confidence::Proven), "{verdict:#?}");
        assert_eq!(told(&timeline).nt_status.map(|(status, _)| status), Some(NtStatus(status)));
        assert!(verdict.message.contains(NtStatus(status).name().expect("a name")), "{}", verdict.message);
    }
}

#[test]
fn an_authorization_result_decides_between_password_and_right() {
    let (mut said, _, _) = recording(SHADOW);
    said.truncate(6);
    // HYBRID_EX in the Connection Confirm.
    said[1].2[15] = 8;
    let denied = [5, 0, 0, 0];
    let at = said[5].0;
    said.push((at, Peer::Host, denied.to_vec()));
    let (timeline, verdict) = close(play(&said, &[1]), Closer::Host, Timestamp(at.0 + 1));
    assert_eq!(told(&timeline).early_user_auth.map(|(result, _)| result), Some(EarlyUserAuth::ACCESS_DENIED));
    assert_eq!((verdict.cause, verdict.confidence), (Cause::EarlyUserAuthDenied, Confidence::Proven));
    said[6].2 = vec![0; 4];
    let (_, verdict) = close(play(&said, &[1]), Closer::Host, Timestamp(at.0 + 1));
    assert_ne!(verdict.cause, Cause::EarlyUserAuthDenied, "{verdict:#?}");
}

#[test]
fn a_refused_channel_is_where_xrdp_hangs_up() {
    let (timeline, verdict) = ended(XRDP_JOIN_REFUSED);
    assert_eq!((verdict.cause, verdict.phase), (Cause::ServerClosedInMcs, Phase::Mcs), "{verdict:#?}");
    // Reason 3 means "user requested", and xrdp gives it for everything: it is no reason to blame the user.
    assert!(told(&timeline).disconnect.host.is_some_and(|(reason, _)| reason.0 == 3));
    assert!(verdict.confidence < Confidence::Proven && verdict.side == Side::Host);
}

#[test]
fn a_reason_before_activation_names_the_denial() {
    let before_activation = until(XRDP, &[0x7e, 0x01, 0x11, 0x00]);
    for (code, cause) in [
        (7, Cause::ServerDenied0x7),
        (9, Cause::EarlyUserAuthDenied),
        (8, Cause::FipsMismatch),
        (0x101, Cause::LicenseFailure),
        (0x17, Cause::WinlogonOrProfileFailure),
        (0x10e7, Cause::ActivationFailed),
    ] {
        let (_, verdict) = host_adds(XRDP, before_activation, &[&set_error_info(code), &ULTIMATUM]);
        assert_eq!((verdict.cause, verdict.confidence), (cause, Confidence::Proven), "{code:#x}: {verdict:#?}");
    }
}

#[test]
fn a_reason_in_a_running_session_says_how_it_ended() {
    let whole = recording(XRDP_LOGIN_BOX).0.len();
    for (code, end) in [(3, End::IdleOrTimeLimit), (4, End::IdleOrTimeLimit), (5, End::Replaced), (12, End::UserClosed)]
    {
        let (_, verdict) = host_adds(XRDP_LOGIN_BOX, whole, &[&set_error_info(code), &ULTIMATUM]);
        assert_eq!((verdict.cause, verdict.end), (Cause::OkBridged, Some(end)), "{verdict:#?}");
        assert_eq!(verdict.confidence, Confidence::Proven);
    }
    let (_, verdict) = host_adds(XRDP_LOGIN_BOX, whole, &[&set_error_info(0x18), &ULTIMATUM]);
    assert_eq!((verdict.cause, verdict.confidence), (Cause::WinlogonOrProfileFailure, Confidence::Proven));
}

#[test]
fn a_reason_that_was_taken_back_or_is_long_past_ends_nothing() {
    let whole = recording(XRDP_LOGIN_BOX).0.len();
    let (_, verdict) = host_adds(XRDP_LOGIN_BOX, whole, &[&set_error_info(7), &set_error_info(0), &ULTIMATUM]);
    assert_eq!((verdict.cause, verdict.end), (Cause::OkBridged, Some(End::HostEnded)), "{verdict:#?}");
    let drawn = [4, 4, 0, 0];
    let (_, verdict) =
        host_adds(XRDP_LOGIN_BOX, whole, &[&set_error_info(0x18), &drawn, &drawn, &drawn, &drawn, &drawn, &ULTIMATUM]);
    assert_eq!(verdict.cause, Cause::OkBridged, "{verdict:#?}");
}

#[test]
fn a_licence_error_is_named_and_valid_client_is_none() {
    let licensing = until(XRDP, &[0x80, 0x00, 0x3e]);
    for (code, name) in [(6, "ERR_NO_LICENSE_SERVER"), (2, "ERR_NO_LICENSE")] {
        let (timeline, verdict) = host_adds(XRDP, licensing, &[&licence_error(code), &ULTIMATUM]);
        assert_eq!((verdict.cause, verdict.confidence), (Cause::LicenseFailure, Confidence::Proven), "{verdict:#?}");
        assert!(verdict.message.contains(name) && timeline.progress.licensed.is_none());
    }
    let (timeline, verdict) = host_adds(XRDP, licensing, &[&licence_error(7), &ULTIMATUM]);
    assert!(timeline.progress.licensed.is_some());
    assert_ne!(verdict.cause, Cause::LicenseFailure, "{verdict:#?}");
}

#[test]
fn a_redirection_is_told_with_its_flags() {
    let before_activation = until(XRDP, &[0x7e, 0x01, 0x11, 0x00]);
    let (mut said, _, _) = recording(XRDP);
    said.truncate(before_activation);
    let at = said.last().expect("a read").0;
    let head = [40, 0, 0x1a, 0, 0xea, 3, 0, 0, 0, 4, 32, 0, 1, 0, 0, 0];
    let redirection = [&head[..], &0x0102_u32.to_le_bytes(), &[0; 20]].concat();
    said.push((at, Peer::Host, indication(&redirection)));
    let (_, verdict) = close(play(&said, &[]), Closer::Client, Timestamp(at.0 + 1));
    assert_eq!((verdict.cause, verdict.confidence), (Cause::RedirectBypassesProxy, Confidence::Likely));
    assert!(verdict.evidence.iter().any(|line| line.contains("load_balance_info, target_fqdn")), "{verdict:#?}");
    assert!(verdict.alternatives.contains(&Cause::ClientPromptProbe), "a client that comes back revises it");
}

#[test]
fn core_data_that_names_another_protocol_is_a_mismatch() {
    // The core data of a session over TLS, where the host had selected NLA.
    let (mut said, _, _) = recording(XRDP);
    said.truncate(3);
    said[1].2[15] = 2;
    let at = said[2].0;
    let (_, verdict) = close(play(&said, &[]), Closer::Host, Timestamp(at.0 + 1));
    assert_eq!((verdict.cause, verdict.confidence), (Cause::McsCoreMismatch, Confidence::Proven), "{verdict:#?}");
    said[1].2[15] = 1;
    let (_, verdict) = close(play(&said, &[]), Closer::Host, Timestamp(at.0 + 1));
    assert_eq!(verdict.cause, Cause::ServerClosedInMcs, "{verdict:#?}");
}

#[test]
fn an_old_host_is_what_an_updated_client_leaves() {
    let (mut said, _, _) = recording(SHADOW);
    said.truncate(4);
    // The host's version, 6 in the recording.
    assert_eq!(said[3].2[7], 6);
    said[3].2[7] = 2;
    let at = said[3].0;
    let (_, verdict) = close(play(&said, &[]), Closer::Client, Timestamp(at.0 + 1));
    assert_eq!((verdict.cause, verdict.confidence), (Cause::CredsspOracleRemediation, Confidence::Likely));
}

#[test]
fn the_tracker_lets_go_of_a_session_that_is_up_and_still_hears_its_end() {
    let (said, _, _) = recording(XRDP_LOGIN_BOX);
    let mut session = play(&said, &[]);
    assert_eq!((session.watch(), session.phase(), session.buffered()), (Watch::Tail, Phase::Active, 0));
    let at = said.last().expect("a read").0;
    // Drawing of many megabytes passes.
    let drawing = [&[4, 0xff, 0xff][..], &[0x55; 0x7ffc]].concat();
    for _ in 0..200 {
        session.plain(Peer::Host, &drawing, at);
        assert_eq!(session.buffered(), 0);
    }
    session.plain(Peer::Host, &set_error_info(5), at);
    let (timeline, verdict) = close(session, Closer::Host, Timestamp(at.0 + 1));
    assert_eq!(verdict.end, Some(End::Replaced), "{verdict:#?}");
    assert!(timeline.traffic.host.bytes > 200 * 0x7fff);
}

#[test]
fn no_secret_stays_in_the_tracker() {
    let secret = b"Sec.ret-Sec.ret-";
    let contains = |session: &Session| {
        let printed = format!("{session:?}");
        // Every buffer is printed as a list of numbers.
        let list = secret[..8].iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
        printed.contains(&list) || printed.contains("Sec.ret")
    };
    let (mut said, _, _) = recording(SHADOW);
    // Whatever a TSRequest, Client Info or a virtual channel holds of zeros is now a secret.
    for (_, _, bytes) in &mut said[2..] {
        let core_data = bytes.windows(4).any(|window| window == b"Duca");
        let mut at = 0;
        while !core_data && at + 40 <= bytes.len() {
            if bytes[at..].iter().take(40).all(|byte| *byte == 0) {
                bytes[at + 22..at + 38].copy_from_slice(secret);
                at += 40;
            } else {
                at += 1;
            }
        }
    }
    let holders = said.iter().filter(|(_, _, bytes)| bytes.windows(16).any(|window| window == secret)).count();
    assert!(holders >= 8, "{holders} messages hold it");
    for count in 3..=said.len() {
        for sizes in [&[][..], &[7], &[61]] {
            let session = play(&said[..count], sizes);
            assert!(!contains(&session), "after {count} reads");
        }
    }
    assert!(contains(&{
        let mut session = Session::new(Timestamp(0), Limits::default());
        session.data(Peer::Client, secret, Timestamp(1));
        session
    }));
}

/// Everything that does not depend on when bytes came.
fn timeless(mut timeline: Timeline) -> Timeline {
    let mut phases = PhaseLog::default();
    for phase in Phase::ALL {
        if timeline.phases.entered(phase).is_some() {
            phases.enter(phase, Timestamp(0));
        }
    }
    timeline.phases = phases;
    timeline
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same_timeline(at in 0..ALL.len(), sizes in proptest::collection::vec(1usize..90, 1..40)) {
        let (said, _, _) = recording(ALL[at]);
        prop_assert_eq!(timeless(play(&said, &sizes).finish()), timeless(play(&said, &[]).finish()));
    }

    #[test]
    fn damaged_sessions_never_panic_and_nothing_grows(
        at in 0..ALL.len(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..20),
        sizes in proptest::collection::vec(1usize..500, 1..8),
        host_closes: bool,
    ) {
        let (mut said, _, end) = recording(ALL[at]);
        for (read, place, byte) in damage {
            let read = 2 + read.index(said.len() - 2);
            let bytes = &mut said[read].2;
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let session = play(&said, &sizes);
        prop_assert!(session.buffered() <= 2 * 8 * 1024, "{}", session.buffered());
        let by = if host_closes { Closer::Host } else { Closer::Client };
        let (timeline, verdict) = close(session, by, end);
        prop_assert!(!verdict.message.is_empty());
        prop_assert!(timeline.closes.len() == 1);
    }
}
