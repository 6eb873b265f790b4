//! The proxy as a whole: start, reload, drain, stop, in `proxy`; and `rdpscope run`, which adds the signals.
//!
//! [`Proxy`] knows no signal and ends no process, so a test or the demo starts it as it is. [`run`] is what the command
//! calls.

mod check;
mod error;
mod proxy;
mod reload;

pub use crate::relay::Form;
pub use check::{FilesChecked, files as check_files};
pub use error::RunError;
pub use proxy::Proxy;

use crate::observe::{Drain, Observer, sessions};
use crate::sys;
use config::Settings;
use std::io;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Reads the configuration again and checks it. The error is for a person: file, line, what would be right.
pub type Reload = Box<dyn Fn() -> Result<Settings, String> + Send + Sync>;

/// What `run` needs besides the settings.
#[derive(Default)]
pub struct RunOptions {
    /// What SIGHUP reads; without it only the event log is opened anew.
    pub reload: Option<Reload>,
}

/// `rdpscope run`: serves until SIGTERM or SIGINT, then lets live sessions end.
///
/// The first SIGTERM or SIGINT drains, the second one, or `drain_timeout`, ends what is left. SIGHUP reloads.
///
/// # Errors
/// Why it could not start.
pub async fn run(settings: Settings, options: RunOptions) -> Result<(), RunError> {
    let mut signals = Signals::install().map_err(RunError::Signals)?;
    check_descriptors(&settings);
    let observer = Observer::start(&settings).map_err(|error| RunError::Outputs(Box::new(error)))?;
    let proxy = Proxy::start(settings, observer).await?;
    while let Wake::Reload = signals.next().await {
        reload(&proxy, options.reload.as_ref()).await;
    }
    drain(&proxy, &mut signals).await;
    proxy.observer().finish().await;
    Ok(())
}

async fn reload(proxy: &Proxy, hook: Option<&Reload>) {
    let Some(hook) = hook else {
        // Log rotation sends the signal too, so this is no failure.
        proxy.observer().reopen();
        return tracing::info!(
            "the event log is opened anew; there is no file to read again, and flags take a restart"
        );
    };
    let result = match hook() {
        Ok(settings) => proxy.reload(settings).await.map_err(|error| error.to_string()),
        Err(error) => Err(error),
    };
    match &result {
        Ok(()) => tracing::info!("configuration reloaded"),
        Err(why) => tracing::error!("configuration not reloaded, the running one stays in force: {why}"),
    }
    proxy.observer().reloaded(result.as_ref().copied().map_err(String::as_str));
}

async fn drain(proxy: &Proxy, signals: &mut Signals) {
    proxy.drain().await;
    let live = proxy.live();
    let patience = proxy.drain_timeout().await;
    if live > 0 {
        let patience = words(patience);
        tracing::info!("draining: {} may go on for up to {patience}; a second signal ends them now", sessions(live));
    }
    proxy.observer().drain(Drain::Begun { live });
    let cut_short = tokio::select! {
        () = proxy.idle() => false,
        () = tokio::time::sleep(patience) => true,
        () = signals.stop(proxy.observer()) => true,
    };
    let live = proxy.live();
    proxy.stop().await;
    if cut_short && live > 0 {
        tracing::warn!("stopped: {} ended", sessions(live));
        proxy.observer().drain(Drain::CutShort { live });
    } else {
        tracing::info!("stopped: no session was cut");
        proxy.observer().drain(Drain::Done);
    }
}

/// `12 h`, `90 s`: the largest unit that loses nothing.
fn words(span: Duration) -> String {
    match span.as_secs() {
        seconds if span.subsec_nanos() > 0 => {
            format!("{:.3} s", seconds as f64 + f64::from(span.subsec_millis()) / 1e3)
        }
        seconds if seconds >= 3600 && seconds % 3600 == 0 => format!("{} h", seconds / 3600),
        seconds if seconds >= 60 && seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

/// Two descriptors per session, and some for everything else.
fn check_descriptors(settings: &Settings) {
    let sessions: usize = settings.listeners.iter().map(|l| l.max_sessions).sum();
    let wanted = u64::try_from(sessions).unwrap_or(u64::MAX).saturating_mul(2).saturating_add(64);
    match sys::raise_descriptor_limit() {
        Ok(limit) if limit < wanted => {
            let fit = limit.saturating_sub(64) / 2;
            // The built-in ceiling is no promise that anybody counts on; one that was written is.
            if settings.listeners.iter().any(|l| l.max_sessions != config::MAX_SESSIONS) {
                tracing::warn!(
                    "{limit} file descriptors are allowed, enough for {fit} sessions, and max_sessions allows {sessions}: \
                     raise LimitNOFILE (systemd) or `ulimit -n` to {wanted}, or lower max_sessions"
                );
            } else {
                tracing::info!(
                    "{limit} file descriptors are allowed, enough for {fit} sessions; for more raise LimitNOFILE \
                     (systemd) or `ulimit -n`"
                );
            }
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "cannot raise the limit of file descriptors"),
    }
}

enum Wake {
    Reload,
    Stop,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn install() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Wake {
        tokio::select! {
            _ = self.terminate.recv() => Wake::Stop,
            _ = self.interrupt.recv() => Wake::Stop,
            _ = self.hangup.recv() => Wake::Reload,
        }
    }

    /// The next SIGTERM or SIGINT. A drain may last for hours, and logs are rotated meanwhile.
    async fn stop(&mut self, observer: &Observer) {
        while let Wake::Reload = self.next().await {
            observer.reopen();
            tracing::info!("draining: the event log is opened anew, the configuration is not read again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_said_in_their_largest_unit() {
        let said: Vec<String> = [43_200_000, 120_000, 90_000, 1_500].map(Duration::from_millis).map(words).into();
        assert_eq!(said, ["12 h", "2 min", "90 s", "1.500 s"]);
    }
}
