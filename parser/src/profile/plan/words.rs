//! In words: what a Connection Request got.

use super::super::NegotiationAnswer;
use crate::session::Answer;

/// Why nothing more can be asked, when this was all that a Connection Request got.
pub(super) fn unanswered_words(answer: &NegotiationAnswer) -> String {
    match answer {
        NegotiationAnswer::Silence => "connected, but no answer to a Connection Request within the time-out".to_owned(),
        NegotiationAnswer::Closed(kind) => {
            format!(
                "connected, but the connection was closed ({}) without an answer to a Connection Request",
                kind.name()
            )
        }
        NegotiationAnswer::Answered(Answer::NotRdp(first)) => not_rdp(first),
        NegotiationAnswer::Answered(_) => "nothing more was asked".to_owned(),
    }
}

/// An answer to a Connection Request that had got TLS before.
pub(super) fn answer_words(answer: &NegotiationAnswer) -> String {
    match answer {
        NegotiationAnswer::Answered(Answer::Failure(code)) => format!("negotiation failure {code}"),
        NegotiationAnswer::Closed(kind) => format!("a close ({}) after the Connection Request", kind.name()),
        _ => "another answer to the Connection Request".to_owned(),
    }
}

/// What speaks there, by its first bytes.
pub(super) fn not_rdp(first: &[u8]) -> String {
    match first {
        [20..=24, 3, ..] => "it speaks TLS at once, as an RD Gateway or a web server does".to_owned(),
        first if first.starts_with(b"HTTP/") => "what listens there is no RDP host: it answered with HTTP".to_owned(),
        first if first.starts_with(b"SSH-") => "what listens there is no RDP host: it answered with SSH".to_owned(),
        first => {
            let bytes: Vec<String> = first.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("what listens there is no RDP host: it answered with {}", bytes.join(" "))
        }
    }
}
