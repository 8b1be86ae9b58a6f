//! Bytes to values and back, with no memory of earlier messages: HTTP/1.1, SSE, JSON-RPC, header values, session ids.
