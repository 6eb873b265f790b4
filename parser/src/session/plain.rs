//! The tap: the decrypted stream of a bridged session. Phases follow from the messages themselves, not from their sizes.

use super::clear_rdp::ClearRdp;
use super::release::Release;
use super::tracker::Session;
use super::{McsStep, Peer, PerPeer, RecordShape, Told};
use crate::Timestamp;
use crate::stream::PlainStream;
use crate::wire::{
    ClearPdu, EarlyUserAuth, McsResult, Mechanism, Message, PduKind, Share, ShareData, TsField, TsShape,
};

/// The message that authenticates. [MS-NLMP] 2.2.1.3
const AUTHENTICATE: u32 = 3;

/// Both directions of the plaintext.
pub(super) type Plain = Box<PerPeer<PlainStream>>;

impl Session {
    /// TLS is up on both legs and ends here: what follows is shown with [`Session::plain`], decrypted, and no longer with
    /// [`Session::data`]. Both handshakes are over; what a first connection to the host said in place of a ServerHello is
    /// taken back, as the client never saw it.
    pub fn plain_from(&mut self, at: Timestamp) {
        let timeline = &mut self.timeline;
        timeline.alerts.retain(|alert| alert.from == Peer::Client);
        timeline.tls.clear_ultimatum = None;
        timeline.tls.not_tls = None;
        timeline.tls.finished = PerPeer { client: true, host: true };
        timeline.tls.established.get_or_insert(at);
        timeline.plaintext.get_or_insert(at);
        self.free_streams();
        self.clear = Some(ClearRdp::readable());
        self.release = Some(Release::from(at, &self.limits));
        let stream = PlainStream::new;
        self.plain = Some(Box::new(PerPeer { client: stream(Peer::Client), host: stream(Peer::Host) }));
        self.advance(at);
    }

    /// `bytes` of `from` were read with the last of its handshake and counted then; [`Session::plain`] shows them again.
    pub fn counted_before(&mut self, from: Peer, bytes: u64) {
        let traffic = &mut self.timeline.traffic[from];
        traffic.bytes = traffic.bytes.saturating_sub(bytes);
    }

    /// Decrypted bytes that `from` sent, in order, in any chunking, at the time they were read. They count as its traffic.
    /// To be called after [`Session::plain_from`] only.
    pub fn plain(&mut self, from: Peer, bytes: &[u8], at: Timestamp) {
        if bytes.is_empty() {
            return;
        }
        self.count(from, bytes.len() as u64, at);
        let Some(mut streams) = self.plain.take() else {
            self.timeline.tail[from].forget();
            return;
        };
        let mut rest = bytes;
        while let Some(event) = streams[from].next(&mut rest) {
            self.hear(from, event, at);
            if from == Peer::Host
                && let Some(channel) = self.io_channel()
            {
                streams.client.io_channel(channel);
                streams.host.io_channel(channel);
            }
        }
        // What is not understood has stopped the reading for good.
        self.plain = (!streams[from].is_lost()).then_some(streams);
    }

    /// `from` ended its leg of a bridged session in order, with a close_notify.
    pub fn close_notify(&mut self, from: Peer, at: Timestamp) {
        let tls = &mut self.timeline.tls;
        tls.encrypted_alert[from].get_or_insert(at);
        tls.first_encrypted_alert.get_or_insert(from);
    }

