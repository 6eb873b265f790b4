//! More than one host behind one address, and one host with a connection that is cut by chance.

use super::*;
use crate::profile::Ability;

fn modern() -> Model {
    let windows = Model::windows();
    let of_13 = (TlsVersion::TLS13, vec![CipherSuite(0x1302), CipherSuite(0x1301)]);
    let versions = [of_13].into_iter().chain(windows.versions.clone()).collect();
    Model { versions, groups: GROUPS_OF_TLS13.to_vec(), ..windows }
}

fn dead() -> Model {
    Model { versions: vec![], ..Model::windows() }
}

/// What comes of the hosts of `farm` when `choose` picks one for each connection.
fn farm(farm: &[Model], mut choose: impl FnMut() -> usize) -> HostProfile {
    probe(Options::default(), |question| farm[choose() % farm.len()].reply(question))
}

/// A balancer that takes them in turn.
fn in_turn(members: &[Model], first: usize) -> HostProfile {
    let mut at = first;
    farm(members, || {
        at += 1;
        at
    })
}

fn tells_nothing_of_tls(profile: &HostProfile) {
    assert!(matches!(profile.completeness, Completeness::Mixed(_)), "{:?}", profile.completeness);
    assert_eq!(Ability::of(profile), None);
    assert!(profile.ladder.is_empty() && profile.hello_sizes.is_empty() && !profile.refuses_every_hello());
    assert!(profile.groups.is_empty() && profile.refused_groups.is_empty() && profile.signature_schemes.is_empty());
}

#[test]
fn of_hosts_that_are_taken_in_turn_and_differ_nothing_is_told_as_of_one() {
    let (windows, modern, dead) = (Model::windows(), modern(), dead());
    let old = Model { versions: windows.versions[1..].to_vec(), ..windows.clone() };
    let plain = Model { selects: vec![], ..windows.clone() };
    let farms = [
        vec![windows.clone(), dead.clone()],
        vec![modern.clone(), dead.clone()],
        vec![modern.clone(), dead.clone(), dead.clone()],
        vec![modern.clone(), modern.clone(), dead.clone()],
        vec![windows.clone(), dead.clone(), dead.clone(), dead],
        vec![modern.clone(), windows.clone()],
        vec![modern.clone(), windows.clone(), windows.clone()],
        vec![windows.clone(), old],
        vec![windows.clone(), plain.clone()],
        vec![modern, plain.clone(), plain],
    ];
    for (number, members) in farms.iter().enumerate() {
        for first in 0..members.len() {
            let profile = in_turn(members, first);
            assert!(profile.handshakes <= 60, "{number}/{first}: {} connections", profile.handshakes);
            tells_nothing_of_tls(&profile);
        }
    }
}

#[test]
fn hosts_that_are_taken_at_random_hardly_ever_pass_for_one() {
    let plain = Model { selects: vec![], ..Model::windows() };
    let few = Model { versions: vec![(TlsVersion::TLS12, vec![CipherSuite(0x002f)])], ..Model::windows() };
    for members in [
        vec![modern(), dead()],
        vec![Model::windows(), dead()],
        vec![modern(), Model::windows()],
        vec![Model::windows(), few],
        vec![modern(), plain],
    ] {
        let passed = (1..=300_u64).filter(|seed| {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let profile = farm(&members, || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                usize::try_from(state >> 40).expect("24 bits")
            });
            profile.completeness == Completeness::Complete
        });
        let passed = passed.count();
        assert!(passed <= 6, "{passed} of 300");
    }
}

#[test]
fn one_connection_that_is_cut_changes_nothing() {
    for model in [Model::windows(), modern()] {
        let undisturbed = probe(Options::default(), |question| model.reply(question));
        for cut in 1..=undisturbed.handshakes {
            let mut number = 0;
            let mut profile = probe(Options::default(), |question| {
                number += 1;
                let mut reply = model.reply(question);
                if number == cut && reply.reaction.is_some() {
                    reply.reaction = Some(Reaction::Closed(CloseKind::Rst));
                    reply.signature = None;
                }
                reply
            });
            profile.handshakes = undisturbed.handshakes;
            assert_eq!(profile, undisturbed, "connection {cut}");
        }
    }
}

#[test]
fn a_path_that_cuts_every_twentieth_connection_makes_no_second_host_and_no_shorter_list() {
    for model in [Model::windows(), modern()] {
        let undisturbed = probe(Options::default(), |question| model.reply(question));
        for first in 0..20 {
            let mut number = first;
            let profile = probe(Options::default(), |question| {
                number += 1;
                let mut reply = model.reply(question);
                if number % 20 == 0 && reply.reaction.is_some() {
                    (reply.reaction, reply.signature) = (Some(Reaction::Closed(CloseKind::Rst)), None);
                }
                reply
            });
            assert_eq!(profile, HostProfile { handshakes: profile.handshakes, ..undisturbed.clone() }, "{first}");
        }
    }
}

