//! What is wrong with a host, judged by its profile alone: worst first, each with what to do about it.

use super::ask::server_name;
use super::inside::HttpAnswer;
use parser::diagnosis::Cause;
use parser::profile::{Completeness, HostProfile, NegotiationAnswer, Reaction};
use parser::session::{Answer, CertificateFacts};
use parser::wire::{AlertDescription, CipherSuite, Protocols, SuiteClass, TlsVersion};

/// Days before the end of a certificate from which it is worth a word.
const EXPIRY_DAYS: i64 = 30;

/// Kerberos refuses a clock that is further off. RFC 4120 8.2
const SKEW_MS: u64 = 300_000;
/// The first version with the fix of CVE-2018-0886. [MS-CSSP] 2.2.1
const CREDSSP_FIXED: u32 = 5;

/// What to do about a host that does not answer alike.
pub const UNLIKE: &str = "Behind a load balancer, ask each host by its own address: one of them refuses what the others take, \
                          or has something else switched on. Where there is one host alone, something on the way cuts \
                          connections: ask again, and from another place";

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Clients cannot connect, or are told not to.
    Broken,
    /// They can, but less safely than this host could let them.
    Weak,
    /// Worth knowing.
    Note,
}

impl Severity {
    /// `broken`, `weak`, `note`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Severity::Broken => "broken",
            Severity::Weak => "weak",
            Severity::Note => "note",
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// What, in one sentence.
    pub what: String,
    /// What to do; the safe thing.
    pub remedy: String,
    /// What users would meet because of it, in the catalogue.
    pub cause: Option<Cause>,
}

