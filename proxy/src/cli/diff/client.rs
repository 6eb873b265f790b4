//! The client of a comparison: a named Windows version, or the hello of a recorded session or of a capture.

use super::captured::{Captured, NoClient};
use flate2::read::MultiGzDecoder;
use parser::profile::{Offer, WindowsVersion};
use parser::wire::{CipherSuite, NamedGroup, SignatureScheme, TlsVersion};
use rdpscope::analyze::source::CaptureError;
use serde_json::Value;
use std::fmt::Write;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// No event is longer: the lists of a hello are bounded. What is longer is no event log.
const LINE: u64 = 1 << 20;
/// RFC 1952 2.3.1
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Whose offer is held against the hosts.
pub(super) enum Client {
    /// Published defaults of a Windows version.
    Windows(&'static WindowsVersion),
    /// What a client said.
    Recorded {
        /// `session.id`.
        session: String,
        /// Its hello.
        offer: Offer,
    },
    /// What a client said, off the wire.
    Captured(Captured),
}

impl Client {
    pub(super) fn windows(name: &str) -> Result<Client, String> {
        let shown: String = name.chars().take(64).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        WindowsVersion::from_name(name).map(Client::Windows).ok_or_else(|| {
            let near = config::nearest(&name.to_lowercase(), WindowsVersion::all().iter().map(|row| row.id));
            let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            format!("no Windows version is called `{shown}`{near}; `--client list` prints all of them")
        })
    }

    /// The last event of this session that has a hello.
    pub(super) fn recorded(id: &str, file: &Path) -> Result<Client, NoClient> {
        let shown = file.display();
        let unreadable = |source| CaptureError::Open { file: file.to_owned(), source };
        let mut reader = event_log(file).map_err(unreadable)?;
        let mut found: Option<(String, Offer)> = None;
        let mut known: Option<String> = None;
        loop {
            let mut line = Vec::new();
            let read = reader.by_ref().take(LINE).read_until(b'\n', &mut line).map_err(unreadable)?;
            if read == 0 {
                break;
            }
            let Ok(event) = serde_json::from_slice::<Value>(&line) else { continue };
            let Some(session) =
                event["session"]["id"].as_str().filter(|session| !id.is_empty() && session.starts_with(id))
            else {
                continue;
            };
            if known.as_ref().is_some_and(|other| other != session) {
                let why = format!("more than one session of {shown} begins with `{id}`: write more of the id");
                return Err(NoClient::Absent(why));
            }
            known = Some(session.to_owned());
            found = offer(&event["tls"]["client"]).map(|offer| (session.to_owned(), offer)).or(found);
        }
        match found {
            Some((session, offer)) => Ok(Client::Recorded { session, offer }),
            None if known.is_some() => Err(NoClient::Absent(format!("session `{id}` of {shown} has no ClientHello"))),
            None => Err(NoClient::Absent(format!("{shown} holds no session `{id}`"))),
        }
    }

    pub(super) fn offer(&self) -> Offer {
        match self {
            Client::Windows(row) => row.offer(),
            Client::Recorded { offer, .. } => offer.clone(),
            Client::Captured(captured) => captured.offer.clone(),
        }
    }

    /// The newest TLS version it can be made to speak, as far as that is known.
    pub(super) fn newest(&self) -> TlsVersion {
        match self {
            Client::Windows(row) => row.newest(),
            Client::Recorded { .. } | Client::Captured(_) => TlsVersion::TLS13,
        }
    }

    /// What it is, and how much that is worth.
    pub(super) fn title(&self) -> String {
        match self {
            Client::Windows(row) => format!("{} with its published defaults", row.name),
            Client::Recorded { session, .. } => format!("The client of session {session}"),
            Client::Captured(captured) => {
                format!("The client {} of stream {} of {}", captured.client, captured.stream, captured.file)
            }
        }
    }

