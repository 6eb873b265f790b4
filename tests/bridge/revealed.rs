//! Captures of bridged sessions that may be read: tshark shows the RDP in them by the secrets in the file, and there is no
//! password in any form.

use crate::captured::{SCRIPT, Stage, says_nothing_against_it, script};
use crate::ends::{Host, Identity, TLS12, TLS13, bridged, connect, within};
use config::{BridgeMode, BridgeRules};
use parser::diagnosis::Cause;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const PASSWORD: &str = "correct horse battery";
const USER: &str = "jdoe.the.user";

/// xfreerdp and freerdp-shadow with NLA, and xfreerdp and xrdp without, until the session would be up.
const NLA: &str = include_str!("../../parser/testdata/plaintext/shadow-nla.txt");
const LICENSED: &str = include_str!("../../parser/testdata/plaintext/xrdp-session.txt");

fn soon() -> SystemTime {
    SystemTime::now() + Duration::from_secs(3_600)
}

/// Whether `./test --quick` asked to leave programs out.
fn left_out() -> bool {
    let quick = std::env::var_os("RDPSCOPE_TEST_QUICK").is_some();
    if quick {
        eprintln!("left out: tshark (quick)");
    }
    quick
}

/// What tshark says of a file, both legs decoded.
fn tshark(file: &Path, ports: [u16; 2], arguments: &[&str]) -> String {
    let mut command = Command::new("tshark");
    command.args(["-n", "-o", "tcp.check_checksum:TRUE"]);
    for port in ports {
        command.arg("-d").arg(format!("tcp.port=={port},tls")).arg("-d").arg(format!("tls.port=={port},tpkt"));
    }
    command.args(arguments).arg("-r").arg(file).env("LC_ALL", "C.UTF-8").stdin(std::process::Stdio::null());
    let output = command.output().unwrap_or_else(|error| panic!("tshark (package tshark): {error}"));
    let complaints = String::from_utf8_lossy(&output.stderr);
    let complaints: Vec<&str> = complaints.lines().filter(|line| !line.contains("as user \"root\"")).collect();
    assert!(output.status.success() && complaints.is_empty(), "tshark: {complaints:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A Client Info with a user and a password, and what is in the TSRequests of NLA in clear.
fn with_secrets(said: &[(bool, Vec<u8>)]) -> Vec<(bool, Vec<u8>)> {
    let wide = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
    let mut said = said.to_vec();
    for (by_client, bytes) in &mut said {
        let is_info = *by_client && bytes.len() > 150 && bytes.get(15..17) == Some(&[0x40, 0]);
        let is_credssp = bytes.first() == Some(&0x30);
        // What sealed NTLM messages begin with; the recording has zeros there.
        for at in 0..bytes.len().saturating_sub(8) {
            if is_credssp && matches!(bytes[at..at + 8], [0xa2 | 0xa3, _, 4, _, 0, 0, 0, 0]) {
                bytes[at + 4] = 1;
            }
        }
        if is_info || is_credssp && *by_client {
            // Wherever there is room at the end: texts, tokens, keys.
            let secrets = if is_info { [wide(USER), wide(PASSWORD)].concat() } else { PASSWORD.as_bytes().to_vec() };
            let end = bytes.len() - 2;
            if let Some(begin) =
                end.checked_sub(secrets.len()).filter(|begin| bytes[*begin..end].iter().all(|byte| *byte == 0))
            {
                bytes[begin..end].copy_from_slice(&secrets);
            }
        }
    }
    said
}

fn contains(bytes: &[u8], text: &str) -> bool {
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    [text.as_bytes(), &wide].iter().any(|spelling| bytes.windows(spelling.len()).any(|window| window == *spelling))
}

/// The ports of both legs.
fn ports(stage: &Stage) -> [u16; 2] {
    [stage.bench.front.port(), stage.behind.address.port()]
}

/// Set Error Info 7 and the host's goodbye. [MS-RDPBCGR] 2.2.5.1.1, ITU-T T.125 7
fn denial() -> [(bool, Vec<u8>); 2] {
    let data = [22, 0, 0x17, 0, 0xea, 3, 0xea, 3, 1, 0, 0, 1, 8, 0, 0x2f, 0, 0, 0, 7, 0, 0, 0];
    let error = [&[3, 0, 0, 36, 2, 0xf0, 0x80, 0x68, 0, 1, 3, 0xeb, 0x70, 22][..], &data].concat();
    [(false, error), (false, vec![3, 0, 0, 9, 2, 0xf0, 0x80, 0x21, 0x80])]
}

/// A recorded session as far as Demand Active, with secrets wherever there is room, and then refused.
fn refused(text: &str) -> Vec<(bool, Vec<u8>)> {
    let said = script(text);
    let is_demand = |(by_client, bytes): &(bool, Vec<u8>)| !by_client && bytes.get(17..19) == Some(&[0x11, 0]);
    let until = said.iter().position(is_demand).expect("Demand Active");
    let said = with_secrets(&said[..=until]);
    let spoken: Vec<u8> = said.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
    assert!(contains(&spoken, PASSWORD) && contains(&spoken, USER), "there is something to be found");
    said.into_iter().chain(denial()).collect()
}

/// All that is inside of the TLS of a file, as tshark gives it to who follows its connections.
fn followed(file: &Path, ports: [u16; 2]) -> Vec<u8> {
    let mut inside = Vec::new();
    for number in 0..3 {
        let text = tshark(file, ports, &["-q", "-z", &format!("follow,tls,raw,{number}")]);
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && line.len().is_multiple_of(2));
        for line in lines.filter(|line| line.bytes().all(|byte| byte.is_ascii_hexdigit())) {
            inside.extend(
                (0..line.len()).step_by(2).map(|at| u8::from_str_radix(&line[at..at + 2], 16).expect("digits")),
            );
        }
    }
    inside
}

/// Neither name nor password, in no form that tshark gives. Gives what is inside.
fn is_discreet(file: &Path, ports: [u16; 2]) -> Vec<u8> {
    let forms: [&[&str]; 3] = [&["-T", "pdml"], &["-T", "jsonraw", "-x"], &["-V"]];
    let shown = forms.map(|form| tshark(file, ports, form)).concat().to_lowercase();
    let inside = followed(file, ports);
    assert!(inside.len() > 1_000, "{} bytes are inside", inside.len());
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    for secret in [PASSWORD, USER] {
        assert!(!contains(&inside, secret), "{secret:?} is inside");
        let wide: Vec<u8> = secret.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for spelling in [secret.to_owned(), hex(secret.as_bytes()), hex(&wide)] {
            assert!(!shown.contains(&spelling), "{spelling} is shown");
        }
    }
    inside
}

/// tshark finds nothing that does not fit.
fn is_sound(file: &Path, ports: [u16; 2]) {
    let remarks = tshark(file, ports, &["-q", "-z", "expert,note"]);
    let counted = |line: &&str| line.split_whitespace().next().is_some_and(|word| word.parse::<u32>().is_ok());
    let known = |line: &&str| !["connection closing", "Comment"].iter().any(|known| line.contains(known));
    let other: Vec<&str> = remarks.lines().filter(counted).filter(known).collect();
    assert!(other.is_empty(), "{other:?}");
    assert!(remarks.contains("connection closing"), "nothing was read:\n{remarks}");
}

#[tokio::test]
async fn tshark_reads_the_rdp_of_a_session_from_its_file_alone_and_there_is_no_password_in_it() {
    if left_out() {
        return;
    }
    let identity = Identity::new();
    let mcs =
        ["ClientData", "ServerData", "erectDomainRequest", "attachUserConfirm", "channelJoinConfirm", "ClientInfo"];
    let ends = ["Error Alert", "Demand Active PDU", "disconnectProviderUltimatum"];
    let sessions = [
        (LICENSED, false, BridgeMode::Always, TLS13, TLS12),
        (LICENSED, false, BridgeMode::Auto, TLS12, TLS13),
        (NLA, true, BridgeMode::Always, TLS13, TLS13),
    ];
    for (text, nla, mode, client, host) in sessions {
        let pair = Some(identity.files("revealed"));
        let rules = BridgeRules { pair, ..bridged(mode, identity.pin()) };
        let host = Host::new(&identity, host).await.selecting(if nla { 2 } else { 1 });
        let mut stage = Stage::with(host, rules, |capture| capture.secrets_until = Some(soon())).await;
        let record = stage.play(client, &refused(text)).await;
        assert_eq!(record.verdict.cause, Cause::ServerDenied0x7, "{:?}", record.verdict);
        let read = stage.file(&record).await;
        let file = record.capture.as_ref().expect("a file");
        assert!(read.secrets && file.secrets);
        assert_eq!(read.verdict().cause, record.verdict.cause);
        says_nothing_against_it(&read, &record);
        let ports = ports(&stage);
        let fields = ["-T", "fields", "-e", "frame.interface_name", "-e", "frame.protocols", "-e", "_ws.col.Info"];
        let lines = tshark(file, ports, &fields);
        for leg in ["client leg", "host leg"] {
            let of_leg: Vec<&str> = lines.lines().filter(|line| line.starts_with(leg)).collect();
            for wanted in mcs.iter().chain(&ends).chain([&"License Request"].into_iter().filter(|_| !nla)) {
                assert!(of_leg.iter().any(|line| line.contains(wanted)), "no {wanted} on the {leg}:\n{lines}");
            }
            assert_eq!(of_leg.iter().filter(|line| line.contains("credssp")).count() >= 4, nla, "{leg}:\n{lines}");
        }
        // This tshark has no name for its code.
        let told = tshark(file, ports, &["-Y", "rdp.pduType2 == 47", "-T", "fields", "-e", "frame.interface_name"]);
        assert_eq!(told.lines().collect::<Vec<_>>(), ["host leg", "client leg"]);
        let code = [0x2f, 0, 0, 0, 7, 0, 0, 0];
        assert!(is_discreet(file, ports).windows(code.len()).any(|window| window == code));
        is_sound(file, ports);
    }
}

#[tokio::test]
async fn a_leg_that_was_resumed_may_be_read_like_any_other() {
    if left_out() {
        return;
    }
    let identity = Identity::new();
    for host in [TLS12, TLS13] {
        let host = Host::new(&identity, host).await;
        let rules = bridged(BridgeMode::Always, identity.pin());
        let mut stage = Stage::with(host, rules, |capture| capture.secrets_until = Some(soon())).await;
        let mut last = None;
        for _ in 0..2 {
            last = Some(stage.play(TLS13, &script(SCRIPT)).await);
        }
        let record = last.expect("a session");
        let leg = record.timeline.bridge.as_ref().and_then(|facts| facts.host).expect("a host leg");
        assert!(leg.resumed, "{leg:?}");
        stage.file(&record).await;
        let lines = tshark(
            record.capture.as_deref().expect("a file"),
            ports(&stage),
            &["-Y", "t125", "-T", "fields", "-e", "frame.interface_name"],
        );
        let of = |leg: &str| lines.lines().filter(|line| *line == leg).count();
        assert!(of("host leg") > 8 && of("host leg") == of("client leg"), "{lines}");
    }
}

#[tokio::test]
async fn secrets_are_in_no_file_unless_they_are_allowed_and_in_none_after_their_time() {
    let identity = Identity::new();
    let past = SystemTime::now() - Duration::from_secs(1);
    for until in [None, Some(past), Some(soon())] {
        let host = Host::new(&identity, TLS13).await;
        let rules = bridged(BridgeMode::Always, identity.pin());
        let mut stage = Stage::with(host, rules, |capture| capture.secrets_until = until).await;
        let record = stage.play(TLS13, &script(SCRIPT)).await;
        let read = stage.file(&record).await;
        let file = record.capture.as_ref().expect("a file");
        let allowed = until.is_some_and(|until| until > past);
        assert_eq!((read.secrets, file.secrets), (allowed, allowed));
        let (status, said) = stage.bench.capture(record.identity.id).await;
        let named = String::from_utf8_lossy(&said).contains(&*file.to_string_lossy());
        assert_eq!((status, named), if allowed { (403, true) } else { (200, false) });
        let key_log = std::fs::read(&file.path).expect("read").windows(15).any(|window| window == b"TRAFFIC_SECRET_");
        assert_eq!(key_log, allowed);
        // Without them every record is as it was.
        if !allowed {
            stage.is_true_to_the_wires(file);
        }
    }
}

#[tokio::test]
async fn a_reload_without_secrets_ends_them_at_once_and_one_with_them_does_not_bring_them_back() {
    let identity = Identity::new();
    let host = Host::new(&identity, TLS13).await;
    let rules = bridged(BridgeMode::Always, identity.pin());
    let mut stage = Stage::with(host, rules, |capture| capture.secrets_until = Some(soon())).await;
    for (until, secrets) in [(Some(soon()), true), (None, false), (Some(soon()), false)] {
        stage.bench.reload(until).await;
        let record = stage.play(TLS13, &script(SCRIPT)).await;
        let read = stage.file(&record).await;
        assert_eq!((read.secrets, record.capture.as_ref().expect("a file").secrets), (secrets, secrets));
    }
}

#[tokio::test]
async fn an_opening_that_is_looked_at_is_as_sealed_as_on_the_wire() {
    let identity = Identity::new();
    let host = Host::new(&identity, TLS13).await;
    let rules = bridged(BridgeMode::Always, identity.pin());
    let stage = Stage::with(host, rules, |capture| capture.secrets_until = Some(soon())).await;
    let (client, served) = tokio::join!(connect(stage.front.address, TLS13), stage.host.served());
    let (mut client, mut served) = (client.expect("up"), served);
    for (number, (by_client, bytes)) in script(LICENSED).into_iter().enumerate() {
        let mut got = vec![0; bytes.len()];
        if by_client {
            client.write_all(&bytes).await.expect("written");
            within("the client's words", served.read_exact(&mut got)).await.expect("read");
        } else {
            served.write_all(&bytes).await.expect("written");
            within("the host's words", client.read_exact(&mut got)).await.expect("read");
        }
        if number == 3 {
            let (status, body) = stage.bench.live_capture().await;
            assert_eq!((status, rdpscope::analyze::own::read(&body).expect("ours").secrets), (200, false));
        }
    }
    assert_eq!(stage.bench.live_capture().await.0, 404);
    drop((client, served));
}
