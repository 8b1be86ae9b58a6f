//! Clients that log in by the SDKs' own ways, at an authorization server that others wrote.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use super::protected::{start, wait_until};
use crate::clients::read_tap;
use crate::ports::free_port;
use crate::program::{EndedWithItsTest, run, scratch_folder};
use crate::server::App;
use crate::tally::Tally;
use crate::tools;

/// One test for each client, at a single node.
macro_rules! clients_that_log_in {
    ($($name:ident => $login:expr;)*) => {
        $(#[test] fn $name() { $login.run(concat!(module_path!(), "::", stringify!($name))); })*
    };
}

clients_that_log_in! {
    typescript_v1_2025_11_25 => Login::typescript("v1", "2025-11-25");
    typescript_v2_2025_11_25 => Login::typescript("v2", "2025-11-25");
    typescript_v2_2026_07_28 => Login::typescript("v2", "2026-07-28");
    python_2025_11_25 => Login::python("2025-11-25");
    python_2026_07_28 => Login::python("2026-07-28");
}

/// A script of `tests/clients` that logs in, the revision that it speaks, and its SDK's generation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Login {
    script: &'static str,
    revision: &'static str,
    generation: &'static str,
}

/// `oidc_provider.mjs`, until the end of the test.
pub(crate) struct OidcProvider {
    pub(crate) port: u16,
    _child: EndedWithItsTest,
}

impl OidcProvider {
    pub(crate) fn start(scratch: &Path) -> OidcProvider {
        let port = free_port();
        let log = File::create(scratch.join("provider.log")).expect("a log can be made");
        let also = log.try_clone().expect("a file handle can be cloned");
        let mut command = tools::script("oidc_provider.mjs");
        command
            .arg(port.to_string())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(also);
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let provider = OidcProvider {
            port,
            _child: EndedWithItsTest(child),
        };
        let metadata = format!("{}/.well-known/openid-configuration", provider.url());
        wait_until("the provider listens", || {
            let request = ureq::get(&metadata).config();
            let request = request.timeout_global(Some(Duration::from_secs(10)));
            request.build().call().is_ok()
        });
        provider
    }

    /// Its name as an issuer.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Login {
    pub(crate) const fn typescript(generation: &'static str, revision: &'static str) -> Login {
        Login {
            script: "oauth.mjs",
            revision,
            generation,
        }
    }

    pub(crate) const fn python(revision: &'static str) -> Login {
        Login {
            script: "oauth.py",
            revision,
            generation: "",
        }
    }

    fn run(self, test: &str) {
        let scratch = scratch_folder(test);
        let provider = OidcProvider::start(&scratch);
        let url = provider.url();
        // Who is told of no scope asks for none, and such a provider gives no token without one.
        let options = ["--auth-issuer", &url, "--auth-scopes", "board:read"];
        // Streams end with their tokens, in the middle of it all.
        let options = [&options[..], &["--auth-grace", "0s"]].concat();
        let server = start(App::Conformance, &options, &scratch);
        let mut tally = self.check(&server.mcp(), &server.admin(), &provider, &[], &scratch);
        tally.expect(server.stop());
        tally.conclude(test);
    }

    /// All checks of the script, against whatever is there.
    pub(crate) fn check(
        self,
        mcp: &str,
        admin: &str,
        provider: &OidcProvider,
        environment: &[(&str, &Path)],
        scratch: &Path,
    ) -> Tally {
        let mut command = tools::script(self.script);
        command.args([mcp, admin, self.revision, &provider.url(), self.generation]);
        command.envs(environment.iter().copied());
        read_tap(&run(&mut command, &scratch.join("client.log")))
    }
}
