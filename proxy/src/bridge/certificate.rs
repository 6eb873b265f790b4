//! The pair that a client leg shows: the one configured, checked; or one of our own making, kept and renewed.

use super::pem;
use super::trust::{public_key, public_key_info};
use config::{PairFiles, Upstream};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_RSA_SHA256, PublicKeyData, RsaKeySize};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use time::{Duration, OffsetDateTime};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

/// A certificate of our own lasts a year and a month, which clients still take for one that was meant to end,
const LIFETIME: Duration = Duration::days(397);
/// and is made anew this long before its end.
const RENEWAL: Duration = Duration::days(30);
/// Shorter RSA keys are refused by clients, and by the libraries of either leg.
const LEAST_RSA: usize = 2048;
/// The same for keys on a curve.
const LEAST_EC: usize = 256;

/// What a client leg shows, and proves.
pub(crate) struct Pair {
    /// Leaf first.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// Of the leaf.
    pub(crate) key: PrivateKeyDer<'static>,
    /// The bits that CredSSP binds.
    pub(crate) public_key: Vec<u8>,
    /// The operator has given it: it may be the host's own.
    pub(crate) given: bool,
}

impl Pair {
    /// The pair in `files`, if it can be shown to a client.
    ///
    /// # Errors
    /// The file and what is wrong with it.
    pub(crate) fn load(files: &PairFiles) -> Result<Pair, String> {
        let Some(certificate) = &files.certificate else { return Pair::load_both(files) };
        let chain = pem::certificates(certificate)?;
        let key = pem::private_key(&files.private_key)?;
        Pair::of(chain, key, certificate, &files.private_key)
    }

    #[cfg(feature = "legacy-tls")]
    fn load_both(files: &PairFiles) -> Result<Pair, String> {
        let file = &files.private_key;
        let (chain, key) = super::pkcs12::read(file, files.password_file.as_deref())?;
        Pair::of(chain, key, file, file)
    }

    #[cfg(not(feature = "legacy-tls"))]
    fn load_both(files: &PairFiles) -> Result<Pair, String> {
        let feature = config::LEGACY_FEATURE;
        Err(format!("{}: PKCS#12 needs a build with the feature {feature}", files.private_key.display()))
    }

    /// The same, of what was read already.
    pub(crate) fn of(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        certificate: &Path,
        key_file: &Path,
    ) -> Result<Pair, String> {
        let named = |what: String| format!("{}: {what}", certificate.display());
        let leaf = chain
            .first()
            .ok_or_else(|| named("no certificate in it; a PEM block `BEGIN CERTIFICATE` is expected".to_owned()))?;
        fit_to_show(leaf, OffsetDateTime::now_utc()).map_err(named)?;
        let own = KeyPair::try_from(&key)
            .map_err(|error| format!("{}: this key cannot be used: {error}", key_file.display()))?;
        if public_key_info(leaf) != Some(&own.subject_public_key_info()[..]) {
            return Err(format!(
                "{}: this key does not belong to the certificate in {}; `openssl x509 -pubkey` and `openssl pkey -pubout` show which does",
                key_file.display(),
                certificate.display()
            ));
        }
        let public_key = public_key(leaf).unwrap_or_default();
        Ok(Pair { chain, key, public_key, given: true })
    }

    /// A pair of our own for `host`: the one in `state`, if it is good for a while yet, or a new one, kept there.
    ///
    /// # Errors
    /// Why it could be neither read nor made. A pair that cannot be kept is no error: it is made anew at the next start.
    pub(crate) fn own(host: &Upstream, state: Option<&Path>, now: OffsetDateTime) -> Result<Pair, String> {
        let directory = state.map(|state| state.join("bridge"));
        let file = directory.as_ref().map(|directory| directory.join(file_name(host)));
        if let Some(file) = file.as_deref().filter(|file| file.exists()) {
            match read(file, now) {
                Ok(pair) => return Ok(pair),
                Err(why) => tracing::info!("making a new certificate for {host}: {why}"),
            }
        }
        let (text, pair) = make(host, now).map_err(|error| format!("cannot make a certificate for {host}: {error}"))?;
        if let (Some(directory), Some(file)) = (directory, file)
            && let Err(error) = keep(&directory, &file, &text)
        {
            tracing::warn!("the bridge's certificate for {host} is not kept: {}: {error}", file.display());
        }
        Ok(pair)
    }
}

/// When a certificate of our own is to be made anew.
pub(crate) fn renewal(leaf: &[u8]) -> Option<OffsetDateTime> {
    end(leaf).map(|end| end - RENEWAL)
}

/// Clients refuse it by now.
pub(crate) fn has_ended(leaf: &[u8], now: OffsetDateTime) -> bool {
    end(leaf).is_some_and(|end| end <= now)
}

fn end(leaf: &[u8]) -> Option<OffsetDateTime> {
    let (_, certificate) = X509Certificate::from_der(leaf).ok()?;
    Some(certificate.validity().not_after.to_datetime())
}

/// A certificate that a client would refuse, or that is as good as none, is refused here.
fn fit_to_show(leaf: &[u8], now: OffsetDateTime) -> Result<(), String> {
    let (_, certificate) = X509Certificate::from_der(leaf).map_err(|error| format!("not X.509: {error}"))?;
    let validity = certificate.validity();
    let (from, until) = (validity.not_before.to_datetime(), validity.not_after.to_datetime());
    if until < now {
        return Err(format!("the certificate has expired on {}; clients would refuse it", until.date()));
    }
    if from > now {
        return Err(format!("the certificate is not valid before {}; clients would refuse it", from.date()));
    }
    let weak = |bits: usize, least: usize| {
        Err(format!("the key has {bits} bits, at least {least} are needed: issue a new pair"))
    };
    match certificate.public_key().parsed() {
        Ok(PublicKey::RSA(key)) if key.key_size() < LEAST_RSA => weak(key.key_size(), LEAST_RSA),
        Ok(PublicKey::EC(point)) if point.key_size() < LEAST_EC => weak(point.key_size(), LEAST_EC),
        Ok(PublicKey::DSA(_)) => {
            Err("a DSA key cannot be shown to any current client: issue a pair with RSA".to_owned())
        }
        _ => Ok(()),
    }
}

