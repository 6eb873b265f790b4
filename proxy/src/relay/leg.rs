//! One socket of a session: how it was set up, and how it ended.

use super::witness::Witness;
use crate::clock;
use crate::upstream::Reached;
use parser::Timestamp;
use parser::session::{CloseKind, Closer, Peer};
use socket2::{SockRef, TcpKeepalive};
use std::future::Future;
use std::io;
use std::net::Shutdown;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Keep-alive probes start after a minute of silence, a quarter of a minute apart, and four lost ones end the socket:
/// a dead peer of an idle session is known after two minutes. Kernels answer the probes, so a session may be quiet for
/// days; and one probe a minute keeps the state of firewalls on the way alive, whose shortest idle limits are minutes.
///
/// `TCP_USER_TIMEOUT` is left alone on purpose: with it Linux also ends a connection whose peer answers but has kept
/// its window closed for that long, such as a client paused in a debugger. Unacknowledged data is bounded by the
/// kernel's own `tcp_retries2`, as it would be without a proxy.
const KEEP_ALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(15)).with_retries(4);

/// One socket of a session. Everything it learns about its own end is kept here until it can be told in order.
pub(crate) struct Leg {
    pub(crate) peer: Peer,
    pub(crate) socket: Arc<TcpStream>,
    /// Nothing more will be read: FIN, or an error after the last byte.
    pub(crate) ended: bool,
    /// FIN was read. An RST may have come right behind it.
    pub(crate) fin: bool,
    /// It did not end by FIN.
    pub(crate) broken: Option<Break>,
    /// The tracker knows.
    noted: bool,
}

/// A socket that ended otherwise than by FIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Break {
    pub(crate) kind: CloseKind,
    pub(crate) at: Timestamp,
}

/// What every socket of a session is set to. A listening socket hands its settings on to those it accepts, so for
/// clients this is done once, and [`keep_alive`] too. Small messages matter more to RDP than full segments, hence
/// `TCP_NODELAY`; urgent data, which RDP has not, would leave a byte out of the stream, so it stays in its place (RFC 6093 6).
///
/// # Errors
/// What setsockopt(2) says.
pub(crate) fn set_options(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_out_of_band_inline(true)
}

/// Lets the kernel find out when the peer is dead. For a host this is done when its session has been silent for a moment
/// (see [`super::live`]): before that it takes four calls and cannot matter.
///
/// # Errors
/// What setsockopt(2) says.
pub(crate) fn keep_alive(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_keepalive(&KEEP_ALIVE)
}

impl Leg {
    fn new(peer: Peer, socket: TcpStream) -> Leg {
        Leg { peer, socket: Arc::new(socket), ended: false, fin: false, broken: None, noted: false }
    }

    /// The leg to a client that was accepted, with the settings of the listening socket.
    pub(crate) fn of_client(socket: TcpStream) -> Leg {
        Leg::new(Peer::Client, socket)
    }

    /// The leg to a host that was reached. Was it reset meanwhile, what it sent is read all the same.
    pub(crate) fn of_host(reached: Reached) -> Leg {
        // They cannot fail on a connected socket, and without them the session still works.
        let _ = set_options(&SockRef::from(&reached.socket));
        let mut leg = Leg::new(Peer::Host, reached.socket);
        if let Some(error) = &reached.reset {
            leg.break_by(error);
        }
        leg
    }

    /// The socket, for whoever reads `TCP_INFO`.
    pub(crate) fn socket(&self) -> &Arc<TcpStream> {
        &self.socket
    }

    /// FIN has come, behind what waits to be read: as far as the runtime has been told, which is not asked anew.
    pub(super) fn fin_waits(&self, cx: &mut Context<'_>) -> bool {
        let ready = pin!(self.socket.ready(Interest::READABLE)).poll(cx);
        matches!(ready, Poll::Ready(Ok(ready)) if ready.is_read_closed())
    }

    /// Closing will send RST and drop what is still queued (SO_LINGER 0, socket(7)).
    pub(crate) fn reset_on_close(&self) {
        let _ = self.socket.set_zero_linger();
    }

    /// FIN towards the peer. Reading goes on.
    pub(crate) fn shut_down_writing(&self) {
        // ENOTCONN: the peer has reset meanwhile, which the read side will show.
        let _ = SockRef::from(&*self.socket).shutdown(Shutdown::Write);
    }

