//! Code points of groups, signature schemes, extensions, alerts, handshake messages and records, with their IANA names.

use super::{is_grease, name_and_number};
use core::fmt;

/// A `supported_groups` code point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct NamedGroup(pub u16);

/// A `signature_algorithms` code point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SignatureScheme(pub u16);

/// An extension type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ExtensionType(pub u16);

/// Alert level byte. RFC 5246 7.2
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct AlertLevel(pub u8);

/// Alert description byte. RFC 8446 6
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct AlertDescription(pub u8);

/// Type of a handshake message. RFC 8446 4
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct HandshakeType(pub u8);

/// Type of a record. RFC 8446 5.1
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ContentType(pub u8);

/// The constants and `name` of a newtype, from one list.
macro_rules! named {
    ($type:ident { $($constant:ident = $code:literal, $name:literal;)+ } { $($code2:literal, $name2:literal;)* }) => {
        impl $type {
            $(#[doc = concat!("`", $name, "`")] pub const $constant: $type = $type($code);)+

            /// IANA name.
            #[must_use]
            pub fn name(self) -> Option<&'static str> {
                Some(match self.0 {
                    $($code => $name,)+
                    $($code2 => $name2,)*
                    _ => return None,
                })
            }
        }
    };
}

named!(NamedGroup {
    SECP256R1 = 23, "secp256r1";
    SECP384R1 = 24, "secp384r1";
    SECP521R1 = 25, "secp521r1";
    X25519 = 29, "x25519";
    X448 = 30, "x448";
    X25519_MLKEM768 = 0x11ec, "X25519MLKEM768";
} {
    1, "sect163k1"; 2, "sect163r1"; 3, "sect163r2"; 4, "sect193r1"; 5, "sect193r2"; 6, "sect233k1"; 7, "sect233r1";
    8, "sect239k1"; 9, "sect283k1"; 10, "sect283r1"; 11, "sect409k1"; 12, "sect409r1"; 13, "sect571k1";
    14, "sect571r1"; 15, "secp160k1"; 16, "secp160r1"; 17, "secp160r2"; 18, "secp192k1"; 19, "secp192r1";
    20, "secp224k1"; 21, "secp224r1"; 22, "secp256k1"; 26, "brainpoolP256r1"; 27, "brainpoolP384r1";
    28, "brainpoolP512r1"; 31, "brainpoolP256r1tls13"; 32, "brainpoolP384r1tls13"; 33, "brainpoolP512r1tls13";
    34, "GC256A"; 35, "GC256B"; 36, "GC256C"; 37, "GC256D"; 38, "GC512A"; 39, "GC512B"; 40, "GC512C"; 41, "curveSM2";
    256, "ffdhe2048"; 257, "ffdhe3072"; 258, "ffdhe4096"; 259, "ffdhe6144"; 260, "ffdhe8192";
    512, "MLKEM512"; 513, "MLKEM768"; 514, "MLKEM1024";
    0x11eb, "SecP256r1MLKEM768"; 0x11ed, "SecP384r1MLKEM1024"; 0x6399, "X25519Kyber768Draft00";
    0x639a, "SecP256r1Kyber768Draft00"; 0xff01, "arbitrary_explicit_prime_curves"; 0xff02, "arbitrary_explicit_char2_curves";
});

named!(SignatureScheme {
    RSA_PKCS1_SHA1 = 0x0201, "rsa_pkcs1_sha1";
    RSA_PKCS1_SHA256 = 0x0401, "rsa_pkcs1_sha256";
    RSA_PSS_RSAE_SHA256 = 0x0804, "rsa_pss_rsae_sha256";
    ECDSA_SECP256R1_SHA256 = 0x0403, "ecdsa_secp256r1_sha256";
    ED25519 = 0x0807, "ed25519";
} {
    // RFC 5246 7.4.1.4.1: hash and signature bytes, for the pairs that TLS 1.3 gave no name.
    0x0101, "rsa_md5"; 0x0202, "dsa_sha1"; 0x0203, "ecdsa_sha1"; 0x0301, "rsa_sha224"; 0x0302, "dsa_sha224";
    0x0303, "ecdsa_sha224"; 0x0402, "dsa_sha256"; 0x0502, "dsa_sha384"; 0x0602, "dsa_sha512";
    0x0420, "rsa_pkcs1_sha256_legacy"; 0x0501, "rsa_pkcs1_sha384"; 0x0503, "ecdsa_secp384r1_sha384";
    0x0520, "rsa_pkcs1_sha384_legacy"; 0x0601, "rsa_pkcs1_sha512"; 0x0603, "ecdsa_secp521r1_sha512";
    0x0620, "rsa_pkcs1_sha512_legacy"; 0x0704, "eccsi_sha256"; 0x0705, "iso_ibs1"; 0x0706, "iso_ibs2";
    0x0707, "iso_chinese_ibs"; 0x0708, "sm2sig_sm3"; 0x0709, "gostr34102012_256a"; 0x070a, "gostr34102012_256b";
    0x070b, "gostr34102012_256c"; 0x070c, "gostr34102012_256d"; 0x070d, "gostr34102012_512a"; 0x070e, "gostr34102012_512b";
    0x070f, "gostr34102012_512c"; 0x0805, "rsa_pss_rsae_sha384"; 0x0806, "rsa_pss_rsae_sha512"; 0x0808, "ed448";
    0x0809, "rsa_pss_pss_sha256"; 0x080a, "rsa_pss_pss_sha384"; 0x080b, "rsa_pss_pss_sha512";
    0x081a, "ecdsa_brainpoolP256r1tls13_sha256"; 0x081b, "ecdsa_brainpoolP384r1tls13_sha384";
    0x081c, "ecdsa_brainpoolP512r1tls13_sha512"; 0x0904, "mldsa44"; 0x0905, "mldsa65"; 0x0906, "mldsa87";
});

