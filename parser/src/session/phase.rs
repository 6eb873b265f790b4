//! The life of one session, as one closed list of phases.

use crate::Timestamp;
use core::fmt;

/// Where a connection is. The order is the order of a session's life; names are those of events, metrics and reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Phase {
    /// Accepted, nothing understood yet.
    #[default]
    Accept,
    /// Looking up the host's name.
    Resolve,
    /// Connecting to the host.
    Tcp,
    /// Connection Request until Connection Confirm.
    X224,
    /// From the Connection Confirm (or the first byte of a TLS-first connection) until the ServerHello.
    TlsHello,
    /// From the ServerHello until both Finished.
    TlsFinish,
    /// HTTP inside a bridged gateway leg.
    Http,
    /// Gateway tunnel set-up inside a bridged gateway leg.
    Tunnel,
    /// Gateway channel set-up inside a bridged gateway leg.
    Channel,
    /// CredSSP (NLA).
    Credssp,
    /// RDSTLS, in place of CredSSP.
    Rdstls,
    /// MCS connect and channel joins.
    Mcs,
    /// Client Info sent, licensing not begun.
    ClientInfo,
    /// Licensing.
    Licensing,
    /// Demand Active until finalization is complete.
    Activation,
    /// The session is up.
    Active,
}

impl Phase {
    /// Every phase, in order.
    pub const ALL: [Phase; 16] = [
        Phase::Accept,
        Phase::Resolve,
        Phase::Tcp,
        Phase::X224,
        Phase::TlsHello,
        Phase::TlsFinish,
        Phase::Http,
        Phase::Tunnel,
        Phase::Channel,
        Phase::Credssp,
        Phase::Rdstls,
        Phase::Mcs,
        Phase::ClientInfo,
        Phase::Licensing,
        Phase::Activation,
        Phase::Active,
    ];

    /// The name used in events, labels and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Phase::Accept => "accept",
            Phase::Resolve => "resolve",
            Phase::Tcp => "tcp",
            Phase::X224 => "x224",
            Phase::TlsHello => "tls_hello",
            Phase::TlsFinish => "tls_finish",
            Phase::Http => "http",
            Phase::Tunnel => "tunnel",
            Phase::Channel => "channel",
            Phase::Credssp => "credssp",
            Phase::Rdstls => "rdstls",
            Phase::Mcs => "mcs",
            Phase::ClientInfo => "client_info",
            Phase::Licensing => "licensing",
            Phase::Activation => "activation",
            Phase::Active => "active",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// When each phase was entered. Phases that were skipped have no time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhaseLog {
    /// [`NEVER`] for those that were not: a session is kept for days, and half of its phases never come.
    entered: [Timestamp; 16],
    current: Phase,
}

/// The last moment there is, in the year 2554.
const NEVER: Timestamp = Timestamp(u64::MAX);

impl Default for PhaseLog {
    fn default() -> PhaseLog {
        PhaseLog { entered: [NEVER; 16], current: Phase::default() }
    }
}

impl PhaseLog {
    /// Notes that `phase` begins at `at`. Going back, or entering the current phase again, changes nothing.
    pub fn enter(&mut self, phase: Phase, at: Timestamp) -> bool {
        if phase <= self.current && self.entered[self.current as usize] != NEVER {
            return false;
        }
        self.entered[phase as usize] = at;
        self.current = phase;
        true
    }

    /// The phase entered last.
    #[must_use]
    pub fn current(&self) -> Phase {
        self.current
    }

    /// When `phase` was entered.
    #[must_use]
    pub fn entered(&self, phase: Phase) -> Option<Timestamp> {
        Some(self.entered[phase as usize]).filter(|at| *at != NEVER)
    }

    /// Phases that were entered, in order, with when each began and when the next one did (`end` for the last).
    pub fn spans(&self, end: Timestamp) -> impl Iterator<Item = (Phase, Timestamp, Timestamp)> + '_ {
        let mut seen = Phase::ALL.iter().filter_map(|p| self.entered(*p).map(|at| (*p, at))).peekable();
        std::iter::from_fn(move || {
            let (phase, at) = seen.next()?;
            Some((phase, at, seen.peek().map_or(end, |next| next.1)))
        })
    }
}
