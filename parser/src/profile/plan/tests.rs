mod several;

use super::*;
use crate::profile::known::{GROUPS_OF_TLS12, GROUPS_OF_TLS13, suites_of};
use crate::session::CloseKind;
use crate::wire::{AlertDescription, CipherSuite, ResponseFlags};
use proptest::prelude::*;
use proptest::sample::subsequence;

/// A host that is nothing but its ability.
#[derive(Clone, Debug)]
struct Model {
    selects: Vec<Protocols>,
    versions: Vec<(TlsVersion, Vec<CipherSuite>)>,
    own_order: bool,
    groups: Vec<NamedGroup>,
    schemes: Vec<SignatureScheme>,
    closes: bool,
    largest: usize,
}

impl Model {
    fn windows() -> Model {
        let suites = |codes: &[u16]| codes.iter().map(|code| CipherSuite(*code)).collect::<Vec<_>>();
        let old = suites(&[0xc014, 0xc013, 0x0035, 0x002f, 0x000a]);
        Model {
            selects: TLS_PROTOCOLS.to_vec(),
            versions: vec![
                (
                    TlsVersion::TLS12,
                    suites(&[0xc030, 0xc02f, 0xc028, 0xc027, 0xc014, 0xc013, 0x9d, 0x9c, 0x35, 0x2f, 0x0a]),
                ),
                (TlsVersion::TLS11, old.clone()),
                (TlsVersion::TLS10, old),
            ],
            own_order: true,
            groups: vec![NamedGroup::X25519, NamedGroup::SECP256R1, NamedGroup::SECP384R1],
            schemes: vec![SignatureScheme(0x0804), SignatureScheme(0x0401), SignatureScheme(0x0201)],
            closes: true,
            largest: usize::MAX,
        }
    }

    fn reply(&self, question: &Question) -> Reply {
        let (request, offer) = match question {
            Question::Negotiate(request) => (*request, None),
            Question::Hello { request, offer } => (*request, Some(offer)),
        };
        let selected = request.filter(|request| self.selects.contains(request));
        let answer = match selected {
            Some(protocol) => Answer::Selected { protocol: Protocols(protocol.0 & 1), flags: ResponseFlags(0) },
            None => Answer::Plain,
        };
        let mut reply = Reply { negotiation: Some(NegotiationAnswer::Answered(answer)), ..Reply::default() };
        if let (Some(offer), Some(_)) = (offer, selected) {
            let (reaction, signature) = self.handshake(offer);
            (reply.reaction, reply.signature) = (Some(reaction), signature);
        }
        reply
    }

    fn handshake(&self, offer: &Offer) -> (Reaction, Option<SignatureScheme>) {
        let no = || {
            (if self.closes { Reaction::Closed(CloseKind::Rst) } else { Reaction::Alert(AlertDescription(40)) }, None)
        };
        let length = offer.message(&crate::wire::tls::Fresh { random: [0; 32], seed: [0; 32] }).write().len();
        if length > self.largest {
            return (Reaction::Silence, None);
        }
        let offers = |version: TlsVersion| match offer.supported_versions.is_empty() {
            true => version <= offer.legacy_version,
            false => offer.supported_versions.contains(&version),
        };
        let Some((version, suites)) = self.versions.iter().find(|(version, _)| offers(*version)) else { return no() };
        let group = self.groups.iter().find(|group| offer.groups.contains(group)).copied();
        let client = offer.groups.iter().find(|group| self.groups.contains(group)).copied();
        let group = if self.own_order { group } else { client };
        let scheme = offer.signature_schemes.iter().find(|scheme| self.schemes.contains(scheme)).copied();
        let curve =
            |suite: &CipherSuite| suite.info().is_some_and(|suite| ["ECDHE", "any"].contains(&suite.key_exchange));
        let signs = |suite: &CipherSuite| {
            suite.info().is_some_and(|suite| ["ECDHE", "DHE", "any"].contains(&suite.key_exchange))
        };
        let common = |suite: &&CipherSuite| {
            offer.suites.contains(suite)
                && suites.contains(suite)
                && (!curve(suite) || group.is_some() || *version == TlsVersion::SSL3)
                && (!signs(suite) || scheme.is_some() || *version < TlsVersion::TLS12)
        };
        let first = if self.own_order { suites.iter().find(common) } else { offer.suites.iter().find(common) };
        let Some(suite) = first.copied() else { return no() };
        let shared = offer.key_shares.iter().flatten().any(|share| Some(*share) == group);
        if version.is_tls13() && !shared {
            return (Reaction::Retry { suite, group }, None);
        }
        let group = group.filter(|_| curve(&suite));
        let signature = scheme.filter(|_| *version == TlsVersion::TLS12 && signs(&suite));
        (Reaction::Hello { version: *version, suite, group }, signature)
    }
}

