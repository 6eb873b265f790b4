//! What hosts accept, kept over a restart: one file in the state directory, replaced whole.
//!
//! The first line names the format and carries the SHA-256 of the rest, which is JSON. What does not match is refused
//! whole: half a profile would prove what is not so. The replay of a client's hello is not kept: it is about a client.

mod format;

use super::Target;
use format::Host;
use parser::profile::HostProfile;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

const FILE: &str = "hosts.json";
/// The first word of the file: the format, and its version.
const MAGIC: &str = "rdpscope-hosts-1";
/// A thousand hosts have some 4 MiB.
const MAX_FILE: u64 = 64 << 20;

/// The file.
#[derive(Clone, Debug)]
pub(super) struct Store {
    path: PathBuf,
    /// One writer at a time: each writes all that is known when it begins, and none may overtake a later one.
    writing: Arc<Mutex<()>>,
}

/// One host of the file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Kept {
    pub(super) target: Target,
    pub(super) upstreams: Vec<Arc<str>>,
    pub(super) profile: Arc<HostProfile>,
}

/// Why a file is refused.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it is no file of this version of rdpscope")]
    Foreign,
    #[error("its checksum does not match: it was cut short or changed")]
    Checksum,
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    #[error("{0} is not known")]
    Unknown(String),
}

impl Store {
    pub(super) fn new(directory: &Path) -> Store {
        Store { path: directory.join(FILE), writing: Arc::default() }
    }

    /// What was kept. A file that is damaged is set aside, said once, and nothing of it is used.
    pub(super) fn load(&self) -> Vec<Kept> {
        match read(&self.path) {
            Ok(kept) => kept,
            Err(Refused::Io(error)) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(why) => {
                let aside = self.path.with_extension("json.refused");
                let path = self.path.display();
                match fs::rename(&self.path, &aside) {
                    Ok(()) => tracing::warn!(
                        "what hosts accepted before is not known: {path} is not used: {why}; it is kept as {}",
                        aside.display()
                    ),
                    Err(_) => tracing::warn!("what hosts accepted before is not known: {path} is not used: {why}"),
                }
                Vec::new()
            }
        }
    }

    /// Replaces the file. A failure is told, and the old file stays.
    pub(super) fn save(&self, hosts: &[Kept]) {
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = write(&self.path, hosts) {
            tracing::warn!("what hosts accept cannot be kept in {}: {error}", self.path.display());
        }
    }
}

/// A profile as the file has it, with the replay of a client's hello, for a record that is about that client.
pub(crate) fn written(target: Target, profile: &Arc<HostProfile>) -> Option<serde_json::Value> {
    let kept = Kept { target, upstreams: Vec::new(), profile: Arc::clone(profile) };
    serde_json::to_value(Host::with_ladder(&kept)).ok()
}

/// The profile that was written so; `None` when it is not understood.
pub(crate) fn read_written(value: serde_json::Value) -> Option<Arc<HostProfile>> {
    let host: Host = serde_json::from_value(value).ok()?;
    Some(host.kept().ok()?.profile)
}

fn read(path: &Path) -> Result<Vec<Kept>, Refused> {
    let mut text = String::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_string(&mut text)?;
    let (header, body) = text.split_once('\n').ok_or(Refused::Foreign)?;
    let (magic, sum) = header.split_once(' ').ok_or(Refused::Foreign)?;
    if magic != MAGIC {
        return Err(Refused::Foreign);
    }
    if sum != checksum(body) {
        return Err(Refused::Checksum);
    }
    let hosts: Vec<Host> = serde_json::from_str(body)?;
    hosts.into_iter().map(Host::kept).collect()
}

fn write(path: &Path, hosts: &[Kept]) -> io::Result<()> {
    let hosts: Vec<Host> = hosts.iter().map(Host::of).collect();
    let body = serde_json::to_string(&hosts)?;
    let new = path.with_extension("json.new");
    let mut file = File::create(&new)?;
    file.write_all(format!("{MAGIC} {}\n{body}", checksum(&body)).as_bytes())?;
    // On the disk before it takes the place of the old one: after a power cut one of the two is whole.
    file.sync_all()?;
    fs::rename(&new, path)
}

