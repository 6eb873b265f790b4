//! A certificate and its key out of a PKCS#12 file, as Windows exports them (`.pfx`). RFC 7292

use super::pem;
use openssl::pkcs12::{ParsedPkcs12_2, Pkcs12};
use openssl::provider::Provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;

/// Leaf first, and its key.
pub(crate) type Contents = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Reads `path`. The password is the first line of `password_file`, or none.
///
/// # Errors
/// The file, and what is wrong with it.
pub(crate) fn read(path: &Path, password_file: Option<&Path>) -> Result<Contents, String> {
    let named = |what: &str| format!("{}: {what}", path.display());
    pem::keep_secret(path)?;
    let bytes = pem::read(path)?;
    let password = match password_file {
        Some(file) => password(file)?,
        None => String::new(),
    };
    let file = Pkcs12::from_der(&bytes)
        .map_err(|_| named("not PKCS#12: DER is expected, as `openssl pkcs12 -export` and Windows write it"))?;
    let parsed = open(&file, &password).map_err(|why| match (why, password_file) {
        (Why::Password, Some(file)) => named(&format!("the password in {} does not open it", file.display())),
        (Why::Password, None) => named("it has a password: name a file with it in `password_file`"),
        (Why::Other(words), _) => named(&words),
    })?;
    let key = parsed.pkey.ok_or_else(|| named("no private key in it: export it again, with the key"))?;
    let leaf = parsed.cert.ok_or_else(|| named("no certificate in it that belongs to its key"))?;
    let der = |certificate: &openssl::x509::X509Ref| certificate.to_der().map(CertificateDer::from);
    let chain: Result<Vec<_>, _> = std::iter::once(der(&leaf)).chain(parsed.ca.iter().flatten().map(der)).collect();
    let key = key.private_key_to_pkcs8().map_err(|error| named(&error.to_string()))?;
    let key = PrivateKeyDer::try_from(key).map_err(named)?;
    Ok((chain.map_err(|error| named(&error.to_string()))?, key))
}

enum Why {
    Password,
    Other(String),
}

fn open(file: &Pkcs12, password: &str) -> Result<ParsedPkcs12_2, Why> {
    let first = match file.parse2(password) {
        Ok(parsed) => return Ok(parsed),
        Err(errors) => errors,
    };
    let said = |errors: &openssl::error::ErrorStack, word: &str| {
        errors.errors().iter().any(|error| error.reason().is_some_and(|reason| reason.contains(word)))
    };
    if said(&first, "mac verify failure") {
        return Err(Why::Password);
    }
    // Exports of Windows before 2019 are encrypted with RC2, which is in this provider alone; it is loaded for as long.
    let Ok(_legacy) = Provider::try_load(None, "legacy", true) else { return Err(Why::Other(first.to_string())) };
    file.parse2(password).map_err(|errors| Why::Other(errors.to_string()))
}

/// The first line, without what ends it.
fn password(file: &Path) -> Result<String, String> {
    pem::keep_secret(file)?;
    let bytes = pem::read(file)?;
    let text = String::from_utf8(bytes).map_err(|_| format!("{}: the password is not UTF-8", file.display()))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;
    use std::process::Command;

    struct Files(PathBuf);

    impl Files {
        fn new(name: &str) -> Files {
            let path = std::env::temp_dir().join(format!("rdpscope-pkcs12-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&path);
            std::fs::create_dir_all(&path).expect("a directory");
            Files(path)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }

        fn secret(&self, name: &str, bytes: &[u8]) -> PathBuf {
            let path = self.path(name);
            std::fs::write(&path, bytes).expect("written");
            std::fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("mode");
            path
        }

        fn openssl(&self, arguments: &str) {
            let output =
                Command::new("openssl").current_dir(&self.0).args(arguments.split(' ')).output().expect("openssl");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    }

    impl Drop for Files {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn exports_of_today_and_of_old_windows_are_read() {
        let files = Files::new("good");
        files.openssl("req -x509 -newkey rsa:2048 -nodes -keyout key -out cert -days 9 -subj /CN=host.test");
        let password = files.secret("password", b"correct horse\nnot this line");
        // `-legacy`: RC2 for the certificate and 3DES for the key.
        for (name, how) in [("new", ""), ("old", " -legacy")] {
            files.openssl(&format!("pkcs12 -export{how} -inkey key -in cert -out {name} -passout file:password"));
            std::fs::set_permissions(files.path(name), Permissions::from_mode(0o600)).expect("mode");
            let (chain, key) =
                read(&files.path(name), Some(&password)).unwrap_or_else(|words| panic!("{name}: {words}"));
            assert_eq!(chain, pem::certificates(&files.path("cert")).expect("the certificate"));
            assert!(rcgen::KeyPair::try_from(&key).is_ok());
        }
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_file() {
        let files = Files::new("bad");
        files.openssl("req -x509 -newkey rsa:2048 -nodes -keyout key -out cert -days 9 -subj /CN=host.test");
        files.openssl("pkcs12 -export -inkey key -in cert -out good -passout pass:right");
        files.openssl("pkcs12 -export -nokeys -in cert -out keyless -passout pass:right");
        for name in ["good", "keyless"] {
            std::fs::set_permissions(files.path(name), Permissions::from_mode(0o600)).expect("mode");
        }
        let (right, wrong) = (files.secret("right", b"right"), files.secret("wrong", b"wrong\n"));
        let garbage = files.secret("garbage", b"-----BEGIN CERTIFICATE-----\n");
        let open = files.path("open");
        std::fs::copy(files.path("good"), &open).expect("a copy");
        std::fs::set_permissions(&open, Permissions::from_mode(0o644)).expect("mode");
        for (file, password, why) in [
            (files.path("good"), Some(&wrong), "does not open it"),
            (files.path("good"), None, "password_file"),
            (files.path("keyless"), Some(&right), "no private key"),
            (garbage, Some(&right), "not PKCS#12"),
            (open, Some(&right), "every user of this machine"),
            (files.path("absent"), Some(&right), "No such file"),
            (files.path("good"), Some(&files.path("nothing")), "nothing: No such file"),
        ] {
            let words = read(&file, password.map(PathBuf::as_path)).err().unwrap_or_default();
            assert!(words.contains(why), "{}: {words}", file.display());
        }
    }
}
