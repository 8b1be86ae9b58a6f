//! Room for connections is made before they come.

use crate::program::scratch_folder;
use crate::server::{App, Placement, Server};

/// The kernel's table of open files doubles as it fills, and each time all cores of a node stand still for it.
#[test]
fn connections_that_wait_while_the_kernel_makes_room_for_them() {
    let folder = scratch_folder("open_files");
    let server = Server::start(App::Board, Placement::OneCore, &folder);
    let room = number(&server, "status", "FDSize:");
    let limit = number(&server, "limits", "Max open files");
    assert!(
        room >= limit.min(1_000_000),
        "room for {room} of {limit} open files"
    );
    server.stop().expect("a clean end");
}

/// What the kernel says of the program.
fn number(server: &Server, file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/{file}", server.id()));
    let text = text.expect("it runs");
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    number.unwrap_or_else(|| panic!("no {name} in {text}"))
}
