//! [`HeaderMap`]: the fields of a message, which the host stores.

use crate::abi::field::{Singles, check_field_of, check_name_of, is_single};
use crate::abi::map_type::MapType;
use crate::abi::pairs;
use crate::abi::status::Status;
use crate::error::kind::ErrorKind;
use crate::error::local_reply::LocalReply;
use crate::error::{Error, Result};
use crate::fields::header_value::{HeaderValue, HeaderValues, Pairs};
use crate::fields::representation::{MediaType, codings};
use crate::sys;

/// The fields of a message. Each read and each edit is one host call.
///
/// Names are compared without regard to case; hosts return them in lower case. Values are bytes,
/// because a client may send anything but CR, LF and NUL; [`to_str`](HeaderValue::to_str) returns
/// text. Pseudo-headers (`:path`, `:status`) are fields like others.
///
/// # What may be written
/// Envoy writes an invalid field unchanged, or later rejects the whole message and tells the client
/// why. The SDK therefore refuses invalid fields with [`InvalidInput`](ErrorKind::InvalidInput)
/// before it calls the host; the map is then unchanged.
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
/// In the body of a function or impl with one of the SDK's attributes, a string literal that can
/// never be a name or a value is a compile error.
///
/// | | Envoy |
/// |---|---|
/// | repeated fields | stay separate; [`get`](Self::get) returns the first, [`get_all`](Self::get_all) all of them, [`get_single`](Self::get_single) fails |
/// | `host` | the same field as `:authority` |
/// | any edit of request headers | selects the route again |
///
/// Source: context API, "Header API"; ABI 0.2.1, "HTTP fields".
#[derive(Debug)]
pub struct HeaderMap {
    map: MapType,
    content_length: ContentLength,
}

/// What is known about the `content-length` of the message of these headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ContentLength {
    /// The field may be present: the body must keep its length.
    Kept,
    /// The filter removed the field: the length of the body may change.
    Removed,
}

impl HeaderMap {
    pub(crate) const fn new(map: MapType) -> Self {
        Self { map, content_length: ContentLength::Kept }
    }

    /// Creates the map of a message whose `content-length` an earlier callback has handled.
    pub(crate) const fn with(map: MapType, content_length: ContentLength) -> Self {
        Self { map, content_length }
    }

    pub(crate) const fn content_length(&self) -> ContentLength {
        self.content_length
    }

    /// Returns the first value of a field, or `None` if the field is missing. An empty value is a
    /// value.
    ///
    /// ```
    /// # use proxy_filter::prelude::*;
    /// fn is_bearer(request: &RequestHeaders) -> Result<bool> {
    ///     Ok(request.get("authorization")?.is_some_and(|value| value.starts_with(b"Bearer ")))
    /// }
    /// ```
    ///
    /// # Errors
    /// [`WrongPhase`](ErrorKind::WrongPhase) if the host no longer has the map, for
    /// example because this callback has resumed the stream. In `on_log`, Envoy does not
    /// distinguish this from a missing field, and the result is `None`.
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

    /// Returns every value of a repeated field, in order. It fetches the whole map once.
    ///
    /// ```
    /// # use proxy_filter::prelude::*;
    /// fn cookies(response: &ResponseHeaders) -> Result<usize> {
    ///     Ok(response
    ///         .get_all("set-cookie")?
    ///         .iter()
    ///         .filter(|value| value.starts_with(b"session="))
    ///         .count())
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

    /// Returns the value of a field that may occur once, or `None` if the field is missing.
    ///
    /// Use it if a decision depends on one value, such as a token, a tenant, a signature or a
    /// version. A client can send a field twice: [`get`](Self::get) then returns the first value,
    /// while the upstream may use the last. It fetches the whole map once.
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
    /// Envoy joins the values of a few well-known fields with a comma before the filter sees them
    /// (`authorization`, `content-type`, `origin`, `x-forwarded-for`). A repeated field of this
    /// kind is one value with a comma in it, which the filter must refuse.
    ///
    /// # Errors
    /// [`Repeated`](ErrorKind::Repeated) if there are several values, even equal ones; the error
    /// carries a reply with status 400. Otherwise as [`pairs`](Self::pairs).
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

