//! What clients can make a node hold or do, and what an operator may set. Each bound has its unit, why it is this number, and
//! what follows from it. Bounds that a single module keeps to itself stand at the head of its file in the same form: for the
//! answers of a Redis, for the admin listener, for the nodes' log.
//!
//! Each core's shard has a copy of [`Limits`]. The program runs with [`Limits::default`]. `Limits::tiny` makes
//! every bound easy to hit in a test.

/// Header fields in one message. Browsers and proxies together send fewer than 40.
pub const HEADER_FIELDS_MAX: usize = 64;

/// CR LFs before a request line that are forgiven (RFC 9112, 2.2 asks for at least one).
pub const EMPTY_LINES_MAX: usize = 4;

/// Bytes of an id's JSON text. A listen request's id goes into every event of its stream; UUIDs have 38.
pub const ID_BYTES_MAX: usize = 256;

/// Elements of one batch that are looked at. Far above what any server allows; it only bounds the memory that a
/// body of `[1,1,1,…` can claim.
pub const BATCH_ELEMENTS_MAX: usize = 1024;

/// Bytes of extensions and trailers in one body. Neither means anything here.
pub const CHUNKED_OVERHEAD_BYTES_MAX: usize = 4096;

/// Bytes of a body that the core looks at that received it: what one read brings, at most. Each pass over the worst of
/// it takes 0.2 ms, and a request has a handful of passes. Larger bodies are looked at by another thread.
pub const LOOK_ON_CORE_BYTES_MAX: usize = 64 * 1024;

/// Bytes of the params of `subscriptions/listen` for each subscription that it may have; an honest URI with its quotes
/// has 100. Other methods that the engine serves itself have [`LOOK_ON_CORE_BYTES_MAX`] altogether.
pub const LISTEN_BYTES_MAX: usize = 512;

/// Memory of a tree of a request's JSON that the core makes which serves the request: a thousand objects, 0.2 ms. Larger
/// ones are made by another thread.
pub const TREE_ON_CORE_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of what a client says of itself in one text, for it to be recognised without reading it again.
pub const PROFILE_TEXT_BYTES_MAX: usize = 1024;

/// Bytes of a client's name, title and version each; what is longer is cut. Real ones have 40.
pub const PROFILE_NAME_BYTES_MAX: usize = 128;

/// Memory of a client's extensions, and of its experimental capabilities, with their settings. Settings that do not fit
/// are left out, then whole names. MCP Apps take a quarter of it.
pub const PROFILE_SETTINGS_BYTES_MAX: usize = 4 * 1024;

/// Memory of all different kinds of clients that one core knows. Past it a new kind's texts (its name, its extensions)
/// are left out. A usual kind takes 1 to 3 KiB; thousands of sessions of the same kind have one.
pub const PROFILES_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bytes of a session id on the wire: 16 of node name, a dot, 24 of locator, 22 of secret, one spare.
pub const SESSION_ID_BYTES_MAX: usize = 64;

/// Bytes of a node's name: it leads every session id, so that a proxy can route on it.
pub const NODE_NAME_BYTES_MAX: usize = 16;

/// Offsets that a gap in the log takes: one for each topic that has subscribers on a core, and a quarter of a second
/// of a log that counts as a shared one does.
pub const GAP_OFFSETS: u64 = 1 << 20;

/// Sessions and listen streams that ended, as each core remembers them for operators, and a node tells them: as many as
/// somebody scrolls through, 300 KB.
pub const ENDED_KEPT: usize = 1_000;

/// Requests of sessions that were answered with an error, as each core remembers them for operators, 300 KB, and how many of
/// one session are. Beyond that the session goes first whose last one is longest ago.
pub const ERRORS_KEPT: usize = 1_000;
pub const ERRORS_TOLD: usize = 5;

/// Characters of such an error's message and method: a sentence.
pub const ERROR_TEXT_CHARS_MAX: usize = 120;

/// Subscriptions of one session that an operator is told by name.
pub const SUBSCRIPTIONS_TOLD: usize = 100;

/// Bytes of a message to sessions from outside of any call. A quarter of what may wait for a stream by default.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Milliseconds from the end of a POST that came through a proxy to the beginning of an answer that is a stream, or is
/// larger than [`UNSENT_BYTES_MAX`]. A Traefik that has its CPU cuts none that begins after 0.5 ms; this is for one that has to wait for it now and then,
/// on whatever machine (PERF.md, "Behind a proxy").
pub const STREAM_HOLD_MS: u64 = 10;

