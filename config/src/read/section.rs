//! One table of the file: its keys checked against the reference, its values taken one by one.

use super::kind;
use crate::problem::{Fault, Place, Problem, shown};
use crate::quantity::{duration, size};
use crate::reference::{Built, Key, Table};
use crate::suggest::nearest;
use std::ops::{Range, RangeInclusive};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Collects what is wrong while values are taken.
pub(super) struct Reader {
    pub(super) problems: Vec<Problem>,
}

/// A table that may not be there.
pub(super) struct Section<'d> {
    pub(super) table: Table,
    entries: Option<&'d DeTable<'d>>,
}

/// What came of taking a value.
pub(super) enum Read<T> {
    /// The key is not there.
    Absent,
    /// It is there, wrong, and has been reported.
    Faulty,
    /// The value and where it is written.
    Good(T, Range<usize>),
}

impl<T> Read<T> {
    pub(super) fn or(self, default: T) -> T {
        match self {
            Read::Good(value, _) => value,
            Read::Absent | Read::Faulty => default,
        }
    }
}

impl<'d> Section<'d> {
    pub(super) fn value(&self, name: &str) -> Option<&'d Spanned<DeValue<'d>>> {
        entry(self.entries?, name)
    }
}

pub(super) fn entry<'d>(table: &'d DeTable<'d>, name: &str) -> Option<&'d Spanned<DeValue<'d>>> {
    table.iter().find(|(key, _)| key.get_ref() == name).map(|(_, value)| value)
}

impl Reader {
    /// A table at the top, its keys checked.
    pub(super) fn section<'d>(&mut self, root: &'d DeTable<'d>, name: &str, table: Table) -> Section<'d> {
        match entry(root, name) {
            None => Section { table, entries: None },
            Some(value) => self.open(value, table),
        }
    }

    /// The table that `value` should be, its keys checked.
    pub(super) fn open<'d>(&mut self, value: &'d Spanned<DeValue<'d>>, table: Table) -> Section<'d> {
        let DeValue::Table(entries) = value.get_ref() else {
            self.problems.push(Problem {
                title: format!("`{}` is a table", table.header()),
                at: value.span(),
                label: format!("read {}", kind(value.get_ref())),
                also: None,
                help: vec![format!("write `{}` on a line of its own and its keys below", table.header())],
            });
            return Section { table, entries: None };
        };
        self.check_keys(table, entries);
        Section { table, entries: Some(entries) }
    }

    /// A string, read by `parse`.
    pub(super) fn text<T>(
        &mut self,
        section: &Section<'_>,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, Fault>,
    ) -> Read<T> {
        let Some(value) = section.value(name) else { return Read::Absent };
        let at = value.span();
        let result = match value.get_ref() {
            DeValue::String(text) => parse(text),
            DeValue::Integer(number) => {
                // `connect = 5`: let the parser of the string say what is missing, if it knows.
                let as_text = number.to_string();
                parse(&as_text)
                    .err()
                    .filter(|fault| fault.instead.is_some())
                    .map_or_else(|| Err(not_a_string(value.get_ref()).instead(as_text)), Err)
            }
            other => Err(not_a_string(other).instead(example(section.table, name))),
        };
        match result {
            Ok(value) => Read::Good(value, at),
            Err(fault) => {
                let fault = fault.checked(&parse, example(section.table, name));
                self.problems.push(fault.problem(Place::File, name, at));
                Read::Faulty
            }
        }
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, section: &Section<'_>, name: &'static str) -> Read<bool> {
        let Some(value) = section.value(name) else { return Read::Absent };
        if let DeValue::Boolean(boolean) = value.get_ref() {
            return Read::Good(*boolean, value.span());
        }
        self.wrong_kind(name, value, "true or false", &format!("{name} = false"));
        Read::Faulty
    }