/// What a gateway answered on its well-known paths, or why not.
pub type GatewayAnswers = [(&'static str, Result<HttpAnswer, String>)];

/// What is wrong with the host of `profile`, worst first. `host` is the name it was asked by, `now` in Unix seconds.
#[must_use]
pub fn findings(profile: &HostProfile, host: &str, gateway: &GatewayAnswers, now: i64) -> Vec<Finding> {
    if matches!(profile.completeness, Completeness::Unreachable(_)) {
        return Vec::new();
    }
    let mut all = Vec::new();
    several(profile, &mut all);
    negotiation(profile, &mut all);
    versions(profile, host, &mut all);
    for certificate in profile.certificate.iter().chain(&profile.second_certificate) {
        judge_certificate(certificate, host, now, &mut all);
    }
    sizes(profile, &mut all);
    credssp(profile, &mut all);
    paths(gateway, &mut all);
    all.sort_by_key(|finding| finding.severity);
    all
}

fn finding(severity: Severity, what: impl Into<String>, remedy: impl Into<String>, cause: Option<Cause>) -> Finding {
    Finding { severity, what: what.into(), remedy: remedy.into(), cause }
}

/// The first remedy of the catalogue.
fn of(severity: Severity, what: impl Into<String>, cause: Cause) -> Finding {
    let remedy = cause.entry().remedy.first().copied().unwrap_or_default();
    finding(severity, what, remedy, Some(cause))
}

/// More than one host behind one address.
fn several(profile: &HostProfile, all: &mut Vec<Finding>) {
    if let Completeness::Mixed(why) = &profile.completeness {
        all.push(finding(Severity::Broken, format!("It does not answer alike: {why}"), UNLIKE, None));
    }
    if let Some([first, _]) = profile.certificates_of_several() {
        let what =
            format!("It shows two certificates with {} keys: more than one host answers here", first.key_algorithm);
        all.push(of(Severity::Weak, what, Cause::CertChangedMidSession));
    }
}

fn negotiation(profile: &HostProfile, all: &mut Vec<Finding>) {
    if profile.tls_first || matches!(profile.completeness, Completeness::Mixed(_)) {
        return;
    }
    let selected = |of: fn(u32) -> bool| {
        profile.negotiation.iter().any(|(_, answer)| {
            matches!(answer, NegotiationAnswer::Answered(Answer::Selected { protocol, .. }) if of(protocol.0))
        })
    };
    let plain = |answer: &NegotiationAnswer| match answer {
        NegotiationAnswer::Answered(Answer::Plain) => true,
        NegotiationAnswer::Answered(Answer::Selected { protocol, .. }) => protocol.0 == 0,
        _ => false,
    };
    let tls = selected(|protocol| protocol != 0);
    // A confirm to a request without negotiation data says nothing: xrdp sends one, and then closes.
    let plainly = |asked: &Option<Protocols>| asked.is_some_and(|asked| asked.0 == 0);
    let without = profile.negotiation.iter().any(|(asked, answer)| plainly(asked) && plain(answer));
    if without && tls {
        all.push(finding(
            Severity::Weak,
            "It lets clients in without TLS (standard RDP security, whose encryption is broken)",
            "Windows: policy \"Require use of specific security layer for remote (RDP) connections\" = SSL. xrdp: \
             `security_layer=tls` in xrdp.ini",
            None,
        ));
    }
    let refusal = profile.negotiation.iter().find_map(|(asked, answer)| match answer {
        NegotiationAnswer::Answered(Answer::Failure(code)) if asked.is_some_and(|asked| asked.0 != 0) => Some(*code),
        _ => None,
    });
    if let (false, Some(code)) = (tls, refusal.filter(|code| Cause::from(*code) != Cause::NegSslNotAllowed)) {
        all.push(of(Severity::Broken, format!("It refuses every request for TLS: {code}"), code.into()));
    } else if !tls {
        all.push(finding(
            Severity::Broken,
            "It does not offer TLS: clients that insist on it, as mstsc with NLA does, are refused",
            "Windows: policy \"Require use of specific security layer for remote (RDP) connections\" = SSL. xrdp: \
             `security_layer=negotiate` and a readable certificate in xrdp.ini",
            Some(Cause::NegSslNotAllowed),
        ));
    } else if !selected(|protocol| protocol & 0x0a != 0) {
        all.push(finding(
            Severity::Note,
            "No Network Level Authentication: anybody who reaches the port gets a logon screen",
            "Windows: System properties > Remote > \"Allow connections only with Network Level Authentication\". xrdp has none",
            None,
        ));
    }
}

fn versions(profile: &HostProfile, host: &str, all: &mut Vec<Finding>) {
    if profile.refuses_every_hello() {
        let nameless = Reaction::Alert(AlertDescription::UNRECOGNIZED_NAME);
        all.push(match profile.versions.iter().any(|ability| ability.reaction == nameless) {
            true => finding(
                Severity::Broken,
                format!(
                    "It takes no ClientHello that asks for {}: unrecognized_name (112)",
                    server_name(host).as_deref().unwrap_or("no name")
                ),
                "`rdpscope probe HOST --sni NAME` asks with the name that its users ask for: it, or what stands before \
                 it, chooses by that name",
                Some(Cause::TlsAlertOther),
            ),
            false => of(
                Severity::Broken,
                "It takes no ClientHello of any version: the private key of its certificate cannot be used",
                Cause::CertPrivateKeyUnusable,
            ),
        });
        return;
    }
    let accepts = |version| profile.ability(version).is_some_and(|ability| ability.accepted());
    let any = profile.versions.iter().any(|ability| ability.accepted());
    if any && !accepts(TlsVersion::TLS12) && !accepts(TlsVersion::TLS13) {
        all.push(finding(
            Severity::Broken,
            "Neither TLS 1.2 nor TLS 1.3: clients of today refuse it",
            "Switch TLS 1.2 on. Windows: HKLM\\SYSTEM\\CurrentControlSet\\Control\\SecurityProviders\\SCHANNEL\\Protocols\\\
             TLS 1.2\\Server: Enabled=1, DisabledByDefault=0, then restart. xrdp: `ssl_protocols=TLSv1.2, TLSv1.3`",
            Some(Cause::TlsNoCommonVersion),
        ));
    }
    let old: Vec<&str> =
        [(TlsVersion::SSL3, "SSL 3.0"), (TlsVersion::TLS10, "TLS 1.0"), (TlsVersion::TLS11, "TLS 1.1")]
            .into_iter()
            .filter(|(version, _)| accepts(*version))
            .map(|(_, name)| name)
            .collect();
    if !old.is_empty() && (accepts(TlsVersion::TLS12) || accepts(TlsVersion::TLS13)) {
        all.push(finding(
            Severity::Weak,
            format!("It still accepts {} (RFC 8996, RFC 7568)", old.join(", ")),
            "When no client needs them: Windows SCHANNEL\\Protocols\\<version>\\Server: Enabled=0. xrdp: \
             `ssl_protocols=TLSv1.2, TLSv1.3`",
            None,
        ));
    }
    let mut broken: Vec<CipherSuite> = Vec::new();
    for suite in profile.versions.iter().flat_map(|ability| &ability.suites) {
        if suite.class() == Some(SuiteClass::Broken) && !broken.contains(suite) {
            broken.push(*suite);
        }
    }
    if let Some(first) = broken.first().and_then(|suite| suite.name()) {
        let more = if broken.len() > 1 { format!(" and {} more", broken.len() - 1) } else { String::new() };
        all.push(finding(
            Severity::Weak,
            format!("It accepts suites that protect nothing: {first}{more}"),
            format!("Windows: `Disable-TlsCipherSuite -Name {first}` for each of them. xrdp: `tls_ciphers=HIGH:!aNULL:!eNULL:!RC4`"),
            None,
        ));
    }
    if let Some(ability) = profile.ability(TlsVersion::TLS12).filter(|ability| ability.accepted())
        && !accepts(TlsVersion::TLS13)
        && !ability.suites.iter().any(|suite| suite.class() == Some(SuiteClass::Modern))
    {
        all.push(finding(
            Severity::Broken,
            "TLS 1.2 without one modern suite (ECDHE or DHE with AES-GCM or ChaCha20): strict clients find nothing in common",
            "Windows: `Enable-TlsCipherSuite -Name TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384` (the ECDSA one for an ECDSA key)",
            Some(Cause::TlsNoCommonCipher),
        ));
    }
    let together = profile
        .ladder
        .iter()
        .any(|step| step.change == parser::profile::LadderChange::Everything && !step.reaction.accepted());
    if together && profile.serves_ordinary_clients() && !accepts(TlsVersion::TLS13) {
        all.push(of(
            Severity::Broken,
            "TLS 1.2 alone works, but a hello that offers TLS 1.3 as well is refused: TLS 1.3 is half enabled, or a device in \
             between does not bear it",
            Cause::Tls13MiddleboxIntolerance,
        ));
    }
}

fn judge_certificate(certificate: &CertificateFacts, host: &str, now: i64, all: &mut Vec<Finding>) {
    if let Some(why) = &certificate.unreadable {
        let remedy = Cause::CertWeak.entry().remedy.first().copied().unwrap_or_default();
        all.push(finding(Severity::Broken, format!("The certificate cannot be read: {why}"), remedy, None));
        return;
    }
    let days = (certificate.not_after - now).div_euclid(86_400);
    if days < 0 {
        all.push(of(Severity::Broken, format!("The certificate expired {} days ago", -days), Cause::CertExpired));
    } else if days < EXPIRY_DAYS {
        all.push(of(Severity::Weak, format!("The certificate expires in {days} days"), Cause::CertExpired));
    }
    if certificate.not_before > now {
        all.push(of(Severity::Broken, "The certificate is not valid yet", Cause::CertNotYetValid));
    }
    let least = if certificate.key_algorithm == "RSA" { 2048 } else { 0 };
    if certificate.key_bits > 0 && certificate.key_bits < least {
        let what =
            format!("The certificate's RSA key has {} bits: clients refuse less than 2048", certificate.key_bits);
        all.push(of(Severity::Broken, what, Cause::CertWeak));
    }
    let signature = certificate.signature_algorithm.to_ascii_lowercase();
    if signature.contains("sha1") || signature.contains("md5") {
        let what = format!("The certificate is signed with {}: clients refuse it", certificate.signature_algorithm);
        all.push(of(Severity::Broken, what, Cause::CertWeak));
    }
    let server = ["1.3.6.1.5.5.7.3.1", "1.3.6.1.4.1.311.54.1.2", "2.5.29.37.0"];
    if !certificate.extended_key_usage.is_empty()
        && !certificate.extended_key_usage.iter().any(|usage| server.contains(&usage.as_str()))
    {
        all.push(of(
            Severity::Broken,
            "The certificate is not meant for servers (extended key usage)",
            Cause::CertWrongEku,
        ));
    }
    if host.parse::<std::net::IpAddr>().is_err() && !is_named(certificate, host) {
        let what = format!("The certificate does not name {host}: clients that use this name are warned");
        all.push(of(Severity::Weak, what, Cause::CertNameMismatch));
    }
    if certificate.self_issued {
        all.push(of(
            Severity::Note,
            "The certificate is self-signed: every new client is asked whether to trust it",
            Cause::CertUntrustedCa,
        ));
    }
}

/// RFC 6125 6.4: the whole name, or a wildcard for its first label.
fn is_named(certificate: &CertificateFacts, host: &str) -> bool {
    let fits = |name: &str| {
        name.eq_ignore_ascii_case(host)
            || name
                .strip_prefix("*.")
                .is_some_and(|rest| host.split_once('.').is_some_and(|(_, parent)| parent.eq_ignore_ascii_case(rest)))
    };
    let common = certificate.subject.split(',').find_map(|part| part.trim().strip_prefix("CN="));
    match certificate.alternative_names.is_empty() {
        true => common.is_some_and(fits),
        false => certificate.alternative_names.iter().any(|name| fits(name)),
    }
}

fn sizes(profile: &HostProfile, all: &mut Vec<Finding>) {
    let lost = profile.hello_sizes.iter().find(|(_, reaction)| !reaction.accepted());
    if let Some((size, _)) = lost
        && profile.hello_sizes.iter().any(|(_, reaction)| reaction.accepted())
    {
        let what = format!(
            "A ClientHello of {size} bytes gets no ServerHello, a smaller one does: the path loses large hellos"
        );
        all.push(of(Severity::Broken, what, Cause::LargeClienthelloLost));
    }
}

fn credssp(profile: &HostProfile, all: &mut Vec<Finding>) {
    let Some(facts) = &profile.credssp else { return };
    if facts.version < CREDSSP_FIXED {
        let what = format!(
            "CredSSP {}: the host likely lacks the update of 2018, and clients that insist on it refuse to log on",
            facts.version
        );
        all.push(of(Severity::Weak, what, Cause::CredsspOracleRemediation));
    }
    if let Some(offset) = facts.clock_offset_ms(profile.ended).filter(|offset| offset.unsigned_abs() > SKEW_MS) {
        let side = if offset < 0 { "behind" } else { "ahead of" };
        let what = format!(
            "Its clock is {} minutes {side} the one here: Kerberos bears 5, and certificates seem not valid yet, or expired",
            offset.unsigned_abs() / 60_000
        );
        all.push(of(Severity::Weak, what, Cause::CertNotYetValid));
    }
}

fn paths(gateway: &GatewayAnswers, all: &mut Vec<Finding>) {
    let healthy =
        |answer: &Result<HttpAnswer, String>| matches!(answer, Ok(answer) if matches!(answer.status, 200 | 401));
    if gateway.is_empty() || gateway.iter().any(|(_, answer)| healthy(answer)) {
        return;
    }
    if let Some((path, answer)) = gateway.first() {
        let what = match answer {
            Ok(answer) => format!("{path} answers {}; a healthy gateway says 401", answer.status),
            Err(why) => format!("{path} could not be asked: {why}"),
        };
        all.push(of(Severity::Broken, what, Cause::RdgHttp403404503));
    }
}

#[cfg(test)]
mod tests;
