//! The system calls that no crate wraps, each behind a safe function. The only file with `unsafe` in it.
#![allow(unsafe_code)]

use parser::session::TcpFacts;
use socket2::Socket;
use std::ffi::CString;
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// `TCP_INFO` of a socket (tcp(7)), or `None` when the kernel will not say. It still answers after a reset.
#[must_use]
pub fn tcp_facts(socket: &impl AsFd) -> Option<TcpFacts> {
    // Older kernels fill a prefix of the structure only; what they leave out stays zero.
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut length = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).ok()?;
    // SAFETY: the descriptor is borrowed, hence open, for the call; `info` and `length` are valid for writes, and the
    // kernel writes at most `length` bytes.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result != 0 {
        return None;
    }
    // SAFETY: zeroed at first, and every field is an integer, for which any bit pattern is a value.
    let info = unsafe { info.assume_init() };
    Some(TcpFacts {
        rtt_us: info.tcpi_rtt,
        rtt_var_us: info.tcpi_rttvar,
        retransmits: info.tcpi_total_retrans,
        lost: info.tcpi_lost,
        unacked: info.tcpi_unacked,
        mss: info.tcpi_snd_mss,
        backoff: info.tcpi_backoff,
        pmtu: info.tcpi_pmtu,
        last_data_received_ms: info.tcpi_last_data_recv,
    })
}

/// Watches a listening socket with the runtime of this thread.
///
/// # Errors
/// What epoll_ctl(2) says.
pub(crate) fn watch_listener(socket: Socket) -> io::Result<AsyncFd<Socket>> {
    // SAFETY: a `Socket` owns its descriptor and closes it when dropped and not before; it is moved in, and lent out by
    // shared reference only, through which it cannot be replaced. So the descriptor is that of the same open socket for
    // as long as the `AsyncFd` lives.
    unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }.map_err(|error| error.into_parts().1)
}

/// Bytes in the send queue that the peer has not acknowledged: `SIOCOUTQ` (tcp(7)).
///
/// # Errors
/// What ioctl(2) says.
pub fn unsent(socket: &impl AsFd) -> io::Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is borrowed, hence open, for the call; TIOCOUTQ (the same number as SIOCOUTQ) writes one
    // int through the pointer.
    let result = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if result == 0 { Ok(usize::try_from(bytes).unwrap_or(0)) } else { Err(io::Error::last_os_error()) }
}

