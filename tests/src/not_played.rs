//! [`NotPlayed`]: exchanges that the embedded host does not play.

use std::fmt;

/// Why the embedded host does not play an exchange: what Envoy does then depends on time, or on
/// what other programs do. A real Envoy plays all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotPlayed {
    /// Over HTTP/1, the request announces another body than the test sends: more, and Envoy waits
    /// for the rest; less, and Envoy takes the rest for the next request.
    RequestFraming {
        /// What the request announces: its `content-length`, or `chunked`.
        announced: String,
        /// How many bytes the test sends.
        sent: usize,
    },
    /// The upstream sends an informational response, which no other response follows.
    InformationalResponse(u16),
    /// The upstream switches protocols although the request does not upgrade.
    UnaskedUpgrade,
    /// The head of a message ends earlier than the test means: a field has an empty line.
    EmptyLine,
}

impl fmt::Display for NotPlayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RequestFraming { announced, sent } => write!(
                f,
                "the request announces a body ({announced}), but the test sends {sent} bytes: \
                 over HTTP/1, Envoy waits for the rest, or takes it for the next request"
            ),
            Self::InformationalResponse(status) => {
                write!(f, "the upstream's only response has the status {status}: Envoy waits for the final response")
            }
            Self::UnaskedUpgrade => f.write_str("the upstream responds with 101 to a request that does not upgrade"),
            Self::EmptyLine => f.write_str("a field has an empty line, which ends the head of the message"),
        }
    }
}

impl std::error::Error for NotPlayed {}
