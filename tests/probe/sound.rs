//! The prober's lists are those of an exhaustive enumeration, host by host.

use crate::host::{Host, peers_wanted};
use crate::{exhaustive, probe};
use parser::profile::{Completeness, HostProfile, Reaction, VERSIONS};
use parser::session::Answer;
use parser::wire::{CipherSuite, NamedGroup, SuiteClass, TlsVersion};
use rdpscope::probe::ask::Ask;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Probes `host`, compares suites and groups with the slow way, and prints what it cost.
fn compared(name: &str, mut host: Host) -> HostProfile {
    let begun = Instant::now();
    let profile = probe(host.address, |_| ());
    let took = begun.elapsed();
    let connections = host.connections.load(Ordering::Relaxed);
    assert_eq!(profile.completeness, Completeness::Complete, "{name}");
    assert!(connections == 0 || connections == u32::from(profile.handshakes), "{name}: {connections}");
    let mut slow = 0;
    for version in VERSIONS {
        let ability = profile.ability(version).unwrap_or_else(|| panic!("{name}: {version} was not asked"));
        let mut found: Vec<u16> = ability.suites.iter().map(|suite| suite.0).collect();
        found.sort_unstable();
        let all = exhaustive::suites(host.address, version);
        let name_of = |codes: &[u16]| codes.iter().map(|code| CipherSuite(*code).to_string()).collect::<Vec<_>>();
        assert_eq!(name_of(&found), name_of(&all), "{name}: {version}");
        assert!(ability.complete, "{name}: {version}");
        slow += all.len();
    }
    let newest = profile.versions.iter().find(|ability| ability.accepted());
    if let Some(newest) = newest.filter(|newest| newest.version >= TlsVersion::TLS12) {
        let of_curve =
            |suite: &&CipherSuite| suite.info().is_some_and(|suite| ["any", "ECDHE"].contains(&suite.key_exchange));
        let suites: Vec<CipherSuite> = newest.suites.iter().filter(of_curve).copied().collect();
        let all = exhaustive::groups(host.address, newest.version, &suites);
        for code in if suites.is_empty() { vec![] } else { all } {
            assert!(
                profile.groups.contains(&NamedGroup(code)),
                "{name}: group {} in {}",
                NamedGroup(code),
                newest.version
            );
        }
    }
    assert!(host.is_alive(), "{name}: the host did not survive");
    println!("{name}: {} connections, {} ms, {slow} suites", profile.handshakes, took.as_millis());
    profile
}

fn accepted(profile: &HostProfile) -> Vec<&'static str> {
    profile.versions.iter().filter(|ability| ability.accepted()).filter_map(|ability| ability.version.name()).collect()
}

fn suites(profile: &HostProfile, version: TlsVersion) -> Vec<&'static str> {
    let ability = profile.ability(version).expect("asked");
    ability.suites.iter().filter_map(|suite| suite.name()).collect()
}

#[test]
fn openssl_as_it_comes() {
    if peers_wanted() {
        let profile = compared("openssl, RSA", Host::openssl("rsa", &["-cipher", "DEFAULT:@SECLEVEL=1"]));
        assert_eq!(accepted(&profile), ["1.3", "1.2"]);
        assert!(
            profile.groups.contains(&NamedGroup::X25519)
                && profile.refused_groups.contains(&NamedGroup::X25519_MLKEM768)
        );
        let certificate = profile.certificate.expect("TLS 1.2 shows it");
        assert_eq!(
            (certificate.key_algorithm.as_str(), certificate.key_bits, certificate.self_issued),
            ("RSA", 2048, true)
        );
        assert!(profile.handshakes < 65, "{}", profile.handshakes);
        assert_eq!(profile.hello_sizes.len(), 1);
    }
}

#[test]
fn openssl_with_an_ecdsa_key() {
    if peers_wanted() {
        let profile = compared("openssl, ECDSA", Host::openssl("ec", &[]));
        let certificate = profile.certificate.as_ref().expect("TLS 1.2 shows it");
        assert_eq!((certificate.key_algorithm.as_str(), certificate.key_bits), ("ECDSA", 256));
        assert!(suites(&profile, TlsVersion::TLS12).iter().all(|name| name.contains("_ECDSA_")));
        assert!(profile.groups.contains(&NamedGroup::SECP384R1));
    }
}

#[test]
fn openssl_with_all_it_has_and_two_keys() {
    if peers_wanted() {
        let (certificate, key) = (crate::host::certificate("ec", "crt"), crate::host::certificate("ec", "key"));
        let (certificate, key) = (certificate.to_string_lossy(), key.to_string_lossy());
        let all = "ALL:COMPLEMENTOFALL:eNULL:aNULL:@SECLEVEL=0";
        let options = ["-cipher", all, "-dcert", &certificate, "-dkey", &key];
        let profile = compared("openssl, all, two keys", Host::openssl("rsa", &options));
        assert_eq!(accepted(&profile), ["1.3", "1.2", "1.1", "1.0"]);
        let broken = |suite: &CipherSuite| suite.class() == Some(SuiteClass::Broken);
        assert!(
            profile
                .versions
                .iter()
                .all(|ability| !ability.accepted() || ability.version.is_tls13() || ability.suites.iter().any(broken))
        );
        assert!(profile.certificate.is_some() && profile.second_certificate.is_some());
    }
}

