//! How to write a server with this crate, a page for each question. The crate's tests compile the pages' code, and run
//! it where it can be run.
//!
//! | page | answers |
//! |---|---|
//! | [`first_server`] | what is the least I write, and what does a handler look like |
//! | [`state`] | where does state go, and what do cores have to do with it |
//! | [`asking`] | how do I ask the user, or the client's model, in both eras |
//! | [`blocking`] | where does slow work go, and how do I use crates that need tokio |
//! | [`publishing`] | how do subscribers get notified of a change |
//! | [`logging`] | which log is whose |
//! | [`testing`] | how do I test a handler without a network |
//! | [`who_gets_in`] | who may use my server, and what may each of them do |
//! | [`deploying`] | how does my own server run in production |
//! | [`from_rmcp`] | I know rmcp: what is it called here |
//!
//! `examples/notes` of the repository has most of this in one server.

#[doc = include_str!("guide/first_server.md")]
pub mod first_server {}

#[doc = include_str!("guide/state.md")]
pub mod state {}

#[doc = include_str!("guide/asking.md")]
pub mod asking {}

#[doc = include_str!("guide/blocking.md")]
pub mod blocking {}

#[doc = include_str!("guide/publishing.md")]
pub mod publishing {}

#[doc = include_str!("guide/logging.md")]
pub mod logging {}

#[doc = include_str!("guide/testing.md")]
pub mod testing {}

#[doc = include_str!("guide/who_gets_in.md")]
pub mod who_gets_in {}

#[doc = include_str!("guide/deploying.md")]
pub mod deploying {}

#[doc = include_str!("guide/from_rmcp.md")]
pub mod from_rmcp {}
