//! What an event must say. Lists are written as in the lab's own tables: `a|b`, the first being the best name and the
//! others equally honest; `any` judges nothing.

use crate::proxy::{at, text};
use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};

/// What one connection must be called.
#[derive(Clone, Debug)]
pub(crate) struct Expect {
    causes: &'static str,
    sides: &'static str,
    phases: &'static str,
    at_least: &'static str,
    at_most: &'static str,
    close: &'static str,
    fields: Vec<(&'static str, Check)>,
}

#[derive(Clone, Debug)]
enum Check {
    Is(Value),
    Has(Value),
    AtLeast(u64),
    StartsWith(&'static str),
    Missing,
}

const CONFIDENCE: [&str; 3] = ["possible", "likely", "proven"];

/// A connection that failed with one of these causes, on this side, in this phase.
pub(crate) fn failed(causes: &'static str, sides: &'static str, phases: &'static str) -> Expect {
    Expect { causes, sides, phases, at_least: "possible", at_most: "proven", close: "any", fields: vec![] }
}

/// A healthy session.
pub(crate) fn ok() -> Expect {
    failed("ok", "any", "active").is("event.outcome", json!("success")).is("rdp.tracking", json!("complete"))
}

impl Expect {
    /// More would be a claim without proof; less is not wrong.
    pub(crate) fn at_most(self, confidence: &'static str) -> Expect {
        Expect { at_most: confidence, ..self }
    }

    /// The bytes name the cause: `proven` and nothing less.
    pub(crate) fn proven(self) -> Expect {
        Expect { at_least: "proven", ..self }
    }

    /// Who ended the connection and how, as `host/fin`.
    pub(crate) fn close(self, close: &'static str) -> Expect {
        Expect { close, ..self }
    }

    /// The field at `path` is this.
    pub(crate) fn is(self, path: &'static str, value: Value) -> Expect {
        self.field(path, Check::Is(value))
    }

    /// The list at `path` contains this.
    pub(crate) fn has(self, path: &'static str, value: Value) -> Expect {
        self.field(path, Check::Has(value))
    }

    /// The number at `path` is this or more.
    pub(crate) fn at_least(self, path: &'static str, number: u64) -> Expect {
        self.field(path, Check::AtLeast(number))
    }

    /// There is nothing at `path`.
    pub(crate) fn without(self, path: &'static str) -> Expect {
        self.field(path, Check::Missing)
    }

    /// The user's name is there, but only its keyed hash.
    pub(crate) fn hashed_user(self) -> Expect {
        self.field("rdp.cookie", Check::StartsWith("hmac-sha256:"))
    }

    /// A clear alert of `side` with this number.
    pub(crate) fn alert(self, side: &'static str, code: u8) -> Expect {
        self.is("tls.alert.side", json!(side)).is("tls.alert.code", json!(code))
    }

    /// What was asked for and what was chosen.
    pub(crate) fn negotiated(self, requested: &[&str], selected: &str) -> Expect {
        self.is("rdp.requested_protocols", json!(requested)).is("rdp.selected_protocol", json!(selected))
    }

    /// The host refused the negotiation with this code.
    pub(crate) fn refused(self, code: u32) -> Expect {
        self.is("rdp.negotiation.failure_code", json!(code))
    }

    /// The host chose this version and suite.
    pub(crate) fn tls(self, version: &str, cipher: &str) -> Expect {
        self.is("tls.version", json!(version)).is("tls.cipher", json!(cipher))
    }

    /// The handshake came to its end.
    pub(crate) fn established(self) -> Expect {
        self.is("tls.established", json!(true))
    }

    /// The versions in the ClientHello, in the order offered.
    pub(crate) fn offered(self, versions: &[&str]) -> Expect {
        self.is("tls.client.supported_versions", json!(versions))
    }

    fn field(mut self, path: &'static str, check: Check) -> Expect {
        self.fields.push((path, check));
        self
    }

