//! `[listener.bridge]` and `[[listener.bridge.host]]`.
//!
//! Keys are read with their places first; then the rules of a host are made of its own keys over the common ones, and
//! what does not go together is pointed out where it is written.

use super::kind;
use super::section::{Read, Reader, Section};
use crate::bridge::*;
use crate::problem::{Fault, Place, Problem, shown};
use crate::reference::Table;
use crate::settings::Upstream;
use crate::suggest::nearest;
use parser::wire::{CipherSuite, SuiteClass, TlsVersion};
use std::ops::Range;
use std::path::PathBuf;
use toml::Spanned;
use toml::de::DeValue;

/// A value and where it is written.
type Placed<T> = Option<(T, Range<usize>)>;

/// The keys of one table.
#[derive(Clone, Default)]
struct Keys {
    at: Range<usize>,
    own_entry: bool,
    mode: Placed<BridgeMode>,
    certificate: Placed<PathBuf>,
    private_key: Placed<PathBuf>,
    password_file: Placed<PathBuf>,
    client_versions: Placed<Vec<TlsVersion>>,
    host_versions: Placed<Vec<TlsVersion>>,
    host_ciphers: Placed<Ciphers>,
    verify: Placed<Verify>,
    pin: Placed<Vec<Pin>>,
    ca: Placed<PathBuf>,
}

/// The bridge of the listener that leads to `upstream`.
pub(super) fn bridge(reader: &mut Reader, value: &Spanned<DeValue<'_>>, upstream: Option<&Upstream>) -> Bridge {
    let section = reader.open(value, Table::Bridge);
    let before = reader.problems.len();
    let keys = keys(reader, &section, value.span(), false);
    let mut found: Vec<(String, Keys)> = Vec::new();
    for entry in host_tables(reader, &section) {
        let section = reader.open(entry, Table::BridgeHost);
        let own = self::keys(reader, &section, entry.span(), true);
        match reader.text(&section, "match", host_name) {
            Read::Good(name, at) => {
                if upstream.is_some_and(|upstream| !upstream.is_called(&name)) {
                    reader.problems.push(no_such_host(&name, at, upstream));
                } else if found.iter().any(|(known, _)| known.eq_ignore_ascii_case(&name)) {
                    reader.problems.push(problem(
                        format!("two entries are for `{}`", shown(&name)),
                        at,
                        "again here".to_owned(),
                        "put the keys of both into one table".to_owned(),
                    ));
                } else {
                    found.push((name, own));
                }
            }
            Read::Absent => reader.problems.push(problem(
                "this entry has no `match`".to_owned(),
                entry.span(),
                "`match` is missing here".to_owned(),
                "write `match = \"srv2008.example.net\"`: the host as `upstream` names it".to_owned(),
            )),
            Read::Faulty => {}
        }
    }
    // What is wrong by itself is not judged in its context as well.
    let sound = reader.problems.len() == before;
    let common = if found.is_empty() && sound { rules(reader, &keys) } else { rules_unchecked(&keys) };
    let mut hosts = Vec::new();
    for (matches, own) in found {
        let own = own.over(&keys);
        let rules = if sound { rules(reader, &own) } else { rules_unchecked(&own) };
        hosts.push(BridgeHost { matches, rules });
    }
    Bridge { common, hosts }
}

/// The value of `--bridge`.
pub(crate) fn mode(text: &str) -> Result<BridgeMode, Fault> {
    one_of(text, BridgeMode::ALL, BridgeMode::name)
}

/// One pin.
pub(crate) fn pin(text: &str) -> Result<Pin, Fault> {
    Pin::parse(text).ok_or_else(|| {
        Fault::new("is no SHA-256 hash", format!("read `{}`", shown(text))).note(
            "`sha256:` and 64 hexadecimal digits, of the certificate or of its public key (SPKI); `rdpscope probe HOST` shows it",
        )
    })
}

fn keys(reader: &mut Reader, section: &Section<'_>, at: Range<usize>, own_entry: bool) -> Keys {
    Keys {
        at,
        own_entry,
        mode: placed(reader.text(section, "mode", mode)),
        certificate: placed(reader.text(section, "certificate", file)),
        private_key: placed(reader.text(section, "private_key", file)),
        password_file: placed(reader.text(section, "password_file", file)),
        client_versions: versions(reader, section, "client_versions", own_entry),
        host_versions: versions(reader, section, "host_versions", own_entry),
        host_ciphers: ciphers(reader, section),
        verify: placed(reader.text(section, "verify", |text| one_of(text, Verify::ALL, Verify::name))),
        pin: list(reader, section, "pin", pin, "pin = [\"sha256:…\"]"),
        ca: placed(reader.text(section, "ca", file)),
    }
}

impl Keys {
    /// These, and where they are silent those of `common`.
    fn over(self, common: &Keys) -> Keys {
        // A pair is one thing: half of it is never taken from elsewhere.
        let pair = self.certificate.is_some() || self.private_key.is_some();
        let (certificate, private_key, password_file) = if pair {
            (self.certificate, self.private_key, self.password_file)
        } else {
            (common.certificate.clone(), common.private_key.clone(), common.password_file.clone())
        };
        Keys {
            at: self.at,
            own_entry: self.own_entry,
            mode: self.mode.or_else(|| common.mode.clone()),
            certificate,
            private_key,
            password_file,
            client_versions: self.client_versions.or_else(|| common.client_versions.clone()),
            host_versions: self.host_versions.or_else(|| common.host_versions.clone()),
            host_ciphers: self.host_ciphers.or_else(|| common.host_ciphers.clone()),
            verify: self.verify.or_else(|| common.verify.clone()),
            pin: self.pin.or_else(|| common.pin.clone()),
            ca: self.ca.or_else(|| common.ca.clone()),
        }
    }
}

