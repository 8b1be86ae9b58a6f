//! What one client can take: each attack that once took a node's memory, in a form of some seconds, against the real
//! program.
//!
//! A test is a [`Siege`](siege::Siege): a server with a small budget, an honest client that must be served rightly all
//! the while, attackers from other addresses of the loopback network, and the server's own memory, read from the kernel.
//! Four things are asked for: the most that it ever held is below a number, what is refused is told so with the
//! right status, the honest client notices nothing but time, and when the attackers are gone the memory is given back.
//!
//! Nothing here is timed: peaks are the kernel's high-water mark, and whatever has to happen is waited for. What each
//! attack cost is appended to the file that `PINFOLD_ATTACKS` names, before it is judged; `tests/attacks` prints that
//! as a table, for any binary.

mod attackers;
mod bodies;
mod everything;
mod honest;
mod kept_answers;
mod large_json;
mod memory;
mod profiles;
mod questions;
mod readers;
mod requests;
mod siege;
mod together;
