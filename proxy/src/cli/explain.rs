//! `rdpscope explain`

use super::{BAD_USAGE, failure, print};
use anstyle::Style;
use parser::diagnosis::{Cause, Observer, Room};
use rdpscope::terminal;
use serde_json::{Value, json};
use std::fmt::Write;
use std::process::ExitCode;

/// Ids are shorter; the title begins behind this column.
const TITLE_COLUMN: usize = 36;
const BOLD: Style = Style::new().bold();

/// Look a cause up: what it means, how it is seen, what to do
///
/// Every report, event (`event.code`) and metric (`cause`) names a cause by a stable id. Without an id, all of them are
/// listed in the order of a session's life. With one: what the proxy sees of it, who can decide it, what to do
/// about it, safest first, and what the client and the host are expected to show.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  rdpscope explain                           every cause
  rdpscope explain cert_private_key_unusable
  rdpscope explain --json | jq -r '.[].id'

Exit codes: 0, or 2 if there is no such cause (the nearest one is named).")]
pub(super) struct Explain {
    /// The cause's id, as in `event.code`; all causes if left out
    cause: Option<String>,
    /// Print one JSON document: an object for one cause, an array for all
    #[arg(long)]
    json: bool,
}

impl Explain {
    pub(super) fn main(self) -> ExitCode {
        let Some(id) = self.cause else {
            return print(&if self.json {
                document(&Cause::ALL.iter().copied().map(object).collect())
            } else {
                table()
            });
        };
        let name = id.trim().to_lowercase().replace('-', "_");
        match Cause::from_id(&name) {
            Some(cause) if self.json => print(&document(&object(cause))),
            Some(cause) => print(&page(cause)),
            None => failure(BAD_USAGE, unknown(&id, &name)),
        }
    }
}

fn unknown(id: &str, name: &str) -> String {
    let id: String = id.chars().take(64).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    let shown_by = Cause::ALL.iter().filter(|cause| {
        let predicted = cause.entry().predicted;
        predicted.mstsc.iter().chain(predicted.mstsc_direct).any(|code| code.eq_ignore_ascii_case(name))
    });
    let all = "`rdpscope explain` lists all of them";
    let near = config::nearest(name, Cause::ALL.iter().map(|cause| cause.id()));
    let holding: Vec<&str> =
        Cause::ALL.iter().map(|cause| cause.id()).filter(|id| name.len() >= 2 && id.contains(name)).collect();
    match shown_by.count() {
        0 if !holding.is_empty() => {
            format!("there is no cause `{id}`; did you mean one of these?\n  {}", holding.join("\n  "))
        }
        0 => match near {
            Some(near) => format!("there is no cause `{id}`; did you mean `{near}`? {all}"),
            None => format!("there is no cause `{id}`; {all}"),
        },
        count => format!(
            "`{id}` is a code of the client, not a cause: {count} of the causes may show it, and it does not tell them \
             apart.\nLet the client connect through rdpscope: the report names the cause. {all}"
        ),
    }
}

/// All causes by room, one line each.
fn table() -> String {
    let mut out = String::new();
    for room in Room::ALL {
        let _ = writeln!(out, "{BOLD}{}{BOLD:#}", room.name());
        for cause in room.causes() {
            let entry = cause.entry();
            let mark = if entry.decided_by.contains(&Observer::Passthrough) { ' ' } else { '*' };
            let name = format!("{mark} {cause}");
            let _ = writeln!(out, "{name:TITLE_COLUMN$} {}", wrapped(entry.title, TITLE_COLUMN + 1));
        }
        out.push('\n');
    }
    out.push_str(
        "* Passing bytes on is not enough to be sure of it: a probe, the bridge or a packet capture decides.\n  Until then \
         it is a rival of another cause, or the name for what cannot be told apart.\n\n\
         rdpscope explain CAUSE says how it is seen and what to do.\n",
    );
    out
}

