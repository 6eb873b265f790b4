//! Two hundred healthy sessions, eight at a time, over every client and host pair, through one proxy with a listener
//! per lane: clients that end in order, are asked to end, are killed; hosts that crash once the session is active and
//! come back. No failure may be reported before `active`, and what was healthy is `ok`.

use crate::client::{Client, PATIENCE, rdesktop, tls};
use crate::host::{Gateway, Host, Running, Xrdp};
use crate::lab::{Exit, Lab, wait_until};
use crate::proxy::{Options, Proxy, at, text};
use crate::runner::{Case, Outcome, Row};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

const NAME: &str = "campaign";
const AT_ONCE: usize = 8;
const HEALTHY: usize = 200;

/// How the sessions of a lane end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    /// The client ends by itself once the session stands.
    Whole,
    /// The client is asked to end once the session is active.
    Ended,
    /// The client dies once the session is active.
    ClientKilled,
    /// The host dies once the session is active.
    HostKilled,
    /// The host dies, comes back, and the client reconnects by itself.
    Reconnect,
}

/// Sessions of one kind, one after the other, behind a listener of their own.
struct Lane {
    name: &'static str,
    /// Lanes that share a host have the same.
    host: &'static str,
    client: Client,
    life: Life,
    repeats: usize,
}

impl Lane {
    /// How many connections it makes that stand.
    fn sessions(&self) -> usize {
        self.repeats * if self.life == Life::Reconnect { 2 } else { 1 }
    }
}

fn hosts() -> BTreeMap<&'static str, Host> {
    let xrdp = |protocols| Host::Xrdp(Xrdp::tls().protocols(protocols));
    BTreeMap::from([
        ("xrdp13", xrdp("TLSv1.3")),
        ("xrdp12", xrdp("TLSv1.2")),
        ("xrdp12cbc", Host::Xrdp(Xrdp::tls().protocols("TLSv1.2").ciphers("AES128-SHA:@SECLEVEL=0"))),
        ("xrdp11", Host::Xrdp(Xrdp::legacy("TLSv1.1"))),
        ("xrdp10", Host::Xrdp(Xrdp::legacy("TLSv1"))),
        ("xrdpec", Host::Xrdp(Xrdp::tls().pair("ec.crt", "ec.key"))),
        ("rdpnone", Host::Xrdp(Xrdp::rdp("none"))),
        ("rdpfips", Host::Xrdp(Xrdp::rdp("fips"))),
        ("rdprc4", Host::Xrdp(Xrdp::rdp("high"))),
        ("nla", Host::Shadow("nla")),
        ("shadowtls", Host::Shadow("tls")),
        ("shadowrdp", Host::Shadow("rdp")),
        ("gateway", Host::Gateway(Gateway::Ok)),
        ("crash1", xrdp("TLSv1.2, TLSv1.3")),
        ("crash2", xrdp("TLSv1.2")),
        ("back", xrdp("TLSv1.2, TLSv1.3")),
    ])
}

