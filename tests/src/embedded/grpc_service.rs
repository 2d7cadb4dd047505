//! What a module names as the service of a gRPC call: an encoded `envoy.config.core.v3.GrpcService`, or the name of a cluster.

/// The service that is named. What else a `GrpcService` says (a timeout, initial metadata, retries) is not played.
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
                (1, Some(message)) => {
                    let cluster = fields(message)?.into_iter().rev().find(|(number, _)| *number == 1);
                    let name = std::str::from_utf8(cluster.and_then(|(_, name)| name).unwrap_or_default()).ok()?;
                    service = Self::Cluster(name.into());
                }
                (2, Some(message)) => {
                    fields(message)?;
                    service = Self::Google;
                }
                // Timeout, initial metadata and retry policy are messages as well.
                (3 | 5 | 6, Some(message)) => drop(fields(message)?),
                _ => {}
            }
        }
        Some(service)
    }
}

/// The number of a field, and its bytes if it has some.
type Field<'a> = (u64, Option<&'a [u8]>);

/// The fields of a protocol buffers message, those that have one with their bytes; `None` if it is no message.
fn fields(mut bytes: &[u8]) -> Option<Vec<Field<'_>>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let number = tag >> 3;
        if number == 0 {
            return None;
        }
        let value = match tag & 7 {
            0 => {
                varint(&mut bytes)?;
                None
            }
            1 => {
                take(&mut bytes, 8)?;
                None
            }
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                Some(take(&mut bytes, length)?)
            }
            5 => {
                take(&mut bytes, 4)?;
                None
            }
            // Groups, which nobody writes any more, and what is no wire type.
            _ => return None,
        };
        fields.push((number, value));
    }
    Some(fields)
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
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
