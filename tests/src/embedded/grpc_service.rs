//! What a module names as the service of a gRPC call: an encoded
//! `envoy.config.core.v3.GrpcService`, or the name of a cluster.

use super::protobuf::{Field, fields};

/// The service that is named. What else a `GrpcService` says (a timeout, initial metadata, retries)
/// is not played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum GrpcService {
    /// The bytes are no such message: they are the name of a cluster.
    Name(String),
    /// `envoy_grpc` with this cluster.
    Cluster(String),
    /// `google_grpc`, which this host does not have.
    Google,
    /// The bytes are such a message, and it names nothing.
    Nothing,
}

impl GrpcService {
    pub(super) fn parse(bytes: &[u8]) -> Self {
        Self::parse_message(bytes).unwrap_or_else(|| Self::Name(String::from_utf8_lossy(bytes).into_owned()))
    }

    fn parse_message(bytes: &[u8]) -> Option<Self> {
        let mut service = Self::Nothing;
        for field in fields(bytes)? {
            match field {
                (1, Field::Bytes(message)) => {
                    let name = match fields(message)?.into_iter().rev().find(|(number, _)| *number == 1) {
                        Some((_, Field::Bytes(name))) => name,
                        _ => &[],
                    };
                    service = Self::Cluster(std::str::from_utf8(name).ok()?.into());
                }
                (2, Field::Bytes(message)) => {
                    fields(message)?;
                    service = Self::Google;
                }
                // Timeout, initial metadata and retry policy are messages as well.
                (3 | 5 | 6, Field::Bytes(message)) => drop(fields(message)?),
                _ => {}
            }
        }
        Some(service)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_name_unless_its_bytes_happen_to_be_a_message() {
        assert_eq!(GrpcService::parse(b"authz"), GrpcService::Name("authz".into()));
        assert_eq!(GrpcService::parse(b"\x0a\x07\x0a\x05authz"), GrpcService::Cluster("authz".into()));
        assert_eq!(GrpcService::parse(b"\x12\x02\x0a\x00"), GrpcService::Google);
        assert_eq!(GrpcService::parse(b""), GrpcService::Nothing);
        assert_eq!(GrpcService::parse(b"authz_svc"), GrpcService::Nothing);
        assert_eq!(GrpcService::parse(b"\x1a\x02\x08\x05"), GrpcService::Nothing);
    }
}
