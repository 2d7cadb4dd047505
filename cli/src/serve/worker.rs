//! A worker: a thread with the VMs of the chain and the connections that were given to it.

use super::calls::Callers;
use super::fields;
use super::generation::{Begin, Generation, Guard, Source};
use super::pipe::{PipeBody, Receiver, Sender, pipe};
use super::trace::Trace;
use crate::endpoint::{Cluster, Endpoint};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;
use hyper::http::uri::Scheme;
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use proxy_filter_host::{Direction, Part, Protocol};
use rustls::ClientConfig;
use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{LocalSet, spawn_local};
use tokio_rustls::TlsAcceptor;

/// What a worker is started with.
pub(super) struct Settings {
    pub(super) number: usize,
    pub(super) upstream: Endpoint,
    pub(super) clusters: Vec<Cluster>,
    /// Of clients' requests.
    pub(super) scheme: Scheme,
    pub(super) tls: ClientConfig,
    pub(super) trace: Trace,
    pub(super) source: watch::Receiver<Arc<Source>>,
    pub(super) connections: mpsc::UnboundedReceiver<Connection>,
}

/// A connection that is given to a worker.
pub(super) struct Connection {
    pub(super) stream: std::net::TcpStream,
    /// The number of the exchange that its request repeats.
    pub(super) replay_of: Option<u64>,
    /// What makes a TLS connection of it.
    pub(super) tls: Option<TlsAcceptor>,
}

struct Worker {
    current: RefCell<Rc<Generation>>,
    callers: Rc<Callers>,
    next_id: Cell<u64>,
    scheme: Scheme,
}

/// Runs tasks of hyper on the thread of their worker.
#[derive(Clone, Copy, Debug)]
struct Local;

impl<F: Future + 'static> Executor<F> for Local {
    fn execute(&self, future: F) {
        spawn_local(async move {
            future.await;
        });
    }
}

/// Serves connections until no more are given.
///
/// # Errors
/// Why a module cannot be started.
pub(super) fn run(settings: Settings) -> Result<(), String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    LocalSet::new().block_on(&runtime, serve(settings))
}

async fn serve(settings: Settings) -> Result<(), String> {
    let Settings { number, upstream, clusters, scheme, tls, trace, mut source, mut connections } = settings;
    let callers = Rc::new(Callers::new(&upstream, &clusters, &tls));
    let trace = Rc::new(trace);
    let start = {
        let (callers, trace) = (Rc::clone(&callers), Rc::clone(&trace));
        move |source: &Source| Generation::start(source, number, Rc::clone(&callers), Rc::clone(&trace))
    };
    let printing = Rc::clone(&trace);
    spawn_local(async move { printing.output.run().await });
    let first = Arc::clone(&source.borrow_and_update());
    let current = RefCell::new(start(&first)?);
    let worker = Rc::new(Worker { current, callers, next_id: Cell::new(number as u64 + 1), scheme });
    let replacing = Rc::clone(&worker);
    spawn_local(async move {
        loop {
            // A VM that has trapped is replaced after a pause, as `FAIL_RELOAD` does in Envoy.
            let changed = tokio::select! {
                changed = source.changed() => changed.is_ok(),
                () = tokio::time::sleep(Duration::from_secs(1)) => {
                    if !replacing.current.borrow().failed() { continue }
                    true
                }
            };
            if !changed {
                return;
            }
            let next = Arc::clone(&source.borrow_and_update());
            match start(&next) {
                Ok(generation) => drop(replacing.current.replace(generation)),
                Err(why) => crate::output::progress("Refused", why),
            }
        }
    });
    while let Some(Connection { stream, replay_of, tls }) = connections.recv().await {
        let Ok(stream) = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream)) else {
            continue;
        };
        let _ = stream.set_nodelay(true);
        let worker = Rc::clone(&worker);
        spawn_local(async move {
            match tls {
                None => worker.serve(stream, replay_of).await,
                Some(tls) => {
                    // A client that does not trust the certificate ends the handshake.
                    if let Ok(stream) = tls.accept(stream).await {
                        worker.serve(stream, replay_of).await;
                    }
                }
            }
        });
    }
    Ok(())
}

