//! Clients that ask for more than their token is good for, by the SDKs' own ways: 403 names the scopes, and they get another token.
//!
//! Version 2 of the TypeScript SDK and the Python SDK ask the issuer for what they have together with what they lack: the first one
//! tells its application that somebody has to log in again, the second one goes there and repeats the request. Version 1 of the
//! TypeScript SDK is not here: it refreshes its token, which is good for the same as before, and gives up ("Server returned 403
//! after trying upscoping").

use super::logins::OidcProvider;
use super::protected::start;
use crate::clients::read_tap;
use crate::program::{run, scratch_folder};
use crate::server::App;
use crate::tools;

const POLICY: &str = "[policy.tools]\n'test_simple_text' = 'board:read board:write'\n'test_image_content' = 'nobody'\n";

/// One test for each client.
macro_rules! clients_that_step_up {
    ($($name:ident => $script:literal, $revision:literal;)*) => {
        $(#[test] fn $name() { steps_up($script, $revision, concat!(module_path!(), "::", stringify!($name))); })*
    };
}

clients_that_step_up! {
    typescript_v2_2025_11_25 => "step_up.mjs", "2025-11-25";
    typescript_v2_2026_07_28 => "step_up.mjs", "2026-07-28";
    python_2025_11_25 => "step_up.py", "2025-11-25";
    python_2026_07_28 => "step_up.py", "2026-07-28";
}

fn steps_up(script: &str, revision: &str, test: &str) {
    let scratch = scratch_folder(test);
    let provider = OidcProvider::start(&scratch);
    let file = scratch.join("pinfold.toml");
    std::fs::write(&file, POLICY).expect("a file can be written");
    let (url, file) = (provider.url(), file.display().to_string());
    let options = [
        "--config",
        &file,
        "--auth-issuer",
        &url,
        "--auth-scopes",
        "board:read",
    ];
    let server = start(App::Conformance, &options, &scratch);
    let mut command = tools::script(script);
    command.args([&server.mcp(), revision, &url]);
    let mut tally = read_tap(&run(&mut command, &scratch.join("client.log")));
    tally.expect(server.stop());
    tally.conclude(test);
}
