//! The rules of one host, made of its keys, and what in them does not go together: pointed out where it is written.

use super::{Keys, problem, value};
use crate::bridge::*;
use crate::problem::Problem;
use crate::read::section::Reader;
use parser::wire::{CipherSuite, TlsVersion};
use std::ops::Range;
use std::path::PathBuf;

/// The rules, and what in them does not go together.
pub(super) fn rules(reader: &mut Reader, keys: &Keys) -> BridgeRules {
    let rules = rules_unchecked(keys);
    pair_is_whole(reader, keys);
    suites_fit(reader, keys, &rules);
    verify_is_one(reader, keys, &rules);
    if rules.mode != BridgeMode::Off && rules.verify == Verify::Pin && rules.pin.is_empty() {
        let at = keys.mode.as_ref().map_or_else(|| keys.at.clone(), |(_, at)| at.clone());
        reader.problems.push(unverified(at));
    }
    rules
}

pub(super) fn rules_unchecked(keys: &Keys) -> BridgeRules {
    let defaults = BridgeRules::default();
    let pair = value(&keys.private_key).map(|private_key| PairFiles {
        certificate: value(&keys.certificate),
        private_key,
        password_file: value(&keys.password_file),
    });
    let verify = value(&keys.verify).unwrap_or_default();
    BridgeRules {
        mode: value(&keys.mode).unwrap_or_default(),
        pair,
        client_versions: value(&keys.client_versions).unwrap_or(defaults.client_versions),
        host_versions: value(&keys.host_versions).unwrap_or(defaults.host_versions),
        host_ciphers: value(&keys.host_ciphers).unwrap_or_default(),
        verify,
        // What the listener's table has for its other hosts does not hold for one that is known in another way.
        pin: value(&keys.pin).filter(|_| verify == Verify::Pin).unwrap_or_default(),
        ca: value(&keys.ca).filter(|_| verify == Verify::Ca),
    }
}

/// A bridge whose host leg nobody checks hides whoever stands in between from the client.
fn unverified(at: Range<usize>) -> Problem {
    let help = [
        "write `pin = [\"sha256:…\"]`: the hash of the host's certificate or public key, which `rdpscope probe HOST` shows",
        "or `verify = \"ca\"` when a CA has issued its certificate, and `ca = \"FILE\"` when it is your own",
        "or, for a test, `verify = \"insecure\"`: anybody in between could read the session",
    ];
    Problem {
        title: "the bridge would trust any host".to_owned(),
        at,
        label: "by what is the host known?".to_owned(),
        also: None,
        help: help.map(str::to_owned).to_vec(),
    }
}

/// A host is known in one way. Whoever writes a pin beside another one believes that the pin holds.
fn verify_is_one(reader: &mut Reader, keys: &Keys, rules: &BridgeRules) {
    if rules.mode == BridgeMode::Off {
        return;
    }
    let verify = rules.verify;
    let (also, with) = match &keys.verify {
        Some((_, at)) => {
            let says = match verify {
                Verify::Pin => "the host is known by its pins alone",
                Verify::Ca => "the host is known by who issued its certificate",
                Verify::Insecure => "any host is trusted",
            };
            (Some((at.clone(), says.to_owned())), format!("with `verify = \"{}\"`", verify.name()))
        }
        None => (None, "without `verify`, which is then `pin`".to_owned()),
    };
    let mut unused = |key: &str, at: &Range<usize>| {
        reader.problems.push(Problem {
            title: format!("`{key}` is not used {with}"),
            at: at.clone(),
            label: "it would be without effect".to_owned(),
            also: also.clone(),
            help: vec![format!("write `verify = \"{key}\"` if the host is to be known by it, or remove `{key}`")],
        });
    };
    if let Some((pins, at)) = keys.pin.as_ref().filter(|_| verify != Verify::Pin && !keys.inherits_pin)
        && !pins.is_empty()
    {
        unused("pin", at);
    }
    if let Some((_, at)) = keys.ca.as_ref().filter(|_| verify != Verify::Ca && !keys.inherits_ca) {
        unused("ca", at);
    }
}

fn pair_is_whole(reader: &mut Reader, keys: &Keys) {
    let pkcs12 = |path: &PathBuf| {
        let extension = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
        matches!(extension.as_deref(), Some("pfx" | "p12"))
    };
    match (&keys.certificate, &keys.private_key) {
        (Some((_, at)), None) => reader.problems.push(problem(
            "`certificate` has no `private_key`".to_owned(),
            at.clone(),
            "a certificate alone".to_owned(),
            "write `private_key = \"FILE\"`, the key that belongs to it".to_owned(),
        )),
        (None, Some((path, at))) if !pkcs12(path) => reader.problems.push(problem(
            "`private_key` has no `certificate`".to_owned(),
            at.clone(),
            "a key alone".to_owned(),
            "write `certificate = \"FILE\"`; only a PKCS#12 file (.pfx, .p12) holds both".to_owned(),
        )),
        _ => {}
    }
    if let Some((path, at)) = &keys.private_key
        && pkcs12(path)
        && !LEGACY_TLS
    {
        reader.problems.push(Problem {
            title: "this build does not read PKCS#12".to_owned(),
            at: at.clone(),
            label: "a PKCS#12 file".to_owned(),
            also: None,
            help: vec![
                "take it apart: `openssl pkcs12 -in FILE -nodes -out host.pem`, and name host.pem as `certificate` and `private_key`".to_owned(),
                format!("or use a build with the feature `{LEGACY_FEATURE}`"),
            ],
        });
    }
    if let (Some((_, at)), true) =
        (&keys.password_file, keys.private_key.as_ref().is_none_or(|(path, _)| !pkcs12(path)))
    {
        reader.problems.push(problem(
            "`password_file` has nothing to open".to_owned(),
            at.clone(),
            "no PKCS#12 file".to_owned(),
            "it goes with `private_key = \"FILE.pfx\"`; PEM keys are taken unencrypted, readable by the service alone"
                .to_owned(),
        ));
    }
}

/// Every version in the window has a suite, every suite a version.
fn suites_fit(reader: &mut Reader, keys: &Keys, rules: &BridgeRules) {
    let (Ciphers::Named(named), Some((_, at))) = (&rules.host_ciphers, &keys.host_ciphers) else { return };
    let fits = |suite: &CipherSuite, version: TlsVersion| suite.info().is_some_and(|info| info.fits(version));
    let also = keys.host_versions.as_ref().map(|(_, at)| (at.clone(), "the versions for the host".to_owned()));
    if let Some(version) = rules.host_versions.iter().find(|version| !named.iter().any(|suite| fits(suite, **version)))
    {
        let name = version.name().unwrap_or("?");
        reader.problems.push(Problem {
            title: format!("`host_ciphers` has no suite for TLS {name}"),
            at: at.clone(),
            label: format!("TLS {name} could never be negotiated"),
            also: also.clone(),
            help: vec![format!("name a suite of TLS {name}, or take \"{name}\" out of `host_versions`")],
        });
    } else if let Some(suite) = named.iter().find(|suite| !rules.host_versions.iter().any(|v| fits(suite, *v))) {
        reader.problems.push(Problem {
            title: format!("`{}` fits none of `host_versions`", suite.name().unwrap_or("?")),
            at: at.clone(),
            label: "could never be negotiated".to_owned(),
            also,
            help: vec!["take it out, or widen `host_versions`".to_owned()],
        });
    }
}
