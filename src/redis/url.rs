//! `redis://[user[:password]@]host[:port][/db]`, the same with `rediss://` for TLS, and `unix:///path/to.sock[?db=N]`.
//!
//! User and password are percent-encoded where they hold `@`, `:`, `/` or `%`. A password is never shown.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

/// Where a Redis is, and as whom to log in.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    pub(super) place: RedisAddress,
    pub(super) login: Option<Login>,
    pub(super) database: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RedisAddress {
    Tcp { host: String, port: u16, tls: bool },
    Unix(PathBuf),
}

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Login {
    /// None: `default`.
    pub(super) user: Option<String>,
    pub(super) password: String,
}

const PORT: u16 = 6379;

/// Why a text is no [`RedisUrl`], without any part of it that may be secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadRedisUrl {
    /// It is none of `redis://`, `rediss://` and `unix://`.
    Scheme,
    /// It names no host.
    Host,
    /// Its port is no port.
    Port,
    /// Its database is no number.
    Database,
    /// Its user or password is not percent-encoded UTF-8.
    Encoding,
    /// It has a user without a password.
    NoPassword,
    /// Its socket has no path.
    Path,
    /// It has parameters that mean nothing here.
    Query,
}

impl fmt::Display for BadRedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BadRedisUrl::Scheme => {
                "must be redis://[user:password@]host[:port][/db], rediss:// for TLS, or unix:///path/to/redis.sock[?db=N]"
            }
            BadRedisUrl::Host => "must name a host: redis://127.0.0.1:6379",
            BadRedisUrl::Port => "its port must be a number from 1 to 65535",
            BadRedisUrl::Database => "its database must be a number: redis://127.0.0.1:6379/0",
            BadRedisUrl::Encoding => {
                "its user and password must be percent-encoded UTF-8: %40 for @, %3A for :, %2F for /, %25 for %"
            }
            BadRedisUrl::NoPassword => {
                "has a user without a password: redis://user:password@host, or redis://:password@host"
            }
            BadRedisUrl::Path => "must name the socket's absolute path: unix:///run/redis/redis.sock",
            BadRedisUrl::Query => "may have ?db=N at its end, and nothing else there",
        })
    }
}

impl std::error::Error for BadRedisUrl {}

impl FromStr for RedisUrl {
    type Err = BadRedisUrl;

    fn from_str(text: &str) -> Result<Self, BadRedisUrl> {
        let (scheme, rest) = text.split_once("://").ok_or(BadRedisUrl::Scheme)?;
        match scheme {
            "redis" | "valkey" => tcp(rest, false),
            "rediss" | "valkeys" => tcp(rest, true),
            "unix" | "redis+unix" => unix(rest),
            _ => Err(BadRedisUrl::Scheme),
        }
    }
}

impl RedisUrl {
    /// Somebody who reads the URL could log in.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.login
            .as_ref()
            .is_some_and(|it| !it.password.is_empty())
    }

    /// The same with this password, for the user that it names or else the default one.
    #[must_use]
    pub fn with_password(&self, password: &str) -> RedisUrl {
        let user = self.login.as_ref().and_then(|it| it.user.clone());
        let password = password.to_owned();
        RedisUrl {
            login: Some(Login { user, password }),
            ..self.clone()
        }
    }
}

fn tcp(rest: &str, tls: bool) -> Result<RedisUrl, BadRedisUrl> {
    let (rest, query) = split_off(rest, '?');
    let (authority, path) = split_off(rest, '/');
    let (login, address) = match authority.rsplit_once('@') {
        Some((login, address)) => (Some(Login::parse(login)?), address),
        None => (None, authority),
    };
    let (host, port) = host_and_port(address)?;
    let of_path = path.filter(|path| !path.is_empty());
    let database = match (of_path, query) {
        (Some(path), None) => database(path)?,
        (None, query) => database_of(query)?,
        (Some(_), Some(_)) => return Err(BadRedisUrl::Query),
    };
    Ok(RedisUrl {
        place: RedisAddress::Tcp { host, port, tls },
        login,
        database,
    })
}

fn unix(rest: &str) -> Result<RedisUrl, BadRedisUrl> {
    let (rest, query) = split_off(rest, '?');
    let at = rest.find('/').ok_or(BadRedisUrl::Path)?;
    let (authority, path) = rest.split_at(at);
    let login = match authority.strip_suffix('@') {
        Some(login) => Some(Login::parse(login)?),
        None if authority.is_empty() => None,
        None => return Err(BadRedisUrl::Path),
    };
    let path = decoded(path)?;
    if path.ends_with('/') || path.contains('\0') {
        return Err(BadRedisUrl::Path);
    }
    Ok(RedisUrl {
        place: RedisAddress::Unix(path.into()),
        login,
        database: database_of(query)?,
    })
}

fn split_off(text: &str, mark: char) -> (&str, Option<&str>) {
    match text.split_once(mark) {
        Some((head, tail)) => (head, Some(tail)),
        None => (text, None),
    }
}