fn probe(options: Options, mut host: impl FnMut(&Question) -> Reply) -> HostProfile {
    let mut plan = Plan::new(options, Timestamp(1));
    while let Some(question) = plan.next_question() {
        plan.answer(host(&question));
    }
    plan.finish()
}

fn sorted<T: Copy + Ord>(list: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut list: Vec<T> = list.into_iter().collect();
    list.sort_unstable();
    list
}

#[test]
fn a_windows_host_is_known_after_sixty_connections() {
    let model = Model::windows();
    let profile = probe(Options::default(), |question| model.reply(question));
    assert_eq!(profile.completeness, Completeness::Complete);
    assert!(profile.handshakes <= 60, "{}", profile.handshakes);
    for (version, suites) in &model.versions {
        let ability = profile.ability(*version).expect("asked");
        assert_eq!((&ability.suites, ability.host_order, ability.complete), (suites, true, true), "{version}");
    }
    assert_eq!(profile.groups, model.groups);
    assert_eq!(profile.signature_schemes, model.schemes);
    assert_eq!(profile.negotiation.len(), 5);
    assert_eq!(profile.hello_sizes.len(), 1);
    assert_eq!(profile.ability(TlsVersion::TLS13).map(|ability| ability.accepted()), Some(false));
    assert!(profile.ladder.iter().all(|step| step.reaction.accepted()) && profile.ladder.len() == 1);
}

#[test]
fn a_host_that_takes_no_hello_is_told_with_fourteen_connections() {
    let model = Model { versions: vec![], ..Model::windows() };
    let profile = probe(Options::default(), |question| model.reply(question));
    assert!(profile.refuses_every_hello() && profile.completeness == Completeness::Complete);
    assert_eq!(profile.handshakes, 14);
}

#[test]
fn large_hellos_that_are_lost_show_in_the_sizes() {
    let (model, mut lost) = (Model { largest: 1500, ..Model::windows() }, 0);
    let profile = probe(Options::default(), |question| {
        let reply = model.reply(question);
        lost += u8::from(reply.reaction == Some(Reaction::Silence));
        reply
    });
    assert_eq!(lost, 3, "3000 bytes twice, and then 1700 once: each costs a time-out");
    let sizes: Vec<(u16, bool)> = profile.hello_sizes.iter().map(|(size, got)| (*size, got.accepted())).collect();
    assert_eq!(sizes, [(300, true), (600, true), (1400, true), (1700, false), (3000, false)]);
    assert_eq!(profile.completeness, Completeness::Complete);
}

#[test]
fn a_host_without_tls_is_asked_eight_times() {
    let model = Model { selects: vec![], ..Model::windows() };
    let profile = probe(Options::default(), |question| model.reply(question));
    assert_eq!((profile.handshakes, profile.versions.len(), profile.completeness), (8, 0, Completeness::Complete));
}

