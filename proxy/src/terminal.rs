//! How wide what a person reads may be.

use anstream::adapter::strip_str;
use std::io::{self, Write};

/// Columns without a terminal, and the most with one: longer lines are hard to read, and to paste into a mail.
pub const WIDEST: usize = 100;
/// Fewer columns are not worth breaking lines for.
const NARROWEST: usize = 60;

/// Columns to write to standard output: those of its terminal, within reason.
#[must_use]
pub fn width() -> usize {
    match terminal_size::terminal_size_of(std::io::stdout()) {
        Some((columns, _)) => usize::from(columns.0).clamp(NARROWEST, WIDEST),
        None => WIDEST,
    }
}

/// Pieces of a line that are not to be broken, each with the spaces behind it: words, and what stands between
/// backticks, because commands and registry paths are there to be copied.
pub fn pieces(line: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    line.split_inclusive(move |c| {
        quoted ^= c == '`';
        c == ' ' && !quoted
    })
}

/// Writes one line, `margin` columns in and broken at spaces where it is too wide; what follows stands `hanging` columns
/// in.
///
/// # Errors
///
/// Those of `out`.
pub fn write_wrapped(out: &mut dyn Write, line: &str, margin: usize, hanging: usize, columns: usize) -> io::Result<()> {
    let mut row = " ".repeat(margin);
    let mut column = margin;
    for word in pieces(line) {
        let width = strip_str(word.trim_end()).to_string().chars().count();
        if column > hanging && column + width > columns {
            writeln!(out, "{}", row.trim_end())?;
            row = " ".repeat(hanging);
            column = hanging;
        }
        row.push_str(word);
        column += width + word.len() - word.trim_end().len();
    }
    writeln!(out, "{}", row.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wide_line_goes_on_under_its_text() {
        let mut out = Vec::new();
        let words = "word ".repeat(40);
        write_wrapped(&mut out, &format!("  \x1b[1m   to do\x1b[0m  {words}"), 4, 16, 116).expect("memory");
        let text = strip_str(&String::from_utf8(out).expect("text")).to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        let column = lines[0].find("word").expect("text");
        assert_eq!(lines[1].find("word"), Some(column), "{text}");
        assert!(lines.iter().all(|line| line.len() <= 116 && !line.ends_with(' ')), "{text}");
        assert_eq!(text.split_whitespace().filter(|w| *w == "word").count(), 40);
    }

    #[test]
    fn commands_are_not_broken() {
        let line = "run `change logon /query` on  it";
        assert_eq!(pieces(line).collect::<Vec<_>>(), ["run ", "`change logon /query` ", "on ", " ", "it"]);
        assert_eq!(pieces("a `b c").collect::<String>(), "a `b c");
        assert_eq!(pieces("").count(), 0);
    }
}
