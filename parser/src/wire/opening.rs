//! What a connection is, from its first bytes.

use super::outcome::Outcome;
use super::preconnection::PRECONNECTION_MAX;

/// What the first bytes begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstBytes {
    /// TPKT: an X.224 Connection Request follows. [MS-RDPBCGR] 2.2.1.1
    Tpkt,
    /// A preconnection blob, with a TPKT or TLS after it. [MS-RDPEPS] 2.2.1
    Preconnection,
    /// A TLS handshake record, of any version. RFC 8446 5.1
    Tls,
    /// An SSLv2-compatible ClientHello. RFC 5246 appendix E.2
    Sslv2Hello,
    /// Clear HTTP of an RD Gateway client. [MS-TSGU] 3.3.5.1
    GatewayHttp,
    /// None of these.
    Unknown,
}

/// Request lines of RD Gateway clients behind a TLS terminator. A plain `GET /` is a scanner's, so GET needs the path.
const GATEWAY_REQUESTS: [&[u8]; 5] =
    [b"RDG_OUT_DATA ", b"RDG_IN_DATA ", b"RPC_IN_DATA ", b"RPC_OUT_DATA ", b"GET /remoteDesktopGateway"];

impl FirstBytes {
    /// Tells what `bytes`, the first ones of a connection, begin. No byte is consumed.
    ///
    /// Every answer needs the fewest bytes that decide it, so nothing waits for more than its sender will send.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Outcome<FirstBytes> {
        let decided = |value| Outcome::Value { value, consumed: 0 };
        let more = Outcome::NeedMore { at_least: 1 };
        match bytes {
            [] | [0x03] | [0x16] => return more,
            [0x03, 0x00, ..] => return decided(FirstBytes::Tpkt),
            // A blob of 0x0316 bytes begins like a record: its next six bytes are zero, while a record of SSL 3.0 with
            // a length below 256 has that length, then the type of the ClientHello, there.
            [0x16, 0x03] | [0x16, 0x03, 0x00] | [0x16, 0x03, 0x00, 0x00] => return more,
            [0x16, 0x03, 0x00, 0x00, 0x00, ..] => {}
            [0x16, 0x03, ..] => return decided(FirstBytes::Tls),
            _ => {}
        }
        [sslv2_hello(bytes), gateway_request(bytes), preconnection(bytes)]
            .into_iter()
            .zip([FirstBytes::Sslv2Hello, FirstBytes::GatewayHttp, FirstBytes::Preconnection])
            .find_map(|(fit, kind)| match fit {
                Fit::Yes => Some(decided(kind)),
                Fit::SoFar => Some(more),
                Fit::No => None,
            })
            .unwrap_or(decided(FirstBytes::Unknown))
    }
}

/// Whether bytes are the beginning of something.
enum Fit {
    Yes,
    SoFar,
    No,
}

/// Two length bytes with the top bit set, message type 1, version 0x0002 or 0x03nn.
fn sslv2_hello(bytes: &[u8]) -> Fit {
    match bytes {
        [first, ..] if first & 0x80 == 0 => Fit::No,
        [_, _, kind, ..] if *kind != 1 => Fit::No,
        [_, _, _, 0x03, _, ..] | [_, _, _, 0x00, 0x02, ..] => Fit::Yes,
        [_, _, _, 0x03 | 0x00] | [_] | [_, _] | [_, _, _] => Fit::SoFar,
        _ => Fit::No,
    }
}

fn gateway_request(bytes: &[u8]) -> Fit {
    let begins_alike = |line: &&&[u8]| bytes.iter().zip(line.iter()).all(|(a, b)| a.eq_ignore_ascii_case(b));
    match GATEWAY_REQUESTS.iter().find(begins_alike) {
        Some(line) if bytes.len() >= line.len() => Fit::Yes,
        Some(_) => Fit::SoFar,
        None => Fit::No,
    }
}