fn lanes() -> Vec<Lane> {
    use Life::{ClientKilled, Ended, HostKilled, Reconnect, Whole};
    let lane = |name, host, client, life, repeats| Lane { name, host, client, life, repeats };
    let sec0 = || tls(&["/tls-seclevel:0"]);
    let auth = |options: &[&'static str]| Client::Xfreerdp([&["+auth-only"], options].concat());
    let login = |options: &[&'static str]| Client::Xfreerdp(options.to_vec());
    vec![
        // The long ones first, so that nothing is left waiting for them.
        lane("reconnect", "back", login(&["/sec:tls", "+auto-reconnect"]), Reconnect, 2),
        lane("host-killed-xfreerdp", "crash1", login(&["/sec:tls"]), HostKilled, 4),
        lane("host-killed-rdesktop", "crash2", rdesktop(&[]), HostKilled, 4),
        lane("nla", "nla", auth(&["/sec:nla"]), Whole, 16),
        lane("xrdp13", "xrdp13", tls(&[]), Whole, 20),
        lane("xrdp12", "xrdp12", tls(&[]), Whole, 20),
        lane("rdesktop13", "xrdp13", rdesktop(&[]), Ended, 12),
        lane("rdesktop12", "xrdp12", rdesktop(&[]), Ended, 12),
        lane("rc4-rdesktop", "rdprc4", rdesktop(&[]), Ended, 12),
        lane("shadow-tls", "shadowtls", tls(&[]), Whole, 10),
        lane("rdp-none", "rdpnone", auth(&["/sec:rdp"]), Whole, 10),
        lane("rdp-fips", "rdpfips", auth(&["/sec:rdp"]), Whole, 10),
        lane("killed-xfreerdp", "xrdp13", login(&["/sec:tls"]), ClientKilled, 8),
        lane("killed-rdesktop", "xrdp13", rdesktop(&[]), ClientKilled, 8),
        lane("xrdp12cbc", "xrdp12cbc", tls(&[]), Whole, 8),
        lane("xrdp11", "xrdp11", sec0(), Whole, 8),
        lane("xrdp10", "xrdp10", sec0(), Whole, 8),
        lane("xrdp-ec", "xrdpec", tls(&[]), Whole, 8),
        lane("ended-xfreerdp", "xrdp12", login(&["/sec:tls"]), Ended, 6),
        lane("killed-nla", "nla", login(&["/sec:nla"]), ClientKilled, 6),
        lane("nla-default", "nla", auth(&[]), Whole, 6),
        lane("shadow-rdp", "shadowrdp", auth(&["/sec:rdp"]), Whole, 6),
        lane("rdesktop12cbc", "xrdp12cbc", rdesktop(&[]), Ended, 6),
        lane("rdesktop11", "xrdp11", rdesktop(&[]), Ended, 6),
        lane("rdesktop10", "xrdp10", rdesktop(&["-V", "1.0"]), Ended, 6),
        lane("gateway", "gateway", Client::ViaGateway(vec!["/sec:tls", "+auth-only", "/gt:http"]), Whole, 4),
    ]
}

/// The whole campaign as one case.
pub(crate) fn case() -> Case {
    Case::new(
        NAME,
        |lab, direct_only| {
            if direct_only { Ok(Outcome::skip("the pairs alone are the direct half")) } else { run(lab) }
        },
    )
}

/// What the workers share.
struct Field<'a> {
    lab: &'a Arc<Lab>,
    proxy: Proxy,
    specs: BTreeMap<&'static str, Host>,
    hosts: BTreeMap<&'static str, Mutex<Running>>,
}

fn run(lab: &Arc<Lab>) -> Result<Outcome> {
    let room = lab.room(NAME)?;
    let mut specs = hosts();
    specs.retain(|name, host| {
        host.unavailable().is_none_or(|why| {
            println!("SKIP {NAME}: host {name}: {why}");
            false
        })
    });
    let mut hosts = BTreeMap::new();
    for (name, spec) in &specs {
        let running = spec.start(lab, &lab.room(&format!("{NAME}-{name}"))?)?;
        hosts.insert(*name, running);
    }
    let mut lanes = lanes();
    lanes.retain(|lane| specs.contains_key(lane.host));
    let mut listeners = String::new();
    for Lane { name, host, .. } in &lanes {
        let port = hosts.get(host).context("a lane without a host")?.port;
        listeners +=
            &format!("[[listener]]\nname = \"{name}\"\nlisten = \"127.0.0.1:0\"\nupstream = \"127.0.0.1:{port}\"\n");
    }
    let proxy = Proxy::with_file(lab, &room, &listeners, lanes.len(), &Options::default())?;
    let hosts = hosts.into_iter().map(|(name, running)| (name, Mutex::new(running))).collect();
    let field = Field { lab, proxy, specs, hosts };
    let wrong = field.drive(&lanes);
    let judged = field.judge(&lanes);
    let story = || format!("{}\nproxy:\n{}", wrong.join("\n"), crate::pair::tail(&field.proxy.output()));
    let rows = judged.with_context(story)?;
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(Outcome { rows, ..Outcome::default() })
}

impl Field<'_> {
    /// Runs all lanes, [`AT_ONCE`] at a time; says what did not go as it should.
    fn drive(&self, lanes: &[Lane]) -> Vec<String> {
        let queue = Mutex::new(lanes.iter().enumerate().collect::<VecDeque<_>>());
        let wrong = Mutex::new(vec![]);
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    loop {
                        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                        let Some((number, lane)) = next else { break };
                        for repeat in 0..lane.repeats {
                            if let Err(error) = self.session(number, lane, repeat) {
                                let line = format!("{} {repeat}: {error:#}", lane.name);
                                wrong.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                            }
                        }
                    }
                });
            }
        });
        wrong.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn session(&self, number: usize, lane: &Lane, repeat: usize) -> Result<()> {
        let room = self.lab.room(&format!("{NAME}-{}-{repeat}", lane.name))?;
        let to = self.proxy.listening[number];
        if lane.life == Life::Whole {
            let ended = lane.client.run(self.lab, &room, to, PATIENCE)?;
            ensure!(ended.exit == Exit::Code(0), "client's exit {}: {}", ended.exit, crate::pair::tail(&ended.output));
            return Ok(());
        }
        let mut client = lane.client.start(self.lab, &room, to)?;
        self.wait_active(lane).with_context(|| crate::pair::tail(&client.output()))?;
        match lane.life {
            Life::Whole | Life::Ended => client.stop(),
            Life::ClientKilled => client.kill(),
            Life::HostKilled | Life::Reconnect => {
                self.crash_and_return(lane)?;
                if lane.life == Life::Reconnect {
                    self.wait_active(lane).context("after the host came back")?;
                }
                client.stop();
            }
        }
        // The next session of this lane must not be taken for this one.
        wait_until(PATIENCE, || self.live(lane).ok().filter(Vec::is_empty)).context("the session stays")?;
        Ok(())
    }

    fn crash_and_return(&self, lane: &Lane) -> Result<()> {
        let (host, spec) = self.hosts.get(lane.host).zip(self.specs.get(lane.host)).context("no such host")?;
        let mut host = host.lock().unwrap_or_else(PoisonError::into_inner);
        let port = host.port;
        host.crash();
        let gone = || self.live(lane).ok().filter(|live| !live.iter().any(|session| session.contains("\"active\"")));
        wait_until(PATIENCE, gone).context("the host died, and its session stays active")?;
        *host = spec.start_on(self.lab, &self.lab.room(&format!("{NAME}-{}", lane.host))?, port)?;
        Ok(())
    }

    fn wait_active(&self, lane: &Lane) -> Result<()> {
        let active = |live: &Vec<String>| live.iter().any(|session| session.contains("\"active\""));
        wait_until(PATIENCE, || self.live(lane).ok().filter(active))
            .map(drop)
            .context("the session does not get active")
    }

    /// The live sessions of a lane, as the admin endpoint tells of them.
    fn live(&self, lane: &Lane) -> Result<Vec<String>> {
        let page: Value = serde_json::from_str(&self.proxy.page("/api/sessions?state=live&limit=1000")?)?;
        let list = page.as_array().or(page["sessions"].as_array()).context("/api/sessions is no list")?;
        let name = format!("\"{}\"", lane.name);
        Ok(list.iter().map(Value::to_string).filter(|session| session.contains(&name)).collect())
    }

    /// The ends of a lane's sessions. While a host is away its client may try and be refused, which is as it is.
    fn ends<'e>(&self, lane: &Lane, sessions: &'e [Value]) -> Vec<&'e Value> {
        let refused = |end: &Value| lane.life == Life::Reconnect && text(end, "event.code") == "tcp_refused";
        sessions.iter().filter(|end| text(end, "rdpscope.listener") == lane.name && !refused(end)).collect()
    }

    fn judge(&self, lanes: &[Lane]) -> Result<Vec<Row>> {
        let all_there = || {
            let sessions = self.proxy.sessions(0).ok()?;
            let there = lanes.iter().all(|lane| self.ends(lane, &sessions).len() >= lane.sessions());
            there.then_some(())
        };
        wait_until(PATIENCE, all_there);
        let sessions = self.proxy.sessions(0)?;
        let mut wrong = vec![];
        let (mut rows, mut healthy) = (vec![], 0);
        for lane in lanes {
            let mine = self.ends(lane, &sessions);
            if mine.len() != lane.sessions() {
                wrong.push(format!("{}: {} sessions, not {}", lane.name, mine.len(), lane.sessions()));
            }
            let mut came_to: BTreeMap<String, usize> = BTreeMap::new();
            for (index, end) in mine.iter().enumerate() {
                let (code, phase) = (text(end, "event.code"), text(end, "rdpscope.phase"));
                let cut = lane.life == Life::HostKilled || (lane.life == Life::Reconnect && index % 2 == 0);
                let how = text(end, "rdpscope.end");
                let good = match lane.life {
                    _ if cut => phase == "active" && (code != "ok" || is_in_doubt(end)),
                    Life::ClientKilled => code == "ok" && matches!(how, "client_gone" | "user_closed"),
                    _ => code == "ok",
                };
                if !good {
                    wrong.push(format!(
                        "{} {index}: {code} ({how}) in {phase}: {} {}",
                        lane.name,
                        text(end, "message"),
                        at(end, "rdpscope.evidence")
                    ));
                }
                if let Err(error) = crate::expect::sound(end) {
                    wrong.push(format!("{} {index}: {error:#}", lane.name));
                }
                healthy += usize::from(code == "ok");
                *came_to.entry(format!("{code} in {phase}")).or_default() += 1;
            }
            let summary: Vec<String> = came_to.iter().map(|(what, count)| format!("{count} {what}")).collect();
            rows.push(Row::note(&format!("{NAME}: {}", lane.name), "", summary.join(", ")));
        }
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        let whole = self.specs.len() == hosts().len();
        ensure!(healthy >= HEALTHY || !whole, "{healthy} healthy sessions, not {HEALTHY}");
        rows.push(Row::note(&format!("{NAME}: all"), "", format!("{healthy} ok of {}", sessions.len())));
        Ok(rows)
    }
}

/// The host died while much was being sent, so its last records passed unread: no goodbye is proven, and none is ruled out.
fn is_in_doubt(end: &Value) -> bool {
    let rival = |cause: &Value| cause == "host_closed_active";
    text(end, "rdpscope.confidence") == "possible"
        && at(end, "rdpscope.alternatives").as_array().is_some_and(|rivals| rivals.iter().any(rival))
}