/// The rules, and what in them does not go together.
fn rules(reader: &mut Reader, keys: &Keys) -> BridgeRules {
    let rules = rules_unchecked(keys);
    pair_is_whole(reader, keys);
    suites_fit(reader, keys, &rules);
    if rules.mode != BridgeMode::Off && rules.verify == Verify::Pin && rules.pin.is_empty() {
        let at = keys.mode.as_ref().map_or_else(|| keys.at.clone(), |(_, at)| at.clone());
        reader.problems.push(unverified(at));
    }
    rules
}

fn rules_unchecked(keys: &Keys) -> BridgeRules {
    let defaults = BridgeRules::default();
    let pair = value(&keys.private_key).map(|private_key| PairFiles {
        certificate: value(&keys.certificate),
        private_key,
        password_file: value(&keys.password_file),
    });
    BridgeRules {
        mode: value(&keys.mode).unwrap_or_default(),
        pair,
        client_versions: value(&keys.client_versions).unwrap_or(defaults.client_versions),
        host_versions: value(&keys.host_versions).unwrap_or(defaults.host_versions),
        host_ciphers: value(&keys.host_ciphers).unwrap_or_default(),
        verify: value(&keys.verify).unwrap_or_default(),
        pin: value(&keys.pin).unwrap_or_default(),
        ca: value(&keys.ca),
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

fn versions(
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

fn ciphers(reader: &mut Reader, section: &Section<'_>) -> Placed<Ciphers> {
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

/// An array of strings, each read by `read`. One that is wrong is pointed at by itself.
fn list<T>(
    reader: &mut Reader,
    section: &Section<'_>,
    name: &'static str,
    read: impl Fn(&str) -> Result<T, Fault>,
    right: &str,
) -> Placed<Vec<T>> {
    let value = section.value(name)?;
    let DeValue::Array(items) = value.get_ref() else {
        let read = format!("read {}", kind(value.get_ref()));
        reader.problems.push(problem(
            format!("`{name}` takes an array"),
            value.span(),
            read,
            format!("write `{right}`"),
        ));
        return None;
    };
    let (mut values, mut faulty) = (Vec::new(), false);
    for item in items.iter() {
        let result = match item.get_ref() {
            DeValue::String(text) => read(text),
            other => Err(Fault::new("takes strings", format!("read {}", kind(other)))),
        };
        match result {
            Ok(value) => values.push(value),
            Err(fault) => {
                faulty = true;
                reader.problems.push(fault.problem(Place::File, name, item.span()));
            }
        }
    }
    (!faulty).then(|| (values, value.span()))
}

fn host_tables<'d>(reader: &mut Reader, section: &Section<'d>) -> Vec<&'d Spanned<DeValue<'d>>> {
    let Some(value) = section.value("host") else { return Vec::new() };
    match value.get_ref() {
        DeValue::Array(tables) => tables.iter().collect(),
        other => {
            reader.problems.push(problem(
                "`host` is an array of tables".to_owned(),
                value.span(),
                format!("read {}", kind(other)),
                "write `[[listener.bridge.host]]` on a line of its own and its keys below".to_owned(),
            ));
            Vec::new()
        }
    }
}

fn no_such_host(name: &str, at: Range<usize>, upstream: Option<&Upstream>) -> Problem {
    let help = match upstream {
        Some(upstream) => format!("this listener leads to `{}`: write that name, or remove the entry", upstream.host),
        None => "name the listener's upstream".to_owned(),
    };
    problem(format!("`{}` is no host of this listener", shown(name)), at, "never met".to_owned(), help)
}

fn host_name(text: &str) -> Result<String, Fault> {
    if text.trim().is_empty() {
        return Err(Fault::new("names no host", "empty").instead("srv2008.example.net"));
    }
    Ok(text.to_owned())
}

fn file(text: &str) -> Result<PathBuf, Fault> {
    if text.trim().is_empty() {
        return Err(Fault::new("names no file", "empty"));
    }
    Ok(PathBuf::from(text))
}

fn one_of<T: Copy, const N: usize>(text: &str, all: [T; N], name: fn(T) -> &'static str) -> Result<T, Fault> {
    all.into_iter().find(|value| name(*value) == text).ok_or_else(|| {
        let names = all.map(name);
        let near = nearest(text, names).unwrap_or(names[0]);
        let known: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        let read = format!("read `{}`", shown(text));
        Fault::new("is not known", read).instead(near).note(format!("one of {}", known.join(", ")))
    })
}

fn problem(title: String, at: Range<usize>, label: String, help: String) -> Problem {
    Problem { title, at, label, also: None, help: vec![help] }
}

fn placed<T>(read: Read<T>) -> Placed<T> {
    match read {
        Read::Good(value, at) => Some((value, at)),
        Read::Absent | Read::Faulty => None,
    }
}

fn value<T: Clone>(placed: &Placed<T>) -> Option<T> {
    placed.as_ref().map(|(value, _)| value.clone())
}