#[test]
fn an_ordinary_hello_that_was_lost_twice_is_no_refusal() {
    let (model, mut lost) = (Model::windows(), 0);
    let profile = probe(Options::default(), |question| {
        let mut reply = model.reply(question);
        if let Question::Hello { offer, .. } = question
            && offer.supported_versions.len() > 1
            && lost < 2
        {
            lost += 1;
            reply.reaction = Some(Reaction::Silence);
        }
        reply
    });
    assert_eq!(profile.completeness, Completeness::Complete);
    assert!(profile.ladder.iter().all(|step| step.reaction.accepted()), "{:?}", profile.ladder);
}

#[test]
fn tls_that_is_got_at_the_second_request_alone_is_what_is_told() {
    let (model, mut number) = (Model::windows(), 0);
    let profile = probe(Options::default(), |question| {
        number += 1;
        let closed = NegotiationAnswer::Closed(CloseKind::Fin);
        if number <= 3 { Reply { negotiation: Some(closed), ..Reply::default() } } else { model.reply(question) }
    });
    assert_eq!(profile.completeness, Completeness::Complete);
    let got = |asked: Protocols| profile.negotiation.iter().filter(move |(had, _)| *had == Some(asked));
    for asked in TLS_PROTOCOLS {
        let answers: Vec<_> = got(asked).collect();
        assert!(
            matches!(&answers[..], [(_, NegotiationAnswer::Answered(Answer::Selected { .. }))]),
            "{asked}: {answers:?}"
        );
    }
}

#[test]
fn a_second_certificate_is_kept_and_one_of_another_kind_of_key_sooner() {
    let certificate = |serial: u8, algorithm: &str| CertificateFacts {
        sha256: [serial; 32],
        key_algorithm: algorithm.to_owned(),
        ..CertificateFacts::default()
    };
    let shown = |certificates: &[CertificateFacts]| {
        let (model, mut at) = (Model::windows(), 0);
        let profile = probe(Options::default(), |question| {
            let mut reply = model.reply(question);
            if matches!(reply.reaction, Some(Reaction::Hello { .. })) {
                reply.certificate = Some(certificates[at % certificates.len()].clone());
                at += 1;
            }
            reply
        });
        // Their answers are alike: what they have in common is told.
        assert_eq!(profile.completeness, Completeness::Complete);
        assert!(Ability::of(&profile).is_some());
        [profile.certificate, profile.second_certificate].map(|c| c.map(|c| c.sha256[0]))
    };
    let (one, other, ecdsa) = (certificate(1, "RSA"), certificate(2, "RSA"), certificate(3, "ECDSA"));
    assert_eq!(shown(std::slice::from_ref(&one)), [Some(1), None]);
    assert_eq!(shown(&[one.clone(), other.clone()]), [Some(1), Some(2)]);
    assert_eq!(shown(&[one, other, ecdsa]), [Some(1), Some(3)]);
}

#[test]
fn one_question_that_is_lost_changes_nothing() {
    for model in [Model::windows(), modern(), Model { own_order: false, ..Model::windows() }] {
        let undisturbed = probe(Options::default(), |question| model.reply(question));
        for lost in 1..=undisturbed.handshakes {
            for at_once in [false, true] {
                let mut number = 0;
                let profile = probe(Options::default(), |question| {
                    number += 1;
                    let reply = model.reply(question);
                    match reply.reaction {
                        _ if number != lost => reply,
                        Some(_) if !at_once => Reply { reaction: Some(Reaction::Silence), signature: None, ..reply },
                        _ => Reply { negotiation: Some(NegotiationAnswer::Silence), ..Reply::default() },
                    }
                });
                assert_eq!(profile, HostProfile { handshakes: profile.handshakes, ..undisturbed.clone() }, "{lost}");
            }
        }
    }
}

#[test]
fn what_is_never_answered_costs_no_more_time_for_being_asked_twice() {
    let model = Model { versions: vec![], ..Model::windows() };
    let profile = probe(Options::default(), |question| {
        let reply = model.reply(question);
        Reply { reaction: reply.reaction.map(|_| Reaction::Silence), ..reply }
    });
    assert_eq!(profile.handshakes, 3);
    assert!(matches!(profile.completeness, Completeness::Partial(_)), "{:?}", profile.completeness);
    // Old versions alone, in a row: the rest is asked all the same.
    let model = Model { versions: vec![Model::windows().versions.swap_remove(0)], ..Model::windows() };
    let profile = probe(Options::default(), |question| {
        let reply = model.reply(question);
        let old = |offer: &Offer| matches!(offer.legacy_version, TlsVersion::TLS11 | TlsVersion::TLS10);
        let old = matches!(question, Question::Hello { offer, .. } if old(offer));
        if old { Reply { reaction: Some(Reaction::Silence), ..reply } } else { reply }
    });
    assert_eq!(profile.completeness, Completeness::Complete);
    assert_eq!(profile.ability(TlsVersion::TLS11).map(|ability| &ability.reaction), Some(&Reaction::Silence));
}
