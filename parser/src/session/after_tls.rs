//! What RDP does inside TLS, told from the direction, order and size of records. Rules and measurements behind them:
//! the fixed message sizes in [`super::shapes`], the sequence in [MS-RDPBCGR] 1.3.1.1.
//!
//! [`AfterTls`] is shown every application record after the peer's Finished and notes in [`Progress`] what it proves.
//! Nothing is decrypted, nothing is kept but the last sizes. It never goes back, except that a host record which turns
//! out to be a TLS 1.3 session ticket is taken back (see [`Tickets`]).

use super::credssp::{Authentication, Exchange, Step};
use super::shapes::{self, Plain};
use super::split::Splits;
use super::tickets::{Seen, Tickets};
use super::{Peer, PerPeer, Progress};
use crate::Timestamp;

/// Client Info, Demand Active and Confirm Active are all bigger; joins, auto-detection and finalization are all smaller.
const BIG: u16 = 150;
/// MCS Connect Initial carries the client's core, security and network blocks: 370 bytes and more with real clients.
const SMALLEST_CONNECT_INITIAL: u16 = 100;
/// A Connect Response has three GCC blocks; smaller records in its place are something else.
const SMALLEST_CONNECT_RESPONSE: u16 = 60;
/// A licence reply carries at least a client random and a blob; auto-detection answers are below 40 bytes.
const SMALLEST_LICENCE_REPLY: u16 = 60;

/// Which message is expected next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// CredSSP, RDSTLS or Entra ID.
    Authentication,
    /// The client's MCS Connect Initial.
    ConnectInitial,
    /// The host's MCS Connect Response.
    ConnectResponse,
    /// Erect Domain, Attach User and its confirm.
    Attach,
    /// Channel joins, until Client Info.
    Joins,
    /// Licensing, until "valid client".
    Licensing,
    /// Demand Active.
    Demand,
    /// Confirm Active.
    Confirm,
    /// The two finalization runs.
    Finalization,
    /// The session is up.
    Active,
}

/// The last record of a peer.
#[derive(Clone, Copy, Debug, Default)]
struct Last {
    plain: Plain,
    at: Timestamp,
    seen: bool,
}

/// Everything that a record which proves to be a ticket must be able to take back.
#[derive(Clone, Copy, Debug)]
struct Inner {
    stage: Stage,
    exchange: Exchange,
    last: PerPeer<Last>,
    /// The last record of each peer that was [`BIG`].
    last_big: PerPeer<Option<Timestamp>>,
    last_from: Option<Peer>,
    licence_reply: bool,
    /// Records of finalization size, per peer, since Confirm Active.
    finalization: PerPeer<u8>,
    /// Records that were [`BIG`], of the host, since Confirm Active.
    host_data: u8,
}

/// Follows one connection from the end of the TLS handshake to the active session.
#[derive(Clone, Debug)]
pub(super) struct AfterTls {
    inner: Inner,
    splits: Splits,
    tickets: Tickets,
    /// What was known before the host's first answer; kept until the client goes on.
    before_ticket: Option<Box<(Inner, Progress)>>,
}

impl AfterTls {
    /// `authentication` is what the selected protocol asks for; `tls13` says that session tickets look like data.
    pub(super) fn new(authentication: Authentication, tls13: bool, may_split: bool) -> AfterTls {
        let stage = match authentication {
            Authentication::None => Stage::ConnectInitial,
            _ => Stage::Authentication,
        };
        let exchange = Exchange::new(authentication);
        AfterTls {
            inner: Inner {
                stage,
                exchange,
                last: PerPeer::default(),
                last_big: PerPeer::default(),
                last_from: None,
                licence_reply: false,
                finalization: PerPeer::default(),
                host_data: 0,
            },
            // A greeting of eight bytes would look like a byte that goes ahead; those protocols came after TLS 1.0.
            splits: Splits::new(may_split && !exchange.host_begins()),
            tickets: Tickets::new(tls13),
            before_ticket: None,
        }
    }

