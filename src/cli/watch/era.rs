//! Which era a server speaks, from its answer to `server/discover` (2026-07-28, streamable HTTP, "Backward
//! Compatibility"). Pure.

use serde_json::Value;

use crate::mcp::{ProtocolVersion, RpcError};

/// The only revision of the modern era that is spoken here.
pub(super) const MODERN: ProtocolVersion = ProtocolVersion::V2026_07_28;

/// What to do after the answer to a first, modern request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum EraVerdict {
    /// Go on as a modern client.
    Modern,
    /// Open with `initialize`.
    Legacy,
    /// It will not be different a moment later.
    GiveUp(String),
    /// It may be.
    TryAgain(String),
}

/// `body` is the answer's JSON, if it is JSON.
pub(super) fn verdict(status: u16, body: Option<&Value>) -> EraVerdict {
    let error = body.map(|body| &body["error"]);
    let code = error.and_then(|error| error["code"].as_i64());
    let message = error
        .and_then(|error| error["message"].as_str())
        .unwrap_or("no reason given");
    match status {
        200 if speaks_modern(body) => EraVerdict::Modern,
        200 if code == Some(RpcError::UNSUPPORTED_VERSION.into()) => unsupported(error),
        // A legacy server that takes any request may answer "method not found" with 200, or something else.
        200..=299 => EraVerdict::Legacy,
        401 | 403 => EraVerdict::GiveUp(format!(
            "the server refuses to talk to us ({status}): {message}"
        )),
        429 | 500..=599 => EraVerdict::TryAgain(format!("the server answered {status}: {message}")),
        400 if code == Some(RpcError::UNSUPPORTED_VERSION.into()) => unsupported(error),
        400 if is_modern_error(code) => {
            EraVerdict::GiveUp(format!("the server refuses the request: {message}"))
        }
        400..=499 => EraVerdict::Legacy,
        _ => EraVerdict::GiveUp(format!(
            "the server answered {status}, which is no MCP endpoint's answer"
        )),
    }
}

fn speaks_modern(body: Option<&Value>) -> bool {
    body.and_then(|body| body["result"]["supportedVersions"].as_array())
        .is_some_and(|versions| versions.iter().any(|version| version == MODERN.as_str()))
}

fn is_modern_error(code: Option<i64>) -> bool {
    [
        RpcError::HEADER_MISMATCH,
        RpcError::MISSING_CLIENT_CAPABILITY,
    ]
    .iter()
    .any(|modern| code == Some(i64::from(*modern)))
}

/// A server with sessions among its versions is spoken to with `initialize`.
fn unsupported(error: Option<&Value>) -> EraVerdict {
    let supported = error.and_then(|error| error["data"]["supported"].as_array());
    let spoken = |version: &Value| {
        let version = version.as_str().and_then(ProtocolVersion::parse);
        version.is_some_and(ProtocolVersion::is_streamable)
    };
    match supported {
        Some(versions) if !versions.iter().any(spoken) => EraVerdict::GiveUp(format!(
            "the server speaks only {}",
            Value::from(versions.clone())
        )),
        _ => EraVerdict::Legacy,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn error(code: i32) -> Value {
        json!({"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": "because"}})
    }

    #[test]
    fn a_server_that_discovers() {
        let body = json!({"result": {"supportedVersions": ["2025-11-25", "2026-07-28"]}});
        assert_eq!(verdict(200, Some(&body)), EraVerdict::Modern);
    }

    #[test]
    fn a_server_that_never_heard_of_discover() {
        for (status, body) in [
            (400, None),
            (400, Some(error(-32600))),
            (400, Some(error(-32000))),
            (404, None),
            (404, Some(error(-32601))),
            (405, None),
            (406, None),
            (415, None),
            (422, None),
            (202, None),
            (200, Some(error(-32601))),
            (
                200,
                Some(json!({"result": {"supportedVersions": ["2025-11-25"]}})),
            ),
        ] {
            assert_eq!(
                verdict(status, body.as_ref()),
                EraVerdict::Legacy,
                "{status} {body:?}"
            );
        }
    }

    #[test]
    fn a_modern_refusal_is_no_reason_to_fall_back() {
        for code in [-32020, -32021] {
            assert!(
                matches!(verdict(400, Some(&error(code))), EraVerdict::GiveUp(_)),
                "{code}"
            );
        }
    }

    #[test]
    fn a_version_that_is_not_spoken_there() {
        let mut body = error(-32022);
        body["error"]["data"] = json!({"supported": ["2025-06-18"]});
        assert_eq!(verdict(400, Some(&body)), EraVerdict::Legacy);
        body["error"]["data"] = json!({"supported": ["2031-01-01"]});
        let EraVerdict::GiveUp(sentence) = verdict(400, Some(&body)) else {
            panic!("there is no version in common");
        };
        assert!(sentence.contains("2031-01-01"), "{sentence}");
    }

    #[test]
    fn a_server_that_lacks_a_token_or_a_moment() {
        assert!(matches!(verdict(401, None), EraVerdict::GiveUp(_)));
        assert!(matches!(
            verdict(403, Some(&error(-1))),
            EraVerdict::GiveUp(_)
        ));
        assert!(matches!(verdict(503, None), EraVerdict::TryAgain(_)));
        assert!(matches!(verdict(301, None), EraVerdict::GiveUp(_)));
    }
}
