//! One connection, from accept to report. Read it as a sequence diagram: client, proxy, host.

use crate::plan::{Plan, Shared};
use crate::record::SessionIdentity;
use crate::relay::{Ending, Leg, Relay, Stop, Witness};
use crate::upstream::{Attempts, reach};
use parser::session::{CloseKind, Closer, ConnectFailure, Peer, ProxyAct, ResolveFailure, Upstream, UpstreamEvent};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// Serves a client that was accepted and admitted, until both sides are closed and the record is handed over.
///
/// No `async fn`, which would keep its arguments beside what is made of them, for days.
pub(crate) fn serve<'a>(
    socket: TcpStream,
    identity: Arc<SessionIdentity>,
    plan: &'a Plan,
    shared: &'a Shared,
    stop: &'a mut Stop,
) -> impl Future<Output = ()> + Send + 'a {
    let client = Leg::of_client(socket);
    let mut witness = Witness::new(identity, client.socket(), &shared.observer, &shared.budget);
    let mut relay = Relay::new(client, &plan.timeouts, &shared.form);
    if plan.bridge.is_some() {
        witness.legs_apart();
    }

    async move {
        // In a box of its own, which is gone once there is a host: an idle session does not pay for it.
        let reached = Box::pin(reach_host(&mut relay, &mut witness, plan, stop)).await;
        let ending = match reached.map(|host| relay.attach(host, &mut witness)) {
            Ok(()) => match &plan.bridge {
                None => relay.run(&mut witness, stop).await,
                // On the heap: what a bridge needs is no burden of a session without one.
                Some(bridge) => Box::pin(bridge.serve(&mut relay, &mut witness, stop)).await,
            },
            Err(ending) => ending,
        };

        Box::pin(close(relay, ending, &mut witness)).await;
        witness.finish();
    }
}

/// Name, address, connection; meanwhile the client may speak already, or leave.
async fn reach_host(relay: &mut Relay, witness: &mut Witness, plan: &Plan, stop: &mut Stop) -> Result<Leg, Ending> {
    let deadline = Instant::now() + plan.timeouts.connect;
    let addresses = resolve(relay, witness, plan, deadline, stop).await?;
    let mut attempts = Attempts::new(addresses, deadline);
    while let Some((address, share)) = attempts.next_address() {
        witness.upstream(UpstreamEvent::Connecting(address));
        match relay.meanwhile(reach(address, share), witness, stop).await? {
            Ok(reached) => {
                witness.upstream(UpstreamEvent::Connected(address));
                return Ok(Leg::of_host(reached));
            }
            Err(error) => attempts.failed(address, error),
        }
    }
    Err(no_host(witness, attempts.outcome()))
}

async fn resolve(
    relay: &mut Relay,
    witness: &mut Witness,
    plan: &Plan,
    deadline: Instant,
    stop: &mut Stop,
) -> Result<Vec<SocketAddr>, Ending> {
    if plan.needs_lookup() {
        witness.upstream(UpstreamEvent::Resolving);
    }
    let lookup = timeout_at(deadline, plan.resolver.resolve(&plan.upstream));
    let (failure, detail) = match relay.meanwhile(lookup, witness, stop).await? {
        Ok(Ok(addresses)) => return Ok(addresses),
        Ok(Err(failed)) => failed,
        Err(_elapsed) => (ResolveFailure::Timeout, "no answer within the connect time-out".to_owned()),
    };
    Err(no_host(witness, Upstream::ResolveFailed { failure, detail }))
}

fn no_host(witness: &mut Witness, outcome: Upstream) -> Ending {
    let kind = match &outcome {
        Upstream::ResolveFailed { failure: ResolveFailure::Timeout, .. }
        | Upstream::ConnectFailed { failure: ConnectFailure::Timeout, .. } => CloseKind::Timeout,
        _ => CloseKind::Rst,
    };
    witness.upstream(UpstreamEvent::Failed(outcome));
    Ending::NoHost(kind)
}

/// Reproduces the end for whoever is still there.
///
/// Where we are the ones who end it, the client gets RST, so that its user has the error at once and a silent scanner
/// leaves no state behind here; the host gets what a client that gives up sends, a plain close.
async fn close(mut relay: Relay, ending: Ending, witness: &mut Witness) {
    match ending {
        Ending::Closed | Ending::Broken(_) => {}
        Ending::TimedOut(awaiting) => witness.acted(ProxyAct::TimedOut(awaiting), CloseKind::Timeout),
        Ending::Stopped => witness.acted(ProxyAct::Shutdown, CloseKind::Rst),
        Ending::Refused => witness.closed(Closer::Proxy, CloseKind::Fin, crate::clock::now()),
        Ending::NoHost(kind) => witness.closed(Closer::Proxy, kind, crate::clock::now()),
    }
    // Before the sockets go: they show what was retransmitted and never acknowledged.
    witness.socket_facts();
    match ending {
        Ending::Closed => {}
        Ending::Refused => relay.part().await,
        Ending::Broken(peer) => relay.reset(peer.other()).await,
        Ending::TimedOut(_) | Ending::Stopped | Ending::NoHost(_) => relay.reset(Peer::Client).await,
    }
    drop(relay);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn future_size<A, B, C, D, E, F>(_: impl FnOnce(A, B, C, D, E) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn an_idle_session_costs_little_memory() {
        // No buffer is in here; what is, is paid for every session for as long as it lives.
        let size = future_size::<TcpStream, Arc<SessionIdentity>, &Plan, &Shared, &mut Stop, _>(serve);
        println!("task of a session: {size} bytes, without those of the runtime");
        // A little more, and with what the runtime adds it is no longer a block of 640.
        assert!(size <= 432, "{size} bytes per task");
    }
}
