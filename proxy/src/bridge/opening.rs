//! The opening of a session on a listener with a bridge: relayed as it comes, until it is known whether this pair needs
//! the bridge, and then either passed on untouched or taken over, host leg first.
//!
//! Withheld from the host: the ClientHello, with `always` or when a fresh profile may prove that it would be refused.
//! Withheld from the client: what the host says after the Connection Confirm, until its first bytes show whether it
//! goes on. Nothing else.

mod take_over;

use super::libraries::{Library, is_beyond_modern};
use super::need::{Negotiated, Packet, Reply, Request, packet};
use super::tls::Tls;
use super::{Bridge, Shown};
use crate::probe::Target;
use crate::relay::{Ending, Relay, Stop, Witness};
use config::{BridgeMode, LEGACY_TLS};
use parser::profile::{Ability, Offer, meet};
use parser::session::{
    BridgeBlock, BridgeFacts, BridgeOutcome, BridgeReason, ClientHelloFacts, Peer, PerPeer, Upstream,
};
use parser::wire::{AlertDescription, NamedGroup};
use std::sync::Arc;

/// What an opening came to.
pub(super) enum Opened {
    /// Untouched: the relay goes on.
    Passed,
    /// Both legs are up.
    Bridged(Box<Legs>),
}

/// Both legs of a bridged session, and what is still to be handed on.
pub(super) struct Legs {
    pub(super) client: Box<dyn Tls>,
    pub(super) host: Box<dyn Tls>,
    /// Read with the last of the handshake, in clear: from the client for the host, and the other way.
    pub(super) plain: PerPeer<Vec<u8>>,
    /// Read from the sockets and not opened yet.
    pub(super) sealed: PerPeer<Vec<u8>>,
    /// RDP is inside. Of a gateway's HTTP nothing is read.
    pub(super) read: bool,
}

const BOTH: PerPeer<bool> = PerPeer { client: true, host: true };

pub(super) struct Opening<'a> {
    bridge: &'a Bridge,
    shown: Arc<Shown>,
    relay: &'a mut Relay,
    witness: &'a mut Witness,
    stop: &'a mut Stop,
    /// What each side has said. The client's whole opening is kept, for a host that has to be asked anew.
    said: PerPeer<Vec<u8>>,
    /// How much of the client's the host has been sent.
    forwarded: usize,
    /// Length of the Connection Request with what stands before it; 0 with TLS at once.
    request: usize,
    /// The Connection Confirm as the host sent it.
    confirm: Vec<u8>,
    nla: bool,
    gateway: bool,
    /// What may reach the host, in order.
    for_host: &'static [Library],
    for_client: Library,
}

/// Why the bridge is to take over, or that it is not.
enum Need {
    None,
    Bridge { reason: BridgeReason, refused_with: Option<AlertDescription> },
}

