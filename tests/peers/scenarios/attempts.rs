//! Several connections of one user are one story. What the next connection shows may change what was said of the one
//! before: a `verdict` event says so, and counters count what was said last.

use crate::captured;
use crate::client::{Client, PATIENCE, tls};
use crate::expect::{Expect, failed, ok, one_attempt, sound};
use crate::host::{Host, Xrdp};
use crate::lab::{Exit, Lab, wait_until};
use crate::proxy::{Options, Proxy, action, at, text};
use crate::runner::{Case, Outcome, Row};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// A verdict that waits for the client's next connection waits this long, and some for a busy machine.
const SETTLED: Duration = Duration::from_secs(45);

/// One connection of a story.
struct Step {
    client: Client,
    exit: i32,
    /// What its end says.
    end: Expect,
    /// What it is called when the story is over.
    finally: &'static str,
}

fn step(client: Client, exit: i32, end: Expect, finally: &'static str) -> Step {
    Step { client, exit, end, finally }
}

/// One case per story.
pub(crate) fn cases() -> Vec<Case> {
    let nla = |options: &[&'static str]| Client::Xfreerdp([&["/sec:nla", "+auth-only"], options].concat());
    let left =
        || failed("closed_after_tls_unknown", "client|both", "tls_finish|mcs").is("rdpscope.final", json!(false));
    let changed = || failed("cert_changed_mid_session", "any", "tls_finish|mcs").at_most("possible");
    let refused = || failed("nla_auth_refused", "any", "credssp").at_most("likely");
    let mismatch = || failed("tls_no_common_version", "any", "tls_hello").at_most("likely");
    let xrdp = |protocols| Host::Xrdp(Xrdp::tls().protocols(protocols));
    vec![
        // The certificate question: the first connection ends while it is asked, the second is the session.
        story(
            "attempt-prompt-then-session",
            xrdp("TLSv1.2, TLSv1.3"),
            vec![step(tls(&["/cert:deny"]), 143, left(), "client_prompt_probe"), step(tls(&[]), 0, ok(), "ok")],
        ),
        // Nobody comes back after the question: it stays what it was.
        story(
            "attempt-prompt-and-no-session",
            xrdp("TLSv1.3"),
            vec![step(tls(&["/cert:deny"]), 143, left(), "closed_after_tls_unknown")],
        ),
        // A farm whose members have certificates of their own: who asks about one and is given another leaves again.
        story(
            "attempt-two-certificates",
            Host::Farm,
            vec![
                step(tls(&["/cert:deny"]), 143, left(), "closed_after_tls_unknown"),
                step(tls(&["/cert:deny"]), 143, changed(), "cert_changed_mid_session"),
            ],
        ),
        // A wrong password was wrong, whatever comes after it.
        story(
            "attempt-wrong-then-right-password",
            Host::Shadow("nla"),
            vec![step(nla(&["/p:wrong"]), 147, refused(), "nla_auth_refused"), step(nla(&[]), 0, ok(), "ok")],
        ),
        // An old client failed; a newer one of the same user does not make that a success.
        story(
            "attempt-old-then-new-client",
            xrdp("TLSv1.3"),
            vec![
                step(tls(&["+enforce-tlsv1_2"]), 143, mismatch(), "tls_no_common_version"),
                step(tls(&[]), 0, ok(), "ok"),
            ],
        ),
    ]
}

fn story(name: &'static str, host: Host, steps: Vec<Step>) -> Case {
    Case::new(name, move |lab, direct_only| run(name, &host, &steps, lab, direct_only))
}

fn run(name: &str, host: &Host, steps: &[Step], lab: &Arc<Lab>, direct_only: bool) -> Result<Outcome> {
    let room = lab.room(name)?;
    let running = host.start(lab, &room)?;
    let play = |to: SocketAddr| -> Result<Vec<Exit>> {
        steps.iter().map(|step| Ok(step.client.run(lab, &room, to, PATIENCE)?.exit)).collect()
    };
    let wanted: Vec<Exit> = steps.iter().map(|step| Exit::Code(step.exit)).collect();
    let direct = play(SocketAddr::from((Ipv4Addr::LOCALHOST, running.port)))?;
    ensure!(direct == wanted, "direct, the exits are {direct:?}, not {wanted:?}");
    if direct_only {
        let rows = direct.into_iter().map(|exit| Row::direct(name, exit)).collect();
        return Ok(Outcome { rows, ..Outcome::default() });
    }
    let proxy = Proxy::start(lab, &room, &format!("127.0.0.1:{}", running.port), &Options::default())?;
    let proxied = play(proxy.address())?;
    ensure!(proxied == wanted, "through the proxy, the exits are {proxied:?}, not {wanted:?}");
    let sessions = proxy.sessions(steps.len())?;
    ensure!(sessions.len() == steps.len(), "{} connections seen, not {}", sessions.len(), steps.len());
    for (number, (session, step)) in sessions.iter().zip(steps).enumerate() {
        step.end.check(session).with_context(|| format!("connection {}", number + 1))?;
    }
    one_attempt(&sessions)?;
    let rows = sessions.iter().zip(&direct).zip(&proxied);
    let rows = rows.map(|((session, direct), proxied)| Row::new(name, direct, proxied, session)).collect();
    let ends: Vec<(Value, &'static str)> = sessions.into_iter().zip(steps.iter().map(|step| step.finally)).collect();
    Ok(Outcome { rows, later: Some(Box::new(move || settled(&proxy, &ends))), skipped: None })
}

/// What each connection is called in the end: in the log, and in the counters.
fn settled(proxy: &Proxy, ends: &[(Value, &'static str)]) -> Result<()> {
    let counted = || proxy.metric("rdpscope_sessions_total", &[]).ok().filter(|sum| *sum >= ends.len() as f64);
    wait_until(SETTLED, counted).context("the sessions are not counted")?;
    captured::agree(proxy)?;
    let codes = proxy.final_codes()?;
    let revisions: Vec<Value> = proxy.events()?.into_iter().filter(|event| action(event) == "verdict").collect();
    for (end, finally) in ends {
        let id = text(end, "session.id");
        let code = codes.get(id).map(String::as_str);
        ensure!(code == Some(*finally), "{id} is called {code:?} in the end, not {finally}");
        let mine: Vec<&Value> = revisions.iter().filter(|event| text(event, "session.id") == id).collect();
        ensure!(mine.len() <= 1, "{id} was revised {} times", mine.len());
        for revision in mine {
            sound(revision).context("the revised verdict is not whole")?;
            ensure!(*at(revision, "rdpscope.final") == json!(true), "a revised verdict that is not final");
            ensure!(*at(end, "rdpscope.final") == json!(false), "a final verdict was revised");
        }
        let same = ends.iter().filter(|(_, other)| other == finally).count() as f64;
        let counter = proxy.metric("rdpscope_sessions_total", &[("cause", finally)])?;
        ensure!(counter == same, "sessions_total{{cause={finally:?}}} is {counter}, not {same}");
    }
    Ok(())
}
