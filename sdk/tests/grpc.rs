//! gRPC calls and streams, driven export by export, as hosts other than the embedded one may do it.
#![cfg(feature = "grpc")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "this is a test")]

use proxy_filter::prelude::*;
use proxy_filter::sys::{self, HostFunctions};
use proxy_filter::{
    Status,
    grpc::{GrpcBytes, GrpcEvent, GrpcMessage, GrpcSender, GrpcStream},
};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

thread_local! {
    static RAN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static OPEN: RefCell<Option<GrpcSender<GrpcBytes>>> = const { RefCell::new(None) };
    static HANDLERS: Cell<u32> = const { Cell::new(0) };
}

fn ran(what: impl Into<String>) {
    RAN.with(|ran| ran.borrow_mut().push(what.into()));
}

fn all_that_ran() -> Vec<String> {
    RAN.take()
}

/// A message of another library: bytes that may not be `!`.
#[derive(Debug)]
struct Text(String);

impl GrpcMessage for Text {
    fn to_wire(&self) -> Vec<u8> {
        self.0.clone().into_bytes()
    }

    fn from_wire(bytes: Vec<u8>) -> Result<Self> {
        if bytes == b"!" { Err(Error::other("not a text")) } else { Ok(Self(String::from_utf8(bytes)?)) }
    }
}

/// Counts the handlers that are not dropped.
struct Noted;

impl Noted {
    fn new() -> Self {
        HANDLERS.set(HANDLERS.get() + 1);
        Self
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        HANDLERS.set(HANDLERS.get() - 1);
    }
}

#[derive(Default)]
struct Root;

#[proxy_filter::root(grpc_calls, grpc_streams)]
impl RootContext for Root {
    type Context = Stream;

    fn on_configure(&mut self, _configuration: Configuration) -> Result<()> {
        call().send(self, |_, answer| {
            ran(format!("root: {}", answer?.0));
            Ok(())
        })?;
        open(self);
        Ok(())
    }

    fn new_context(&self) -> Stream {
        Stream
    }
}

struct Stream;

fn call() -> GrpcCall<Text> {
    GrpcCall::new("c", "pkg.Service", "Method", &Text("question".into())).metadata("x-a", "b")
}

fn told<C>(_: &mut C, event: GrpcEvent<'_, Text>) -> Result<()> {
    ran(match event {
        GrpcEvent::InitialMetadata(metadata) => format!("initial {:?}", metadata.get("x-kind")?),
        GrpcEvent::Message(message) => format!("message {}", message.0),
        GrpcEvent::TrailingMetadata(metadata) => format!("trailing {:?}", metadata.get_binary("x-kind")?),
        GrpcEvent::Closed(Ok(())) => "closed".into(),
        GrpcEvent::Closed(Err(why)) => format!("closed: {why}"),
    });
    Ok(())
}

fn open<C: proxy_filter::callout::Declares<GrpcStream<GrpcBytes, Text>>>(context: &mut C) {
    let noted = Noted::new();
    let opened = GrpcStream::<GrpcBytes, Text>::new("c", "pkg.Service", "Talk").metadata("x-a-bin", b"\0").open(
        context,
        move |context, event| {
            let _noted = &noted;
            match event {
                GrpcEvent::Message(message) if message.0 == "cancel" => OPEN.set(None),
                GrpcEvent::Message(message) if message.0 == "nested" => {
                    export("proxy_on_grpc_receive", &[1, 6, 1]);
                    ran("nested");
                }
                GrpcEvent::Message(message) if message.0 == "fail" => return Err(Error::other("the handler failed")),
                event => return told(context, event),
            }
            Ok(())
        },
    );
    match opened {
        Ok(stream) => OPEN.set(Some(stream)),
        Err(why) => ran(format!("not opened: {why}")),
    }
}

