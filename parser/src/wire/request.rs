//! The Connection Request as a probe sends it. [MS-RDPBCGR] 2.2.1.1

use super::nego::TYPE_REQUEST;
use super::{Protocols, TPDU_CONNECTION_REQUEST, TPKT_VERSION};

/// A Connection Request that asks for `protocols`, or one without negotiation data. It has no cookie and no routing token.
///
/// ```
/// use parser::wire::{Protocols, connection_request};
/// assert_eq!(connection_request(Some(Protocols(3))).len(), 19);
/// assert_eq!(connection_request(None).len(), 11);
/// ```
#[must_use]
pub fn connection_request(protocols: Option<Protocols>) -> Vec<u8> {
    let mut negotiation = Vec::new();
    if let Some(protocols) = protocols {
        negotiation.extend([TYPE_REQUEST, 0, 8, 0]);
        negotiation.extend(protocols.0.to_le_bytes());
    }
    let length = 11 + negotiation.len() as u8;
    // TPKT header; then length indicator, code, destination and source reference, class 0. RFC 1006 6, [X224] 13.3
    let mut request = vec![TPKT_VERSION, 0, 0, length, length - 5, TPDU_CONNECTION_REQUEST, 0, 0, 0, 0, 0];
    request.extend(negotiation);
    request
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{ConnectionRequest, Outcome};

    #[test]
    fn what_is_asked_for_is_what_is_read() {
        for protocols in
            [None, Some(Protocols(0)), Some(Protocols(1)), Some(Protocols(0x0b)), Some(Protocols(u32::MAX))]
        {
            let bytes = connection_request(protocols);
            let Outcome::Value { value, consumed } = ConnectionRequest::parse(&bytes) else { panic!("{bytes:02x?}") };
            assert_eq!((value.negotiation.map(|n| n.protocols), consumed), (protocols, bytes.len()));
            assert_eq!(value.token, None);
        }
    }
}
