//! Golden tests: recorded connections in, parser output compared with a truth that other tools made.
//!
//! * [`contract`]: the same captures, as `rdpscope analyze --json` prints them.
//! * [`fields`]: captures of many projects against tshark and a second reader, field by field.
//! * [`lab`]: captures of real RDP peers against the verdict that each of them must get.
//! * [`order`]: the same packets with their order and their times mixed up.
//! * [`profiled`]: the same captures with a profile of the host.
//! * [`properties`]: the same bytes in other segments are the same report.
//! * [`readers`]: the same packets in every form of file.
//! * [`snapped`]: the lab with a snap length, and with packets lost.
//! * [`attempts`]: the connections of one client put together.
//!
//! Data, its origin and licences: `README.md` in this directory.

#![allow(clippy::unwrap_used)] // a test that cannot read its own data has failed

mod attempts;
mod contract;
mod fields;
mod lab;
mod order;
mod profiled;
mod properties;
mod readers;
mod replay;
mod snapped;
mod truth;

use std::path::{Path, PathBuf};

/// A directory of test data beside this file.
fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// Checks that the part of `tests/README.md` between the marks of this name is `table`; `BLESS=1` writes it.
fn kept(name: &str, table: &str) {
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/README.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->"));
    let (before, rest) = text.split_once(&begin).unwrap();
    let (old, after) = rest.split_once(&end).unwrap();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, format!("{before}{begin}{table}{end}{after}")).unwrap();
    } else {
        assert_eq!(old, table, "tests/README.md, {name}: BLESS=1 writes it anew");
    }
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
