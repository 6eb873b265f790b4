//! A session that needs the bridge, taken over: TLS with the host first, over a new connection where the first one has
//! refused, then with the client; and what the client sees when that does not come to be.

use super::{BOTH, Legs, Opened, Opening};
use crate::bridge::need::{Packet, packet};
use crate::bridge::tls::{Failure, Out, Tls, clear_alert};
use crate::bridge::{Bridge, libraries::Library, trust};
use crate::probe::Target;
use crate::relay::{Ending, Leg, Relay};
use crate::upstream::reach;
use parser::session::{
    Answer, BridgeBlock, BridgeFacts, BridgeLeg, BridgeOutcome, BridgeReason, ClientHelloFacts, Peer, PerPeer,
};
use parser::wire::AlertDescription;
use std::net::SocketAddr;
use tokio::time::{Instant, timeout_at};

const CLIENT: PerPeer<bool> = PerPeer { client: true, host: false };
const HOST: PerPeer<bool> = PerPeer { client: false, host: true };
/// The record type of a ServerHello. RFC 8446 5.1
const HANDSHAKE: u8 = 22;

/// What became of the host leg.
enum HostLeg {
    Up(Box<dyn Tls>, BridgeLeg, Vec<u8>),
    Failed(BridgeOutcome),
    /// It was not refused: there was no answer in time, and there would be none to another library either.
    Silent(BridgeOutcome),
}