impl Worker {
    /// Serves the requests of a connection.
    async fn serve(
        self: Rc<Self>,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        replay_of: Option<u64>,
    ) {
        const STEP: u64 = 1 << 16;
        let service = service_fn(move |request| {
            let id = self.next_id.get();
            self.next_id.set(id + STEP);
            handle(Rc::clone(&self), id, replay_of, request)
        });
        // A connection that ends early is no fault of the server.
        let _ = auto::Builder::new(Local).serve_connection_with_upgrades(TokioIo::new(stream), service).await;
    }
}

/// The response body for a client. Dropping it ends the stream.
struct ClientBody {
    body: PipeBody,
    _guard: Option<Guard>,
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Serves one request.
async fn handle(
    worker: Rc<Worker>,
    id: u64,
    replay_of: Option<u64>,
    mut request: Request<Incoming>,
) -> io::Result<Response<ClientBody>> {
    let generation = Rc::clone(&worker.current.borrow());
    let on_upgrade = hyper::upgrade::on(&mut request);
    let (parts, body) = request.into_parts();
    let upgrade = fields::is_upgrade(&parts);
    let protocol = if parts.version == Version::HTTP_2 { Protocol::Http2 } else { Protocol::Http1 };
    let headers = fields::of_request(&parts, &worker.scheme, id);
    let end = body.is_end_stream() && !upgrade;
    let (to_upstream, from_request) = pipe();
    let (to_client, mut from_response) = pipe();
    let begin = Begin { id, replay_of, protocol, headers, end };
    let guard = generation.begin(begin, (to_upstream.clone(), to_client.clone()));
    let (hand_over, handed_over) = oneshot::channel();
    if upgrade {
        // As Envoy begins an upgraded stream.
        generation.data(id, Direction::ToUpstream, Vec::new(), false);
    } else if !end {
        let reading = spawn_local(read(Rc::clone(&generation), id, Direction::ToUpstream, body, to_upstream));
        generation.owns(id, reading.abort_handle());
    }
    let upgraded = upgrade.then_some((on_upgrade, handed_over));
    let exchange = Exchange { worker, generation: Rc::clone(&generation), id, to_client };
    let calling = spawn_local(exchange.call(from_request, upgraded));
    generation.owns(id, calling.abort_handle());
    match from_response.receive().await {
        Some(Part::Headers(headers, end)) => {
            let is_upgraded = upgrade && fields::get(&headers, ":status") == Some("101");
            let (guard, body) = if is_upgraded {
                // The task of the upgraded connection ends the stream.
                let _ = hand_over.send((from_response, guard));
                (None, PipeBody::new(pipe().1, true))
            } else {
                (Some(guard), PipeBody::new(from_response, end))
            };
            Ok(fields::to_response(headers, ClientBody { body, _guard: guard }))
        }
        _ => Err(io::Error::new(io::ErrorKind::ConnectionReset, "the stream was reset")),
    }
}

/// Passes a body to the filters, as fast as they and its receiver take it.
async fn read(generation: Rc<Generation>, id: u64, direction: Direction, mut body: Incoming, to: Sender) {
    loop {
        to.ready().await;
        generation.has_room(id, direction).await;
        match body.frame().await {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(bytes) => {
                    let end = body.is_end_stream();
                    generation.data(id, direction, bytes.to_vec(), end);
                    if end {
                        return;
                    }
                }
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        return generation.trailers(id, direction, &fields::of_trailers(&trailers));
                    }
                }
            },
            None => return generation.data(id, direction, Vec::new(), true),
            Some(Err(_)) if direction == Direction::ToUpstream => return generation.disconnected(id),
            Some(Err(_)) => return generation.upstream_failed(id),
        }
    }
}