    /// A system call said that the connection is no more. There may still be bytes to read, so the tracker is told
    /// only when they have been; but the time is that of now.
    pub(crate) fn break_by(&mut self, error: &io::Error) {
        let kind = close_kind(error);
        self.broken.get_or_insert(Break { kind, at: clock::now() });
    }

    /// The same, when the error is waiting in the socket. False when there is none.
    pub(crate) fn break_by_pending_error(&mut self) -> bool {
        match self.socket.take_error() {
            Ok(Some(error)) => self.break_by(&error),
            Ok(None) => return false,
            Err(error) => self.break_by(&error),
        }
        true
    }

    /// A read found the end of the stream. On a leg that is known to be broken that says nothing: a reset ends it too.
    pub(crate) fn end_of_stream(&mut self) {
        self.fin = self.broken.is_none();
    }

    /// The last byte has been read: the tracker is told, before anything is forwarded.
    pub(crate) fn finish_reading(&mut self, witness: &mut Witness) {
        self.ended = true;
        self.note(witness);
    }

    /// A break that waited for the last bytes to be read is told now, because the other leg's end comes after it.
    pub(super) fn note_break(&mut self, witness: &mut Witness) {
        if self.broken.is_some() {
            self.note(witness);
        }
    }

    fn note(&mut self, witness: &mut Witness) {
        if self.noted {
            return;
        }
        self.noted = true;
        let by = match self.peer {
            Peer::Client => Closer::Client,
            Peer::Host => Closer::Host,
        };
        let (kind, at) = self.end();
        witness.closed(by, kind, at);
    }

    /// How it ended, and when.
    pub(super) fn end(&self) -> (CloseKind, Timestamp) {
        self.broken.map_or_else(|| (CloseKind::Fin, clock::now()), |b| (b.kind, b.at))
    }
}

fn close_kind(error: &io::Error) -> CloseKind {
    match error.raw_os_error() {
        // EPIPE: a reset that came after the peer's FIN, or that an earlier call has already reported (tcp(7)).
        Some(libc::ECONNRESET | libc::EPIPE) => CloseKind::Rst,
        // Keep-alive or retransmission gave up; an ICMP error seen on the way may take the place of ETIMEDOUT.
        Some(libc::ETIMEDOUT | libc::EHOSTUNREACH | libc::ENETUNREACH) => CloseKind::Timeout,
        _ => CloseKind::Error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_set(socket: &SockRef<'_>) {
        assert!(socket.keepalive().expect("SO_KEEPALIVE") && socket.tcp_nodelay().expect("TCP_NODELAY"));
        assert_eq!(socket.tcp_keepalive_time().expect("TCP_KEEPIDLE"), Duration::from_secs(60));
        assert_eq!(socket.tcp_keepalive_interval().expect("TCP_KEEPINTVL"), Duration::from_secs(15));
        assert_eq!(socket.tcp_keepalive_retries().expect("TCP_KEEPCNT"), 4);
        assert_eq!(socket.tcp_user_timeout().expect("TCP_USER_TIMEOUT"), None);
        assert!(socket.out_of_band_inline().expect("SO_OOBINLINE"));
    }

    #[tokio::test]
    async fn both_legs_are_probed_when_idle_and_send_small_messages_at_once() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
        set_options(&SockRef::from(&listener)).expect("options");
        keep_alive(&SockRef::from(&listener)).expect("options");
        let socket = TcpStream::connect(listener.local_addr().expect("address")).await.expect("connect");
        let host = Leg::of_host(Reached { socket, reset: None });
        keep_alive(&SockRef::from(&*host.socket)).expect("options");
        is_set(&SockRef::from(&*host.socket));
        let client = Leg::of_client(listener.accept().await.expect("accept").0);
        is_set(&SockRef::from(&*client.socket));
    }

    #[test]
    fn errors_that_end_a_connection_are_told_apart() {
        let kind = |errno| close_kind(&io::Error::from_raw_os_error(errno));
        assert_eq!(kind(libc::ECONNRESET), CloseKind::Rst);
        assert_eq!(kind(libc::EPIPE), CloseKind::Rst);
        assert_eq!(kind(libc::ETIMEDOUT), CloseKind::Timeout);
        assert_eq!(kind(libc::EHOSTUNREACH), CloseKind::Timeout);
        assert_eq!(kind(libc::EIO), CloseKind::Error);
    }
}