impl Opening<'_> {
    /// Both legs brought up, host first; if one does not come up the client sees what it would have seen, or an alert.
    pub(super) async fn take_over(
        &mut self,
        target: Target,
        hello: &ClientHelloFacts,
        reason: BridgeReason,
        refused_with: Option<AlertDescription>,
        post_quantum: bool,
    ) -> Result<Opened, Ending> {
        let rescue = reason == BridgeReason::Rescue;
        self.relay.untimed();
        // The host's refusal, and its connection, until it is sure that they are not needed.
        let mut refusal = None;
        if rescue {
            let said = std::mem::take(&mut self.said.host);
            match self.connect_anew(target.address).await? {
                Ok(refused) => refusal = refused.map(|leg| (leg, said)),
                Err(words) => {
                    self.said.host = said;
                    return self.gave_up(target, hello, reason, refused_with, host_failed(None, words), None).await;
                }
            }
        }
        let (host, leg, plain) = match self.reach(target, post_quantum).await? {
            HostLeg::Up(host, leg, plain) => (host, leg, plain),
            HostLeg::Failed(outcome) | HostLeg::Silent(outcome) => {
                return self.gave_up(target, hello, reason, refused_with, outcome, refusal).await;
            }
        };
        let shown = host.peer_certificate().unwrap_or_default();
        let same = match (self.nla, self.gateway) {
            (true, _) => trust::public_key(shown).is_some_and(|key| key == self.shown.public_key),
            (_, true) => shown == self.shown.certificate,
            _ => true,
        };
        if !same {
            let by = if self.nla { BridgeBlock::Nla } else { BridgeBlock::Gateway };
            tracing::warn!(
                host = self.witness.upstream_label(),
                "the key given to the bridge is not the host's: the host has {}, the bridge {}",
                trust::digest(trust::public_key_info(shown).unwrap_or_default()),
                trust::digest(trust::public_key_info(&self.shown.certificate).unwrap_or_default()),
            );
            return self.untouched_after_all(target, hello, reason, refused_with, by, refusal).await;
        }
        Relay::hang_up(refusal.map(|(first, _)| first), self.witness);
        let facts = |outcome, client| BridgeFacts { reason, outcome, client, host: Some(leg), refused_with, cut: None };
        let mut sealed: PerPeer<Vec<u8>> = PerPeer { client: Vec::new(), host: std::mem::take(&mut self.said.host) };
        match self.client_leg().await? {
            Ok((mut client, client_leg, client_plain)) => {
                self.witness.bridged(facts(BridgeOutcome::Carried, Some(client_leg)));
                sealed.client = client.rest();
                let plain = PerPeer { client: client_plain, host: plain };
                Ok(Opened::Bridged(Box::new(Legs { client, host, plain, sealed, read: !self.gateway })))
            }
            Err(failure) => {
                let alert = match failure {
                    Failure::Alert(alert) => Some(alert),
                    _ => None,
                };
                let words = failure.to_string();
                let outcome = BridgeOutcome::LegFailed { leg: Peer::Client, alert, words, exhausted: false };
                self.witness.bridged(facts(outcome, None));
                if self.relay.is_over(Peer::Client) {
                    return Err(self.relay.left_by(Peer::Client, self.witness));
                }
                Err(Ending::Refused)
            }
        }
    }

    /// TLS with the host, by the first library that it will have: one connection for each.
    async fn reach(&mut self, target: Target, post_quantum: bool) -> Result<HostLeg, Ending> {
        let mut outcome = host_failed(None, "nothing was tried".to_owned());
        for (number, library) in self.for_host.iter().enumerate() {
            if number > 0 {
                match self.connect_anew(target.address).await? {
                    Ok(before) => Relay::hang_up(before, self.witness),
                    Err(words) => return Ok(HostLeg::Failed(host_failed(None, words))),
                }
            }
            match self.host_leg(*library, post_quantum).await? {
                HostLeg::Failed(failed @ BridgeOutcome::LegFailed { .. }) => outcome = failed,
                settled => return Ok(settled),
            }
            self.said.host.clear();
        }
        Ok(HostLeg::Failed(outcome))
    }

    fn connect(&self, library: Library, post_quantum: bool) -> Result<Box<dyn Tls>, Failure> {
        let Bridge { rules, trust, name, .. } = self.bridge;
        self.shown.libraries.connect(library, rules, trust, name, (post_quantum, self.nla), self.witness.keys())
    }

    /// TLS with the host, and what it said with the last of the handshake.
    async fn host_leg(&mut self, library: Library, post_quantum: bool) -> Result<HostLeg, Ending> {
        // Refused before its ServerHello: there may be more to offer than this build has.
        let (exhausted, mut answered) = (self.shown.libraries.exhausted(&self.bridge.rules), false);
        let failed = |failure, answered: bool| {
            let leg_failed = |alert, words| {
                let exhausted = exhausted && !answered;
                HostLeg::Failed(BridgeOutcome::LegFailed { leg: Peer::Host, alert, words, exhausted })
            };
            match failure {
                Failure::Untrusted(words) => HostLeg::Failed(BridgeOutcome::HostUntrusted(words)),
                Failure::Alert(alert) => leg_failed(Some(alert), Failure::Alert(alert).to_string()),
                Failure::Protocol(words) => leg_failed(None, words),
            }
        };
        let mut tls = match self.connect(library, post_quantum) {
            Ok(tls) => tls,
            Err(failure) => return Ok(failed(failure, true)),
        };
        let deadline = Instant::now() + self.relay.timeouts().server_hello;
        let (mut out, mut plain) = (Out::default(), Vec::new());
        loop {
            let mut said = std::mem::take(&mut self.said.host);
            answered |= said.first() == Some(&HANDSHAKE);
            let received = receive(&mut *tls, &mut said, &mut plain, &mut out);
            self.relay.say(Peer::Host, &out, self.witness, self.stop).await?;
            out.clear();
            if let Err(failure) = received {
                return Ok(failed(failure, answered));
            }
            if let Some(leg) = tls.facts() {
                return Ok(HostLeg::Up(tls, leg, plain));
            }
            if self.relay.is_over(Peer::Host) {
                return Ok(failed(
                    Failure::Protocol("the host closed the connection during the handshake".to_owned()),
                    answered,
                ));
            }
            match timeout_at(deadline, self.hear(BOTH)).await {
                Ok(heard) => {
                    if !heard? {
                        return Err(self.relay.left_by(Peer::Client, self.witness));
                    }
                }
                Err(_elapsed) => {
                    let limit = self.relay.timeouts().server_hello;
                    let words = format!("the host did not complete the handshake within {limit:?}");
                    return Ok(HostLeg::Silent(host_failed(None, words)));
                }
            }
        }
    }

    /// TLS with the client, from the hello that it has sent already.
    async fn client_leg(&mut self) -> Result<Result<(Box<dyn Tls>, BridgeLeg, Vec<u8>), Failure>, Ending> {
        let mut tls = match self.shown.libraries.accept(self.for_client, self.witness.keys()) {
            Ok(tls) => tls,
            Err(failure) => return Ok(Err(failure)),
        };
        self.said.client.drain(..self.request);
        (self.request, self.forwarded) = (0, 0);
        let (mut out, mut plain) = (Out::default(), Vec::new());
        loop {
            let mut said = std::mem::take(&mut self.said.client);
            let received = receive(&mut *tls, &mut said, &mut plain, &mut out);
            self.relay.say(Peer::Client, &out, self.witness, self.stop).await?;
            out.clear();
            if let Err(failure) = received {
                return Ok(Err(failure));
            }
            if let Some(leg) = tls.facts() {
                return Ok(Ok((tls, leg, plain)));
            }
            if !self.hear(CLIENT).await? {
                let words = "the client closed the connection during the handshake".to_owned();
                return Ok(Err(Failure::Protocol(words)));
            }
        }
    }

    /// Another connection to the host, as far as the first one had come: the same request, the same answer. Gives the
    /// first one back.
    async fn connect_anew(&mut self, address: SocketAddr) -> Result<Result<Option<Leg>, String>, Ending> {
        let deadline = Instant::now() + self.relay.timeouts().connect;
        let reached = match self.relay.meanwhile(reach(address, deadline), self.witness, self.stop).await? {
            Ok(reached) => reached,
            Err(error) => return Ok(Err(format!("the host could not be connected again: {:?}", error.failure))),
        };
        // What the client said meanwhile belongs behind what it had said.
        let more = self.relay.take_early();
        self.said.client.extend_from_slice(&more);
        let first = self.relay.exchange_host(Leg::of_host(reached), self.witness);
        if self.gateway {
            return Ok(Ok(first));
        }
        let request = self.said.client[..self.request].to_vec();
        self.relay.say(Peer::Host, &request, self.witness, self.stop).await?;
        let deadline = Instant::now() + self.relay.timeouts().negotiate;
        let words = loop {
            match packet(&self.said.host) {
                Packet::Whole(length) => {
                    let confirm: Vec<u8> = self.said.host.drain(..length).collect();
                    if answer_in(&confirm) == answer_in(&self.confirm) {
                        return Ok(Ok(first));
                    }
                    break "the host answered the same Connection Request differently";
                }
                Packet::Other => break "the host did not answer the Connection Request again",
                Packet::More if self.relay.is_over(Peer::Host) => break "the host closed before it answered again",
                Packet::More => {}
            }
            match timeout_at(deadline, self.hear(HOST)).await {
                Ok(heard) => _ = heard?,
                Err(_elapsed) => break "the host did not answer the Connection Request again in time",
            }
        };
        self.said.host.clear();
        if let Some(first) = first {
            Relay::hang_up(self.relay.exchange_host(first, self.witness), self.witness);
        }
        Ok(Err(words.to_owned()))
    }

    /// The host leg did not come up: the client sees what it would have seen, or an alert that says as much.
    async fn gave_up(
        &mut self,
        target: Target,
        hello: &ClientHelloFacts,
        reason: BridgeReason,
        refused_with: Option<AlertDescription>,
        outcome: BridgeOutcome,
        refusal: Option<(Leg, Vec<u8>)>,
    ) -> Result<Opened, Ending> {
        tracing::warn!(host = self.witness.upstream_label(), "the bridge did not reach the host: {}", words(&outcome));
        let alert = match &outcome {
            BridgeOutcome::HostUntrusted(_) => AlertDescription(42),
            BridgeOutcome::LegFailed { alert: Some(alert), .. } => *alert,
            _ => AlertDescription::HANDSHAKE_FAILURE,
        };
        if reason != BridgeReason::Always {
            self.bridge.note_failure(target.address, hello, outcome.clone());
        }
        self.tell(reason, refused_with, outcome);
        if reason == BridgeReason::Rescue {
            if let Some((first, said)) = refusal {
                Relay::hang_up(self.relay.exchange_host(first, self.witness), self.witness);
                self.said.host = said;
            }
            return Ok(self.pass());
        }
        self.refuse(alert).await
    }

    /// The key that was given is not the host's: the connection goes on untouched, over a new one if need be.
    async fn untouched_after_all(
        &mut self,
        target: Target,
        hello: &ClientHelloFacts,
        reason: BridgeReason,
        refused_with: Option<AlertDescription>,
        by: BridgeBlock,
        refusal: Option<(Leg, Vec<u8>)>,
    ) -> Result<Opened, Ending> {
        self.tell(reason, refused_with, BridgeOutcome::Blocked(by));
        if reason != BridgeReason::Always {
            self.bridge.note_failure(target.address, hello, BridgeOutcome::Blocked(by));
        }
        self.said.host.clear();
        if let Some((first, said)) = refusal {
            Relay::hang_up(self.relay.exchange_host(first, self.witness), self.witness);
            self.said.host = said;
            return Ok(self.pass());
        }
        match self.connect_anew(target.address).await? {
            Ok(before) => {
                Relay::hang_up(before, self.witness);
                self.forwarded = self.request;
                Ok(self.pass())
            }
            Err(words) => {
                tracing::warn!(host = self.witness.upstream_label(), "a session that is not bridged is lost: {words}");
                self.refuse(AlertDescription::INTERNAL_ERROR).await
            }
        }
    }

    /// A fatal alert in clear, in place of a ServerHello.
    async fn refuse(&mut self, alert: AlertDescription) -> Result<Opened, Ending> {
        let alert = clear_alert(alert);
        self.relay.say(Peer::Client, &alert, self.witness, self.stop).await?;
        Err(Ending::Refused)
    }
}

/// Gives `said` to a leg, with the rest of what it had.
fn receive(tls: &mut dyn Tls, said: &mut Vec<u8>, plain: &mut Vec<u8>, out: &mut Out) -> Result<(), Failure> {
    let mut wire = tls.rest();
    wire.append(said);
    tls.receive(&mut wire, &mut |data| plain.extend_from_slice(data), out)
}

/// What a Connection Confirm says, apart from references, which a host may count up.
fn answer_in(confirm: &[u8]) -> Option<Answer> {
    match parser::wire::ConnectionAnswer::parse(confirm) {
        parser::wire::Outcome::Value { value, .. } => Some(Answer::from_answer(&value, confirm)),
        _ => None,
    }
}

fn host_failed(alert: Option<AlertDescription>, words: String) -> BridgeOutcome {
    BridgeOutcome::LegFailed { leg: Peer::Host, alert, words, exhausted: false }
}

fn words(outcome: &BridgeOutcome) -> &str {
    match outcome {
        BridgeOutcome::HostUntrusted(words) | BridgeOutcome::LegFailed { words, .. } => words,
        BridgeOutcome::Carried | BridgeOutcome::Blocked(_) | BridgeOutcome::FailedBefore(_) => outcome.name(),
    }
}
