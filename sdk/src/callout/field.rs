//! Fields that control how a message is transported. The call itself determines those of a callout.

use crate::abi::field::check_field;

/// Whether an author may give a callout this field.
#[inline]
pub(crate) fn check_callout_field(name: &[u8], value: &[u8]) -> Result<(), &'static str> {
    check_field(name, value)?;
    // Few names begin as these do.
    match name.first() {
        Some(
            b'c' | b'e' | b'h' | b'k' | b'p' | b't' | b'u' | b'x' | b'C' | b'E' | b'H' | b'K' | b'P' | b'T' | b'U'
            | b'X',
        ) => instead(name).map_or(Ok(()), Err),
        _ => Ok(()),
    }
}

const LENGTH: &str = "leave `content-length` and `transfer-encoding` out of a callout: `body` sets them";
const AUTHORITY: &str = "give a callout its `host` with `authority`";
const CONNECTION: &str = "leave fields of one connection out of a callout, as `headers_from` does";
const CONTROL: &str = "the host obeys this field of a callout: use `timeout` or `timer::retry`";

/// Returns what to use in place of a field that the host would obey or sets itself. Returns `None`
/// for all other fields.
#[inline(never)]
pub(crate) fn instead(name: &[u8]) -> Option<&'static str> {
    /// Each entry: the start of a name, the number of bytes that may follow it (0 or any), and what
    /// to use instead.
    const FIELDS: &[(&str, usize, &str)] = &[
        ("host", 0, AUTHORITY),
        ("content-length", 0, LENGTH),
        ("transfer-encoding", 0, LENGTH),
        ("te", 0, CONNECTION),
        ("connection", 0, CONNECTION),
        ("upgrade", 0, CONNECTION),
        ("http2-settings", 0, CONNECTION),
        ("keep-alive", 0, CONNECTION),
        ("proxy-connection", 0, CONNECTION),
        ("expect", 0, CONNECTION),
        ("x-envoy-upstream-rq-", usize::MAX, CONTROL),
        ("x-envoy-upstream-stream-", usize::MAX, CONTROL),
        ("x-envoy-upstream-alt-", usize::MAX, CONTROL),
        ("x-envoy-expected-rq-", usize::MAX, CONTROL),
        ("x-envoy-max-retries", usize::MAX, CONTROL),
        ("x-envoy-retr", usize::MAX, CONTROL),
        ("x-envoy-is-timeout-retry", usize::MAX, CONTROL),
        ("x-envoy-hedge-", usize::MAX, CONTROL),
    ];
    let is_meant = |field: &str, after: usize| {
        name.split_at_checked(field.len())
            .is_some_and(|(start, rest)| rest.len() <= after && start.eq_ignore_ascii_case(field.as_bytes()))
    };
    FIELDS.iter().find(|(field, after, _)| is_meant(field, *after)).map(|(.., instead)| *instead)
}

/// Returns whether a field belongs to one hop, so that a call must not copy it from a request.
pub(crate) fn is_of_one_hop(name: &[u8], nominated: &[Vec<u8>]) -> bool {
    name.first() == Some(&b':')
        || instead(name).is_some()
        || nominated.iter().any(|nominated| nominated.eq_ignore_ascii_case(name))
}

/// The names in the value of a `connection` field.
pub(crate) fn nominated(connection: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    connection.split(|byte| *byte == b',').map(|name| name.trim_ascii().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fields that Envoy's router obeys, according to its documentation, and fields that frame a
    /// message.
    pub(crate) const RESERVED: &[&str] = &[
        "content-length",
        "transfer-encoding",
        "te",
        "connection",
        "host",
        "upgrade",
        "keep-alive",
        "proxy-connection",
        "expect",
        "http2-settings",
        "x-envoy-upstream-rq-timeout-ms",
        "x-envoy-upstream-rq-per-try-timeout-ms",
        "x-envoy-upstream-rq-timeout-alt-response",
        "x-envoy-upstream-alt-stat-name",
        "x-envoy-upstream-stream-duration-ms",
        "x-envoy-expected-rq-timeout-ms",
        "x-envoy-max-retries",
        "x-envoy-retry-on",
        "x-envoy-retry-grpc-on",
        "x-envoy-retriable-header-names",
        "x-envoy-retriable-status-codes",
        "x-envoy-is-timeout-retry",
        "x-envoy-hedge-on-per-try-timeout",
    ];

    #[test]
    fn fields_that_the_host_obeys_are_reserved_in_any_letter_case() {
        for name in RESERVED {
            for name in [(*name).to_owned(), name.to_uppercase()] {
                assert!(check_callout_field(name.as_bytes(), b"1").is_err(), "{name}");
            }
        }
    }

    #[test]
    fn other_fields_are_not_reserved() {
        for name in [
            "x-envoy-external-address",
            "x-envoy-original-path",
            "x-envoy",
            "content-type",
            "tenant",
            "hosts",
            "x",
            "trailer",
        ] {
            assert_eq!(check_callout_field(name.as_bytes(), b"1"), Ok(()), "{name}");
        }
    }
}
