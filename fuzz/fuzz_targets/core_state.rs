#![cfg_attr(fuzzing, no_main)]

pinfold_fuzz::fuzz_target!("core_state");
