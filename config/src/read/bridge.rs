//! `[listener.bridge]` and `[[listener.bridge.host]]`.
//!
//! Keys are read with their places first (`tls`: versions and suites); then the rules of a host are made of its own keys
//! over the common ones, and what does not go together is pointed out where it is written (`rules`).

mod rules;
mod tls;

use super::kind;
use super::section::{Read, Reader, Section};
use crate::bridge::*;
use crate::problem::{Fault, Place, Problem, shown};
use crate::reference::Table;
use crate::settings::Upstream;
use crate::suggest::nearest;
use parser::wire::TlsVersion;
use rules::{rules, rules_unchecked};
use std::ops::Range;
use std::path::PathBuf;
use tls::{ciphers, versions};
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
    /// `verify` is of this table, and these are not: the listener's table has them for its other hosts.
    inherits_pin: bool,
    inherits_ca: bool,
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
        inherits_pin: false,
        inherits_ca: false,
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
            inherits_pin: self.verify.is_some() && self.pin.is_none(),
            inherits_ca: self.verify.is_some() && self.ca.is_none(),
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
            other => Err(Fault::new("takes strings", format!("read {}", kind(other))).note(format!("write `{right}`"))),
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
    if text.contains('\0') {
        return Err(Fault::new("names no file", "no file name has a NUL in it").instead(text.replace('\0', "")));
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
