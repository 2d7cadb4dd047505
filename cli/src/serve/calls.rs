//! Requests to the upstream and to clusters.

use super::fields;
use super::pipe::{PipeBody, Receiver};
use crate::endpoint::{Cluster, Endpoint};
use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Incoming};
use hyper::http::uri::Scheme;
use hyper::{Request, Response};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use proxy_filter_host::{Call, CallEnd, Fields, GrpcCall, GrpcEvent};
use rustls::ClientConfig;

/// What is sent to an upstream: the parts of a stream, or a whole body.
pub(super) type Outgoing = Either<PipeBody, Full<Bytes>>;

/// A server, and connections to it.
pub(super) struct Server {
    scheme: Scheme,
    authority: String,
    client: Client<HttpsConnector<HttpConnector>, Outgoing>,
}

impl Server {
    fn new(endpoint: &Endpoint, tls: &ClientConfig) -> Self {
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_or_http();
        let connector =
            if endpoint.http2 { connector.enable_http2().build() } else { connector.enable_http1().build() };
        let client = Client::builder(TokioExecutor::new()).http2_only(endpoint.http2).build(connector);
        let scheme = if endpoint.tls { Scheme::HTTPS } else { Scheme::HTTP };
        Self { scheme, authority: endpoint.authority(), client }
    }

    /// The scheme and the authority of its URLs.
    pub(super) fn place(&self) -> (&Scheme, &str) {
        (&self.scheme, &self.authority)
    }

    /// Sends a request. The connection is one that is open, or a new one.
    pub(super) async fn send(&self, request: Request<Outgoing>) -> Result<Response<Incoming>, String> {
        self.client.request(request).await.map_err(|error| error.to_string())
    }
}

/// The upstream and the clusters.
pub(super) struct Callers {
    pub(super) upstream: Server,
    clusters: Vec<(String, Server)>,
}

impl Callers {
    pub(super) fn new(upstream: &Endpoint, clusters: &[Cluster], tls: &ClientConfig) -> Self {
        let clusters = clusters.iter().map(|cluster| (cluster.name.clone(), Server::new(&cluster.endpoint, tls)));
        Self { upstream: Server::new(upstream, tls), clusters: clusters.collect() }
    }

    /// Makes a gRPC call or stream, and reports each part of its response.
    pub(super) async fn rpc(&self, call: GrpcCall, request: Receiver, report: impl Fn(GrpcEvent)) {
        let called = self.response(&call, request, &report);
        let end = match call.timeout {
            Some(timeout) => tokio::time::timeout(timeout, called).await.unwrap_or(Some(GrpcEvent::TimedOut)),
            None => called.await,
        };
        report(end.unwrap_or(GrpcEvent::Failed));
    }

    /// The end of a response of gRPC, after its other parts were reported. `None` if the connection
    /// ended before.
    async fn response(&self, call: &GrpcCall, request: Receiver, report: &impl Fn(GrpcEvent)) -> Option<GrpcEvent> {
        let (_, server) = self.clusters.iter().find(|(name, _)| *name == call.cluster)?;
        let body = Either::Left(PipeBody::new(request, false));
        let request = fields::to_request(call.headers.clone(), server.place(), false, body).ok()?;
        let (parts, mut body) = server.send(request).await.ok()?.into_parts();
        let headers = fields::of_response(&parts);
        if body.is_end_stream() {
            return Some(GrpcEvent::Headers(headers, true));
        }
        report(GrpcEvent::Headers(headers, false));
        while let Some(frame) = body.frame().await {
            match frame.ok()?.into_data() {
                Ok(bytes) => report(GrpcEvent::Data(bytes.to_vec())),
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    return Some(GrpcEvent::End(fields::of_trailers(&trailers)));
                }
            }
        }
        Some(GrpcEvent::End(Fields::new()))
    }

    /// Makes a callout. `None` if there is no response.
    pub(super) async fn call(&self, call: Call) -> Option<CallEnd> {
        let (_, server) = self.clusters.iter().find(|(name, _)| *name == call.cluster)?;
        let body = Either::Right(Full::new(Bytes::from(call.body)));
        let request = fields::to_request(call.headers, server.place(), false, body).ok()?;
        let called = async {
            let (parts, body) = server.send(request).await.ok()?.into_parts();
            let body = body.collect().await.ok()?;
            let trailers = body.trailers().map_or_else(Fields::new, fields::of_trailers);
            Some(CallEnd::Response(fields::of_response(&parts), body.to_bytes().to_vec(), trailers))
        };
        match call.timeout {
            // The host ends the callout by itself then.
            Some(timeout) => tokio::time::timeout(timeout, called).await.ok()?,
            None => called.await,
        }
    }
}
