//! What is known of a host: the columns of its profile.

/// A version of Envoy without its patch: 1.40.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(pub(super) u32, pub(super) u32);

/// What a host does with modules.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) source: &'static str,
    /// The version, if the host is an Envoy.
    pub(super) envoy: Option<Version>,
    pub(super) required: &'static [&'static str],
    /// Callbacks that the host never calls, in groups.
    pub(super) never_called: &'static [&'static [&'static str]],
    pub(super) not_offered: &'static [&'static str],
    pub(super) failing: &'static [FailingFunctions],
    pub(super) differences: &'static [HostDifference],
    /// The most memory of a VM, in bytes.
    pub(super) memory: u64,
    /// The most instructions of a callback of a stream.
    pub(super) instructions: Option<u64>,
}

/// Host functions that a host offers and that do not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FailingFunctions {
    /// The names of the functions: `proxy_…`.
    pub names: &'static [&'static str],
    /// What a call does, in words.
    pub effect: &'static str,
    pub(crate) failure: Failure,
}

/// What a call of a function that does not work does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It traps the VM.
    Trap,
    /// It traps the VM unless it names this foreign function.
    TrapUnless(&'static str),
    /// It returns this status.
    Status(u32),
}

/// The status `Unimplemented` of the ABI.
pub(super) const UNIMPLEMENTED: u32 = 12;

/// A difference between a host and the newest Envoy, in the functions and callbacks that both have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostDifference {
    /// The callback that it concerns, or the function with its module: `env.proxy_http_call`.
    pub subject: &'static str,
    /// What the host does.
    pub text: &'static str,
    /// What the statement is based on.
    pub source: &'static str,
    pub(crate) quirk: Option<Quirk>,
}

impl HostDifference {
    /// Whether the embedded host does the same under this profile. What it does not play, it does
    /// as Envoy does.
    #[must_use]
    pub const fn is_played(&self) -> bool {
        self.quirk.is_some()
    }
}

/// A difference that the embedded host plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quirk {
    /// `end_of_stream` of headers callbacks is false.
    HeadersNeverEnd,
    /// The body of a request is one chunk, with its end.
    RequestBodyIsOneChunk,
    /// `proxy_set_effective_context` does nothing: calls act on the context of the callback, or of
    /// the callout whose response it gets.
    ContextIsGiven,
    /// Calls in a wrong phase trap the VM.
    WrongPhaseTraps,
    /// `on_done` comes before `on_log`.
    DoneBeforeLog,
    /// `proxy_get_buffer_bytes` begins with the first byte.
    ReadsFromStart,
    /// `proxy_get_buffer_bytes` returns the whole buffer.
    ReadsWhole,
    /// `proxy_set_buffer_bytes` replaces the whole buffer.
    WritesWhole,
    /// `add` overwrites a field that is present.
    AddOverwrites,
    /// `replace` does nothing if there is no such field.
    ReplaceNeedsField,
    /// `set_pairs` keeps the fields that it does not name.
    PairsMerge,
    /// A field that is missing is an empty value.
    MissingFieldIsEmpty,
    /// A property that does not exist is an empty value.
    MissingPropertyIsEmpty,
    /// A callout that failed has no response, but a pseudo-header that says why.
    FailedCallIsBare,
    /// A second local reply replaces the first.
    LastReplyCounts,
    /// A callout goes to its `:authority`, without a timeout.
    CallsAuthority,
    /// The clock shows the time at which the stream began.
    ClockStandsStill,
    /// The text of a failed connection has the reason of the transport.
    TransportReason,
    /// A callout that is not valid fails at once if a connection is ready.
    InvalidCalloutFails,
    /// A route compares the values of a repeated header as one, joined with commas.
    RoutesJoinValues,
    /// Over HTTP/2, fields of one name are sent together.
    FieldsAreGrouped,
    /// When the client resets a connection, the upstream sees it closed.
    ClientResetCloses,
    /// When the upstream resets a connection, the client sees it closed.
    UpstreamResetCloses,
    /// There is no foreign function `sign`.
    NoSign,
    /// `__main_void` does not run.
    NoMainVoid,
    /// `poll_oneoff` of WASI is not implemented.
    NoPoll,
}
