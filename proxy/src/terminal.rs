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
