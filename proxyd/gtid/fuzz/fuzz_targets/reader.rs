#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| proxyd_gtid::fuzz::reader(bytes));