#[test]
fn a_host_that_falls_silent_is_left_alone() {
    let model = Model::windows();
    let mut connections = 0;
    let profile = probe(Options::default(), |question| {
        connections += 1;
        match connections {
            0..10 => model.reply(question),
            _ => Reply { reaction: Some(Reaction::NotReached("refused".to_owned())), ..Reply::default() },
        }
    });
    assert_eq!(profile.handshakes, 12);
    assert_eq!(profile.completeness, Completeness::Partial("3 times in a row: refused".to_owned()));
    assert!(profile.versions.iter().any(|ability| !ability.complete && !ability.suites.is_empty()));
}

#[test]
fn what_never_answers_is_unreachable_with_the_reason() {
    let refused = Reply { reaction: Some(Reaction::NotReached("refused".to_owned())), ..Reply::default() };
    let profile = probe(Options::default(), |_| refused.clone());
    assert_eq!((profile.handshakes, profile.completeness), (1, Completeness::Unreachable("refused".to_owned())));
    let silent = Reply { negotiation: Some(NegotiationAnswer::Silence), ..Reply::default() };
    let profile = probe(Options::default(), |_| silent.clone());
    assert!(
        matches!(profile.completeness, Completeness::Unreachable(why) if why.contains("no answer to a Connection"))
    );
    assert_eq!(profile.handshakes, 3);
    let other = NegotiationAnswer::Answered(Answer::NotRdp(b"SSH-2.0-OpenSSH_".to_vec()));
    let other = Reply { negotiation: Some(other), ..Reply::default() };
    let profile = probe(Options::default(), |_| other.clone());
    assert!(matches!(profile.completeness, Completeness::Unreachable(why) if why.contains("SSH")));
    assert_eq!(profile.handshakes, 1);
    let closed = Reply { negotiation: Some(NegotiationAnswer::Closed(CloseKind::Fin)), ..Reply::default() };
    let profile = probe(Options::default(), |_| closed.clone());
    assert!(matches!(profile.completeness, Completeness::Unreachable(why) if why.contains("closed (fin)")));
}

#[test]
fn the_bound_on_connections_holds() {
    let model = Model::windows();
    let options = Options { max_handshakes: 7, ..Options::default() };
    let profile = probe(options, |question| model.reply(question));
    assert_eq!(profile.handshakes, 7);
    assert_eq!(profile.completeness, Completeness::Partial("the bound of 7 connections".to_owned()));
}

