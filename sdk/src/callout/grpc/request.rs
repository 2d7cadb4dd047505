//! Where a gRPC call or stream goes, and the metadata that goes with it.

use crate::abi::pairs::Builder;
use crate::abi::protobuf::Message;
use crate::callout::field::check_callout_field;
use crate::callout::grpc::error::GrpcError;
use crate::error::kind::ErrorKind;

/// What calls and streams have in common.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Always an encoded `GrpcService { envoy_grpc { cluster_name } }`. Envoy tries to parse a bare
    /// name as such a message, and aborts if that succeeds without a cluster name. Some names can
    /// be parsed so.
    pub(crate) upstream: Vec<u8>,
    pub(crate) service: Vec<u8>,
    pub(crate) method: Vec<u8>,
    metadata: Builder,
    /// The first mistake made while building, so that builders can be chained.
    mistake: Option<(ErrorKind, &'static str)>,
}

const ENVOY_GRPC: u8 = 1;
const CLUSTER_NAME: u8 = 1;

impl Request {
    #[inline(never)]
    pub(crate) fn new(cluster: &[u8], service: &[u8], method: &[u8]) -> Self {
        let envoy_grpc = Message::new().bytes(CLUSTER_NAME, cluster).finish();
        let mut request = Self {
            upstream: Message::new().bytes(ENVOY_GRPC, &envoy_grpc).finish(),
            service: service.to_vec(),
            method: method.to_vec(),
            metadata: Builder::new(),
            mistake: None,
        };
        if cluster.is_empty() {
            request.refuse("a gRPC call needs the name of a cluster");
        }
        if !is_path(service) || !is_path(method) || method.contains(&b'/') {
            request.refuse("a gRPC call needs a service, `pkg.Service` for example, and a method: visible ASCII");
        }
        request
    }

    /// Notes a mistake.
    #[inline]
    pub(crate) fn refuse(&mut self, why: &'static str) {
        self.mistake = self.mistake.or(Some((ErrorKind::InvalidInput, why)));
    }

    #[inline(never)]
    pub(crate) fn field(&mut self, name: &[u8], value: &[u8]) {
        if is_reserved(name) {
            self.refuse("`:…`, `grpc-…`, `te` and `content-type` are not metadata: gRPC itself uses them");
        }
        // Binary values may have any bytes: Envoy sends them as base64.
        let checked = check_callout_field(name, if is_binary(name) { b"" } else { value });
        let checked = checked.map_err(|why| (ErrorKind::InvalidInput, why));
        let too_large = (ErrorKind::TooLarge, "more metadata in a gRPC call than hosts accept (1,024 pairs, 1 MiB)");
        let pushed = checked.and_then(|()| self.metadata.push(name, value).map_err(|_| too_large));
        self.mistake = self.mistake.or(pushed.err());
    }

    /// Returns the encoded metadata, or the first mistake.
    #[inline]
    pub(crate) fn check(&mut self) -> Result<Vec<u8>, GrpcError> {
        match self.mistake {
            Some((kind, why)) => Err(GrpcError::input(kind, why)),
            None => Ok(core::mem::take(&mut self.metadata).finish()),
        }
    }
}

/// Whether the text may be a part of a path.
#[inline]
fn is_path(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#'))
}

#[inline]
fn is_binary(name: &[u8]) -> bool {
    name.last_chunk::<4>().is_some_and(|end| end.eq_ignore_ascii_case(b"-bin"))
}

/// Returns whether Envoy would use the field itself. For example, `:path` would change the path,
/// and `content-type` would make the call no longer gRPC.
#[inline]
fn is_reserved(name: &[u8]) -> bool {
    name.first() == Some(&b':')
        || name.first_chunk::<5>().is_some_and(|start| start.eq_ignore_ascii_case(b"grpc-"))
        || [&b"te"[..], b"content-type"].iter().any(|reserved| name.eq_ignore_ascii_case(reserved))
}
