//! Opening the outputs: what can go wrong does so here, before any session.

use super::feed::Feed;
use super::live::Live;
use super::metrics::Metrics;
use super::pending::Pending;
use super::settle::Settling;
use super::{Latencies, Observer, Readiness, Tick, tick};
use crate::record::capture::Captures;
use crate::record::{KeyError, Names, Sink, StoreError, Writer};
use config::EventPath;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::AtomicU8;
use std::sync::{Arc, Mutex, OnceLock};
use tokio::sync::watch;

/// An output that could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The event file.
    #[error(
        "cannot write session events to {path}: {source}. The user that runs this must be able to write there; \
         events.path (--event-log) names the file, `-` is standard output, `off` nowhere"
    )]
    EventLog {
        /// What was to be written, a path or standard output.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// The key for user name hashes.
    #[error("cannot hash user names: {0}")]
    Key(#[from] KeyError),
    /// The directory of captures.
    #[error(
        "cannot write captures: {0}. capture.directory (--capture) names the directory; without it none is written"
    )]
    Captures(#[from] StoreError),
    /// No thread could be started.
    #[error("cannot start a thread for the outputs: {0}")]
    Thread(io::Error),
    /// A metric was refused: a fault of ours.
    #[error("cannot set up metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

impl Observer {
    /// An observer that writes nothing and listens nowhere, for tests.
    ///
    /// # Panics
    /// When the machine gives no thread.
    #[must_use]
    pub fn quiet() -> Arc<Observer> {
        let events = config::Events { path: EventPath::Off, user_names: config::UserNames::Drop, live: false };
        match Observer::open(&events, None, 0, None) {
            Ok(observer) => observer,
            Err(error) => panic!("{error}"),
        }
    }

    /// The outputs that `settings` ask for. Needs no runtime.
    ///
    /// # Errors
    /// An output that cannot be opened.
    pub fn start(settings: &config::Settings) -> Result<Arc<Observer>, OutputError> {
        let state = settings.state_directory.as_deref();
        let (queue, capture) = (settings.limits.event_queue, settings.capture.as_ref());
        let observer = Observer::open(&settings.events, capture, queue, state)?;
        observer.configured(settings);
        Ok(observer)
    }

    fn open(
        events: &config::Events,
        capture: Option<&config::Capture>,
        queue: usize,
        state: Option<&Path>,
    ) -> Result<Arc<Observer>, OutputError> {
        let metrics = Metrics::new()?;
        let names = Arc::new(Names::new(events.user_names, state)?);
        let (sink, path) = match &events.path {
            EventPath::Off => (None, String::new()),
            EventPath::Stdout => (Some(stdout()?), "standard output".to_owned()),
            EventPath::File(path) => (Some(Sink::File(path.clone())), path.display().to_string()),
            EventPath::Socket(path) => (Some(Sink::socket(path.clone())), path.display().to_string()),
        };
        let dropped = metrics.dropped("file");
        let file = sink
            .map(|sink| {
                let names = Arc::clone(&names);
                let dropped = Arc::new(move |lines| dropped.inc_by(lines));
                Writer::start("events", sink, queue, dropped, move |pending: Pending, lines| {
                    pending.form(&names, lines)
                })
            })
            .transpose()
            .map_err(|source| OutputError::EventLog { path, source })?;
        let captures = capture
            .map(|settings| Captures::start(settings, Names::clone(&names), Box::new(metrics.captures())))
            .transpose()?;
        let feed = Feed::new(metrics.dropped("feed"));
        let observer = Arc::new(Observer {
            metrics,
            names,
            file,
            captures,
            live_in_file: events.live,
            feed,
            live: Live::default(),
            history: Mutex::default(),
            latencies: Latencies::default(),
            settling: Settling::default(),
            tick: Tick::default(),
            gone: watch::Sender::new(()),
            refused: Mutex::default(),
            logged: Mutex::default(),
            notices: Mutex::default(),
            records: Mutex::default(),
            readiness: AtomicU8::new(Readiness::Starting as u8),
            prober: OnceLock::new(),
        });
        tick::start(&observer).map_err(OutputError::Thread)?;
        Ok(observer)
    }
}

/// Standard output without the buffer of the standard library, which would keep half a line after a fault.
fn stdout() -> Result<Sink, OutputError> {
    let descriptor = io::stdout().as_fd().try_clone_to_owned();
    match descriptor {
        Ok(descriptor) => Ok(Sink::Stream(Box::new(File::from(descriptor)))),
        Err(source) => Err(OutputError::EventLog { path: "standard output".to_owned(), source }),
    }
}
