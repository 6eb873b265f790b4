//! A recorded file through the analysis, exactly as `rdpscope analyze` takes it.

use parser::Timestamp;
use parser::session::Timeline;
use rdpscope::analyze::analysis::{Analysis, Finding, Telling};
use rdpscope::analyze::capture::{self, Step};
use rdpscope::analyze::packet::{Packet, Segment};
use rdpscope::analyze::source::Source;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::path::Path;

/// A segment with its bytes.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    segment: Segment<'static>,
    payload: Vec<u8>,
}

impl Recorded {
    /// The segment.
    pub(crate) fn segment(&self) -> Segment<'_> {
        Segment { payload: &self.payload, ..self.segment }
    }

    /// The bytes from one place to another as a segment of their own; a SYN goes with the first, a FIN with the last.
    pub(crate) fn part(&self, from: usize, to: usize) -> Recorded {
        let whole = self.segment;
        let behind_syn = u32::from(whole.syn && from > 0);
        let segment = Segment {
            sequence: whole.sequence.wrapping_add(from as u32 + behind_syn),
            syn: whole.syn && from == 0,
            fin: whole.fin && to == self.payload.len(),
            ..whole
        };
        Recorded { segment, payload: self.payload[from..to].to_vec() }
    }

    /// A reset in its sender's name, so far behind its bytes.
    pub(crate) fn reset(&self, behind: u32) -> Recorded {
        let sequence = self.segment.sequence.wrapping_add(self.payload.len() as u32).wrapping_add(behind);
        let segment = Segment { sequence, syn: false, ack: false, fin: false, rst: true, ..self.segment };
        Recorded { segment, payload: Vec::new() }
    }

    /// When it was captured.
    pub(crate) fn at(&mut self) -> &mut Timestamp {
        &mut self.segment.at
    }

    /// Both ends.
    pub(crate) fn ends(&mut self) -> [&mut SocketAddr; 2] {
        [&mut self.segment.from, &mut self.segment.to]
    }
}

/// The segments of a file.
pub(crate) fn segments(path: &Path) -> Vec<Recorded> {
    let mut all = Vec::new();
    read(path, |step| {
        if let Step::Packet(Packet::Segment(segment)) = step {
            let payload = segment.payload.to_vec();
            all.push(Recorded { segment: Segment { payload: &[], ..segment }, payload });
        }
    });
    all
}

/// The connections of a file, in the order of their first segment.
pub(crate) fn findings(path: &Path) -> Vec<Finding> {
    let mut analysis = Analysis::new(Telling::Once);
    let mut found = Vec::new();
    read(path, |step| {
        if let Step::Packet(packet) = step {
            analysis.packet(&packet, &mut |finding| found.push(finding));
        }
    });
    in_order(analysis, found)
}

/// The connections that these segments make.
pub(crate) fn analyzed(segments: &[Recorded]) -> Vec<Finding> {
    let mut analysis = Analysis::new(Telling::Once);
    let mut found = Vec::new();
    for recorded in segments {
        analysis.packet(&Packet::Segment(recorded.segment()), &mut |finding| found.push(finding));
    }
    in_order(analysis, found)
}

/// The timeline of a connection.
pub(crate) fn timeline(finding: &Finding) -> Timeline {
    finding.record.timeline.clone()
}

fn read(path: &Path, mut each: impl FnMut(Step<'_>)) {
    let summary = capture::read(Source::open(path).unwrap(), |step| {
        each(step);
        ControlFlow::Continue(())
    });
    let summary = summary.unwrap();
    assert!(summary.unknown_links.is_empty(), "{}: {summary:?}", path.display());
}

fn in_order(mut analysis: Analysis, mut found: Vec<Finding>) -> Vec<Finding> {
    analysis.finish(&mut |finding| found.push(finding));
    assert!(found.iter().all(|finding| finding.is_final && !finding.revised));
    found.sort_by_key(|finding| finding.stream);
    let numbers: Vec<u64> = found.iter().map(|finding| finding.stream).collect();
    assert_eq!(numbers, (0..analysis.connections()).collect::<Vec<_>>(), "each connection is told once");
    found
}
