//! Random bytes for session secrets: the kernel's, a page at a time.

const PAGE: usize = 4096;

/// A source of 16 random bytes that asks the kernel once for 256 sessions.
pub(super) fn source() -> Box<dyn FnMut() -> [u8; 16]> {
    let mut page = [0; PAGE];
    let mut used = PAGE;
    Box::new(move || {
        if used == PAGE {
            getrandom::fill(&mut page).expect("Linux has random bytes once it has booted");
            used = 0;
        }
        let mut secret = [0; 16];
        secret.copy_from_slice(&page[used..used + 16]);
        // What was given out is in one place only.
        page[used..used + 16].fill(0);
        used += 16;
        secret
    })
}
