use super::*;

const NOW: Timestamp = Timestamp(7);

fn tape(bound: usize, budget: usize) -> (Tape, Arc<OpeningBudget>) {
    let budget = Arc::new(OpeningBudget::new(budget));
    (Tape::new(bound, &budget), budget)
}

/// What each peer sent on its own leg.
fn of(passed: &Passed) -> (Vec<u8>, Vec<u8>) {
    let wires = passed.wires();
    (wires[0].client.clone(), wires[1].host.clone())
}

#[test]
fn both_directions_come_back_in_order_with_what_happened_between() {
    let (tape, budget) = tape(1 << 18, 1 << 20);
    tape.data(Peer::Client, b"request", NOW);
    tape.upstream(&UpstreamEvent::Connecting(([127, 0, 0, 1], 3389).into()), NOW);
    tape.data(Peer::Host, b"confirm", Timestamp(9));
    tape.data(Peer::Client, b"hello", Timestamp(9));
    tape.closed(Closer::Host, CloseKind::Rst, Timestamp(11));
    tape.closed(Closer::Host, CloseKind::Fin, Timestamp(12));
    assert!(budget.used() > 0);
    let (passed, charge) = tape.take();
    assert_eq!(of(&passed), (b"requesthello".to_vec(), b"confirm".to_vec()));
    let marks: Vec<Happened> = passed.events().map(|(mark, _)| mark.what).collect();
    let (client, host) = (|n| Happened::Data(Peer::Client, n), Happened::Data(Peer::Host, 7));
    let closed = Happened::Closed(Closer::Host, CloseKind::Rst);
    assert_eq!(marks, [client(7), Happened::Connecting(0), host, client(5), closed], "each socket ends once");
    drop(charge);
    assert_eq!(budget.used(), 0);
}

#[test]
fn legs_that_a_bridge_keeps_apart_come_back_each_by_itself_and_so_does_each_connection_to_the_host() {
    let (tape, _budget) = tape(1 << 18, 1 << 20);
    let (first, second) = (Some(([127, 0, 0, 1], 1).into()), Some(([127, 0, 0, 1], 2).into()));
    tape.read(Peer::Client, b"hello", NOW);
    tape.host(first, NOW);
    tape.sent(Peer::Host, b"hello", NOW);
    tape.read(Peer::Host, b"alert", NOW);
    tape.host_ended(CloseKind::Fin, NOW);
    tape.host(second, NOW);
    tape.sent(Peer::Host, b"another", NOW);
    tape.hung_up(first, NOW);
    tape.sent(Peer::Client, b"answer", NOW);
    tape.data(Peer::Client, b"on", NOW);
    let passed = tape.look();
    let wires: Vec<[&[u8]; 2]> = vec![[b"helloon", b"answer"], [b"hello", b"alert"], [b"anotheron", b""]];
    let of = |wire: &Wire| [wire.client.clone(), wire.host.clone()];
    assert_eq!(passed.wires().iter().map(of).collect::<Vec<_>>(), wires);
    assert_eq!(passed.lengths(), PerPeer { client: 7, host: 6 });
    assert_eq!(passed.carried(PerPeer::default()).host_leg, PerPeer { client: 9, host: 0 });
    assert!(passed.is_apart());
    let marks: Vec<Happened> = passed.events().map(|(mark, _)| mark.what).collect();
    assert!(marks.contains(&Happened::Host(1)) && marks.contains(&Happened::HungUp(0)), "{marks:?}");
}

#[test]
fn secrets_are_kept_where_they_may_be_and_as_long_as_the_opening_is() {
    let (silent, _budget) = tape(1 << 18, 1 << 20);
    assert!(silent.keys().is_none());
    let until = Arc::new(Until::new(Some(std::time::SystemTime::now() + std::time::Duration::from_secs(600))));
    let over = Arc::new(Until::new(None));
    assert!(tape(1 << 18, 1 << 20).0.revealing(&over).keys().is_none());
    let open = Timeline { opening: Opening::X224, ..Timeline::default() };
    let up = Timeline { opening: Opening::X224, gave_up: Some((GiveUp::Released, NOW)), ..Timeline::default() };
    for (timeline, kept) in [(open, true), (up, false)] {
        let (tape, _budget) = self::tape(1 << 18, 1 << 20);
        let tape = tape.revealing(&until);
        let keys = tape.keys().expect("allowed");
        assert!(Arc::ptr_eq(&keys, &tape.keys().expect("the same")));
        tape.data(Peer::Client, b"something", NOW);
        assert_eq!(tape.let_go(&timeline), kept);
        assert_eq!((tape.look().keys.is_some(), keys.is_over()), (kept, !kept));
        assert!(tape.keys().is_none(), "of a handshake that comes later");
    }
}

#[test]
fn the_bound_holds_in_every_chunking_and_the_beginning_is_what_stays() {
    for chunk in [1, 7, 1_000, 40_000] {
        let (tape, budget) = tape(16 << 10, 1 << 20);
        let sent: Vec<u8> = (0..50_000u32).map(|n| n as u8).collect();
        sent.chunks(chunk).for_each(|bytes| tape.data(Peer::Client, bytes, NOW));
        assert!(budget.used() <= 2 * (16 << 10), "{} bytes", budget.used());
        let passed = tape.look();
        assert_eq!(passed.stopped, Some(Stopped::Full));
        let kept = of(&passed).0;
        assert!(passed.size() <= 16 << 10 && passed.size() > (16 << 10) - 64, "{}", passed.size());
        assert_eq!(kept, sent[..kept.len()]);
    }
}

#[test]
fn without_memory_to_spare_nothing_is_kept_and_nothing_is_charged() {
    let (tape, budget) = tape(1 << 18, 4_096);
    tape.data(Peer::Client, &[1; 1_000], NOW);
    tape.data(Peer::Client, &[1; 1_500], NOW);
    assert_eq!((tape.look().stopped, tape.look().size()), (Some(Stopped::Budget), 0));
    assert_eq!(budget.used(), 0);
    tape.data(Peer::Client, &[1; 10], NOW);
    tape.closed(Closer::Host, CloseKind::Rst, NOW);
    assert_eq!(tape.look().size(), 0);
}

#[test]
fn a_session_that_is_up_keeps_nothing_and_one_that_cannot_be_read_what_there_was() {
    type Change = fn(&mut Timeline);
    let cases: [(Change, bool); 7] = [
        (|timeline| timeline.progress.active = Some(NOW), false),
        (|timeline| timeline.gave_up = Some((GiveUp::Released, NOW)), false),
        (|timeline| timeline.gave_up = Some((GiveUp::Budget, NOW)), false),
        (|timeline| timeline.opening = Opening::NotRdp, false),
        (|timeline| timeline.opening = Opening::GatewayHttp, false),
        (|timeline| timeline.gave_up = Some((GiveUp::Malformed, NOW)), true),
        // A direction that is not understood.
        (|_| (), true),
    ];
    for (number, (change, kept)) in cases.into_iter().enumerate() {
        let (tape, charged) = tape(1 << 18, 1 << 20);
        tape.data(Peer::Client, b"something", NOW);
        let mut timeline = Timeline { opening: Opening::X224, ..Timeline::default() };
        change(&mut timeline);
        assert_eq!(tape.let_go(&timeline), kept, "case {number}");
        assert_eq!(tape.look().size() > 0, kept, "case {number}");
        assert_eq!(charged.used() > 0, kept, "case {number}");
        tape.data(Peer::Client, b"later", NOW);
        assert_eq!(of(&tape.look()).0.len(), if kept { 9 } else { 0 }, "case {number}");
    }
}
