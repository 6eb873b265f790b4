//! The proxies that are compared: how each is configured, started and ended. Logs of the others are off.

use super::cost::Processes;
use super::works::Path;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A proxy that does not accept, or does not end, within this time is given up.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where Debian has it; elsewhere it may be built in.
const NGINX_STREAM: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

/// Somebody between client and host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Nobody.
    Direct,
    /// rdpscope with every diagnosis on, events on a file.
    Ours,
    /// Another build of it, from before a change.
    Before,
    /// This program, serving as rdpscope does, with its diagnosis on and off: see [`super::serve`].
    SameOn,
    SameOff,
    /// The same, on, and it splices what is at least so many bytes.
    SpliceFrom(usize),
    /// Bytes alone.
    HaproxyTcp,
    /// With its three splice options.
    HaproxySplice,
    /// The same with pipes of 1 MiB.
    HaproxySplice1m,
    /// The same as `HaproxySplice`, and it reads the routing cookie of the Connection Request.
    HaproxyCookie,
    Nginx,
}

impl Target {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Target::Direct => "direct",
            Target::Ours => "rdpscope",
            Target::Before => "rdpscope before",
            Target::SameOn => "diagnosis on",
            Target::SameOff => "diagnosis off",
            Target::SpliceFrom(4_096) => "splice from 4 KiB",
            Target::SpliceFrom(8_192) => "splice from 8 KiB",
            Target::SpliceFrom(16_384) => "splice from 16 KiB",
            Target::SpliceFrom(32_768) => "splice from 32 KiB",
            Target::SpliceFrom(65_536) => "splice from 64 KiB",
            Target::SpliceFrom(usize::MAX) => "no splice",
            Target::SpliceFrom(_) => "splice from some size",
            Target::HaproxyTcp => "haproxy-tcp",
            Target::HaproxySplice => "haproxy-splice",
            Target::HaproxySplice1m => "haproxy-splice-1m",
            Target::HaproxyCookie => "haproxy-rdpcookie-splice",
            Target::Nginx => "nginx-stream",
        }
    }

    /// The program it needs besides ours.
    fn program(self) -> Option<&'static str> {
        match self {
            Target::Direct | Target::Ours | Target::Before => None,
            Target::SameOn | Target::SameOff | Target::SpliceFrom(_) => None,
            Target::Nginx => Some("nginx"),
            _ => Some("haproxy"),
        }
    }

    /// Whether it can be run here.
    pub(crate) fn is_there(self) -> bool {
        self.program().is_none_or(|program| {
            let said = Command::new(program).arg("-v").stdin(Stdio::null()).output();
            said.is_ok_and(|output| output.status.success())
        })
    }
}

/// What a proxy is started with.
pub(crate) struct Setting<'a> {
    pub(crate) rdpscope: &'a std::path::Path,
    /// The build that is [`Target::Before`].
    pub(crate) before: Option<&'a std::path::Path>,
    pub(crate) host: SocketAddr,
    pub(crate) threads: usize,
    /// For configurations and logs.
    pub(crate) directory: PathBuf,
    /// Of rdpscope: where events go, if not to a file in the directory.
    pub(crate) sink: Option<PathBuf>,
    /// Of rdpscope: descriptors it may open.
    pub(crate) descriptors: Option<u32>,
}

impl<'a> Setting<'a> {
    /// The build at `rdpscope` and others like it, with `threads`, in front of `host`; everything else as it usually is.
    pub(crate) fn new(rdpscope: &'a std::path::Path, host: SocketAddr, threads: usize, directory: PathBuf) -> Self {
        Setting { rdpscope, before: None, host, threads, directory, sink: None, descriptors: None }
    }
}

/// A proxy that accepts.
pub(crate) struct Running {
    pub(crate) path: Path,
    /// Where rdpscope's metrics are, for `benches/long_run`.
    #[allow(dead_code)]
    pub(crate) admin: Option<SocketAddr>,
    child: Option<Child>,
}

