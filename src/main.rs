//! The program: what it does is in `pinfold::cli`.

mod allocator;

use std::process::ExitCode;

fn main() -> ExitCode {
    allocator::give_back_what_is_large();
    pinfold::program()
}
