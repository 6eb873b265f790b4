//! `rdpscope analyze`

mod progress;
mod tally;
mod text;

use super::{BAD_USAGE, RUN_TIME_FAILURE, complain, failure};
use config::UserNames;
use progress::ProgressLine;
use rdpscope::analyze::analysis::{Analysis, Finding, Telling};
use rdpscope::analyze::capture::{self, Step, Summary};
use rdpscope::analyze::own::{self, Opened, Own};
use rdpscope::analyze::source::{CaptureError, Source};
use rdpscope::record::Names;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tally::Tally;

/// Diagnose the connections of a capture
///
/// Reads pcap and pcapng files (gzip too) and gives every TCP connection the verdict that the proxy would have given: whether
/// it worked and, if not, why, whose doing it was, at which step, and what to change. RDP is recognised by its first bytes on
/// any port, and so is TLS from the first byte, which may be the way to an RD Gateway. What only packets show counts as
/// evidence: a SYN without an answer, ICMP errors, resets that another machine has made, full-size segments that never
/// arrive.
///
/// Prints a report for each connection that failed, as soon as its end is known, and a table at the end. Nothing in a capture
/// is decrypted.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
What is read:
  pcap and pcapng in both byte orders, micro- and nanoseconds, several interfaces; Ethernet with
  VLAN tags, Linux cooked (`tcpdump -i any`), raw IP, loopback; IPv4, IPv6 with extension headers.
  Out of order, retransmitted and overlapping segments are put in order (of bytes that differ the
  first ones count); where the capture lacks bytes, reading goes on behind them. Memory does not
  grow with the file: where too many connections are open at once, those that were silent
  for the longest are told as they stand.

  What was never in the file blames nobody: where packets are cut short (`tcpdump -s 96`) or
  missing, all of one direction included, or the file begins within the connection or ends before
  it does, and what is there does not tell how it came out, that is `capture_incomplete`, which is
  neither success nor failure. `tcpdump -s 0` takes whole packets.

  A capture that the proxy itself has written ([capture] in its configuration) is one session with
  both legs, and is given back the verdict that the proxy had, also where somebody has shortened it,
  which is said. Of several behind each other (`cat`) each is a stream.

What is reported:
  Without --all, connections that spoke RDP, that could not reach port 3389 or an address which
  spoke RDP before, and TLS handshakes that failed. TLS that was established may be a gateway's or
  any other: it is counted, and reported when the gateway's own connection to the host is in the
  capture too. A damaged file is read as far as it can be; what stopped it is said at the end.

Examples:
  rdpscope analyze rds07.pcapng
  rdpscope analyze monday.pcap.gz tuesday.pcap.gz
  rdpscope analyze rds07.pcapng --stream 12
  rdpscope analyze rds07.pcapng --json | jq -r 'select(.event.outcome == \"failure\") | .message'
  tcpdump -i any -U -w - port 3389 | rdpscope analyze -
  xz -dc monday.pcap.xz | rdpscope analyze -

Ctrl-C ends tcpdump, and with it the pipe: the rest is told and the table printed. A second Ctrl-C
ends rdpscope at once, as the first one does while it reads a file, or several.

With --json a line is the `session_end` event of the proxy, with the connection's number as
`rdpscope.stream`. A file's verdicts are printed once, when the client's next connection can no
longer change them; those of standard input at once, and a changed one again, as a `verdict` event.

Exit codes: 0 read (in part, if standard error says so), 1 unreadable, 2 bad usage.")]
pub(super) struct Analyze {
    /// Captures, each on its own; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Print one event per connection, as the proxy's event log has it
    #[arg(long)]
    json: bool,
    /// Report every connection, also those that worked and those that are no RDP
    #[arg(long, conflicts_with = "stream")]
    all: bool,
    /// Only the connection of this number, counted from 0 as by tshark (`tcp.stream`)
    #[arg(long, value_name = "N")]
    stream: Option<u64>,
    /// How user names are written in events: the key of the hash is another one in each run
    #[arg(long, value_name = "HOW", value_enum, default_value_t = Users::Hash)]
    user_names: Users,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Users {
    Plain,
    Hash,
    Drop,
}

/// Behind `path` is a pipe or a socket, whose writer gets the terminal's Ctrl-C too.
fn is_written_by_another(path: &Path) -> bool {
    let path = if path == Path::new("-") { Path::new("/dev/stdin") } else { path };
    std::fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo() || found.file_type().is_socket())
}

/// Why nothing more is written.
type Written = io::Result<()>;

impl Analyze {
    pub(super) fn main(self) -> ExitCode {
        if self.stream.is_some() && self.files.len() > 1 {
            return failure(BAD_USAGE, "--stream is a number in one file: name one file");
        }
        let how = match self.user_names {
            Users::Plain => UserNames::Plain,
            Users::Hash => UserNames::Hash,
            Users::Drop => UserNames::Drop,
        };
        let names = match Names::new(how, None) {
            Ok(names) => names,
            Err(error) => return failure(RUN_TIME_FAILURE, error),
        };
        let mut code = ExitCode::SUCCESS;
        for file in &self.files {
            match self.file(file, &names) {
                Ok(Ok(found)) => code = if found { code } else { ExitCode::from(BAD_USAGE) },
                Ok(Err(error)) => code = failure(RUN_TIME_FAILURE, error),
                // A reader that has left (`| head`) is no failure.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
                Err(error) => {
                    return failure(RUN_TIME_FAILURE, format_args!("cannot write to standard output: {error}"));
                }
            }
        }
        code
    }

