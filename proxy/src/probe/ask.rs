//! Asks one host: one connection at a time, each read to the answer and closed in order, all within stated bounds.
//!
//! What is asked and what it means is thought in [`parser::profile`]; here are the sockets. A target that never ends an
//! answer, drips bytes, or sends what is no protocol costs at most a time-out per connection and 128 KiB.

use crate::clock;
use crate::tls_provider::provider;
use crate::upstream::{ConnectError, connect};
use parser::profile::{
    Completeness, HostProfile, Ladder, LadderStep, NegotiationAnswer, Options, Plan, Question, Reaction, RecordedHello,
    Reply,
};
use parser::session::{Answer, CloseKind, ConnectFailure};
use parser::stream::{Event, HostStream};
use parser::wire::tls::Fresh;
use parser::wire::{AlertLevel, CipherSuite, NamedGroup, Protocols, TlsVersion, connection_request};
use socket2::SockRef;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout_at};

/// Bytes read of one answer: a flight with the longest certificate chains of real hosts has a fifth of it.
const READ_MAX: usize = 128 * 1024;
/// Warnings in a row before they count as the answer.
const WARNINGS_MAX: u8 = 8;
/// How long a host may take to close its side after we closed ours, so that neither sees a reset.
const LINGER: Duration = Duration::from_millis(500);
/// Pause before a host that refused a connection is tried again.
const PAUSE: Duration = Duration::from_millis(200);
/// What is requested for a replay when the client's own request is not known.
const REQUESTS: [Protocols; 3] = [Protocols(0x0b), Protocols(0x03), Protocols(0x01)];

/// Whom to ask, and how hard.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The host.
    pub address: SocketAddr,
    /// What to ask; `max_handshakes` is the bound on connections, replays included.
    pub options: Options,
    /// Longest wait on one connection, connecting included.
    pub timeout: Duration,
    /// The whole probe ends by then.
    pub within: Duration,
}

/// How far a probe is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Connections made so far.
    pub connections: u16,
    /// What is being asked about.
    pub topic: String,
}

impl Ask {
    /// With 5 s for each connection and 60 s for all.
    #[must_use]
    pub fn new(address: SocketAddr) -> Ask {
        Ask { address, options: Options::default(), timeout: Duration::from_secs(5), within: Duration::from_secs(60) }
    }
}

/// The name to send as `server_name` for a host as it was configured; an address has none. RFC 6066 3
#[must_use]
pub fn server_name(host: &str) -> Option<String> {
    let name = host.trim_end_matches('.');
    // Letters, digits and hyphens; Windows allows underscores.
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let fits = !name.is_empty() && name.len() < 255 && name.bytes().all(is_name) && name.parse::<IpAddr>().is_err();
    fits.then(|| name.to_owned())
}

/// Asks a host what it accepts. With a client's `recorded` hello, that is replayed first: its steps are the profile's
/// `ladder`. There is always a profile; its `completeness` says what is missing and why.
pub async fn probe(ask: &Ask, recorded: Option<&RecordedHello>, mut progress: impl FnMut(Progress)) -> HostProfile {
    let deadline = Instant::now() + ask.within;
    let begun = clock::now();
    let (mut made, mut steps) = (0, Vec::new());
    if let Some(recorded) = recorded {
        (made, steps) = replays(ask, recorded, deadline, &mut progress).await;
    }
    let mut plan = Plan::new(ask.options.clone(), begun);
    plan.climbed(made, steps);
    while let Some(question) = plan.next_question() {
        if Instant::now() >= deadline {
            plan.stop(format!("the bound of {} s", ask.within.as_secs_f32()));
            break;
        }
        progress(Progress { connections: plan.profile().handshakes, topic: plan.topic() });
        let (request, hello) = match question {
            Question::Negotiate(protocols) => (Some(protocols), None),
            Question::Hello { request, offer } => {
                ((!ask.options.tls_first).then_some(request), Some(offer.build(&fresh())))
            }
        };
        let reply = converse(ask, deadline, request, hello.as_deref()).await;
        if cut_short(&reply, deadline) {
            plan.stop(format!("the bound of {} s", ask.within.as_secs_f32()));
            break;
        }
        let refused = matches!(reply.reaction, Some(Reaction::NotReached(_)));
        plan.answer(reply);
        if refused && plan.profile().completeness == Completeness::Complete {
            sleep(PAUSE).await;
        }
    }
    plan.finish()
}

/// Replays a client's hello, as it was and then with one thing changed at a time, as far as that tells something more.
pub async fn ladder(ask: &Ask, recorded: &RecordedHello) -> Vec<LadderStep> {
    replays(ask, recorded, Instant::now() + ask.within, &mut |_| ()).await.1
}

