//! `rdpscope check`

use super::{BAD_USAGE, bad_configuration, complain, failure, print};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::LazyLock;

static HELP: LazyLock<String> = LazyLock::new(|| {
    format!(
        "Every key, with its default and what it does; only `listen` and `upstream` must be written:\n\n{}\n\
         Durations take ms, s, m, h, d; sizes B, KiB, MiB, GiB.\n\n\
         Examples:\n  rdpscope check --config /etc/rdpscope.toml\n  \
         rdpscope check --config new.toml && systemctl reload rdpscope\n\n\
         Exit codes: 0 the file is good (a warning on standard error changes nothing in that), 2 it is not (standard error says where and what would be right).",
        config::reference_toml()
    )
});

/// Validate a configuration and print what it comes to
///
/// Reads the file as `run` would, shows everything that is wrong with it at once, and otherwise prints the whole
/// effective configuration as TOML: defaults are marked, and so is what this build does not have. Certificates and keys of
/// bridges are read too, and the places of events and captures are looked at; a directory that is still to be made (by
/// systemd, say) is a warning. It listens on nothing, connects to nothing and makes no file.
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP.as_str())]
pub(super) struct Check {
    /// The configuration file
    #[arg(long, short, value_name = "FILE")]
    config: PathBuf,
}

impl Check {
    pub(super) fn main(self) -> ExitCode {
        match config::load(&self.config) {
            Ok(settings) => {
                let files = rdpscope::run::check_files(&settings);
                if !files.wrong.is_empty() {
                    return failure(BAD_USAGE, files.wrong.join("\n       "));
                }
                for file in &files.unread {
                    complain(format_args!("warning: {file}: not checked, this user may not read it"));
                }
                for missing in &files.missing {
                    complain(format_args!("warning: {missing}"));
                }
                config::warnings(&settings).iter().for_each(|warning| complain(format_args!("warning: {warning}")));
                let version = env!("CARGO_PKG_VERSION");
                let path = self.config.display().to_string().replace(char::is_control, "\u{fffd}");
                print(&format!(
                    "# {path} is good. What is in force with rdpscope {version}:\n\n{}",
                    config::effective(&settings)
                ))
            }
            Err(errors) => bad_configuration(&errors),
        }
    }
}
