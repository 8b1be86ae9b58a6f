//! `X-Forwarded-For` and `Forwarded` (RFC 7239): whom the proxies in front say that a request comes from.
//!
//! Each proxy adds, on the right, whom it was talking to. What is on the left may be a client's invention. So the list
//! is read from the right, and no further than to the first address that is not a proxy's: a proxy wrote that one.
//! Where both fields are there the first counts: proxies that know only that one pass the other on as it came.

use std::net::{IpAddr, SocketAddr};

use super::HeadView;

pub const X_FORWARDED_FOR: &str = "x-forwarded-for";
pub const FORWARDED: &str = "forwarded";

/// Proxies in a row. A longer list is nobody's who means well, and reading it costs time.
const HOPS_MAX: usize = 32;

/// The nearest address that is not a proxy's; if all are, the nearest of them. `None`: no proxy says any, or what one
/// says is no address.
///
/// ```
/// use pinfold::internals::wire::forwarded_for::client_of_list;
///
/// let is_proxy = |address: std::net::IpAddr| address.to_string().starts_with("10.");
/// let client = client_of_list(["192.0.2.66, 203.0.113.7, 10.0.0.2"], is_proxy);
/// assert_eq!(client, "203.0.113.7".parse().ok());
/// ```
#[must_use]
pub fn client_of(request: &HeadView<'_>, is_proxy: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    let mut list = request.fields_named(X_FORWARDED_FOR).peekable();
    if list.peek().is_some() {
        return client_of_list(request.fields_named(X_FORWARDED_FOR), is_proxy);
    }
    let mut forwarded = request.fields_named(FORWARDED).rev();
    let mut hops = Vec::new();
    while let Some(field) = forwarded.next()
        && hops.len() < HOPS_MAX
    {
        let mut elements = forwarded_elements(field)?;
        elements.reverse();
        hops.append(&mut elements);
    }
    nearest(hops.into_iter(), is_proxy)
}

/// Of the fields `X-Forwarded-For`, in their order.
#[must_use]
pub fn client_of_list<'a>(
    fields: impl IntoIterator<Item = &'a str, IntoIter: DoubleEndedIterator>,
    is_proxy: impl Fn(IpAddr) -> bool,
) -> Option<IpAddr> {
    let elements = fields.into_iter().rev().flat_map(|field| field.rsplit(','));
    let elements = elements.map(str::trim).filter(|it| !it.is_empty());
    nearest(elements.map(node), is_proxy)
}

/// `hops` begin with the nearest; `None` among them is no address.
fn nearest(
    hops: impl Iterator<Item = Option<IpAddr>>,
    is_proxy: impl Fn(IpAddr) -> bool,
) -> Option<IpAddr> {
    let mut first = None;
    for hop in hops.take(HOPS_MAX) {
        let address = hop?;
        if !is_proxy(address) {
            return Some(address);
        }
        first = first.or(Some(address));
    }
    first
}

/// What each element of one `Forwarded` field has after `for=`. `None`: it does not keep to the grammar.
fn forwarded_elements(field: &str) -> Option<Vec<Option<IpAddr>>> {
    let mut elements = Vec::new();
    for element in split_unquoted(field, b',')? {
        if element.trim().is_empty() {
            continue;
        }
        let mut address = None;
        for pair in split_unquoted(element, b';')? {
            if let Some((name, value)) = pair.split_once('=')
                && name.trim().eq_ignore_ascii_case("for")
            {
                address = node(value.trim());
            }
        }
        elements.push(address);
    }
    Some(elements)
}

