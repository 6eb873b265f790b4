//! What a legacy leg may speak: versions, suites, groups, the pair it shows.
//!
//! Each context belongs to one host's rules, and its security level with it: nothing is weakened for anybody else.
//! Renegotiation and compression are off. RC4, NULL, export and anonymous suites are in no list; 3DES only where it is
//! written out.

use super::{place_of_keys, words};
use crate::sys::ResumingContext;
use config::{BridgeRules, Ciphers};
use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::ssl::{SslContext, SslContextBuilder, SslMethod, SslMode, SslOptions, SslVersion};
use openssl::x509::X509;
use parser::wire::{CipherSuite, TlsVersion};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Modern suites first, then forward secret CBC, then RSA key exchange.
const DEFAULT: &str = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:ECDHE+AES:DHE+AES:kRSA+AESGCM:kRSA+AES";
/// What no list may bring in by an alias.
const NEVER: &str = "!aNULL:!eNULL:!EXPORT:!RC4:!MD5:!DES:!PSK:!SRP:!kDH:!aDSS";
/// The groups that a host leg offers, as the modern one does.
const GROUPS: &str = "X25519:P-256:P-384";

/// How a client leg answers. `keys`: its secrets may be kept.
///
/// # Errors
/// What OpenSSL finds wrong with certificate, key or versions.
pub(crate) fn server(
    rules: &BridgeRules,
    chain: &[CertificateDer<'static>],
    key: &PrivateKeyDer<'static>,
    keys: bool,
) -> Result<SslContext, String> {
    let mut builder = context(SslMethod::tls_server(), &rules.client_versions, keys).map_err(words)?;
    builder.set_cipher_list(&format!("{DEFAULT}:!3DES:{NEVER}")).map_err(words)?;
    builder.set_options(SslOptions::CIPHER_SERVER_PREFERENCE);
    let (leaf, rest) = chain.split_first().ok_or("no certificate for the client leg")?;
    builder.set_certificate(X509::from_der(leaf).map_err(words)?.as_ref()).map_err(words)?;
    for issuer in rest {
        builder.add_extra_chain_cert(X509::from_der(issuer).map_err(words)?).map_err(words)?;
    }
    builder.set_private_key(PKey::private_key_from_der(key.secret_der()).map_err(words)?.as_ref()).map_err(words)?;
    builder.check_private_key().map_err(words)?;
    Ok(builder.build())
}

/// How a host leg asks. `keys` as for [`server`].
///
/// # Errors
/// A suite that this OpenSSL does not have, by name.
pub(crate) fn client(rules: &BridgeRules, keys: bool) -> Result<ResumingContext, String> {
    let mut builder = context(SslMethod::tls_client(), &rules.host_versions, keys).map_err(words)?;
    match &rules.host_ciphers {
        Ciphers::Default => builder.set_cipher_list(&format!("{DEFAULT}:!3DES:{NEVER}")).map_err(words)?,
        Ciphers::Named(named) => named_suites(&mut builder, named)?,
    }
    builder.set_groups_list(GROUPS).map_err(words)?;
    Ok(ResumingContext::new(builder))
}

fn context(method: SslMethod, versions: &[TlsVersion], keys: bool) -> Result<SslContextBuilder, ErrorStack> {
    let mut builder = SslContext::builder(method)?;
    builder.set_min_proto_version(versions.iter().min().copied().and_then(version))?;
    builder.set_max_proto_version(versions.iter().max().copied().and_then(version))?;
    // TLS 1.0 and 1.1 sign with MD5 and SHA-1, which only level 0 takes.
    let old = versions.iter().any(|version| *version < TlsVersion::TLS12);
    builder.set_security_level(u32::from(!old));
    builder.set_options(SslOptions::NO_RENEGOTIATION | SslOptions::NO_COMPRESSION | SslOptions::SINGLE_ECDH_USE);
    // An idle session holds no record.
    builder.set_mode(SslMode::RELEASE_BUFFERS);
    builder.set_num_tickets(1)?;
    // It belongs to all connections of a context; those without keys let every line go.
    if keys {
        builder.set_keylog_callback(|ssl, line| {
            if let Some(keys) = place_of_keys().and_then(|place| ssl.ex_data(place)) {
                keys.line(line);
            }
        });
    }
    Ok(builder)
}

fn version(version: TlsVersion) -> Option<SslVersion> {
    match version {
        TlsVersion::TLS10 => Some(SslVersion::TLS1),
        TlsVersion::TLS11 => Some(SslVersion::TLS1_1),
        TlsVersion::TLS12 => Some(SslVersion::TLS1_2),
        TlsVersion::TLS13 => Some(SslVersion::TLS1_3),
        _ => None,
    }
}

/// Exactly these suites, in this order.
fn named_suites(builder: &mut SslContextBuilder, named: &[CipherSuite]) -> Result<(), String> {
    let (mut of_13, mut older) = (Vec::new(), Vec::new());
    for suite in named {
        let info = suite.info().ok_or_else(|| format!("no suite has the number {suite}"))?;
        if info.fits(TlsVersion::TLS13) {
            of_13.push(info.name);
            continue;
        }
        let own = openssl::ssl::cipher_name(info.name);
        let known = own != "(NONE)" && builder.set_cipher_list(&format!("{own}:{NEVER}")).is_ok();
        if !known {
            return Err(format!("this build's OpenSSL does not have the suite {}", info.name));
        }
        older.push(own);
    }
    builder.set_ciphersuites(&of_13.join(":")).map_err(words)?;
    if older.is_empty() {
        return Ok(());
    }
    builder.set_cipher_list(&format!("{}:{NEVER}", older.join(":"))).map_err(words)
}
