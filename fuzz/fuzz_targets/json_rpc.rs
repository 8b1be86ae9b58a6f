#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| pinfold::wire::properties::json_rpc(input));