fn host_and_port(address: &str) -> Result<(String, u16), BadRedisUrl> {
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or(BadRedisUrl::Host)?;
            match after.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if after.is_empty() => (host, None),
                None => return Err(BadRedisUrl::Host),
            }
        }
        None => split_off(address, ':'),
    };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:%".contains(&byte);
    if host.is_empty() || !host.bytes().all(allowed) {
        return Err(BadRedisUrl::Host);
    }
    let port = match port {
        Some(port) => port.parse().map_err(|_| BadRedisUrl::Port)?,
        None => PORT,
    };
    if port == 0 {
        return Err(BadRedisUrl::Port);
    }
    Ok((host.to_owned(), port))
}

fn database_of(query: Option<&str>) -> Result<u32, BadRedisUrl> {
    match query {
        None => Ok(0),
        Some(query) => database(query.strip_prefix("db=").ok_or(BadRedisUrl::Query)?),
    }
}

fn database(text: &str) -> Result<u32, BadRedisUrl> {
    text.parse().map_err(|_| BadRedisUrl::Database)
}

fn decoded(text: &str) -> Result<String, BadRedisUrl> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded
        .map(|text| text.into_owned())
        .map_err(|_| BadRedisUrl::Encoding)
}

impl Login {
    fn parse(text: &str) -> Result<Login, BadRedisUrl> {
        let (user, password) = text.split_once(':').ok_or(BadRedisUrl::NoPassword)?;
        let user = decoded(user)?;
        Ok(Login {
            user: (!user.is_empty()).then_some(user),
            password: decoded(password)?,
        })
    }
}

impl fmt::Display for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RedisAddress::Tcp { host, port, .. } if host.contains(':') => {
                write!(f, "[{host}]:{port}")
            }
            RedisAddress::Tcp { host, port, .. } => write!(f, "{host}:{port}"),
            RedisAddress::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let login = match &self.login {
            None => "",
            Some(login) => &format!("{}:…@", login.user.as_deref().unwrap_or("")),
        };
        match &self.place {
            RedisAddress::Tcp { tls, .. } => {
                let scheme = if *tls { "rediss" } else { "redis" };
                write!(f, "{scheme}://{login}{}/{}", self.place, self.database)
            }
            RedisAddress::Unix(_) => write!(f, "unix://{login}{}?db={}", self.place, self.database),
        }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        text.parse::<RedisUrl>()
            .map_or_else(|bad| format!("{bad:?}"), |url| url.to_string())
    }

    #[test]
    fn what_is_left_out_has_its_usual_value() {
        assert_eq!(shown("redis://redis"), "redis://redis:6379/0");
        assert_eq!(shown("redis://10.0.0.1:7000/3"), "redis://10.0.0.1:7000/3");
        assert_eq!(shown("rediss://h"), "rediss://h:6379/0");
        assert_eq!(shown("redis://h/?db=2"), "redis://h:6379/2");
        assert_eq!(shown("redis://[::1]:7000"), "redis://[::1]:7000/0");
        assert_eq!(shown("redis://[::1]/1"), "redis://[::1]:6379/1");
        assert_eq!(shown("unix:///run/r.sock"), "unix:///run/r.sock?db=0");
        assert_eq!(shown("unix:///run/r.sock?db=7"), "unix:///run/r.sock?db=7");
    }

    #[test]
    fn a_password_never_shows() {
        let url: RedisUrl = "redis://who:s%40e:c%2Fret@h/1".parse().unwrap();
        let login = url.login.as_ref().unwrap();
        assert_eq!(login.user.as_deref(), Some("who"));
        assert_eq!(login.password, "s@e:c/ret");
        assert_eq!(format!("{url:?}"), "RedisUrl(redis://who:…@h:6379/1)");
        let url: RedisUrl = "redis://:secret@h".parse().unwrap();
        assert_eq!(url.login.as_ref().unwrap().user, None);
        assert_eq!(shown("unix://:secret@/r.sock"), "unix://:…@/r.sock?db=0");
    }

    #[test]
    fn a_password_that_comes_from_elsewhere() {
        let url = |text: &str| text.parse::<RedisUrl>().unwrap();
        assert!(url("redis://:secret@h").has_password());
        for without in ["redis://h", "redis://who:@h"] {
            assert!(!url(without).has_password(), "{without}");
        }
        let with = |text: &str| url(text).with_password("s@e");
        assert_eq!(with("redis://h/1"), url("redis://:s%40e@h/1"));
        assert_eq!(with("redis://who:@h"), url("redis://who:s%40e@h"));
    }

    #[test]
    fn an_url_that_is_none_says_why() {
        let cases = [
            ("", "Scheme"),
            ("localhost:6379", "Scheme"),
            ("http://h", "Scheme"),
            ("rediss://", "Host"),
            ("redis://", "Host"),
            ("redis://:6379", "Host"),
            ("redis://a b", "Host"),
            ("redis://[::1", "Host"),
            ("redis://[::1]x", "Host"),
            ("redis://h:0", "Port"),
            ("redis://h:65536", "Port"),
            ("redis://h:", "Port"),
            ("redis://h/x", "Database"),
            ("redis://h/1?db=1", "Query"),
            ("redis://h?tls=1", "Query"),
            ("redis://who@h", "NoPassword"),
            ("redis://:%ff@h", "Encoding"),
            ("unix://relative.sock", "Path"),
            ("unix://x/r.sock", "Path"),
            ("unix:///", "Path"),
            ("unix:///r.sock?db=-1", "Database"),
        ];
        for (text, why) in cases {
            assert_eq!(shown(text), why, "{text}");
        }
    }
}
