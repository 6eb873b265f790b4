//! What `rdpscope check` says of the files that bridges need: a start or a reload would stop at them.

use super::RunError;
use crate::bridge;
use config::{BridgeMode, BridgeRules, Settings};
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

/// See [`files`].
#[derive(Debug, Default)]
pub struct FilesChecked {
    /// Listener, file, and what is wrong with it.
    pub wrong: Vec<String>,
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
    checked.unread.sort();
    checked.unread.dedup();
    checked
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
