//! The URL by which clients know this server: what tokens are for, and where its metadata are.

use std::fmt;
use std::str::FromStr;

use fluent_uri::Uri;

use super::authority::{is_loopback_host, without_port};

/// The path in front of all that is told about a resource: RFC 9728, 3.
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// `https://mcp.example.com/mcp`: scheme, host, port and the endpoint's path. http only on a loopback address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    /// In small letters, without a port that goes without saying.
    origin: Box<str>,
    /// Of the endpoint; without a slash at its end.
    path: Box<str>,
}

/// The end of a sentence that begins with what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAPublicUrl;

impl PublicUrl {
    /// Its name or address; an IPv6 address in its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        let (_, authority) = self.origin.split_once("://").unwrap_or_default();
        without_port(authority)
    }

    /// Of the endpoint, without a slash at its end.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Where this server's metadata are, for challenges.
    #[must_use]
    pub fn metadata_url(&self) -> String {
        format!("{}{WELL_KNOWN}{}", self.origin, self.path)
    }

    /// The paths at which they are served: RFC 9728, 3.1, and for clients that do not know the endpoint's path.
    #[must_use]
    pub fn metadata_paths(&self) -> Vec<String> {
        let mut paths = vec![format!("{WELL_KNOWN}{}", self.path), WELL_KNOWN.to_owned()];
        paths.dedup();
        paths
    }

    /// Whether an audience means this server: RFC 3986, 6.2.2 and 6.2.3, and no more than that.
    #[must_use]
    pub fn is_meant_by(&self, audience: &str) -> bool {
        audience
            .parse()
            .is_ok_and(|other: PublicUrl| other == *self)
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.path)
    }
}

impl FromStr for PublicUrl {
    type Err = NotAPublicUrl;

    fn from_str(text: &str) -> Result<PublicUrl, NotAPublicUrl> {
        let uri = Uri::parse(text).map_err(|_| NotAPublicUrl)?;
        let is_plain = uri.query().is_none() && uri.fragment().is_none();
        if !is_plain || !is_safe_url(text) {
            return Err(NotAPublicUrl);
        }
        let authority = uri.authority().ok_or(NotAPublicUrl)?;
        let scheme = uri.scheme().as_str().to_ascii_lowercase();
        let host = authority.host().to_ascii_lowercase();
        let usual = if scheme == "https" { "443" } else { "80" };
        let port = authority.port().map(|port| port.as_str());
        let port = port.filter(|port| !port.is_empty() && *port != usual);
        let port = port.map_or_else(String::new, |port| format!(":{port}"));
        Ok(PublicUrl {
            origin: format!("{scheme}://{host}{port}").into(),
            path: uri.path().as_str().trim_end_matches('/').into(),
        })
    }
}

impl fmt::Display for NotAPublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "must be the URL of the endpoint as clients know it, such as https://mcp.example.com/mcp, without query and \
             fragment; http only on a loopback address",
        )
    }
}

impl std::error::Error for NotAPublicUrl {}

/// https, or on this machine: nobody on the way reads or changes what comes from there.
pub(crate) fn is_safe_url(text: &str) -> bool {
    let Ok(uri) = Uri::parse(text) else {
        return false;
    };
    let Some(authority) = uri.authority() else {
        return false;
    };
    let scheme = uri.scheme().as_str();
    let has_host = !authority.host().is_empty() && authority.userinfo().is_none();
    has_host
        && (scheme.eq_ignore_ascii_case("https")
            || (scheme.eq_ignore_ascii_case("http") && is_loopback_host(authority.host())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> PublicUrl {
        text.parse().unwrap_or_else(|_| panic!("{text}"))
    }

    #[test]
    fn a_url_that_clients_cannot_trust() {
        for wrong in [
            "",
            "mcp.example.com",
            "http://mcp.example.com/mcp",
            "https:///mcp",
            "https://mcp.example.com/mcp#a",
            "https://mcp.example.com/mcp?a",
            "https://user@mcp.example.com/mcp",
            "ftp://mcp.example.com",
            "http://127.0.0.1.example.com/",
            "http://localhost.example.com/",
        ] {
            assert_eq!(wrong.parse::<PublicUrl>(), Err(NotAPublicUrl), "{wrong}");
        }
        for right in [
            "http://127.0.0.1:8080/mcp",
            "http://[::1]:8080",
            "http://localhost/mcp",
            "http://localhost./mcp",
        ] {
            assert!(right.parse::<PublicUrl>().is_ok(), "{right}");
        }
    }

    #[test]
    fn metadata_where_no_client_looks() {
        let mcp = url("https://mcp.example.com/public/mcp");
        let root = "/.well-known/oauth-protected-resource";
        assert_eq!(
            mcp.metadata_url(),
            format!("https://mcp.example.com{root}/public/mcp")
        );
        assert_eq!(
            mcp.metadata_paths(),
            [format!("{root}/public/mcp"), root.to_owned()]
        );
        let bare = url("https://mcp.example.com/");
        assert_eq!(
            bare.metadata_url(),
            format!("https://mcp.example.com{root}")
        );
        assert_eq!(bare.metadata_paths(), [root]);
    }

    #[test]
    fn an_audience_that_means_another_server() {
        let mcp = url("https://mcp.example.com/mcp");
        for same in [
            "https://mcp.example.com/mcp",
            "HTTPS://MCP.example.com:443/mcp",
            "https://mcp.example.com/mcp/",
        ] {
            assert!(mcp.is_meant_by(same), "{same}");
        }
        for other in [
            "https://mcp.example.com",
            "https://mcp.example.com/MCP",
            "https://mcp.example.com/mcp2",
            "https://mcp.example.com:8443/mcp",
            "https://mcp.example.com.evil.example/mcp",
            "http://mcp.example.com/mcp",
            "https://mcp.example.com/mcp?a",
            "mcp.example.com/mcp",
            "*",
            "",
        ] {
            assert!(!mcp.is_meant_by(other), "{other}");
        }
    }
}