fn checksum(body: &str) -> String {
    Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use parser::Timestamp;
    use parser::profile::{
        Completeness, CredsspFacts, LadderChange, LadderStep, NegotiationAnswer, Reaction, VersionAbility,
    };
    use parser::session::{Answer, CertificateFacts, CloseKind};
    use parser::wire::{
        AlertDescription, CipherSuite, FailureCode, NamedGroup, Protocols, ResponseFlags, SignatureScheme, TlsVersion,
    };

    /// A directory of its own below the one for temporary files.
    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Directory {
            let path = std::env::temp_dir().join(format!("rdpscope-store-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Directory(path)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn kept() -> Kept {
        let target = Target { address: "192.0.2.7:3389".parse().unwrap(), tls_first: false };
        Kept { target, upstreams: vec![Arc::from("rds07.example.net:3389")], profile: Arc::new(profile()) }
    }

    fn profile() -> HostProfile {
        let closed = Reaction::Closed(CloseKind::Rst);
        let hello =
            Reaction::Hello { version: TlsVersion::TLS12, suite: CipherSuite(0xc030), group: Some(NamedGroup(29)) };
        HostProfile {
            begun: Timestamp(10),
            ended: Timestamp(20),
            handshakes: 17,
            completeness: Completeness::Partial("it stopped answering".to_owned()),
            negotiation: vec![
                (None, NegotiationAnswer::Closed(CloseKind::Fin)),
                (
                    Some(Protocols(3)),
                    NegotiationAnswer::Answered(Answer::Selected { protocol: Protocols(2), flags: ResponseFlags(31) }),
                ),
                (Some(Protocols(0)), NegotiationAnswer::Answered(Answer::Failure(FailureCode(5)))),
                (Some(Protocols(8)), NegotiationAnswer::Silence),
            ],
            versions: vec![
                VersionAbility {
                    version: TlsVersion::TLS12,
                    reaction: hello.clone(),
                    suites: vec![CipherSuite(0xc030), CipherSuite(0x9999)],
                    host_order: true,
                    complete: true,
                },
                VersionAbility {
                    version: TlsVersion::TLS10,
                    reaction: Reaction::Alert(AlertDescription(70)),
                    suites: vec![],
                    host_order: false,
                    complete: true,
                },
            ],
            groups: vec![NamedGroup(29)],
            refused_groups: vec![NamedGroup(0x11ec)],
            signature_schemes: vec![SignatureScheme(0x0804)],
            certificate: Some(CertificateFacts {
                subject: "CN=\"rds07\"\n".to_owned(),
                not_after: 1_772_323_200,
                sha256: [0xab; 32],
                key_bits: 2048,
                ..CertificateFacts::default()
            }),
            credssp: Some(CredsspFacts {
                version: 6,
                target: vec![("NbComputerName".to_owned(), "RDS07".to_owned())],
                host_time: Some(Timestamp(5)),
            }),
            hello_sizes: vec![(300, hello), (1500, closed), (3000, Reaction::Silence)],
            ..HostProfile::default()
        }
    }

    #[test]
    fn what_is_kept_is_what_was_known() {
        let directory = Directory::new("round-trip");
        let store = Store::new(&directory.0);
        assert_eq!(store.load(), []);
        store.save(&[kept()]);
        assert_eq!(store.load(), [kept()]);
    }

    #[test]
    fn a_profile_in_the_record_of_a_client_has_the_replay_of_its_hello_and_the_file_has_not() {
        let changes = [
            LadderChange::AsSent,
            LadderChange::Versions(vec![TlsVersion::TLS12]),
            LadderChange::AllSuites,
            LadderChange::AllGroups,
            LadderChange::AllSignatureSchemes,
            LadderChange::OnlyAuth("RSA"),
            LadderChange::OnlyAuth("ECDSA"),
            LadderChange::Size(1_500),
            LadderChange::Without13,
            LadderChange::Everything,
        ];
        let ladder = changes.map(|change| LadderStep { change, reaction: Reaction::Silence }).to_vec();
        let whole = Arc::new(HostProfile { ladder, ..profile() });
        let target = kept().target;
        assert_eq!(read_written(written(target, &whole).unwrap()), Some(Arc::clone(&whole)));
        let directory = Directory::new("ladder");
        let store = Store::new(&directory.0);
        store.save(&[Kept { profile: whole, ..kept() }]);
        assert_eq!(store.load(), [kept()]);
    }

    #[test]
    fn a_damaged_file_is_refused_whole_wherever_it_is_damaged() {
        let directory = Directory::new("damaged");
        let store = Store::new(&directory.0);
        store.save(&[kept()]);
        let whole = fs::read(&store.path).unwrap();
        for at in (0..whole.len()).step_by(7) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(&store.path, &bytes).unwrap();
            assert_eq!(store.load(), [], "byte {at} changed");
            fs::write(&store.path, &whole[..at]).unwrap();
            assert_eq!(store.load(), [], "cut at {at}");
        }
        assert!(!store.path.exists(), "set aside, so that it is said once");
        assert!(store.path.with_extension("json.refused").exists());
        store.save(&[kept()]);
        assert_eq!(store.load().len(), 1, "and the next probe begins anew");
    }

    #[test]
    fn a_directory_that_cannot_be_written_stops_nothing() {
        let store = Store::new(Path::new("/nonexistent/rdpscope"));
        store.save(&[kept()]);
        assert_eq!(store.load(), []);
    }
}
