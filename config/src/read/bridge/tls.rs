//! What TLS a leg may speak: the versions of its window and the cipher suites; and what of that this build, or any build,
//! never offers.

use super::{Placed, list, placed, problem};
use crate::bridge::*;
use crate::problem::{Fault, shown};
use crate::read::section::{Reader, Section};
use parser::wire::{CipherSuite, SuiteClass, TlsVersion};
use toml::de::DeValue;

pub(super) fn versions(
    reader: &mut Reader,
    section: &Section<'_>,
    name: &'static str,
    own_entry: bool,
) -> Placed<Vec<TlsVersion>> {
    let right = if own_entry { "[\"1.0\", \"1.1\", \"1.2\"]" } else { "[\"1.2\", \"1.3\"]" };
    let read = |text: &str| {
        let offered = TlsVersion::ALL[1..].iter().find(|version| version.name() == Some(text)).copied();
        let version = offered.ok_or_else(|| {
            Fault::new("has a version that is not known", format!("read `{}`", shown(text)))
                .note("one of \"1.0\", \"1.1\", \"1.2\", \"1.3\"; SSL never")
        })?;
        if version < TlsVersion::TLS12 && !own_entry {
            return Err(Fault::new("allows TLS below 1.2 for every host", format!("TLS {text}"))
                .note("write it below `[[listener.bridge.host]]` with `match`, for the one host that needs it"));
        }
        if version < TlsVersion::TLS12 && !LEGACY_TLS {
            return Err(Fault::new(
                format!("asks for TLS {text}, which this build cannot speak"),
                "needs the legacy leg",
            )
            .note(format!("use a build with the feature `{LEGACY_FEATURE}` (`cargo build --release --features {LEGACY_FEATURE}`), or take it out")));
        }
        Ok(version)
    };
    let (mut versions, at) = list(reader, section, name, read, &format!("{name} = {right}"))?;
    versions.sort_unstable();
    versions.dedup();
    if versions.is_empty() {
        reader.problems.push(problem(
            format!("`{name}` allows no version"),
            at,
            "empty".to_owned(),
            format!("write `{name} = {right}`, or `mode = \"off\"`"),
        ));
        return None;
    }
    if let Some(gap) = versions.windows(2).find(|pair| pair[0].0 + 1 != pair[1].0) {
        let between = TlsVersion(gap[0].0 + 1).name().unwrap_or("?");
        reader.problems.push(problem(
            format!("`{name}` has a gap"),
            at,
            format!("without \"{between}\""),
            "TLS negotiates the newest version of a range (RFC 5246 E.1): add what lies between, or end the range before it"
                .to_owned(),
        ));
        return None;
    }
    Some((versions, at))
}

pub(super) fn ciphers(reader: &mut Reader, section: &Section<'_>) -> Placed<Ciphers> {
    const NAME: &str = "host_ciphers";
    let right = "host_ciphers = \"default\"";
    match section.value(NAME)?.get_ref() {
        DeValue::String(_) => placed(reader.text(section, NAME, |text| {
            match text {
                "default" => Ok(Ciphers::Default),
                _ => Err(Fault::new("is not known", format!("read `{}`", shown(text)))
                    .instead("default")
                    .note("or a list of IANA names: `host_ciphers = [\"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384\"]`")),
            }
        })),
        _ => {
            let (suites, at) = list(reader, section, NAME, suite, right)?;
            if suites.is_empty() {
                let help = format!("write `{right}`, or name some");
                reader.problems.push(problem(
                    "`host_ciphers` allows no suite".to_owned(),
                    at,
                    "empty".to_owned(),
                    help,
                ));
                return None;
            }
            Some((Ciphers::Named(suites), at))
        }
    }
}

fn suite(text: &str) -> Result<CipherSuite, Fault> {
    let read = || format!("read `{}`", shown(text));
    let Some(suite) = CipherSuite::from_name(text) else {
        let names = CipherSuite::all().filter(|suite| is_possible(suite)).map(|suite| suite.name);
        let near = names.min_by_key(|name| distance(text, name)).filter(|name| distance(text, name) <= 4);
        let note = near.map_or_else(
            || "IANA names, such as `TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384`".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        return Err(Fault::new("has a suite that is not known", read()).note(note));
    };
    match suite.info() {
        Some(info) if info.class == SuiteClass::Broken => Err(Fault::new("asks for a broken suite", read())
            .note("RC4, NULL, export, anonymous, DES and MD5 suites are never offered, in no build")),
        Some(info) if !is_possible(info) => {
            Err(Fault::new("has a suite that no RDP host uses", read()).note("take it out"))
        }
        _ if !is_modern(suite) && !LEGACY_TLS => {
            Err(Fault::new("asks for a suite that this build cannot speak", "needs the legacy leg").note(format!(
                "use a build with the feature `{LEGACY_FEATURE}`, or take it out: this build has TLS 1.3, and TLS 1.2 with ECDHE and AES-GCM or ChaCha20-Poly1305"
            )))
        }
        _ => Ok(suite),
    }
}

/// Letters that differ, place by place, and what is left over: enough for a digit or a letter mistyped.
fn distance(a: &str, b: &str) -> usize {
    let differing = a.bytes().zip(b.bytes()).filter(|(a, b)| !a.eq_ignore_ascii_case(b)).count();
    differing + a.len().abs_diff(b.len())
}