/// The same while this machine, which may be the proxy's too, is seen to have more to do than it can: with ten programs for
/// each CPU a stream in a thousand was cut after 10 or 20 ms, and of new connections now and then one after 30.
pub const STREAM_HOLD_BUSY_MS: u64 = 50;

/// How long a machine counts as busy after a core was woken late. With three programs for each CPU every third look at
/// the timers is late: thirty of them do not overlook it.
pub const BUSY_FOR_MS: u64 = 2_000;

/// Milliseconds in which a stream that is taken over twice is chased: two GETs that come back whenever they end. Clients
/// come back after a second or two; one whose network changes again within this time has an open connection too many.
pub const CHASE_MS: u64 = 30_000;

/// Connections that are left open and silent for one chased stream; past it the oldest ends. A client has two that chase
/// each other, by mistake; with ten it makes a request a second, as it asked for.
pub const SILENT_CONNECTIONS_MAX: usize = 8;

/// Jobs of an application that wait for a thread of the blocking pool (its call gets an error). A thousand calls may each
/// have one that takes a second: past this, nobody who asks now is answered in time anyway.
pub const BLOCKING_JOBS_MAX: usize = 4096;

/// Streams that leave in one turn of the fan-out loop before everything else gets its turn.
/// 64 sends are about 150 µs: a request that arrives in the middle of a broadcast waits that long.
pub const FANOUT_CHUNK: usize = 64;

/// Bytes that wait in a socket's send buffer because the reader does not take what was sent before. Without this the
/// kernel would keep up to 4 MiB (`tcp_wmem`) for each stalled reader, and events that wait there can no longer
/// conflate. 32 KiB are some hundred events, and what a core sends of a large answer in one system call.
pub const UNSENT_BYTES_MAX: usize = 32 * 1024;

/// What a core takes of the node's memory budget at once, so that it does not ask for each request; less of a small one.
pub const MEMORY_PORTION_BYTES: usize = 256 * 1024;
/// How often the watchdog looks whether each thread has done something since, and after how many looks in vain it hangs:
/// five seconds. What a core does in one go takes milliseconds; a proxy that asks every second learns of it soon enough, and a
/// machine on which nothing gets a turn for so long is no place for new clients.
pub const THREAD_LOOK_EVERY_MS: u64 = 500;
pub const THREAD_HANGS_AFTER_LOOKS: u32 = 10;

/// Bytes of log lines that wait to be written, and as many may be on their way. Four thousand lines: the log of a second
/// in which everything goes wrong at once, while its reader looks elsewhere. What comes then is dropped and counted.
pub const LOG_WAITING_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of one line of the log; the rest is cut. A panic with its backtrace is longer than any other.
pub const LOG_LINE_BYTES_MAX: usize = 32 * 1024;

/// Spans that wait for the thread that sends them, of a node: what a collector that is away for a moment misses of a thousand
/// calls a second. Each takes some 500 bytes, two thousand at most. Further ones are dropped.
pub const SPANS_WAITING_MAX: usize = 8 * 1024;

/// Spans that a core keeps until it hands them over, many times a second. Further ones are dropped.
pub const SPANS_OF_CORE_MAX: usize = 2 * 1024;

/// Bytes of a text of a client's in a span: names and ids have 40, URIs a hundred. The rest is cut.
pub const SPAN_TEXT_BYTES_MAX: usize = 256;

/// Those who watch a session or a principal of a node at once, and the access logs of single ones that are on: a bit for each.
pub const TRACES_MAX: usize = 16;

/// Events that wait for one who watches, and their bytes: what a busy session does in a second. What comes then is counted.
pub const TRACE_WAITING_MAX: usize = 1000;
pub const TRACE_WAITING_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of a message that a trace shows, if it shows any.
pub const TRACE_CONTENTS_BYTES_MAX: usize = 4 * 1024;

/// Bytes of a method, an id or a URI that a trace shows: as long as a URI may be.
pub const TRACE_TEXT_BYTES_MAX: usize = 2 * 1024;

/// Threads beside its workers that the tokio runtime of a server may have, for what would stall those: resolving names,
/// files, SQLite. Its own default of 512 is a machine's memory; a pool of connections to a database has about ten.
#[cfg(feature = "tokio")]
pub const TOKIO_BLOCKING_THREADS_MAX: usize = 32;

/// Bytes of an access token. Those of Entra ID with their groups have 4 KiB; a head has 16 KiB by default.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Authorization servers that are trusted at once. Each has a thread that asks it for its keys.
pub const ISSUERS_MAX: usize = 16;

/// Bytes of an issuer's key set, and of its metadata. Large providers have 20 KiB: a dozen keys, each with its certificates.
pub const KEY_SET_BYTES_MAX: usize = 1024 * 1024;

