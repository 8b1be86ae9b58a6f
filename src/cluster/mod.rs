//! What a node knows of the others, and of the proxy in front of them all.

pub mod steering;
