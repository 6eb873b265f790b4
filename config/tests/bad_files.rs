//! Every file in `bad/` is refused with exactly the text beside it. `BLESS=1 cargo test -p config` writes the texts
//! anew: read the difference before committing it.

use std::path::{Path, PathBuf};

#[test]
fn every_bad_file_is_answered_with_what_was_read_and_what_would_be_right() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad");
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    let mut wrong = Vec::new();
    assert!(files.len() >= 12, "{files:?}");
    for path in files {
        let name = path.file_name().unwrap().to_str().unwrap();
        let shown = config::parse(name, &std::fs::read_to_string(&path).unwrap()).unwrap_err().to_string() + "\n";
        let expected = path.with_extension("txt");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&expected, &shown).unwrap();
        }
        if std::fs::read_to_string(&expected).unwrap_or_default() != shown {
            wrong.push(format!("{name}:\n{shown}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