/// Keys of one issuer, those included that are of no use here. A set with more is not a set of keys in use.
pub const ISSUER_KEYS_MAX: usize = 256;

/// Keys that are tried for one token: several of one name while one is replaced by the next, or of no name. Each takes up
/// to 0.2 ms.
pub const KEYS_TRIED_MAX: usize = 4;

/// Seconds that clocks may be said to differ. With more a token would count long after its issuer thinks it does not.
pub const LEEWAY_MAX_S: u64 = 300;

/// Tokens that a core remembers as verified, and their memory with their claims: an entry takes one or two KiB. Past it
/// those of whoever has most are verified again.
pub const VERIFIED_TOKENS_MAX: usize = 32 * 1024;
/// Seconds after which a token that nobody shows is no longer remembered. Whoever comes back later costs a signature.
pub const VERIFIED_UNUSED_S: u64 = 30;
pub const VERIFIED_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Lines of a token file. All of them are compared with a token that is not known yet: 30 µs.
pub const STATIC_TOKENS_MAX: usize = 1024;

/// Bytes of a name in a token file.
pub const TOKEN_NAME_BYTES_MAX: usize = 128;

/// Rules for single tools, prompts and resources in a policy: the last of them is looked at for whoever no other is of.
pub const POLICY_RULES_MAX: usize = 256;

/// Principals whose credentials were taken back, of which a node knows: 40 bytes each. An incident has fewer.
pub const REVOCATIONS_MAX: usize = 10_000;

/// How long streams may go on after their token. Whoever wants more wants tokens that are good for longer.
pub const AUTH_GRACE_MAX_MS: u64 = 60 * 60 * 1000;

/// Within how long streams end of which nobody knows whether the key that signed their tokens is one that was withdrawn. Each of
/// ten thousand clients that come back costs up to 0.2 ms for its signature: of half a minute that is a fifteenth.
pub const WITHDRAWN_WITHIN_MS: u64 = 30 * 1000;

/// Seconds for which nodes are told of a revocation: thirty days, as sessions' records. Access tokens are good for hours, those of the
/// most generous issuers for a month. A token of the token file is good until it is taken out of there.
pub const REVOCATIONS_KEPT_S: u64 = 30 * 86_400;

/// How long an issuer's keys are good if it does not say so, and the bounds of what it may say. Within the longest a key
/// that was withdrawn still counts; within the shortest nobody notices that it is new, since an unknown one is asked for. Up to a fifth
/// less, by lot: nodes that were started together do not ask together.
pub const KEYS_AGE_MS: u64 = 15 * 60 * 1000;
pub const KEYS_AGE_MIN_MS: u64 = 60 * 1000;
pub const KEYS_AGE_MAX_MS: u64 = 6 * 60 * 60 * 1000;

/// How often an issuer is asked for a key that nobody knows, at most: whoever sends a token can have it asked.
pub const KEY_SEARCH_EVERY_MS: u64 = 10 * 1000;

/// After how long an issuer is asked again that did not answer, at first and after many times.
pub const KEY_RETRY_MIN_MS: u64 = 1000;
pub const KEY_RETRY_MAX_MS: u64 = 60 * 1000;

/// For all that an issuer takes to answer one question, from its name to the last byte. Requests with an unknown key wait
/// for it.
pub const ISSUER_ANSWER_MS: u64 = 5 * 1000;

/// Requests that wait for one issuer's keys. Past it a client is asked to try again.
pub const KEY_QUESTIONS_MAX: usize = 1024;

/// `initialize` requests a second that one client gets also while others ask for more than the node allows. An office
/// that opens its laptops at nine needs fewer; it takes more than 300 addresses to leave nothing of the default.
pub const MODEST_INITIALIZE_PER_SECOND: u32 = 64;

/// Tokens a second that turn out to be worth nothing and that a core looks at, of all clients together: a seventh of its time,
/// at up to 141 µs for a signature. Half of it is for clients that have shown none. Past it who shows a token that is not
/// known yet is asked to try again.
pub const BAD_TOKENS_PER_SECOND_MAX: u32 = 1024;

/// Clients whose rate of calls a core knows: 40 bytes each. Past it those are forgotten that used least of it. A core
/// answers fewer within the second in which one is there.
pub const CALL_RATES_MAX: usize = 64 * 1024;