#[proxy_filter::context(grpc_calls, grpc_streams)]
impl Context for Stream {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, streams: bool) -> Result<FilterHeadersStatus> {
        if streams {
            open(self);
            return Ok(FilterHeadersStatus::Continue);
        }
        for number in 0..2 {
            let _held = request.pause_for(self, call(), move |_, _, answer| {
                ran(match answer {
                    Ok(answer) => format!("call {number}: {}", answer.0),
                    Err(why) => format!("call {number}: {:?} {why}", why.code()),
                });
                Ok(FilterHeadersStatus::Continue)
            })?;
        }
        Ok(FilterHeadersStatus::Pause)
    }
}

/// A host that counts tokens as Envoy does and records its calls.
#[derive(Default)]
struct Fake {
    calls: Cell<u32>,
    streams: Cell<u32>,
    refuses: Cell<Option<Status>>,
    /// Reports the failure of a stream during the call that opens it.
    fails_inside: Cell<bool>,
    asked: RefCell<Vec<String>>,
    message: RefCell<Vec<u8>>,
    status: RefCell<Vec<u8>>,
}

/// `GrpcService { envoy_grpc { cluster_name: "c" } }`.
const SERVICE: &[u8] = b"\x0a\x03\x0a\x01c";

impl Fake {
    fn note(&self, what: String) {
        self.asked.borrow_mut().push(what);
    }

    fn next(&self, counter: &Cell<u32>, kind: u32) -> Result<u32, Status> {
        counter.set(counter.get() + 4);
        self.refuses.get().map_or(Ok(counter.get() + kind), Err)
    }
}

impl HostFunctions for Fake {
    fn proxy_grpc_call(
        &self,
        upstream: &[u8],
        service: &[u8],
        method: &[u8],
        metadata: &[u8],
        message: &[u8],
        timeout: u32,
    ) -> Result<u32, Status> {
        assert_eq!((upstream, service, method), (SERVICE, &b"pkg.Service"[..], &b"Method"[..]));
        assert_eq!((metadata, message), (&b"\x01\0\0\0\x03\0\0\0\x01\0\0\0x-a\0b\0"[..], &b"question"[..]));
        assert_eq!(timeout, 5000);
        self.next(&self.calls, 1)
    }

    fn proxy_grpc_stream(&self, upstream: &[u8], service: &[u8], method: &[u8], _: &[u8]) -> Result<u32, Status> {
        assert_eq!((upstream, service, method), (SERVICE, &b"pkg.Service"[..], &b"Talk"[..]));
        let token = self.next(&self.streams, 2);
        if self.fails_inside.get() {
            let token = self.streams.get() + 2;
            export("proxy_on_grpc_receive_initial_metadata", &[1, token, 0]);
            export("proxy_on_grpc_receive_trailing_metadata", &[1, token, 4]);
        }
        token
    }

    fn proxy_grpc_send(&self, token: u32, message: &[u8], end_of_stream: u32) -> Result<(), Status> {
        self.note(format!("send {token} {} {end_of_stream}", String::from_utf8_lossy(message)));
        Ok(())
    }

    fn proxy_grpc_cancel(&self, token: u32) -> Result<(), Status> {
        self.note(format!("cancel {token}"));
        Ok(())
    }

    fn proxy_grpc_close(&self, token: u32) -> Result<(), Status> {
        self.note(format!("close {token}"));
        Ok(())
    }

    fn proxy_get_status(&self) -> Result<(u32, Vec<u8>), Status> {
        Ok((0, self.status.borrow().clone()))
    }

    fn proxy_get_buffer_bytes(&self, buffer: u32, start: u32, size: u32) -> Result<Vec<u8>, Status> {
        assert_eq!((buffer, start, size as usize), (5, 0, self.message.borrow().len()));
        Ok(self.message.borrow().clone())
    }

    fn proxy_get_header_map_value(&self, map: u32, _: &[u8]) -> Result<Vec<u8>, Status> {
        match map {
            4 => Ok(b"initial".to_vec()),
            5 => Ok(b"AAE=,AA==".to_vec()),
            _ => Err(Status::BAD_ARGUMENT),
        }
    }

