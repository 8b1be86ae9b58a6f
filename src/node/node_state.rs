//! What a node has beside its cores, as it is written down for the process that takes its place.
//!
//! | what | how it travels |
//! |---|---|
//! | sessions, streams, connections, subscriptions | with their cores |
//! | name, incarnation, clock, the key that seals `requestState` | the new process is told before it makes anything (`NodeFacts`) |
//! | what a new configuration may not change, and what is held of what is limited | told likewise, and compared (`facts`) |
//! | contents of the application | ahead, while the node serves; what has changed since when everything stands still (`contents_copy`) |
//! | revocations, issuers' keys, which rules were the last | before the cores' states, so that no core goes on by older ones (`credentials::RulesState`) |
//! | the place in the log | here |
//! | how fast clients have opened sessions lately | here, written by `clients`; how fast each has asked goes with the cores |
//! | keys under which items were published | here, written by `admin` |
//! | what is shared with other nodes: bus, heartbeat, what Redis does not know yet | here, written by `cluster` |
//! | connections of operators | not: requests are answered, and then they are closed. Who comes meanwhile waits to be accepted |
//! | tokens, policy, certificates of authorities, log levels | not: they are the new configuration's |
//! | that the node drains | not: such a node is not handed over |
//! | counters | not: a process counts from its start, and Prometheus knows what to do about that |

use std::fs::File;
use std::io;

use serde::{Deserialize, Serialize};

use super::contents_copy::{read_back, write_down};
use super::control_orders::ControlState;
use crate::clients::UsedRates;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct WrittenNode {
    pub(super) last_offset: u64,
    pub(super) control: ControlState,
    /// How fast clients open sessions.
    pub(super) rates: UsedRates,
}

impl WrittenNode {
    pub(super) fn write(&self) -> io::Result<File> {
        write_down("pinfold-node", self)
    }

    pub(super) fn read(file: File) -> io::Result<WrittenNode> {
        read_back(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_of_a_neighbour_that_knows_more_or_less() {
        #[derive(Serialize)]
        struct Newer {
            last_offset: u64,
            weather: &'static str,
        }
        let newer = Newer {
            last_offset: 7,
            weather: "fine",
        };
        let file = write_down("test", &newer).expect("it is written");
        let state = WrittenNode::read(file).expect("it is read");
        assert_eq!(state.last_offset, 7);
        assert!(state.control.operators.is_empty() && state.control.cluster.is_empty());
        let mut state = WrittenNode::default();
        state.control.cluster = vec![0, 255];
        let again = WrittenNode::read(state.write().expect("it is written")).expect("it is read");
        assert_eq!(again.control.cluster, [0, 255]);
        let file = write_down("test", &"soup").expect("it is written");
        assert!(WrittenNode::read(file).is_err());
    }
}