    /// One application record that is no alert. `length` is that of the record header.
    pub(super) fn record(&mut self, from: Peer, length: u16, plain: Plain, at: Timestamp, progress: &mut Progress) {
        let Some(plain) = self.splits.body(from, plain) else { return };
        let answer_sized = self.inner.stage == Stage::Authentication || plain.at_least(SMALLEST_CONNECT_RESPONSE);
        match self.tickets.see(from, length, self.inner.exchange.host_begins(), answer_sized) {
            Seen::Data => {}
            Seen::Ticket => return,
            Seen::TicketTwice => {
                self.take_back(progress);
                return;
            }
            Seen::FirstAnswer => self.note_before_ticket(progress),
            Seen::BetterAnswer => self.take_back(progress),
            Seen::ClientGoesOn => self.before_ticket = None,
        }
        self.inner.record(from, plain, at, progress);
    }

    /// Once in a session.
    #[cold]
    fn note_before_ticket(&mut self, progress: &Progress) {
        self.before_ticket = Some(Box::new((self.inner, *progress)));
    }

    /// The host's last record was no answer.
    #[cold]
    fn take_back(&mut self, progress: &mut Progress) {
        if let Some(before) = &self.before_ticket {
            (self.inner, *progress) = **before;
        }
    }
}

impl Inner {
    fn record(&mut self, from: Peer, plain: Plain, at: Timestamp, progress: &mut Progress) {
        match from {
            Peer::Client => self.client(plain, at, progress),
            Peer::Host => {
                self.host(plain, at, progress);
                self.denial(plain, at, progress);
            }
        }
        if plain.at_least(BIG) {
            self.last_big[from] = Some(at);
        }
        self.last[from] = Last { plain, at, seen: true };
        self.last_from = Some(from);
    }

    fn client(&mut self, plain: Plain, at: Timestamp, progress: &mut Progress) {
        if self.stage < Stage::Attach && self.attaches(plain, progress) {
            return;
        }
        match self.stage {
            Stage::Authentication => match self.exchange.client(plain, at, progress) {
                Step::Over => self.connect_initial(at, progress),
                Step::Within => {}
            },
            Stage::ConnectInitial if plain.at_least(SMALLEST_CONNECT_INITIAL) => self.connect_initial(at, progress),
            // With skip-channel-join nothing stands between the confirm and Client Info. [MS-RDPBCGR] 2.2.1.3.2
            Stage::Attach | Stage::Joins if plain.at_least(BIG) => {
                progress.client_info = Some(at);
                self.stage = Stage::Licensing;
            }
            Stage::Licensing if plain.at_least(SMALLEST_LICENCE_REPLY) => self.licence_reply = true,
            Stage::Licensing | Stage::Demand if self.finalizes(plain) => self.catch_up(progress),
            Stage::Confirm if plain.at_least(BIG) => {
                progress.confirm_active = Some(at);
                self.stage = Stage::Finalization;
            }
            Stage::Finalization => self.finalization_record(Peer::Client, plain),
            _ => {}
        }
    }

    fn host(&mut self, plain: Plain, at: Timestamp, progress: &mut Progress) {
        match self.stage {
            Stage::Authentication => self.exchange.host(plain, at, progress),
            Stage::ConnectResponse if plain.at_least(SMALLEST_CONNECT_RESPONSE) => {
                progress.connect_response = Some(at);
                self.stage = Stage::Attach;
            }
            Stage::Attach if plain.is(shapes::ATTACH_USER_CONFIRM) && self.last_from == Some(Peer::Client) => {
                progress.attach_user = Some(at);
                self.stage = Stage::Joins;
            }
            Stage::Joins => {
                let joined = plain.count_of(shapes::JOIN_CONFIRM).filter(|n| *n <= shapes::MOST_JOINS).unwrap_or(0);
                progress.joins = progress.joins.saturating_add(u8::try_from(joined).unwrap_or(u8::MAX));
            }
            Stage::Licensing => self.host_licensing(plain, at, progress),
            Stage::Demand if plain.at_least(BIG) => self.demand_active(at, progress),
            Stage::Finalization => {
                self.finalization_record(Peer::Host, plain);
                // Font Map is the host's fourth. Session data says the same when peers pack several into one record.
                let whole_run = self.finalization.host >= 4;
                self.host_data = self.host_data.saturating_add(u8::from(plain.at_least(BIG)));
                let needed = if self.finalization.client >= 3 { 1 } else { 2 };
                if whole_run || self.host_data >= needed {
                    progress.active = Some(at);
                    self.stage = Stage::Active;
                }
            }
            _ => {}
        }
    }