/// What a node accepts, on all of its cores together unless it says otherwise; times are milliseconds.
///
/// A client is a principal, or an address while nobody knows more. What one may take is a share of what the node has, large
/// enough for an office behind one address, small enough that others go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
// Our own tests make them by literals.
#[cfg_attr(not(feature = "internals"), non_exhaustive)]
pub struct Limits {
    /// Request line and header fields together (431). nginx gives 32 KiB, Node 16 KiB.
    pub head_bytes_max: usize,
    /// Request target (414). RFC 9110 asks for at least 8,000.
    pub target_bytes_max: usize,
    /// A request's body after decoding (413). The SDKs' servers give 4 MiB.
    pub body_bytes_max: usize,
    /// Nesting of arrays and objects in a body (400, -32700). serde_json itself stops at 128.
    pub json_depth_max: usize,
    /// Memory that a tree of a body's JSON would take (413). A hundred thousand numbers take 6 MiB, ten thousand small
    /// objects 10; `{"":0}` over and over would make 300 MiB of 4.
    pub json_tree_bytes_max: usize,
    /// Bytes read ahead of a request that is still being answered; past it nothing is read until the answer left.
    pub pipeline_bytes_max: usize,
    /// Open connections (accepted, answered 503, closed).
    pub connections_max: usize,
    /// Live sessions (503 with Retry-After, once no idle session can make room).
    pub sessions_max: usize,
    /// `initialize` requests a second; a burst of as many is allowed (503 with Retry-After).
    pub initialize_per_second_max: u32,
    /// Open connections of one client (429, closed). Those of a proxy that names its clients count for them, and only
    /// while a stream is open on them. None: three quarters of `connections_max`.
    pub connections_per_client_max: Option<usize>,
    /// Sessions of one client (429 with Retry-After, once none of its own is idle). None: a quarter of `sessions_max`.
    pub sessions_per_client_max: Option<usize>,
    /// `initialize` requests a second of one client; a burst of as many is allowed (429 with Retry-After). None: a
    /// quarter of `initialize_per_second_max`.
    pub initialize_per_second_per_client_max: Option<u32>,
    /// Calls of one client that a core works on (429 with Retry-After). Sixteen sessions that do all they may at once.
    pub calls_per_client_max: usize,
    /// Messages and GETs a second of one client that a core takes; a burst of as many is allowed (429 with Retry-After). A
    /// message is one however it is answered, each of a batch too. 0: as many as come. That is the default: what is too
    /// much depends on what a tool does, an office or a load test behind one address may ask as fast as it likes, and
    /// how many calls are under way is bounded in any case.
    pub calls_per_second_per_client_max: u32,
    /// Tokens a second of one client that turn out to be worth nothing and that a core looks at; a burst of as many is allowed (429
    /// with Retry-After). Counts what costs something: wrong signatures, unknown keys, tokens that are not in the file. 64 of
    /// them take a hundredth of a core; an office behind one address whose tokens were all taken back tries as often. 0:
    /// as many as come.
    pub bad_tokens_per_second_per_client_max: u32,
    /// Concurrent calls of a session (429), and response streams that are kept for a resume (the oldest goes).
    pub streams_per_session_max: usize,
    /// Resource subscriptions of a session or of one listen stream (-32602).
    pub subscriptions_max: usize,
    /// Memory of all subscriptions together, the URIs included (503 for a listen stream, -32603 in a session).
    pub subscription_bytes_max: usize,
    /// Memory of all subscriptions of one client, each counted as if nobody else had it (429 with Retry-After). None: a
    /// quarter of `subscription_bytes_max`.
    pub subscription_bytes_per_client_max: Option<usize>,
    /// What all clients together make the node hold: bodies that arrive, answers that are not read yet, answers that are
    /// kept for a resume, params of calls under way (503 with Retry-After; before that kept answers go, and whoever
    /// holds most for longest). `--memory-max`, or a quarter of the machine's memory.
    pub memory_bytes_max: usize,
    /// Bytes of a resource URI (-32602).
    pub uri_bytes_max: usize,
    /// Messages of a batch (2025-03-26 only; -32600).
    pub batch_messages_max: usize,
    /// Targeted messages (progress, log, server requests, answers) kept for one stream until they are written,
    /// and for a resume afterwards.
    pub stream_queue_bytes_max: usize,
    /// From the first byte of a head to its last (408); of a connection's first head from the accept, so that one which
    /// never says anything is closed by then.
    pub head_timeout_ms: u64,
    /// From the end of a head to the end of its body (408).
    pub body_timeout_ms: u64,
    /// A keep-alive connection without a further request. Longer than Traefik's pool keeps it (90 s), so that the
    /// proxy, which knows, closes first.
    pub connection_idle_ms: u64,
    /// A session without a request and without an open stream.
    pub session_idle_ms: u64,
    /// Bytes waiting in the socket of a reader that takes none of them.
    pub write_stall_ms: u64,
    /// A comment line on a silent stream. Cloudflare closes after 125 s, Node's fetch after 300 s.
    pub keep_alive_ms: u64,
    /// How long a finished or interrupted response stream can still be resumed.
    pub resume_window_ms: u64,
    /// The client's time to answer an elicitation, a sampling request or `roots/list`.
    pub ask_timeout_ms: u64,
    /// How long a client should wait before it opens a stream again (`retry:`).
    pub retry_ms: u64,
    /// How long a stream of notifications goes on after the token by which it was opened has ended. SDKs get the next token
    /// when a request needs it: one that asks something twice a minute never loses its stream. 0: ends with it.
    pub auth_grace_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            head_bytes_max: 16 * 1024,
            target_bytes_max: 8 * 1024,
            body_bytes_max: 4 * 1024 * 1024,
            json_depth_max: 64,
            json_tree_bytes_max: 16 * 1024 * 1024,
            pipeline_bytes_max: 64 * 1024,
            connections_max: 1_000_000,
            sessions_max: 1_000_000,
            initialize_per_second_max: 20_000,
            connections_per_client_max: None,
            sessions_per_client_max: None,
            initialize_per_second_per_client_max: None,
            calls_per_client_max: 1024,
            calls_per_second_per_client_max: 0,
            bad_tokens_per_second_per_client_max: 64,
            streams_per_session_max: 64,
            subscriptions_max: 1024,
            subscription_bytes_max: 1 << 30,
            subscription_bytes_per_client_max: None,
            memory_bytes_max: 1 << 30,
            uri_bytes_max: 2048,
            batch_messages_max: 64,
            stream_queue_bytes_max: 256 * 1024,
            head_timeout_ms: 10_000,
            body_timeout_ms: 30_000,
            connection_idle_ms: 120_000,
            session_idle_ms: 30 * 60 * 1000,
            write_stall_ms: 30_000,
            keep_alive_ms: 15_000,
            resume_window_ms: 60_000,
            ask_timeout_ms: 120_000,
            retry_ms: 1_000,
            auth_grace_ms: 30_000,
        }
    }
}

