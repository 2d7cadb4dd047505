//! Small filters, each with a bug that its configuration switches on: `{"mutant": true}`. The test
//! `mutations.rs` has the list of the bugs, and of the tools that find them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "these are the bugs")]

use proxy_filter::metric::CounterVec;
use proxy_filter::prelude::*;
use proxy_filter::{callout::HttpCallResponse, log, shared_data, sys};
use serde::Deserialize;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// The configuration.
#[derive(Deserialize)]
struct Mode {
    /// Whether the filter has its bug.
    mutant: bool,
}

/// The stream of a filter, with the fields that are its state.
macro_rules! stream {
    ($($name:ident { $($field:ident: $type:ty),* })*) => { $(
        struct $name {
            mutant: bool,
            $($field: $type,)*
        }

        impl From<&Mode> for $name {
            fn from(mode: &Mode) -> Self {
                Self { mutant: mode.mutant, $($field: Default::default(),)* }
            }
        }
    )* };
}

stream! {
    TenantName {}
    LogPath {}
    LogStatus {}
    ContentType {}
    FirstByte {}
    Shout {}
    Length {}
    Mask { tail: Vec<u8> }
    Scan {}
    JsonOnly {}
    Role {}
    StripInternal {}
    Rebuild {}
    CopyAll {}
    Token {}
    Deny {}
    Resume {}
    EarlyResume {}
    LateReply {}
    TwoReplies {}
    Call {}
    ForgetResume {}
    Timeout {}
    Verdict {}
    Users {}
    Seen {}
    PerPath {}
    Events {}
    Errors {}
    LastUser { user: Vec<u8> }
}

fn denied() -> LocalReply {
    LocalReply::new(403).body("denied\n")
}

// Values that are not what the author thought of.

#[proxy_filter::filter(config = Mode, root_id = "tenant-name")]
impl Context for TenantName {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        if let Some(tenant) = request.get("x-tenant")? {
            let name = if self.mutant {
                tenant.to_str().unwrap().to_owned()
            } else {
                String::from_utf8_lossy(tenant.as_bytes()).into_owned()
            };
            request.replace("x-tenant-name", name.to_lowercase())?;
        }
        Ok(FilterHeadersStatus::Continue)
    }
}

#[proxy_filter::filter(config = Mode, root_id = "log-path")]
impl Context for LogPath {
    fn on_log(&mut self, log: &LogContext) -> Result<()> {
        let path = log.request_headers().get(":path")?;
        let path = if self.mutant { path.unwrap() } else { path.unwrap_or_default() };
        log::info!("{}", escaped(&path));
        Ok(())
    }
}

#[proxy_filter::filter(config = Mode, root_id = "log-status")]
impl Context for LogStatus {
    fn on_log(&mut self, log: &LogContext) -> Result<()> {
        let status = log.response_headers().get(":status")?;
        let status = if self.mutant { status.unwrap() } else { status.unwrap_or_default() };
        log::info!("{}", escaped(&status));
        Ok(())
    }
}

#[proxy_filter::filter(config = Mode, root_id = "content-type")]
impl Context for ContentType {
    fn on_response_headers(&mut self, response: &mut ResponseHeaders, _: bool) -> Result<FilterHeadersStatus> {
        let media = response.get("content-type")?;
        let media = if self.mutant { media.unwrap() } else { media.unwrap_or_default() };
        response.replace("x-is-text", media.starts_with(b"text/").to_string())?;
        Ok(FilterHeadersStatus::Continue)
    }
}

// Bodies.

#[proxy_filter::filter(config = Mode, root_id = "first-byte")]
impl Context for FirstByte {
    fn on_request_body(&mut self, body: &mut RequestBody, end_of_stream: bool) -> Result<FilterDataStatus> {
        let bytes = body.to_bytes()?;
        let is_array = if self.mutant { bytes[0] == b'[' } else { bytes.first() == Some(&b'[') };
        if is_array {
            return body.reply(denied());
        }
        Ok(if end_of_stream { FilterDataStatus::Continue } else { FilterDataStatus::StopIterationAndBuffer })
    }
}

