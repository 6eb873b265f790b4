//! What a reload cannot bring about, and how that is said.

use super::RunError;
use config::Settings;
use std::net::SocketAddr;

/// What the process was started with, and keeps whatever the file says later.
#[derive(Debug)]
pub(super) struct Kept(Settings);

impl Kept {
    pub(super) fn of(settings: &Settings) -> Kept {
        Kept(settings.clone())
    }

    /// What only a restart puts in force of these settings. Secrets in captures end at once, or earlier than they would
    /// have, and are then over for this process.
    pub(super) fn waits_for_restart(&mut self, wanted: &Settings) -> Vec<&'static str> {
        let kept = &mut self.0;
        if let Some(capture) = &mut kept.capture {
            let until = wanted.capture.as_ref().and_then(|capture| capture.secrets_until);
            capture.secrets_until = capture.secrets_until.zip(until).map(|(kept, until)| kept.min(until));
        }
        [
            ("[admin]", kept.admin != wanted.admin),
            ("[events]", kept.events != wanted.events),
            ("[capture]", kept.capture != wanted.capture),
            ("`state` of [probe]", kept.probe.state != wanted.probe.state),
            ("`event_queue` of [limits]", kept.limits.event_queue != wanted.limits.event_queue),
            ("`threads` of [limits]", kept.limits.threads != wanted.limits.threads),
        ]
        .into_iter()
        .filter_map(|(name, differs)| differs.then_some(name))
        .collect()
    }
}

/// A port that is in use by none but ourselves: that is another mistake, and `ss` would name this very process.
pub(super) fn by_ourselves(error: RunError, own: impl IntoIterator<Item = (String, SocketAddr)>) -> RunError {
    let RunError::InUse { name, address, source } = error else { return error };
    match own.into_iter().find(|(_, own)| meet(*own, address)) {
        Some((by, own)) => RunError::Ours { name, address, by, own },
        None => RunError::InUse { name, address, source },
    }
}

fn meet(one: SocketAddr, other: SocketAddr) -> bool {
    let (first, second) = (one.ip(), other.ip());
    let both_families = |address: std::net::IpAddr| address.is_ipv6() && address.is_unspecified();
    let wide = first.is_ipv4() == second.is_ipv4() && (first.is_unspecified() || second.is_unspecified());
    one.port() == other.port() && (first == second || wide || both_families(first) || both_families(second))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::time::{Duration, SystemTime};

    fn settings(more: &str) -> Settings {
        config::parse("f", &format!("[[listener]]\nlisten = '0.0.0.0:3389'\nupstream = 'rds07'\n{more}")).unwrap()
    }

    #[test]
    fn what_waits_for_a_restart_is_held_against_what_runs_and_not_against_the_last_file() {
        let mut kept = Kept::of(&settings(""));
        let moved = settings("[events]\npath = 'e.jsonl'\n[limits]\nevent_queue = '1MiB'\n");
        for _ in 0..2 {
            assert_eq!(kept.waits_for_restart(&moved), ["[events]", "`event_queue` of [limits]"]);
        }
        assert!(kept.waits_for_restart(&settings("[timeouts]\nconnect = '1s'\n")).is_empty(), "as it was");
    }

    #[test]
    fn secrets_that_end_earlier_wait_for_nothing_and_do_not_come_back() {
        let until = |minutes: u64| {
            let mut settings = settings("[capture]\ndirectory = 'c'\n");
            let at = SystemTime::now() + Duration::from_secs(60 * minutes);
            settings.capture.iter_mut().for_each(|capture| capture.secrets_until = (minutes > 0).then_some(at));
            settings
        };
        let (none, short, long) = (until(0), until(10), until(20));
        let mut kept = Kept::of(&long);
        assert!(kept.waits_for_restart(&short).is_empty());
        assert_eq!(kept.waits_for_restart(&long), ["[capture]"]);
        assert!(kept.waits_for_restart(&none).is_empty());
        assert_eq!(kept.waits_for_restart(&short), ["[capture]"]);
    }

    #[test]
    fn a_port_of_our_own_is_no_other_process() {
        let own: SocketAddr = "127.0.0.1:3389".parse().unwrap();
        let said = |wanted: &str| {
            let error = RunError::listen("listener b", wanted.parse().unwrap(), io::ErrorKind::AddrInUse.into());
            by_ourselves(error, [("listener a".to_owned(), own)]).to_string()
        };
        for wanted in ["0.0.0.0:3389", "[::]:3389", "127.0.0.1:3389"] {
            let said = said(wanted);
            assert!(said.contains("listener a of this proxy listens on 127.0.0.1:3389"), "{said}");
        }
        for wanted in ["0.0.0.0:3390", "127.0.0.2:3389", "[::1]:3389"] {
            assert!(said(wanted).contains("by another process"), "{wanted}");
        }
    }
}
