//! One message of a table: the client's request, the edits of the filter, and the upstream's
//! response.

use proxy_filter_host::{Body, Fields, Host, HostProfile, NotPlayed, Outcome, Protocol, Reply};

/// Rows that older versions of Envoy play in another way than the embedded host: the last such
/// version, the protocol, and the names. They are not compared there; `HostProfile::differences`
/// has what differs.
const OLDER: [(HostProfile, Protocol, &[&str]); 4] = [
    (HostProfile::ENVOY_1_38, Protocol::Http1, &["x-envoy alt stat", "method QUERY"]),
    (HostProfile::ENVOY_1_38, Protocol::Http2, &["x-envoy alt stat", "method QUERY"]),
    (HostProfile::ENVOY_1_37, Protocol::Http1, &["keep-alive", "keep-alive and chunks", "keep alive"]),
    (
        HostProfile::ENVOY_1_36,
        Protocol::Http2,
        &[
            "trailer of a pseudo-header",
            "length \"0\"",
            "length \"2\"",
            "length \"9\"",
            "length \"+4\"",
            "length \" 4\"",
            "lengths that agree",
            "length without a body",
            "a value of 80000 bytes",
            "a value of 97000 bytes",
            "a name of 70,000 bytes",
            "a target of 90,000 bytes",
            "method \"\"",
            "te in upper case",
            "host of bytes",
            "cookie",
            "cookie and chunks",
            "204 cl",
            "trailers",
            "dup cl",
            "cl plus",
            "cl short",
            "cl long",
            "big header",
            "content-length of spaces",
            "content-length without a body",
            "204 with chunks",
            "304 with a body",
            "value of 90,000 bytes",
            "value of 100,000 bytes",
            "large trailers",
            "authority \"\"",
            "two hosts only",
        ],
    ),
];

/// The log line of the guest `script` for each stream.
const CONFIGURATION: &str = "\
every request-headers: pairs 0
every request-body: buffer 0
every request-trailers: pairs 1
every response-headers: pairs 2
every response-body: buffer 1
every response-trailers: pairs 3
every answer: pairs 6; buffer 4; status
every log: pairs 0; pairs 2; pairs 3; property response.code; property response.code_details; property response.flags";

/// A row of a table.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    name: String,
    method: String,
    path: String,
    authority: Option<String>,
    headers: Fields,
    body: Body,
    trailers: Fields,
    reply: Reply,
    only: Option<Protocol>,
    early: bool,
    /// A rule that the filter violates, over this protocol or both.
    breaks: Option<(Option<Protocol>, &'static str)>,
    /// The embedded host does not run it over HTTP/1.
    not_played: bool,
}

/// A `GET /` of this name.
pub(crate) fn get(name: impl Into<String>) -> Row {
    Row {
        name: name.into(),
        method: "GET".into(),
        path: "/".into(),
        authority: Some("example.com".into()),
        headers: Vec::new(),
        body: Body::Absent,
        trailers: Vec::new(),
        reply: Reply::new(200).header("content-type", "text/plain").body("hello\n"),
        only: None,
        early: false,
        breaks: None,
        not_played: false,
    }
}

/// A `POST /` of this name.
pub(crate) fn post(name: impl Into<String>) -> Row {
    get(name).method("POST")
}

impl Row {
    pub(crate) fn method(self, method: &str) -> Self {
        Self { method: method.into(), ..self }
    }

    pub(crate) fn path(self, path: impl Into<String>) -> Self {
        Self { path: path.into(), ..self }
    }

    pub(crate) fn authority(self, authority: &str) -> Self {
        Self { authority: Some(authority.into()), ..self }
    }

    pub(crate) fn without_authority(self) -> Self {
        Self { authority: None, ..self }
    }

    pub(crate) fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    pub(crate) fn headers(self, fields: &[(&str, &str)]) -> Self {
        fields.iter().fold(self, |row, (name, value)| row.header(name, value))
    }

    pub(crate) fn body(self, body: impl Into<Body>) -> Self {
        Self { body: body.into(), ..self }
    }

    pub(crate) fn chunks(self, chunks: &[&str]) -> Self {
        self.body(Body::Chunked(chunks.iter().map(|chunk| chunk.as_bytes().to_vec()).collect()))
    }

    pub(crate) fn trailer(mut self, name: &str, value: &str) -> Self {
        self.trailers.push((name.into(), value.into()));
        self
    }

    pub(crate) fn reply(self, reply: Reply) -> Self {
        Self { reply, ..self }
    }

    /// Adds an action of the guest in a callback.
    pub(crate) fn does(self, callback: &str, commands: &str) -> Self {
        self.header(format!("x-{callback}"), commands)
    }

