//! The user that deploy/README.md gives a node in Redis: tests run as that one, so that it has what a node needs.

const README: &str = include_str!("../../deploy/README.md");

/// What follows `--user` when a Redis starts.
pub(crate) fn user(password: &str) -> Vec<String> {
    let line = README
        .lines()
        .find_map(|line| line.strip_prefix("ACL SETUSER "))
        .expect("deploy/README says what a node may do");
    let words = line.replace("PASSWORD", password);
    words.split(' ').map(str::to_owned).collect()
}