    /// A whole number within `range`; `usual` is shown where another one stands.
    pub(super) fn count(
        &mut self,
        section: &Section<'_>,
        name: &'static str,
        range: RangeInclusive<usize>,
        usual: usize,
    ) -> Read<usize> {
        let Some(value) = section.value(name) else { return Read::Absent };
        let right = format!("{name} = {usual}");
        let DeValue::Integer(number) = value.get_ref() else {
            self.wrong_kind(name, value, "a whole number", &right);
            return Read::Faulty;
        };
        match usize::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) if range.contains(&number) => Read::Good(number, value.span()),
            _ => {
                let (least, most) = range.into_inner();
                self.problems.push(Problem {
                    title: format!("`{name}` is out of range"),
                    at: value.span(),
                    label: format!("not from {least} to {most}"),
                    also: None,
                    help: vec![format!("write a whole number from {least} to {most}, such as `{right}`")],
                });
                Read::Faulty
            }
        }
    }

    fn wrong_kind(&mut self, name: &str, value: &Spanned<DeValue<'_>>, takes: &str, right: &str) {
        self.problems.push(Problem {
            title: format!("`{name}` takes {takes}"),
            at: value.span(),
            label: format!("read {}", kind(value.get_ref())),
            also: None,
            help: vec![format!("write `{right}`")],
        });
    }

    fn check_keys(&mut self, table: Table, entries: &DeTable<'_>) {
        let mut refused = Vec::new();
        for (name, value) in entries.iter() {
            let text = name.get_ref().as_ref();
            match table.key(text) {
                None if table.tables().contains(&text) => {}
                None => self.problems.push(unknown(table, text, name.span())),
                Some(Key { built: Built::Yes, .. }) => {}
                Some(Key { built: Built::No { feature, accepts, .. }, .. }) => {
                    if !accepts.iter().any(|accepted| asks_for_the_same(value.get_ref(), accepted)) {
                        refused.push((text, not_built(text, name.span(), feature, accepts)));
                    }
                }
            }
        }
        // What switches a feature on stands for all its other keys.
        let switch =
            ["mode", "directory"].iter().find_map(|switch| refused.iter().position(|(name, _)| name == switch));
        match switch {
            Some(index) => self.problems.push(refused.swap_remove(index).1),
            None => self.problems.extend(refused.into_iter().map(|(_, problem)| problem)),
        }
    }
}

fn not_a_string(value: &DeValue<'_>) -> Fault {
    Fault::new("takes a string", format!("read {}", kind(value)))
}

fn example(table: Table, name: &str) -> &'static str {
    table.key(name).map_or("", |key| key.example).trim_matches('"')
}

fn not_built(name: &str, at: Range<usize>, feature: &str, accepts: &[&str]) -> Problem {
    let help = match accepts {
        [accepted] if *accepted != "[]" => format!("remove it, or write `{name} = {accepted}`"),
        _ => "remove it".to_owned(),
    };
    let title = format!("this build does not have {feature}");
    Problem { title, at, label: "asks for it".to_owned(), also: None, help: vec![help] }
}

fn unknown(table: Table, name: &str, at: Range<usize>) -> Problem {
    let header = table.header();
    let help = if let Some(near) = nearest(name, table.keys().map(|key| key.name)) {
        format!("did you mean `{near}`?")
    } else if let Some(home) = Table::ALL.into_iter().find(|other| other.key(name).is_some()) {
        format!("`{name}` is a key of `{}`", home.header())
    } else {
        let built: Vec<_> =
            table.keys().filter(|key| key.built == Built::Yes).map(|key| format!("`{}`", key.name)).collect();
        if built.is_empty() { "remove it".to_owned() } else { format!("keys of `{header}` are {}", built.join(", ")) }
    };
    let title = format!("`{}` is not a key of `{header}`", shown(name));
    Problem { title, at, label: "not known here".to_owned(), also: None, help: vec![help] }
}

/// Is `value` what the TOML text `accepted` says? Durations and sizes may be written differently.
fn asks_for_the_same(value: &DeValue<'_>, accepted: &str) -> bool {
    DeValue::parse(accepted).is_ok_and(|accepted| same(value, accepted.get_ref()))
}

fn same(a: &DeValue<'_>, b: &DeValue<'_>) -> bool {
    match (a, b) {
        (DeValue::String(a), DeValue::String(b)) => {
            a == b
                || matches!((duration(a), duration(b)), (Ok(a), Ok(b)) if a == b)
                || matches!((size(a), size(b)), (Ok(a), Ok(b)) if a == b)
        }
        (DeValue::Boolean(a), DeValue::Boolean(b)) => a == b,
        (DeValue::Array(a), DeValue::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| same(a.get_ref(), b.get_ref()))
        }
        _ => false,
    }
}
