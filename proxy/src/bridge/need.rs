//! What an opening tells the bridge: where its messages end, whether the host has refused, what stands in the way.
//!
//! Pure: bytes and facts in, a word out.

use parser::session::{Answer, BridgeBlock, RequestFacts};
use parser::wire::{
    AlertDescription, AlertLevel, FirstBytes, Outcome, Preconnection, Protocols, RequestFlags, TPKT_HEADER, X224_MAX,
};

/// Where the client's first message ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// More bytes are needed to tell.
    More,
    /// A whole Connection Request, with what came before it: so many bytes.
    X224(usize),
    /// TLS begins after so many bytes.
    Tls(usize),
    /// Nothing that could be bridged.
    Other,
}

impl Request {
    pub(super) fn of(bytes: &[u8]) -> Request {
        match FirstBytes::of(bytes) {
            Outcome::NeedMore { .. } => Request::More,
            Outcome::Value { value: FirstBytes::Tpkt, .. } => Request::behind(bytes, 0),
            Outcome::Value { value: FirstBytes::Tls, .. } => Request::Tls(0),
            Outcome::Value { value: FirstBytes::Preconnection, .. } => match Preconnection::parse(bytes) {
                Outcome::Value { consumed, .. } => Request::behind(bytes, consumed),
                Outcome::NeedMore { .. } => Request::More,
                Outcome::Malformed(_) => Request::Other,
            },
            _ => Request::Other,
        }
    }

    fn behind(bytes: &[u8], begin: usize) -> Request {
        let rest = bytes.get(begin..).unwrap_or_default();
        match rest {
            [0x16, ..] => Request::Tls(begin),
            _ => match packet(rest) {
                Packet::More => Request::More,
                Packet::Whole(length) => Request::X224(begin + length),
                Packet::Other => Request::Other,
            },
        }
    }
}

/// Whether a TPKT packet is whole. [MS-RDPBCGR] 2.2.1.1, RFC 1006 6
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packet {
    More,
    Whole(usize),
    Other,
}

pub(super) fn packet(bytes: &[u8]) -> Packet {
    match *bytes {
        [] | [3] | [3, _] | [3, _, _] => Packet::More,
        [3, _, high, low, ..] => {
            let length = usize::from(u16::from_be_bytes([high, low]));
            if length < TPKT_HEADER || length > usize::from(X224_MAX) {
                Packet::Other
            } else if bytes.len() < length {
                Packet::More
            } else {
                Packet::Whole(length)
            }
        }
        _ => Packet::Other,
    }
}

/// What a host did with a ClientHello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// More bytes are needed to tell.
    More,
    /// It goes on, or does something that a bridge would not change.
    Goes,
    /// It will not have it.
    Refused(Option<AlertDescription>),
}

impl Reply {
    /// `bytes` after the Connection Confirm; `over`: nothing more will come.
    pub(super) fn of(bytes: &[u8], over: bool) -> Reply {
        match *bytes {
            [] if over => Reply::Refused(None),
            // It minds the name in the hello, which is the client's own: a bridge would ask by another one.
            [21, _, _, 0, 2, _, 112, ..] => Reply::Goes,
            // An alert, whole: type, version, length 2, level, description. RFC 8446 6
            [21, _, _, 0, 2, level, description, ..] if AlertLevel(level) == AlertLevel::FATAL => {
                Reply::Refused(Some(AlertDescription(description)))
            }
            // A close_notify in place of a ServerHello.
            [21, _, _, 0, 2, _, 0] => {
                if over {
                    Reply::Refused(Some(AlertDescription::CLOSE_NOTIFY))
                } else {
                    Reply::More
                }
            }
            // Another warning: the ServerHello follows.
            [21, _, _, 0, 2, _, _, ..] => Reply::Goes,
            [21, ..] if bytes.len() < 7 && !over => Reply::More,
            // xrdp: a clear MCS Disconnect Provider Ultimatum in place of TLS.
            [3, 0, 0, 9, 2, 0xf0, 0x80, 0x21, _, ..] => Reply::Refused(None),
            [3, ..] if bytes.len() < 9 && !over => Reply::More,
            [] => Reply::More,
            _ => Reply::Goes,
        }
    }
}

