//! Which host records of a TLS 1.3 connection are session tickets and not RDP. RFC 8446 4.6.1
//!
//! Tickets are application records like any other. They come before the client's first record, or ahead of the answer to
//! it, and those of one host have one size. That answer is one record in every protocol here, so it is the last one
//! before the client speaks again that has no twin. Later tickets have not been seen, and a wrong guess would cost more.

use super::Peer;

/// OpenSSL sends two, GnuTLS and rustls up to four.
const REMEMBERED: usize = 4;

/// What a record is, as far as tickets are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// RDP.
    Data,
    /// A ticket: not to be looked at.
    Ticket,
    /// A ticket, and so was the record before it, which had been taken for an answer.
    TicketTwice,
    /// The host's answer to the client's first record, unless another comes.
    FirstAnswer,
    /// That other one: what was taken for the answer was a ticket.
    BetterAnswer,
    /// The client's next record after that answer: it was one.
    ClientGoesOn,
}

/// Looks out for tickets until the client has sent its second message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tickets {
    open: bool,
    client_spoke: bool,
    sizes: [u16; REMEMBERED],
    known: usize,
    /// Size of the record that was taken for the answer.
    answer: Option<u16>,
}

impl Tickets {
    pub(super) fn new(tls13: bool) -> Tickets {
        Tickets { open: tls13, client_spoke: false, sizes: [0; REMEMBERED], known: 0, answer: None }
    }

    /// Judges one record. `host_begins`: the host speaks first in this protocol. `answer_sized`: not too small for what
    /// the client's first record asks for.
    pub(super) fn see(&mut self, from: Peer, length: u16, host_begins: bool, answer_sized: bool) -> Seen {
        if !self.open {
            return Seen::Data;
        }
        match from {
            Peer::Client if self.client_spoke && self.answer.is_some() => {
                self.open = false;
                Seen::ClientGoesOn
            }
            Peer::Client => {
                self.client_spoke = true;
                Seen::Data
            }
            Peer::Host if !self.client_spoke && host_begins => Seen::Data,
            Peer::Host if !self.client_spoke => {
                self.remember(length);
                Seen::Ticket
            }
            Peer::Host if !answer_sized => Seen::Data,
            Peer::Host if self.answer == Some(length) => {
                self.answer = None;
                Seen::TicketTwice
            }
            Peer::Host if self.sizes[..self.known].contains(&length) => Seen::Ticket,
            Peer::Host => {
                self.remember(length);
                match self.answer.replace(length) {
                    None => Seen::FirstAnswer,
                    Some(_) => Seen::BetterAnswer,
                }
            }
        }
    }

    fn remember(&mut self, length: u16) {
        if self.known < REMEMBERED && !self.sizes[..self.known].contains(&length) {
            self.sizes[self.known] = length;
            self.known += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_equal_records_after_the_first_client_record_are_tickets() {
        let mut tickets = Tickets::new(true);
        assert_eq!(tickets.see(Peer::Client, 472, false, true), Seen::Data);
        assert_eq!(tickets.see(Peer::Host, 250, false, true), Seen::FirstAnswer);
        assert_eq!(tickets.see(Peer::Host, 250, false, true), Seen::TicketTwice);
        assert_eq!(tickets.see(Peer::Host, 126, false, true), Seen::FirstAnswer);
        assert_eq!(tickets.see(Peer::Client, 29, false, true), Seen::ClientGoesOn);
        assert_eq!(tickets.see(Peer::Host, 28, false, true), Seen::Data);
    }

    #[test]
    fn a_ticket_before_the_client_speaks_marks_its_twin_after_it() {
        let mut tickets = Tickets::new(true);
        assert_eq!(tickets.see(Peer::Host, 250, false, true), Seen::Ticket);
        assert_eq!(tickets.see(Peer::Client, 428, false, true), Seen::Data);
        assert_eq!(tickets.see(Peer::Host, 250, false, true), Seen::Ticket);
        assert_eq!(tickets.see(Peer::Host, 62, false, true), Seen::FirstAnswer);
    }

    #[test]
    fn one_ticket_ahead_of_the_answer_is_found_out_by_the_answer() {
        let mut tickets = Tickets::new(true);
        assert_eq!(tickets.see(Peer::Client, 110, false, true), Seen::Data);
        assert_eq!(tickets.see(Peer::Host, 200, false, true), Seen::FirstAnswer);
        assert_eq!(tickets.see(Peer::Host, 179, false, true), Seen::BetterAnswer);
        assert_eq!(tickets.see(Peer::Client, 446, false, true), Seen::ClientGoesOn);
    }

    #[test]
    fn a_record_too_small_for_an_answer_takes_nothing_back() {
        let mut tickets = Tickets::new(true);
        assert_eq!(tickets.see(Peer::Client, 472, false, true), Seen::Data);
        assert_eq!(tickets.see(Peer::Host, 126, false, true), Seen::FirstAnswer);
        assert_eq!(tickets.see(Peer::Host, 53, false, false), Seen::Data);
        assert_eq!(tickets.see(Peer::Host, 26, false, false), Seen::Data);
    }

    #[test]
    fn a_host_that_begins_greets_with_data() {
        let mut tickets = Tickets::new(true);
        assert_eq!(tickets.see(Peer::Host, 25, true, true), Seen::Data);
        assert_eq!(tickets.see(Peer::Client, 617, true, true), Seen::Data);
        assert_eq!(tickets.see(Peer::Host, 27, true, true), Seen::FirstAnswer);
    }

    #[test]
    fn before_tls_1_3_nothing_is_a_ticket() {
        let mut tickets = Tickets::new(false);
        assert_eq!(tickets.see(Peer::Host, 250, false, true), Seen::Data);
        assert_eq!(tickets.see(Peer::Host, 250, false, true), Seen::Data);
    }
}