async fn replays(
    ask: &Ask,
    recorded: &RecordedHello,
    deadline: Instant,
    progress: &mut impl FnMut(Progress),
) -> (u16, Vec<LadderStep>) {
    let mut requests = recorded.protocols.into_iter().chain(REQUESTS).collect::<Vec<_>>();
    requests.dedup();
    requests.reverse();
    let (mut ladder, mut made) = (Ladder::new(recorded), 0);
    while let Some(change) = ladder.next_change() {
        let Some(hello) = recorded.replay(&change, &fresh()) else { break };
        let request = requests.last().copied();
        if made >= ask.options.max_handshakes
            || Instant::now() >= deadline
            || (request.is_none() && !recorded.tls_first)
        {
            break;
        }
        progress(Progress { connections: made, topic: "the client's own hello".to_owned() });
        let request = (!recorded.tls_first).then_some(request);
        let reply = converse(ask, deadline, request, Some(&hello)).await;
        made += 1;
        if cut_short(&reply, deadline) {
            break;
        }
        match reply.reaction {
            Some(reaction) => ladder.answer(reaction),
            // TLS was not selected: another request may get it.
            None => {
                requests.pop();
            }
        }
    }
    (made, ladder.finish())
}

/// Nothing came because all of the time was over: that says nothing of the host.
fn cut_short(reply: &Reply, deadline: Instant) -> bool {
    let silent = matches!(reply.reaction, Some(Reaction::Silence | Reaction::NotReached(_)))
        || reply.negotiation == Some(NegotiationAnswer::Silence);
    silent && Instant::now() >= deadline
}

fn fresh() -> Fresh {
    let mut bytes = [0; 64];
    // Only uniqueness is needed; a source that fails leaves the clock.
    if provider().secure_random.fill(&mut bytes).is_err() {
        bytes[..8].copy_from_slice(&clock::now().0.to_be_bytes());
    }
    let (mut random, mut seed) = ([0; 32], [0; 32]);
    random.copy_from_slice(&bytes[..32]);
    seed.copy_from_slice(&bytes[32..]);
    Fresh { random, seed }
}

/// One connection: the request (`None` where TLS comes first), the hello when TLS is selected, what comes back, the close.
async fn converse(ask: &Ask, deadline: Instant, request: Option<Option<Protocols>>, hello: Option<&[u8]>) -> Reply {
    let deadline = deadline.min(Instant::now() + ask.timeout);
    let mut reply = Reply::default();
    match connect(ask.address, deadline).await {
        Err(error) => reply.reaction = Some(Reaction::NotReached(connect_words(ask.address, error))),
        Ok(socket) => {
            let mut conversation =
                Conversation { socket, deadline, host: HostStream::new(), first: Vec::new(), read: 0 };
            let mut selected = request.is_none();
            if let Some(protocols) = request {
                let answer = conversation.negotiate(protocols).await;
                selected = matches!(&answer, NegotiationAnswer::Answered(Answer::Selected { protocol, .. }) if protocol.0 != 0);
                reply.negotiation = Some(answer);
            } else {
                conversation.host.expect_tls();
            }
            if let Some(hello) = hello.filter(|_| selected) {
                conversation.greet(hello, &mut reply).await;
            }
            let unanswered = reply.reaction == Some(Reaction::Silence);
            conversation.close(unanswered).await;
        }
    }
    reply.at = clock::now();
    reply
}

struct Conversation {
    socket: TcpStream,
    deadline: Instant,
    host: HostStream,
    /// The first bytes that came, for who is no RDP host.
    first: Vec<u8>,
    read: usize,
}

/// Why no more bytes come.
enum End {
    Closed(CloseKind),
    /// The time is over, or there was more than anybody reads.
    Silence,
}

/// A ServerHello of TLS 1.2 or older, until its flight has come.
type Chosen = (TlsVersion, CipherSuite, Option<NamedGroup>);

impl Conversation {
    async fn negotiate(&mut self, protocols: Option<Protocols>) -> NegotiationAnswer {
        if let Err(error) = self.socket.write_all(&connection_request(protocols)).await {
            return NegotiationAnswer::Closed(close_kind(&error));
        }
        let mut bytes = Vec::new();
        loop {
            let mut input = &bytes[..];
            match self.host.next(&mut input, clock::now()) {
                Some(Event::Answer(answer)) => return NegotiationAnswer::Answered(answer),
                Some(_) => return NegotiationAnswer::Answered(Answer::NotRdp(self.first.clone())),
                None => {}
            }
            bytes = match self.more().await {
                Ok(bytes) => bytes,
                Err(End::Closed(_)) if !self.first.is_empty() => {
                    return NegotiationAnswer::Answered(Answer::NotRdp(self.first.clone()));
                }
                Err(End::Closed(kind)) => return NegotiationAnswer::Closed(kind),
                Err(End::Silence) => return NegotiationAnswer::Silence,
            };
        }
    }

