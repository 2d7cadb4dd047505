//! Handles made of literals, for unit tests of functions that take one.
//!
//! A test of [`test`](crate::test) plays whole exchanges. A function that only reads or edits a
//! part of a message needs less: a handle with some fields, or a body of a few bytes.
//!
//! ```
//! use proxy_filter::prelude::*;
//! use proxy_filter_host::handles;
//!
//! fn set_tenant(request: &mut RequestHeaders) -> Result<()> {
//!     let host = request.get("host")?.unwrap_or_default();
//!     let tenant = host.split(|byte| *byte == b'.').next().unwrap_or_default().to_vec();
//!     request.replace("x-tenant", tenant)
//! }
//!
//! # fn main() -> Result<()> {
//! let mut request = handles::request_headers([("host", "shop.example.com")]);
//! set_tenant(&mut request)?;
//! assert_eq!(request.get("x-tenant")?.unwrap(), "shop");
//! # Ok(())
//! # }
//! ```
//!
//! Fields are stored as Envoy stores them: names in lower case, `host` as `:authority`, and the
//! values of some fields joined. Any edit of a body is possible, as if `content-length` was
//! removed. Of the host functions, those for maps, buffers and the log work; log lines go to
//! standard error. Others fail with [`Status::UNIMPLEMENTED`].
//!
//! Several handles can be used at the same time in one thread, one of each type. Handles are for
//! functions of a test's own thread: a test that has a [`Host`](crate::Host) uses its exchanges.

use crate::embedded::access::edit;
use crate::embedded::fields::{Kind, Map, decode, encode};
use proxy_filter::__private::Handle;
use proxy_filter::Status;
use proxy_filter::log::LogLevel;
use proxy_filter::prelude::*;
use proxy_filter::sys::{HostFunctions, install};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::rc::{Rc, Weak};

/// A handle, and what it reads and edits. It is used like a reference to the handle.
#[derive(Debug)]
pub struct Literal<H> {
    handle: H,
    parts: Rc<Parts>,
}

impl<H> Deref for Literal<H> {
    type Target = H;

    fn deref(&self) -> &H {
        &self.handle
    }
}

impl<H> DerefMut for Literal<H> {
    fn deref_mut(&mut self) -> &mut H {
        &mut self.handle
    }
}

impl<H> Literal<H> {
    /// Returns the handle itself, for a function that takes it by value. Do not drop the second
    /// part while the handle is used: it owns the fields and bytes.
    ///
    /// ```
    /// use proxy_filter::prelude::*;
    ///
    /// # fn main() -> Result<()> {
    /// let (configuration, _parts) = proxy_filter_host::handles::configuration("x").into_parts();
    /// assert_eq!(configuration.bytes()?, b"x");
    /// # Ok(())
    /// # }
    /// ```
    pub fn into_parts(self) -> (H, Rc<Parts>) {
        (self.handle, self.parts)
    }
}

/// The fields and bytes that the handles of a thread read and edit.
#[derive(Debug, Default)]
pub struct Parts {
    maps: RefCell<BTreeMap<u32, Map>>,
    buffers: RefCell<BTreeMap<u32, Vec<u8>>>,
}

thread_local! {
    static PARTS: RefCell<Weak<Parts>> = const { RefCell::new(Weak::new()) };
}

/// Returns the parts of this thread's handles, which are a host for the SDK.
fn parts() -> Rc<Parts> {
    PARTS.with_borrow_mut(|parts| {
        parts.upgrade().unwrap_or_else(|| {
            let new = Rc::new(Parts::default());
            *parts = Rc::downgrade(&new);
            // The SDK must not extend the life of the parts: they are dropped with the last handle.
            install(Some(Rc::new(Installed(Rc::downgrade(&new)))));
            new
        })
    })
}

/// What the functions take and return for raw types of the ABI.
type Answer<T> = std::result::Result<T, Status>;

struct Installed(Weak<Parts>);

