//! Every recorded connection of the lab, as a proxy in its place would have captured it: the file must lead whoever reads
//! it to the timeline and the verdict that the proxy had, user names hidden or not.

use super::super::capture::{self, Step};
use super::super::source::Source;
use super::super::streams::{Event, State, Stream, Streams};
use super::*;
use crate::limits::OpeningBudget;
use crate::record::capture::{Tape, file, is_wanted};
use crate::record::{Names, SessionRecord};
use config::UserNames;
use parser::diagnosis::{Verdict, diagnose};
use parser::session::{
    Awaiting, CloseKind, Closer, ConnectFailure, ProxyAct, ResolveFailure, TcpFacts, Upstream, UpstreamEvent, Watch,
};
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

/// Larger than any opening of the lab.
const BOUND: usize = 4 << 20;

/// A proxy's view of one session: tracker and tape are told the same, as by the relay.
struct Seen {
    session: Session,
    tape: Option<Tape>,
    client: SocketAddr,
    host: SocketAddr,
    opened: Timestamp,
    whole: bool,
}

impl State for Option<Seen> {
    fn memory(&self) -> usize {
        0
    }
}

impl Seen {
    fn new(client: SocketAddr, host: SocketAddr, opened: Timestamp, bound: usize) -> Seen {
        let tape = Tape::new(bound, &Arc::new(OpeningBudget::new(1 << 30)));
        Seen { session: Session::new(opened, Limits::default()), tape: Some(tape), client, host, opened, whole: true }
    }

    fn upstream(&mut self, event: UpstreamEvent, at: Timestamp) {
        self.tape.iter().for_each(|tape| tape.upstream(&event, at));
        self.session.upstream(event, at);
    }

    fn connected(&mut self, at: Timestamp) {
        self.upstream(UpstreamEvent::Connecting(self.host), at);
        self.upstream(UpstreamEvent::Connected(self.host), at);
        let local = SocketAddr::new(self.host.ip(), 40_000);
        self.tape.iter().for_each(|tape| tape.host(Some(local), at));
    }

    fn data(&mut self, from: Peer, bytes: &[u8], at: Timestamp) {
        self.tape.iter().for_each(|tape| tape.data(from, bytes, at));
        self.session.data(from, bytes, at);
        if self.session.watch() == Watch::Tail {
            self.tape = self.tape.take().filter(|tape| tape.let_go(self.session.timeline()));
        }
    }

    fn closed(&mut self, by: Closer, kind: CloseKind, at: Timestamp) {
        self.tape.iter().for_each(|tape| tape.closed(by, kind, at));
        self.session.closed(by, kind, at);
    }

    fn acted(&mut self, act: ProxyAct, at: Timestamp) {
        self.session.proxy_act(act, at);
        self.closed(Closer::Proxy, CloseKind::Timeout, at);
    }

    /// The record, and the file of it with user names as said, if its opening was kept.
    fn over(self, how: UserNames) -> (SessionRecord, Option<Vec<u8>>) {
        let timeline = self.session.finish();
        let identity = SessionIdentity {
            id: uuid::Uuid::now_v7(),
            listener: Arc::from("lab"),
            upstream: Arc::from("rds07.example.net:3389"),
            client: self.client,
            local: self.host,
            accepted: self.opened,
        };
        let (verdict, ended) = (diagnose(&timeline), timeline.last_event());
        let record = SessionRecord { identity: Arc::new(identity), timeline, verdict, ended, capture: None };
        let names = Names::new(how, None).unwrap();
        let file = self.tape.map(|tape| file(&record, &tape.look(), &names, true, None));
        (record, file)
    }
}

/// The connections of a capture as a proxy would have seen them.
fn seen(path: &Path, bound: usize) -> Vec<Seen> {
    let mut streams = Streams::<Option<Seen>>::new(Duration::from_secs(2));
    let mut all: Vec<(u64, Seen)> = Vec::new();
    let mut tell = |stream: &Stream, state: &mut Option<Seen>, at: Timestamp, event: Event<'_>| {
        let mut one = state.take().unwrap_or_else(|| Seen::new(stream.client, stream.host, stream.opened, bound));
        let closer = |peer| if peer == Peer::Client { Closer::Client } else { Closer::Host };
        match event {
            Event::Syn => {}
            Event::SynAck => one.connected(at),
            Event::Data(from, bytes) => one.data(from, bytes, at),
            // What the capture of the lab missed a proxy would have seen: this one cannot be compared.
            Event::Missing(..) | Event::Unseen(_) | Event::WentOn(_) => one.whole = false,
            Event::Fin(by) => one.closed(closer(by), CloseKind::Fin, at),
            Event::Rst(by) => one.closed(closer(by), CloseKind::Rst, at),
            Event::Ended(_) => {
                if one.whole {
                    all.push((stream.number, one));
                }
                return;
            }
        }
        *state = Some(one);
    };
    capture::read(Source::open(path).unwrap(), |step| {
        if let Step::Packet(packet) = step {
            streams.packet(&packet, &mut tell);
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    streams.finish(&mut tell);
    all.sort_by_key(|(number, _)| *number);
    all.into_iter().map(|(_, one)| one).collect()
}

fn lab() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/lab");
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "pcap"));
    files.sort();
    files
}

