use crate::abi::map_type::MapType;
use crate::callout::grpc::base64;
use crate::error::kind::ErrorKind;
use crate::error::{Error, Result};
use crate::fields::header_map::HeaderMap;
use core::ops::Deref;

/// Initial or trailing metadata of a gRPC stream, while its event is handled.
///
/// It contains the HTTP headers or trailers as the server sent them, including `:status`,
/// `content-type`, `grpc-status` and `grpc-message`. The host stores them, and each method copies
/// what it returns.
///
/// ```
/// # use proxy_filter::prelude::*;
/// # use proxy_filter::grpc::GrpcMetadata;
/// fn session(metadata: &GrpcMetadata) -> Result<Option<Vec<u8>>> {
///     if metadata.get("x-session-kind")?.is_none() {
///         return Ok(None);
///     }
///     metadata.get_binary("x-session-bin")
/// }
/// ```
///
/// Source: ABI 0.2.1, `proxy_on_grpc_receive_initial_metadata` and
/// `proxy_on_grpc_receive_trailing_metadata`.
#[derive(Debug)]
pub struct GrpcMetadata(HeaderMap);

impl GrpcMetadata {
    pub(crate) const INITIAL: Self = Self(HeaderMap::new(MapType::GRPC_INITIAL_METADATA));
    pub(crate) const TRAILING: Self = Self(HeaderMap::new(MapType::GRPC_TRAILING_METADATA));

    /// Returns the first value of a field whose name ends in `-bin`, decoded. Such a value is
    /// base64 on the wire, and Envoy does not decode it.
    ///
    /// # Errors
    /// [`Malformed`](ErrorKind::Malformed) if the value is not base64, or a refusal of the host.
    pub fn get_binary(&self, name: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        let Some(value) = self.0.get(name)? else { return Ok(None) };
        // One field may contain several values.
        let first = value.split(|byte| *byte == b',').next().unwrap_or_default().trim_ascii();
        let malformed = || Error::refused(ErrorKind::Malformed, "binary metadata that is not base64");
        base64::decode(first).ok_or_else(malformed).map(Some)
    }
}

impl Deref for GrpcMetadata {
    type Target = HeaderMap;

    #[inline]
    fn deref(&self) -> &HeaderMap {
        &self.0
    }
}
