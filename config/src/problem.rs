//! What is wrong with a configuration, and how it is shown: file, line, column, what was read, what would be right.

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use std::fmt;
use std::ops::Range;

/// More than this is no help; the rest is counted.
const SHOWN: usize = 20;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, naming the key.
    pub title: String,
    /// Where, in bytes of the text.
    pub at: Range<usize>,
    /// What was read there.
    pub label: String,
    /// Another place that has to do with it.
    pub also: Option<(Range<usize>, String)>,
    /// What would be right.
    pub help: Vec<String>,
}

/// All that is wrong with one file or command line, in the order of the text. Never empty.
///
/// `Display` is plain text; [`Errors::render`] can colour it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors {
    origin: String,
    /// Empty when there was nothing to read.
    text: String,
    problems: Vec<Problem>,
}

/// Where values are written, and so how a better one is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// `key = "value"`
    File,
    /// `--key value`
    CommandLine,
}

impl Errors {
    /// Errors in `text`, which came from `origin` (a path, or "command line").
    pub(crate) fn new(origin: &str, text: &str, mut problems: Vec<Problem>) -> Self {
        for problem in &mut problems {
            problem.at = on_characters(text, &problem.at);
            if let Some((at, _)) = &mut problem.also {
                *at = on_characters(text, at);
            }
        }
        problems.sort_by_key(|problem| (problem.at.start, problem.at.end));
        Errors { origin: origin.to_owned(), text: text.to_owned(), problems }
    }

    /// Nothing could be read from `origin` at all.
    pub(crate) fn unreadable(origin: &str, title: String, help: Vec<String>) -> Self {
        let problem = Problem { title, at: 0..0, label: String::new(), also: None, help };
        Errors { origin: origin.to_owned(), text: String::new(), problems: vec![problem] }
    }

    /// Each thing that is wrong.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Line and column of a byte of the text, both from 1, columns in characters.
    #[must_use]
    pub fn line_and_column(&self, at: usize) -> (usize, usize) {
        let before = &self.text[..on_characters(&self.text, &(at..at)).start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// The text to show, one paragraph for each problem; coloured by ANSI escapes if `colour`.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let mut out = String::new();
        for problem in self.problems.iter().take(SHOWN) {
            if !out.is_empty() {
                out.push_str("\n\n");
            }
            out.push_str(&self.render_one(&renderer, problem));
        }
        if self.problems.len() > SHOWN {
            out.push_str(&format!("\n\nand {} more", self.problems.len() - SHOWN));
        }
        out
    }

    fn render_one(&self, renderer: &Renderer, problem: &Problem) -> String {
        let title = Level::ERROR.primary_title(problem.title.as_str());
        let help = problem.help.iter().map(|help| Level::HELP.message(help.as_str()));
        // A file that is empty or cannot be read has no text to show; it has a name.
        if self.text.is_empty() {
            let group = title.element(annotate_snippets::Origin::path(self.origin.as_str()).line(1).char_column(1));
            return renderer.render(&[group.elements(help)]);
        }
        let mut snippet = Snippet::source(self.text.as_str())
            .path(self.origin.as_str())
            .annotation(AnnotationKind::Primary.span(problem.at.clone()).label(problem.label.as_str()));
        if let Some((at, label)) = &problem.also {
            snippet = snippet.annotation(AnnotationKind::Context.span(at.clone()).label(label.as_str()));
        }
        renderer.render(&[title.element(snippet).elements(help)])
    }
}

/// Plain, without colours.
impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Errors {}

/// `at`, inside the text and widened to whole characters.
fn on_characters(text: &str, at: &Range<usize>) -> Range<usize> {
    let mut start = at.start.min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let mut end = at.end.clamp(start, text.len());
    while !text.is_char_boundary(end) {
        end += 1;
    }
    start..end
}

/// A value that cannot be used: what is wrong, what was read, what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Goes after the key's name: "has no port".
    pub(crate) what: String,
    /// What was read, shown under the value.
    pub(crate) read: String,
    /// A value that would be right, unquoted.
    pub(crate) instead: Option<String>,
    /// Anything else to know.
    pub(crate) note: Option<String>,
}

impl Fault {
    pub(crate) fn new(what: impl Into<String>, read: impl Into<String>) -> Self {
        Fault { what: what.into(), read: read.into(), instead: None, note: None }
    }

    pub(crate) fn instead(mut self, value: impl Into<String>) -> Self {
        self.instead = Some(value.into());
        self
    }

    /// The same with a help that `read` takes: what it suggests, or what is suggested for that, or else `usual`.
    pub(crate) fn checked<T>(mut self, read: impl Fn(&str) -> Result<T, Fault>, usual: &str) -> Self {
        let Some(first) = self.instead.take() else { return self };
        let second = read(&first).err().map(|fault| fault.instead);
        let candidates = match second {
            None => [Some(first), None],
            Some(second) => [second, Some(usual.to_owned()).filter(|usual| !usual.is_empty())],
        };
        self.instead = candidates.into_iter().flatten().find(|text| read(text).is_ok());
        self
    }

    /// The problem this is, with the value of `key` at `at`.
    pub(crate) fn problem(self, place: Place, key: &str, at: Range<usize>) -> Problem {
        let write = |value: String| match place {
            Place::File => format!("write `{key} = \"{value}\"`"),
            Place::CommandLine => format!("write `{key} {value}`"),
        };
        let help = self.instead.map(write).into_iter().chain(self.note).collect();
        Problem { title: format!("`{key}` {}", self.what), at, label: self.read, also: None, help }
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }
}

/// Text read from a file as it may be shown in a label: one line, no control characters, not endless.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut out: String =
        text.chars().take(LONGEST).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect();
    if text.chars().nth(LONGEST).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(at: Range<usize>) -> Problem {
        Problem { title: "x".into(), at, label: "y".into(), also: None, help: Vec::new() }
    }

    #[test]
    fn lines_and_columns_begin_at_one_and_count_characters() {
        let errors = Errors::new("f", "a = 1\nü = \"x\"\n", vec![problem(6..7)]);
        assert_eq!(errors.line_and_column(0), (1, 1));
        assert_eq!(errors.line_and_column(6), (2, 1));
        assert_eq!(errors.line_and_column(8), (2, 2));
        assert_eq!(errors.line_and_column(usize::MAX), (3, 1));
    }

    #[test]
    fn a_span_outside_the_text_is_drawn_inside_it() {
        let errors = Errors::new("f", "ü", vec![problem(1..900)]);
        assert_eq!(errors.problems()[0].at, 0..2);
        assert!(errors.to_string().contains("--> f:1:1"), "{errors}");
    }

    #[test]
    fn plain_has_no_escapes_and_coloured_has() {
        let errors = Errors::new("f", "a = 1\n", vec![problem(0..1)]);
        assert!(!errors.render(false).contains('\x1b'));
        assert!(errors.render(true).contains('\x1b'));
    }

    #[test]
    fn only_the_first_twenty_are_shown_and_the_rest_counted() {
        let errors = Errors::new("f", "a = 1\n", vec![problem(0..1); 23]);
        assert!(errors.to_string().ends_with("and 3 more"), "{errors}");
    }
}
