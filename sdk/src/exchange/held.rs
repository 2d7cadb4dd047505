//! Headers that are paused until the whole body is complete.

use crate::abi::map_type::MapType;
use crate::abi::status::Status;
use crate::callout::timer::Timer;
use crate::current::{self, Callback};
use crate::engine::declared::{self, not_exported};
use crate::engine::edit::edit;
use crate::engine::message_state::Facts;
use crate::engine::point::{Point, Points};
use crate::error::kind::ErrorKind;
use crate::error::{Error, Result};
use crate::exchange::stage::{Stage, Wanted, too_large, tunnel};
use crate::host::stream_info;
use crate::http::body::Body;
use crate::sys;
use core::future::poll_fn;
use core::ops::Deref;
use core::pin::pin;
use core::task::Poll;
use core::time::Duration;
use std::cell::Cell;

/// How often the SDK checks whether a part of the body has arrived.
const LOOK: Duration = Duration::from_millis(500);
/// The number of checks after which bytes that the host has, but has not passed, are given up.
const LOOKS_AT_BYTES: u32 = 2;
/// The number of checks without any byte of a request's body after which it is given up: half a
/// minute.
const LOOKS_AT_REQUEST: u32 = 60;
/// The same for a response, for which hosts do not report the arrived bytes: five seconds.
const LOOKS_AT_RESPONSE: u32 = 10;

thread_local! {
    /// The root contexts whose host has passed a body while the headers were paused: it will do so
    /// again.
    static GIVES: Cell<Vec<u32>> = const { Cell::new(Vec::new()) };
}

#[inline]
fn gives(root: u32) -> bool {
    GIVES.with(|cell| edit(cell, |roots| roots.contains(&root)))
}

#[inline]
fn note_gives(root: u32) {
    if !gives(root) {
        GIVES.with(|cell| edit(cell, |roots| roots.push(root)));
    }
}

/// Pauses the available headers until the whole body is complete, and returns its length.
#[inline]
pub(super) async fn held(stage: &Stage, headers: Point, body: Point, limit: usize) -> Result<usize> {
    stage.ask(headers)?;
    Stage::declared(body)?;
    let (message, reading) = (stage.message(body), stage.reading(body));
    if reading.with_headers.get() && message.has(Facts::ENDED) {
        // They were returned before.
        return Ok(message.size.get());
    }
    // An upgrade has no body: the bytes that follow belong to the other protocol, and arrive
    // only after the response.
    let upgrade = if headers.is_request() { upgrades() } else { Ok(false) };
    if !headers.is_request() && stage.is_tunnel(status) {
        return Err(tunnel());
    }
    let is_bodiless = message.has(Facts::BODILESS);
    if !is_bodiless && matches!(upgrade, Ok(true)) {
        refuse_announced_body()?;
    }
    if is_bodiless || matches!(upgrade, Ok(true)) {
        reading.with_headers.set(true);
        stage.note_asked(body);
        return Ok(0);
    }
    if !declared::is_declared(Points::TIMERS) {
        return Err(declared::undeclared(not_exported!("timers")));
    }
    // Only the result of this callback decides about the body.
    if ![Callback::REQUEST_HEADERS, Callback::RESPONSE_HEADERS].contains(&current::callback()) {
        return Err(held_already());
    }
    let root = current::root_id();
    let mut waits = pin!(patience(body, gives(root)));
    poll_fn(|context| {
        let here = stage.here();
        if here == headers {
            let _: Poll<()> = stage.stay(Wanted::Whole(headers));
            return waits.as_mut().poll(context).map(Err);
        }
        let has_ended = message.has(Facts::ENDED);
        if here > body && !has_ended {
            return Poll::Ready(Err(stage.missed(body)));
        }
        note_gives(root);
        reading.with_headers.set(true);
        stage.note_asked(body);
        let size = message.size.get();
        if size > limit {
            return Poll::Ready(Err(too_large(body)));
        }
        if has_ended {
            reading.fresh.set(false);
            return Poll::Ready(Ok(size));
        }
        if size == 0 && upgrade.is_err() {
            // If the host cannot report whether this is an upgrade, the body begins as for one.
            reading.told_empty.set(true);
            return Poll::Ready(Ok(0));
        }
        stage.stay(Wanted::Whole(body))
    })
    .await
}

/// Waits as long as the body can still arrive, and returns the reason when it cannot.
#[inline]
async fn patience(body: Point, gives: bool) -> Error {
    if gives {
        return core::future::pending().await;
    }
    let arrived = || if body.is_request() { stream_info::request().total_size() } else { Ok(None) };
    let before = arrived().ok().flatten();
    let looks = if body.is_request() { LOOKS_AT_REQUEST } else { LOOKS_AT_RESPONSE };
    let mut at_bytes = 0;
    for _ in 0..looks {
        if let Err(refusal) = Timer::after(LOOK).await {
            return refusal;
        }
        at_bytes += u32::from(arrived().ok().flatten() > before);
        if at_bytes >= LOOKS_AT_BYTES {
            return not_given();
        }
    }
    none_came()
}

