//! pinfold: an MCP server that tells very many clients about a change at once.
pub mod admin;
pub mod app;
pub mod cli;
pub mod config;
pub mod limits;
pub mod mcp;
pub mod wire;