fn read(file: &Path, now: OffsetDateTime) -> Result<Pair, String> {
    let chain = pem::certificates(file)?;
    let key = pem::private_key(file)?;
    let leaf = chain.first().ok_or_else(|| format!("{}: no certificate in it", file.display()))?;
    fit_to_show(leaf, now)?;
    if renewal(leaf).is_none_or(|renewal| renewal <= now) {
        return Err(format!("{}: it ends soon", file.display()));
    }
    let pair = Pair::of(chain, key, file, file)?;
    Ok(Pair { given: false, ..pair })
}

/// RSA, because every client takes it.
fn make(host: &Upstream, now: OffsetDateTime) -> Result<(String, Pair), rcgen::Error> {
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
    let mut params = CertificateParams::new([host.host.clone()])?;
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, host.host.clone());
    params.distinguished_name = name;
    // A clock that is a little behind ours must not find it from the future.
    params.not_before = now - Duration::days(1);
    params.not_after = now + LIFETIME;
    let certificate = params.self_signed(&key)?;
    let text = format!("{}{}", certificate.pem(), key.serialize_pem());
    let chain = vec![certificate.der().clone()];
    let public_key = public_key(certificate.der()).unwrap_or_default();
    let key = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| rcgen::Error::CouldNotParseKeyPair)?;
    Ok((text, Pair { chain, key, public_key, given: false }))
}

/// Whole or not at all, and never readable by others, not even for a moment.
fn keep(directory: &Path, file: &Path, text: &str) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let new = file.with_extension("new");
    let mut open = OpenOptions::new();
    let mut out = open.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    out.write_all(text.as_bytes())?;
    out.sync_all()?;
    std::fs::rename(new, file)
}

fn file_name(host: &Upstream) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' };
    format!("{}_{}.pem", host.host.chars().map(plain).collect::<String>(), host.port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("rdpscope-bridge-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a directory");
        path
    }

    fn host() -> Upstream {
        Upstream { host: "rds07.example.net".to_owned(), port: 3389 }
    }

    fn secret(path: &Path, text: &str) {
        std::fs::write(path, text).expect("written");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("mode");
    }

    #[test]
    fn a_pair_of_our_own_is_kept_hidden_named_after_the_host_and_renewed_in_time() {
        let state = directory("own");
        let first = Pair::own(&host(), Some(&state), OffsetDateTime::now_utc()).expect("made");
        let again = Pair::own(&host(), Some(&state), OffsetDateTime::now_utc()).expect("kept");
        assert_eq!(first.public_key, again.public_key);
        let file = state.join("bridge/rds07.example.net_3389.pem");
        let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&state.join("bridge")), mode(&file)), (0o700, 0o600));
        let (_, leaf) = X509Certificate::from_der(&first.chain[0]).expect("X.509");
        assert_eq!(leaf.subject().to_string(), "CN=rds07.example.net");

        let late = OffsetDateTime::now_utc() + LIFETIME - RENEWAL + Duration::days(1);
        assert!(read(&file, late).is_err(), "it is made anew before its end");
        std::fs::remove_dir_all(state).expect("removed");
    }

    #[test]
    fn pairs_that_do_not_fit_are_refused_with_file_and_reason() {
        let dir = directory("bad");
        let (text, _) = make(&host(), OffsetDateTime::now_utc()).expect("made");
        let (other, _) = make(&host(), OffsetDateTime::now_utc()).expect("made");
        let (old, _) = make(&host(), OffsetDateTime::now_utc() - Duration::days(500)).expect("made");
        let path = |name: &str| dir.join(name);
        for (name, text) in [("good", &text), ("other", &other), ("old", &old), ("empty", &String::new())] {
            secret(&path(name), text);
        }
        std::fs::write(path("open"), &text).expect("written");
        std::fs::set_permissions(path("open"), std::fs::Permissions::from_mode(0o644)).expect("mode");
        let load = |certificate: &str, key: &str| {
            let files = PairFiles { certificate: Some(path(certificate)), private_key: path(key), password_file: None };
            Pair::load(&files).err().unwrap_or_default()
        };
        assert_eq!(load("good", "good"), "");
        // As systemd hands a key over: to the service's user, or to root with a list of who may read it besides.
        for mode in [0o400, 0o440] {
            std::fs::copy(path("good"), path("handed")).expect("copied");
            std::fs::set_permissions(path("handed"), std::fs::Permissions::from_mode(mode)).expect("mode");
            assert_eq!(load("good", "handed"), "", "{mode:o}");
            std::fs::remove_file(path("handed")).expect("removed");
        }
        for (certificate, key, file, why) in [
            ("good", "other", "other", "does not belong"),
            ("old", "old", "old", "has expired"),
            ("good", "empty", "empty", "no private key"),
            ("empty", "good", "empty", "no certificate"),
            ("good", "open", "open", "every user of this machine"),
            ("absent", "good", "absent", "No such file"),
        ] {
            let said = load(certificate, key);
            assert!(said.contains(why) && said.contains(&path(file).display().to_string()), "{said}");
        }
        std::fs::remove_dir_all(dir).expect("removed");
    }
}