    fn proxy_set_effective_context(&self, id: u32) -> Result<(), Status> {
        if id == 9 { Err(Status::BAD_ARGUMENT) } else { Ok(()) }
    }

    fn proxy_continue_stream(&self, stream: u32) -> Result<(), Status> {
        self.note(format!("continue {stream}"));
        Ok(())
    }

    fn proxy_log(&self, _: u32, message: &[u8]) -> Result<(), Status> {
        self.note(String::from_utf8_lossy(message).into_owned());
        Ok(())
    }
}

fn export(name: &str, arguments: &[u32]) -> u32 {
    let module = __proxy_filter::module();
    let (_, export) = module.exports.iter().find(|(known, _)| *known == name).unwrap();
    let mut padded = [0; 5];
    padded[..arguments.len()].copy_from_slice(arguments);
    export(padded)
}

fn start() -> Rc<Fake> {
    let fake = Rc::new(Fake::default());
    sys::install(Some(Rc::<Fake>::clone(&fake)));
    export("proxy_on_context_create", &[1, 0]);
    fake
}

/// A stream that makes two calls, or opens a stream.
fn stream(id: u32, opens: bool) {
    export("proxy_on_context_create", &[id, 1]);
    export("proxy_on_request_headers", &[id, 0, u32::from(opens)]);
}

fn receive(fake: &Fake, token: u32, message: &str) {
    *fake.message.borrow_mut() = message.as_bytes().to_vec();
    export("proxy_on_grpc_receive", &[1, token, u32::try_from(message.len()).unwrap()]);
}

fn close(fake: &Fake, token: u32, code: u32, message: &str) {
    *fake.status.borrow_mut() = message.as_bytes().to_vec();
    export("proxy_on_grpc_close", &[1, token, code]);
}

#[test]
fn a_call_completes_once_and_the_first_completion_that_continues_resumes_the_stream() {
    let fake = start();
    stream(2, false);
    receive(&fake, 9, "yes");
    receive(&fake, 9, "again");
    receive(&fake, 5, "late");
    assert_eq!(all_that_ran(), ["call 1: yes"]);
    assert_eq!(fake.asked.take(), ["continue 0"]);
    for token in [0, 5, 77] {
        receive(&fake, token, "nobody asked");
        close(&fake, token, 14, "nobody asked");
    }
    assert!(all_that_ran().is_empty());
}

#[test]
fn the_error_of_a_call_without_a_response_has_the_reason() {
    let fake = start();
    for (id, (code, message, expected)) in (2..).zip([
        (7, "not%20you{via_upstream}", "PERMISSION_DENIED (7) the gRPC call failed: PERMISSION_DENIED (7): not you"),
        (99, "via_upstream", "99 the gRPC call failed: 99"),
        (0, "", "OK (0) the gRPC call failed: OK (0)"),
        (
            14,
            "upstream request timeout{response_timeout}",
            "DEADLINE_EXCEEDED (4) the gRPC call failed: no response in time",
        ),
        (14, "\u{e9}{x}", "UNAVAILABLE (14) the gRPC call failed: UNAVAILABLE (14): \u{e9}{x}"),
    ]) {
        stream(id, false);
        close(&fake, fake.calls.get() + 1, code, message);
        assert_eq!(all_that_ran(), [format!("call 1: {expected}")]);
    }
}

#[test]
fn a_response_of_another_type_is_an_error() {
    let fake = start();
    stream(2, false);
    receive(&fake, 5, "!");
    assert_eq!(all_that_ran(), ["call 0: INTERNAL (13) the gRPC call failed: malformed response: not a text"]);
    stream(3, false);
    receive(&fake, 13, "");
    assert_eq!(all_that_ran(), ["call 0: "], "an empty message is a message");
}