    /// Compares a `session_end` event; every difference is named at once.
    pub(crate) fn check(&self, event: &Value) -> Result<()> {
        let mut wrong = vec![];
        let mut compare = |what: &str, wanted: &str, got: &str| {
            if wanted != "any" && !wanted.split('|').any(|one| one == got) {
                wrong.push(format!("{what} is {got:?}, not {wanted}"));
            }
        };
        compare("event.code", self.causes, text(event, "event.code"));
        compare("rdpscope.side", self.sides, text(event, "rdpscope.side"));
        compare("rdpscope.phase", self.phases, text(event, "rdpscope.phase"));
        let close = format!("{}/{}", text(event, "rdpscope.close.first"), text(event, "rdpscope.close.kind"));
        compare("rdpscope.close", self.close, &close);
        let rank = |name: &str| CONFIDENCE.iter().position(|known| *known == name);
        let confidence = text(event, "rdpscope.confidence");
        // Healthy sessions need no degree of certainty.
        if self.causes != "ok" && !(rank(self.at_least)..=rank(self.at_most)).contains(&rank(confidence)) {
            let (low, high) = (self.at_least, self.at_most);
            wrong.push(format!("rdpscope.confidence is {confidence:?}, not {low}..{high}"));
        }
        for (path, check) in &self.fields {
            let got = at(event, path);
            let holds = match check {
                Check::Is(wanted) => got == wanted,
                Check::Has(wanted) => got.as_array().is_some_and(|list| list.contains(wanted)),
                Check::AtLeast(number) => got.as_u64().is_some_and(|got| got >= *number),
                Check::StartsWith(start) => got.as_str().is_some_and(|text| text.starts_with(start)),
                Check::Missing => got.is_null(),
            };
            if !holds {
                wrong.push(format!("{path} is {got}, not {check:?}"));
            }
        }
        if let Err(error) = sound(event) {
            wrong.push(error.to_string());
        }
        ensure!(wrong.is_empty(), "{}", wrong.join("\n      "));
        Ok(())
    }
}

/// What every `session_end` must have, whatever it tells.
pub(crate) fn sound(event: &Value) -> Result<()> {
    for path in ["@timestamp", "message", "client.ip", "rdpscope.listener", "rdpscope.phase"] {
        ensure!(!text(event, path).is_empty(), "{path} is missing");
    }
    for path in ["event.duration", "client.port", "server.port", "source.bytes", "destination.bytes"] {
        ensure!(at(event, path).is_u64(), "{path} is no number");
    }
    ensure!(text(event, "session.id").as_bytes().get(14) == Some(&b'7'), "session.id is no UUIDv7");
    ensure!(text(event, "rdpscope.schema") == "1", "rdpscope.schema is not \"1\"");
    ensure!(at(event, "rdpscope.final").is_boolean(), "rdpscope.final is missing");
    let code = text(event, "event.code");
    let outcome = match code {
        "ok" | "ok_bridged" | "client_prompt_probe" => "success",
        "not_rdp" | "client_sent_nothing" | "capture_incomplete" => "unknown",
        _ => "failure",
    };
    ensure!(text(event, "event.outcome") == outcome, "event.outcome of {code} is not {outcome}");
    if outcome == "failure" {
        for path in ["rdpscope.evidence", "rdpscope.remedy"] {
            ensure!(at(event, path).as_array().is_some_and(|list| !list.is_empty()), "{path} is empty");
        }
        if text(event, "rdpscope.confidence") == "possible" {
            let rivals = at(event, "rdpscope.alternatives").as_array().is_some_and(|list| !list.is_empty());
            ensure!(rivals, "{code} is only possible, but no rival is listed");
        }
    }
    let message = text(event, "message");
    if message.contains(crate::lab::USER) || message.contains(crate::lab::PASSWORD) {
        bail!("the message names the user: {message}");
    }
    Ok(())
}

/// Several connections of one client are one story: the same attempt, numbered, each pointing at the one before.
pub(crate) fn one_attempt(sessions: &[Value]) -> Result<()> {
    for (index, pair) in sessions.windows(2).enumerate() {
        let (before, after) = (&pair[0], &pair[1]);
        let id = |event| text(event, "rdpscope.attempt.id").to_owned();
        ensure!(!id(before).is_empty() && id(before) == id(after), "connections are not of one attempt");
        let number = at(after, "rdpscope.attempt.number").as_u64();
        ensure!(number == Some(index as u64 + 2), "attempt.number is {number:?}, not {}", index + 2);
        let previous = text(after, "rdpscope.attempt.previous_session");
        ensure!(previous == text(before, "session.id"), "attempt.previous_session is {previous:?}");
    }
    Ok(())
}
