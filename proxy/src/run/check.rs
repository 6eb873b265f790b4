//! What `rdpscope check` says of the files that bridges need, and of the places where events and captures go: a start or a
//! reload would stop at them.

use super::RunError;
use crate::bridge;
use config::{BridgeMode, BridgeRules, EventPath, Settings};
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

/// See [`files`].
#[derive(Debug, Default)]
pub struct FilesChecked {
    /// Listener or key, file, and what is wrong with it.
    pub wrong: Vec<String>,
    /// Directories that are not there. Whoever starts the service may make them (systemd's StateDirectory does).
    pub missing: Vec<String>,
    /// Files that this user may not read, so that nothing is known of them: the service's user may.
    pub unread: Vec<String>,
}

/// Reads keys and certificates of every bridge as a start would, and makes none.
#[must_use]
pub fn files(settings: &Settings) -> FilesChecked {
    let mut checked = FilesChecked::default();
    for listener in &settings.listeners {
        let rules = listener.bridge.rules(&listener.upstream);
        if rules.mode == BridgeMode::Off {
            continue;
        }
        let unread: Vec<&Path> = named(rules).into_iter().filter(|path| is_forbidden(path)).collect();
        if !unread.is_empty() {
            checked.unread.extend(unread.into_iter().map(|path| path.display().to_string()));
        } else if let Err(why) = bridge::usable(rules) {
            let error = RunError::Bridge { listener: listener.name.clone(), why };
            checked.wrong.push(error.to_string());
        }
    }
    if let EventPath::File(path) = &settings.events.path {
        let is_wrong = path.is_dir().then_some("a directory: name a file in it, such as events.jsonl");
        checked.place("events.path", path, is_wrong);
    }
    if let Some(capture) = &settings.capture {
        let path = &capture.directory;
        let is_wrong =
            (path.exists() && !path.is_dir()).then_some("no directory: captures are files of their own in one");
        checked.place("capture.directory", path, is_wrong);
    }
    checked.unread.sort();
    checked.unread.dedup();
    checked
}

impl FilesChecked {
    /// Something of ours is to be made at `path`. The directory it lies in is for others to make.
    fn place(&mut self, key: &str, path: &Path, is_wrong: Option<&str>) {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        match (is_wrong, parent) {
            (Some(why), _) => self.wrong.push(format!("{key}: {}: {why}", path.display())),
            (None, Some(parent)) if parent.exists() && !parent.is_dir() => {
                self.wrong.push(format!("{key}: {}: {} is no directory", path.display(), parent.display()));
            }
            (None, Some(parent)) if is_missing(parent) => self.missing.push(format!(
                "{key}: {}: the directory {} is not there; `run` does not make it and would not start",
                path.display(),
                parent.display()
            )),
            _ => {}
        }
    }
}

/// One that this user may not look into may be there.
fn is_missing(path: &Path) -> bool {
    path.metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

fn named(rules: &BridgeRules) -> Vec<&Path> {
    let pair = rules.pair.iter().flat_map(|pair| {
        [pair.certificate.as_deref(), Some(pair.private_key.as_path()), pair.password_file.as_deref()]
    });
    pair.flatten().chain(rules.ca.as_deref()).collect()
}

fn is_forbidden(path: &Path) -> bool {
    File::open(path).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}
