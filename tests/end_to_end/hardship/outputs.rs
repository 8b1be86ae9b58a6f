//! A log and a banner that cannot be written.

use std::fs::File;
use std::io::{PipeReader, Read, Write};
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use super::{Output, PATIENCE, Process, status};
use crate::program::scratch_folder;
use crate::server::Ports;

/// What a pipe takes on Linux before its writer waits.
pub(crate) const PIPE_BYTES: usize = 64 * 1024;

/// An output into a pipe, and the end to read it at: one for each attempt to start.
pub(crate) fn pipe(fill: usize) -> (Output, Arc<Mutex<Vec<PipeReader>>>) {
    let readers = Arc::new(Mutex::new(Vec::new()));
    let kept = readers.clone();
    let open = move || {
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        writer.write_all(&vec![b'\n'; fill]).expect("it has room");
        kept.lock().expect("one thread").push(reader);
        Stdio::from(writer)
    };
    (Output::Into(Box::new(open)), readers)
}

fn device(path: &'static str) -> Output {
    let open = move || {
        File::options()
            .write(true)
            .open(path)
            .expect("a device")
            .into()
    };
    Output::Into(Box::new(open))
}

#[test]
fn outputs_that_are_closed_at_the_start() {
    let scratch = scratch_folder("hardship/closed");
    for (stdout, stderr) in [
        (Output::Closed, Output::Log),
        (Output::Log, Output::Closed),
        (Output::Closed, Output::Closed),
    ] {
        let mut node = Process::start_with(&[], &stdout, &stderr, &scratch);
        node.until_ready_is(200, &[]);
        node.ends_on_sigterm();
    }
}

#[test]
fn a_disk_that_is_full_before_the_first_line() {
    let scratch = scratch_folder("hardship/full");
    let full = || device("/dev/full");
    let mut node = Process::start_with(&["--log", "debug"], &full(), &full(), &scratch);
    node.signal("HUP");
    node.until("what is not written is counted", || {
        node.metric("pinfold_log_lines_dropped_total") > 0
    });
    node.until_ready_is(200, &[]);
    node.ends_on_sigterm();
}

#[test]
fn a_reader_of_the_log_that_is_gone() {
    let scratch = scratch_folder("hardship/gone");
    let ((stdout, banners), (stderr, logs)) = (pipe(0), pipe(0));
    let mut node = Process::start_with(&["--log", "debug"], &stdout, &stderr, &scratch);
    banners.lock().expect("one thread").clear();
    logs.lock().expect("one thread").clear();
    node.until_ready_is(200, &[]);
    node.signal("HUP");
    node.signal("USR1");
    node.until_ready_is(200, &[]);
    node.ends_on_sigterm();
}

#[test]
fn a_banner_that_nobody_can_take() {
    let scratch = scratch_folder("hardship/banner");
    let (full, _readers) = pipe(PIPE_BYTES);
    let (gone, readers) = pipe(0);
    let closing = Output::Into(Box::new(move || {
        let stdio = gone.open(std::path::Path::new("unused"));
        readers.lock().expect("one thread").clear();
        stdio
    }));
    for stdout in [full, closing] {
        let mut node = Process::start_with(&[], &stdout, &Output::Log, &scratch);
        node.until_ready_is(200, &[]);
        node.ends_on_sigterm();
    }
}

/// Each connection leaves lines at this level: some hundred of them fill a pipe.
#[test]
fn a_log_that_nobody_reads_while_everything_is_logged() {
    const CONNECTIONS: usize = 1_500;
    let scratch = scratch_folder("hardship/unread");
    let (stderr, _readers) = pipe(PIPE_BYTES);
    let mut node = Process::start_with(&["--log", "debug"], &Output::Log, &stderr, &scratch);
    let url = format!("http://127.0.0.1:{}/healthz", node.ports.client);
    for number in 0..CONNECTIONS {
        let answer = status(&url, None, PATIENCE);
        assert_eq!(answer, Some(200), "connection {number}");
    }
    let drain = format!("http://127.0.0.1:{}/drain", node.ports.admin);
    let answer = ureq::post(&drain).config().timeout_global(Some(PATIENCE));
    let answer = answer.build().send_empty().expect("an answer");
    assert_eq!(answer.status(), 202);
    node.until_ready_is(503, &[]);
    node.ends_on_sigterm();
}

#[test]
fn an_error_at_the_start_that_nobody_is_told() {
    let scratch = scratch_folder("hardship/told");
    let ports = Ports::free();
    let _occupied = TcpListener::bind(("127.0.0.1", ports.client)).expect("it was free");
    let no_key: &[&str] = &["--state-key-file", "/dev/null"];
    for (options, code, words) in [
        (
            no_key,
            2,
            "error: invalid value '/dev/null' for '--state-key-file'",
        ),
        (&[], 1, "is in use by another program"),
    ] {
        let (stderr, readers) = pipe(0);
        let mut node = Process::launch(ports, options, &Output::Log, &stderr, &scratch);
        assert_eq!(node.ends().code(), Some(code));
        let mut told = String::new();
        let mut reader = readers.lock().expect("one thread").remove(0);
        reader.read_to_string(&mut told).expect("text");
        assert!(told.contains(words), "{told:?}");

        // And when the one who should be told does not listen.
        let (stderr, _readers) = pipe(PIPE_BYTES);
        let mut node = Process::launch(ports, options, &Output::Log, &stderr, &scratch);
        assert_eq!(node.ends().code(), Some(code));
    }
}