named!(ExtensionType {
    SERVER_NAME = 0, "server_name";
    SUPPORTED_GROUPS = 10, "supported_groups";
    EC_POINT_FORMATS = 11, "ec_point_formats";
    SIGNATURE_ALGORITHMS = 13, "signature_algorithms";
    ALPN = 16, "application_layer_protocol_negotiation";
    PADDING = 21, "padding";
    EXTENDED_MASTER_SECRET = 23, "extended_main_secret";
    SESSION_TICKET = 35, "session_ticket";
    KEY_SHARE_OF_DRAFTS = 40, "key_share (until TLS 1.3 draft 22)";
    PRE_SHARED_KEY = 41, "pre_shared_key";
    EARLY_DATA = 42, "early_data";
    SUPPORTED_VERSIONS = 43, "supported_versions";
    KEY_SHARE = 51, "key_share";
    ENCRYPTED_CLIENT_HELLO = 0xfe0d, "encrypted_client_hello";
    RENEGOTIATION_INFO = 0xff01, "renegotiation_info";
} {
    1, "max_fragment_length"; 2, "client_certificate_url"; 3, "trusted_ca_keys"; 4, "truncated_hmac"; 5, "status_request";
    6, "user_mapping"; 7, "client_authz"; 8, "server_authz"; 9, "cert_type"; 12, "srp"; 14, "use_srtp"; 15, "heartbeat";
    17, "status_request_v2"; 18, "signed_certificate_timestamp"; 19, "client_certificate_type"; 20, "server_certificate_type";
    22, "encrypt_then_mac"; 24, "token_binding"; 25, "cached_info"; 26, "tls_lts"; 27, "compress_certificate";
    28, "record_size_limit"; 29, "pwd_protect"; 30, "pwd_clear"; 31, "password_salt"; 32, "ticket_pinning";
    33, "tls_cert_with_extern_psk"; 34, "delegated_credential"; 36, "TLMSP"; 37, "TLMSP_proxying"; 38, "TLMSP_delegate";
    39, "supported_ekt_ciphers"; 44, "cookie"; 45, "psk_key_exchange_modes"; 47, "certificate_authorities";
    48, "oid_filters"; 49, "post_handshake_auth"; 50, "signature_algorithms_cert"; 52, "transparency_info";
    54, "connection_id"; 55, "external_id_hash"; 56, "external_session_id"; 57, "quic_transport_parameters";
    58, "ticket_request"; 59, "dnssec_chain"; 60, "sequence_number_encryption_algorithms"; 61, "rrc";
    13172, "next_protocol_negotiation"; 17513, "application_settings"; 17613, "application_settings";
});