#[proxy_filter::filter(config = Mode, root_id = "shout")]
impl Context for Shout {
    fn on_response_headers(&mut self, response: &mut ResponseHeaders, _: bool) -> Result<FilterHeadersStatus> {
        if self.mutant {
            response.remove("content-length")?;
        } else {
            response.allow_body_edits()?;
        }
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_response_body(&mut self, body: &mut ResponseBody, _: bool) -> Result<FilterDataStatus> {
        if !body.is_empty() {
            let bytes = body.to_bytes()?;
            body.replace(bytes.to_ascii_uppercase())?;
        }
        Ok(FilterDataStatus::Continue)
    }

    fn on_response_trailers(&mut self, trailers: &mut ResponseTrailers) -> Result<FilterTrailersStatus> {
        if !self.mutant {
            trailers.allow_body_edits()?;
        }
        Ok(FilterTrailersStatus::Continue)
    }
}

#[proxy_filter::filter(config = Mode, root_id = "length")]
impl Context for Length {
    fn on_response_headers(&mut self, response: &mut ResponseHeaders, _: bool) -> Result<FilterHeadersStatus> {
        if !self.mutant {
            response.allow_body_edits()?;
        }
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_response_body(&mut self, body: &mut ResponseBody, end_of_stream: bool) -> Result<FilterDataStatus> {
        if !end_of_stream {
            return Ok(FilterDataStatus::StopIterationAndBuffer);
        }
        if !body.is_empty() {
            body.append("<!-- checked -->")?;
        }
        Ok(FilterDataStatus::Continue)
    }

    fn on_response_trailers(&mut self, trailers: &mut ResponseTrailers) -> Result<FilterTrailersStatus> {
        trailers.allow_body_edits()?;
        Ok(FilterTrailersStatus::Continue)
    }
}

/// Hides what a text of two chunks may be, and so keeps the last bytes of each.
#[proxy_filter::filter(config = Mode, root_id = "mask")]
impl Context for Mask {
    fn on_response_headers(&mut self, response: &mut ResponseHeaders, _: bool) -> Result<FilterHeadersStatus> {
        response.allow_body_edits()?;
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_response_body(&mut self, body: &mut ResponseBody, end_of_stream: bool) -> Result<FilterDataStatus> {
        const SECRET: &str = "secret";
        if !self.mutant {
            if !end_of_stream {
                return Ok(FilterDataStatus::StopIterationAndBuffer);
            }
            let text = String::from_utf8_lossy(&body.to_bytes()?).replace(SECRET, "******");
            return if body.is_empty() { Ok(()) } else { body.replace(text) }.map(|()| FilterDataStatus::Continue);
        }
        self.tail.extend(body.to_bytes()?);
        let text = String::from_utf8_lossy(&self.tail).replace(SECRET, "******").into_bytes();
        let kept = if end_of_stream { 0 } else { text.len().min(SECRET.len() - 1) };
        let (forwarded, tail) = text.split_at(text.len() - kept);
        if !forwarded.is_empty() || !body.is_empty() {
            body.replace(forwarded)?;
        }
        self.tail = tail.to_vec();
        Ok(FilterDataStatus::Continue)
    }

    fn on_response_trailers(&mut self, trailers: &mut ResponseTrailers) -> Result<FilterTrailersStatus> {
        trailers.allow_body_edits()?;
        Ok(FilterTrailersStatus::Continue)
    }
}

#[proxy_filter::filter(config = Mode, root_id = "scan")]
impl Context for Scan {
    fn on_request_body(&mut self, body: &mut RequestBody, end_of_stream: bool) -> Result<FilterDataStatus> {
        if body.to_bytes()?.windows(10).any(|window| window == b"drop table") {
            return body.reply(denied());
        }
        let paused = !self.mutant && !end_of_stream;
        Ok(if paused { FilterDataStatus::StopIterationAndBuffer } else { FilterDataStatus::Continue })
    }
}

#[proxy_filter::filter(config = Mode, root_id = "json-only")]
impl Context for JsonOnly {
    fn on_request_body(&mut self, body: &mut RequestBody, end_of_stream: bool) -> Result<FilterDataStatus> {
        if !self.mutant && !end_of_stream {
            return Ok(FilterDataStatus::StopIterationAndBuffer);
        }
        if !body.is_empty() && serde_json::from_slice::<serde_json::Value>(&body.to_bytes()?).is_err() {
            return body.reply(LocalReply::new(400).body("no JSON\n"));
        }
        Ok(FilterDataStatus::Continue)
    }
}

#[proxy_filter::filter(root_id = "late-body")]
async fn late_body(mut exchange: Exchange<Mode>) -> Result<()> {
    let is_late = exchange.config().mutant;
    let mut length = if is_late { 0 } else { exchange.request_body(1_000_000).await?.len() };
    exchange.response_headers().await?;
    if is_late {
        length = exchange.request_body(1_000_000).await?.len();
    }
    log::debug!("{length} bytes");
    Ok(())
}

// Fields.

#[proxy_filter::filter(config = Mode, root_id = "role")]
impl Context for Role {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        let role = if self.mutant { request.get("x-role")? } else { request.get_single("x-role")? };
        match role {
            Some(role) if role == "admin" => Ok(FilterHeadersStatus::Continue),
            _ => request.reply(denied()),
        }
    }
}

#[proxy_filter::filter(config = Mode, root_id = "strip-internal")]
impl Context for StripInternal {
    fn on_response_headers(&mut self, response: &mut ResponseHeaders, _: bool) -> Result<FilterHeadersStatus> {
        response.remove("x-internal-host")?;
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_response_trailers(&mut self, trailers: &mut ResponseTrailers) -> Result<FilterTrailersStatus> {
        if !self.mutant {
            trailers.remove("x-internal-host")?;
        }
        Ok(FilterTrailersStatus::Continue)
    }
}

#[proxy_filter::filter(config = Mode, root_id = "rebuild")]
impl Context for Rebuild {
    fn on_response_headers(&mut self, response: &mut ResponseHeaders, _: bool) -> Result<FilterHeadersStatus> {
        let pairs = response.pairs()?;
        let fields = pairs.iter().filter(|(name, _)| *name != b"server");
        if self.mutant {
            response.set_pairs(fields.collect::<BTreeMap<_, _>>())?;
        } else {
            response.set_pairs(fields)?;
        }
        Ok(FilterHeadersStatus::Continue)
    }
}

// Replies and decisions.

#[proxy_filter::filter(config = Mode, root_id = "token")]
impl Context for Token {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        let is_missing = if self.mutant {
            request.get("x-token").is_ok_and(|token| token.is_none())
        } else {
            request.get("x-token")?.is_none()
        };
        if is_missing { request.reply(denied()) } else { Ok(FilterHeadersStatus::Continue) }
    }
}

#[proxy_filter::filter(config = Mode, root_id = "deny")]
impl Context for Deny {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        if !self.mutant {
            return request.reply(denied());
        }
        let _ = sys::proxy_send_local_response(403, b"", b"denied\n", b"", -1);
        Ok(FilterHeadersStatus::StopIteration)
    }
}

#[proxy_filter::filter(config = Mode, root_id = "two-replies")]
impl Context for TwoReplies {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        if request.get("x-token")?.is_none() {
            if !self.mutant {
                return request.reply(LocalReply::new(401));
            }
            let _ = sys::proxy_send_local_response(401, b"", b"", b"", -1);
        }
        if request.get("x-role")?.is_none() {
            if !self.mutant {
                return request.reply(denied());
            }
            let _ = sys::proxy_send_local_response(403, b"", b"", b"", -1);
        }
        Ok(FilterHeadersStatus::Pause)
    }
}