    /// Runs it only over this protocol.
    pub(crate) fn only(self, protocol: Protocol) -> Self {
        Self { only: Some(protocol), ..self }
    }

    /// The upstream responds when it has the headers.
    pub(crate) fn early_response(self) -> Self {
        Self { early: true, ..self }
    }

    /// The filter violates this rule.
    pub(crate) fn breaks(self, rule: &'static str) -> Self {
        Self { breaks: Some((None, rule)), ..self }
    }

    /// The filter violates this rule over one protocol.
    pub(crate) fn breaks_over(self, protocol: Protocol, rule: &'static str) -> Self {
        Self { breaks: Some((Some(protocol), rule)), ..self }
    }

    /// The embedded host does not run it over HTTP/1.
    pub(crate) fn not_played(self) -> Self {
        Self { not_played: true, ..self }
    }

    /// Returns the rule that the filter violates.
    fn broken_rule(&self, protocol: Protocol) -> Option<&'static str> {
        let (of, rule) = self.breaks?;
        of.is_none_or(|of| of == protocol).then_some(rule)
    }

    /// Whether this version of Envoy plays the row in another way than the embedded host.
    fn is_other_in(&self, host: HostProfile, protocol: Protocol) -> bool {
        let age = |host| HostProfile::ALL.iter().position(|known| *known == host);
        let names = |older: &&(HostProfile, Protocol, &[&str])| older.2.contains(&self.name.as_str());
        OLDER.iter().filter(names).any(|(last, of, _)| *of == protocol && age(host) <= age(*last))
    }

    fn is_not_played(&self, protocol: Protocol) -> bool {
        self.not_played && protocol == Protocol::Http1
    }

    fn send(&self, host: &mut Host, protocol: Protocol) -> Result<Outcome, NotPlayed> {
        let reply = self.reply.clone();
        host.upstream(move |_| reply.clone());
        let mut exchange = host.request(&self.method, &self.path).body(self.body.clone());
        exchange = match &self.authority {
            Some(authority) => exchange.authority(authority),
            None => exchange.without_authority(),
        };
        for (name, value) in &self.headers {
            exchange = exchange.header(name, value);
        }
        for (name, value) in &self.trailers {
            exchange = exchange.trailer(name, value);
        }
        if self.early {
            exchange = exchange.early_response();
        }
        if protocol == Protocol::Http2 { exchange.http2() } else { exchange }.try_send()
    }
}

fn start(host: &mut Host) {
    host.cluster("svc", |_| Reply::new(200).body("ok"));
    host.configure(CONFIGURATION).unwrap();
}

/// Returns the rows of a protocol.
fn of(rows: Vec<Row>, protocol: Protocol) -> impl Iterator<Item = Row> {
    rows.into_iter().filter(move |row| row.only.is_none_or(|only| only == protocol))
}

/// Runs each row over a protocol. A difference between the hosts fails the test.
pub(crate) fn play(mut host: Host, rows: Vec<Row>, protocol: Protocol) {
    start(&mut host);
    let version = host.behaves_as();
    let is_played = |row: &Row| {
        let is_other = row.is_other_in(version, protocol);
        if is_other {
            println!("not compared with {version}: {}", row.name);
        }
        !is_other && row.broken_rule(protocol).is_none() && !row.is_not_played(protocol)
    };
    for (index, row) in of(rows, protocol).filter(is_played).enumerate() {
        println!("exchange {}: {}", index + 1, row.name);
        row.send(&mut host, protocol).unwrap();
    }
}

/// Runs the rows that differ in Envoy: the embedded host reports the reason.
pub(crate) fn refuse(mut host: Host, rows: &dyn Fn() -> Vec<Row>) {
    start(&mut host);
    host.expect_violation("");
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let is_refused = |row: &Row| row.broken_rule(protocol).is_some() || row.is_not_played(protocol);
        for row in of(rows(), protocol).filter(is_refused) {
            let before = host.violations().len();
            let sent = row.send(&mut host, protocol);
            let name = &row.name;
            assert_eq!(sent.is_err(), row.is_not_played(protocol), "{name} over {protocol:?}: {sent:?}");
            let broken = host.violations();
            let broken: Vec<_> = broken.iter().skip(before).collect();
            println!("{name} over {protocol:?}: {}", if sent.is_err() { "not played" } else { "a violation" });
            let rule = row.broken_rule(protocol).unwrap_or_default();
            assert!(
                row.is_not_played(protocol) || broken.iter().any(|broken| broken.message().contains(rule)),
                "{name}: {broken:?}"
            );
        }
    }
}
