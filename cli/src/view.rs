//! An exchange as JSON, for the page in the browser and for scripts.

use crate::play::Played;
use proxy_filter_host::{Connection, DirectionState, Event, Fields, Outcome, Received, ReceivedBytes};
use serde_json::{Map, Value, json};

/// The parts of the page. It shows exchanges that it contains, or that `serve` sends.
const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// The maximum number of bytes of a body that are shown.
pub(crate) const SHOWN: usize = 16 * 1024;

/// Converts bytes to text. Bytes that are not UTF-8 are replaced.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Converts a value to text. Bytes that are not UTF-8 are escaped, and a long value is cut off.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let start = bytes.get(..bytes.len().min(SHOWN)).unwrap_or_default();
    std::str::from_utf8(start).map_or_else(|_| start.escape_ascii().to_string(), str::to_owned)
}

/// Fields as pairs of texts.
pub(crate) fn fields(fields: &[(Vec<u8>, Vec<u8>)]) -> Value {
    fields.iter().map(|(name, value)| json!([text(name), text(value)])).collect()
}

/// A message.
pub(crate) fn message(message: &Received) -> Value {
    let shown = message.body.get(..message.body.len().min(SHOWN)).unwrap_or_default();
    message_of(&message.headers, shown, message.body.len(), &message.trailers, message.complete)
}

/// A message of whose body these bytes are shown.
pub(crate) fn message_of(headers: &Fields, shown: &[u8], size: usize, trailers: &Fields, complete: bool) -> Value {
    json!({
        "headers": fields(headers),
        "body": text(shown),
        "shown": shown.len(),
        "size": size,
        "trailers": fields(trailers),
        "complete": complete,
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
    let record = played.exchange.as_ref().map(Outcome::record).cloned().unwrap_or_default();
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

/// A connection that was run.
pub(crate) fn connection(connection: &Connection) -> Value {
    let received = |received: &ReceivedBytes| {
        let end = match received.end {
            DirectionState::Open => "open",
            DirectionState::Closed => "closed",
            DirectionState::Reset => "reset",
        };
        json!({ "body": text(&received.bytes), "size": received.bytes.len(), "end": end })
    };
    json!({
        "client": received(connection.client()),
        "upstream": connection.upstream().map(received),
        "events": connection.record().events.iter().map(event).collect::<Vec<_>>(),
    })
}

/// Returns the page with these exchanges. It needs no other file and no network.
pub(crate) fn page(title: &str, exchanges: &[Value]) -> String {
    fill(&template(), title, &Value::from(exchanges))
}

/// Returns the page that shows what `serve` sends.
pub(crate) fn live_page(title: &str) -> String {
    fill(&template(), title, &Value::Null)
}

fn template() -> String {
    PAGE.replace("/*STYLE*/", STYLE).replace("/*SCRIPT*/", SCRIPT)
}

/// Puts a title, and the data of the script, into a page.
pub(crate) fn fill(page: &str, title: &str, data: &Value) -> String {
    let title = title.replace('&', "&amp;").replace('<', "&lt;");
    // `</script>` and `<!--` within a text would end the script.
    let data = data.to_string().replace('<', "\\u003c");
    page.replace("<!--TITLE-->", &title).replace("/*DATA*/null", &data)
}