#[test]
fn a_host_that_keeps_its_own_order_shows_it() {
    if peers_wanted() {
        let list = "ECDHE-RSA-AES128-SHA:ECDHE-RSA-AES256-GCM-SHA384:AES128-SHA:ECDHE-RSA-AES128-GCM-SHA256";
        let profile =
            compared("openssl, own order", Host::openssl("rsa", &["-serverpref", "-tls1_2", "-cipher", list]));
        let expected = [
            "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
            "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
            "TLS_RSA_WITH_AES_128_CBC_SHA",
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        ];
        assert_eq!(suites(&profile, TlsVersion::TLS12), expected);
        assert!(profile.ability(TlsVersion::TLS12).is_some_and(|ability| ability.host_order));
        assert!(
            matches!(profile.ability(TlsVersion::TLS13).map(|a| &a.reaction), Some(Reaction::Alert(alert)) if alert.0 == 70)
        );
    }
}

#[test]
fn a_host_with_one_group() {
    if peers_wanted() {
        let profile = compared("openssl, P-384 alone", Host::openssl("rsa", &["-groups", "P-384"]));
        assert_eq!(profile.groups, [NamedGroup::SECP384R1]);
        assert!(
            profile.refused_groups.contains(&NamedGroup::X25519)
                && profile.refused_groups.contains(&NamedGroup::SECP256R1)
        );
    }
}

#[test]
fn hosts_with_finite_field_groups_alone() {
    if peers_wanted() {
        let openssl = compared("openssl, ffdhe3072 alone", Host::openssl("rsa", &["-tls1_3", "-groups", "ffdhe3072"]));
        assert_eq!(openssl.groups, [NamedGroup(0x0101)]);
        let gnutls = compared("gnutls, ffdhe2048 alone", Host::gnutls("rsa", "NORMAL:-GROUP-ALL:+GROUP-FFDHE2048"));
        assert_eq!(accepted(&gnutls)[0], "1.3");
        assert_eq!(suites(&gnutls, TlsVersion::TLS13).len(), 4);
    }
}

#[test]
fn a_host_whom_ordinary_clients_do_not_suit_has_no_fault_for_that() {
    if peers_wanted() {
        let host = Host::openssl("rsa", &["-tls1_2", "-cipher", "ECDHE", "-groups", "X448"]);
        let report = crate::command::text(host.address, &[]);
        assert!(report.contains("all at once    refused: alert"), "{report}");
        assert!(!report.contains("tls13_middlebox_intolerance"), "{report}");
    }
}

#[test]
fn a_host_with_tls_1_0_alone() {
    if peers_wanted() {
        let profile = compared("openssl, TLS 1.0", Host::openssl("rsa", &["-tls1", "-cipher", "ALL:@SECLEVEL=0"]));
        assert_eq!(accepted(&profile), ["1.0"]);
    }
}

#[test]
fn a_host_with_dhe_alone() {
    if peers_wanted() {
        let options = ["-tls1_2", "-cipher", "DHE-RSA-AES256-GCM-SHA384:DHE-RSA-AES128-SHA"];
        let profile = compared("openssl, DHE", Host::openssl("rsa", &options));
        let all = suites(&profile, TlsVersion::TLS12);
        assert_eq!(all, ["TLS_DHE_RSA_WITH_AES_256_GCM_SHA384", "TLS_DHE_RSA_WITH_AES_128_CBC_SHA"]);
        assert!(!profile.signature_schemes.is_empty() && profile.groups.is_empty());
    }
}

#[test]
fn a_host_with_tls_1_3_alone() {
    if peers_wanted() {
        let profile = compared("openssl, TLS 1.3", Host::openssl("ec", &["-tls1_3"]));
        assert_eq!((accepted(&profile), profile.certificate.is_none()), (vec!["1.3"], true));
        assert!(profile.signature_schemes.iter().any(|scheme| scheme.name() == Some("ecdsa_secp256r1_sha256")));
        assert!(profile.signature_schemes.iter().all(|scheme| scheme.0 & 0xff == 3), "{:?}", profile.signature_schemes);
    }
}

