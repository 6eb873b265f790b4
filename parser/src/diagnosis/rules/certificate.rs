//! What speaks against a certificate that crossed in clear (TLS 1.2 and below).

use super::super::Cause;
use super::case::Case;
use super::words::{date, foreign_text, list};
use crate::session::CertificateFacts;
use std::net::IpAddr;

const SERVER_AUTHENTICATION: &str = "1.3.6.1.5.5.7.3.1";
const REMOTE_DESKTOP: &str = "1.3.6.1.4.1.311.54.1.2";
const ANY_USAGE: &str = "2.5.29.37.0";
/// RSA below this is refused by current clients. NIST SP 800-131A
const SMALLEST_RSA: u32 = 2_048;

/// One objection: the cause it would be, and the sentence for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Objection {
    pub(super) cause: Cause,
    pub(super) sentence: String,
}

/// The host's certificate, when it was seen and could be read.
pub(super) fn readable<'a>(case: &Case<'a>) -> Option<&'a CertificateFacts> {
    case.timeline.certificate.as_deref().filter(|certificate| certificate.unreadable.is_none())
}

/// What a client may object to, gravest first.
pub(super) fn objections(case: &Case<'_>) -> Vec<Objection> {
    let Some(certificate) = readable(case) else { return Vec::new() };
    [dates(case, certificate), weakness(certificate), usage(certificate), name(case, certificate), issuer(certificate)]
        .into_iter()
        .flatten()
        .collect()
}

/// Subject, issuer, validity and key, as evidence.
pub(super) fn sentence(certificate: &CertificateFacts) -> String {
    format!(
        "The host's certificate: subject {}, issuer {}, valid {} to {}, {} {} bits, {}.",
        foreign_text(&certificate.subject),
        foreign_text(&certificate.issuer),
        date(certificate.not_before),
        date(certificate.not_after),
        foreign_text(&certificate.key_algorithm),
        certificate.key_bits,
        foreign_text(&certificate.signature_algorithm)
    )
}

fn dates(case: &Case<'_>, certificate: &CertificateFacts) -> Option<Objection> {
    let now = case.end().unix_seconds();
    if certificate.not_after < now {
        let sentence = format!("The host's certificate expired on {}.", date(certificate.not_after));
        return Some(Objection { cause: Cause::CertExpired, sentence });
    }
    (certificate.not_before > now).then(|| Objection {
        cause: Cause::CertNotYetValid,
        sentence: format!("The host's certificate is valid from {} only.", date(certificate.not_before)),
    })
}

fn weakness(certificate: &CertificateFacts) -> Option<Objection> {
    let short = certificate.key_algorithm.eq_ignore_ascii_case("rsa")
        && certificate.key_bits > 0
        && certificate.key_bits < SMALLEST_RSA;
    let algorithm = certificate.signature_algorithm.to_ascii_lowercase();
    let old = ["sha1", "sha-1", "md5", "md2"].iter().any(|hash| algorithm.contains(hash));
    if !short && !old {
        return None;
    }
    let sentence = format!(
        "The host's certificate has an {} key of {} bits and is signed with {}.",
        foreign_text(&certificate.key_algorithm),
        certificate.key_bits,
        foreign_text(&certificate.signature_algorithm)
    );
    Some(Objection { cause: Cause::CertWeak, sentence })
}

fn usage(certificate: &CertificateFacts) -> Option<Objection> {
    let usages = &certificate.extended_key_usage;
    let fits = |oid: &String| [SERVER_AUTHENTICATION, REMOTE_DESKTOP, ANY_USAGE].contains(&oid.as_str());
    if usages.is_empty() || usages.iter().any(fits) {
        return None;
    }
    let sentence = format!(
        "The host's certificate is for {} only, not for servers.",
        list(usages.iter().map(|u| foreign_text(u)), 4)
    );
    Some(Objection { cause: Cause::CertWrongEku, sentence })
}

fn name(case: &Case<'_>, certificate: &CertificateFacts) -> Option<Objection> {
    let asked = case.timeline.client_hello.as_ref()?.server_name.as_deref()?.trim_end_matches('.');
    let common = common_name(&certificate.subject);
    let held: Vec<&str> = match certificate.alternative_names.as_slice() {
        [] => common.into_iter().collect(),
        names => names.iter().map(String::as_str).collect(),
    };
    if held.iter().any(|name| covers(name, asked)) {
        return None;
    }
    let held = list(held.iter().map(|name| foreign_text(name)), 4);
    let sentence = format!("The client asked for {}; the certificate is for {held}.", foreign_text(asked));
    Some(Objection { cause: Cause::CertNameMismatch, sentence })
}

fn issuer(certificate: &CertificateFacts) -> Option<Objection> {
    certificate.self_issued.then(|| Objection {
        cause: Cause::CertUntrustedCa,
        sentence: format!("The host's certificate is self-signed (issuer {}).", foreign_text(&certificate.issuer)),
    })
}

fn common_name(subject: &str) -> Option<&str> {
    subject.split(',').map(str::trim).find_map(|part| part.strip_prefix("CN="))
}

/// RFC 6125 6.4: whole names without case, or one wildcard label on the left. Addresses match as addresses.
fn covers(held: &str, asked: &str) -> bool {
    if let Ok(address) = asked.parse::<IpAddr>() {
        return held.parse::<IpAddr>() == Ok(address);
    }
    let held = held.trim_end_matches('.');
    if held.eq_ignore_ascii_case(asked) {
        return true;
    }
    match (held.strip_prefix("*."), asked.split_once('.')) {
        (Some(parent), Some((_, rest))) => parent.eq_ignore_ascii_case(rest),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_as_rfc_6125_says() {
        assert!(covers("RDS07.example.net", "rds07.example.net"));
        assert!(covers("*.example.net", "rds07.example.net"));
        assert!(!covers("*.example.net", "a.b.example.net"));
        assert!(!covers("*.example.net", "example.net"));
        assert!(covers("::1", "0:0:0:0:0:0:0:1"));
        assert!(!covers("*.0.0.1", "127.0.0.1"));
    }

    #[test]
    fn the_common_name_is_found_among_other_parts() {
        assert_eq!(common_name("C=DE, O=Lab, CN=host.lab.test"), Some("host.lab.test"));
        assert_eq!(common_name("O=Lab"), None);
    }
}
