//! Each example, against what is public of pinfold: `cargo check -p pinfold-user`. Together with other packages it sees
//! what those ask for, too, and proves nothing.

#[path = "../../../examples/ask.rs"]
mod ask;
#[path = "../../../examples/embedded.rs"]
mod embedded;
#[path = "../../../examples/notes/main.rs"]
mod notes;
#[path = "../../../examples/smallest.rs"]
mod smallest;
#[path = "../../../examples/ticker.rs"]
mod ticker;
