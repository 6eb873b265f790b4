#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rdpscope::analyze::fuzz_properties::file(bytes));
