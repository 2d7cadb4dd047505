use crate::log::line::Line;
use core::fmt;

/// The code of a gRPC status.
///
/// It is a number with names, not an enum, because a server may send any number.
///
/// ```
/// use proxy_filter::grpc::GrpcCode;
/// fn may_retry(code: GrpcCode) -> bool {
///     matches!(code, GrpcCode::UNAVAILABLE | GrpcCode::RESOURCE_EXHAUSTED)
/// }
/// assert!(may_retry(GrpcCode::from_raw(14)));
/// assert_eq!(GrpcCode::NOT_FOUND.to_string(), "NOT_FOUND (5)");
/// assert_eq!(GrpcCode::from_raw(99).to_string(), "99");
/// ```
///
/// Source: <https://grpc.io/docs/guides/status-codes/>.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct GrpcCode(u32);

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $raw:literal;)*) => {
        impl GrpcCode {
            $($(#[$doc])* pub const $name: Self = Self($raw);)*

            /// Returns the name in gRPC, or `None` for a number without a name.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($raw => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    /// Success.
    OK = 0;
    /// The caller cancelled the call.
    CANCELLED = 1;
    /// The cause is unknown. Envoy reports it for a response without a status.
    UNKNOWN = 2;
    /// The request is not valid, whatever the state of the service is.
    INVALID_ARGUMENT = 3;
    /// The server reports that the time has elapsed. For Envoy's own timeout, see
    /// [`GrpcOutage::Timeout`](crate::grpc::GrpcOutage::Timeout).
    DEADLINE_EXCEEDED = 4;
    /// The requested item does not exist.
    NOT_FOUND = 5;
    /// The item already exists.
    ALREADY_EXISTS = 6;
    /// The caller lacks the permission.
    PERMISSION_DENIED = 7;
    /// A quota is exhausted.
    RESOURCE_EXHAUSTED = 8;
    /// The service is not in the state that the call requires.
    FAILED_PRECONDITION = 9;
    /// A concurrent operation has aborted the call.
    ABORTED = 10;
    /// The call is out of the valid range.
    OUT_OF_RANGE = 11;
    /// The service does not have this method. Envoy reports it for an HTTP 404.
    UNIMPLEMENTED = 12;
    /// The server has failed, or its response is not gRPC.
    INTERNAL = 13;
    /// The service is unavailable now.
    UNAVAILABLE = 14;
    /// Data is lost.
    DATA_LOSS = 15;
    /// The caller is not authenticated.
    UNAUTHENTICATED = 16;
}

impl GrpcCode {
    /// Returns the code with this number.
    pub const fn from_raw(raw: u32) -> Self {
        Self(raw)
    }

    /// Returns the name and the number, without `core::fmt`.
    #[inline]
    fn text(self) -> String {
        let mut line = Line::new();
        line.push_number(self.0);
        let number = String::from_utf8_lossy(line.as_bytes());
        match self.name() {
            Some(name) => [name, " (", &number, ")"].concat(),
            None => number.into_owned(),
        }
    }

    /// Returns whether the code means that the service is down: `UNAVAILABLE` and
    /// `DEADLINE_EXCEEDED`. A client can cause every other code: see
    /// [`GrpcError`](crate::grpc::GrpcError).
    ///
    /// ```
    /// use proxy_filter::grpc::GrpcCode;
    /// assert!(GrpcCode::UNAVAILABLE.is_outage() && !GrpcCode::RESOURCE_EXHAUSTED.is_outage());
    /// ```
    pub const fn is_outage(self) -> bool {
        matches!(self, Self::UNAVAILABLE | Self::DEADLINE_EXCEEDED)
    }

    /// Returns the number.
    pub const fn raw(self) -> u32 {
        self.0
    }
}

impl fmt::Display for GrpcCode {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl fmt::Debug for GrpcCode {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How a gRPC call or stream ended: a code, and a message for people.
///
/// Envoy appends the origin to the message: `not you{via_upstream}` is a message of a server, and
/// any other message is Envoy's own. It passes a server's message as it is on the wire,
/// percent-encoded. [`message`](Self::message) returns it decoded and without that suffix.
/// [`is_from_server`](Self::is_from_server) returns whether it had the suffix.
///
/// Source: ABI 0.2.1, `proxy_on_grpc_close` and `proxy_get_status`; Envoy 1.40,
/// `Grpc::AsyncStreamImpl`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcStatus {
    code: GrpcCode,
    message: Box<str>,
    from_server: bool,
}

/// What Envoy puts behind, or in the place of, the message of a server.
const VIA_UPSTREAM: &[u8] = b"via_upstream";

impl GrpcStatus {
    /// Creates a status from the code and message that the host reports.
    #[inline]
    pub(crate) fn new(code: u32, told: &[u8]) -> Self {
        let code = GrpcCode(code);
        let from_server = match told.strip_suffix(b"}").and_then(|told| told.strip_suffix(VIA_UPSTREAM)) {
            Some(told) => told.strip_suffix(b"{"),
            None => (told == VIA_UPSTREAM).then_some(&[][..]),
        };
        match from_server {
            Some(message) => Self { code, message: text(&percent_decode(message)), from_server: true },
            None => Self { code, message: text(told), from_server: false },
        }
    }

    #[inline]
    pub(crate) fn text(&self) -> String {
        let code = self.code.text();
        if self.message.is_empty() { code } else { [&code, ": ", &*self.message].concat() }
    }

    /// The code.
    pub const fn code(&self) -> GrpcCode {
        self.code
    }

    /// Returns the message of the server or of Envoy. It may be empty.
    pub const fn message(&self) -> &str {
        &self.message
    }

    /// Returns whether a server sent the status. Otherwise Envoy made it, because no server sent
    /// one. Always false on other hosts, which do not report the origin.
    pub const fn is_from_server(&self) -> bool {
        self.from_server
    }
}

impl fmt::Display for GrpcStatus {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

#[inline]
fn text(bytes: &[u8]) -> Box<str> {
    String::from_utf8_lossy(bytes).into()
}

/// A `%` without two hexadecimal digits is kept, as gRPC requires.
#[inline]
fn percent_decode(mut text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    while let [first, rest @ ..] = text {
        match (first, rest) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                bytes.push(digit(*high) << 4 | digit(*low));
                text = after;
            }
            _ => {
                bytes.push(*first);
                text = rest;
            }
        }
    }
    bytes
}

/// The value of a hexadecimal digit.
const fn digit(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use crate::callout::grpc::status::GrpcStatus;

    #[test]
    fn messages_of_a_server_differ_from_messages_of_envoy() {
        for (told, message, from_server) in [
            ("not you{via_upstream}", "not you", true),
            ("50%25 %C3%BCber %zz %4{via_upstream}", "50% über %zz %4", true),
            ("{via_upstream}", "", true),
            ("via_upstream", "", true),
            ("not via_upstream", "not via_upstream", false),
            ("via_upstream}", "via_upstream}", false),
            ("upstream request timeout{response_timeout}", "upstream request timeout{response_timeout}", false),
            ("50%25", "50%25", false),
            ("", "", false),
        ] {
            let status = GrpcStatus::new(5, told.as_bytes());
            assert_eq!((status.message(), status.is_from_server()), (message, from_server), "{told}");
        }
    }

    #[test]
    fn a_message_may_be_any_bytes() {
        assert_eq!(GrpcStatus::new(5, b"\xff%ff{via_upstream}").message(), "\u{fffd}\u{fffd}");
    }

    #[test]
    fn a_status_prints_its_name_its_number_and_its_message() {
        assert_eq!(GrpcStatus::new(7, b"not you").to_string(), "PERMISSION_DENIED (7): not you");
        assert_eq!(GrpcStatus::new(77, b"").to_string(), "77");
    }
}
