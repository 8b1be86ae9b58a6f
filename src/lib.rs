//! pinfold: an MCP server that tells very many clients about a change at once.
pub mod app;
pub mod limits;
pub mod mcp;
pub mod runtime;
pub mod shard;
pub mod wire;