/// What one client may hold of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientLimits {
    pub(crate) connections_max: usize,
    pub(crate) sessions_max: usize,
    pub(crate) initialize_per_second_max: u32,
    pub(crate) subscription_bytes_max: usize,
}

impl Limits {
    /// The shares of one client, with those that nobody has set.
    #[must_use]
    pub(crate) fn of_client(&self) -> ClientLimits {
        let connections = self.connections_max - self.connections_max / 4;
        ClientLimits {
            connections_max: self.connections_per_client_max.unwrap_or(connections),
            sessions_max: self
                .sessions_per_client_max
                .unwrap_or_else(|| self.sessions_max.div_ceil(4)),
            initialize_per_second_max: self
                .initialize_per_second_per_client_max
                .unwrap_or_else(|| self.initialize_per_second_max.div_ceil(4)),
            subscription_bytes_max: self
                .subscription_bytes_per_client_max
                .unwrap_or_else(|| self.subscription_bytes_max.div_ceil(4)),
        }
    }

    /// Bounds so small that a test reaches each of them in a few steps.
    #[cfg(any(test, feature = "internals"))]
    #[doc(hidden)]
    #[must_use]
    pub fn tiny() -> Self {
        Limits {
            head_bytes_max: 1024,
            target_bytes_max: 64,
            body_bytes_max: 2048,
            json_depth_max: 8,
            json_tree_bytes_max: 16 * 1024,
            pipeline_bytes_max: 512,
            connections_max: 8,
            sessions_max: 4,
            initialize_per_second_max: 1000,
            calls_per_client_max: 4,
            streams_per_session_max: 2,
            subscriptions_max: 3,
            subscription_bytes_max: 64 * 1024,
            memory_bytes_max: 64 * 1024,
            uri_bytes_max: 64,
            batch_messages_max: 3,
            stream_queue_bytes_max: 1024,
            ..Limits::default()
        }
    }
}

/// URIs whose contents changed while all contents are copied for the next process: as many as a board has by default.
pub const CONTENT_CHANGES_MAX: usize = 100_000;

/// So long a node may stand still while another process takes its place, in milliseconds: what nobody heard of meanwhile is still
/// known to be all there is.
pub const HANDED_OVER_WITHIN_MS: u64 = 2_000;

const _: () = assert!(LOG_LINE_BYTES_MAX < LOG_WAITING_BYTES_MAX);
const _: () = assert!(NODE_NAME_BYTES_MAX + 1 + 24 + 22 <= SESSION_ID_BYTES_MAX);