    /// Reads one file and prints what it holds. `false`: the connection that was asked for is not there.
    fn file(&self, path: &Path, names: &Names) -> io::Result<Result<bool, CaptureError>> {
        if self.files.len() == 1 && is_written_by_another(path) {
            // Ctrl-C is for who writes into the pipe: what came through is told, table and all. Where the system does not
            // grant that, it ends this as well, as it does with a file.
            let _ = rdpscope::sys::outlive_one_interrupt();
        }
        let source = match Source::open(path) {
            Ok(source) => source,
            Err(error) => return Ok(Err(error)),
        };
        let name = source.name().display().to_string();
        let progress = source.progress();
        let live = progress.size.is_none();
        let mut analysis = Analysis::new(if live { Telling::AtOnce } else { Telling::Once });
        let mut print = Print {
            analyze: self,
            names,
            name: &name,
            out: BufWriter::new(Box::new(if self.json {
                Box::new(io::stdout()) as Box<dyn Write>
            } else {
                Box::new(anstream::stdout())
            })),
            line: ProgressLine::new(&name, progress),
            tally: Tally::default(),
            found: false,
            written: Ok(()),
        };
        let source = match own::open(source) {
            Opened::Own(own) => return print.own(own),
            Opened::Other(source) => source,
        };
        let read = capture::read(source, |step| {
            match step {
                Step::Packet(packet) => analysis.packet(&packet, &mut |finding| print.finding(&finding)),
                Step::Quiet(now) => {
                    analysis.quiet(now, &mut |finding| print.finding(&finding));
                    print.flush();
                }
            }
            print.line.show(analysis.connections());
            if print.written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        print.written?;
        print.written = Ok(());
        let summary = match read {
            Ok(summary) => summary,
            Err(error) => return Ok(Err(error)),
        };
        analysis.finish(&mut |finding| print.finding(&finding));
        print.end(&summary, analysis.connections())
    }
}

/// What is printed of one file.
struct Print<'a> {
    analyze: &'a Analyze,
    names: &'a Names,
    name: &'a str,
    out: BufWriter<Box<dyn Write>>,
    line: ProgressLine<'a>,
    tally: Tally,
    found: bool,
    written: Written,
}

impl Print<'_> {
    fn finding(&mut self, finding: &Finding) {
        let relevant = self.tally.add(finding);
        let wanted = match self.analyze.stream {
            Some(stream) => stream == finding.stream,
            None => self.analyze.all || self.analyze.json || relevant && tally::failed(finding),
        };
        if !wanted || self.written.is_err() {
            return;
        }
        self.found = true;
        self.line.hide();
        self.written = match self.analyze.json {
            true => self.out.write_all(&finding.event(self.name, self.names).line()),
            false => {
                let file = (self.analyze.files.len() > 1).then_some(self.name);
                text::finding(&mut self.out, finding, file)
            }
        };
    }

    /// A file of our own: a session, with what no packet shows, or several behind each other.
    fn own(mut self, own: Own) -> io::Result<Result<bool, CaptureError>> {
        let sessions = own.sessions.len();
        let mut complaints = Vec::new();
        for (stream, recorded) in own.sessions.into_iter().enumerate() {
            let of = if sessions > 1 { format!("stream {stream}: ") } else { String::new() };
            if recorded.altered {
                let told = match recorded.told {
                    Some(_) => "the verdict is the one that the proxy had",
                    None => "the proxy had no verdict yet, and this one may be wrong",
                };
                complaints.push(format!("{of}it has been shortened or changed since the proxy wrote it: {told}"));
            }
            if recorded.cut_short {
                complaints.push(format!("{of}the end of the session is not in it"));
            }
            if recorded.secrets {
                complaints.push(format!("{of}it holds secrets that open its TLS, which are not used here"));
            }
            self.finding(&Finding::of_own(recorded, stream as u64));
        }
        self.written?;
        self.out.flush()?;
        for complaint in complaints.iter().chain(&own.complaints) {
            complain(format_args!("{}: {complaint}", self.name));
        }
        match self.analyze.stream {
            Some(stream) if !self.found => {
                let last = sessions.saturating_sub(1);
                let there = if last == 0 {
                    "one session, stream 0".into()
                } else {
                    format!("{sessions} sessions, 0 to {last}")
                };
                complain(format_args!("{}: there is no stream {stream}; it has {there}", self.name));
                Ok(Ok(false))
            }
            _ => Ok(Ok(true)),
        }
    }

    /// Who looks on sees what there is.
    fn flush(&mut self) {
        if self.written.is_ok() {
            self.written = self.out.flush();
        }
    }

    fn end(mut self, summary: &Summary, connections: u64) -> io::Result<Result<bool, CaptureError>> {
        self.line.hide();
        self.written?;
        if let Some(why) = summary.unreadable() {
            return Ok(Err(CaptureError::Unreadable { file: PathBuf::from(self.name), why }));
        }
        if !self.analyze.json && self.analyze.stream.is_none() {
            text::summary(&mut self.out, self.name, summary, connections, &self.tally)?;
        }
        self.out.flush()?;
        for complaint in summary.complaints() {
            complain(format_args!("{}: {complaint}", self.name));
        }
        if summary.secrets > 0 {
            complain(format_args!(
                "{}: it holds TLS secrets (blocks: {}), which are not used here: who has the file can read its sessions",
                self.name, summary.secrets
            ));
        }
        if let Some(stream) = self.analyze.stream
            && !self.found
        {
            let there = match connections {
                0 => "no TCP connection".to_owned(),
                1 => "one TCP connection, stream 0".to_owned(),
                count => format!("{count} TCP connections, 0 to {}", count - 1),
            };
            complain(format_args!("{}: there is no stream {stream}; it has {there}", self.name));
            return Ok(Ok(false));
        }
        Ok(Ok(true))
    }
}
