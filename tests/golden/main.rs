//! Golden tests: recorded connections in, parser output compared with a truth that other tools made.
//!
//! * [`fields`]: captures of many projects against tshark and a second reader, field by field.
//! * [`lab`]: captures of real RDP peers against the verdict that each of them must get.
//! * [`profiled`]: the same captures with a profile of the host.
//! * [`attempts`]: the connections of one client put together.
//!
//! Data, its origin and licences: `README.md` in this directory.

#![allow(clippy::unwrap_used)] // a test that cannot read its own data has failed

mod attempts;
mod fields;
mod lab;
mod profiled;
mod replay;
mod truth;

use std::path::{Path, PathBuf};

/// A directory of test data beside this file.
fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// Sorted `.pcap` files of a directory.
fn captures(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "pcap"))
        .collect();
    files.sort();
    files
}
