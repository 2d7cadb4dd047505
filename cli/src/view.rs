//! An exchange as JSON, for the page in the browser and for scripts.

use crate::play::Played;
use proxy_filter_host::{Event, Received};
use serde_json::{Map, Value, json};

/// The page. It shows exchanges that it contains, or that `serve` sends.
const PAGE: &str = include_str!("page/page.html");

/// The maximum number of bytes of a body that are shown.
pub(crate) const SHOWN: usize = 16 * 1024;

/// Converts bytes to text. Bytes that are not UTF-8 are replaced.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Fields as pairs of texts.
pub(crate) fn fields(fields: &[(Vec<u8>, Vec<u8>)]) -> Value {
    fields.iter().map(|(name, value)| json!([text(name), text(value)])).collect()
}

/// A message.
pub(crate) fn message(message: &Received) -> Value {
    let shown = message.body.get(..message.body.len().min(SHOWN)).unwrap_or_default();
    json!({
        "headers": fields(&message.headers),
        "body": text(shown),
        "size": message.body.len(),
        "trailers": fields(&message.trailers),
        "complete": message.complete,
    })
}

/// An event between the host and the module.
pub(crate) fn event(event: &Event) -> Value {
    match event {
        Event::Callback { name, arguments } => json!({ "kind": "callback", "name": name, "arguments": arguments }),
        Event::Returned { name, result } => json!({ "kind": "returned", "name": name, "result": result }),
        Event::HostCall { name, status } => json!({ "kind": "call", "name": name, "status": status }),
        Event::Log(line) => json!({ "kind": "log", "level": line.level.name(), "message": line.message }),
        Event::Trapped { why } => json!({ "kind": "trap", "message": why }),
    }
}

/// An exchange that was run.
pub(crate) fn played(played: &Played) -> Value {
    let record = played.exchange.record();
    let plain = played.plain.as_ref();
    let calls: Map<String, Value> =
        record.calls.iter().map(|(name, calls)| (name.clone(), calls.iter().map(message).collect())).collect();
    json!({
        "name": played.name,
        "status": record.response.as_ref().map(Received::status),
        "request": {
            "before": plain.and_then(|plain| plain.upstream()).map(message),
            "after": record.upstream.as_ref().map(message),
        },
        "response": {
            "before": plain.map(|plain| message(plain.response())),
            "after": record.response.as_ref().map(message),
        },
        "events": record.events.iter().map(event).collect::<Vec<_>>(),
        "calls": calls,
        "failures": played.failures,
    })
}

/// Returns the page with these exchanges. It needs no other file and no network.
pub(crate) fn page(title: &str, exchanges: &[Value]) -> String {
    // `</script>` and `<!--` within a text would end the script.
    let data = Value::from(exchanges).to_string().replace('<', "\\u003c");
    let title = title.replace('&', "&amp;").replace('<', "&lt;");
    PAGE.replace("/*DATA*/null", &data).replace("<!--TITLE-->", &title)
}
