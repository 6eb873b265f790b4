//! What must hold for any file and any order of segments. The fuzz targets call these, and so does the test that replays
//! their seeds. Not part of the interface.

use super::analysis::{Analysis, Telling};
use super::capture::{self, Step};
use super::packet::{Packet, Segment};
use super::source::Source;
use super::streams::{Event, Streams};
use parser::Timestamp;
use parser::session::Peer;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::time::Duration;

/// Any bytes as a file: it is read or refused, each connection is told once, and reading it again tells the same.
pub fn file(bytes: &[u8]) {
    let first = told(bytes, Telling::Once);
    assert_eq!(first, told(bytes, Telling::Once), "the same file, the same findings");
    let _ = told(bytes, Telling::AtOnce);
}

fn told(bytes: &[u8], telling: Telling) -> Vec<(u64, &'static str, u64, u64)> {
    let mut analysis = Analysis::new(telling);
    let mut found = Vec::new();
    let Ok(source) = Source::of_bytes("fuzz", bytes.to_vec()) else { return found };
    let mut note = |finding: super::analysis::Finding| {
        let traffic = finding.record.timeline.traffic;
        if !finding.revised {
            found.push((finding.stream, finding.record.verdict.cause.id(), traffic.client.bytes, traffic.host.bytes));
        }
    };
    let read = capture::read(source, |step| {
        if let Step::Packet(packet) = step {
            analysis.packet(&packet, &mut note);
        }
        ControlFlow::Continue(())
    });
    analysis.finish(&mut note);
    if let Ok(summary) = &read {
        assert!(summary.segments <= summary.packets);
        assert!(summary.complaints().iter().all(|complaint| !complaint.contains('\n')));
    }
    found.sort_unstable();
    let numbers: Vec<u64> = found.iter().map(|(stream, ..)| *stream).collect();
    assert_eq!(numbers, (0..analysis.connections()).collect::<Vec<_>>(), "each connection is told once");
    found
}

/// Bytes that a direction of the property may have.
const LONGEST: usize = 4_096;

/// Segments of one connection in any order and with any overlap, as steps of four bytes: where, how long, which byte. What
/// is given must be what a receiver would have kept: of each place the first byte that came, up to the first hole.
pub fn reassembly(input: &[u8]) {
    // Sequence numbers wrap soon after the beginning.
    let begin = u32::MAX - 1_000;
    let mut streams = Streams::<()>::new(Duration::ZERO);
    let (mut given, mut over) = (Vec::new(), false);
    let mut tell = |_: &super::streams::Stream, (): &mut (), _: Timestamp, event: Event<'_>| {
        assert!(!over, "nothing comes after the end");
        match event {
            Event::Data(Peer::Client, bytes) => given.extend_from_slice(bytes),
            Event::Ended(_) => over = true,
            Event::Syn => {}
            other => panic!("{other:?}"),
        }
    };
    streams.packet(&Packet::Segment(Segment { syn: true, ..segment(begin, &[]) }), &mut tell);
    let mut kept: [Option<u8>; LONGEST + 256] = [None; LONGEST + 256];
    for step in input.chunks_exact(4) {
        let place = usize::from(u16::from_be_bytes([step[0], step[1]])) % LONGEST;
        let payload = vec![step[3]; usize::from(step[2])];
        let sequence = begin.wrapping_add(1).wrapping_add(place as u32);
        streams.packet(&Packet::Segment(segment(sequence, &payload)), &mut tell);
        for byte in &mut kept[place..place + payload.len()] {
            byte.get_or_insert(step[3]);
        }
    }
    streams.finish(&mut tell);
    let expected: Vec<u8> = kept.iter().map_while(|byte| *byte).collect();
    assert!(over && given == expected, "{} bytes were given, {} are due", given.len(), expected.len());
}

/// A segment of the client.
fn segment(sequence: u32, payload: &[u8]) -> Segment<'_> {
    Segment {
        at: Timestamp(1),
        from: SocketAddr::from(([10, 0, 0, 1], 50_000)),
        to: SocketAddr::from(([10, 0, 0, 2], 3_389)),
        sequence,
        acknowledgment: 0,
        window: 1,
        hops: 64,
        ip_id: None,
        mss: None,
        syn: false,
        ack: false,
        fin: false,
        rst: false,
        payload,
        cut: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_order_and_any_overlap_give_what_a_receiver_keeps(
            steps in proptest::collection::vec((0..600u16, any::<u8>(), any::<u8>()), 0..200)
        ) {
            let bytes = |(place, length, byte): &(u16, u8, u8)| {
                let [high, low] = place.to_be_bytes();
                [high, low, *length, *byte]
            };
            reassembly(&steps.iter().flat_map(bytes).collect::<Vec<u8>>());
        }

        #[test]
        fn any_change_to_a_capture_is_read_or_refused(changes in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..8), cut: u16) {
            let path = format!("{}/tests/golden/lab/gw-auto-404.pcap", env!("CARGO_MANIFEST_DIR"));
            let mut bytes = std::fs::read(path).expect("a capture");
            for (place, byte) in changes {
                let place = usize::from(place) % bytes.len();
                bytes[place] ^= byte;
            }
            bytes.truncate(bytes.len() - usize::from(cut) % bytes.len() / 4);
            file(&bytes);
        }
    }
}
