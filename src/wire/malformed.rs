//! What can be wrong with the bytes of a request: one variant for each rule, its status, and a sentence that the
//! sender can act on.
//!
//! Every fault ends the connection. After bytes with two readings nobody knows where the next message starts.

/// The bytes of an HTTP message break a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Malformed {
    RequestLine,
    /// Of a response: no status of 100 to 599, or one that nobody asked for.
    StatusLine,
    Method,
    Target,
    TargetTooLong,
    /// A request line without a version: HTTP/0.9.
    VersionMissing,
    Version,
    /// The connection preface of HTTP/2.
    Http2,
    BareCr,
    BareLf,
    ObsFold,
    SpaceBeforeColon,
    FieldName,
    FieldValue,
    HeadTooLarge,
    TooManyFields,
    MissingHost,
    DuplicateHost,
    BadHost,
    /// The authority of an absolute-form target is not the one in `Host`.
    HostDisagrees,
    /// A field that may appear once appears again.
    DuplicateField,
    /// Doubled, whether or not the values agree.
    DuplicateContentLength,
    BadContentLength,
    LengthAndCoding,
    CodingInHttp10,
    /// The last transfer coding is not `chunked`: the body would have no end.
    LastCodingNotChunked,
    /// `chunked` is last, but not alone.
    UnknownCoding,
    /// `Expect` asks for something else than `100-continue`.
    Expectation,
    ChunkSize,
    ChunkExtension,
    ChunkEnd,
    Trailer,
    /// Chunk extensions or trailers beyond any use.
    ChunkedOverhead,
    BodyTooLarge,
}

impl Malformed {
    /// The status of the answer, after which the connection closes.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Malformed::RequestLine
            | Malformed::StatusLine
            | Malformed::Method
            | Malformed::Target
            | Malformed::BareCr
            | Malformed::BareLf
            | Malformed::ObsFold
            | Malformed::SpaceBeforeColon
            | Malformed::FieldName
            | Malformed::FieldValue
            | Malformed::MissingHost
            | Malformed::DuplicateHost
            | Malformed::BadHost
            | Malformed::HostDisagrees
            | Malformed::DuplicateField
            | Malformed::DuplicateContentLength
            | Malformed::BadContentLength
            | Malformed::LengthAndCoding
            | Malformed::CodingInHttp10
            | Malformed::LastCodingNotChunked
            | Malformed::ChunkSize
            | Malformed::ChunkExtension
            | Malformed::ChunkEnd
            | Malformed::Trailer
            | Malformed::ChunkedOverhead => 400,
            Malformed::BodyTooLarge => 413,
            Malformed::TargetTooLong => 414,
            Malformed::Expectation => 417,
            Malformed::HeadTooLarge | Malformed::TooManyFields => 431,
            Malformed::UnknownCoding => 501,
            Malformed::VersionMissing | Malformed::Version | Malformed::Http2 => 505,
        }
    }

    /// What is wrong, for the person who reads the answer.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Malformed::RequestLine => "The request line is not `METHOD target HTTP/1.1`.",
            Malformed::StatusLine => "The status line is not `HTTP/1.1 status reason`.",
            Malformed::Method => "The method is not a token.",
            Malformed::Target => {
                "The request target is not a path, an http URL, or `*` with OPTIONS."
            }
            Malformed::TargetTooLong => "The request target is too long.",
            Malformed::VersionMissing => {
                "The request line has no version; HTTP/0.9 is not spoken here."
            }
            Malformed::Version => "This server speaks HTTP/1.1 and HTTP/1.0 only.",
            Malformed::Http2 => {
                "This server speaks HTTP/1.1; HTTP/2 belongs to the proxy before it."
            }
            Malformed::BareCr => "A CR is not followed by LF.",
            Malformed::BareLf => "A line ends with LF alone; lines end with CR LF.",
            Malformed::ObsFold => {
                "A header line starts with white space; folded lines are obsolete."
            }
            Malformed::SpaceBeforeColon => {
                "There is white space between a header's name and its colon."
            }
            Malformed::FieldName => "A header line has no valid name followed by a colon.",
            Malformed::FieldValue => {
                "A header's value has a control character, or is not UTF-8 and has a meaning here."
            }
            Malformed::HeadTooLarge => "The request line and headers together are too large.",
            Malformed::TooManyFields => "There are too many header fields.",
            Malformed::MissingHost => "The Host header is missing.",
            Malformed::DuplicateHost => "There is more than one Host header.",
            Malformed::BadHost => {
                "The Host header is not a host name or address with an optional port."
            }
            Malformed::HostDisagrees => "The Host header is not the host of the request target.",
            Malformed::DuplicateField => "A header that may appear only once appears more often.",
            Malformed::DuplicateContentLength => "There is more than one Content-Length.",
            Malformed::BadContentLength => "Content-Length is not a decimal number of bytes.",
            Malformed::LengthAndCoding => {
                "Content-Length and Transfer-Encoding contradict each other; send one of them."
            }
            Malformed::CodingInHttp10 => "HTTP/1.0 has no Transfer-Encoding.",
            Malformed::LastCodingNotChunked => "The last transfer coding has to be chunked.",
            Malformed::UnknownCoding => "The only transfer coding known here is chunked, once.",
            Malformed::Expectation => "The only expectation known here is 100-continue.",
            Malformed::ChunkSize => "A chunk does not start with 1 to 16 hexadecimal digits.",
            Malformed::ChunkExtension => "A chunk extension has a control character.",
            Malformed::ChunkEnd => "A chunk is longer than its size says.",
            Malformed::Trailer => "A trailer line is not a valid header line.",
            Malformed::ChunkedOverhead => "The chunk extensions or trailers are too large.",
            Malformed::BodyTooLarge => "The body is too large.",
        }
    }
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.sentence())
    }
}

impl std::error::Error for Malformed {}
