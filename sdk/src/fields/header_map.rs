//! [`HeaderMap`]: the fields of a message that the host holds.

use crate::abi::field::{Singles, check_field_of, check_name_of, is_single};
use crate::abi::map_type::MapType;
use crate::abi::pairs;
use crate::abi::status::Status;
use crate::error::kind::ErrorKind;
use crate::error::local_reply::LocalReply;
use crate::error::{Error, Result};
use crate::fields::header_value::{HeaderValue, HeaderValues, Pairs};
use crate::sys;

/// The fields of a message the host holds: reads and edits go straight to the host, one call each.
///
/// Names are compared without regard to case; hosts hand them out in lower case. Values are bytes: a client may send anything but
/// CR, LF and NUL, and text is one [`to_str`](HeaderValue::to_str) away. Pseudo-headers (`:path`, `:status`) are fields like others.
///
/// # What may be written
/// Envoy writes what a filter gives it, or refuses the whole message later and tells the client why. The SDK therefore refuses what is not
/// a valid field with [`InvalidInput`](ErrorKind::InvalidInput), before the host is called: nothing changes then.
///
/// | | may be |
/// |---|---|
/// | name | a token of RFC 9110: letters, digits and ``!#$%&'*+-.^_`\|~``. Envoy writes it in lower case. |
/// | pseudo-header | those of the map: of requests `:method`, `:path`, `:scheme`, `:authority` and `:protocol`, of responses `:status`, of trailers none |
/// | value | tabs, spaces, visible ASCII, and bytes from 0x80. Spaces and tabs around a value are not part of it for the receiver. |
/// | `:method`, `:protocol` | a token |
/// | `:path` | `*`, or `/` and then anything but spaces and control bytes |
/// | `:authority`, `host` | visible ASCII |
/// | `:scheme` | letters, digits, `+`, `-` and `.`, beginning with a letter |
/// | `:status` | 100 to 599 |
///
/// In the body of a function or impl with one of the SDK's attributes, a literal that can never be a name or a value does not compile.
///
/// | | Envoy |
/// |---|---|
/// | repeated fields | kept apart; [`get`](Self::get) returns the first, [`get_all`](Self::get_all) every one, [`get_single`](Self::get_single) refuses them |
/// | `host` | the same field as `:authority` |
/// | any edit of request headers | the route is chosen again |
///
/// Source: context API, "Header API"; ABI 0.2.1, "HTTP fields".
#[derive(Debug)]
pub struct HeaderMap {
    map: MapType,
    content_length: ContentLength,
}

/// What is known about the `content-length` of the message these headers belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ContentLength {
    /// It may be there, and then the body must keep its length.
    Kept,
    /// The filter removed it: the body may change its length.
    Removed,
}

impl HeaderMap {
    pub(crate) const fn new(map: MapType) -> Self {
        Self { map, content_length: ContentLength::Kept }
    }

    /// The same for a message whose `content-length` was dealt with in an earlier callback.
    pub(crate) const fn with(map: MapType, content_length: ContentLength) -> Self {
        Self { map, content_length }
    }

    pub(crate) const fn content_length(&self) -> ContentLength {
        self.content_length
    }

    /// The first value of a field, or `None` if there is no such field. An empty value is a value.
    ///
    /// ```
    /// # use proxy_filter::prelude::*;
    /// fn is_bearer(request: &RequestHeaders) -> Result<bool> {
    ///     Ok(request.get("authorization")?.is_some_and(|value| value.starts_with(b"Bearer ")))
    /// }
    /// ```
    ///
    /// # Errors
    /// [`NotAvailableHere`](ErrorKind::NotAvailableHere) if the host no longer has the map, for example because the stream was continued
    /// in this very callback. In `on_log` Envoy does not tell that from a missing field: the answer is `None`.
    #[doc(alias = "proxy_get_header_map_value")]
    #[doc(alias = "getRequestHeader")]
    #[doc(alias = "getResponseHeader")]
    #[doc(alias = "getRequestTrailer")]
    #[doc(alias = "getResponseTrailer")]
    pub fn get(&self, name: impl AsRef<[u8]>) -> Result<Option<HeaderValue>> {
        match sys::proxy_get_header_map_value(self.map.raw(), name.as_ref()) {
            Ok(value) => Ok(Some(HeaderValue::from(value))),
            Err(Status::NOT_FOUND) => Ok(None),
            Err(status) => Err(Error::host("proxy_get_header_map_value", status)),
        }
    }