impl Installed {
    fn map<T>(&self, map_type: u32, body: impl FnOnce(&mut Map) -> T) -> Answer<T> {
        let parts = self.0.upgrade().ok_or(Status::UNIMPLEMENTED)?;
        let mut maps = parts.maps.borrow_mut();
        maps.get_mut(&map_type).map(body).ok_or(Status::BAD_ARGUMENT)
    }

    fn buffer<T>(&self, buffer_type: u32, body: impl FnOnce(&mut Vec<u8>) -> T) -> Answer<T> {
        let parts = self.0.upgrade().ok_or(Status::UNIMPLEMENTED)?;
        let mut buffers = parts.buffers.borrow_mut();
        buffers.get_mut(&buffer_type).map(body).ok_or(Status::NOT_FOUND)
    }
}

impl HostFunctions for Installed {
    fn proxy_log(&self, level: u32, message: &[u8]) -> Answer<()> {
        let level = LogLevel::from_raw(level).ok_or(Status::BAD_ARGUMENT)?;
        eprintln!("{level:?}: {}", String::from_utf8_lossy(message));
        Ok(())
    }

    fn proxy_get_log_level(&self) -> Answer<u32> {
        Ok(LogLevel::Trace.raw())
    }

    fn proxy_get_buffer_bytes(&self, buffer_type: u32, start: u32, max_size: u32) -> Answer<Vec<u8>> {
        self.buffer(buffer_type, |bytes| {
            let end = (start as usize).saturating_add(max_size as usize).min(bytes.len());
            bytes.get(start as usize..end).unwrap_or_default().to_vec()
        })
    }

    fn proxy_set_buffer_bytes(&self, buffer_type: u32, start: u32, size: u32, bytes: &[u8]) -> Answer<()> {
        self.buffer(buffer_type, |buffer| edit(buffer, start as usize, size as usize, bytes))?
    }

    fn proxy_get_header_map_size(&self, map_type: u32) -> Answer<u32> {
        self.map(map_type, |map| map.byte_size())
    }

    fn proxy_get_header_map_pairs(&self, map_type: u32) -> Answer<Vec<u8>> {
        self.map(map_type, |map| encode(map.fields()))
    }

    fn proxy_set_header_map_pairs(&self, map_type: u32, pairs: &[u8]) -> Answer<()> {
        self.map(map_type, |map| *map = Map::from_fields(map.kind(), &decode(pairs)))
    }

    fn proxy_get_header_map_value(&self, map_type: u32, name: &[u8]) -> Answer<Vec<u8>> {
        self.map(map_type, |map| map.get(name).map(<[u8]>::to_vec))?.ok_or(Status::NOT_FOUND)
    }

    fn proxy_add_header_map_value(&self, map_type: u32, name: &[u8], value: &[u8]) -> Answer<()> {
        self.map(map_type, |map| map.add(name, value))
    }

    fn proxy_replace_header_map_value(&self, map_type: u32, name: &[u8], value: &[u8]) -> Answer<()> {
        self.map(map_type, |map| map.replace(name, value))
    }

    fn proxy_remove_header_map_value(&self, map_type: u32, name: &[u8]) -> Answer<()> {
        self.map(map_type, |map| map.remove(name))
    }
}

fn map<H: Handle, N, V>(map_type: u32, kind: Kind, fields: impl IntoIterator<Item = (N, V)>) -> Literal<H>
where
    N: AsRef<[u8]>,
    V: AsRef<[u8]>,
{
    let parts = parts();
    let mut map = Map::new(kind);
    for (name, value) in fields {
        map.add(name.as_ref(), value.as_ref());
    }
    parts.maps.borrow_mut().insert(map_type, map);
    Literal { handle: H::of_length(0), parts }
}

fn buffer<H: Handle>(buffer_type: u32, bytes: &[u8]) -> Literal<H> {
    let parts = parts();
    parts.buffers.borrow_mut().insert(buffer_type, bytes.to_vec());
    Literal { handle: H::of_length(bytes.len()), parts }
}

