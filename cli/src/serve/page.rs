//! The page in the browser, on an address of its own: the page itself, the exchanges as
//! server-sent events, the state of the plugins, and replays.

use super::hub::Hub;
use super::worker::Connection;
use crate::output::progress;
use crate::view;
use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HOST, ORIGIN};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use proxy_filter_host::LiveProcess;
use serde::Deserialize;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::net::{IpAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_local};

/// What the page is about.
pub(super) struct Subject {
    pub(super) hub: Arc<Hub>,
    /// The filters of the chain, by name, and what the VMs of each share.
    pub(super) filters: Vec<(String, LiveProcess)>,
    /// Where replays are sent.
    pub(super) connections: mpsc::UnboundedSender<Connection>,
}

/// The maximum number of bytes of a replay.
const REPLAY: usize = 16 << 20;

/// What the page may load: nothing but itself.
const POLICY: &str =
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; img-src data:";

type Reply = Response<Either<Full<Bytes>, Events>>;

/// Serves the page until the process ends.
pub(super) fn run(listener: TcpListener, subject: Subject) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    LocalSet::new().block_on(&runtime, async {
        let listener = listener.set_nonblocking(true).and_then(|()| tokio::net::TcpListener::from_std(listener));
        let listener = match listener {
            Ok(listener) => listener,
            Err(why) => return progress("Failed", format!("the page: {why}")),
        };
        let subject = Arc::new(subject);
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let subject = Arc::clone(&subject);
            spawn_local(async move {
                let service = service_fn(move |request| {
                    let subject = Arc::clone(&subject);
                    async move { Ok::<_, Infallible>(subject.reply(request).await) }
                });
                // A browser that disconnects is no fault of the server.
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
}

/// A changed request to send again.
#[derive(Deserialize)]
struct Replay {
    of: u64,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    /// The body; without one, the body of the recorded request.
    body: Option<String>,
    #[serde(default)]
    http2: bool,
}

impl Subject {
    async fn reply(&self, request: Request<Incoming>) -> Reply {
        if !is_local(&request) {
            return text(StatusCode::FORBIDDEN, "Open the page by its address or as `localhost`.");
        }
        let path = request.uri().path().to_owned();
        match (request.method(), path.as_str()) {
            (&Method::GET, "/") => typed("text/html; charset=utf-8", view::live_page(&self.names())),
            (&Method::GET, "/events") => self.events(),
            (&Method::GET, "/plugins") => typed("application/json", self.plugins().to_string()),
            (&Method::POST, "/replay") => match self.replay(request).await {
                Ok(()) => text(StatusCode::ACCEPTED, ""),
                Err(why) => text(StatusCode::BAD_REQUEST, &why),
            },
            (&Method::GET, path) => {
                let number = path.strip_prefix("/exchanges/").and_then(|number| number.parse().ok());
                match number.and_then(|number| self.hub.exchange(number)) {
                    Some(recording) => typed("application/json", recording.detail().to_string()),
                    None => text(StatusCode::NOT_FOUND, "There is no such page, or the exchange was dropped."),
                }
            }
            _ => text(StatusCode::METHOD_NOT_ALLOWED, "The page has no such method."),
        }
    }

    fn names(&self) -> String {
        let names: Vec<_> = self.filters.iter().map(|(name, _)| name.as_str()).collect();
        names.join(", ")
    }

    fn events(&self) -> Reply {
        let (sender, receiver) = mpsc::channel::<Bytes>(64);
        let hub = Arc::clone(&self.hub);
        spawn_local(async move {
            // A page that was too slow begins again with the list.
            'list: loop {
                let (list, mut messages) = hub.subscribe();
                if sender.send(list.into()).await.is_err() {
                    return;
                }
                loop {
                    let message = tokio::select! {
                        message = messages.recv() => message,
                        () = sender.closed() => return,
                    };
                    match message {
                        Ok(message) => {
                            if sender.send(Bytes::copy_from_slice(message.as_bytes())).await.is_err() {
                                return;
                            }
                        }
                        Err(RecvError::Lagged(_)) => continue 'list,
                        Err(RecvError::Closed) => return,
                    }
                }
            }
        });
        let mut reply = Response::new(Either::Right(Events(receiver)));
        decorate(&mut reply, "text/event-stream");
        reply
    }

    fn plugins(&self) -> Value {
        let filters = self.filters.iter().map(|(name, process)| {
            let data = process.shared_data();
            let data = data.iter().map(|(key, value)| json!([view::text(key), view::shown(value)]));
            let queues = process.queues();
            let queues = queues.iter().map(|(name, items)| {
                let items: Vec<_> = items.iter().take(100).map(|item| view::shown(item)).collect();
                json!({ "name": view::text(name), "items": items })
            });
            json!({
                "name": name,
                "metrics": process.metrics(),
                "shared_data": data.collect::<Vec<_>>(),
                "queues": queues.collect::<Vec<_>>(),
            })
        });
        json!({ "filters": filters.collect::<Vec<_>>(), "events": self.hub.plugin_events() })
    }

    /// Sends a request through the filters, over a connection of its own.
    async fn replay(&self, request: Request<Incoming>) -> Result<(), String> {
        let json = request.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
        if !json {
            return Err("A replay has the content-type application/json.".into());
        }
        let body = Limited::new(request.into_body(), REPLAY).collect().await.map_err(|error| error.to_string())?;
        let replay: Replay = serde_json::from_slice(&body.to_bytes()).map_err(|error| error.to_string())?;
        let body = match replay.body {
            Some(body) => body.into_bytes(),
            None => self
                .hub
                .exchange(replay.of)
                .and_then(|recording| recording.request_body())
                .ok_or("The body of this request was not kept in full: write one.")?,
        };
        let host = replay.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
        let host = host.map_or("localhost", |(_, value)| value.as_str());
        let uri = if replay.http2 { format!("http://{host}{}", replay.path) } else { replay.path.clone() };
        let mut built = Request::builder().method(replay.method.as_str()).uri(uri);
        for (name, value) in &replay.headers {
            // The length is that of the new body.
            let framing = ["content-length", "transfer-encoding", "connection"];
            let is_host = replay.http2 && name.eq_ignore_ascii_case("host");
            if !framing.iter().any(|framing| name.eq_ignore_ascii_case(framing)) && !is_host {
                built = built.header(name, value);
            }
        }
        let built =
            built.body(Full::new(Bytes::from(body))).map_err(|error| format!("The request is invalid: {error}."))?;
        let (ours, theirs) = pair().await.map_err(|error| error.to_string())?;
        let connection = Connection { stream: theirs, replay_of: Some(replay.of), tls: None };
        self.connections.send(connection).map_err(|_| "The server has no worker.".to_owned())?;
        spawn_local(async move {
            // The page sees what comes of it as it sees every exchange.
            let _ = send(ours, built, replay.http2).await;
        });
        Ok(())
    }
}

/// Sends a request and reads its response.
async fn send(stream: tokio::net::TcpStream, request: Request<Full<Bytes>>, http2: bool) -> hyper::Result<()> {
    let io = TokioIo::new(stream);
    let response = if http2 {
        let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
        spawn_local(connection);
        sender.send_request(request).await?
    } else {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
        spawn_local(connection);
        sender.send_request(request).await?
    };
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        frame?;
    }
    Ok(())
}

/// Both ends of a connection within this process.
async fn pair() -> std::io::Result<(tokio::net::TcpStream, std::net::TcpStream)> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let (ours, theirs) = tokio::join!(tokio::net::TcpStream::connect(listener.local_addr()?), listener.accept());
    Ok((ours?, theirs?.0.into_std()?))
}

