//! RDP in clear: standard RDP security, where every PDU has a readable header and bodies may be encrypted, and plaintext
//! behind a bridge, where all of it is readable. [MS-RDPBCGR] 1.3.1.1, 5.3
//!
//! Under standard RDP security the headers say what a PDU is up to Client Info and licensing. Demand Active and what
//! follows say it only when the host encrypts nothing; otherwise order and size decide, as inside TLS.

use super::{Peer, PerPeer, Progress};
use crate::Timestamp;
use crate::wire::{ClearPdu, Message, Payload, PduKind, SecurityFlags, SendData, Share, ShareData};

/// User data of licensing's "valid client": 20 bytes, 28 with an RC4 MAC, up to 40 with a FIPS header and padding.
const LONGEST_VALID_CLIENT: u16 = 40;
/// Demand Active and Confirm Active are bigger, the PDUs of finalization smaller, encrypted or not.
const BIG: u16 = 150;
/// Synchronize, Control, Font List and Font Map with every kind of header: 36 to 63 bytes.
const LONGEST_FINALIZATION: u16 = 80;

/// Share control PDU types. [MS-RDPBCGR] 2.2.8.1.1.1.1
const DEMAND_ACTIVE: u8 = 1;
const CONFIRM_ACTIVE: u8 = 3;

/// Follows one connection from the Connection Confirm to the active session.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ClearRdp {
    finalization: PerPeer<u8>,
    /// The host's last PDU was small share data, which Set Error Info is.
    host_told: bool,
    /// Nothing is encrypted: messages decide, sizes never.
    readable: bool,
}

impl ClearRdp {
    /// Plaintext.
    pub(super) fn readable() -> ClearRdp {
        ClearRdp { readable: true, ..ClearRdp::default() }
    }

    /// What a PDU says beyond its kind. It comes after its PDU.
    pub(super) fn message(&self, from: Peer, message: &Message, at: Timestamp, progress: &mut Progress) {
        match (from, message) {
            (Peer::Client, Message::ClientInfo(_)) => _ = progress.client_info.get_or_insert(at),
            (Peer::Host, Message::Licence(licence)) => {
                progress.licensing.get_or_insert(at);
                if licence.grants() {
                    progress.licensed.get_or_insert(at);
                }
            }
            (Peer::Host, Message::Share(Share::DemandActive)) => {
                progress.demand_active.get_or_insert(at);
                // The host goes on, so the client has its licence, or needs none.
                if progress.licensing.is_some() {
                    progress.licensed.get_or_insert(at);
                }
            }
            (Peer::Client, Message::Share(Share::ConfirmActive)) => _ = progress.confirm_active.get_or_insert(at),
            (Peer::Host, Message::Share(Share::Data(ShareData::FontMap))) => _ = progress.active.get_or_insert(at),
            _ => {}
        }
    }

    /// One PDU.
    pub(super) fn pdu(&mut self, from: Peer, pdu: ClearPdu, at: Timestamp, progress: &mut Progress) {
        match (from, pdu.kind) {
            (Peer::Client, PduKind::ConnectInitial) => _ = progress.connect_initial.get_or_insert(at),
            (Peer::Host, PduKind::ConnectResponse) => _ = progress.connect_response.get_or_insert(at),
            (Peer::Host, PduKind::AttachUserConfirm(0)) => _ = progress.attach_user.get_or_insert(at),
            (Peer::Host, PduKind::ChannelJoinConfirm(0)) => progress.joins = progress.joins.saturating_add(1),
            (_, PduKind::SendDataRequest(_) | PduKind::SendDataIndication(_)) if self.readable => {}
            (Peer::Client, PduKind::SendDataRequest(data)) => self.client(data, pdu.length, at, progress),
            (Peer::Host, PduKind::SendDataIndication(data)) => self.host(data, pdu.length, at, progress),
            // The host draws only when the session is up.
            (Peer::Host, PduKind::FastPath { .. }) if progress.confirm_active.is_some() => {
                progress.active.get_or_insert(at);
            }
            (Peer::Host, PduKind::Ultimatum(_)) if self.host_told && progress.active.is_none() => {
                progress.denied.get_or_insert(at);
            }
            _ => {}
        }
    }

    fn client(&mut self, data: SendData, length: u16, at: Timestamp, progress: &mut Progress) {
        match data.payload {
            Payload::Security(flags) if flags.contains(SecurityFlags::INFO) => {
                progress.client_info.get_or_insert(at);
            }
            Payload::Security(flags)
                if flags.contains(SecurityFlags::EXCHANGE) || flags.contains(SecurityFlags::LICENSE) => {}
            _ if progress.confirm_active.is_some() => self.finalization_pdu(Peer::Client, length),
            payload if payload == Payload::Share(CONFIRM_ACTIVE) || length >= BIG => {
                // Big client data before Demand Active is none of the sequence.
                progress.confirm_active = progress.demand_active.map(|_| at);
            }
            _ => {}
        }
    }

    fn host(&mut self, data: SendData, length: u16, at: Timestamp, progress: &mut Progress) {
        self.host_told = false;
        match data.payload {
            Payload::Security(flags) if flags.contains(SecurityFlags::LICENSE) => {
                progress.licensing.get_or_insert(at);
                // A refusal has the size of a grant: what can be read decides (see `message`), what cannot is taken for one.
                if flags.contains(SecurityFlags::ENCRYPT) && data.length <= LONGEST_VALID_CLIENT {
                    progress.licensed.get_or_insert(at);
                }
            }
            payload if progress.client_info.is_some() && progress.demand_active.is_none() => {
                if payload == Payload::Share(DEMAND_ACTIVE) || length >= BIG {
                    progress.demand_active = Some(at);
                    // A new licence ends licensing without "valid client". [MS-RDPELE] 1.3.3
                    if progress.licensing.is_some() {
                        progress.licensed.get_or_insert(at);
                    }
                } else {
                    self.host_told = length <= LONGEST_FINALIZATION;
                }
            }
            _ => {
                self.host_told = length <= LONGEST_FINALIZATION;
                if progress.confirm_active.is_some() {
                    self.finalization_pdu(Peer::Host, length);
                    // Synchronize, Control twice, Font Map.
                    if self.finalization.host >= 4 {
                        progress.active.get_or_insert(at);
                    }
                }
            }
        }
    }

    fn finalization_pdu(&mut self, from: Peer, length: u16) {
        if length <= LONGEST_FINALIZATION {
            self.finalization[from] = self.finalization[from].saturating_add(1);
        }
    }
}
