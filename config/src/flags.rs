//! The command line's way to the same settings: one listener, no file.

use crate::address::{listen, upstream};
use crate::agreement::{Placed, disagreements};
use crate::bridge::{Bridge, BridgeMode, BridgeRules, Pin, Verify};
use crate::problem::{Errors, Fault, Place, Problem};
use crate::read::{admin_listen, bridge, capture, event_path, probe};
use crate::settings::*;
use std::ops::Range;

/// What `rdpscope run --listen … --upstream …` was given, unread.
///
/// ```
/// let flags = config::Flags { listen: "127.0.0.1:0", upstream: "rds07", ..Default::default() };
/// assert_eq!(flags.settings()?.listeners[0].upstream.to_string(), "rds07:3389");
///
/// let errors = config::Flags { listen: ":3389", upstream: "rds07", ..Default::default() }.settings().unwrap_err();
/// assert!(errors.to_string().contains("write `--listen 0.0.0.0:3389`"));
/// # Ok::<(), config::Errors>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Flags<'a> {
    /// `--listen`
    pub listen: &'a str,
    /// `--upstream`
    pub upstream: &'a str,
    /// `--bridge`
    pub bridge: Option<&'a str>,
    /// `--bridge-pin`
    pub bridge_pin: Option<&'a str>,
    /// `--probe`
    pub probe: Option<&'a str>,
    /// `--capture`
    pub capture: Option<&'a str>,
    /// `--event-log`
    pub event_log: Option<&'a str>,
    /// `--admin`
    pub admin: Option<&'a str>,
    /// `--threads`
    pub threads: Option<usize>,
}

impl Flags<'_> {
    /// The settings they ask for.
    ///
    /// # Errors
    /// What cannot be meant, shown on the command line as it would be typed.
    pub fn settings(&self) -> Result<Settings, Errors> {
        let mut line = CommandLine { text: "rdpscope run".to_owned(), problems: Vec::new() };
        let (address, listen_at) = line.flag("--listen", self.listen, |text| listen(text, RDP_PORT));
        let (host, upstream_at) = line.flag("--upstream", self.upstream, upstream);
        let mode = self.bridge.and_then(|mode| line.flag("--bridge", mode, bridge::mode).0);
        let pin = self.bridge_pin.and_then(|pin| line.flag("--bridge-pin", pin, bridge::pin).0);
        let bridge = Bridge { common: bridged(mode.unwrap_or_default(), pin), hosts: Vec::new() };
        let mode = self.probe.and_then(|mode| line.flag("--probe", mode, probe::mode).0);
        let capture = self.capture.and_then(|path| line.flag("--capture", path, capture::directory).0);
        let path = self.event_log.and_then(|path| line.flag("--event-log", path, event_path).0);
        let admin = match self.admin {
            None => Some((Some(Admin::default()), None)),
            Some(text) => {
                let (admin, at) = line.flag("--admin", text, admin_listen);
                admin.map(|admin| (admin, Some(at)))
            }
        };

        let mut listeners = Vec::new();
        if let (Some(address), Some(host)) = (address, host) {
            let listener = Listener {
                name: address.to_string(),
                listen: address,
                upstream: host,
                max_sessions: MAX_SESSIONS,
                max_sessions_per_client: MAX_SESSIONS_PER_CLIENT,
                bridge,
            };
            listeners.push(Placed { listener, name: listen_at.clone(), listen: listen_at, upstream: upstream_at });
        }
        let (admin, admin_at) = admin.unwrap_or_default();
        let placed_admin = admin.as_ref().map(|admin| (admin.listen, admin_at));
        line.problems.extend(disagreements(&listeners, placed_admin, Place::CommandLine));
        if !line.problems.is_empty() {
            return Err(Errors::new("command line", &line.text, line.problems));
        }
        let path = path.unwrap_or(EventPath::Stdout);
        Ok(Settings {
            listeners: listeners.into_iter().map(|placed| placed.listener).collect(),
            timeouts: Timeouts::default(),
            probe: mode.map_or_else(Probe::default, |mode| Probe { mode, ..Probe::default() }),
            capture: capture.map(Capture::into),
            events: Events { path, ..Events::default() },
            admin,
            limits: Limits { threads: self.threads.unwrap_or_default(), ..Limits::default() },
            state_directory: None,
        })
    }
}

