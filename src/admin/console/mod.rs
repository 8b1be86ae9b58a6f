//! `GET /console`: a page for operators, and the policy under which a browser runs it.
//!
//! The page tells nothing by itself. It asks for the token, and asks this listener as every other program does, so what
//! it can do is what its token may. The browser runs exactly the script and the style that were compiled in, connects it to
//! where it came from and to nothing else, and shows it inside no other page.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest, Sha256};

use super::response::AdminResponse;

const PAGE: &str = include_str!("console.html");

/// Of the page as it is: whatever else got into it would not run.
static POLICY: LazyLock<String> = LazyLock::new(|| policy(PAGE));

/// What `GET /console` is answered.
pub(super) fn page() -> AdminResponse {
    AdminResponse {
        content_type: "text/html; charset=utf-8",
        ..AdminResponse::text(200, PAGE)
    }
    .with("Content-Security-Policy", POLICY.as_str())
    .with("X-Content-Type-Options", "nosniff")
    .with("X-Frame-Options", "DENY")
    .with("Referrer-Policy", "no-referrer")
    .with("Cross-Origin-Opener-Policy", "same-origin")
    .with("Cross-Origin-Resource-Policy", "same-origin")
}

/// `img-src` is for the icon in the page's head. Nothing becomes markup: the page makes elements and puts texts into them,
/// and trusted types of no kind are allowed.
fn policy(page: &str) -> String {
    let script = hash(inside(page, "<script>", "</script>"));
    let style = hash(inside(page, "<style>", "</style>"));
    format!(
        "default-src 'none'; script-src '{script}'; style-src '{style}'; img-src data:; connect-src 'self'; \
frame-ancestors 'none'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
}

/// Nothing, if it is not there; then nothing runs.
fn inside<'a>(page: &'a str, start: &str, end: &str) -> &'a str {
    let after = page.split_once(start).map_or("", |(_, after)| after);
    after.split_once(end).map_or("", |(inside, _)| inside)
}

fn hash(text: &str) -> String {
    format!("sha256-{}", BASE64.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_that_the_policy_does_not_know() {
        assert_eq!(PAGE.matches("<script").count(), 1);
        assert_eq!(PAGE.matches("<style").count(), 1);
        // Neither would run, whatever it is.
        for inline in [
            " style=\"",
            " onclick=",
            " onload=",
            " onsubmit=",
            "javascript:",
        ] {
            assert!(!PAGE.contains(inline), "{inline}");
        }
        assert!(inside(PAGE, "<script>", "</script>").contains("'use strict'"));
        assert!(inside(PAGE, "<style>", "</style>").contains("--ground"));
        let known = policy("<style>a</style><script>b</script>");
        assert!(
            known.contains("style-src 'sha256-ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs='")
                && known
                    .contains("script-src 'sha256-PiPoFgA5WUoziU9lZOGxNIu9egCI1CxKy3PurtWcAJ0='"),
            "{known}"
        );
    }

    #[test]
    fn something_from_elsewhere_in_the_page() {
        for outside in [
            "http://",
            "https://",
            "src=\"",
            "@import",
            "url(",
            "innerHTML",
            "document.write",
            "eval(",
        ] {
            let places = PAGE.match_indices(outside).filter(|(at, _)| {
                // Names of XML, which nobody asks for.
                !PAGE[*at..].starts_with("http://www.w3.org/2000/svg")
            });
            assert_eq!(places.count(), 0, "{outside}");
        }
    }
}
