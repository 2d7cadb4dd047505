use core::fmt;
use core::num::NonZeroU32;

/// Why a host refused a call: every status but `Ok`.
///
/// A number that the ABI does not define is preserved, because a host may be newer than this crate.
///
/// ```
/// use proxy_filter::Status;
/// assert_eq!(format!("{}", Status::BAD_ARGUMENT), "BadArgument (2)");
/// assert_eq!(Status::from_raw(0), None, "0 is Ok");
/// assert_eq!(format!("{}", Status::from_raw(99).unwrap()), "status 99");
/// ```
///
/// Source: ABI 0.2.1, `proxy_status_t`; 5, 9 and 11 are not in the text but defined in Envoy's host
/// library.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Status(NonZeroU32);

macro_rules! statuses {
    ($($(#[$doc:meta])* $name:ident = $raw:literal, $text:literal;)*) => {
        impl Status {
            $($(#[$doc])* pub const $name: Self = match NonZeroU32::new($raw) {
                Some(raw) => Self(raw),
                None => Self(NonZeroU32::MAX),
            };)*

            /// The name in the ABI, or `None` for a number the ABI does not define.
            pub const fn name(self) -> Option<&'static str> {
                match self.0.get() {
                    $($raw => Some($text),)*
                    _ => None,
                }
            }
        }
    };
}

statuses! {
    /// The header, property, key, queue, metric or token does not exist.
    NOT_FOUND = 1, "NotFound";
    /// An argument is wrong, or what it names is not available in this phase.
    BAD_ARGUMENT = 2, "BadArgument";
    /// The host could not serialize a value.
    SERIALIZATION_FAILURE = 3, "SerializationFailure";
    /// The host could not parse a value.
    PARSE_FAILURE = 4, "ParseFailure";
    /// An expression does not parse.
    BAD_EXPRESSION = 5, "BadExpression";
    /// A pointer is outside the module's memory, or the module's allocator failed.
    INVALID_MEMORY_ACCESS = 6, "InvalidMemoryAccess";
    /// A queue is empty.
    EMPTY = 7, "Empty";
    /// Another VM or thread changed the shared data in the meantime.
    CAS_MISMATCH = 8, "CasMismatch";
    /// A result has another type than expected.
    RESULT_MISMATCH = 9, "ResultMismatch";
    /// The host failed, or a capability is restricted by its configuration.
    INTERNAL_FAILURE = 10, "InternalFailure";
    /// The connection is broken.
    BROKEN_CONNECTION = 11, "BrokenConnection";
    /// The host does not have this function.
    UNIMPLEMENTED = 12, "Unimplemented";
}

impl Status {
    /// The status with this number; `None` for 0, which is `Ok` and not a refusal.
    pub const fn from_raw(raw: u32) -> Option<Self> {
        match NonZeroU32::new(raw) {
            Some(raw) => Some(Self(raw)),
            None => None,
        }
    }

    /// The number in the ABI.
    pub const fn raw(self) -> u32 {
        self.0.get()
    }

    /// What a host function returned, as a result.
    #[cfg_attr(not(target_family = "wasm"), allow(dead_code, reason = "only the wasm backend sees raw numbers"))]
    pub(crate) const fn check(raw: u32) -> Result<(), Self> {
        match Self::from_raw(raw) {
            None => Ok(()),
            Some(status) => Err(status),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({})", self.raw()),
            None => write!(f, "status {}", self.raw()),
        }
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
