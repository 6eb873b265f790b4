//! What routers and hosts say, by ICMP, about segments that did not get through.

use etherparse::LaxIpSlice;
use parser::Timestamp;
use parser::session::PathError;
use std::net::{IpAddr, SocketAddr};

/// An ICMP error about a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathReport {
    /// When it was captured.
    pub at: Timestamp,
    /// The machine that says so.
    pub by: IpAddr,
    /// Who had sent the segment.
    pub from: SocketAddr,
    /// To whom.
    pub to: SocketAddr,
    /// What was wrong.
    pub error: PathError,
}

/// Protocol number of TCP.
const TCP: u8 = 6;

/// Reads an ICMP message, header included: an error that quotes a TCP segment. RFC 792, RFC 1191, RFC 1812 5.2.7.1
pub(super) fn path_report(v6: bool, icmp: &[u8], by: IpAddr, at: Timestamp) -> Option<PathReport> {
    let (&[kind, code, _, _, a, b, c, d], quoted) = icmp.split_first_chunk::<8>()?;
    let error = match (v6, kind, code) {
        (false, 3, 4) => PathError::TooBig { mtu: u32::from(u16::from_be_bytes([c, d])) },
        (true, 2, _) => PathError::TooBig { mtu: u32::from_be_bytes([a, b, c, d]) },
        (false, 3, 3) | (true, 1, 4) => PathError::PortClosed,
        (false, 3, 9 | 10 | 13) | (true, 1, 1 | 5 | 6) => PathError::Prohibited,
        (false, 3, 0 | 6 | 11) | (true, 1, 0) => PathError::NoNetwork,
        (false, 3, _) | (true, 1, _) => PathError::NoHost,
        (false, 11, _) | (true, 3, _) => PathError::TooFar,
        _ => return None,
    };
    let (ip, _) = LaxIpSlice::from_slice(quoted).ok()?;
    let segment = ip.payload();
    if segment.ip_number.0 != TCP {
        return None;
    }
    // At least eight bytes of what it is about are there: the ports and the sequence number.
    let &[s1, s2, d1, d2, ..] = segment.payload else { return None };
    Some(PathReport {
        at,
        by,
        from: SocketAddr::new(ip.source_addr(), u16::from_be_bytes([s1, s2])),
        to: SocketAddr::new(ip.destination_addr(), u16::from_be_bytes([d1, d2])),
        error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::PacketBuilder;

    #[test]
    fn an_error_names_the_segment_it_is_about() {
        let mut packet = Vec::new();
        PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 1)
            .tcp(50_000, 3_389, 9, 0)
            .write(&mut packet, b"xy")
            .unwrap();
        let by = IpAddr::from([10, 0, 0, 254]);
        let report = |kind, code, rest: [u8; 4]| {
            let icmp = [&[kind, code, 0, 0][..], &rest, &packet[..28]].concat();
            path_report(false, &icmp, by, Timestamp(1))
        };
        let found = report(3, 4, [0, 0, 5, 120]).unwrap();
        assert_eq!(found.error, PathError::TooBig { mtu: 1_400 });
        assert_eq!(found.from, SocketAddr::from(([10, 0, 0, 1], 50_000)));
        assert_eq!(found.to, SocketAddr::from(([10, 0, 0, 2], 3_389)));
        assert_eq!(report(3, 13, [0; 4]).unwrap().error, PathError::Prohibited);
        assert_eq!(report(3, 3, [0; 4]).unwrap().error, PathError::PortClosed);
        assert_eq!(report(11, 0, [0; 4]).unwrap().error, PathError::TooFar);
        assert_eq!(report(0, 0, [0; 4]), None, "an echo reply");
    }
}