/// Lets the first SIGINT pass; the next one ends the process as ever. For who reads a pipe: its writer gets the terminal's
/// SIGINT as well and closes the pipe, and what came through it can be told to its end. Who was started to ignore the signal
/// (nohup(1), `&` in a script) goes on ignoring it.
///
/// # Errors
/// What sigaction(2) says.
pub fn outlive_one_interrupt() -> io::Result<()> {
    extern "C" fn pass(_: libc::c_int) {}
    let mut now = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action the call only writes the present one through the pointer, which is valid for that.
    let result = unsafe { libc::sigaction(libc::SIGINT, std::ptr::null(), now.as_mut_ptr()) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: zeroed at first and written by the call; of its fields the null handler and any integer are values.
    let mut action = unsafe { now.assume_init() };
    if action.sa_sigaction == libc::SIG_IGN {
        return Ok(());
    }
    action.sa_sigaction = pass as extern "C" fn(libc::c_int) as libc::sighandler_t;
    action.sa_flags = libc::SA_RESTART | libc::SA_RESETHAND;
    // SAFETY: the action is whole, and its handler does nothing, so it may run at any moment.
    let result = unsafe { libc::sigaction(libc::SIGINT, &raw const action, std::ptr::null_mut()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What a file system has to spare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSpace {
    /// Bytes that a user without privileges may still write.
    pub free: u64,
    /// Files that may still be made, where that is counted.
    pub inodes: Option<u64>,
}

/// What the file system that `path` is on has to spare: statvfs(3).
///
/// # Errors
/// What statvfs says, or that the path has a NUL in it.
pub fn disk_space(path: &Path) -> io::Result<DiskSpace> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut stat = MaybeUninit::<libc::statvfs>::zeroed();
    // SAFETY: `path` ends with a NUL and `stat` is valid for writes, both for the whole call.
    if unsafe { libc::statvfs(path.as_ptr(), stat.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: zeroed at first, and every field is an integer, for which any bit pattern is a value.
    let stat = unsafe { stat.assume_init() };
    let inodes = (stat.f_files > 0).then_some(stat.f_favail);
    Ok(DiskSpace { free: stat.f_bavail.saturating_mul(stat.f_frsize), inodes })
}

/// Raises the soft limit of open descriptors to the hard one and returns what is in force now.
///
/// A session holds two descriptors, and the usual soft limit of 1,024 dates from `select`.
///
/// # Errors
/// What getrlimit(2) or setrlimit(2) says.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is valid for writes for the whole call.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if limit.rlim_cur < limit.rlim_max {
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: `limit` is valid for reads for the whole call.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(limit.rlim_cur)
}

/// How OpenSSL asks a host, with the sessions that hosts have given it, newest last.
///
/// They are together because a session may be used in its own context alone.
#[cfg(feature = "legacy-tls")]
pub(crate) struct ResumingContext {
    context: openssl::ssl::SslContext,
    sessions: Sessions,
}

#[cfg(feature = "legacy-tls")]
type Sessions = std::sync::Arc<std::sync::Mutex<Vec<openssl::ssl::SslSession>>>;

#[cfg(feature = "legacy-tls")]
impl ResumingContext {
    /// Sessions kept: those of TLS 1.3 serve once each, and hosts send two or so.
    const KEPT: usize = 64;

    pub(crate) fn new(mut context: openssl::ssl::SslContextBuilder) -> ResumingContext {
        use openssl::ssl::SslSessionCacheMode;
        let sessions = Sessions::default();
        let kept = Sessions::clone(&sessions);
        context.set_session_cache_mode(SslSessionCacheMode::CLIENT | SslSessionCacheMode::NO_INTERNAL);
        context.set_new_session_callback(move |_, session| {
            let mut kept = kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if kept.len() == Self::KEPT {
                kept.remove(0);
            }
            kept.push(session);
        });
        ResumingContext { context: context.build(), sessions }
    }

    /// A new connection. `resumes`: with the newest session, if there is one.
    pub(crate) fn ssl(&self, resumes: bool) -> Result<openssl::ssl::Ssl, openssl::error::ErrorStack> {
        let mut ssl = openssl::ssl::Ssl::new(&self.context)?;
        if !resumes {
            return Ok(ssl);
        }
        let mut sessions = self.sessions.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(session) = sessions.pop() {
            if session.protocol_version() != openssl::ssl::SslVersion::TLS1_3 {
                sessions.push(session.clone());
            }
            // SAFETY: the callback that keeps sessions belongs to this context, and nothing else adds any.
            unsafe { ssl.set_session(&session) }?;
        }
        Ok(ssl)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn tcp_info_of_a_loopback_connection_names_its_segment_size() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let client = TcpStream::connect(listener.local_addr().expect("address")).expect("connect");
        let (_host, _) = listener.accept().expect("accept");
        let facts = tcp_facts(&client).expect("a TCP socket has TCP_INFO");
        assert!(facts.mss >= 536 && facts.pmtu >= 576, "{facts:?}");
    }

    #[test]
    fn a_send_queue_is_empty_once_the_peer_has_read_everything() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let mut client = TcpStream::connect(listener.local_addr().expect("address")).expect("connect");
        let (mut host, _) = listener.accept().expect("accept");
        client.set_nonblocking(true).expect("nonblocking");
        let chunk = vec![7u8; 1 << 20];
        let mut written = 0;
        while let Ok(n) = client.write(&chunk) {
            written += n;
        }
        assert!(unsent(&client).expect("SIOCOUTQ") > 0, "the peer has not read, so something must wait");
        let mut read = 0;
        let mut sink = vec![0u8; 1 << 20];
        while read < written {
            read += host.read(&mut sink).expect("read");
        }
        while unsent(&client).expect("SIOCOUTQ") > 0 {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_disk_has_some_space_and_a_path_that_is_none_has_no_disk() {
        let space = disk_space(Path::new("/")).expect("statvfs");
        assert!(space.free > 0, "{space:?}");
        assert!(disk_space(Path::new("/no such directory")).is_err());
        assert!(disk_space(Path::new("a\0b")).is_err());
    }

    #[test]
    fn a_file_that_is_no_socket_has_no_tcp_info() {
        let file = std::fs::File::open("/dev/null").expect("open");
        assert!(tcp_facts(&file).is_none());
    }
}
