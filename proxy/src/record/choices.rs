//! JA3S of the ServerHellos that were told of lately: a host answers with a handful, and its fingerprint is an MD5.

use parser::session::ServerHelloFacts;
use parser::wire::{CipherSuite, TlsVersion};
use std::sync::{Mutex, PoisonError};

/// Answers that are kept. A farm has a few for each kind of client; of a stranger's host the next one takes the place of
/// the oldest.
const KEPT: usize = 32;

/// Longer ones are not kept: a ServerHello has a handful of extensions.
const EXTENSIONS: usize = 64;

static CHOICES: Mutex<Choices> = Mutex::new(Choices { kept: Vec::new(), next: 0 });

/// JA3S of `hello`.
pub(super) fn ja3s(hello: &ServerHelloFacts) -> String {
    CHOICES.lock().unwrap_or_else(PoisonError::into_inner).ja3s(hello)
}

struct Choices {
    kept: Vec<Choice>,
    /// Whose place is the next to be taken.
    next: usize,
}

/// All that the fingerprint depends on, and the fingerprint.
struct Choice {
    version: TlsVersion,
    suite: CipherSuite,
    extensions: Box<[u16]>,
    ja3s: String,
}

impl Choice {
    fn is(&self, hello: &ServerHelloFacts) -> bool {
        self.suite == hello.suite && self.version == hello.legacy_version && *self.extensions == *hello.extensions
    }
}

impl Choices {
    fn ja3s(&mut self, hello: &ServerHelloFacts) -> String {
        if let Some(known) = self.kept.iter().find(|choice| choice.is(hello)) {
            return known.ja3s.clone();
        }
        let ja3s = hello.ja3s();
        if hello.extensions.len() <= EXTENSIONS {
            let extensions = hello.extensions.as_slice().into();
            let (version, suite) = (hello.legacy_version, hello.suite);
            let choice = Choice { version, suite, extensions, ja3s: ja3s.clone() };
            match self.kept.get_mut(self.next) {
                Some(oldest) => *oldest = choice,
                None => self.kept.push(choice),
            }
            self.next = (self.next + 1) % KEPT;
        }
        ja3s
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(version: u16, suite: u16, extensions: &[u16]) -> ServerHelloFacts {
        ServerHelloFacts {
            legacy_version: TlsVersion(version),
            suite: CipherSuite(suite),
            extensions: extensions.to_vec(),
            ..ServerHelloFacts::default()
        }
    }

    #[test]
    fn every_answer_has_its_own_fingerprint_however_many_there_are() {
        let mut choices = Choices { kept: Vec::new(), next: 0 };
        let long: Vec<u16> = (0..EXTENSIONS as u16 + 1).collect();
        let mut answers =
            vec![hello(0x0303, 0x1302, &[43, 51]), hello(0x0302, 0x1302, &[43, 51]), hello(0x0303, 1, &long)];
        answers.extend((0..3 * KEPT as u16).map(|number| hello(0x0303, 0xc030, &[0xff01, number])));
        for _ in 0..2 {
            for answer in &answers {
                for _ in 0..2 {
                    assert_eq!(choices.ja3s(answer), answer.ja3s());
                }
                assert!(choices.kept.len() <= KEPT);
            }
        }
        assert!(choices.kept.iter().all(|choice| choice.extensions.len() <= EXTENSIONS));
    }
}
