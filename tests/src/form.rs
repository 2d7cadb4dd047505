//! [`Form`]: the same exchange, written in another way.

use crate::message::{Answer, Answered, Body, Fields, Protocol, Received, Reply, Request};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The name of the fields that forms add.
pub(crate) const ADDED: &str = "x-form";
/// Fields that describe the bytes of a body, with values as they would be.
pub(crate) const DIGESTS: [(&str, &str); 4] = [
    ("content-digest", "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"),
    ("repr-digest", "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"),
    ("content-md5", "AAAAAAAAAAAAAAAAAAAAAA=="),
    ("etag", "\"of-this-body\""),
];
/// Fields that frame a message or belong to a connection: no form adds, repeats or removes them.
const FRAMING: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// More than the hosts of tests accept of the headers of a request: 96 KiB.
const TOO_LARGE: usize = 100_000;
/// How many chunks a body is cut into at most.
const CHUNKS: usize = 32;

/// How much of an exchange must stay as it is in its plain form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sameness {
    /// The decision, and the messages that upstream and client receive.
    Same,
    /// A refused request stays refused.
    Refused,
    /// The filter does not fail.
    Any,
    /// As `Any`, and the client may receive nothing.
    Disconnected,
    /// As this form and the one before it, which have two values in either order.
    Order,
}

/// The last request of an exchange, as its client sent it, and the response of the upstream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent {
    pub(crate) request: Option<Request>,
    pub(crate) reply: Option<Reply>,
}

type EditRequest = Arc<dyn Fn(&mut Request)>;
type EditReply = Arc<dyn Fn(&mut Reply) + Send + Sync>;

/// The same exchange, written in another way.
#[derive(Clone)]
pub(crate) struct Form {
    pub(crate) name: String,
    pub(crate) sameness: Sameness,
    /// Another request is played while this one waits for the upstream.
    pub(crate) beside: bool,
    request: Option<EditRequest>,
    reply: Option<EditReply>,
}

impl Form {
    fn new(name: impl Into<String>, sameness: Sameness) -> Self {
        Self { name: name.into(), sameness, beside: false, request: None, reply: None }
    }

    fn request(mut self, edit: impl Fn(&mut Request) + 'static) -> Self {
        self.request = Some(Arc::new(edit));
        self
    }

    fn reply(mut self, edit: impl Fn(&mut Reply) + Send + Sync + 'static) -> Self {
        self.reply = Some(Arc::new(edit));
        self
    }

    /// The plain form of a client that waits so long.
    pub(crate) fn patient(name: impl Into<String>, patience: Duration) -> Self {
        Self::new(name, Sameness::Refused).request(move |request| request.disconnect_after = Some(patience))
    }

    /// Writes a request in this form.
    pub(crate) fn write(&self, request: &mut Request) {
        if let Some(edit) = &self.request {
            edit(request);
        }
    }

    /// What writes the responses of the upstream in this form.
    pub(crate) fn writes_replies(&self) -> impl Fn(Reply) -> Reply + Send + Sync + use<> {
        let edit = self.reply.clone();
        move |mut reply| {
            if let Some(edit) = &edit {
                edit(&mut reply);
            }
            reply
        }
    }
}

/// The form in which exchanges are played, and what was sent in it.
#[derive(Default)]
pub(crate) struct Staged {
    form: Option<Form>,
    sent: Arc<Mutex<Sent>>,
}

impl Staged {
    pub(crate) fn new(form: &Form) -> Self {
        Self { form: Some(form.clone()), ..Self::default() }
    }

