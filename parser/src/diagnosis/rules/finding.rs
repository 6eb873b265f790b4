//! What a rule says, and how it becomes a verdict.

use super::super::{Cause, Confidence, End, Missing, Outcome, Side, Verdict};
use super::case::Case;
use crate::session::Phase;

/// A cause with what it rests on.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub(super) cause: Cause,
    confidence: Confidence,
    side: Side,
    phase: Option<Phase>,
    evidence: Vec<String>,
    alternatives: Vec<Cause>,
    remedy: Vec<String>,
    /// The catalogue's actions follow.
    catalogue_too: bool,
    missing: Missing,
    smallest_change: Vec<String>,
    end: Option<End>,
    message: String,
}

impl Finding {
    pub(super) fn new(cause: Cause, confidence: Confidence) -> Finding {
        Finding {
            cause,
            confidence,
            side: cause.entry().side,
            phase: None,
            evidence: Vec::new(),
            alternatives: Vec::new(),
            remedy: Vec::new(),
            catalogue_too: true,
            missing: Missing::default(),
            smallest_change: Vec::new(),
            end: None,
            message: String::new(),
        }
    }

    pub(super) fn proven(cause: Cause) -> Finding {
        Finding::new(cause, Confidence::Proven)
    }

    pub(super) fn likely(cause: Cause) -> Finding {
        Finding::new(cause, Confidence::Likely)
    }

    pub(super) fn possible(cause: Cause) -> Finding {
        Finding::new(cause, Confidence::Possible)
    }

    /// Whose doing, when it is not the catalogue's default.
    pub(super) fn side(mut self, side: Side) -> Finding {
        self.side = side;
        self
    }

    /// Where it ended, when the tracker's phase does not say it as well.
    pub(super) fn in_phase(mut self, phase: Phase) -> Finding {
        self.phase = Some(phase);
        self
    }

    /// One sentence that can be checked against the trace. Empty ones are left out.
    pub(super) fn because(mut self, sentence: impl Into<String>) -> Finding {
        let sentence = sentence.into();
        if !sentence.is_empty() {
            self.evidence.push(sentence);
        }
        self
    }

    /// [`Finding::because`], unless it was said.
    pub(super) fn because_once(self, sentence: String) -> Finding {
        if self.evidence.contains(&sentence) { self } else { self.because(sentence) }
    }

    /// [`Finding::because`], when there is something to say.
    pub(super) fn because_some(self, sentence: Option<String>) -> Finding {
        self.because(sentence.unwrap_or_default())
    }

    /// Causes that the evidence does not exclude.
    pub(super) fn rivals(mut self, causes: &[Cause]) -> Finding {
        for cause in causes {
            if *cause != self.cause && !self.alternatives.contains(cause) {
                self.alternatives.push(*cause);
            }
        }
        self
    }

    /// [`Finding::rivals`] under a condition.
    pub(super) fn rivals_if(self, condition: bool, causes: &[Cause]) -> Finding {
        if condition { self.rivals(causes) } else { self }
    }

    /// An action that this connection's facts make concrete; it goes before the catalogue's.
    pub(super) fn first_do(mut self, action: impl Into<String>) -> Finding {
        self.remedy.push(action.into());
        self
    }

    /// Actions in place of the catalogue's, which would send a person to where nothing is wrong.
    pub(super) fn instead_do(mut self, actions: &[&str]) -> Finding {
        self.remedy.extend(actions.iter().map(|action| (*action).to_owned()));
        self.catalogue_too = false;
        self
    }

    pub(super) fn missing(mut self, missing: Missing) -> Finding {
        self.missing = missing;
        self
    }

    pub(super) fn smallest_change(mut self, changes: Vec<String>) -> Finding {
        self.smallest_change = changes;
        self
    }

    pub(super) fn end(mut self, end: End) -> Finding {
        self.end = Some(end);
        self
    }

    /// The one line for a person, without a full stop.
    pub(super) fn message(mut self, line: impl Into<String>) -> Finding {
        self.message = line.into();
        self
    }

    /// The same evidence under another name: the former cause becomes the first alternative.
    pub(super) fn under(mut self, cause: Cause, confidence: Confidence) -> Finding {
        let former = core::mem::replace(&mut self.cause, cause);
        self.alternatives.retain(|c| *c != former && *c != cause);
        self.alternatives.insert(0, former);
        self.confidence = self.confidence.min(confidence);
        self
    }

    /// Another cause, of which there is more to be said than of the former one: that becomes the first alternative.
    pub(super) fn replaced_by(self, cause: Cause, confidence: Confidence) -> Finding {
        let mut finding = self.under(cause, confidence);
        (finding.confidence, finding.side, finding.end) = (confidence, cause.entry().side, None);
        finding.alternatives.retain(|rival| rival.outcome() == Outcome::Failure);
        finding.remedy.clear();
        finding.catalogue_too = true;
        (finding.missing, finding.smallest_change) = (Missing::default(), Vec::new());
        finding
    }

    /// A session that was up ended in this way.
    pub(super) fn ends_by(&self, end: End) -> bool {
        self.end == Some(end)
    }

    /// No more than this confidence.
    pub(super) fn weakened(mut self, most: Confidence) -> Finding {
        self.confidence = self.confidence.min(most);
        self
    }

    /// Whether the bytes name the cause.
    pub(super) fn is_proven(&self) -> bool {
        self.confidence == Confidence::Proven
    }

    /// Rivals remain.
    pub(super) fn is_a_guess(&self) -> bool {
        self.confidence == Confidence::Possible
    }

    pub(super) fn into_verdict(self, case: &Case<'_>) -> Verdict {
        let mut evidence = self.evidence;
        evidence.extend(case.close_sentence());
        let catalogue = if self.catalogue_too { self.cause.entry().remedy } else { &[] };
        let catalogue = catalogue.iter().map(|item| (*item).to_owned());
        let message = if self.message.is_empty() { self.cause.entry().title.to_owned() } else { self.message };
        Verdict {
            cause: self.cause,
            side: self.side,
            phase: self.phase.unwrap_or_else(|| case.phase()),
            confidence: self.confidence,
            evidence,
            alternatives: if self.confidence == Confidence::Proven { Vec::new() } else { self.alternatives },
            remedy: self.remedy.into_iter().chain(catalogue).collect(),
            missing: self.missing,
            smallest_change: self.smallest_change,
            end: self.end,
            message,
        }
    }
}