/// Returns the status of the response whose headers are available.
#[inline]
fn status() -> Option<u16> {
    let status = sys::proxy_get_header_map_value(MapType::RESPONSE_HEADERS.raw(), b":status").ok()?;
    core::str::from_utf8(&status).ok()?.parse().ok()
}

/// Records whether the request whose headers are available asks for a tunnel.
#[cold]
#[inline(never)]
pub(super) fn note_tunnel(stage: &Stage) {
    let request = stage.message(Point::RequestHeaders);
    if has("upgrade", None) == Ok(true) {
        request.note(Facts::UPGRADE);
    }
    if has(":method", Some(b"CONNECT")) == Ok(true) {
        request.note(Facts::CONNECT);
    }
}

/// Returns whether the request whose headers are available asks for a tunnel. Fails if the host
/// cannot report it.
#[inline]
fn upgrades() -> Result<bool, Status> {
    Ok(has("upgrade", None)? || has(":method", Some(b"CONNECT"))?)
}

/// Returns whether the request has this header, with this value.
fn has(name: &str, expected: Option<&[u8]>) -> Result<bool, Status> {
    match sys::proxy_get_header_map_value(MapType::REQUEST_HEADERS.raw(), name.as_bytes()) {
        Ok(value) => Ok(expected.is_none_or(|expected| value == expected)),
        Err(Status::NOT_FOUND) => Ok(false),
        Err(status) => Err(status),
    }
}

/// An upstream that declines the upgrade reads the next bytes as the announced body, although the
/// filter was given an empty one.
#[cold]
fn refuse_announced_body() -> Result<()> {
    match sys::proxy_get_header_map_value(MapType::REQUEST_HEADERS.raw(), b"content-length") {
        Ok(length) if length != b"0" => Err(Error::deserving(
            400,
            ErrorKind::Malformed,
            "the request asks for an upgrade and announces a body: it can have only one of them",
        )),
        Ok(_) | Err(Status::NOT_FOUND) => Ok(()),
        Err(status) => Err(Error::host("proxy_get_header_map_value", status)),
    }
}

/// The body of a message whose headers are still paused. Returned by
/// [`Exchange::request_headers_with_body`](crate::Exchange::request_headers_with_body) and
/// [`response_headers_with_body`](crate::Exchange::response_headers_with_body).
///
/// Unlike [`Body`], an edit that changes the length removes `content-length` from the headers.
#[derive(Debug)]
pub struct HeldBody<'a> {
    body: &'a mut Body,
    headers: MapType,
}

impl<'a> HeldBody<'a> {
    #[inline]
    pub(super) fn new(point: Point, body: &'a mut Body) -> Self {
        Self { body, headers: if point.is_request() { MapType::REQUEST_HEADERS } else { MapType::RESPONSE_HEADERS } }
    }

    /// As [`Body::replace`].
    ///
    /// # Errors
    /// [`WrongPhase`](ErrorKind::WrongPhase) if the message has no body: no host can
    /// add one.
    pub fn replace(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        let bytes = bytes.as_ref();
        self.permit(bytes.len() == self.len())?;
        self.body.replace(bytes)
    }

    /// As [`Body::prepend`].
    ///
    /// # Errors
    /// As [`replace`](Self::replace).
    pub fn prepend(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        let bytes = bytes.as_ref();
        self.permit(bytes.is_empty())?;
        self.body.prepend(bytes)
    }

    /// As [`Body::append`].
    ///
    /// # Errors
    /// As [`replace`](Self::replace).
    pub fn append(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        let bytes = bytes.as_ref();
        self.permit(bytes.is_empty())?;
        self.body.append(bytes)
    }

    #[inline]
    fn permit(&mut self, same_length: bool) -> Result<()> {
        if !same_length && self.body.has_announced_length() {
            sys::proxy_remove_header_map_value(self.headers.raw(), b"content-length")
                .map_err(|status| Error::host("proxy_remove_header_map_value", status))?;
            self.body.allow_any_length();
        }
        Ok(())
    }
}

impl Deref for HeldBody<'_> {
    type Target = Body;

    #[inline]
    fn deref(&self) -> &Body {
        self.body
    }
}

#[cold]
fn held_already() -> Error {
    Error::refused(
        ErrorKind::WrongPhase,
        "the headers are paused already, and the body stays behind them: await both before anything else that pauses the stream",
    )
}

#[cold]
fn not_given() -> Error {
    Error::refused(
        ErrorKind::WrongPhase,
        "the host does not give the body while the headers are held: set `allow_on_headers_stop_iteration: true` in the plugin's \
         configuration",
    )
}

#[cold]
fn none_came() -> Error {
    Error::refused(
        ErrorKind::Timeout,
        "no part of the body has come while the headers are held: if `allow_on_headers_stop_iteration: true` is not in the plugin's \
         configuration, none ever does",
    )
}