/// How what was negotiated stands to a bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Negotiated {
    /// No TLS follows, or nothing was agreed on: not our business.
    NotTls,
    /// TLS follows; `nla`: and then CredSSP, which binds the host's key.
    Tls { nla: bool },
    /// TLS follows, and something in it that no bridge can carry.
    Blocked(BridgeBlock),
}

impl Negotiated {
    pub(super) fn of(request: Option<&RequestFacts>, answer: Option<&Answer>) -> Negotiated {
        let Some(Answer::Selected { protocol, .. }) = answer else { return Negotiated::NotTls };
        let guarded = request.is_some_and(|request| request.flags.contains(RequestFlags::REDIRECTED_AUTHENTICATION));
        match *protocol {
            Protocols::SSL => Negotiated::Tls { nla: false },
            Protocols::RDSTLS => Negotiated::Blocked(BridgeBlock::Rdstls),
            Protocols::RDSAAD => Negotiated::Blocked(BridgeBlock::Entra),
            Protocols::HYBRID | Protocols::HYBRID_EX if guarded => {
                Negotiated::Blocked(BridgeBlock::RemoteCredentialGuard)
            }
            Protocols::HYBRID | Protocols::HYBRID_EX => Negotiated::Tls { nla: true },
            _ => Negotiated::NotTls,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_ends_where_its_packet_does_in_any_chunking() {
        let request = *b"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00";
        for length in 0..request.len() {
            assert_eq!(Request::of(&request[..length]), Request::More, "{length}");
        }
        assert_eq!(Request::of(&request), Request::X224(19));
        assert_eq!(Request::of(&[&request[..], b"\x16\x03\x01"].concat()), Request::X224(19));
        assert_eq!(Request::of(b"\x16\x03\x01\x02\x00\x01"), Request::Tls(0));
        assert_eq!(Request::of(b"SSH-2.0-OpenSSH"), Request::Other);
        let blob = b"\x12\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x07\x00\x00\x00\x00\x00";
        assert_eq!(Request::of(&[&blob[..], &request[..]].concat()), Request::X224(blob.len() + 19));
    }

    #[test]
    fn a_refusal_is_told_from_an_answer_and_from_a_part_of_either() {
        let alert = [21, 3, 3, 0, 2, 2, 70];
        for length in 0..alert.len() {
            assert_eq!(Reply::of(&alert[..length], false), Reply::More);
        }
        assert_eq!(Reply::of(&alert, false), Reply::Refused(Some(AlertDescription::PROTOCOL_VERSION)));
        assert_eq!(Reply::of(&[], true), Reply::Refused(None));
        assert_eq!(Reply::of(&[22, 3, 3], false), Reply::Goes);
        for level in [1, 2] {
            assert_eq!(Reply::of(&[21, 3, 3, 0, 2, level, 112], false), Reply::Goes, "unrecognized_name");
        }
        assert_eq!(Reply::of(&[21, 3, 3, 0, 2, 1, 0], false), Reply::More);
        assert_eq!(Reply::of(&[21, 3, 3, 0, 2, 1, 0], true), Reply::Refused(Some(AlertDescription::CLOSE_NOTIFY)));
        assert_eq!(Reply::of(b"\x03\x00\x00\x09\x02\xf0\x80\x21\x80", false), Reply::Refused(None));
        assert_eq!(Reply::of(b"\x03\x00\x00\x0b\x06\xd0\x00\x00\x124", false), Reply::Goes);
        assert_eq!(Reply::of(&[21, 3], true), Reply::Goes, "cut short: passed on as it is");
    }

    #[test]
    fn what_was_negotiated_decides_what_may_be_bridged() {
        let selected = |protocol| Some(Answer::Selected { protocol, flags: parser::wire::ResponseFlags::default() });
        let of = |answer: Option<Answer>| Negotiated::of(None, answer.as_ref());
        assert_eq!(of(selected(Protocols::SSL)), Negotiated::Tls { nla: false });
        assert_eq!(of(selected(Protocols::HYBRID)), Negotiated::Tls { nla: true });
        assert_eq!(of(selected(Protocols::HYBRID_EX)), Negotiated::Tls { nla: true });
        assert_eq!(of(selected(Protocols::RDP)), Negotiated::NotTls);
        assert_eq!(of(selected(Protocols::RDSTLS)), Negotiated::Blocked(BridgeBlock::Rdstls));
        assert_eq!(of(Some(Answer::Plain)), Negotiated::NotTls);
        assert_eq!(of(None), Negotiated::NotTls);
    }
}