/// One cause in full.
fn page(cause: Cause) -> String {
    let entry = cause.entry();
    let mut out = format!("{BOLD}{cause}{BOLD:#}\n{}\n\n", wrapped(entry.title, 0));
    let phases = entry.phases.iter().map(|phase| phase.name()).collect::<Vec<_>>().join(", ");
    let end = cause.as_end().map_or_else(String::new, |end| {
        format!("`rdpscope.end` of a session whose cause is `ok` or `ok_bridged`: `{}`", end.name())
    });
    let observers = entry.decided_by.iter().map(|observer| observer.name()).collect::<Vec<_>>().join(", ");
    for (name, value) in [
        ("Belongs to", cause.room().name()),
        ("Phase", phases.as_str()),
        ("Side", entry.side.name()),
        ("Outcome", cause.outcome().name()),
        ("Told as", end.as_str()),
        ("Decided by", observers.as_str()),
    ] {
        if !value.is_empty() {
            let _ = writeln!(out, "  {name:12} {}", wrapped(value, 15));
        }
    }
    let _ = writeln!(out, "\n{BOLD}What is seen{BOLD:#}\n  {}", wrapped(entry.sees, 2));
    if !entry.remedy.is_empty() {
        let _ = writeln!(out, "\n{BOLD}What to do{BOLD:#}");
        for (index, item) in entry.remedy.iter().enumerate() {
            let _ = writeln!(out, "  {}. {}", index + 1, wrapped(item, 5));
        }
    }
    let predicted = entry.predicted;
    let schannel: Vec<String> = predicted.schannel.iter().map(|id| format!("event {id}")).collect();
    let codes = [
        ("mstsc behind this proxy", predicted.mstsc.join(", ")),
        ("mstsc without it", predicted.mstsc_direct.join(", ")),
        ("Schannel on the host", schannel.join(", ")),
    ];
    if codes.iter().any(|(_, shown)| !shown.is_empty()) {
        let _ = writeln!(out, "\n{BOLD}What others may show{BOLD:#} (a prediction; the verdict never rests on it)");
        for (who, shown) in codes.iter().filter(|(_, shown)| !shown.is_empty()) {
            let _ = writeln!(out, "  {who:24} {}", wrapped(shown, 27));
        }
    }
    let _ = writeln!(out, "\n{BOLD}Source{BOLD:#}\n  {}", wrapped(entry.reference, 2));
    out
}

fn object(cause: Cause) -> Value {
    let entry = cause.entry();
    json!({
        "id": cause.id(),
        "title": entry.title,
        "group": cause.room().name(),
        "phases": entry.phases.iter().map(|phase| phase.name()).collect::<Vec<_>>(),
        "side": entry.side.name(),
        "outcome": cause.outcome().name(),
        "end": cause.as_end().map(|end| end.name()),
        "decided_by": entry.decided_by.iter().map(|observer| observer.name()).collect::<Vec<_>>(),
        "sees": entry.sees,
        "remedy": entry.remedy,
        "predicted": {
            "mstsc": entry.predicted.mstsc,
            "mstsc_direct": entry.predicted.mstsc_direct,
            "schannel": entry.predicted.schannel,
        },
        "reference": entry.reference,
    })
}

fn document(value: &Value) -> String {
    format!("{value:#}\n")
}

/// Text broken at spaces to the width of the terminal, lines after the first indented. A command or a path between
/// backticks stays whole, however long it is.
pub(super) fn wrapped(text: &str, indent: usize) -> String {
    let (mut out, width) = (String::new(), terminal::width());
    let mut column = indent;
    for word in terminal::pieces(text).map(str::trim_end).filter(|word| !word.is_empty()) {
        let length = word.chars().count();
        if column > indent && column + 1 + length > width {
            let _ = write!(out, "\n{:indent$}", "");
            column = indent;
        } else if column > indent {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_leaves_room_for_the_title() {
        let longest = Cause::ALL.iter().map(|cause| "  ".len() + cause.id().len()).max();
        assert!(longest <= Some(TITLE_COLUMN), "{longest:?}");
    }

    #[test]
    fn no_line_of_any_page_is_longer_than_a_terminal_unless_it_cannot_be_broken() {
        for cause in Cause::ALL {
            for line in anstream::adapter::strip_str(&page(*cause)).to_string().lines() {
                let text = line.trim_start().trim_start_matches(|c: char| c.is_ascii_digit() || ". ".contains(c));
                let breakable = terminal::pieces(text).count() > 1;
                assert!(line.chars().count() <= terminal::WIDEST || !breakable, "{line}");
            }
        }
    }

    #[test]
    fn no_remedy_sends_anybody_to_a_key_that_this_build_refuses() {
        let refused = |item: &str| {
            let missing = config::KEYS.iter().filter(|key| matches!(key.built, config::Built::No { .. }));
            missing.map(|key| key.name).find(|name| item.contains(&format!("`{name}`")))
        };
        assert!(refused("set `allow_targets`").is_some());
        for item in Cause::ALL.iter().flat_map(|cause| cause.entry().remedy) {
            assert!(refused(item).is_none() || item.starts_with("This version has no "), "{item}");
        }
    }

    #[test]
    fn text_is_broken_at_spaces_and_indented() {
        let text = "word ".repeat(40);
        let lines: Vec<String> = wrapped(text.trim_end(), 4).lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[1].starts_with("    word"));
        assert_eq!(wrapped("", 4), "");
    }

    #[test]
    fn a_part_of_a_name_is_answered_with_the_names_that_hold_it() {
        assert_eq!(
            unknown("Syn", "syn"),
            "there is no cause `Syn`; did you mean one of these?\n  tcp_timeout_syn_drop"
        );
        assert!(unknown("", "").ends_with("lists all of them"));
    }

    #[test]
    fn a_client_code_is_not_taken_for_a_cause() {
        let answer = unknown("0x904", "0x904");
        assert!(answer.starts_with("`0x904` is a code of the client, not a cause"), "{answer}");
    }
}