#[proxy_filter::filter(config = Mode, root_id = "late-reply")]
impl Context for LateReply {
    fn on_log(&mut self, log: &LogContext) -> Result<()> {
        let is_html = log.response_headers().get("content-type")?.is_some_and(|media| media.starts_with(b"text/"));
        if self.mutant && is_html {
            let _ = sys::proxy_send_local_response(502, b"", b"", b"", -1);
        }
        Ok(())
    }
}

#[proxy_filter::filter(config = Mode, root_id = "resume")]
impl Context for Resume {
    fn on_response_headers(&mut self, response: &mut ResponseHeaders, _: bool) -> Result<FilterHeadersStatus> {
        response.replace("x-checked", "1")?;
        if self.mutant {
            let _ = sys::proxy_continue_stream(1);
        }
        Ok(FilterHeadersStatus::Continue)
    }
}

#[proxy_filter::filter(config = Mode, root_id = "early-resume")]
impl Context for EarlyResume {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        request.replace("x-checked", "1")?;
        if self.mutant {
            let _ = sys::proxy_continue_stream(1);
        }
        Ok(FilterHeadersStatus::Continue)
    }
}

// Callouts.

#[proxy_filter::filter(config = Mode, root_id = "copy-all", http_calls)]
impl Context for CopyAll {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        if self.mutant {
            // The request headers.
            let _ = sys::proxy_get_header_map_pairs(0)
                .and_then(|fields| sys::proxy_http_call(b"authz", &fields, b"", b"", 1_000));
        } else {
            let call = HttpCall::get("authz", "/").headers_from(&request.pairs()?).timeout(Duration::from_secs(1));
            call.send(self, |_, _| Ok(()))?;
        }
        Ok(FilterHeadersStatus::Continue)
    }
}

