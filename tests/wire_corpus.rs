//! Replays the fuzz corpus on stable: every file of `tests/corpus/{target}`, whole and cut at every byte, through
//! the same properties as the fuzz targets. A file is named for its fault; those of well-formed input start with
//! `ok_`, and the verdict is held to the name.

use std::fs;
use std::path::Path;

use pinfold::internals::wire::chunked::ChunkedDecoder;
use pinfold::internals::wire::http1::{HeadLimits, parse_head};
use pinfold::internals::wire::json_scan::{JsonBounds, JsonScan};
use pinfold::internals::wire::session_id::SessionId;
use pinfold::internals::wire::sse::EventParser;
use pinfold::internals::wire::{header_value, json_rpc, properties};

/// Runs the property on each input and on its prefixes; `accepts` says whether an input is well-formed.
fn replay(target: &str, property: fn(&[u8]), accepts: fn(&[u8]) -> bool) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus")
        .join(target);
    let entries = fs::read_dir(&directory).expect("the corpus has a directory for each target");
    let mut count = 0;
    for entry in entries {
        let path = entry.expect("a readable directory").path();
        let name = path.file_name().expect("a file").to_string_lossy();
        let input = fs::read(&path).expect("a readable file");
        println!("{target}/{name}");
        property(&input);
        // Each prefix is itself cut everywhere; the long files are about a limit, not about where they are cut.
        for cut in 0..input.len().min(256) {
            property(&input[..cut]);
        }
        assert_eq!(accepts(&input), name.starts_with("ok_"), "{target}/{name}");
        count += 1;
    }
    assert!(count > 0, "{} is empty", directory.display());
}

#[test]
fn head() {
    const LIMITS: HeadLimits = HeadLimits {
        head_bytes_max: 1024,
        target_bytes_max: 256,
    };
    replay("head", properties::head, |input| {
        matches!(parse_head(input, 0, &LIMITS), Ok(Some(_)))
    });
}

#[test]
fn chunked() {
    replay("chunked", properties::chunked, |input| {
        let decoded = ChunkedDecoder::new().decode(input, &mut Vec::new(), 64);
        decoded.is_ok_and(|decoded| decoded.finished)
    });
}

#[test]
fn json_rpc() {
    const JSON_BOUNDS: JsonBounds = JsonBounds {
        depth_max: 16,
        tree_bytes_max: 64 * 1024,
    };
    replay(
        "json_rpc",
        properties::json_rpc,
        |input| match json_rpc::parse(input) {
            _ if JsonScan::of(input).check(&JSON_BOUNDS).is_err() => false,
            Ok(json_rpc::Parsed::One(_)) => true,
            Ok(json_rpc::Parsed::Batch(messages)) => messages.iter().all(Result::is_ok),
            Err(_) => false,
        },
    );
}

#[test]
fn sse() {
    replay("sse", properties::sse, |input| {
        matches!(EventParser::new(512).parse(input), Ok((_, Some(_))))
    });
}

#[test]
fn session_id() {
    replay("session_id", properties::session_id, |input| {
        std::str::from_utf8(input).is_ok_and(|text| SessionId::parse(text).is_some())
    });
}

#[test]
fn header_value() {
    replay("header_value", properties::header_value, |input| {
        std::str::from_utf8(input).is_ok_and(|text| header_value::decode(text).is_ok())
    });
}