    /// Status and source of what is from a page.
    pub(super) fn caveat(&self) -> Option<String> {
        match self {
            Client::Windows(row) => {
                Some(format!("status {}: {}. A hint, not a proof. {}", row.status, row.source, row.note))
            }
            Client::Captured(captured) if !captured.complaints.is_empty() => Some(captured.complaints.join("; ")),
            Client::Recorded { .. } | Client::Captured(_) => None,
        }
    }
}

/// The lines of an event log, also of one that log rotation has compressed.
fn event_log(file: &Path) -> io::Result<Box<dyn BufRead>> {
    let mut plain = BufReader::new(File::open(file)?);
    match plain.fill_buf()?.starts_with(&GZIP) {
        true => Ok(Box::new(BufReader::new(MultiGzDecoder::new(plain)))),
        false => Ok(Box::new(plain)),
    }
}

/// Every Windows version, one line each.
pub(super) fn list() -> String {
    let mut out = String::new();
    for row in WindowsVersion::all() {
        let _ = writeln!(out, "{:14} {:48} {}", row.id, row.name, row.status);
    }
    out.push_str("\nDefaults as Microsoft's pages list them; the last column says how far that was checked. A hint, never a proof.\n");
    out
}

/// The same as a JSON document.
pub(super) fn list_json() -> String {
    let rows: Vec<Value> = WindowsVersion::all().iter().map(super::report::windows_json).collect();
    format!("{:#}\n", serde_json::json!({ "schema": "1", "windows": rows }))
}

/// `tls.client` of an event.
fn offer(client: &Value) -> Option<Offer> {
    let names =
        |key: &str| -> Option<Vec<&str>> { Some(client[key].as_array()?.iter().filter_map(Value::as_str).collect()) };
    let groups = names("supported_groups");
    let schemes = names("signature_algorithms");
    let mut versions: Vec<TlsVersion> = names("supported_versions")?
        .into_iter()
        .filter_map(|name| TlsVersion::ALL.into_iter().find(|version| version.name() == Some(name)))
        .collect();
    versions.sort_by_key(|version| std::cmp::Reverse(*version));
    let suites = names("supported_ciphers")?.into_iter();
    Some(Offer {
        versions,
        suites: suites
            .filter_map(|name| CipherSuite::from_name(name).or_else(|| code(name).map(CipherSuite)))
            .filter(|suite| !suite.is_signal())
            .collect(),
        groups: groups
            .map(|names| numbers(&names, |code| NamedGroup(code).name()).into_iter().map(NamedGroup).collect()),
        signature_schemes: schemes.map(|names| {
            numbers(&names, |code| SignatureScheme(code).name()).into_iter().map(SignatureScheme).collect()
        }),
    })
}

/// Code points of names as events write them.
fn numbers(names: &[&str], name_of: impl Fn(u16) -> Option<&'static str>) -> Vec<u16> {
    let find = |name: &&str| code(name).or_else(|| (0..=u16::MAX).find(|code| name_of(*code) == Some(name)));
    names.iter().filter_map(find).collect()
}

/// `0x0a0b`, as code points without a name are written.
fn code(text: &str) -> Option<u16> {
    u16::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::super::BAD_USAGE;
    use super::*;
    use serde_json::json;
    use std::io::Write;

    #[test]
    fn the_hello_of_an_event_is_read_back() {
        let read = offer(&json!({
            "supported_versions": ["1.2", "1.3"],
            "supported_ciphers": ["TLS_AES_256_GCM_SHA384", "0xfefe", "TLS_EMPTY_RENEGOTIATION_INFO_SCSV"],
            "supported_groups": ["x25519", "0x1234"],
        }));
        let read = read.expect("an offer");
        assert_eq!(read.versions, [TlsVersion::TLS13, TlsVersion::TLS12]);
        assert_eq!(read.suites, [CipherSuite(0x1302), CipherSuite(0xfefe)]);
        assert_eq!(read.groups, Some(vec![NamedGroup::X25519, NamedGroup(0x1234)]));
        assert_eq!(read.signature_schemes, None);
        assert!(offer(&Value::Null).is_none());
    }

    #[test]
    fn a_session_is_found_in_a_plain_and_in_a_compressed_event_log() {
        let event = json!({"session": {"id": "0193f2a6-7c1e"}, "tls": {"client": {
            "supported_versions": ["1.2"], "supported_ciphers": ["TLS_AES_256_GCM_SHA384"]}}});
        let lines = format!("{{\"half\n{event}\n");
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(lines.as_bytes()).unwrap();
        let path = std::env::temp_dir().join(format!("rdpscope-events-{}", uuid::Uuid::now_v7()));
        for bytes in [lines.as_bytes(), &packed.finish().unwrap()] {
            std::fs::write(&path, bytes).unwrap();
            let found = Client::recorded("0193", &path).map(|client| client.offer().versions);
            assert!(found.is_ok_and(|versions| versions == [TlsVersion::TLS12]));
            let absent = Client::recorded("0194", &path).err().map(|why| (why.code(), why.to_string()));
            assert!(absent.is_some_and(|(code, why)| code == BAD_USAGE && why.contains("holds no session `0194`")));
        }
        std::fs::remove_file(path).unwrap();
    }
}