/// Whether a request comes from a page of this machine. Another site cannot read or replay
/// exchanges, not even with a name that leads to this machine.
fn is_local(request: &Request<Incoming>) -> bool {
    let text = |name| request.headers().get(name).map(|value| value.to_str().unwrap_or("-"));
    let host = text(HOST).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, port)| if port.ends_with(']') { host } else { name });
    let address = name.trim_start_matches('[').trim_end_matches(']');
    let known = name == "localhost" || address.parse::<IpAddr>().is_ok();
    known && text(ORIGIN).is_none_or(|origin| origin.strip_prefix("http://") == Some(host))
}

fn decorate(reply: &mut Reply, kind: &'static str) {
    let headers = [
        ("content-type", kind),
        ("content-security-policy", POLICY),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
    ];
    for (name, value) in headers {
        reply.headers_mut().insert(name, hyper::header::HeaderValue::from_static(value));
    }
}

fn typed(kind: &'static str, body: String) -> Reply {
    let mut reply = Response::new(Either::Left(Full::new(Bytes::from(body))));
    decorate(&mut reply, kind);
    reply
}

fn text(status: StatusCode, body: &str) -> Reply {
    let mut reply = typed("text/plain; charset=utf-8", body.to_owned());
    *reply.status_mut() = status;
    reply
}

/// The body of the events.
struct Events(mpsc::Receiver<Bytes>);

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|message| message.map(|message| Ok(Frame::data(message))))
    }
}