    async fn greet(&mut self, hello: &[u8], reply: &mut Reply) {
        if let Err(error) = self.socket.write_all(hello).await {
            reply.reaction = Some(Reaction::Closed(close_kind(&error)));
            return;
        }
        let (mut chosen, mut warnings) = (None, 0);
        loop {
            let bytes = match self.more().await {
                Ok(bytes) => bytes,
                Err(end) => {
                    reply.reaction = Some(match (chosen, end) {
                        (Some(chosen), _) => accepted(chosen),
                        (None, End::Closed(kind)) => Reaction::Closed(kind),
                        (None, End::Silence) => Reaction::Silence,
                    });
                    return;
                }
            };
            let mut input = &bytes[..];
            while let Some(event) = self.host.next(&mut input, clock::now()) {
                if let Some(reaction) = heard(event, &mut chosen, &mut warnings, reply) {
                    reply.reaction = Some(reaction);
                    return;
                }
            }
        }
    }

    async fn more(&mut self) -> Result<Vec<u8>, End> {
        if self.read >= READ_MAX {
            return Err(End::Silence);
        }
        let mut bytes = vec![0; 16 * 1024];
        match timeout_at(self.deadline, self.socket.read(&mut bytes)).await {
            Err(_) => Err(End::Silence),
            Ok(Ok(0)) => Err(End::Closed(CloseKind::Fin)),
            Ok(Ok(length)) => {
                bytes.truncate(length);
                self.read += length;
                let room = 16 - self.first.len().min(16);
                self.first.extend(bytes.iter().take(room));
                Ok(bytes)
            }
            Ok(Err(error)) => Err(End::Closed(close_kind(&error))),
        }
    }

    /// FIN, and then whatever the host still sends is read: unread bytes would turn the close into a reset.
    ///
    /// After a hello that was not answered and a FIN that was not either, a reset: the FIN stands behind bytes that the
    /// path may have lost, and a host that never hears of it would keep the connection.
    async fn close(mut self, unanswered: bool) {
        let until = Instant::now() + LINGER;
        if timeout_at(until, self.socket.shutdown()).await.is_ok() {
            let mut bytes = vec![0; 16 * 1024];
            while self.read < 2 * READ_MAX
                && let Ok(Ok(length @ 1..)) = timeout_at(until, self.socket.read(&mut bytes)).await
            {
                self.read += length;
            }
        }
        if unanswered && Instant::now() >= until {
            let _ = SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
        }
    }
}

/// The reaction, as soon as an event completes it.
fn heard(event: Event, chosen: &mut Option<Chosen>, warnings: &mut u8, reply: &mut Reply) -> Option<Reaction> {
    match event {
        Event::ServerHello { facts, .. } => {
            let now = (facts.version, facts.suite, facts.group);
            *chosen = Some(now);
            facts.version.is_tls13().then(|| accepted(now))
        }
        Event::HelloRetryRequest { suite, group, .. } => Some(Reaction::Retry { suite, group }),
        Event::Certificate(certificate) => {
            reply.certificate = Some(*certificate);
            None
        }
        Event::KeyExchange { group, signature, .. } => {
            reply.signature = signature;
            if let Some((_, _, known)) = chosen {
                *known = group;
            }
            None
        }
        Event::ServerHelloDone => chosen.map(accepted),
        Event::Alert { level, description, .. } => {
            *warnings += 1;
            let last = level != AlertLevel::WARNING || description.0 == 0 || *warnings >= WARNINGS_MAX;
            last.then(|| chosen.map_or(Reaction::Alert(description), accepted))
        }
        Event::Pdu(_) => Some(Reaction::ClearDisconnect),
        Event::NotTls(_) | Event::TooLarge { .. } | Event::Malformed { fatal: true, .. } => {
            Some(chosen.map_or(Reaction::NotTls, accepted))
        }
        Event::Malformed { message: "server_hello", .. } => Some(Reaction::NotTls),
        _ => None,
    }
}

fn accepted((version, suite, group): Chosen) -> Reaction {
    Reaction::Hello { version, suite, group }
}

fn close_kind(error: &io::Error) -> CloseKind {
    match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => CloseKind::Rst,
        ErrorKind::TimedOut => CloseKind::Timeout,
        _ => CloseKind::Error,
    }
}

fn connect_words(address: SocketAddr, error: ConnectError) -> String {
    let errno = || match error.errno {
        0 => String::new(),
        errno => format!(": {}", io::Error::from_raw_os_error(errno)),
    };
    match error.failure {
        ConnectFailure::Refused => {
            format!("{address} refused the connection: nothing listens there, or a firewall rejects it")
        }
        ConnectFailure::Timeout => format!("{address} did not answer the connect: it is off, or a firewall drops it"),
        ConnectFailure::Unreachable => format!("there is no way to {address}{}", errno()),
        ConnectFailure::Reset => format!("{address} reset the connection at once"),
        _ => format!("connecting to {address} failed{}", errno()),
    }
}