#[test]
fn weak_certificates_are_read() {
    if peers_wanted() {
        let host = Host::openssl("rsa1024", &["-cipher", "AES128-SHA:@SECLEVEL=0"]);
        let short = probe(host.address, |_| ()).certificate.expect("in clear");
        assert_eq!(short.key_bits, 1024);
        let host = Host::openssl("sha1", &["-cipher", "AES128-SHA:@SECLEVEL=0"]);
        let signed = probe(host.address, |_| ()).certificate.expect("in clear");
        assert_eq!(signed.signature_algorithm, "sha1WithRSAEncryption");
    }
}

#[test]
fn gnutls_as_it_comes() {
    if peers_wanted() {
        let profile = compared("gnutls, NORMAL", Host::gnutls("rsa", "NORMAL"));
        assert!(accepted(&profile).starts_with(&["1.3", "1.2"]));
    }
}

#[test]
fn gnutls_with_rc4_and_3des_in_its_own_order() {
    if peers_wanted() {
        let priority = "NONE:+VERS-TLS1.2:+VERS-TLS1.1:+VERS-TLS1.0:+ARCFOUR-128:+3DES-CBC:+AES-128-CBC:+MD5:+SHA1:+RSA:\
                        +DHE-RSA:+COMP-NULL:+SIGN-ALL:+GROUP-ALL:%SERVER_PRECEDENCE";
        let profile = compared("gnutls, RC4 and 3DES", Host::gnutls("rsa", priority));
        assert_eq!(accepted(&profile), ["1.2", "1.1", "1.0"]);
        let old = suites(&profile, TlsVersion::TLS10);
        assert!(
            old.contains(&"TLS_RSA_WITH_RC4_128_SHA") && old.contains(&"TLS_DHE_RSA_WITH_3DES_EDE_CBC_SHA"),
            "{old:?}"
        );
    }
}

#[test]
fn xrdp_with_few_suites() {
    if peers_wanted() {
        let lines = "ssl_protocols=TLSv1.2\ntls_ciphers=ECDHE-RSA-AES256-GCM-SHA384:AES128-SHA";
        let profile = compared("xrdp, two suites", Host::xrdp(("rsa", "rsa"), lines));
        assert_eq!(accepted(&profile), ["1.2"]);
        assert_eq!(suites(&profile, TlsVersion::TLS12).len(), 2);
        let tls = profile.negotiation.iter().filter(|(_, answer)| {
            matches!(answer, parser::profile::NegotiationAnswer::Answered(Answer::Selected { protocol, .. }) if protocol.0 == 1)
        });
        assert_eq!(tls.count(), 3);
    }
}

#[test]
fn xrdp_with_old_versions_alone() {
    if peers_wanted() {
        let lines = "ssl_protocols=TLSv1, TLSv1.1\ntls_ciphers=ALL:@SECLEVEL=0";
        let profile = compared("xrdp, TLS 1.0 and 1.1", Host::xrdp(("rsa", "rsa"), lines));
        assert_eq!(accepted(&profile), ["1.1", "1.0"]);
    }
}

#[test]
fn xrdp_with_a_key_it_cannot_read_takes_no_hello() {
    if peers_wanted() {
        let host = Host::xrdp(("rsa", "garbage"), "ssl_protocols=TLSv1.2, TLSv1.3");
        let profile = probe(host.address, |_| ());
        let reactions: Vec<_> = profile.versions.iter().map(|ability| &ability.reaction).collect();
        assert!(profile.refuses_every_hello(), "{reactions:?} {:?} {:?}", profile.negotiation, profile.completeness);
        assert!(profile.handshakes <= 14, "{}", profile.handshakes);
    }
}

/// The certificate of a host that has TLS 1.3 alone takes a connection of its own, and that is one of those allowed.
#[test]
fn the_certificate_inside_is_looked_at_within_the_bound_on_connections() {
    if !peers_wanted() {
        return;
    }
    let host = Host::openssl("rsa", &["-tls1_3"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let asked = |most| {
        let mut ask = Ask::new(host.address);
        ask.options.max_handshakes = most;
        runtime.block_on(rdpscope::probe::probe(&ask, None, |_| ()))
    };
    assert!(asked(250).certificate.is_some());
    for most in 5..15 {
        let made = asked(most).handshakes;
        assert!(made <= most, "{made} of {most}");
    }
}

#[test]
fn a_hello_that_is_lost_on_the_way_once_changes_nothing() {
    if !peers_wanted() {
        return;
    }
    let host = Host::xrdp(("rsa", "rsa"), "ssl_protocols=TLSv1.2, TLSv1.3");
    let direct = probe(host.address, |_| ());
    // The first is the only one that tells whether TLS 1.3 is spoken at all.
    let lossy = probe(host.behind_a_path_that_loses(1), |_| ());
    assert_eq!(lossy.handshakes, direct.handshakes + 1, "the one that was lost");
    assert_eq!((&lossy.completeness, &lossy.versions), (&direct.completeness, &direct.versions));
    assert_eq!((&lossy.negotiation, &lossy.hello_sizes), (&direct.negotiation, &direct.hello_sizes));
}
