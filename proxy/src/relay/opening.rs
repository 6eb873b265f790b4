//! An opening that is listened to before it is relayed, for a bridge that has to decide how it goes on.
//!
//! What was read is in the hands of the caller until it gives it back ([`Relay::resume`]) and the relay goes on as it
//! would have from the start: bytes in their order, each end after the last byte before it.

use super::direction::Direction;
use super::witness::Witness;
use super::{Ending, Leg, Relay, Stop, is_transient, read_once};
use parser::session::{Peer, PerPeer};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Bytes of one side that are kept while it is not decided: a ClientHello at its bound, with the request before it.
const KEPT: usize = 66 * 1024;

/// One read of an opening.
const READ: usize = 8 * 1024;

/// A client that was refused has this long to read why, and to close.
const PARTING: Duration = Duration::from_secs(1);

impl Relay {
    /// The client's bytes that came while the host was being connected. They have been shown.
    pub(crate) fn take_early(&mut self) -> Vec<u8> {
        self.up.take()
    }

    /// Waits until somebody in `from` has said something or ended; what was said is appended to `kept`.
    ///
    /// What the client says is shown to the witness at once, its end too. Of what the host says, and of its end, only a
    /// capture is told: what of it goes on to the client is the caller's to say.
    pub(crate) async fn hear(
        &mut self,
        from: PerPeer<bool>,
        kept: &mut PerPeer<Vec<u8>>,
        witness: &mut Witness,
        stop: &mut Stop,
    ) -> Result<(), Ending> {
        poll_fn(|cx| {
            if stop.poll(cx).is_ready() {
                return Poll::Ready(Err(Ending::Stopped));
            }
            let mut heard = false;
            let shown = kept.client.len();
            if from.client && listen(&mut self.client, &mut kept.client, cx) {
                heard = true;
                if let Some(said) = kept.client.get(shown..).filter(|said| !said.is_empty()) {
                    witness.data(Peer::Client, said);
                }
                if self.client.ended {
                    self.client.finish_reading(witness);
                }
            }
            let said = kept.host.len();
            if let (true, Some(host)) = (from.host, &mut self.host)
                && listen(host, &mut kept.host, cx)
            {
                heard = true;
                witness.read_sealed(Peer::Host, kept.host.get(said..).unwrap_or_default());
                if host.ended {
                    let (kind, at) = host.end();
                    witness.host_ended(kind, at);
                }
            }
            if heard {
                return Poll::Ready(Ok(()));
            }
            self.timer.poll_phase(witness, cx).map(|awaiting| Err(Ending::TimedOut(awaiting)))
        })
        .await
    }

    /// Nothing more will come from `peer`.
    pub(crate) fn is_over(&self, peer: Peer) -> bool {
        self.leg(peer).is_none_or(|leg| leg.ended)
    }

    /// The end of a session whose `peer` has left while it was being opened.
    pub(crate) fn left_by(&mut self, peer: Peer, witness: &mut Witness) -> Ending {
        let leg = match peer {
            Peer::Client => Some(&mut self.client),
            Peer::Host => self.host.as_mut(),
        };
        let Some(leg) = leg else { return Ending::Closed };
        leg.finish_reading(witness);
        if leg.broken.is_some() { Ending::Broken(peer) } else { Ending::Closed }
    }

    /// Hands `bytes` to `peer`. A peer that is gone takes nothing; that shows when it is listened to.
    pub(crate) async fn say(
        &mut self,
        peer: Peer,
        bytes: &[u8],
        witness: &mut Witness,
        stop: &mut Stop,
    ) -> Result<(), Ending> {
        let Some(socket) = self.leg(peer).map(|leg| Arc::clone(&leg.socket)) else { return Ok(()) };
        if !bytes.is_empty() {
            witness.said(peer, bytes);
        }
        let mut said = 0;
        poll_fn(|cx| {
            while said < bytes.len() {
                if stop.poll(cx).is_ready() {
                    return Poll::Ready(Err(Ending::Stopped));
                }
                match socket.poll_write_ready(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Err(_)) => return Poll::Ready(Ok(())),
                    Poll::Ready(Ok(())) => match socket.try_write(&bytes[said..]) {
                        Ok(taken) => said += taken,
                        Err(error) if is_transient(&error) => {}
                        Err(_) => return Poll::Ready(Ok(())),
                    },
                }
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// From now on the caller times the host: that the client has no answer yet is not for it to answer for. Until
    /// [`Relay::resume`].
    pub(crate) fn untimed(&mut self) {
        self.timer.host_away();
    }

    /// Goes on untouched: `kept` is what each side has said and the other was not sent. The host's is shown now.
    pub(crate) fn resume(&mut self, kept: PerPeer<Vec<u8>>, witness: &mut Witness) {
        self.timer.host_connected();
        for (to, bytes) in [(Peer::Client, &kept.host), (Peer::Host, &kept.client)] {
            if !bytes.is_empty() {
                witness.said(to, bytes);
            }
        }
        witness.legs_together();
        witness.early(0);
        self.up = Direction::holding(kept.client);
        self.down = Direction::holding(kept.host);
        for leg in [Some(&mut self.client), self.host.as_mut()].into_iter().flatten() {
            if leg.ended {
                leg.finish_reading(witness);
            }
        }
    }

    /// Another connection to the host in place of the one so far, which is given back.
    pub(crate) fn exchange_host(&mut self, leg: Leg, witness: &mut Witness) -> Option<Leg> {
        witness.host_socket(leg.socket());
        self.host.replace(leg)
    }

    /// A connection to the host that is not needed any more.
    pub(crate) fn hang_up(leg: Option<Leg>, witness: &Witness) {
        if let Some(leg) = leg {
            witness.hung_up(&leg.socket);
        }
    }

    /// Both legs, for whoever moves the bytes in the relay's place.
    pub(crate) fn legs(&mut self) -> Option<(&mut Leg, &mut Leg)> {
        Some((&mut self.client, self.host.as_mut()?))
    }

    /// Closes towards the client so that it can read what it was told last: FIN, and no RST for what it still sends.
    pub(crate) async fn part(&mut self) {
        self.host = None;
        self.client.shut_down_writing();
        let deadline = Instant::now() + PARTING;
        let mut sent = Vec::new();
        while !self.client.ended {
            let heard =
                poll_fn(|cx| if listen(&mut self.client, &mut sent, cx) { Poll::Ready(()) } else { Poll::Pending });
            if timeout_at(deadline, heard).await.is_err() {
                return;
            }
            sent.clear();
        }
    }
}

/// Reads once. True when there was something, the end included; the end is noted in the leg alone.
fn listen(leg: &mut Leg, kept: &mut Vec<u8>, cx: &mut Context<'_>) -> bool {
    while !leg.ended && kept.len() < KEPT {
        match leg.socket.poll_read_ready(cx) {
            Poll::Pending => return false,
            Poll::Ready(Err(error)) => leg.break_by(&error),
            Poll::Ready(Ok(())) => {
                let begin = kept.len();
                kept.resize(begin + READ, 0);
                let read = read_once(&leg.socket, &mut kept[begin..]);
                kept.truncate(begin + *read.as_ref().unwrap_or(&0));
                match read {
                    Ok(0) => leg.end_of_stream(),
                    Ok(_) => return true,
                    Err(error) if is_transient(&error) => continue,
                    Err(error) => leg.break_by(&error),
                }
            }
        }
        leg.ended = true;
        return true;
    }
    false
}
