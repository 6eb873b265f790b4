//! The `rdpscope` command.

mod cli;

/// Sessions are made and ended by different threads, in blocks of some hundred bytes to two kilobytes.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    cli::main()
}