#[proxy_filter::filter(config = Mode, root_id = "call", http_calls)]
impl Context for Call {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        let call = HttpCall::get("authz", "/").timeout(Duration::from_secs(1));
        request.pause_for(self, call, |stream, request, response| {
            let status = response.map_or(503, HttpCallResponse::status);
            let is_denied = if stream.mutant { status == 403 } else { status != 200 };
            if is_denied { request.reply(denied()) } else { Ok(FilterHeadersStatus::Continue) }
        })
    }
}

#[proxy_filter::filter(config = Mode, root_id = "forget-resume", http_calls)]
impl Context for ForgetResume {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        let call = HttpCall::get("authz", "/").timeout(Duration::from_secs(1));
        request.pause_for(self, call, |stream, request, response| {
            if response.is_ok_and(|response| response.status() == 200) {
                return Ok(FilterHeadersStatus::Continue);
            }
            log::info!("denied");
            if stream.mutant { Ok(FilterHeadersStatus::StopIteration) } else { request.reply(denied()) }
        })
    }
}

#[proxy_filter::filter(config = Mode, root_id = "timeout", http_calls)]
impl Context for Timeout {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        let timeout = if self.mutant { Duration::from_secs(24 * 60 * 60) } else { Duration::from_millis(500) };
        request.pause_for(self, HttpCall::get("authz", "/").timeout(timeout), |_, request, response| match response {
            Ok(response) if response.status() == 200 => Ok(FilterHeadersStatus::Continue),
            _ => request.reply(denied()),
        })
    }
}

#[proxy_filter::filter(config = Mode, root_id = "verdict", http_calls)]
impl Context for Verdict {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        let call = HttpCall::get("authz", "/").timeout(Duration::from_secs(1));
        request.pause_for(self, call, |stream, request, response| {
            let body = response.and_then(HttpCallResponse::outage_for_status).ok();
            let body = body.map(|response| response.body().map(Vec::from)).transpose()?.unwrap_or_default();
            let allowed = serde_json::from_slice::<bool>(&body);
            let is_allowed = if stream.mutant { allowed.unwrap() } else { allowed.unwrap_or_default() };
            if is_allowed { Ok(FilterHeadersStatus::Continue) } else { request.reply(denied()) }
        })
    }
}

// What stays.

thread_local! {
    static USERS: RefCell<VecDeque<Vec<u8>>> = const { RefCell::new(VecDeque::new()) };
    static LAST_USER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

fn user(request: &RequestHeaders) -> Result<Vec<u8>> {
    Ok(request.get("x-user")?.unwrap_or_default().into_bytes())
}

#[proxy_filter::filter(config = Mode, root_id = "users")]
impl Context for Users {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        let mut user = user(request)?;
        // With what a service says about the user.
        user.resize(user.len() + 1_000, b'.');
        USERS.with_borrow_mut(|users| {
            users.push_back(user);
            if !self.mutant && users.len() > 50 {
                users.pop_front();
            }
        });
        Ok(FilterHeadersStatus::Continue)
    }
}