/// The parts between separators that are in no quoted string; `None` if one has no end.
fn split_unquoted(text: &str, separator: u8) -> Option<Vec<&str>> {
    let mut parts = Vec::new();
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            byte if byte == separator && !quoted => {
                parts.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    (!quoted).then_some(parts)
}

/// An address with or without brackets, port and quotes. Names that hide one (`unknown`, `_abc`) are none.
fn node(text: &str) -> Option<IpAddr> {
    let text = match text.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"')?,
        None => text,
    };
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address = bare.unwrap_or(text).parse().ok();
    let address = address.or_else(|| text.parse().ok().map(|it: SocketAddr| it.ip()));
    address.map(|it| it.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::wire::http1::{self, HeadLimits};

    fn is_proxy(address: IpAddr) -> bool {
        address.is_loopback() || address.to_string().starts_with("10.")
    }

    fn client(fields: &[&str]) -> Option<String> {
        let text = format!(
            "GET / HTTP/1.1\r\nHost: x\r\n{}\r\n\r\n",
            fields.join("\r\n")
        );
        let limits = HeadLimits::from(&Limits::default());
        let head = http1::parse_head(text.as_bytes(), 0, &limits);
        let head = head.expect("a head").expect("a whole one");
        client_of(&head.view(text.as_bytes()), is_proxy).map(|it| it.to_string())
    }

    fn is(fields: &[&str], address: &str) {
        assert_eq!(client(fields).as_deref(), Some(address), "{fields:?}");
    }

    #[test]
    fn an_address_that_the_client_made_up() {
        is(&["X-Forwarded-For: 1.1.1.1, 203.0.113.7"], "203.0.113.7");
        is(
            &["X-Forwarded-For: 1.1.1.1, 203.0.113.7, 10.0.0.2,10.0.0.3"],
            "203.0.113.7",
        );
        is(
            &[
                "X-Forwarded-For: 1.1.1.1",
                "X-Other: x",
                "X-Forwarded-For: 203.0.113.7",
            ],
            "203.0.113.7",
        );
        is(
            &["X-Forwarded-For: 203.0.113.7", "x-forwarded-for: 10.0.0.2"],
            "203.0.113.7",
        );
        is(
            &["Forwarded: for=1.1.1.1", "X-Forwarded-For: 203.0.113.7"],
            "203.0.113.7",
        );
        is(
            &["Forwarded: for=1.1.1.1, for=203.0.113.7;proto=https"],
            "203.0.113.7",
        );
        is(
            &["Forwarded: for=\"a, for=1.1.1.1, b\", for=203.0.113.7"],
            "203.0.113.7",
        );
        is(&["X-Forwarded-For: 10.9.9.9, 10.0.0.5"], "10.0.0.5");
    }

    #[test]
    fn an_address_in_any_form_that_proxies_write() {
        is(&["X-Forwarded-For: 203.0.113.7:4711"], "203.0.113.7");
        is(&["X-Forwarded-For: 2001:db8::7"], "2001:db8::7");
        is(&["X-Forwarded-For: [2001:db8::7]"], "2001:db8::7");
        is(&["X-Forwarded-For: [2001:db8::7]:4711 ,"], "2001:db8::7");
        is(&["X-Forwarded-For: ::ffff:203.0.113.7"], "203.0.113.7");
        is(
            &["X-Forwarded-For: 203.0.113.7, ::ffff:10.0.0.1"],
            "203.0.113.7",
        );
        is(
            &["Forwarded: For=\"[2001:db8:cafe::17]:4711\""],
            "2001:db8:cafe::17",
        );
        is(
            &["Forwarded: proto=http; FOR = 203.0.113.7 ;by=10.0.0.1"],
            "203.0.113.7",
        );
        is(
            &["Forwarded: for=203.0.113.7", "Forwarded: , for=10.0.0.1"],
            "203.0.113.7",
        );
        is(
            &["Forwarded: by=\"x\\\"y, \";for=203.0.113.7"],
            "203.0.113.7",
        );
    }

    #[test]
    fn a_field_that_was_cut_anywhere() {
        let fields = [
            "for=\"[2001:db8::7]:4711\";by=\"x\\\"y, \", for=ä;proto=http, For=10.0.0.1",
            "203.0.113.7:4711, [2001:db8::7]:443, \"ü\", 10.0.0.1",
        ];
        for field in fields {
            for (cut, _) in field.char_indices() {
                for part in [&field[..cut], &field[cut..]] {
                    let _ = client_of_list([part], is_proxy);
                    let _ = forwarded_elements(part);
                }
            }
        }
    }

    #[test]
    fn what_is_no_address() {
        let long = format!(
            "X-Forwarded-For: 203.0.113.7{}",
            ", 10.0.0.1".repeat(HOPS_MAX)
        );
        is(&[&long], "10.0.0.1");
        for garbage in [
            "X: y",
            "X-Forwarded-For:",
            "X-Forwarded-For: ,,",
            "X-Forwarded-For: unknown",
            "X-Forwarded-For: 203.0.113.7, unknown",
            "X-Forwarded-For: 203.0.113.7, 10.0.0.1, x",
            "X-Forwarded-For: 1.2.3",
            "X-Forwarded-For: 1.2.3.4:99999",
            "X-Forwarded-For: [::1",
            "X-Forwarded-For: ::1]",
            "X-Forwarded-For: \"203.0.113.7",
            "X-Forwarded-For: \"",
            "X-Forwarded-For: fe80::1%eth0",
            "X-Forwarded-For: 203.0.113.7;for=1",
            "X-Forwarded-For: ÄÖÜ",
            "Forwarded: for=_hidden",
            "Forwarded: for=203.0.113.7, by=10.0.0.1",
            "Forwarded: for=\"203.0.113.7",
            "Forwarded: for=203.0.113.7, for=\"\\",
            "Forwarded: =;=,=",
            "Forwarded: 203.0.113.7",
        ] {
            assert_eq!(client(&[garbage]), None, "{garbage}");
        }
    }
}