impl Running {
    pub(crate) fn start(target: Target, setting: &Setting<'_>) -> io::Result<Running> {
        if target == Target::Direct {
            return Ok(Running { path: Path { front: setting.host, proxy: None }, admin: None, child: None });
        }
        let (front, admin) = (free_address()?, free_address()?);
        let directory = setting.directory.join(target.name().replace(' ', "-"));
        fs::create_dir_all(&directory)?;
        let file = |name: &str| directory.join(name);
        let mut command = match target {
            Target::Direct | Target::Ours | Target::Before => {
                fs::write(file("rdpscope.toml"), ours(front, admin, setting, &directory)?)?;
                let limit = setting.descriptors.map_or_else(String::new, |limit| format!("ulimit -n {limit} && "));
                let mut command = Command::new("sh");
                command.arg("-c").arg(format!("{limit}exec \"$0\" run --config \"$1\""));
                let other = setting.before.filter(|_| target == Target::Before);
                command.arg(other.unwrap_or(setting.rdpscope)).arg(file("rdpscope.toml"));
                command
            }
            Target::SameOn | Target::SameOff => {
                fs::write(file("rdpscope.toml"), ours(front, admin, setting, &directory)?)?;
                let mut command = Command::new(std::env::current_exe()?);
                command.arg(if target == Target::SameOn { super::SERVE } else { super::SERVE_BLIND });
                command.arg(file("rdpscope.toml"));
                command
            }
            Target::SpliceFrom(bytes) => {
                fs::write(file("rdpscope.toml"), ours(front, admin, setting, &directory)?)?;
                let mut command = Command::new(std::env::current_exe()?);
                command.arg(super::SERVE_SPLICING).arg(file("rdpscope.toml")).arg(bytes.to_string());
                command
            }
            Target::Nginx => {
                fs::write(file("nginx.conf"), nginx(front, setting))?;
                let mut command = Command::new("nginx");
                command.arg("-p").arg(&directory).arg("-e").arg(file("error.log")).arg("-c").arg(file("nginx.conf"));
                command
            }
            _ => {
                fs::write(file("haproxy.cfg"), haproxy(target, front, setting))?;
                let mut command = Command::new("haproxy");
                command.arg("-db").arg("-f").arg(file("haproxy.cfg"));
                command
            }
        };
        let log = File::create(file("log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut running =
            Running { path: Path { front, proxy: None }, admin: Some(admin), child: Some(command.spawn()?) };
        running.wait_until_it_accepts(target)?;
        Ok(running)
    }

    fn wait_until_it_accepts(&mut self, target: Target) -> io::Result<()> {
        let Some(child) = &mut self.child else { return Ok(()) };
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect(self.path.front).is_err() {
            if let Some(status) = child.try_wait()? {
                return Err(io::Error::other(format!("{} ended with {status}: see its log", target.name())));
            }
            if Instant::now() > until {
                return Err(io::Error::other(format!("{} does not accept", target.name())));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.path.proxy = Some(Processes::of(child.id()));
        Ok(())
    }
}

impl Drop for Running {
    /// nginx ends its workers only when it is asked to; the sessions of the others do not matter any more.
    fn drop(&mut self) {
        let Some(child) = &mut self.child else { return };
        let children = Processes::of(child.id());
        let _ = kill_process(Pid::from_child(child), Signal::TERM);
        let until = Instant::now() + Duration::from_secs(1);
        while matches!(child.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        if matches!(child.try_wait(), Ok(None)) {
            for process in children.all().iter().skip(1) {
                let process = i32::try_from(*process).ok().and_then(Pid::from_raw);
                process.map(|process| kill_process(process, Signal::KILL));
            }
            let _ = child.kill();
        }
        let _ = child.wait();
    }
}

fn ours(
    front: SocketAddr,
    admin: SocketAddr,
    setting: &Setting<'_>,
    directory: &std::path::Path,
) -> io::Result<String> {
    let (host, threads) = (setting.host, setting.threads);
    let events = match &setting.sink {
        Some(sink) => sink.clone(),
        None => {
            let file = directory.join("events.jsonl");
            fs::write(&file, "")?;
            file
        }
    };
    Ok(format!(
        "[[listener]]\nname = \"front\"\nlisten = \"{front}\"\nupstream = \"{host}\"\nmax_sessions_per_client = 20000\n\
         [probe]\nmode = \"off\"\n[events]\npath = {events:?}\n[admin]\nlisten = \"{admin}\"\n[limits]\nthreads = {threads}\n"
    ))
}

fn haproxy(target: Target, front: SocketAddr, setting: &Setting<'_>) -> String {
    let (host, threads) = (setting.host, setting.threads);
    let pipes = if target == Target::HaproxySplice1m { "tune.pipesize 1048576" } else { "" };
    let splice = match target {
        Target::HaproxyTcp => "",
        _ => "option splice-auto\noption splice-request\noption splice-response",
    };
    let cookie = match target {
        Target::HaproxyCookie => {
            "tcp-request inspect-delay 5s\ntcp-request content accept if { req.rdp_cookie(mstshash) -m found }"
        }
        _ => "",
    };
    format!(
        "global\nnbthread {threads}\nmaxconn 5300\n{pipes}\n\
         defaults\nmode tcp\nmaxconn 5300\ntimeout connect 5s\ntimeout client 120s\ntimeout server 120s\n\
         listen front\nbind {front}\n{splice}\n{cookie}\nserver host {host}\n"
    )
}

fn nginx(front: SocketAddr, setting: &Setting<'_>) -> String {
    let (host, threads) = (setting.host, setting.threads);
    let module = match fs::exists(NGINX_STREAM) {
        Ok(true) => format!("load_module {NGINX_STREAM};\n"),
        _ => String::new(),
    };
    format!(
        "{module}worker_processes {threads};\nworker_rlimit_nofile 20000;\ndaemon off;\npid nginx.pid;\n\
         events {{ worker_connections 15000; }}\n\
         stream {{\naccess_log off;\nserver {{ listen {front} reuseport backlog=1024; proxy_pass {host}; }}\n}}\n"
    )
}

fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}
