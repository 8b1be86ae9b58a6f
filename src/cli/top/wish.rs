//! What is wanted of the node, and what it said.

use serde_json::Value;

use crate::cli::publish::AdminFault;
use crate::cli::sessions::encoded;

/// What is asked at each look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LookAt {
    Node,
    Sessions(String),
    Detail(String),
}

impl LookAt {
    pub(super) fn path(&self) -> String {
        match self {
            LookAt::Node => "/node".to_owned(),
            LookAt::Sessions(path) => path.clone(),
            LookAt::Detail(name) => format!("/sessions/{}", encoded(name)),
        }
    }
}

/// What is wanted of the node, beside a look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Look(LookAt),
    End { name: String },
}

/// What became of it.
#[derive(Clone, Debug)]
pub(super) struct LookAnswer {
    pub(super) wish: Wish,
    pub(super) said: Result<Value, AdminFault>,
}

impl LookAnswer {
    pub(super) fn fault(&self) -> Option<AdminFault> {
        self.said.as_ref().err().cloned()
    }
}
