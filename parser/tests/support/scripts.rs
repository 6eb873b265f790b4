//! Reads `sessions.txt`: whole sessions as plaintext sizes with the phase after every record.

use super::{CONTENT_ALERT, CONTENT_DATA, HYBRID, HYBRID_EX, RDSAAD, RDSTLS, SSL, Settled, sealed};
use parser::session::{Peer, Phase, Progress};

/// What one record holds.
#[derive(Clone, Copy, Debug)]
pub enum Content {
    /// A message of so many bytes.
    Message(u16),
    /// A sealed alert.
    Alert,
    /// A TLS 1.3 session ticket.
    Ticket(u16),
}

/// One record of a script, and the phase that holds after it.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub from: Peer,
    pub content: Content,
    pub phase: Phase,
}

impl Step {
    /// The record, or `None` when this version has no such thing.
    pub fn bytes(&self, settled: Settled) -> Option<Vec<u8>> {
        match self.content {
            Content::Message(size) => Some(sealed(CONTENT_DATA, settled.seal(size))),
            Content::Alert if settled.is_tls13() => Some(sealed(CONTENT_DATA, settled.seal(2))),
            Content::Alert => Some(sealed(CONTENT_ALERT, settled.seal(2))),
            Content::Ticket(size) => settled.is_tls13().then(|| sealed(CONTENT_DATA, settled.seal(size))),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Script {
    pub name: String,
    pub selected: u32,
    pub exact: bool,
    pub steps: Vec<Step>,
    pub facts: Vec<String>,
}

/// Every script of the file.
pub fn all() -> Vec<Script> {
    let mut scripts: Vec<Script> = Vec::new();
    for line in include_str!("../../testdata/records/sessions.txt").lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(title) = line.strip_prefix('[') {
            let (name, selected) = title.split_once(']').expect("[name] protocol");
            let selected = match selected.trim() {
                "ssl" => SSL,
                "hybrid" => HYBRID,
                "hybrid_ex" => HYBRID_EX,
                "rdstls" => RDSTLS,
                "rdsaad" => RDSAAD,
                other => panic!("protocol {other}"),
            };
            let (steps, facts) = (Vec::new(), Vec::new());
            scripts.push(Script { name: name.to_owned(), selected, exact: false, steps, facts });
            continue;
        }
        let Some(script) = scripts.last_mut() else { continue };
        match line.split_once(':') {
            _ if line == "exact" => script.exact = true,
            Some(("facts", facts)) => script.facts = facts.split_whitespace().map(str::to_owned).collect(),
            Some((phase, records)) => {
                let phase = *Phase::ALL.iter().find(|p| p.name() == phase).expect("a phase");
                script.steps.extend(records.split_whitespace().map(|word| step(word, phase)));
            }
            None => assert!(line.is_empty(), "{line}"),
        }
    }
    scripts
}

fn step(word: &str, phase: Phase) -> Step {
    let (from, rest) = word.split_at(1);
    let size = || rest.parse().expect("a size");
    let (from, content) = match (from, rest) {
        ("C", "A") => (Peer::Client, Content::Alert),
        ("S", "A") => (Peer::Host, Content::Alert),
        ("C", _) => (Peer::Client, Content::Message(size())),
        ("S", _) => (Peer::Host, Content::Message(size())),
        ("T", _) => (Peer::Host, Content::Ticket(size())),
        other => panic!("{other:?}"),
    };
    Step { from, content, phase }
}

/// The facts of `progress` that are known, in the words of `sessions.txt`.
pub fn known(progress: &Progress) -> Vec<String> {
    let joins = format!("joins={}", progress.joins);
    let facts = [
        (progress.credssp_authenticate.is_some(), "authenticate"),
        (progress.credssp_accepted.is_some(), "accepted"),
        (progress.credssp_error.is_some(), "error"),
        (progress.early_user_auth.is_some(), "early"),
        (progress.connect_initial.is_some(), "connect_initial"),
        (progress.connect_response.is_some(), "connect_response"),
        (progress.attach_user.is_some(), "attach_user"),
        (progress.joins > 0, joins.as_str()),
        (progress.client_info.is_some(), "client_info"),
        (progress.licensing.is_some(), "licensing"),
        (progress.licensed.is_some(), "licensed"),
        (progress.demand_active.is_some(), "demand_active"),
        (progress.confirm_active.is_some(), "confirm_active"),
        (progress.active.is_some(), "active"),
        (progress.denied.is_some(), "denied"),
    ];
    facts.into_iter().filter(|(known, _)| *known).map(|(_, name)| name.to_owned()).collect()
}