#[test]
fn a_call_that_cannot_be_made_completes_at_once() {
    let fake = start();
    for (status, expected) in [
        (Status::INTERNAL_FAILURE, "UNAVAILABLE (14) the gRPC call failed: no such cluster, or no healthy upstream"),
        (
            Status::UNIMPLEMENTED,
            "INTERNAL (13) proxy_grpc_call returned Unimplemented: this host does not have the function",
        ),
    ] {
        fake.refuses.set(Some(status));
        stream(2, false);
        assert_eq!(all_that_ran(), [format!("call 0: {expected}"), format!("call 1: {expected}")]);
        // Envoy reports its end with a token that the module does not know.
        close(&fake, fake.calls.get() + 1, 14, "no healthy upstream{no_healthy_upstream}");
        export("proxy_on_delete", &[2]);
    }
    assert!(all_that_ran().is_empty() && fake.asked.take().is_empty());
}

#[test]
fn the_end_of_a_stream_cancels_its_grpc_calls() {
    let fake = start();
    stream(2, false);
    stream(3, false);
    export("proxy_on_delete", &[2]);
    let mut cancelled = fake.asked.take();
    cancelled.sort();
    assert_eq!(cancelled, ["cancel 5", "cancel 9"]);
    for token in [5, 9, 13] {
        receive(&fake, token, "late");
    }
    assert_eq!(all_that_ran(), ["call 0: late"]);
}

#[test]
fn a_completion_of_a_stream_unknown_to_the_host_is_dropped() {
    let fake = start();
    stream(9, false);
    receive(&fake, 5, "late");
    assert!(all_that_ran().is_empty() && fake.asked.take().is_empty());
}

#[test]
fn a_reused_token_means_the_new_call() {
    let fake = start();
    stream(2, false);
    fake.calls.set(0);
    stream(3, false);
    assert!(fake.asked.take().is_empty(), "the new calls are not cancelled");
    receive(&fake, 5, "new");
    assert_eq!((all_that_ran(), fake.asked.take()), (vec!["call 0: new".to_owned()], vec!["continue 0".to_owned()]));
}

#[test]
fn events_of_a_stream_arrive_in_order_and_its_end_once() {
    let fake = start();
    stream(2, true);
    OPEN.with_borrow(|open| open.as_ref().unwrap().send(&GrpcBytes(b"hello".to_vec()))).unwrap();
    export("proxy_on_grpc_receive_initial_metadata", &[1, 6, 1]);
    receive(&fake, 6, "one");
    receive(&fake, 6, "");
    export("proxy_on_grpc_receive_trailing_metadata", &[1, 6, 1]);
    close(&fake, 6, 5, "gone{via_upstream}");
    close(&fake, 6, 5, "gone{via_upstream}");
    receive(&fake, 6, "late");
    assert_eq!(
        all_that_ran(),
        [
            "initial Some(\"initial\")",
            "message one",
            "message ",
            "trailing Some([0, 1])",
            "closed: the gRPC call failed: NOT_FOUND (5): gone"
        ]
    );
    assert_eq!(HANDLERS.get(), 0);
    let open = OPEN.take().unwrap();
    assert!(open.is_over());
    assert_eq!(open.send(&GrpcBytes::default()).unwrap_err().kind(), ErrorKind::Callout);
    open.close().unwrap();
    drop(open);
    assert_eq!(
        fake.asked.take(),
        ["send 6 hello 0", "close 6"],
        "the host forgets the stream, and nothing is cancelled"
    );
}

#[test]
fn a_half_closed_stream_sends_nothing_and_still_receives() {
    let fake = start();
    stream(2, true);
    OPEN.with_borrow(|open| {
        let open = open.as_ref().unwrap();
        open.close().unwrap();
        open.close().unwrap();
        assert_eq!(open.send(&GrpcBytes::default()).unwrap_err().kind(), ErrorKind::Callout);
    });
    receive(&fake, 6, "more");
    close(&fake, 6, 0, "via_upstream");
    assert_eq!(all_that_ran(), ["message more", "closed"]);
    assert_eq!(fake.asked.take(), ["close 6"]);
}