#[proxy_filter::filter(config = Mode, root_id = "seen")]
impl Context for Seen {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        let user = user(request)?;
        // The last byte is one of ten.
        let key = if self.mutant { &user[..] } else { user.last_chunk::<1>().map_or(&[][..], |last| last) };
        shared_data::set([b"seen-", key].concat(), "1")?;
        Ok(FilterHeadersStatus::Continue)
    }
}

static PATHS: CounterVec<1> = CounterVec::new("paths", ["path"], 100_000);

#[proxy_filter::filter(config = Mode, root_id = "per-path")]
impl Context for PerPath {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        let user = user(request)?;
        PATHS.increment([if self.mutant { &user[..] } else { b"users" }], 1)?;
        Ok(FilterHeadersStatus::Continue)
    }
}

#[proxy_filter::filter(config = Mode, root_id = "events")]
impl Context for Events {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        let queue = SharedQueue::register("events")?;
        queue.enqueue(user(request)?)?;
        if !self.mutant {
            queue.dequeue()?;
        }
        Ok(FilterHeadersStatus::Continue)
    }
}

#[proxy_filter::filter(root_id = "audit")]
async fn audit(mut exchange: Exchange<Mode>) -> Result<()> {
    let (mutant, spawner) = (exchange.config().mutant, exchange.spawner());
    let user = user(exchange.request_headers().await?)?;
    spawner.spawn(async move {
        let timeout = if mutant { Duration::from_secs(24 * 60 * 60) } else { Duration::from_secs(1) };
        let _ = HttpCall::post("audit", "/").body(user).timeout(timeout).await;
        Ok(())
    });
    Ok(())
}

#[proxy_filter::filter(root_id = "refresh")]
async fn refresh(mut exchange: Exchange<Mode>) -> Result<()> {
    let (mutant, spawner) = (exchange.config().mutant, exchange.spawner());
    let mut user = user(exchange.request_headers().await?)?;
    user.resize(1_000, b'.');
    spawner.spawn(async move {
        loop {
            Timer::after(Duration::from_secs(30)).await?;
            log::debug!("{} is refreshed", escaped(&user));
            if !mutant {
                return Ok(());
            }
        }
    });
    Ok(())
}

#[proxy_filter::filter(config = Mode, root_id = "errors")]
impl Context for Errors {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        if request.get("x-token")?.is_none() {
            if self.mutant {
                log::error!("a request without a token");
            } else {
                log::debug!("a request without a token");
            }
            return request.reply(LocalReply::new(401));
        }
        Ok(FilterHeadersStatus::Continue)
    }
}

#[proxy_filter::filter(config = Mode, root_id = "last-user")]
impl Context for LastUser {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        let user = user(request)?;
        self.user.clone_from(&user);
        LAST_USER.set(user);
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_response_headers(&mut self, response: &mut ResponseHeaders, _: bool) -> Result<FilterHeadersStatus> {
        let user = if self.mutant { LAST_USER.with_borrow(Clone::clone) } else { self.user.clone() };
        response.replace("x-served-for", user)?;
        Ok(FilterHeadersStatus::Continue)
    }
}

proxy_filter::module!(
    TenantName,
    LogPath,
    LogStatus,
    ContentType,
    FirstByte,
    Shout,
    Length,
    Mask,
    Scan,
    JsonOnly,
    LateBody,
    Role,
    StripInternal,
    Rebuild,
    Token,
    Deny,
    TwoReplies,
    LateReply,
    Resume,
    EarlyResume,
    CopyAll,
    Call,
    ForgetResume,
    Timeout,
    Verdict,
    Users,
    Seen,
    PerPath,
    Events,
    Audit,
    Refresh,
    Errors,
    LastUser
);
