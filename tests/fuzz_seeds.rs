//! Seeds and past crashes of the fuzz targets of `proxy/fuzz`, replayed where there is no fuzzer.

use rdpscope::analyze::fuzz_properties::{file, reassembly};
use std::path::Path;

/// Whole files are small; a missing directory fails the test.
fn replay(target: &str, property: fn(&[u8])) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("proxy/fuzz");
    let mut replayed = 0;
    for directory in ["corpus", "regressions"] {
        for entry in std::fs::read_dir(root.join(directory).join(target)).expect("the directory of the target") {
            property(&std::fs::read(entry.expect("an entry").path()).expect("a seed"));
            replayed += 1;
        }
    }
    assert!(replayed > 2, "the seeds of {target} are there");
}

#[test]
fn file_replays_its_seeds() {
    replay("file", file);
}

#[test]
fn reassembly_replays_its_seeds() {
    replay("reassembly", reassembly);
}
