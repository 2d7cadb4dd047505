//! gRPC calls and streams of filters to real servers, which end as in the embedded host.

use super::common::repository;
use super::{echo, get, serve, upstream};
use bytes::Bytes;
use http_body_util::channel::Channel;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use proxy_filter_host::{GrpcStreamReply, Host, Received, Reply};
use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

/// The encoded message of the guest: one field, which is a text.
fn text(text: &str) -> Vec<u8> {
    [&[10, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

/// What a server does with a call of this method, in the embedded host.
fn reply(method: &str, messages: &[u8]) -> Reply {
    match method {
        "Denied" => Reply::grpc_status(7, "not you: 50% über"),
        "Strange" => Reply::grpc_status(99, "unheard of"),
        "Slow" => Reply::grpc(text("late")).after(Duration::from_millis(600)),
        "Cut" => Reply::grpc(text("half")).cut_off(),
        "Reset" => Reply::reset(),
        "None" => Reply::grpc_messages::<&str>([]),
        "Plain" => Reply::new(200).body("hello"),
        "NotFound" => Reply::new(404),
        "Unavailable" => Reply::new(503),
        "Malformed" => Reply::grpc(b"\x0a\x05ab"),
        _ => Reply::grpc(messages),
    }
}

fn frame(message: &[u8]) -> Vec<u8> {
    [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

fn trailers(code: u32, message: &str) -> HeaderMap {
    let mut map = HeaderMap::new();
    map.insert("grpc-status", code.into());
    if !message.is_empty() {
        map.insert("grpc-message", message.parse().unwrap());
    }
    map
}

/// Does the same in a real server. The bytes of a message come in chunks of three.
async fn answer(request: Request<Incoming>) -> io::Result<Response<BoxBody<Bytes, io::Error>>> {
    let method = request.uri().path().trim_start_matches("/pkg.Service/").to_owned();
    let (mut sender, body) = Channel::new(64);
    let nothing = Empty::new().map_err(|never| match never {}).boxed();
    let mut response = Response::new(nothing);
    response.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    let status = |response: &mut Response<_>, code| *response.status_mut() = hyper::StatusCode::from_u16(code).unwrap();
    let reset = || io::Error::other("reset");
    match method.as_str() {
        "Denied" => response.headers_mut().extend(trailers(7, "not you: 50%25 %C3%BCber")),
        "Strange" => response.headers_mut().extend(trailers(99, "unheard of")),
        "Reset" => return Err(reset()),
        "NotFound" => status(&mut response, 404),
        "Unavailable" => status(&mut response, 503),
        _ => {
            tokio::spawn(async move {
                let _ = serve_body(&method, request.into_body(), &mut sender).await;
                match method.as_str() {
                    "Cut" => sender.abort(reset()),
                    "Plain" => {}
                    _ => drop(sender.send_trailers(trailers(0, "")).await),
                }
            });
            *response.body_mut() = body.boxed();
        }
    }
    Ok(response)
}

type BodySender = http_body_util::channel::Sender<Bytes, io::Error>;

async fn serve_body(
    method: &str,
    mut request: Incoming,
    sender: &mut BodySender,
) -> Result<(), http_body_util::channel::SendError> {
    match method {
        "None" => return Ok(()),
        "Plain" => return sender.send_data(Bytes::from("hello")).await,
        "Slow" => tokio::time::sleep(Duration::from_millis(600)).await,
        _ => {}
    }
    let mut received = Vec::new();
    while let Some(Ok(part)) = request.frame().await {
        received.extend_from_slice(part.data_ref().map_or(&[][..], |bytes| bytes));
        while let Some(length) =
            received.get(1..5).map(|length| u32::from_be_bytes(length.try_into().unwrap()) as usize)
            && received.len() >= 5 + length
        {
            let message: Vec<_> = received.drain(..5 + length).skip(5).collect();
            let (reply, end) = match method {
                "Cut" => (text("half"), false),
                "Malformed" => (b"\x0a\x05ab".to_vec(), false),
                "Talk" if message == text("end") => (text("bye"), true),
                _ => (message, false),
            };
            for chunk in frame(&reply).chunks(3) {
                sender.send_data(Bytes::copy_from_slice(chunk)).await?;
            }
            if end {
                return sender.send_trailers(trailers(5, "gone: 50%25 %C3%BCber")).await;
            }
        }
    }
    Ok(())
}

/// A server of gRPC.
fn grpc_server() -> SocketAddr {
    let (address, given) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            address.send(listener.local_addr().unwrap()).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(
                    hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service_fn(answer)),
                );
            }
        });
    });
    given.recv().unwrap()
}

#[test]
fn grpc_callouts_end_as_in_the_embedded_host() {
    let guests = repository().join("tests/guests");
    let module = proxy_filter_host::build_guest(&guests, "proxy-filter-guests", Some("grpc")).unwrap();
    let bytes = std::fs::read(&module).unwrap();
    let mut host = Host::for_module(&bytes).without_checks();
    host.grpc_cluster("service", |call: &Received| {
        let path = call.header(":path").unwrap_or_default().to_string();
        reply(path.trim_start_matches("/pkg.Service/"), &call.grpc_messages().concat())
    });
    host.grpc_stream_cluster("talk", |message| {
        if message == text("end") {
            return GrpcStreamReply::from(vec![text("bye")]).end(5, "gone: 50% über");
        }
        GrpcStreamReply::from(vec![message.to_vec()])
    });
    host.cluster("clock", |_| Reply::new(200).after(Duration::from_millis(400)));
    host.configure("").unwrap();

    let service = grpc_server();
    let clock = upstream(|mut connection| {
        while connection.message().is_some() {
            thread::sleep(Duration::from_millis(400));
            connection.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        }
    });
    let clusters =
        [format!("service=grpc://{service}"), format!("talk=grpc://{service}"), format!("clock=http://{clock}")];
    let arguments: Vec<_> = clusters.iter().flat_map(|cluster| ["--cluster", cluster]).collect();
    let server = serve(module.to_str().unwrap(), echo(), &arguments);
    for path in [
        "/call/Ask",
        "/call/Denied",
        "/call/Strange",
        "/call/Slow",
        "/call/Cut",
        "/call/Reset",
        "/call/None",
        "/call/Plain",
        "/call/NotFound",
        "/call/Unavailable",
        "/call/Malformed",
        "/cluster/unknown",
        "/several",
        "/echo",
        "/end",
        "/silent",
        "/cancel",
        "/fail",
    ] {
        let expected = host.get(path).send();
        let expected =
            expected.upstream().and_then(|upstream| upstream.header("x-answer").map(|line| line.to_string()));
        let head = String::from_utf8(get(server.address, path).body).unwrap();
        let received = head.lines().find_map(|line| line.strip_prefix("x-answer: "));
        let expected = expected.map(|line| line.to_lowercase().trim().to_owned());
        assert_eq!(received, expected.as_deref(), "{path}: {}", server.output.lock().unwrap());
    }
    // The plugin's own call, which belongs to no stream.
    let server = serve(module.to_str().unwrap(), echo(), &[&arguments[..], &["--config-text", "call"]].concat());
    assert!(server.prints("the root got [FromTheRoot]"), "{}", server.output.lock().unwrap());
}
