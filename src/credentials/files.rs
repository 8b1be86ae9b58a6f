//! Files with tokens, keys and secrets: read whole, bounded, and complained of where others can read a secret.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tracing::warn;

use crate::auth::StaticTokens;

/// Bytes of a token file: a thousand tokens with long names and scopes have less than a quarter of it.
const TOKEN_FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The tokens of a file.
///
/// # Errors
/// A sentence with the file, and the line if one is wrong.
pub fn read_token_file(path: &Path) -> Result<StaticTokens, String> {
    let bytes = read(path, TOKEN_FILE_BYTES_MAX)?;
    let text = String::from_utf8(bytes).map_err(|_| format!("{}: is no text", path.display()))?;
    StaticTokens::parse(&text).map_err(|wrong| format!("{}: {wrong}", path.display()))
}

/// A secret, without the line end that editors put behind it.
pub(super) fn read_secret(path: &Path) -> Result<Vec<u8>, String> {
    let mut secret = read(path, TOKEN_FILE_BYTES_MAX)?;
    while secret.last().is_some_and(|byte| b"\r\n".contains(byte)) {
        secret.pop();
    }
    Ok(secret)
}

/// It will be read again: what is there only once, or waits for somebody who writes it, is of no use.
pub(super) fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, String> {
    let named = |error: std::io::Error| format!("{}: cannot be read: {error}", path.display());
    // Opening a pipe waits for that, too.
    if !fs::metadata(path).map_err(named)?.is_file() {
        return Err(format!(
            "{}: is no plain file, but a folder, a pipe or the like",
            path.display()
        ));
    }
    let file = File::open(path).map_err(named)?;
    let mut bytes = Vec::new();
    let read = file
        .take(bytes_max + 1)
        .read_to_end(&mut bytes)
        .map_err(named)?;
    match read as u64 > bytes_max {
        true => Err(format!(
            "{}: is longer than {bytes_max} bytes",
            path.display()
        )),
        false => Ok(bytes),
    }
}

/// Whether others on the machine may do with it what they should not.
pub(super) fn is_open_to_all(path: &Path, bits: u32) -> bool {
    let mode = fs::metadata(path).map(|about| about.permissions().mode());
    mode.is_ok_and(|mode| mode & bits != 0)
}

/// Hashes let nobody in, but whoever can write here can.
pub(super) fn complain_of_tokens(path: &Path) {
    complain_of(
        path,
        0o002,
        "can be written by everybody on this machine, and whoever writes a line is let in",
    );
    complain_of(
        path,
        0o004,
        "can be read by everybody on this machine: names and scopes are in it",
    );
}

pub(super) fn complain_of_secret(path: &Path) {
    complain_of(
        path,
        0o004,
        "can be read by everybody on this machine, and whoever reads it can be anybody",
    );
}

fn complain_of(path: &Path, bits: u32, what: &str) {
    if is_open_to_all(path, bits) {
        warn!(
            "{} {what}: chmod o-rw makes it the server's",
            path.display()
        );
    }
}
