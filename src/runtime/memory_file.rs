//! Files in the memory of nobody: what is written down for another process, which is given their descriptors.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};

use rustix::fs::{MemfdFlags, memfd_create};

/// # Errors
/// Out of memory or descriptors.
pub(crate) fn write(name: &str, bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create(name, MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    Ok(file)
}

/// All of it, wherever whoever wrote it has stopped.
///
/// # Errors
/// The kernel's.
pub(crate) fn read(mut file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_process_reads_from_its_end_on() {
        let file = write("test", b"soup").expect("there is room");
        let again = file.try_clone().expect("a descriptor");
        assert_eq!(read(file).expect("it is read"), b"soup");
        assert_eq!(read(again).expect("it is read"), b"soup");
    }
}