/// Nothing is trusted that was not asked for: without a pin the host needs a certificate of a CA that the system knows.
fn bridged(mode: BridgeMode, pin: Option<Pin>) -> BridgeRules {
    match (mode, pin) {
        (BridgeMode::Off, _) => BridgeRules::default(),
        (mode, Some(pin)) => BridgeRules { mode, pin: vec![pin], ..BridgeRules::default() },
        (mode, None) => BridgeRules { mode, verify: Verify::Ca, ..BridgeRules::default() },
    }
}

/// The flags, written as one line that errors can point into.
struct CommandLine {
    text: String,
    problems: Vec<Problem>,
}

impl CommandLine {
    fn flag<T>(
        &mut self,
        name: &str,
        value: &str,
        read: impl FnOnce(&str) -> Result<T, Fault>,
    ) -> (Option<T>, Range<usize>) {
        self.text.push(' ');
        self.text.push_str(name);
        self.text.push(' ');
        let start = self.text.len();
        let plain = !value.is_empty() && value.chars().all(|c| c.is_alphanumeric() || "-._:/[]%+=@,".contains(c));
        if plain {
            self.text.push_str(value);
        } else {
            let clean: String = value.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
            self.text.push_str(&format!("'{clean}'"));
        }
        let at = start..self.text.len();
        let read = read(value).map_err(|fault| self.problems.push(fault.problem(Place::CommandLine, name, at.clone())));
        (read.ok(), at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_alone_make_the_defaults_of_a_file() {
        let flags = Flags { listen: "0.0.0.0:3389", upstream: "rds07", ..Flags::default() };
        let file = crate::parse("f", "[[listener]]\nlisten = '0.0.0.0:3389'\nupstream = 'rds07'\n").unwrap();
        assert_eq!(flags.settings().unwrap(), file);
    }

    #[test]
    fn every_flag_is_used() {
        let flags = Flags {
            listen: "[::1]:0",
            upstream: "[::1]:3390",
            bridge: Some("auto"),
            bridge_pin: Some("sha256:0000000000000000000000000000000000000000000000000000000000000000"),
            probe: Some("off"),
            capture: Some("captures"),
            event_log: Some("/var/log/rdpscope/events.jsonl"),
            admin: Some("off"),
            threads: Some(3),
        };
        let settings = flags.settings().unwrap();
        assert_eq!(settings.limits.threads, 3);
        assert_eq!(settings.events.path, EventPath::File("/var/log/rdpscope/events.jsonl".into()));
        let socket = crate::read::event_path("unix:/run/collector.sock").expect("a socket");
        assert_eq!(socket, EventPath::Socket("/run/collector.sock".into()));
        assert!(crate::read::event_path("unix:").is_err(), "no socket is named");
        assert_eq!(settings.probe.mode, ProbeMode::Off);
        assert_eq!(settings.capture, Some(Capture::into("captures".into())));
        assert_eq!(settings.admin, None);
        assert_eq!(settings.listeners[0].listen, "[::1]:0".parse().unwrap());
        let rules = &settings.listeners[0].bridge.common;
        assert_eq!((rules.mode, rules.verify, rules.pin.len()), (BridgeMode::Auto, Verify::Pin, 1));
    }

    #[test]
    fn a_bridge_without_a_pin_trusts_the_cas_of_the_system() {
        let flags = Flags { listen: "[::1]:0", upstream: "rds07", bridge: Some("always"), ..Flags::default() };
        let settings = flags.settings().unwrap();
        let rules = &settings.listeners[0].bridge.common;
        assert_eq!((rules.mode, rules.verify, &rules.ca), (BridgeMode::Always, Verify::Ca, &None));
    }

    #[test]
    fn all_wrong_flags_are_shown_at_once_on_the_line_as_typed() {
        let flags = Flags {
            listen: "localhost:3389",
            upstream: "a b",
            bridge: Some("on"),
            bridge_pin: Some("sha1:00"),
            probe: None,
            capture: Some(" "),
            event_log: Some(""),
            admin: Some("9389"),
            threads: None,
        };
        let expected = "\
error: `--listen` is a name; listening takes an address
 --> command line:1:23
  |
1 | rdpscope run --listen localhost:3389 --upstream 'a b' --bridge on --bridge-pin sha1:00 --capture ' ' --event-log '' --admin 9389
  |                       ^^^^^^^^^^^^^^ read `localhost:3389`
  |
  = help: write `--listen 127.0.0.1:3389`

error: `--upstream` is not a host
 --> command line:1:49
  |
1 | rdpscope run --listen localhost:3389 --upstream 'a b' --bridge on --bridge-pin sha1:00 --capture ' ' --event-log '' --admin 9389
  |                                                 ^^^^^ contains ` `
  |
  = help: write a DNS name or an address, and a port if it is not 3389

error: `--bridge` is not known
 --> command line:1:64
  |
1 | rdpscope run --listen localhost:3389 --upstream 'a b' --bridge on --bridge-pin sha1:00 --capture ' ' --event-log '' --admin 9389
  |                                                                ^^ read `on`
  |
  = help: write `--bridge off`
  = help: one of `off`, `auto`, `always`

error: `--bridge-pin` is no SHA-256 hash
 --> command line:1:80
  |
1 | rdpscope run --listen localhost:3389 --upstream 'a b' --bridge on --bridge-pin sha1:00 --capture ' ' --event-log '' --admin 9389
  |                                                                                ^^^^^^^ read `sha1:00`
  |
  = help: `sha256:` and 64 hexadecimal digits, of the certificate or of its public key (SPKI); `rdpscope probe HOST` shows it

error: `--capture` names no directory
 --> command line:1:98
  |
1 | rdpscope run --listen localhost:3389 --upstream 'a b' --bridge on --bridge-pin sha1:00 --capture ' ' --event-log '' --admin 9389
  |                                                                                                  ^^^ empty
  |
  = help: write `--capture /var/lib/rdpscope/captures`

error: `--event-log` names no file
 --> command line:1:114
  |
1 | rdpscope run --listen localhost:3389 --upstream 'a b' --bridge on --bridge-pin sha1:00 --capture ' ' --event-log '' --admin 9389
  |                                                                                                                  ^^ empty
  |
  = help: write `--event-log -`
  = help: `-` is standard output, `off` nowhere

error: `--admin` does not say which address to listen on
 --> command line:1:125
  |
1 | rdpscope run --listen localhost:3389 --upstream 'a b' --bridge on --bridge-pin sha1:00 --capture ' ' --event-log '' --admin 9389
  |                                                                                                                             ^^^^ a port alone
  |
  = help: write `--admin 127.0.0.1:9389`
  = help: other machines reach it only through an address of this one, and there is no login: prefer loopback";
        assert_eq!(flags.settings().unwrap_err().to_string(), expected);
    }

    #[test]
    fn a_listener_on_the_port_of_the_admin_endpoint_is_refused() {
        let flags = Flags { listen: "0.0.0.0:9389", upstream: "rds07", ..Flags::default() };
        let shown = flags.settings().unwrap_err().to_string();
        assert!(shown.contains("the admin endpoint listens on 127.0.0.1:9389 by default"), "{shown}");
        assert!(shown.contains("`--admin off` for none"), "{shown}");
    }

    #[test]
    fn a_proxy_in_front_of_itself_is_refused() {
        for (listen, upstream) in [
            ("0.0.0.0:3389", "127.0.0.1"),
            ("127.0.0.1:3389", "localhost"),
            ("[::]:3389", "[::1]"),
            ("10.0.0.1:3389", "10.0.0.1:3389"),
        ] {
            let shown = Flags { listen, upstream, ..Flags::default() }.settings().unwrap_err().to_string();
            assert!(shown.contains("leads to itself"), "{shown}");
        }
        assert!(Flags { listen: "127.0.0.1:3390", upstream: "127.0.0.1", ..Flags::default() }.settings().is_ok());
    }
}
