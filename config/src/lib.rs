//! rdpscope's configuration: TOML in, typed [`Settings`] out, or [`Errors`] that point at the line.
//!
//! [`load`] reads a file, [`parse`] a text, [`Flags`] the command line; all three end in the same checks. What keys
//! there are, what they mean and what they default to is one table, [`KEYS`]: the reader, [`effective`] and
//! [`reference_toml`] use it.
//!
//! ```
//! let settings = config::parse("rdpscope.toml", r#"
//! [[listener]]
//! listen = "0.0.0.0:3389"
//! upstream = "rds07.example.net"
//! "#)?;
//! assert_eq!(settings.listeners[0].upstream.port, 3389);
//!
//! let errors = config::parse("rdpscope.toml", "[timeouts]\nconect = \"5s\"").unwrap_err();
//! assert!(errors.to_string().contains("rdpscope.toml:2:1"));
//! # Ok::<(), config::Errors>(())
//! ```

mod address;
mod agreement;
mod bridge;
mod effective;
mod flags;
mod problem;
mod quantity;
mod read;
mod reference;
mod settings;
mod suggest;
mod warnings;

pub use bridge::{
    Bridge, BridgeHost, BridgeMode, BridgeRules, Ciphers, LEGACY_FEATURE, LEGACY_TLS, PairFiles, Pin, Verify, is_modern,
};
pub use effective::{effective, reference_toml};
pub use flags::Flags;
pub use problem::{Errors, Problem};
pub use read::{load, parse};
pub use reference::{Built, KEYS, Key, Table};
pub use settings::*;
pub use suggest::nearest;
pub use warnings::warnings;
