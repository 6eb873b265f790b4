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
    let bytes = text(path)?;
    let certificates: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&bytes).collect();
    certificates.map_err(|error| format!("{}: {}", path.display(), words(&error)))
}

/// The private key of a file that others cannot read.
pub(crate) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    keep_secret(path)?;
    let bytes = text(path)?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
        pem::Error::NoItemsFound if find(&bytes, b"ENCRYPTED PRIVATE KEY") => format!(
            "{}: the key is encrypted; decrypt it (`openssl pkey -in FILE -out FILE`) and let only the service read it",
            path.display()
        ),
        pem::Error::NoItemsFound => {
            format!("{}: no private key in it; a PEM block `BEGIN PRIVATE KEY` is expected", path.display())
        }
        error => format!("{}: {}", path.display(), words(&error)),
    })
}

/// What the reader of PEM shows as bytes.
fn words(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { end_marker } => {
            let what = String::from_utf8_lossy(end_marker).replace(char::is_control, "\u{fffd}");
            format!("it is cut off: the line `-----END {what}-----` is missing")
        }
        pem::Error::IllegalSectionStart { .. } => "not PEM: a line `-----BEGIN` does not end in `-----`".to_owned(),
        error => format!("not PEM: {error}"),
    }
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

/// The text of a file, without the mark that some editors of Windows put before it.
fn text(path: &Path) -> Result<Vec<u8>, String> {
    const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
    let mut bytes = read(path)?;
    if bytes.starts_with(BYTE_ORDER_MARK) {
        bytes.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(bytes)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_passed_over_and_a_file_that_is_cut_off_is_told_so() {
        let path = std::env::temp_dir().join(format!("rdpscope-pem-{}.pem", std::process::id()));
        let whole = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        std::fs::write(&path, format!("\u{feff}{whole}")).expect("written");
        assert_eq!(certificates(&path).expect("PEM").len(), 1);
        std::fs::write(&path, &whole[..40]).expect("written");
        let why = certificates(&path).expect_err("cut off");
        assert!(why.ends_with(".pem: it is cut off: the line `-----END CERTIFICATE-----` is missing"), "{why}");
        std::fs::remove_file(&path).expect("removed");
    }
}
