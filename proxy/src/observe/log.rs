//! The text log: what a person reads on standard error.
//!
//! Lines go through a queue of their own, so that a stopped terminal or a full pipe never stops a session.

use crate::record::{SessionRecord, Sink, Writer};
use parser::diagnosis::{Cause, Outcome};
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Bytes of log lines that wait for standard error.
const QUEUE: usize = 1024 * 1024;

/// How log lines are written (`--log-format`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people; coloured on a terminal, unless `NO_COLOR` is set.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

static WRITER: OnceLock<Writer<Vec<u8>>> = OnceLock::new();
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Sends the log to standard error. `RUST_LOG` chooses levels, `info` when unset. To be called once, before anything
/// is logged; a second call changes nothing.
pub fn init(format: LogFormat) {
    let (filter, bad_filter) = match std::env::var("RUST_LOG").ok().filter(|text| !text.is_empty()) {
        None => (EnvFilter::new("info"), None),
        Some(text) => match EnvFilter::try_new(&text) {
            Ok(filter) => (filter, None),
            Err(error) => (EnvFilter::new("info"), Some(format!("RUST_LOG={text:?} is not understood: {error}"))),
        },
    };
    let stderr = Sink::Stream(Box::new(io::stderr()));
    let dropped = Arc::new(|lines| _ = DROPPED.fetch_add(lines, Relaxed));
    if let Ok(writer) =
        Writer::start("log", stderr, QUEUE, dropped, |line: Vec<u8>, lines| lines.extend_from_slice(&line))
    {
        let _ = WRITER.set(writer);
    }
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let base = tracing_subscriber::fmt().with_env_filter(filter).with_writer(Lines).with_target(false);
    let _ = match format {
        LogFormat::Text => base.with_ansi(colours).try_init(),
        LogFormat::Json => base.json().flatten_event(true).with_ansi(false).try_init(),
    };
    if let Some(message) = bad_filter {
        tracing::warn!("{message}; logging at info");
    }
}

/// Waits until what was logged is written, at most a second: the last thing a process does.
pub fn flush() {
    if let Some(writer) = WRITER.get() {
        writer.flush(Duration::from_secs(1));
    }
}

/// Log lines that standard error could not take so far.
pub(super) fn dropped() -> u64 {
    DROPPED.load(Relaxed)
}

/// One ended session, or the verdict that has taken the place of the one with the cause `was`. Of many only some are news,
/// the others are told to who asks for them: `sampled` says which.
pub(super) fn session(record: &SessionRecord, was: Option<Cause>, sampled: bool) {
    let (identity, verdict) = (&*record.identity, &record.verdict);
    let client = identity.client.ip().to_canonical();
    let message = if verdict.message.is_empty() { verdict.cause.id() } else { &verdict.message };
    let (revised, was) = (if was.is_some() { "revised: " } else { "" }, was.map(Cause::id));
    macro_rules! tell {
        ($level:ident $(, $field:ident = $value:expr)*) => {
            tracing::$level!(
                cause = %verdict.cause, was, side = %verdict.side.name(), phase = %verdict.phase,
                confidence = %verdict.confidence.name(), %client, host = %identity.upstream, session = %identity.id
                $(, $field = %$value)*, "{revised}{message}"
            )
        };
    }
    match (verdict.outcome(), verdict.remedy.first()) {
        _ if !sampled => tell!(debug),
        // Last, and as it is: a registry path or a command is there to be copied.
        (Outcome::Failure, Some(remedy)) => tell!(warn, remedy = remedy),
        (Outcome::Failure, None) => tell!(warn),
        (Outcome::Success | Outcome::Unknown, _) => tell!(info),
    }
}

/// Verdicts of this outcome that were not sampled, at the level at which they would have been logged.
pub(super) fn left_out(outcome: Outcome, suppressed: u64) {
    let message = format!("{suppressed} more verdicts of outcome {} were not logged one by one", outcome.name());
    match outcome {
        Outcome::Failure => tracing::warn!(suppressed, "{message}"),
        Outcome::Success | Outcome::Unknown => tracing::info!(suppressed, "{message}"),
    }
}

/// Makes a buffer per event, which becomes one line of the queue.
struct Lines;

struct Line(Vec<u8>);

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;
    fn make_writer(&'a self) -> Line {
        Line(Vec::with_capacity(256))
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let line = std::mem::take(&mut self.0);
        match WRITER.get() {
            Some(writer) if !line.is_empty() => {
                let weight = line.len();
                writer.push(line, weight);
            }
            // No thread could be had for the queue: better late than never.
            _ => _ = io::stderr().write_all(&line),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::record::fixture::record;
    use std::sync::Mutex;

    #[derive(Clone, Default)]
    struct Seen(Arc<Mutex<Vec<u8>>>);

    impl Write for Seen {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What this thread logs meanwhile.
    pub(crate) fn said_by(act: impl FnOnce()) -> String {
        let seen = Seen::default();
        let writer = seen.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::INFO)
            .with_ansi(false)
            .with_target(false)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, act);
        let bytes = seen.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn logged(cause: Cause, sampled: bool) -> String {
        let record = record(1, cause);
        said_by(|| session(&record, None, sampled))
    }

    #[test]
    fn a_failure_is_one_warning_with_cause_who_step_and_remedy() {
        let line = logged(Cause::CertExpired, true);
        assert_eq!(line.lines().count(), 1);
        assert!(line.contains(" WARN The client refused the host's certificate: it has expired"), "{line}");
        for part in [
            "cause=cert_expired",
            "side=host",
            "phase=tls_finish",
            "client=10.1.2.3",
            "host=rds07.example.net:3389",
            "confidence=proven",
            "remedy=renew the certificate\n",
        ] {
            assert!(line.contains(part), "{part}: {line}");
        }
        assert!(!line.contains('\u{1b}') && !line.contains("alice"), "{line}");
    }

    /// `RUST_LOG=warn` shows what it came to, not only what was thought first.
    #[test]
    fn a_failure_that_takes_the_place_of_another_is_the_same_warning() {
        let record = record(1, Cause::CertExpired);
        let first = said_by(|| session(&record, None, true));
        let revised = said_by(|| session(&record, Some(Cause::TlsNoCommonCipher), true));
        let of = |line: &str| line.split_once(" WARN ").expect("a warning").1.to_owned();
        let was = "revised: ".to_owned() + &of(&first).replace(" side=", " was=\"tls_no_common_cipher\" side=");
        assert_eq!(of(&revised), was);
        let prompt = SessionRecord { verdict: crate::record::fixture::verdict(Cause::ClientPromptProbe), ..record };
        assert!(said_by(|| session(&prompt, Some(Cause::CertExpired), true)).contains(" INFO revised: "));
    }

    /// Who reads failures alone is told how many there were.
    #[test]
    fn what_was_left_out_is_said_at_the_level_of_what_was_not() {
        let said = |outcome| said_by(|| left_out(outcome, 7));
        assert!(said(Outcome::Failure).contains(" WARN 7 more verdicts of outcome failure were not logged one by one"));
        assert!(said(Outcome::Unknown).contains(" INFO 7 more verdicts of outcome unknown"));
    }

    #[test]
    fn health_is_information_and_of_many_only_a_sample_is_shown() {
        assert!(logged(Cause::Ok, true).contains(" INFO "));
        assert!(logged(Cause::NotRdp, true).contains(" INFO "));
        for cause in [Cause::NotRdp, Cause::Ok, Cause::CertExpired] {
            assert_eq!(logged(cause, false), "");
        }
    }
}