#[test]
fn a_handle_dropped_inside_its_handler_cancels_the_stream() {
    let fake = start();
    stream(2, true);
    receive(&fake, 6, "cancel");
    assert_eq!((HANDLERS.get(), fake.asked.take()), (0, vec!["cancel 6".to_owned()]));
    receive(&fake, 6, "late");
    stream(3, true);
    OPEN.take().unwrap().cancel();
    assert_eq!((HANDLERS.get(), fake.asked.take()), (0, vec!["cancel 10".to_owned()]));
    close(&fake, 10, 0, "");
    export("proxy_on_delete", &[2]);
    export("proxy_on_delete", &[3]);
    assert!(all_that_ran().is_empty() && fake.asked.take().is_empty());
}

#[test]
fn a_deleted_context_cancels_its_own_grpc_stream_only() {
    let fake = start();
    stream(2, true);
    let first = OPEN.take();
    stream(3, true);
    export("proxy_on_delete", &[2]);
    assert_eq!(fake.asked.take(), ["cancel 6"]);
    assert!(first.as_ref().unwrap().is_over());
    drop(first);
    receive(&fake, 6, "late");
    receive(&fake, 10, "still here");
    assert_eq!((all_that_ran(), HANDLERS.get()), (vec!["message still here".to_owned()], 1));
    assert!(fake.asked.take().is_empty());
}

#[test]
fn a_stream_that_fails_while_it_is_opened_is_refused_once() {
    let fake = start();
    fake.refuses.set(Some(Status::INTERNAL_FAILURE));
    fake.fails_inside.set(true);
    stream(2, true);
    assert_eq!(all_that_ran(), ["not opened: the gRPC call failed: no such cluster, or no healthy upstream"]);
    close(&fake, 6, 14, "no healthy upstream{no_healthy_upstream}");
    assert!(all_that_ran().is_empty() && fake.asked.take().is_empty());
    assert_eq!(HANDLERS.get(), 0);
}

#[test]
fn a_message_of_another_type_ends_the_stream() {
    let fake = start();
    stream(2, true);
    receive(&fake, 6, "!");
    assert_eq!(all_that_ran(), ["closed: the gRPC call failed: malformed response: not a text"]);
    assert_eq!((HANDLERS.get(), fake.asked.take()), (0, vec!["cancel 6".to_owned()]));
}

#[test]
fn a_handler_that_fails_or_is_reentered_gets_the_next_event() {
    let fake = start();
    stream(2, true);
    receive(&fake, 6, "fail");
    assert_eq!(fake.asked.take(), ["the handler of a gRPC stream of context 2 failed: the handler failed"]);
    receive(&fake, 6, "nested");
    receive(&fake, 6, "next");
    assert_eq!(all_that_ran(), ["nested", "message next"]);
    assert_eq!(HANDLERS.get(), 1);
}

#[test]
fn a_root_context_makes_calls_and_opens_streams() {
    let fake = start();
    assert_eq!(export("proxy_on_configure", &[1, 0]), 1);
    receive(&fake, 5, "yes");
    receive(&fake, 6, "hello");
    assert_eq!(all_that_ran(), ["root: yes", "message hello"]);
    export("proxy_on_configure", &[1, 0]);
    export("proxy_on_delete", &[1]);
    let mut cancelled = fake.asked.take();
    cancelled.sort();
    assert_eq!(cancelled, ["cancel 10", "cancel 6", "cancel 9"]);
    receive(&fake, 9, "late");
    receive(&fake, 10, "late");
    assert!(all_that_ran().is_empty());
    assert_eq!(HANDLERS.get(), 0);
}

#[test]
fn a_timeout_of_0_is_refused_without_a_host_call() {
    let fake = start();
    let mut root = Root;
    call()
        .timeout(Duration::ZERO)
        .send(&mut root, |_, answer| {
            let GrpcError::Refused(why) = answer.unwrap_err() else { panic!() };
            assert_eq!(why.kind(), ErrorKind::InvalidInput);
            ran("refused");
            Ok(())
        })
        .unwrap();
    assert_eq!((all_that_ran(), fake.calls.get()), (vec!["refused".to_owned()], 0));
}