macro_rules! maps {
    ($($(#[$doc:meta])* $name:ident -> $handle:ident = $raw:literal, $kind:ident;)*) => {
        $($(#[$doc])*
        pub fn $name<N: AsRef<[u8]>, V: AsRef<[u8]>>(fields: impl IntoIterator<Item = (N, V)>) -> Literal<$handle> {
            map($raw, Kind::$kind, fields)
        })*
    };
}

maps! {
    /// Returns the headers of a request with these fields.
    request_headers -> RequestHeaders = 0, Request;
    /// Returns the trailers of a request with these fields.
    request_trailers -> RequestTrailers = 1, Trailers;
    /// Returns the headers of a response with these fields.
    response_headers -> ResponseHeaders = 2, Response;
    /// Returns the trailers of a response with these fields.
    response_trailers -> ResponseTrailers = 3, Trailers;
}

macro_rules! buffers {
    ($($(#[$doc:meta])* $name:ident -> $handle:ident = $raw:literal;)*) => {
        $($(#[$doc])*
        pub fn $name(bytes: impl AsRef<[u8]>) -> Literal<$handle> {
            buffer($raw, bytes.as_ref())
        })*
    };
}

buffers! {
    /// Returns the body of a request: a chunk, or all that is buffered.
    request_body -> RequestBody = 0;
    /// Returns the body of a response: a chunk, or all that is buffered.
    response_body -> ResponseBody = 1;
    /// Returns data of a client's TCP connection.
    downstream_data -> DownstreamData = 2;
    /// Returns data of an upstream's TCP connection.
    upstream_data -> UpstreamData = 3;
    /// Returns the configuration of a VM.
    vm_configuration -> VmConfiguration = 6;
    /// Returns the configuration of a plugin.
    ///
    /// ```
    /// use proxy_filter::prelude::*;
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Config {
    ///     limit: u32,
    /// }
    ///
    /// # fn main() -> Result<()> {
    /// let config: Config = proxy_filter_host::handles::configuration(r#"{"limit": 5}"#).json()?;
    /// assert_eq!(config.limit, 5);
    /// # Ok(())
    /// # }
    /// ```
    configuration -> Configuration = 7;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_of_fields_are_read_back() -> Result<()> {
        let mut request = request_headers([(":path", "/a"), ("Accept", "a"), ("accept", "b"), ("x-a", "1")]);
        let mut response = response_headers([(":status", "200")]);
        request.add("x-a", "2")?;
        request.remove("accept")?;
        response.replace("x-a", request.get_all("x-a")?.iter().count().to_string())?;
        assert_eq!(request.get("accept")?, None);
        assert_eq!(request.path()?.unwrap(), "/a");
        assert_eq!(response.get("x-a")?.unwrap(), "2");
        assert!(request.replace("x y", "").is_err(), "a name with a space is no name");
        Ok(())
    }

    #[test]
    fn edits_of_bodies_are_read_back() -> Result<()> {
        let mut body = response_body("hello");
        body.append(" world")?;
        body.prepend("> ")?;
        assert_eq!(body.to_bytes()?, b"> hello world");
        body.replace("bye")?;
        assert_eq!((body.len(), body.to_bytes()?), (3, b"bye".to_vec()));
        let mut data = downstream_data("SSH-2.0");
        data.drain(4)?;
        assert_eq!(data.to_bytes()?, b"2.0");
        Ok(())
    }

    #[test]
    fn fields_are_dropped_with_the_last_handle_and_a_new_one_has_only_its_own() -> Result<()> {
        let (kept, parts) = request_headers([("x-a", "1")]).into_parts();
        assert_eq!(kept.get("x-a")?.unwrap(), "1");
        drop(parts);
        assert!(kept.get("x-a").is_err());
        let other = request_headers([("x-b", "1")]);
        assert_eq!(other.get("x-a")?, None);
        Ok(())
    }
}