/// u32 size, u32 flags 0, u32 version 1 or 2, all little-endian.
fn preconnection(bytes: &[u8]) -> Fit {
    let size_fits = match bytes {
        [a, b, ..] => (16..=PRECONNECTION_MAX).contains(&u32::from(u16::from_le_bytes([*a, *b]))),
        _ => true,
    };
    let fixed: [Option<u8>; 12] =
        [None, None, Some(0), Some(0), Some(0), Some(0), Some(0), Some(0), None, Some(0), Some(0), Some(0)];
    let zeros_fit = bytes.iter().zip(fixed).all(|(byte, want)| want.is_none_or(|want| want == *byte));
    let version_fits = bytes.get(8).is_none_or(|version| matches!(version, 1 | 2));
    match size_fits && zeros_fit && version_fits {
        false => Fit::No,
        true if bytes.len() >= fixed.len() => Fit::Yes,
        true => Fit::SoFar,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> Option<FirstBytes> {
        FirstBytes::of(bytes).value()
    }

    #[test]
    fn tpkt_and_tls_are_told_by_two_or_three_bytes() {
        assert_eq!(of(&[3]), None);
        assert_eq!(of(&[3, 0]), Some(FirstBytes::Tpkt));
        assert_eq!(of(&[0x16, 3]), None);
        assert_eq!(of(&[0x16, 3, 1]), Some(FirstBytes::Tls));
        assert_eq!(of(&[0x16, 3, 0, 1]), Some(FirstBytes::Tls), "SSL 3.0 hello of 256 bytes or more");
        assert_eq!(of(&[0x16, 3, 0, 0, 0x4a]), Some(FirstBytes::Tls), "SSL 3.0 hello of 74 bytes");
    }

    #[test]
    fn a_blob_that_begins_with_0x16_is_not_tls() {
        assert_eq!(of(&[0x16, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0]), Some(FirstBytes::Preconnection));
        assert_eq!(of(&[0x16, 3, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0]), Some(FirstBytes::Preconnection));
        assert_eq!(of(&[0x16, 3, 0, 0, 0, 0, 0, 0]), None);
    }

    #[test]
    fn sslv2_form_is_told_from_a_blob_of_128_bytes() {
        assert_eq!(of(&[0x80, 0x2e, 1, 3, 1]), Some(FirstBytes::Sslv2Hello));
        assert_eq!(of(&[0x80, 0x2e, 1, 0, 2]), Some(FirstBytes::Sslv2Hello));
        assert_eq!(of(&[0x80, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]), Some(FirstBytes::Preconnection));
    }

    #[test]
    fn gateway_requests_are_told_from_scanners() {
        assert_eq!(of(b"RDG_OUT_DATA /remoteDesktopGateway/"), Some(FirstBytes::GatewayHttp));
        assert_eq!(of(b"RDG_"), None);
        assert_eq!(of(b"GET /remotedesktopgateway/ HTTP/1.1"), Some(FirstBytes::GatewayHttp));
        assert_eq!(of(b"GET / HTTP/1.1"), Some(FirstBytes::Unknown));
        assert_eq!(of(b"SSH-2.0"), Some(FirstBytes::Unknown));
    }

    #[test]
    fn a_decision_never_changes_with_more_bytes() {
        let samples: [&[u8]; 5] = [
            &[3, 0, 0, 19, 14, 0xe0, 0, 0, 0, 0, 0, 1, 0, 8, 0, 3],
            &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 1, 2, 3],
            &[0x16, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 9, 0, 0, 0],
            b"RPC_IN_DATA /rpc/rpcproxy.dll?localhost:3388 HTTP/1.1",
            b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10",
        ];
        for sample in samples {
            let last = of(sample);
            for cut in 0..sample.len() {
                assert!(of(&sample[..cut]).is_none_or(|early| Some(early) == last), "cut at {cut} of {sample:02x?}");
            }
        }
    }
}
