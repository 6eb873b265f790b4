//! How wide what a person reads may be.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_not_broken() {
        let line = "run `change logon /query` on  it";
        assert_eq!(pieces(line).collect::<Vec<_>>(), ["run ", "`change logon /query` ", "on ", " ", "it"]);
        assert_eq!(pieces("a `b c").collect::<String>(), "a `b c");
        assert_eq!(pieces("").count(), 0);
    }
}