    /// One TSRequest.
    pub(super) fn ts_request(&mut self, from: Peer, shape: TsShape, at: Timestamp) {
        let length = u16::try_from(shape.length).unwrap_or(u16::MAX);
        self.timeline.tail[from].push(RecordShape { content_type: 0, length, at });
        let traffic = &mut self.timeline.traffic[from];
        traffic.records = traffic.records.saturating_add(1);
        let progress = &mut self.timeline.progress;
        progress.credssp_records[from] = progress.credssp_records[from].saturating_add(1);
        progress.credssp_last[from] = Some(length);
        let binds = shape.fields.has(TsField::PubKeyAuth);
        let told = told(&mut self.timeline.told);
        told.credssp_version[from] = Some(shape.version);
        told.mechanism =
            shape.mechanism.filter(|m| *m != Mechanism::Spnego || told.mechanism.is_none()).or(told.mechanism);
        match from {
            Peer::Client => {
                // Without a token of its own the last round of Kerberos still binds the key.
                if binds || shape.mechanism == Some(Mechanism::Ntlm(AUTHENTICATE)) {
                    progress.credssp_authenticate.get_or_insert(at);
                }
                if shape.fields.has(TsField::AuthInfo) {
                    told.credentials_delegated.get_or_insert(at);
                }
            }
            Peer::Host => {
                if let Some(status) = shape.error_code {
                    told.nt_status.get_or_insert((status, at));
                    progress.credssp_error.get_or_insert(at);
                } else if binds {
                    progress.credssp_accepted.get_or_insert(at);
                }
            }
        }
    }

    /// The host's four bytes after CredSSP.
    pub(super) fn early_user_auth(&mut self, result: EarlyUserAuth, at: Timestamp) {
        told(&mut self.timeline.told).early_user_auth.get_or_insert((result, at));
        if result != EarlyUserAuth::SUCCESS {
            self.timeline.progress.early_user_auth.get_or_insert(at);
        }
    }

    /// What the kind of a clear PDU already says, to the very end of a session.
    pub(super) fn kind(&mut self, from: Peer, pdu: ClearPdu, at: Timestamp) {
        let refused = match (from, pdu.kind) {
            (_, PduKind::Ultimatum(reason)) => {
                told(&mut self.timeline.told).disconnect[from].get_or_insert((reason, at));
                return;
            }
            (Peer::Host, PduKind::AttachUserConfirm(result)) => (McsStep::AttachUser, result),
            (Peer::Host, PduKind::ChannelJoinConfirm(result)) => (McsStep::ChannelJoin, result),
            _ => return,
        };
        self.mcs_result(refused.0, McsResult(refused.1), at);
    }

    /// What a clear PDU says beyond its kind.
    pub(super) fn message(&mut self, from: Peer, message: Message, at: Timestamp) {
        if let Some(clear) = &mut self.clear {
            clear.message(from, &message, at, &mut self.timeline.progress);
        }
        if let Message::ConnectResponse(data) = &message {
            self.mcs_result(McsStep::Connect, data.result, at);
        }
        let told = told(&mut self.timeline.told);
        match (from, message) {
            (Peer::Client, Message::ConnectInitial(data)) => _ = told.client.get_or_insert(data),
            (Peer::Host, Message::ConnectResponse(data)) => _ = told.server.get_or_insert(data),
            (Peer::Client, Message::ClientInfo(info)) => _ = told.client_info.get_or_insert(info),
            (_, Message::Licence(licence)) => told.licence[from] = Some((licence, at)),
            (Peer::Host, Message::Share(share)) => match share {
                Share::Data(ShareData::ErrorInfo(code)) => told.error_info = Some((code, at)),
                Share::Data(ShareData::SessionInfo(info)) => told.session_info = Some(info),
                Share::DeactivateAll => told.deactivated = told.deactivated.saturating_add(1),
                Share::Redirection(flags) => _ = told.redirection.get_or_insert((flags, at)),
                _ => {}
            },
            (Peer::Client, Message::Share(Share::Data(ShareData::ShutdownRequest))) => {
                told.shutdown_requested = Some(at);
            }
            _ => {}
        }
    }

    fn mcs_result(&mut self, step: McsStep, result: McsResult, at: Timestamp) {
        if result != McsResult::SUCCESSFUL {
            told(&mut self.timeline.told).mcs_refused.get_or_insert((step, result, at));
        }
    }

    fn io_channel(&self) -> Option<u16> {
        self.timeline.told.as_ref()?.server.as_ref()?.io_channel
    }
}

fn told(slot: &mut Option<Box<Told>>) -> &mut Told {
    slot.get_or_insert_default()
}
