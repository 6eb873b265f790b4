//! The secrets of both legs of one session, for as long as its opening is kept.

use rustls::KeyLog;
use std::sync::{Mutex, MutexGuard, PoisonError};
use zeroize::Zeroizing;

/// Secrets that are kept: two legs, a host that is asked twice, five for each at the most.
const MOST: usize = 16;

/// A secret that comes and goes with its memory.
pub(super) type Secret = Zeroizing<Vec<u8>>;

/// Which secret. draft-ietf-tls-keylogfile 2
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Label {
    /// The master secret of TLS 1.2.
    Master,
    ClientHandshake,
    ServerHandshake,
    ClientTraffic,
    ServerTraffic,
}

impl Label {
    const ALL: [(Label, &'static str); 5] = [
        (Label::Master, "CLIENT_RANDOM"),
        (Label::ClientHandshake, "CLIENT_HANDSHAKE_TRAFFIC_SECRET"),
        (Label::ServerHandshake, "SERVER_HANDSHAKE_TRAFFIC_SECRET"),
        (Label::ClientTraffic, "CLIENT_TRAFFIC_SECRET_0"),
        (Label::ServerTraffic, "SERVER_TRAFFIC_SECRET_0"),
    ];

    fn of(name: &str) -> Option<Label> {
        Label::ALL.into_iter().find(|(_, known)| *known == name).map(|(label, _)| label)
    }

    /// As a key log has it.
    pub(super) fn name(self) -> &'static str {
        Label::ALL.into_iter().find(|(label, _)| *label == self).map_or("", |(_, name)| name)
    }
}

/// See the module. It is never printed.
#[derive(Default)]
pub(crate) struct Keys(Mutex<Held>);

#[derive(Default)]
struct Held {
    secrets: Vec<(Label, Vec<u8>, Secret)>,
    over: bool,
}

impl Keys {
    /// The opening is kept no more: what was held is wiped, and nothing is taken any more.
    pub(crate) fn forget(&self) {
        *self.lock() = Held { secrets: Vec::new(), over: true };
    }

    /// A line of a key log, as OpenSSL writes it: label, client random, secret.
    #[cfg(feature = "legacy-tls")]
    pub(crate) fn line(&self, line: &str) {
        let bytes = |word: &str| -> Option<Secret> {
            let digits = word.as_bytes().chunks_exact(2).map(|two| {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                Some((digit(two[0])? << 4 | digit(two[1])?) as u8)
            });
            let mut bytes = Secret::from(Vec::with_capacity(word.len() / 2));
            for byte in digits {
                bytes.push(byte?);
            }
            Some(bytes)
        };
        let mut words = line.split_whitespace();
        if let (Some(label), Some(random), Some(secret)) = (words.next(), words.next(), words.next())
            && let (Some(random), Some(secret)) = (bytes(random), bytes(secret))
        {
            self.log(label, &random, &secret);
        }
    }

    /// There are some.
    pub(crate) fn are_there(&self) -> bool {
        !self.lock().secrets.is_empty()
    }

    #[cfg(test)]
    pub(crate) fn is_over(&self) -> bool {
        self.lock().over
    }

    /// The secret of the handshake with this client random.
    pub(super) fn secret(&self, label: Label, client_random: &[u8]) -> Option<Secret> {
        let held = self.lock();
        let of = |(known, random, _): &&(Label, Vec<u8>, Secret)| *known == label && random == client_random;
        held.secrets.iter().find(of).map(|(_, _, secret)| secret.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyLog for Keys {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let mut held = self.lock();
        if let Some(label) = Label::of(label).filter(|_| !held.over && held.secrets.len() < MOST) {
            held.secrets.push((label, client_random.to_vec(), Secret::from(secret.to_vec())));
        }
    }

    fn will_log(&self, label: &str) -> bool {
        Label::of(label).is_some()
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_forgotten_is_gone_and_nothing_comes_after_it() {
        let keys = Keys::default();
        keys.log("CLIENT_TRAFFIC_SECRET_0", &[7; 32], &[9; 32]);
        keys.log("EXPORTER_SECRET", &[7; 32], &[1; 32]);
        assert!(keys.will_log("CLIENT_RANDOM") && !keys.will_log("EXPORTER_SECRET"));
        assert_eq!(keys.lock().secrets.len(), 1);
        assert_eq!(keys.secret(Label::ClientTraffic, &[7; 32]).as_deref(), Some(&vec![9; 32]));
        assert!(keys.secret(Label::ClientTraffic, &[8; 32]).is_none());
        assert!(keys.secret(Label::ServerTraffic, &[7; 32]).is_none());
        assert!(!format!("{keys:?}").contains('9'));
        keys.forget();
        keys.log("CLIENT_TRAFFIC_SECRET_0", &[7; 32], &[9; 32]);
        assert!(keys.secret(Label::ClientTraffic, &[7; 32]).is_none());
    }

    #[test]
    #[cfg(feature = "legacy-tls")]
    fn a_line_of_openssl_is_read_and_one_that_is_none_is_not() {
        let keys = Keys::default();
        keys.line("CLIENT_RANDOM 0a0b FFfe");
        assert_eq!(keys.secret(Label::Master, &[10, 11]).as_deref(), Some(&vec![255, 254]));
        for line in ["", "CLIENT_RANDOM", "CLIENT_RANDOM 0a", "CLIENT_RANDOM 0a zz", "RSA 00 00"] {
            keys.line(line);
        }
        assert_eq!(keys.lock().secrets.len(), 1);
    }

    #[test]
    fn no_more_is_held_than_two_legs_have() {
        let keys = Keys::default();
        (0..100u8).for_each(|n| keys.log("CLIENT_RANDOM", &[n; 32], &[n; 48]));
        assert_eq!(keys.lock().secrets.len(), MOST);
    }
}
