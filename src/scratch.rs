//! Files of unit tests: each test has a folder, which goes with its thread.

use std::path::PathBuf;

use tempfile::TempDir;

thread_local! {
    static FOLDER: TempDir = tempfile::Builder::new()
        .prefix("pinfold-")
        .tempdir()
        .expect("a scratch folder can be made");
}

/// A path in this test's folder. Nothing is there yet.
pub(crate) fn path(name: &str) -> PathBuf {
    FOLDER.with(|folder| folder.path().join(name))
}

/// A file in this test's folder.
pub(crate) fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = path(name);
    std::fs::write(&path, bytes).expect("a scratch file can be written");
    path
}