/// A stream, from its request at the upstream on.
struct Exchange {
    worker: Rc<Worker>,
    generation: Rc<Generation>,
    id: u64,
    to_client: Sender,
}

/// A connection that its client asks to upgrade, and what the handler has kept of it.
type Upgrade = (OnUpgrade, oneshot::Receiver<(Receiver, Guard)>);

impl Exchange {
    /// Sends the request when the filters have forwarded its headers, and passes the response to
    /// them.
    async fn call(self, mut from_request: Receiver, upgrade: Option<Upgrade>) {
        let Some(Part::Headers(headers, end)) = from_request.receive().await else { return };
        let upstream = &self.worker.callers.upstream;
        let (body, from_request) = match upgrade {
            Some(_) => (Either::Right(Full::default()), Some(from_request)),
            None => (Either::Left(PipeBody::new(from_request, end)), None),
        };
        let request = fields::to_request(headers, upstream.place(), upgrade.is_some(), body);
        let response = match request {
            Ok(request) => upstream.send(request).await,
            Err(why) => Err(why),
        };
        let Ok(mut response) = response else { return self.generation.upstream_failed(self.id) };
        let on_upgrade = hyper::upgrade::on(&mut response);
        let (parts, body) = response.into_parts();
        let headers = fields::of_response(&parts);
        if let (StatusCode::SWITCHING_PROTOCOLS, Some((client, kept)), Some(from_request)) =
            (parts.status, upgrade, from_request)
        {
            self.generation.response_headers(self.id, headers, false);
            let Ok((from_response, _guard)) = kept.await else { return };
            let (Ok(client), Ok(upstream)) = tokio::join!(client, on_upgrade) else { return };
            return self.tunnel((client, from_response), (upstream, from_request)).await;
        }
        let end = body.is_end_stream();
        self.generation.response_headers(self.id, headers, end);
        if !end {
            read(Rc::clone(&self.generation), self.id, Direction::ToClient, body, self.to_client.clone()).await;
        }
    }

    /// Passes the bytes of an upgraded connection through the filters, until one side ends it.
    async fn tunnel(&self, client: (Upgraded, Receiver), upstream: (Upgraded, Receiver)) {
        let (from_client, mut to_client) = tokio::io::split(TokioIo::new(client.0));
        let (from_upstream, mut to_upstream) = tokio::io::split(TokioIo::new(upstream.0));
        let (mut for_client, mut for_upstream) = (client.1, upstream.1);
        tokio::select! {
            () = self.receive(from_client, Direction::ToUpstream) => {}
            () = self.receive(from_upstream, Direction::ToClient) => {}
            () = write(&mut for_client, &mut to_client) => {}
            () = write(&mut for_upstream, &mut to_upstream) => {}
        }
        // What was forwarded before the end is sent.
        for (queue, to) in [(&mut for_client, &mut to_client), (&mut for_upstream, &mut to_upstream)] {
            while let Some(bytes) = queue.waiting() {
                if to.write_all(&bytes).await.is_err() {
                    break;
                }
            }
            let _ = to.shutdown().await;
        }
    }

    async fn receive(&self, mut from: ReadHalf<TokioIo<Upgraded>>, direction: Direction) {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            self.generation.has_room(self.id, direction).await;
            match from.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(count) => {
                    let bytes = buffer.get(..count).unwrap_or_default().to_vec();
                    self.generation.data(self.id, direction, bytes, false);
                }
            }
        }
    }
}

/// Writes the parts of a queue to an upgraded connection.
async fn write(queue: &mut Receiver, to: &mut WriteHalf<TokioIo<Upgraded>>) {
    while let Some(part) = queue.receive().await {
        match part {
            Part::Data(bytes, _) => {
                let written = to.write_all(&bytes).await.is_ok() && to.flush().await.is_ok();
                if !written {
                    return;
                }
            }
            Part::Reset => return,
            Part::Headers(..) | Part::Trailers(_) => {}
        }
    }
}
