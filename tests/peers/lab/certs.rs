//! Certificates and keys of the lab's hosts, made anew for each run by the system's `openssl`.

use super::run;
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The name every certificate carries. Clients connect to an address, so it never matches.
pub(crate) const HOST_NAME: &str = "rdp-host.lab.test";

/// Lets OpenSSL peers speak TLS 1.0 and accept SHA-1 and short keys, as hosts of 2008 do.
const LEGACY_OPENSSL: &str = "openssl_conf = init\n[init]\nssl_conf = ssl\n[ssl]\nsystem_default = defaults\n\
    [defaults]\nMinProtocol = TLSv1\nCipherString = ALL:@SECLEVEL=0\n";

/// Leaves OpenSSL peers nothing but TLS 1.3.
const ONLY_13: &str = "openssl_conf = init\n[init]\nssl_conf = ssl\n[ssl]\nsystem_default = defaults\n\
    [defaults]\nProtocol = ALL,-TLSv1,-TLSv1.1,-TLSv1.2\n";

/// Peers of one kind: the file, what of `Protocol` is left out, and the suites below TLS 1.3.
const ONE_KIND: [(&str, &str, &str); 4] = [
    ("only10.cnf", "-TLSv1.1,-TLSv1.2,-TLSv1.3", "ALL"),
    ("only11.cnf", "-TLSv1,-TLSv1.2,-TLSv1.3", "ALL"),
    ("only12aead.cnf", "-TLSv1,-TLSv1.1,-TLSv1.3", "ECDHE-RSA-AES256-GCM-SHA384"),
    ("only12cbc.cnf", "-TLSv1,-TLSv1.1,-TLSv1.3", "AES128-SHA"),
];

/// A client whose hello says that it will have nothing below TLS 1.2.
const FROM_12: &str = "openssl_conf = init\n[init]\nssl_conf = ssl\n[ssl]\nsystem_default = defaults\n\
    [defaults]\nProtocol = ALL,-TLSv1,-TLSv1.1\n";

/// `openssl req -x509` takes no dates; `openssl ca` does, and wants a small database.
const CA: &str = "[ca]\ndefault_ca = lab\n[lab]\ndatabase = index.txt\nserial = serial\nnew_certs_dir = .\n\
    unique_subject = no\ndefault_md = sha256\npolicy = any\n[any]\ncommonName = supplied\n";

/// Writes into `dir`: `rsa ec rsa1024 sha1 clientonly expired future` as `.crt`, their `.key` (the last two have that of `rsa`),
/// `other.key` that fits no certificate, `garbage.key` that is no key, `legacy.cnf`, `only13.cnf`, `from12.cnf`
/// and one for each kind of peer in [`ONE_KIND`].
pub(crate) fn make(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir)?;
    fs::write(dir.join("legacy.cnf"), LEGACY_OPENSSL)?;
    fs::write(dir.join("only13.cnf"), ONLY_13)?;
    for (file, without, suites) in ONE_KIND {
        let head = "openssl_conf = init\n[init]\nssl_conf = ssl\n[ssl]\nsystem_default = defaults\n[defaults]";
        let text = format!("{head}\nProtocol = ALL,{without}\nCipherString = {suites}:@SECLEVEL=0\n");
        fs::write(dir.join(file), text)?;
    }
    fs::write(dir.join("from12.cnf"), FROM_12)?;
    fs::write(dir.join("garbage.key"), "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")?;
    self_signed(dir, "rsa", &["-newkey", "rsa:2048"])?;
    self_signed(dir, "ec", &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])?;
    self_signed(dir, "rsa1024", &["-newkey", "rsa:1024"])?;
    self_signed(dir, "sha1", &["-newkey", "rsa:2048", "-sha1"])?;
    self_signed(dir, "clientonly", &["-newkey", "rsa:2048", "-addext", "extendedKeyUsage=clientAuth"])?;
    openssl(dir, &["genrsa", "-out", "other.key", "2048"])?;
    fs::write(dir.join("ca.cnf"), CA)?;
    fs::write(dir.join("index.txt"), "")?;
    fs::write(dir.join("serial"), "01\n")?;
    dated(dir, "expired", "20200101000000Z", "20200701000000Z")?;
    dated(dir, "future", "20480101000000Z", "20480701000000Z")
}

fn self_signed(dir: &Path, name: &str, key: &[&str]) -> Result<()> {
    let subject = format!("/CN={HOST_NAME}");
    let (key_file, certificate) = (format!("{name}.key"), format!("{name}.crt"));
    let mut args = vec!["req", "-x509", "-nodes", "-days", "365", "-subj", &subject];
    args.extend_from_slice(key);
    args.extend_from_slice(&["-keyout", &key_file, "-out", &certificate]);
    openssl(dir, &args)
}

fn dated(dir: &Path, name: &str, from: &str, until: &str) -> Result<()> {
    let subject = format!("/CN={HOST_NAME}");
    let (request, certificate) = (format!("{name}.csr"), format!("{name}.crt"));
    openssl(dir, &["req", "-new", "-key", "rsa.key", "-subj", &subject, "-out", &request])?;
    let issue = ["ca", "-batch", "-config", "ca.cnf", "-selfsign", "-keyfile", "rsa.key", "-in", &request];
    openssl(dir, &[&issue[..], &["-out", &certificate, "-startdate", from, "-enddate", until, "-notext"]].concat())
}

fn openssl(dir: &Path, args: &[&str]) -> Result<()> {
    let mut command = Command::new("openssl");
    command.current_dir(dir).args(args);
    run(&mut command).with_context(|| format!("openssl {}", args.join(" ")))?;
    Ok(())
}
