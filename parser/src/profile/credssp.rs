//! What the host's first CredSSP message says of it.

use super::CredsspFacts;
use crate::Timestamp;
use crate::wire::{NtlmChallenge, TsRequest};

/// Key under which the version of the operating system stands among the names.
const OS_VERSION: &str = "OsVersion";

impl CredsspFacts {
    /// From the answer to a NEGOTIATE.
    ///
    /// # Errors
    /// Why there is nothing to read, in words.
    pub fn read(answer: &TsRequest<'_>) -> Result<CredsspFacts, String> {
        if let Some(code) = answer.error_code.filter(|_| answer.token.is_none()) {
            return Err(format!("the host refuses NTLM: NTSTATUS 0x{code:08x}"));
        }
        let token = answer.token.ok_or("the host's TSRequest has no token")?;
        let challenge =
            NtlmChallenge::parse(token).map_err(|malformed| format!("the host's token is not read: {malformed}"))?;
        let mut target: Vec<_> = challenge.names.into_iter().map(|(kind, name)| (kind.to_owned(), name)).collect();
        if let Some((major, minor, build)) = challenge.version {
            target.push((OS_VERSION.to_owned(), format!("{major}.{minor}.{build}")));
        }
        Ok(CredsspFacts { version: answer.version, target, host_time: challenge.time })
    }

    /// The host's own name: DNS, else NetBIOS, else whatever it calls its authority.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        ["DnsComputerName", "NbComputerName", "TargetName"].into_iter().find_map(|kind| self.named(kind))
    }

    /// Build number of the operating system, as the host gives it; other systems give one of Windows.
    #[must_use]
    pub fn build(&self) -> Option<&str> {
        self.named(OS_VERSION)?.rsplit('.').next()
    }

    /// Milliseconds by which the host's clock is ahead of ours (negative: behind), when it was read at `at`.
    #[must_use]
    pub fn clock_offset_ms(&self, at: Timestamp) -> Option<i64> {
        let offset = (i128::from(self.host_time?.0) - i128::from(at.0)) / 1_000_000;
        i64::try_from(offset).ok()
    }

    fn named(&self, kind: &str) -> Option<&str> {
        self.target.iter().find(|(name, _)| name == kind).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ntlm_negotiate;

    #[test]
    fn the_dns_name_comes_before_the_others() {
        let pair = |kind: &str, name: &str| (kind.to_owned(), name.to_owned());
        let mut facts = CredsspFacts {
            version: 6,
            target: vec![
                pair("TargetName", "CORP"),
                pair("DnsComputerName", "rd07.corp"),
                pair("OsVersion", "10.0.20348"),
            ],
            host_time: Some(Timestamp(2_000_000_000)),
        };
        assert_eq!((facts.host(), facts.build()), (Some("rd07.corp"), Some("20348")));
        assert_eq!(facts.clock_offset_ms(Timestamp(5_000_000_000)), Some(-3_000));
        assert_eq!(facts.clock_offset_ms(Timestamp(0)), Some(2_000));
        facts.target.truncate(1);
        assert_eq!((facts.host(), facts.build()), (Some("CORP"), None));
    }

    #[test]
    fn a_refusal_and_a_strange_token_are_told_in_words() {
        let refused = TsRequest { version: 6, token: None, error_code: Some(0xc000_0418) };
        assert_eq!(CredsspFacts::read(&refused), Err("the host refuses NTLM: NTSTATUS 0xc0000418".to_owned()));
        let negotiate = ntlm_negotiate();
        let strange = TsRequest { version: 6, token: Some(&negotiate), error_code: None };
        assert!(CredsspFacts::read(&strange).is_err_and(|why| why.contains("CHALLENGE")));
    }
}
