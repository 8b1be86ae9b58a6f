//! A client or a suite as a subprocess: output to a file, an end by a deadline.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

/// No run of a client or a suite takes a tenth of this when all is well.
const DEADLINE: Duration = Duration::from_secs(600);
const POLL: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) output: String,
}

/// A new, empty folder for what one test leaves behind.
pub(crate) fn scratch_folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test.replace("::", "/"));
    if folder.exists() {
        std::fs::remove_dir_all(&folder).expect("an old scratch folder can be removed");
    }
    std::fs::create_dir_all(&folder).expect("a scratch folder can be made");
    folder
}

/// Runs a command to its end, both its outputs in one file.
pub(crate) fn run(command: &mut Command, log: &Path) -> Finished {
    let file = File::create(log).expect("a log can be made in the scratch folder");
    let also = file.try_clone().expect("a file handle can be cloned");
    let child = command
        .env("NO_PROXY", "127.0.0.1")
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(also)
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let mut child = EndedWithItsTest(child);
    let status = wait(&mut child.0, DEADLINE);
    let output =
        String::from_utf8_lossy(&std::fs::read(log).expect("the log is there")).into_owned();
    let Some(status) = status else {
        panic!("{command:?} did not end within {DEADLINE:?}:\n{output}");
    };
    Finished { status, output }
}

/// What [`Command::output`] gives. It ends by a deadline.
pub(crate) fn output_of(command: &mut Command) -> Output {
    begin(command).output()
}

/// Under way. Its outputs are files: nobody whom it has started and left behind keeps their ends away.
#[derive(Debug)]
pub(crate) struct Begun {
    child: EndedWithItsTest,
    outputs: [File; 2],
}

pub(crate) fn begin(command: &mut Command) -> Begun {
    let outputs = [(); 2].map(|()| tempfile::tempfile().expect("a file without a name"));
    let [out, err] = outputs
        .each_ref()
        .map(|it| it.try_clone().expect("a file handle can be cloned"));
    let child = command
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    Begun {
        child: EndedWithItsTest(child),
        outputs,
    }
}

impl Begun {
    pub(crate) fn output(mut self) -> Output {
        let status = wait(&mut self.child.0, DEADLINE);
        let [stdout, stderr] = self.outputs.map(|mut file| {
            let mut bytes = Vec::new();
            file.rewind().expect("our own file");
            file.read_to_end(&mut bytes).expect("our own file");
            bytes
        });
        let Some(status) = status else {
            let said = [stdout, stderr].concat();
            let said = String::from_utf8_lossy(&said);
            panic!("a command did not end within {DEADLINE:?}:\n{said}");
        };
        Output {
            status,
            stdout,
            stderr,
        }
    }
}

/// The child's status, or `None` if it is still running after `limit`.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            return Some(status);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(POLL);
    }
}

/// A child that does not outlive a test that fails.
#[derive(Debug)]
pub(crate) struct EndedWithItsTest(pub(crate) Child);

impl Drop for EndedWithItsTest {
    fn drop(&mut self) {
        // Both fail only when the child has ended and been waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