fn model() -> impl Strategy<Value = Model> {
    let suites = |version: TlsVersion| {
        {
            let all = suites_of(version);
            let most = all.len().min(20);
            subsequence(all, 0..most)
        }
        .prop_shuffle()
        .prop_map(move |s| (version, s))
    };
    let versions = VERSIONS.map(suites);
    let groups = subsequence(GROUPS_OF_TLS12.iter().chain(&GROUPS_OF_TLS13[5..]).copied().collect::<Vec<_>>(), 1..8);
    let schemes = subsequence(crate::profile::known::SIGNATURE_SCHEMES.to_vec(), 1..8);
    (versions, groups.prop_shuffle(), schemes.prop_shuffle(), any::<(bool, bool)>()).prop_map(
        |(versions, groups, schemes, (own_order, closes))| Model {
            selects: vec![Protocols(1)],
            versions: versions.into_iter().filter(|(_, suites)| !suites.is_empty()).collect(),
            own_order,
            groups,
            schemes,
            closes,
            largest: usize::MAX,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_profile_of_any_host_is_its_ability(model in model()) {
        let options = Options { max_handshakes: 400, ..Options::default() };
        let profile = probe(options, |question| model.reply(question));
        prop_assert_eq!(&profile.completeness, &Completeness::Complete);
        for version in VERSIONS {
            let able = model.versions.iter().find(|(v, _)| *v == version).map(|(_, s)| s.clone()).unwrap_or_default();
            let ability = profile.ability(version).expect("asked");
            // A suite that needs a curve or a signature is no ability where nothing common is left for it.
            let usable = |suite: &CipherSuite| {
                let exchange = suite.info().map_or("", |suite| suite.key_exchange);
                match version {
                    v if v.is_tls13() => model.groups.iter().any(|g| GROUPS_OF_TLS13.contains(g)),
                    v if v == TlsVersion::SSL3 => true,
                    _ => exchange != "ECDHE" || model.groups.iter().any(|g| GROUPS_OF_TLS12.contains(g)),
                }
            };
            let expected = sorted(able.iter().filter(|suite| usable(suite)).map(|suite| suite.0));
            prop_assert_eq!(sorted(ability.suites.iter().map(|suite| suite.0)), expected, "{}", version);
            if model.own_order && ability.suites.len() > 1 {
                let natural: Vec<_> = able.iter().copied().filter(usable).collect();
                prop_assert!(ability.host_order);
                prop_assert_eq!(&ability.suites, &natural);
            }
            prop_assert!(ability.host_order == (model.own_order && ability.suites.len() > 1));
        }
        let of_13 = profile.ability(TlsVersion::TLS13).is_some_and(|ability| ability.accepted());
        if of_13 {
            let mut groups: Vec<_> = model.groups.iter().filter(|g| GROUPS_OF_TLS13.contains(g)).map(|g| g.0).collect();
            groups.retain(|group| !profile.groups.iter().any(|known| known.0 == *group));
            prop_assert_eq!(groups, Vec::<u16>::new());
        }
        prop_assert!(profile.refused_groups.iter().all(|group| !model.groups.contains(group)));
        prop_assert!(profile.signature_schemes.iter().all(|scheme| model.schemes.contains(scheme)));
    }
}

fn any_reply() -> impl Strategy<Value = Reply> {
    let reaction = prop_oneof![
        (0..6u16, 0..4u16, any::<Option<u16>>()).prop_map(|(version, suite, group)| Reaction::Hello {
            version: TlsVersion(0x0300 + version),
            suite: CipherSuite([0x1301, 0xc02f, 0x002f, 0x1234][usize::from(suite)]),
            group: group.map(|group| NamedGroup(group % 64)),
        }),
        any::<Option<u16>>()
            .prop_map(|group| Reaction::Retry { suite: CipherSuite(0x1301), group: group.map(|g| NamedGroup(g % 64)) }),
        any::<u8>().prop_map(|code| Reaction::Alert(AlertDescription(code))),
        Just(Reaction::Closed(CloseKind::Rst)),
        Just(Reaction::ClearDisconnect),
        Just(Reaction::NotTls),
        Just(Reaction::Silence),
        Just(Reaction::NotReached("refused".to_owned())),
    ];
    let selected = Answer::Selected { protocol: Protocols(1), flags: ResponseFlags(0) };
    let negotiation = prop_oneof![
        8 => Just(NegotiationAnswer::Answered(selected)),
        1 => Just(NegotiationAnswer::Answered(Answer::Plain)),
        1 => Just(NegotiationAnswer::Answered(Answer::NotRdp(vec![1]))),
        1 => Just(NegotiationAnswer::Closed(CloseKind::Fin)),
        1 => Just(NegotiationAnswer::Silence),
    ];
    let signature = proptest::option::of(any::<u16>().prop_map(SignatureScheme));
    (proptest::option::of(reaction), proptest::option::of(negotiation), signature)
        .prop_map(|(reaction, negotiation, signature)| Reply { reaction, negotiation, signature, ..Reply::default() })
}

proptest! {
    #[test]
    fn whatever_a_host_answers_the_questions_end(
        replies in proptest::collection::vec(any_reply(), 1..40),
        tls_first in any::<bool>(),
    ) {
        let options = Options { tls_first, max_handshakes: 90, ..Options::default() };
        let mut at = 0;
        let profile = probe(options, |_| {
            at += 1;
            replies[at % replies.len()].clone()
        });
        prop_assert!(profile.handshakes <= 90);
        prop_assert!(profile.versions.len() <= VERSIONS.len());
        prop_assert!(profile.hello_sizes.len() <= HELLO_SIZES.len());
        for (at, ability) in profile.versions.iter().enumerate() {
            prop_assert_eq!(ability.version, VERSIONS[at]);
        }
    }
}
