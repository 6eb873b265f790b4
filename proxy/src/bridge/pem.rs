//! Certificates and keys out of PEM files.

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// No chain and no set of roots is longer.
const MAX_FILE: u64 = 4 << 20;

/// The certificates of a file, in its order.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = read(path)?;
    let certificates: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&bytes).collect();
    certificates.map_err(|error| format!("{}: not PEM: {error}", path.display()))
}

/// The private key of a file that others cannot read.
pub(crate) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    keep_secret(path)?;
    let bytes = read(path)?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
        pem::Error::NoItemsFound if find(&bytes, b"ENCRYPTED PRIVATE KEY") => format!(
            "{}: the key is encrypted; decrypt it (`openssl pkey -in FILE -out FILE`) and let only the service read it",
            path.display()
        ),
        pem::Error::NoItemsFound => {
            format!("{}: no private key in it; a PEM block `BEGIN PRIVATE KEY` is expected", path.display())
        }
        error => format!("{}: not PEM: {error}", path.display()),
    })
}

/// A secret that everybody on the machine can read is none.
pub(crate) fn keep_secret(path: &Path) -> Result<(), String> {
    let mode = std::fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))?.permissions().mode();
    if mode & 0o007 != 0 {
        let mode = mode & 0o777;
        return Err(format!(
            "{}: every user of this machine can read this key (mode {mode:o}): `chmod 600` it, and make a new one if others were here",
            path.display()
        ));
    }
    Ok(())
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes));
    read.map_err(|error| format!("{}: {error}", path.display()))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("{}: larger than any certificate: is this the right file?", path.display()));
    }
    Ok(bytes)
}

fn find(bytes: &[u8], words: &[u8]) -> bool {
    bytes.windows(words.len()).any(|window| window == words)
}
