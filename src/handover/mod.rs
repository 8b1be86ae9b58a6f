//! A node goes on in another process: the sockets of its clients, and all that it knows of them, are handed from one process of
//! the program to the next, and no client notices.
//!
//! ```text
//! the old process                       the new one, started by it
//!   spawn ───────────────────────────────▶ reads its configuration
//!        ◀──────────────────────── Hello   which states it can read
//!   Welcome, listening sockets ──────────▶ starts its threads
//!        ◀────────────────────── Prepared  they wait
//!   Part: contents, piece by piece ──────▶ takes them over
//!        ◀───────────────────────── Taken   (of each)
//!   Ahead: sockets, while they are served ▶ watches them, and reads nothing
//!   stands still
//!   Part: changed contents, rules ───────▶ takes them over
//!        ◀───────────────────────── Taken
//!   Core, other Sockets, …, Node, Sealed ▶ has everything, and touches no socket
//!        ◀───────────────────────── Ready
//!   Go ──────────────────────────────────▶ serves
//!        ◀─────────────────────── Serving
//!   ends
//! ```
//!
//! Before `Go` any end, fault or time-out leaves everything with the old process, which ends the new one and goes on. After it
//! the old one does nothing more but end. Both ends of the channel are made before the new process starts, so that nobody else
//! can be at either.
//!
//! `channel` carries messages and descriptors, `words` says which. Who stands still and who begins is the runtime's matter
//! (`runtime::standstill`), what a node has beside its cores the node's.

mod channel;
mod incoming;
mod successor;
mod words;

pub(crate) use self::incoming::Incoming;
pub(crate) use self::successor::{Served, SuccessorProcess, SuccessorProgram};
pub(crate) use self::words::{HandoverFault, NodeConfiguration, NodeFacts, NodePart, Sealed};