    /// Every value of a repeated field, in order. This fetches the whole map once.
    ///
    /// ```
    /// # use proxy_filter::prelude::*;
    /// fn cookies(response: &ResponseHeaders) -> Result<usize> {
    ///     Ok(response.get_all("set-cookie")?.iter().filter(|value| value.starts_with(b"session=")).count())
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`pairs`](Self::pairs).
    pub fn get_all(&self, name: impl AsRef<[u8]>) -> Result<HeaderValues> {
        let name = name.as_ref();
        let name = if is_single(self.map, name) && !name.starts_with(b":") { b":authority" } else { name };
        Ok(HeaderValues::new(self.pairs()?, name))
    }

    /// The value of a field that a message has once, or `None` if there is no such field.
    ///
    /// Use it where a decision depends on one value: a token, a tenant, a signature, the number of a version. A client can send a field
    /// twice, and then [`get`](Self::get) returns the first while the upstream may use the last. This fetches the whole map once.
    ///
    /// ```
    /// # use proxy_filter::prelude::*;
    /// fn tenant(request: &RequestHeaders) -> Result<FilterHeadersStatus> {
    ///     match request.get_single("x-tenant")? {
    ///         Some(tenant) if tenant == "acme" => Ok(FilterHeadersStatus::Continue),
    ///         _ => request.reply(LocalReply::new(403)),
    ///     }
    /// }
    /// ```
    ///
    /// Envoy joins the values of a few well-known fields with a comma (`authorization`, `content-type`, `origin`, `x-forwarded-for`) before the
    /// filter sees them: what is repeated there is one value that has a comma in it, and that the filter must not accept.
    ///
    /// # Errors
    /// [`Repeated`](ErrorKind::Repeated) if there are several, even if they are equal; the error carries a reply with status 400. Otherwise as
    /// [`pairs`](Self::pairs).
    pub fn get_single(&self, name: impl AsRef<[u8]>) -> Result<Option<HeaderValue>> {
        let values = self.get_all(name)?;
        let mut values = values.iter();
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(Error::refused(
                ErrorKind::Repeated,
                "the message has the field several times, and a decision depends on one value: refuse the message",
            )
            .with_reply(LocalReply::new(400))),
            (value, None) => Ok(value.map(HeaderValue::from)),
        }
    }

    /// All fields in order, pseudo-headers first, in the one buffer the host filled.
    ///
    /// ```
    /// # use proxy_filter::prelude::*;
    /// fn dump(request: &RequestHeaders) -> Result<()> {
    ///     for (name, value) in &request.pairs()? {
    ///         log::info!("{}: {}", printable(name), printable(value));
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Malformed`](ErrorKind::Malformed) if the host's bytes are not a map. Envoy answers with an empty map, not an error, where
    /// the map does not exist.
    #[doc(alias = "proxy_get_header_map_pairs")]
    #[doc(alias = "getRequestHeaderPairs")]
    #[doc(alias = "getResponseHeaderPairs")]
    #[doc(alias = "getRequestTrailerPairs")]
    #[doc(alias = "getResponseTrailerPairs")]
    pub fn pairs(&self) -> Result<Pairs> {
        match sys::proxy_get_header_map_pairs(self.map.raw()) {
            Ok(bytes) => Pairs::new(bytes),
            Err(status) => Err(Error::host("proxy_get_header_map_pairs", status)),
        }
    }

    /// Adds a field, beside those of the same name.
    ///
    /// Envoy joins the values of a few well-known fields (`content-type`, `x-forwarded-for`) with a comma instead. A message has one of each
    /// pseudo-header and one `host`: adding another replaces it.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) for a field that is not valid HTTP, [see above](Self#what-may-be-written).
    /// [`NotAvailableHere`](ErrorKind::NotAvailableHere) as for [`get`](Self::get).
    #[doc(alias = "proxy_add_header_map_value")]
    #[doc(alias = "addRequestHeader")]
    #[doc(alias = "addResponseHeader")]
    #[doc(alias = "addRequestTrailer")]
    #[doc(alias = "addResponseTrailer")]
    #[inline]
    pub fn add(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        let (name, value) = self.edit(name.as_ref(), value.as_ref())?;
        if is_single(self.map, name) {
            return self.overwrite(name, value);
        }
        sys::proxy_add_header_map_value(self.map.raw(), name, value)
            .map_err(|status| Error::host("proxy_add_header_map_value", status))
    }

    /// Gives a field exactly this value: repeated fields become one, a missing one is created.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    #[doc(alias = "proxy_replace_header_map_value")]
    #[doc(alias = "replaceRequestHeader")]
    #[doc(alias = "replaceResponseHeader")]
    #[doc(alias = "replaceRequestTrailer")]
    #[doc(alias = "replaceResponseTrailer")]
    #[inline]
    pub fn replace(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        let (name, value) = self.edit(name.as_ref(), value.as_ref())?;
        self.overwrite(name, value)
    }

    #[inline]
    fn overwrite(&self, name: &[u8], value: &[u8]) -> Result<()> {
        sys::proxy_replace_header_map_value(self.map.raw(), name, value)
            .map_err(|status| Error::host("proxy_replace_header_map_value", status))
    }

    /// Removes a field with all its values. A missing one is no error.
    ///
    /// Removing `content-length` is what permits the body callback of the same message to change the body's length.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) for what cannot be the name of a field of this map,
    /// [`NotAvailableHere`](ErrorKind::NotAvailableHere) as for [`get`](Self::get).
    #[doc(alias = "proxy_remove_header_map_value")]
    #[doc(alias = "removeRequestHeader")]
    #[doc(alias = "removeResponseHeader")]
    #[doc(alias = "removeRequestTrailer")]
    #[doc(alias = "removeResponseTrailer")]
    pub fn remove(&mut self, name: impl AsRef<[u8]>) -> Result<()> {
        let name = name.as_ref();
        check_name_of(self.map, name).map_err(invalid)?;
        sys::proxy_remove_header_map_value(self.map.raw(), name)
            .map_err(|status| Error::host("proxy_remove_header_map_value", status))?;
        if is_content_length(name) {
            self.content_length = ContentLength::Removed;
        }
        Ok(())
    }

    /// Replaces the whole map. What is not among the pairs is gone, pseudo-headers included.
    ///
    /// Envoy needs `:path` and `x-forwarded-proto`, which it has added itself, to find a route: without them the answer is 404.
    ///
    /// ```
    /// # use proxy_filter::prelude::*;
    /// fn drop_internal(request: &mut RequestHeaders) -> Result<()> {
    ///     let all = request.pairs()?;
    ///     request.set_pairs(all.iter().filter(|(name, _)| !name.starts_with(b"x-internal-")))
    /// }
    /// ```
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) as for [`add`](Self::add), and for a second pseudo-header of one name; [`TooLarge`](ErrorKind::TooLarge) above 1,024 pairs or 1 MiB,
    /// where Envoy would silently delete every header. The map is unchanged then.
    #[doc(alias = "proxy_set_header_map_pairs")]
    #[doc(alias = "setRequestHeaderPairs")]
    #[doc(alias = "setResponseHeaderPairs")]
    #[doc(alias = "setRequestTrailerPairs")]
    #[doc(alias = "setResponseTrailerPairs")]
    pub fn set_pairs<N, V>(&mut self, pairs: impl IntoIterator<Item = (N, V)>) -> Result<()>
    where
        N: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        let mut builder = pairs::Builder::new();
        let mut content_length = ContentLength::Removed;
        let mut singles = Singles::default();
        for (name, value) in pairs {
            let (name, value) = (name.as_ref(), value.as_ref());
            check_field_of(self.map, name, value).map_err(invalid)?;
            singles.check(self.map, name).map_err(invalid)?;
            builder.push(name, value).map_err(|_| {
                Error::refused(
                    ErrorKind::TooLarge,
                    "more header pairs than hosts accept (1,024 pairs, 1 MiB): nothing was changed",
                )
            })?;
            if is_content_length(name) {
                content_length = ContentLength::Kept;
            }
        }
        sys::proxy_set_header_map_pairs(self.map.raw(), &builder.finish())
            .map_err(|status| Error::host("proxy_set_header_map_pairs", status))?;
        self.content_length = content_length;
        Ok(())
    }

    /// What has to hold before a field is added or replaced.
    #[inline]
    fn edit<'a>(&mut self, name: &'a [u8], value: &'a [u8]) -> Result<(&'a [u8], &'a [u8])> {
        check_field_of(self.map, name, value).map_err(invalid)?;
        if is_content_length(name) {
            self.content_length = ContentLength::Kept;
        }
        Ok((name, value))
    }
}

#[cold]
fn invalid(why: &'static str) -> Error {
    Error::refused(ErrorKind::InvalidInput, why)
}

#[inline]
fn is_content_length(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"content-length")
}
