//! rdpscope's configuration: TOML in, typed [`Settings`] out, or an error that points at the line.

mod settings;

pub use settings::*;
