#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| openkv_torture::fuzz::key(data));