fn short(verdict: &Verdict) -> [String; 4] {
    let Verdict { cause, side, phase, confidence, .. } = verdict;
    [cause.id(), side.name(), phase.name(), confidence.name()].map(str::to_owned)
}

#[test]
fn every_lab_connection_comes_back_out_of_its_capture_as_it_was() {
    let (mut failed, mut wrong) = (0, Vec::new());
    for path in lab() {
        for (number, one) in seen(&path, BOUND).into_iter().enumerate() {
            let name = format!("{} {number}", path.file_name().unwrap().display());
            let (record, file) = one.over(UserNames::Plain);
            let Some(file) = file else { continue };
            failed += u32::from(is_wanted(record.verdict.cause));
            let Some(read) = read(&file) else { panic!("{name} is not read") };
            assert_eq!(read.identity.id, record.identity.id, "{name}");
            assert!(!read.cut_short && !read.altered, "{name}");
            assert_eq!(read.told, Some(short(&record.verdict)), "{name}");
            // Of clear data on channels only the headers are there; what they say is the same.
            if read.timeline != record.timeline || read.verdict() != record.verdict {
                wrong.push(format!("{name}:\n    {:?}\n    {:?}", record.timeline, read.timeline));
            }
        }
    }
    assert!(failed >= 100, "{failed} failed openings");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_hidden_user_name_changes_no_verdict() {
    for how in [UserNames::Hash, UserNames::Drop] {
        for one in lab().iter().flat_map(|path| seen(path, BOUND)) {
            let (record, file) = one.over(how);
            let Some(file) = file else { continue };
            let read = read(&file).unwrap();
            assert_eq!(read.verdict(), record.verdict);
            let name = record.timeline.request.and_then(|request| request.cookie);
            if let Some(name) = name.filter(|name| name.len() > 3) {
                assert!(!file.windows(name.len()).any(|bytes| bytes == name.as_bytes()), "{name}");
            }
        }
    }
}

#[test]
fn what_no_packet_shows_comes_back_too() {
    let client: SocketAddr = "10.1.2.3:51234".parse().unwrap();
    let host: SocketAddr = "[2001:db8::7]:3389".parse().unwrap();
    let at = Timestamp;
    let request = b"\x03\x00\x00\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x0b\0\0\0";
    let begin = || Seen::new(client, host, at(1_000), 1 << 18);
    let mut all = Vec::new();

    let mut one = begin();
    one.data(Peer::Client, request, at(1_100));
    one.upstream(UpstreamEvent::Resolving, at(1_200));
    let detail = "Name or service not known".to_owned();
    let failed = Upstream::ResolveFailed { failure: ResolveFailure::NotFound, detail };
    one.upstream(UpstreamEvent::Failed(failed), at(1_300));
    one.closed(Closer::Proxy, CloseKind::Rst, at(1_300));
    all.push(("dns_failure", one));

    let failures =
        [ConnectFailure::Refused, ConnectFailure::Timeout, ConnectFailure::Unreachable, ConnectFailure::Reset];
    for failure in failures.into_iter().chain([ConnectFailure::Local, ConnectFailure::Other]) {
        let mut one = begin();
        one.upstream(UpstreamEvent::Connecting("192.0.2.9:3389".parse().unwrap()), at(1_100));
        one.upstream(UpstreamEvent::Connecting(host), at(1_200));
        let failed = Upstream::ConnectFailed { address: host, failure, errno: 111, tried: 2 };
        one.upstream(UpstreamEvent::Failed(failed), at(1_300));
        one.closed(Closer::Proxy, CloseKind::Rst, at(1_300));
        all.push(("", one));
    }

    for awaiting in [Awaiting::ConnectionConfirm, Awaiting::ClientHello, Awaiting::ServerHello] {
        let mut one = begin();
        one.connected(at(1_050));
        one.data(Peer::Client, request, at(1_100));
        let facts = TcpFacts { retransmits: 6, unacked: 2, mss: 1_460, ..TcpFacts::default() };
        one.session.socket_facts(Peer::Host, facts);
        one.acted(ProxyAct::TimedOut(awaiting), at(10_000_001_100));
        all.push(("", one));
    }

    let mut one = begin();
    one.connected(at(1_050));
    one.data(Peer::Client, request, at(1_100));
    one.closed(Closer::Client, CloseKind::Timeout, at(90_000_000_000));
    all.push(("client_side_network_loss", one));

    for (cause, one) in all {
        let (record, file) = one.over(UserNames::Hash);
        let read = read(&file.unwrap()).unwrap();
        assert_eq!(read.timeline, record.timeline);
        assert_eq!(read.verdict(), record.verdict);
        assert!(cause.is_empty() || record.verdict.cause.id() == cause, "{}", record.verdict.cause);
    }
}

#[test]
fn a_file_that_is_cut_or_changed_is_read_as_far_as_it_goes() {
    let path = lab().into_iter().find(|path| path.ends_with("tls-s10-vs-new.pcap")).unwrap_or_else(|| lab()[0].clone());
    let (_, file) = seen(&path, BOUND).remove(0).over(UserNames::Hash);
    let file = file.unwrap();
    for cut in (0..file.len()).step_by(7) {
        let _ = read(&file[..cut]);
    }
    for place in (0..file.len()).step_by(3) {
        let mut changed = file.clone();
        changed[place] ^= 0x81;
        let _ = read(&changed);
    }
    assert!(read(b"").is_none() && read(&[0; 100]).is_none());
}

#[test]
fn a_file_that_was_shortened_says_so_and_repeats_the_verdict() {
    let path = lab().into_iter().find(|path| path.ends_with("tls-s10-vs-new.pcap")).unwrap_or_else(|| lab()[0].clone());
    let (record, file) = seen(&path, BOUND).remove(0).over(UserNames::Hash);
    let file = file.unwrap();
    let section = file.len() - pcapng::packets(&file).map(|one| pcapng::packet(&one).len()).sum::<usize>();
    for cut in (section..file.len()).step_by(50) {
        let read = read(&file[..cut]).unwrap();
        let verdict = read.verdict();
        assert_eq!(short(&verdict), short(&record.verdict), "cut at {cut}");
        assert_eq!(verdict.message, record.verdict.message, "cut at {cut}");
        assert_eq!(read.altered, verdict.evidence[0].starts_with("The proxy told this; "), "cut at {cut}");
        if cut == section {
            assert!(read.altered);
            assert_ne!(read.by_bytes().cause, record.verdict.cause);
        }
    }
}

#[test]
fn an_opening_that_did_not_fit_says_so() {
    let path = lab().into_iter().find(|path| path.file_name().is_some_and(|name| name == "ok-xrdp-tls.pcap")).unwrap();
    let (record, file) = seen(&path, 2_000).remove(0).over(UserNames::Hash);
    // A healthy session lets go of its tape; a smaller bound does not keep it longer.
    assert!(file.is_none() || record.timeline.progress.active.is_none());
    let mut one = Seen::new("10.1.2.3:51234".parse().unwrap(), "192.0.2.7:3389".parse().unwrap(), Timestamp(1), 200);
    one.connected(Timestamp(2));
    one.data(Peer::Client, b"\x03\x00\x00\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x01\0\0\0", Timestamp(3));
    one.data(Peer::Host, b"\x03\x00\x00\x13\x0e\xd0\0\0\x12\x34\0\x02\0\x08\0\x01\0\0\0", Timestamp(4));
    one.data(Peer::Client, &[&[0x16, 3, 1, 1, 0, 1, 0, 0, 252][..], &[3; 252]].concat(), Timestamp(5));
    one.closed(Closer::Host, CloseKind::Rst, Timestamp(6));
    let (record, file) = one.over(UserNames::Hash);
    let read = read(&file.unwrap()).unwrap();
    assert!(read.cut_short && !read.altered);
    assert_eq!(read.timeline.traffic.client.bytes, record.timeline.traffic.client.bytes);
    assert_eq!(read.told.unwrap()[0], record.verdict.cause.id());
}
