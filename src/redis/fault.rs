//! Why there is no answer.

use std::fmt;
use std::io;

use super::reply::RedisError;

/// Why a call has no answer, or there is no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisFault {
    /// There is no connection now.
    Down,
    /// So much is under way that nothing more is sent now.
    Busy,
    /// Nobody takes connections there.
    Unreachable(Box<str>),
    /// Who answers there is not whom this machine trusts, or speaks no TLS.
    Tls(Box<str>),
    /// No answer in time.
    TimedOut,
    /// The connection broke.
    Broken(Box<str>),
    /// More bytes or elements in one answer than anybody asked for.
    TooLarge,
    /// What came is not Redis's protocol.
    NotRedis,
    /// The login, or another word of the handshake, was refused.
    Refused(RedisError),
    /// It reads its data from disk, and answers later.
    Loading,
}

impl RedisFault {
    pub(super) fn unreachable(fault: &io::Error) -> Self {
        RedisFault::Unreachable(fault.to_string().into())
    }

    pub(super) fn broken(fault: &io::Error) -> Self {
        RedisFault::Broken(fault.to_string().into())
    }

    /// One word for metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            RedisFault::Down => "down",
            RedisFault::Busy => "busy",
            RedisFault::Unreachable(_) => "unreachable",
            RedisFault::Tls(_) => "tls",
            RedisFault::TimedOut => "timed_out",
            RedisFault::Broken(_) => "broken",
            RedisFault::TooLarge => "too_large",
            RedisFault::NotRedis => "not_redis",
            RedisFault::Refused(_) => "refused",
            RedisFault::Loading => "loading",
        }
    }
}

impl fmt::Display for RedisFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RedisFault::Down => f.write_str("there is no connection to Redis"),
            RedisFault::Busy => f.write_str("too many commands wait for Redis"),
            RedisFault::Unreachable(why) => {
                write!(
                    f,
                    "Redis takes no connection ({why}): is it running, and is this its address?"
                )
            }
            RedisFault::Tls(why) => write!(
                f,
                "the TLS handshake with Redis failed ({why}): its certificate must name the host of the URL and come \
                 from an authority that this machine trusts, or that is in the file which SSL_CERT_FILE names"
            ),
            RedisFault::TimedOut => f.write_str("Redis does not answer in time"),
            RedisFault::Broken(why) => write!(f, "the connection to Redis broke ({why})"),
            RedisFault::TooLarge => f.write_str("Redis sent an answer of more than 64 MiB, or of more than a million parts"),
            RedisFault::NotRedis => f.write_str(
                "what answers there does not speak Redis's protocol: is this Redis's port, and one without TLS?",
            ),
            RedisFault::Refused(error) => {
                write!(f, "Redis refuses ({error}): {}", error.advice())
            }
            RedisFault::Loading => f.write_str("Redis is loading its data from disk (LOADING)"),
        }
    }
}

impl std::error::Error for RedisFault {}