    /// Returns all fields in order, pseudo-headers first, in the buffer that the host filled.
    ///
    /// ```
    /// # use proxy_filter::prelude::*;
    /// fn dump(request: &RequestHeaders) -> Result<()> {
    ///     for (name, value) in &request.pairs()? {
    ///         log::info!("{}: {}", escaped(name), escaped(value));
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Malformed`](ErrorKind::Malformed) if the host's bytes are not an encoded map. If the map
    /// does not exist, Envoy returns an empty map, not an error.
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

    /// Adds a field, and keeps existing fields of the same name.
    ///
    /// Envoy joins the values of a few well-known fields (`content-type`, `x-forwarded-for`) with a
    /// comma instead. A message has at most one of each pseudo-header and one `host`: adding
    /// another replaces it.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) for a field that is not valid HTTP, [see
    /// above](Self#what-may-be-written). [`WrongPhase`](ErrorKind::WrongPhase) as for
    /// [`get`](Self::get).
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

    /// Sets a field to exactly this value: repeated fields become one, a missing field is created.
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

    /// Removes all values of a field. A missing field is not an error.
    ///
    /// Removing `content-length` permits the body callback of the same message to change the body's
    /// length.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) if this map cannot have a field of this name,
    /// [`WrongPhase`](ErrorKind::WrongPhase) as for [`get`](Self::get).
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

    /// Replaces the whole map. Fields that are not among the pairs are removed, including
    /// pseudo-headers.
    ///
    /// To find a route, Envoy needs `:path` and its own `x-forwarded-proto`: without them it
    /// responds with 404.
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
    /// [`InvalidInput`](ErrorKind::InvalidInput) as for [`add`](Self::add), and for a repeated
    /// pseudo-header. [`TooLarge`](ErrorKind::TooLarge) above 1,024 pairs or 1 MiB, for which Envoy
    /// would silently delete every header. The map is then unchanged.
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

    /// Checks a field before it is added or replaced.
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

impl HeaderMap {
    /// Returns the media type in `content-type`. `None` if the field is missing or names several.
    ///
    /// ```
    /// # use proxy_filter::prelude::*;
    /// fn is_json(response: &ResponseHeaders) -> Result<bool> {
    ///     Ok(response.media_type()?.is_some_and(|media| media.is_json()))
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn media_type(&self) -> Result<Option<MediaType>> {
        Ok(self.get("content-type")?.and_then(|value| MediaType::parse(&value)))
    }

    /// Returns the codings of the body in the order in which they were applied, in lower case:
    /// `gzip`, `br`. The list is empty if the body is not encoded.
    ///
    /// All values of `content-encoding` are read. `identity` is not a coding.
    ///
    /// ```
    /// # use proxy_filter::prelude::*;
    /// fn is_readable(response: &ResponseHeaders) -> Result<bool> {
    ///     Ok(response.content_codings()?.is_empty())
    /// }
    /// ```
    ///
    /// To receive bodies without a coding, set `accept-encoding: identity` in the request.
    ///
    /// # Errors
    /// As [`pairs`](Self::pairs).
    ///
    /// Source: RFC 9110, section 8.4.
    pub fn content_codings(&self) -> Result<Vec<String>> {
        Ok(codings(self.get_all("content-encoding")?.iter()))
    }

    /// Prepares the headers for an edit of the body: removes or weakens the fields that the edit
    /// makes wrong.
    ///
    /// - Removes `content-length`, which permits edits that change the length.
    /// - Removes `content-md5`, `digest`, `content-digest` and `repr-digest`; call it for the
    ///   trailers as well if they may have a digest.
    /// - Makes a strong `etag` weak, so that no cache or range request mixes bytes of the original
    ///   and the edited body. An `etag` that is not valid is removed.
    ///
    /// ```
    /// use proxy_filter::prelude::*;
    ///
    /// #[proxy_filter::filter]
    /// async fn hide(mut exchange: Exchange) -> Result<()> {
    ///     exchange.response_headers().await?.allow_body_edits()?;
    ///     let body = exchange.response_body(64 * 1024).await?;
    ///     body.replace("nothing to see\n")
    /// }
    /// # fn main() {}
    /// ```
    ///
    /// A response to `HEAD` and a 304 have no body, but their headers describe the body of the
    /// `GET`: prepare them in the same way.
    ///
    /// # Errors
    /// As [`remove`](Self::remove).
    ///
    /// Source: RFC 9110, section 8.8.3; RFC 9530 for the digests.
    pub fn allow_body_edits(&mut self) -> Result<()> {
        for name in ["content-length", "content-md5", "digest", "content-digest", "repr-digest"] {
            self.remove(name)?;
        }
        match self.get("etag")? {
            Some(etag) if etag.starts_with(b"W/\"") => Ok(()),
            Some(etag) if etag.starts_with(b"\"") => self.replace("etag", [b"W/".as_slice(), &etag].concat()),
            Some(_) => self.remove("etag"),
            None => Ok(()),
        }
    }
}
