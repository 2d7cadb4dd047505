//! [`Host::sweep_forms`] and [`Host::sweep_outages`]: the same exchange with other messages, and
//! with services that fail.

use super::Host;
use crate::cluster::Endpoint;
use crate::filter_error::FilterErrorKind;
use crate::form::{Form, Sent, Staged, forms};
use crate::message::{Received, Reply};
use crate::outcome::Outcome;
use crate::variation::{Judge, Variation, opens, removed};
use std::sync::Arc;
use std::time::Duration;

/// How long a client waits for a filter that calls a service that does not respond.
const PATIENCE: Duration = Duration::from_secs(120);
/// A service that responds later does not respond.
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);

/// Outages with a status that says otherwise: a filter may take it for a permission.
const SUCCEEDS: [&str; 3] = [
    "responds with the status 200 and nothing else",
    "responds with an empty message",
    "responds with bytes that mean nothing",
];

/// The ways in which a service fails that responds to HTTP calls.
fn outages() -> [(&'static str, Endpoint); 7] {
    let server = |reply: Reply| Endpoint::Server(Arc::new(move |_: &Received| reply.clone()));
    [
        ("has no host", Endpoint::Absent),
        ("refuses connections", Endpoint::Refusing),
        ("closes the connection", server(Reply::reset())),
        ("responds with the status 503", server(Reply::new(503))),
        (SUCCEEDS[0], server(Reply::new(200))),
        (SUCCEEDS[2], server(Reply::new(200).body(&b"\xff\0{[\""[..]))),
        ("does not respond", server(Reply::new(200).after(NEVER))),
    ]
}

/// The same for gRPC calls.
fn grpc_outages() -> [(&'static str, Endpoint); 6] {
    let server = |reply: Reply| Endpoint::Grpc(Arc::new(move |_: &Received| reply.clone()));
    [
        ("has no host", Endpoint::Absent),
        ("refuses connections", Endpoint::Refusing),
        ("responds with the gRPC status 14", server(Reply::grpc_status(14, "unavailable"))),
        (SUCCEEDS[1], server(Reply::grpc(b""))),
        (SUCCEEDS[2], server(Reply::grpc(b"\xff\0{[\""))),
        ("does not respond", server(Reply::grpc(b"").after(NEVER))),
    ]
}

/// The ways in which the service at an endpoint can fail.
fn outages_of(endpoint: &Endpoint) -> Vec<(&'static str, Endpoint)> {
    match endpoint {
        Endpoint::Server(_) => outages().into(),
        Endpoint::Grpc(_) => grpc_outages().into(),
        Endpoint::GrpcStream(_) => grpc_outages().into_iter().take(2).collect(),
        Endpoint::Absent | Endpoint::Refusing | Endpoint::Live => Vec::new(),
    }
}

impl Host {
    /// Plays an exchange, and then again in other forms that the same messages may have, each in a
    /// plugin that has just started:
    ///
    /// - over HTTP/2, with bodies in small and empty chunks, with trailers, with another request at
    ///   the same time, and with a repeated field that no filter knows and that is not UTF-8:
    ///   status, upstream, bodies and fields must be the same;
    /// - with each header of the request empty, absent, or with bytes beyond ASCII; without `host`;
    ///   with an upstream that closes the connection or sends only a status; with a client that
    ///   disconnects; with headers that are too large for the host; with a response before the
    ///   request's body: the filter must not fail;
    /// - with each header of the request twice: a refused request stays refused, and the decision
    ///   does not depend on the order of the two values;
    /// - with digests of the bodies, in headers and trailers: they are not forwarded with another
    ///   body;
    /// - with trailers that repeat the headers that the filter removes: it removes them as well.
    ///
    /// In no form may the filter fail ([`FilterError`](crate::FilterError)), break a rule of Envoy,
    /// or pause the stream for ever. A fault that [`expect_violation`](Self::expect_violation)
    /// names does not fail the test; a value that [`ignore_value_of`](Self::ignore_value_of) names
    /// may differ.
    ///
    /// Returns what became of each form, for assertions of the filter's own. The plugin starts
    /// again at the end. A real Envoy plays the exchange once.
    ///
    /// ```
    /// # use proxy_filter_host::Host;
    /// # fn body(mut host: Host) {
    /// for variation in host.sweep_forms(|host| host.get("/admin").header("x-role", "guest").send()) {
    ///     assert!(variation.outcome.upstream().is_none(), "{variation}");
    /// }
    /// # }
    /// ```
    ///
    /// # Panics
    /// See above.
    pub fn sweep_forms(&mut self, exchange: impl Fn(&mut Self) -> Outcome) -> Vec<Variation> {
        if self.backend.usage().is_none() {
            let _once = exchange(self);
            return Vec::new();
        }
        let (plain, sent) = self.play_staged(Staged::default(), &exchange);
        let (Some(request), reply) = (sent.request.clone(), sent.reply.clone()) else { return Vec::new() };
        let observer = self.observer.take();
        let reply_fields = reply.as_ref().map(|reply| reply.headers.clone()).unwrap_or_default();
        let removed = [removed(&request.headers, plain.upstream()), removed(&reply_fields, Some(plain.response()))];
        let [of_request, of_reply] = &removed;
        let ignored = self.transcript.ignored.clone();
        let judge = Judge { plain: &plain, removed: [of_request, of_reply], ignored: &ignored };
        let plain_form = Form::patient("as it is", PATIENCE);
        self.check("as it is", judge.fault(&plain_form, &plain, &sent, None), &plain, 0);
        let mut variations: Vec<Variation> = Vec::new();
        for form in forms(&request, reply.as_ref(), [of_request, of_reply]) {
            self.restart();
            let before = self.backend.violations().len();
            let (outcome, sent) = self.play_staged(Staged::new(&form), &exchange);
            outcome.expect_all_errors();
            let last = variations.last().map(|variation| &variation.outcome);
            self.check(&form.name, judge.fault(&form, &outcome, &sent, last), &outcome, before);
            variations.push(Variation { form: form.name, outcome });
        }
        self.restart();
        self.observer = observer;
        variations
    }

    /// Plays an exchange, and then again for each cluster of the test and each way in which its
    /// service can fail: it has no host, refuses connections, closes the connection, responds with
    /// 503, with nothing, or with bytes that mean nothing, or does not respond. The plugin has just
    /// started each time. The test fails if an outage leads to a trap or to a broken rule of Envoy,
    /// leaves the stream paused for two minutes, or lets a request reach the upstream that does not
    /// reach it otherwise. A response with the status 200 may be a permission: it is no such
    /// outage.
    ///
    /// Returns what became of each, for assertions of the filter's own. An `Err` that an outage
    /// leads to is expected. The plugin starts again at the end. A real Envoy plays the exchange
    /// once.
    ///
    /// ```
    /// # use proxy_filter_host::{Host, Reply};
    /// # fn body(mut host: Host) {
    /// host.cluster("authz", |_call| Reply::new(403));
    /// host.configure("{}").unwrap();
    /// for outage in host.sweep_outages(|host| host.get("/").send()) {
    ///     assert_eq!(outage.outcome.status(), 503, "{outage}");
    /// }
    /// # }
    /// ```
    ///
    /// # Panics
    /// See above.
    pub fn sweep_outages(&mut self, exchange: impl Fn(&mut Self) -> Outcome) -> Vec<Variation> {
        let plain = exchange(self);
        if self.backend.usage().is_none() {
            return Vec::new();
        }
        let observer = self.observer.take();
        let clusters = self.settings.clusters.clone();
        let mut variations = Vec::new();
        for (index, cluster) in clusters.iter().enumerate() {
            for (outage, endpoint) in outages_of(&cluster.endpoint) {
                if let Some(cluster) = self.settings.clusters.get_mut(index) {
                    cluster.endpoint = endpoint;
                }
                self.stop();
                // A plugin that does not start without its service serves no request.
                let _ = self.start();
                let name = format!("with a service `{}` that {outage}", cluster.name);
                let before = self.backend.violations().len();
                let (outcome, _) = self.play_staged(Staged::new(&Form::patient(&name, PATIENCE)), &exchange);
                outcome.expect_all_errors();
                let trap = outcome.errors().iter().find(|error| error.kind() == FilterErrorKind::Trap);
                let waits = outcome.record().waiting.iter().find(|text| text.starts_with("stream "));
                let fault = trap.map(|trap| format!("the filter fails: {trap}"));
                let fault =
                    fault.or_else(|| waits.map(|waits| format!("the stream is paused for two minutes: {waits}")));
                let opened = !SUCCEEDS.contains(&outage) && opens(&plain, &outcome);
                let fault = fault.or_else(|| {
                    opened.then(|| "the request is refused otherwise, and reaches the upstream now".to_owned())
                });
                self.check(&name, fault, &outcome, before);
                variations.push(Variation { form: name, outcome });
            }
            self.settings.clusters.clone_from(&clusters);
        }
        self.restart();
        self.observer = observer;
        variations
    }

    /// Plays an exchange in a form. What became of it, and what was sent.
    fn play_staged(&mut self, staged: Staged, exchange: impl Fn(&mut Self) -> Outcome) -> (Outcome, Sent) {
        self.staged = Some(staged);
        let outcome = exchange(self);
        let sent = self.staged.take().map(|staged| staged.sent()).unwrap_or_default();
        (outcome, sent)
    }
}