    fn host_licensing(&mut self, plain: Plain, at: Timestamp, progress: &mut Progress) {
        if plain.is_any(shapes::VALID_CLIENT) {
            progress.licensing.get_or_insert(at);
            progress.licensed = Some(at);
            self.stage = Stage::Demand;
        } else if plain.is_any(shapes::SYNCHRONIZE) || !plain.at_least(shapes::VALID_CLIENT[0]) {
            // Set Error Info, an ultimatum, or connect-time auto-detection: licensing has not begun with these.
        } else if self.licence_reply && plain.at_least(BIG) && self.last_from == Some(Peer::Host) {
            // A new licence ends the exchange without "valid client"; Demand Active follows it at once. [MS-RDPELE] 1.3.3
            progress.licensed = Some(self.last.host.at);
            self.demand_active(at, progress);
        } else {
            progress.licensing.get_or_insert(at);
        }
    }

    /// The fixed sizes of Erect Domain and Attach User prove that MCS was reached, whatever came before them.
    fn attaches(&mut self, plain: Plain, progress: &mut Progress) -> bool {
        let both = plain.is(shapes::ERECT_DOMAIN + shapes::ATTACH_USER_REQUEST);
        // Blocks of CBC suites make small sizes look alike: then only a confirmed order counts, and these stages know it.
        let exact = plain.exact().is_some();
        if !exact || !(both || plain.is(shapes::ERECT_DOMAIN)) || self.last_from != Some(Peer::Host) {
            return false;
        }
        let client = self.last.client;
        if !client.seen || !client.plain.at_least(SMALLEST_CONNECT_INITIAL) {
            return false;
        }
        progress.connect_initial.get_or_insert(client.at);
        progress.connect_response.get_or_insert(self.last.host.at);
        self.stage = Stage::Attach;
        true
    }

    fn connect_initial(&mut self, at: Timestamp, progress: &mut Progress) {
        progress.connect_initial = Some(at);
        self.stage = Stage::ConnectResponse;
    }

    fn demand_active(&mut self, at: Timestamp, progress: &mut Progress) {
        progress.demand_active = Some(at);
        self.stage = Stage::Confirm;
    }

    /// The client's Synchronize was followed by a Control: its finalization run has begun.
    fn finalizes(&self, plain: Plain) -> bool {
        plain.exact().is_some()
            && plain.is_any(shapes::CONTROL)
            && self.last_from == Some(Peer::Client)
            && self.last.client.plain.is_any(shapes::SYNCHRONIZE)
    }

    /// Licensing took a form that sizes did not show; what must have come before the finalization run is filled in.
    fn catch_up(&mut self, progress: &mut Progress) {
        let (Some(demand), Some(confirm)) = (self.last_big.host, self.last_big.client) else { return };
        if confirm < demand || Some(demand) < progress.client_info {
            return;
        }
        progress.licensing.get_or_insert(demand);
        progress.licensed.get_or_insert(demand);
        progress.demand_active.get_or_insert(demand);
        progress.confirm_active.get_or_insert(confirm);
        self.finalization.client = 2;
        self.stage = Stage::Finalization;
    }

    fn finalization_record(&mut self, from: Peer, plain: Plain) {
        if plain.is_any(shapes::SYNCHRONIZE) || plain.is_any(shapes::CONTROL) {
            self.finalization[from] = self.finalization[from].saturating_add(1);
        }
    }

    /// Set Error Info, then an ultimatum, before the session was up.
    fn denial(&mut self, plain: Plain, at: Timestamp, progress: &mut Progress) {
        let told = self.last.host.seen && self.last.host.plain.is_any(shapes::SYNCHRONIZE);
        if told && plain.is(shapes::ULTIMATUM) && progress.connect_response.is_some() && progress.active.is_none() {
            progress.denied.get_or_insert(at);
        }
    }
}
