//! What the two processes say to each other: MessagePack with names. A field that one of them does not know it ignores, and one
//! that is missing has its default, so that neighbours of a version understand each other.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::process::ExitStatus;

use serde::{Deserialize, Serialize};

/// Of what is written down: higher whenever an older program would misread it.
pub(super) const FORMAT: u32 = 1;
/// The oldest that this program reads.
pub(super) const READS_FROM: u32 = 1;

/// From the old process to the new one.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToNew {
    Welcome(Box<NodeFacts>),
    /// With one descriptor.
    Listener(ListenerFacts),
    /// All listening sockets are there.
    Listening,
    /// With the descriptor of a part of the node: there may be any number, before the cores and among them.
    Part(NodePart),
    /// With descriptors of connections that this core still serves, in the order of their keys: index and generation.
    Ahead {
        core: u16,
        keys: Vec<(u32, u32)>,
    },
    /// With the descriptor of what this core had.
    Core {
        core: u16,
    },
    /// With descriptors of this core's connections, the next ones in the order of its state; without those that are there.
    Sockets {
        core: u16,
    },
    /// What the node has beside its cores, with the descriptor of that.
    Node,
    /// Everything is there.
    Sealed(Sealed),
    Go,
}

/// From the new process to the old one.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToOld {
    Hello(Hello),
    Prepared,
    /// It has taken the part that came last.
    Taken,
    Ready,
    Serving {
        /// When the last of its cores began, by the monotonic clock of the machine. None: not all of them have said so.
        since_ns: Option<u64>,
    },
    /// It does not take over.
    Refused {
        why: String,
    },
}

/// What goes ahead of a core's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum NodePart {
    /// Some of the application's contents.
    Contents,
    /// By which rules clients are let in.
    Rules,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) format: u32,
    pub(super) reads_from: u32,
    pub(super) version: String,
}

/// What the new process has to know before it makes anything.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct NodeFacts {
    pub(super) format: u32,
    pub(super) reads_from: u32,
    pub(crate) version: String,
    pub(crate) node: String,
    pub(crate) incarnation: u64,
    pub(crate) cores: usize,
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) admin: Option<SocketAddr>,
    #[serde(with = "serde_bytes")]
    pub(crate) state_key: Vec<u8>,
    /// By the monotonic clock of the machine: when the node's own began. In nanoseconds.
    pub(crate) clock_began_ns: u64,
    #[serde(default)]
    pub(crate) configuration: NodeConfiguration,
}

/// What a new configuration may not change, and how much the node holds of what is limited.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct NodeConfiguration {
    /// By the option's name, as it is shown.
    pub(crate) fixed: BTreeMap<String, String>,
    /// The same of what is not shown: digests.
    pub(crate) secrets: BTreeMap<String, Vec<u8>>,
    /// By the limit's option.
    pub(crate) held: BTreeMap<String, u64>,
}

impl NodeFacts {
    pub(crate) fn with_configuration(self, configuration: NodeConfiguration) -> NodeFacts {
        NodeFacts {
            configuration,
            ..self
        }
    }

    pub(crate) fn new(
        node: String,
        incarnation: u64,
        cores: usize,
        addresses: Vec<SocketAddr>,
        admin: Option<SocketAddr>,
        state_key: Vec<u8>,
        clock_began_ns: u64,
    ) -> NodeFacts {
        NodeFacts {
            format: FORMAT,
            reads_from: READS_FROM,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node,
            incarnation,
            cores,
            addresses,
            admin,
            state_key,
            clock_began_ns,
            configuration: NodeConfiguration::default(),
        }
    }
}

/// A listening socket.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct ListenerFacts {
    /// None: it is the operators'.
    pub(super) core: Option<u16>,
    /// The node made it, and may shut it down.
    pub(super) is_own: bool,
}

/// How much there is, for the new process to see that nothing is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Sealed {
    pub(crate) sockets: usize,
    /// Of these, those that came while they were served.
    pub(crate) ahead: usize,
    pub(crate) sessions: usize,
}

/// Why a hand-over came to nothing.
#[derive(Debug)]
pub(crate) enum HandoverFault {
    /// The other process said so, in a sentence.
    Refused(String),
    /// Nobody is at the other end.
    Gone(&'static str),
    /// It is there, and says nothing.
    Silent(&'static str),
    /// The new process ended.
    Ended(ExitStatus, &'static str),
    /// It says what it should not.
    Unexpected(&'static str),
    /// It reads or writes states that this one does not.
    Format {
        theirs: u32,
        reads_from: u32,
    },
    /// This process may have no more of them.
    NoDescriptors,
    /// It would take too long.
    TooMuch(&'static str),
    System(&'static str, io::Error),
}

impl fmt::Display for HandoverFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HandoverFault::Refused(why) => f.write_str(why),
            HandoverFault::Gone(at) => write!(f, "the other process was gone {at}"),
            HandoverFault::Silent(at) => {
                write!(f, "the other process was silent for too long {at}")
            }
            HandoverFault::Ended(status, at) => write!(
                f,
                "the new process ended ({status}) {at}; what it said of that is in the log"
            ),
            HandoverFault::Unexpected(what) => {
                write!(
                    f,
                    "the other process did not say {what} when it should have"
                )
            }
            HandoverFault::Format { theirs, reads_from } => write!(
                f,
                "the other program has states of format {theirs} and reads those from {reads_from} on; this one has {FORMAT} \
                 and reads from {READS_FROM} on: take a version between the two first"
            ),
            HandoverFault::NoDescriptors => f.write_str(
                "some sockets did not arrive: the new process may have fewer open files than the old one has. Raise the hard \
                 limit (ulimit -Hn, or LimitNOFILE= in a systemd unit)",
            ),
            HandoverFault::TooMuch(what) => write!(f, "{what}: try again at a quieter time"),
            HandoverFault::System(what, fault) => write!(f, "{what}: {fault}"),
        }
    }
}

impl std::error::Error for HandoverFault {}

/// Whether two programs can read each other's states; either may have to go back to the other.
pub(super) fn check_formats(theirs: u32, reads_from: u32) -> Result<(), HandoverFault> {
    match reads_from <= FORMAT && theirs >= READS_FROM {
        true => Ok(()),
        false => Err(HandoverFault::Format { theirs, reads_from }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_neighbour_that_is_refused_and_a_stranger_that_is_not() {
        assert!(check_formats(FORMAT, READS_FROM).is_ok());
        assert!(check_formats(FORMAT + 1, FORMAT).is_ok(), "it reads ours");
        let stranger = check_formats(FORMAT + 2, FORMAT + 1).expect_err("it does not");
        assert!(stranger.to_string().contains("take a version between"));
    }
}
