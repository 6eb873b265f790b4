//! The `rdpscope` command.

fn main() {}