named!(AlertDescription {
    CLOSE_NOTIFY = 0, "close_notify";
    HANDSHAKE_FAILURE = 40, "handshake_failure";
    UNKNOWN_CA = 48, "unknown_ca";
    PROTOCOL_VERSION = 70, "protocol_version";
    INSUFFICIENT_SECURITY = 71, "insufficient_security";
    INTERNAL_ERROR = 80, "internal_error";
    INAPPROPRIATE_FALLBACK = 86, "inappropriate_fallback";
    UNRECOGNIZED_NAME = 112, "unrecognized_name";
} {
    1, "end_of_early_data"; 10, "unexpected_message"; 20, "bad_record_mac"; 21, "decryption_failed"; 22, "record_overflow";
    30, "decompression_failure"; 41, "no_certificate"; 42, "bad_certificate"; 43, "unsupported_certificate";
    44, "certificate_revoked"; 45, "certificate_expired"; 46, "certificate_unknown"; 47, "illegal_parameter";
    49, "access_denied"; 50, "decode_error"; 51, "decrypt_error"; 52, "too_many_cids_requested"; 60, "export_restriction";
    90, "user_canceled"; 100, "no_renegotiation"; 109, "missing_extension"; 110, "unsupported_extension";
    111, "certificate_unobtainable"; 113, "bad_certificate_status_response"; 114, "bad_certificate_hash_value";
    115, "unknown_psk_identity"; 116, "certificate_required"; 117, "general_error"; 120, "no_application_protocol";
    121, "ech_required";
});

named!(AlertLevel {
    WARNING = 1, "warning";
    FATAL = 2, "fatal";
} {});

named!(HandshakeType {
    HELLO_REQUEST = 0, "hello_request";
    CLIENT_HELLO = 1, "client_hello";
    SERVER_HELLO = 2, "server_hello";
    NEW_SESSION_TICKET = 4, "new_session_ticket";
    CERTIFICATE = 11, "certificate";
    SERVER_KEY_EXCHANGE = 12, "server_key_exchange";
    CERTIFICATE_REQUEST = 13, "certificate_request";
    SERVER_HELLO_DONE = 14, "server_hello_done";
    CLIENT_KEY_EXCHANGE = 16, "client_key_exchange";
    FINISHED = 20, "finished";
} {
    3, "hello_verify_request"; 5, "end_of_early_data"; 6, "hello_retry_request"; 8, "encrypted_extensions";
    15, "certificate_verify"; 21, "certificate_url"; 22, "certificate_status"; 23, "supplemental_data"; 24, "key_update";
    25, "compressed_certificate"; 254, "message_hash";
});

named!(ContentType {
    CHANGE_CIPHER_SPEC = 20, "change_cipher_spec";
    ALERT = 21, "alert";
    HANDSHAKE = 22, "handshake";
    APPLICATION_DATA = 23, "application_data";
    HEARTBEAT = 24, "heartbeat";
} {});

/// `Display` of 16-bit code points: name and hexadecimal number, `0x5a5a (GREASE)`, or the number alone.
macro_rules! display_u16 {
    ($($type:ident)+) => {$(
        impl $type {
            /// RFC 8701
            #[must_use]
            pub fn is_grease(self) -> bool {
                is_grease(self.0)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                name_and_number(f, self.name(), self.0)
            }
        }
    )+};
}

/// `Display` of one-byte code points: name and decimal number, as specifications and tools print them.
macro_rules! display_u8 {
    ($($type:ident)+) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() {
                    Some(name) => write!(f, "{name} ({})", self.0),
                    None => write!(f, "{}", self.0),
                }
            }
        }
    )+};
}

display_u16!(NamedGroup SignatureScheme ExtensionType);
display_u8!(AlertLevel AlertDescription HandshakeType ContentType);

impl AlertDescription {
    /// Every alert IANA lists, for metrics that start at zero.
    pub fn all() -> impl Iterator<Item = AlertDescription> {
        (0..=u8::MAX).map(AlertDescription).filter(|alert| alert.name().is_some())
    }
}

impl NamedGroup {
    /// A hybrid of ML-KEM and a curve: its key share makes a ClientHello longer than one TCP segment.
    #[must_use]
    pub fn is_post_quantum(self) -> bool {
        matches!(self.0, 512..=514 | 0x11eb..=0x11ed | 0x6399 | 0x639a)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_points_print_name_and_number() {
        assert_eq!(AlertDescription(40).to_string(), "handshake_failure (40)");
        assert_eq!(AlertDescription(200).to_string(), "200");
        assert_eq!(AlertLevel(2).to_string(), "fatal (2)");
        assert_eq!(NamedGroup(0x11ec).to_string(), "X25519MLKEM768 (0x11ec)");
        assert_eq!(NamedGroup(0x2a2a).to_string(), "0x2a2a (GREASE)");
        assert_eq!(SignatureScheme(0x0804).to_string(), "rsa_pss_rsae_sha256 (0x0804)");
        assert_eq!(ExtensionType(0xff01).to_string(), "renegotiation_info (0xff01)");
        assert_eq!(HandshakeType::CLIENT_HELLO.to_string(), "client_hello (1)");
    }

    #[test]
    fn every_alert_of_the_registry_is_listed() {
        assert_eq!(AlertDescription::all().count(), 38);
    }
}