    pub(crate) fn sent(&self) -> Sent {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes an exchange in the form. Whether another request is played at the same time.
    pub(crate) fn stage(&self, request: &mut Request, answer: &mut Answer) -> bool {
        if let Some(form) = &self.form {
            form.write(request);
        }
        *self.sent.lock().unwrap_or_else(PoisonError::into_inner) =
            Sent { request: Some(request.clone()), reply: None };
        let (plain, sent) = (Arc::clone(answer), Arc::clone(&self.sent));
        let write = self.form.as_ref().map(Form::writes_replies);
        *answer = Arc::new(move |received: &Received| {
            let reply = plain(received);
            let reply = match &write {
                Some(write) => write(reply),
                None => reply,
            };
            sent.lock().unwrap_or_else(PoisonError::into_inner).reply = Some(reply.clone());
            reply
        });
        self.form.as_ref().is_some_and(|form| form.beside)
    }
}

fn field(name: &str, value: impl Into<Vec<u8>>) -> (Vec<u8>, Vec<u8>) {
    (name.into(), value.into())
}

fn has_framing(fields: &Fields) -> bool {
    fields.iter().any(|(name, _)| FRAMING.iter().any(|framing| name.eq_ignore_ascii_case(framing.as_bytes())))
}

/// The bytes in chunks of equal lengths.
fn in_chunks(bytes: &[u8]) -> Body {
    Body::Chunked(bytes.chunks(bytes.len().div_ceil(CHUNKS).max(1)).map(<[u8]>::to_vec).collect())
}

/// The body with empty chunks around it.
fn among_empty_chunks(bytes: Vec<u8>) -> Body {
    Body::Chunked(vec![Vec::new(), bytes, Vec::new()])
}

/// Adds trailers: over HTTP/2, because Envoy drops those of HTTP/1.
fn add_trailers(request: &mut Request, fields: &Fields) {
    request.protocol = Protocol::Http2;
    request.trailers.extend(fields.iter().cloned());
}

/// The fields that a form may change, each name once.
fn names(request: &Request) -> Vec<Vec<u8>> {
    let mut names: Vec<Vec<u8>> = request.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.retain(|name| !FRAMING.iter().any(|framing| framing.as_bytes() == name));
    names.sort_unstable();
    names.dedup();
    names
}

/// The forms of an exchange. `removed` are fields that the filter removes from the headers of the
/// request and of the response.
pub(crate) fn forms(request: &Request, reply: Option<&Reply>, removed: [&Fields; 2]) -> Vec<Form> {
    let mut forms = Vec::new();
    let is_plain = request.answered == Answered::Complete && !request.is_tunnel();
    let framed = has_framing(&request.headers) || reply.is_some_and(|reply| has_framing(&reply.headers));
    if is_plain && !framed {
        forms.extend(of_framing(request));
        if let Some(reply) = reply {
            forms.extend(of_response_framing(request, reply));
        }
        let [request_fields, reply_fields] = removed.map(Clone::clone);
        if !request_fields.is_empty() {
            let name = "with trailers that repeat the removed headers";
            forms.push(Form::new(name, Sameness::Any).request(move |request| add_trailers(request, &request_fields)));
        }
        if !reply_fields.is_empty() && reply.is_some() {
            let name = "with trailers of the upstream that repeat the removed headers";
            let form = Form::new(name, Sameness::Any).request(|request| request.protocol = Protocol::Http2);
            forms.push(form.reply(move |reply| reply.trailers.extend(reply_fields.iter().cloned())));
        }
    }
    for name in names(request) {
        forms.extend(of_field(request, &name));
    }
    forms.extend(of_fields());
    if is_plain {
        forms.extend(of_ends(request));
    }
    forms
}

/// What is a matter of the protocol.
fn of_framing(request: &Request) -> Vec<Form> {
    let body = request.body.bytes();
    let mut forms = Vec::new();
    if request.protocol == Protocol::Http1 {
        let form = Form::new("over HTTP/2", Sameness::Same);
        forms.push(form.request(|request| request.protocol = Protocol::Http2));
    }
    if !body.is_empty() {
        let chunks = in_chunks(&body);
        let form = Form::new("with its body in small chunks", Sameness::Same);
        forms.push(form.request(move |request| request.body = chunks.clone()));
        let form = Form::new("with empty chunks around its body", Sameness::Same);
        forms.push(form.request(move |request| {
            request.protocol = Protocol::Http2;
            request.body = among_empty_chunks(request.body.bytes());
        }));
    }
    let form = Form::new("with trailers", Sameness::Same);
    forms.push(form.request(|request| add_trailers(request, &vec![field(ADDED, "1")])));
    let digests: Fields = DIGESTS.iter().map(|(name, value)| field(name, *value)).collect();
    let form = Form::new("with digests of its body", Sameness::Any);
    forms.push(form.request(move |request| request.headers.extend(digests.iter().cloned())));
    forms
}

fn of_response_framing(request: &Request, reply: &Reply) -> Vec<Form> {
    let mut forms = Vec::new();
    let is_bodiless = matches!(reply.status, 100..200 | 204 | 304) || request.method == "HEAD";
    if reply.reset || reply.cut_off || is_bodiless {
        return forms;
    }
    if !reply.body.bytes().is_empty() {
        let form = Form::new("with the upstream's body in small chunks", Sameness::Same);
        forms.push(form.reply(|reply| reply.body = in_chunks(&reply.body.bytes())));
        let form = Form::new("with empty chunks around the upstream's body", Sameness::Same);
        let form = form.request(|request| request.protocol = Protocol::Http2);
        forms.push(form.reply(|reply| reply.body = among_empty_chunks(reply.body.bytes())));
    }
    let form = Form::new("with trailers of the upstream", Sameness::Same);
    let form = form.request(|request| request.protocol = Protocol::Http2);
    forms.push(form.reply(|reply| reply.trailers.push(field(ADDED, "1"))));
    let digests: Fields = DIGESTS.iter().map(|(name, value)| field(name, *value)).collect();
    let in_trailers = digests.clone();
    let form = Form::new("with digests of the upstream's body", Sameness::Any);
    forms.push(form.reply(move |reply| reply.headers.extend(digests.iter().cloned())));
    let form = Form::new("with digests of the upstream's body in trailers", Sameness::Any);
    let form = form.request(|request| request.protocol = Protocol::Http2);
    forms.push(form.reply(move |reply| reply.trailers.extend(in_trailers.iter().cloned())));
    forms
}

/// What a client may do to a field of the request.
fn of_field(request: &Request, name: &[u8]) -> Vec<Form> {
    let shown = name.escape_ascii().to_string();
    let is_it = {
        let name = name.to_vec();
        move |field: &(Vec<u8>, Vec<u8>)| field.0.eq_ignore_ascii_case(&name)
    };
    let value = request.headers.iter().find(|field| is_it(field)).map(|field| field.1.clone()).unwrap_or_default();
    let replaced = |name: String, value: Vec<u8>| {
        let is_it = is_it.clone();
        Form::new(name, Sameness::Any).request(move |request| {
            for field in request.headers.iter_mut().filter(|field| is_it(field)) {
                field.1.clone_from(&value);
            }
        })
    };
    let without = {
        let is_it = is_it.clone();
        Form::new(format!("without `{shown}`"), Sameness::Any)
            .request(move |request| request.headers.retain(|field| !is_it(field)))
    };
    let beside = |first: bool| {
        let other = (name.to_vec(), b"other".to_vec());
        let (place, sameness) = if first { ("before", Sameness::Refused) } else { ("after", Sameness::Order) };
        Form::new(format!("with another `{shown}` {place} its own"), sameness).request(move |request| {
            request.headers.insert(if first { 0 } else { request.headers.len() }, other.clone());
        })
    };
    vec![
        replaced(format!("with bytes beyond ASCII in `{shown}`"), vec![0xff, 0xfe]),
        replaced(format!("with a byte beyond ASCII at the end of `{shown}`"), [&value[..], &[0xff]].concat()),
        replaced(format!("with an empty `{shown}`"), Vec::new()),
        without,
        beside(true),
        beside(false),
    ]
}

/// Fields that no filter knows.
fn of_fields() -> Vec<Form> {
    let values = || [field(ADDED, vec![b'1', 0xff]), field(ADDED, "2")];
    let form = Form::new("with a repeated field that is not UTF-8", Sameness::Same);
    let of_request = form.request(move |request| request.headers.extend(values()));
    let form = Form::new("with a repeated field of the upstream that is not UTF-8", Sameness::Same);
    vec![of_request, form.reply(move |reply| reply.headers.extend(values()))]
}

/// Ends of requests and responses.
fn of_ends(request: &Request) -> Vec<Form> {
    let mut forms = vec![Form { beside: true, ..Form::new("with another request at the same time", Sameness::Same) }];
    if request.protocol == Protocol::Http1 {
        let form = Form::new("without `host`", Sameness::Any);
        forms.push(form.request(|request| request.authority = None));
    }
    let form = Form::new("with headers that are too large for the host", Sameness::Any);
    forms.push(form.request(|request| request.headers.push(field("x-form-large", vec![b'1'; TOO_LARGE]))));
    for status in [204, 503] {
        let form = Form::new(format!("with a response that is only the status {status}"), Sameness::Any);
        forms.push(form.reply(move |reply| *reply = Reply::new(status)));
    }
    let form = Form::new("with an upstream that closes the connection", Sameness::Any);
    forms.push(form.reply(|reply| *reply = Reply::reset()));
    let form = Form::new("with a client that disconnects before the response", Sameness::Disconnected);
    let form = form.request(|request| request.disconnect_after = Some(Duration::from_millis(10)));
    forms.push(form.reply(|reply| reply.after = Duration::from_secs(10)));
    if request.protocol == Protocol::Http1 && !request.body.bytes().is_empty() {
        let form = Form::new("with a response before its body", Sameness::Disconnected);
        forms.push(form.request(|request| request.answered = Answered::Early));
    }
    forms
}
