//! The exchange between TLS and MCS: CredSSP ([MS-CSSP]), RDSTLS ([MS-RDPBCGR] 5.4.5.3) or Entra ID (5.4.5.4).
//!
//! Counted in turns, not in records: a turn is everything one peer says before the other speaks. CredSSP ends when the
//! client, whose credentials the host has already answered, sends two messages in a row: TSCredentials, and then MCS
//! Connect Initial. With Early User Authorization the host's four bytes stand between the two.

use super::shapes::{self, Plain};
use super::{Peer, Progress};
use crate::Timestamp;

/// Nothing CredSSP sends in its last client turn is as big as MCS Connect Initial, except credentials with a long
/// ticket, and those come alone.
const SMALLEST_CONNECT_INITIAL: u16 = 300;
/// A TSRequest with a large Kerberos ticket fills whole records; the record after a full one is its remainder.
const FULL_RECORD: u16 = 16_000;
/// A Kerberos AP-REQ that comes in the very first message already shows credentials.
const OPTIMISTIC_TICKET: u16 = 1_000;

/// What the selected protocol puts between TLS and MCS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Authentication {
    /// PROTOCOL_SSL: nothing.
    None,
    /// PROTOCOL_HYBRID.
    Credssp,
    /// PROTOCOL_HYBRID_EX: with Early User Authorization Result.
    CredsspEx,
    /// PROTOCOL_RDSTLS: the host begins.
    Rdstls,
    /// PROTOCOL_RDSAAD: the host begins.
    Entra,
}

/// What a client record means for the exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It belongs to the exchange.
    Within,
    /// The exchange is over: it was MCS Connect Initial.
    Over,
}

/// One exchange.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange {
    kind: Authentication,
    first_client: Option<Plain>,
    last_client: Plain,
    client_turns: u8,
    host_turns: u8,
    last_from: Option<Peer>,
}

impl Exchange {
    pub(super) fn new(kind: Authentication) -> Exchange {
        Exchange {
            kind,
            first_client: None,
            last_client: Plain::default(),
            client_turns: 0,
            host_turns: 0,
            last_from: None,
        }
    }

    /// The host speaks first in this protocol.
    pub(super) fn host_begins(&self) -> bool {
        matches!(self.kind, Authentication::Rdstls | Authentication::Entra)
    }

    /// A client record.
    pub(super) fn client(&mut self, plain: Plain, at: Timestamp, progress: &mut Progress) -> Step {
        let continued = self.last_from == Some(Peer::Client);
        if self.is_connect_initial(plain, continued, progress) {
            return Step::Over;
        }
        if !continued {
            self.client_turns = self.client_turns.saturating_add(1);
        }
        if self.is_credssp() {
            // A ticket of the same size as the host's answer hides that answer, but the client would not go on without it.
            if continued && self.client_turns == 1 && !self.last_client.at_least(FULL_RECORD) {
                self.client_turns = 2;
                self.host_turns = 1;
            }
            self.count(Peer::Client, plain, progress);
            let first = *self.first_client.get_or_insert(plain);
            let shown = plain.exceeds(first) || first.at_least(OPTIMISTIC_TICKET);
            if self.client_turns >= 2 && shown {
                progress.credssp_authenticate.get_or_insert(at);
            }
        }
        self.last_client = plain;
        self.last_from = Some(Peer::Client);
        Step::Within
    }

    /// A host record.
    pub(super) fn host(&mut self, plain: Plain, at: Timestamp, progress: &mut Progress) {
        if self.last_from != Some(Peer::Host) {
            self.host_turns = self.host_turns.saturating_add(1);
        }
        self.last_from = Some(Peer::Host);
        if !self.is_credssp() {
            return;
        }
        self.count(Peer::Host, plain, progress);
        if self.kind == Authentication::CredsspEx && self.is_early_result(plain, progress) {
            progress.early_user_auth.get_or_insert(at);
        } else if plain.at_most(shapes::LONGEST_TSREQUEST_ERROR) {
            if self.client_turns >= 1 {
                progress.credssp_error.get_or_insert(at);
            }
        } else if progress.credssp_authenticate.is_some() {
            progress.credssp_accepted.get_or_insert(at);
        }
    }

    fn is_credssp(&self) -> bool {
        matches!(self.kind, Authentication::Credssp | Authentication::CredsspEx)
    }

    fn is_connect_initial(&self, plain: Plain, continued: bool, progress: &Progress) -> bool {
        let fits = plain.at_least(SMALLEST_CONNECT_INITIAL);
        match self.kind {
            Authentication::None => true,
            Authentication::Credssp | Authentication::CredsspEx => {
                let after_credentials = continued && self.host_turns >= 2 && !self.last_client.at_least(FULL_RECORD);
                fits && (progress.early_user_auth.is_some() || after_credentials)
            }
            // Greeting, request, answer; then MCS.
            Authentication::Rdstls | Authentication::Entra => {
                fits && !continued && self.client_turns >= 1 && self.host_turns >= 2
            }
        }
    }

    /// Suites with blocks cannot tell four bytes from an errorCode, but only the former comes after acceptance.
    fn is_early_result(&self, plain: Plain, progress: &Progress) -> bool {
        plain.is(shapes::EARLY_USER_AUTH) && (plain.exact().is_some() || progress.credssp_accepted.is_some())
            || plain.at_most(shapes::LONGEST_TSREQUEST_ERROR)
                && plain.exact().is_none()
                && progress.credssp_accepted.is_some()
    }

    fn count(&self, from: Peer, plain: Plain, progress: &mut Progress) {
        progress.credssp_records[from] = progress.credssp_records[from].saturating_add(1);
        progress.credssp_last[from] = plain.exact();
    }
}
