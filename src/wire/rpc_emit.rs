//! JSON-RPC messages, appended to what is about to be sent.
//!
//! Ids, params, results and errors are JSON text already and are spliced in as they are; only a method is quoted
//! here.

/// `{"jsonrpc":"2.0","id":…,"result":…}`
pub fn emit_result(out: &mut Vec<u8>, id_raw: &str, result_json: &str) {
    emit_opening(out);
    emit_member(out, "id", id_raw);
    emit_member(out, "result", result_json);
    out.push(b'}');
}

/// `{"jsonrpc":"2.0","id":…,"error":…}`; without an id it is null.
pub fn emit_error(out: &mut Vec<u8>, id_raw: Option<&str>, error_json: &str) {
    emit_opening(out);
    emit_member(out, "id", id_raw.unwrap_or("null"));
    emit_member(out, "error", error_json);
    out.push(b'}');
}

/// `{"jsonrpc":"2.0","method":…,"params":…}`
pub fn emit_notification(out: &mut Vec<u8>, method: &str, params_json: Option<&str>) {
    emit_opening(out);
    emit_method(out, method, params_json);
    out.push(b'}');
}

/// `{"jsonrpc":"2.0","id":…,"method":…,"params":…}`
pub fn emit_request(out: &mut Vec<u8>, id_raw: &str, method: &str, params_json: Option<&str>) {
    emit_opening(out);
    emit_member(out, "id", id_raw);
    emit_method(out, method, params_json);
    out.push(b'}');
}

fn emit_opening(out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"jsonrpc":"2.0""#);
}

/// `name` needs no escapes, `json` is JSON text.
fn emit_member(out: &mut Vec<u8>, name: &str, json: &str) {
    debug_assert!(!json.is_empty());
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    out.extend_from_slice(json.as_bytes());
}

fn emit_method(out: &mut Vec<u8>, method: &str, params_json: Option<&str>) {
    out.extend_from_slice(br#","method":"#);
    serde_json::to_writer(&mut *out, method).expect("writing a string to memory cannot fail");
    if let Some(params) = params_json {
        emit_member(out, "params", params);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(emit: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        emit(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn messages() {
        assert_eq!(
            text(|out| emit_result(out, "\"a\"", "{}")),
            r#"{"jsonrpc":"2.0","id":"a","result":{}}"#
        );
        assert_eq!(
            text(|out| emit_error(out, None, "{}")),
            r#"{"jsonrpc":"2.0","id":null,"error":{}}"#
        );
        assert_eq!(
            text(|out| emit_notification(out, "a\"b", None)),
            r#"{"jsonrpc":"2.0","method":"a\"b"}"#
        );
        assert_eq!(
            text(|out| emit_request(out, "1", "m", Some("[]"))),
            r#"{"jsonrpc":"2.0","id":1,"method":"m","params":[]}"#
        );
    }
}
