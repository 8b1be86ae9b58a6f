//! Protocol revisions and the two eras they belong to.

/// How a client opens: with `initialize` and a session, or with metadata in every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Era {
    /// 2024-11-05 to 2025-11-25: `initialize`, a session, a stream of what the server says by itself.
    Legacy,
    /// 2026-07-28: stateless requests, `subscriptions/listen`, multi round-trips.
    Modern,
}

/// A revision of the specification that pinfold speaks, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ProtocolVersion {
    /// A session is a stream, and its messages are POSTed elsewhere (HTTP+SSE). Spoken on that transport alone.
    V2024_11_05,
    /// Batches; a response is one message or a stream.
    V2025_03_26,
    /// Structured output, elicitation, resource links; no batches.
    V2025_06_18,
    /// Streams that can be resumed from their first event on, icons, elicitation by URL, tools in sampling.
    V2025_11_25,
    /// No sessions: metadata in every request, `subscriptions/listen`, questions as results.
    V2026_07_28,
}

impl ProtocolVersion {
    /// All of them, the oldest first.
    pub const ALL: [ProtocolVersion; 5] = [
        Self::V2024_11_05,
        Self::V2025_03_26,
        Self::V2025_06_18,
        Self::V2025_11_25,
        Self::V2026_07_28,
    ];
    /// Those of Streamable HTTP as they stand on the wire, the one to prefer first.
    pub const STREAMABLE: [&'static str; 4] = [
        Self::V2026_07_28.as_str(),
        Self::V2025_11_25.as_str(),
        Self::V2025_06_18.as_str(),
        Self::V2025_03_26.as_str(),
    ];

    /// What `initialize` answers a client whose revision is unknown here.
    pub const LATEST_LEGACY: ProtocolVersion = Self::V2025_11_25;
    /// What a legacy request without `MCP-Protocol-Version` is taken for (2025-11-25, transports).
    pub const ASSUMED: ProtocolVersion = Self::V2025_03_26;

    /// The revision's date, as it stands on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    /// The revision of this date.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut newest_first = Self::ALL.into_iter().rev();
        newest_first.find(|version| version.as_str() == text)
    }

    /// The transport that replaced HTTP+SSE speaks it.
    #[must_use]
    pub fn is_streamable(self) -> bool {
        self != Self::V2024_11_05
    }

    /// How its clients open.
    #[must_use]
    pub const fn era(self) -> Era {
        match self {
            Self::V2024_11_05 | Self::V2025_03_26 | Self::V2025_06_18 | Self::V2025_11_25 => {
                Era::Legacy
            }
            Self::V2026_07_28 => Era::Modern,
        }
    }

    /// The revision that `initialize` settles on over Streamable HTTP: the asked one if it is spoken there and has
    /// sessions, else the newest that has.
    #[must_use]
    pub fn negotiate(asked: &str) -> Self {
        match Self::parse(asked) {
            Some(version) if version.era() == Era::Legacy && version.is_streamable() => version,
            _ => Self::LATEST_LEGACY,
        }
    }

    /// JSON arrays of messages: in 2025-03-26 only.
    #[must_use]
    pub const fn has_batches(self) -> bool {
        matches!(self, Self::V2025_03_26)
    }

    /// Arguments that do not fit a tool's schema are a result with `isError`, which the model gets to see: since
    /// 2025-11-25 (server/tools, "Error Handling"). Before it was a protocol error, which it does not.
    #[must_use]
    pub const fn has_argument_results(self) -> bool {
        match self {
            Self::V2024_11_05 | Self::V2025_03_26 | Self::V2025_06_18 => false,
            Self::V2025_11_25 | Self::V2026_07_28 => true,
        }
    }

    /// An event with an id and empty data opens every response stream since 2025-11-25. Older clients
    /// log it as a parse error, so they never get one.
    #[must_use]
    pub fn has_priming(self) -> bool {
        self == Self::V2025_11_25
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initialize_never_settles_on_a_revision_without_sessions() {
        assert_eq!(
            ProtocolVersion::negotiate("2026-07-28"),
            ProtocolVersion::V2025_11_25
        );
        assert_eq!(
            ProtocolVersion::negotiate("1999-01-01"),
            ProtocolVersion::V2025_11_25
        );
        assert_eq!(
            ProtocolVersion::negotiate("2024-11-05"),
            ProtocolVersion::V2025_11_25,
            "it has another transport"
        );
        assert_eq!(
            ProtocolVersion::negotiate("2025-06-18"),
            ProtocolVersion::V2025_06_18
        );
    }

    #[test]
    fn a_revision_of_streamable_http_that_is_left_out_or_in_another_place() {
        let mut names: Vec<_> = ProtocolVersion::ALL.into_iter().collect();
        names.retain(|it| it.is_streamable());
        names.reverse();
        assert_eq!(
            names.iter().map(|it| it.as_str()).collect::<Vec<_>>(),
            ProtocolVersion::STREAMABLE
        );
    }

    #[test]
    fn every_revision_reads_back_what_it_writes() {
        for version in ProtocolVersion::ALL {
            assert_eq!(ProtocolVersion::parse(version.as_str()), Some(version));
        }
    }
}
