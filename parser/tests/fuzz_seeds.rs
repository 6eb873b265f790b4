//! Seeds and past crashes of the fuzz targets, replayed where there is no fuzzer.

use parser::fuzz_properties::{plain, session, stream, wire};
use std::path::Path;

/// Whole files are small; a missing directory fails the test.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let directories = ["corpus", "regressions"].map(|directory| root.join(directory).join(target));
    let entries = directories.iter().flat_map(|path| std::fs::read_dir(path).expect("the directory of the target"));
    let seeds: Vec<Vec<u8>> =
        entries.map(|entry| std::fs::read(entry.expect("an entry").path()).expect("a seed")).collect();
    assert!(seeds.len() > 2, "the seeds of {target} are there");
    seeds
}

fn replay(target: &str, property: fn(&[u8])) {
    seeds(target).iter().for_each(|seed| property(seed));
}

/// A stream may end within any message. The first byte of a seed chooses how it is cut into pieces.
fn replay_cut_anywhere(target: &str, property: fn(&[u8])) {
    for mut seed in seeds(target).into_iter().filter(|seed| !seed.is_empty()) {
        for pieces in [0x00, 0x35] {
            seed[0] = pieces;
            (0..seed.len()).for_each(|end| property(&seed[..end]));
        }
    }
}

#[test]
fn wire_replays_its_seeds() {
    replay("wire", wire);
}

#[test]
fn stream_replays_its_seeds() {
    replay("stream", stream);
}

#[test]
fn session_replays_its_seeds() {
    replay("session", session);
}

#[test]
fn plain_replays_its_seeds() {
    replay("plain", plain);
}

#[test]
fn a_stream_that_ends_anywhere_is_read_alike_in_any_pieces() {
    replay_cut_anywhere("stream", stream);
    replay_cut_anywhere("plain", plain);
}