impl<'a> Opening<'a> {
    pub(super) fn new(
        bridge: &'a Bridge,
        shown: Arc<Shown>,
        relay: &'a mut Relay,
        witness: &'a mut Witness,
        stop: &'a mut Stop,
    ) -> Opening<'a> {
        Opening {
            bridge,
            shown,
            relay,
            witness,
            stop,
            said: PerPeer { client: Vec::new(), host: Vec::new() },
            forwarded: 0,
            request: 0,
            confirm: Vec::new(),
            nla: false,
            gateway: false,
            for_host: &[],
            for_client: Library::Modern,
        }
    }

    pub(super) async fn run(mut self) -> Result<Opened, Ending> {
        self.said.client = self.relay.take_early();
        let Some(target) = self.negotiate().await? else { return Ok(self.pass()) };
        let (request, answer) = self.witness.look(|t| (t.request.clone(), t.answer.clone())).unwrap_or_default();
        let mut block = None;
        if !self.gateway {
            match Negotiated::of(request.as_ref(), answer.as_ref()) {
                Negotiated::NotTls => return Ok(self.pass()),
                Negotiated::Tls { nla } => self.nla = nla,
                Negotiated::Blocked(by) => block = Some(by),
            }
        }
        if block.is_none() && !self.shown.given {
            // Both bind what the host shows, and what we would show is of our own making.
            block = if self.nla { Some(BridgeBlock::Nla) } else { self.gateway.then_some(BridgeBlock::Gateway) };
        }
        let always = self.bridge.rules.mode == BridgeMode::Always;
        if let (true, Some(by)) = (always, block) {
            self.tell(BridgeReason::Always, None, BridgeOutcome::Blocked(by));
            return Ok(self.pass());
        }
        // A host that took no hello at all when it was asked proves nothing of this one: it may be whole again by now.
        let ability =
            if always { None } else { self.witness.fresh_profile(target).and_then(|profile| Ability::of(&profile)) };
        let Some(hello) = self.client_hello(always || ability.is_some()).await? else { return Ok(self.pass()) };
        let need = match (always, &ability) {
            (true, _) => Need::Bridge { reason: BridgeReason::Always, refused_with: None },
            (false, Some(ability)) => by_profile(&hello, ability),
            (false, None) => self.by_refusal().await?,
        };
        let Need::Bridge { reason, refused_with } = need else { return Ok(self.pass()) };
        let (libraries, rules) = (&self.shown.libraries, &self.bridge.rules);
        let for_client = libraries.for_client(&hello);
        let beyond = !LEGACY_TLS && ability.as_ref().is_some_and(is_beyond_modern);
        let out_of_reach = if LEGACY_TLS { BridgeBlock::ClientWindow } else { BridgeBlock::LegacyBuild(Peer::Client) };
        let block = block
            .or(for_client.is_none().then_some(out_of_reach))
            .or(beyond.then_some(BridgeBlock::LegacyBuild(Peer::Host)));
        let aside = block.map(BridgeOutcome::Blocked).or_else(|| {
            let before = (!always).then(|| self.bridge.failed_before(target.address, &hello)).flatten();
            before.map(|how| BridgeOutcome::FailedBefore(Box::new(how)))
        });
        if let Some(outcome) = aside {
            self.tell(reason, refused_with, outcome);
            return Ok(self.pass());
        }
        let refused = (reason == BridgeReason::Rescue).then_some(&*hello);
        self.for_host = libraries.for_host(rules, ability.as_ref(), refused);
        self.for_client = for_client.unwrap_or(Library::Modern);
        let groups = ability.and_then(|host| host.groups).unwrap_or_default();
        let post_quantum = groups.contains(&NamedGroup(0x11ec));
        let took = self.take_over(target, &hello, reason, refused_with, post_quantum).await;
        self.witness.early(0);
        took
    }

    /// Everything goes on as it came.
    fn pass(&mut self) -> Opened {
        let client = self.said.client.split_off(self.forwarded);
        let host = std::mem::take(&mut self.said.host);
        self.relay.resume(PerPeer { client, host }, self.witness);
        Opened::Passed
    }

    /// Until TLS is agreed on; then who the host is. `None`: it is not, or will not be.
    async fn negotiate(&mut self) -> Result<Option<Target>, Ending> {
        loop {
            match Request::of(&self.said.client) {
                Request::X224(length) => {
                    self.request = length;
                    break;
                }
                Request::Tls(begin) => {
                    (self.request, self.gateway) = (begin, true);
                    break;
                }
                Request::Other => return Ok(None),
                Request::More => {}
            }
            if !self.hear(BOTH).await? || !self.said.host.is_empty() || self.relay.is_over(Peer::Host) {
                return Ok(None);
            }
        }
        self.forward(self.request).await?;
        while !self.gateway {
            match packet(&self.said.host) {
                Packet::Whole(length) => {
                    self.confirm = self.said.host.drain(..length).collect();
                    self.relay.say(Peer::Client, &self.confirm, self.witness, self.stop).await?;
                    break;
                }
                Packet::Other => return Ok(None),
                Packet::More => {}
            }
            if !self.hear(BOTH).await? || self.relay.is_over(Peer::Host) && packet(&self.said.host) == Packet::More {
                return Ok(None);
            }
        }
        let address = self.witness.look(|t| match t.upstream {
            Upstream::Connected(address) => Some(address),
            _ => None,
        });
        Ok(address.flatten().map(|address| Target { address, tls_first: self.gateway }))
    }

    /// The client's hello, once it is whole; sent on as it comes unless it is to be withheld.
    async fn client_hello(&mut self, withheld: bool) -> Result<Option<Box<ClientHelloFacts>>, Ending> {
        loop {
            if !withheld {
                self.forward(self.said.client.len()).await?;
            }
            match self.witness.look(|t| t.client_hello.clone()) {
                None => return Ok(None),
                Some(Some(hello)) => return Ok(Some(Box::new(hello))),
                Some(None) => {}
            }
            // A host that speaks before it was spoken to, or leaves.
            if !self.hear(BOTH).await? || !self.said.host.is_empty() || self.relay.is_over(Peer::Host) {
                return Ok(None);
            }
        }
    }

    /// The host refuses the hello that it was sent, before anything of it has gone to the client.
    async fn by_refusal(&mut self) -> Result<Need, Ending> {
        loop {
            match Reply::of(&self.said.host, self.relay.is_over(Peer::Host)) {
                Reply::Goes => return Ok(Need::None),
                Reply::Refused(refused_with) => {
                    return Ok(Need::Bridge { reason: BridgeReason::Rescue, refused_with });
                }
                Reply::More => {}
            }
            // A client that goes on speaking, or leaves, while its hello is unanswered: not for us to judge.
            let known = self.said.client.len();
            if !self.hear(BOTH).await? || self.said.client.len() > known {
                return Ok(Need::None);
            }
        }
    }

    fn tell(&mut self, reason: BridgeReason, refused_with: Option<AlertDescription>, outcome: BridgeOutcome) {
        self.witness.bridged(BridgeFacts { reason, outcome, client: None, host: None, refused_with, cut: None });
    }

    /// Waits for more. False when the client has left.
    async fn hear(&mut self, from: PerPeer<bool>) -> Result<bool, Ending> {
        self.relay.hear(from, &mut self.said, self.witness, self.stop).await?;
        self.witness.early(self.said.client.len() + self.said.host.len());
        Ok(!self.relay.is_over(Peer::Client))
    }

    /// Sends the host what the client has said, up to `end`.
    async fn forward(&mut self, end: usize) -> Result<(), Ending> {
        let next = self.said.client.get(self.forwarded..end).unwrap_or_default();
        self.relay.say(Peer::Host, next, self.witness, self.stop).await?;
        self.forwarded = self.forwarded.max(end);
        Ok(())
    }
}

/// What a host accepts, by a fresh profile, proves that this hello has no answer.
fn by_profile(hello: &ClientHelloFacts, host: &Ability) -> Need {
    match meet(&Offer::from(hello), host) {
        Ok(_) => Need::None,
        Err(_) => Need::Bridge { reason: BridgeReason::Profile, refused_with: None },
    }
}
