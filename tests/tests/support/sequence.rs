//! Pictures of what a host and a module did: the events of a test's record as a sequence diagram.

use proxy_filter_host::Event;
use std::fmt::Write as _;

/// The columns of a picture.
const LANES: [&str; 4] = ["Client", "Envoy", "Filter", "Upstream"];
const CLIENT: usize = 0;
const HOST: usize = 1;
const FILTER: usize = 2;
const UPSTREAM: usize = 3;

/// The host calls that a picture shows. Most others read something.
const SHOWN: [&str; 3] = ["proxy_http_call", "proxy_continue_stream", "proxy_send_local_response"];

/// Envoy's names of a callback's results, from 0.
const HEADERS: [&str; 5] =
    ["Continue", "StopIteration", "ContinueAndEndStream", "StopAllIterationAndBuffer", "StopAllIterationAndWatermark"];
const DATA: [&str; 4] = ["Continue", "StopIterationAndBuffer", "StopIterationAndWatermark", "StopIterationNoBuffer"];
const OTHERS: [&str; 2] = ["Continue", "StopIteration"];

/// A line of a picture.
enum Row {
    Arrow { from: usize, to: usize, text: String, is_return: bool },
    Gap(String),
}

/// Part of a message that the filter sees in a callback.
struct Part {
    name: String,
    from: usize,
    to: usize,
}

/// Returns the part of a callback, if the callback has one.
fn part(callback: &str, arguments: &[u64]) -> Option<Part> {
    let (from, to, part) = if let Some(part) = callback.strip_prefix("proxy_on_request_") {
        (CLIENT, UPSTREAM, format!("request {part}"))
    } else if let Some(part) = callback.strip_prefix("proxy_on_response_") {
        (UPSTREAM, CLIENT, format!("response {part}"))
    } else if callback == "proxy_on_downstream_data" {
        (CLIENT, UPSTREAM, "data".to_owned())
    } else if callback == "proxy_on_upstream_data" {
        (UPSTREAM, CLIENT, "data".to_owned())
    } else {
        return None;
    };
    let ends = arguments.get(2) == Some(&1);
    let name = if part.ends_with("body") || part == "data" {
        format!("{part}, {} bytes", arguments.get(1).copied().unwrap_or_default())
    } else {
        part
    };
    Some(Part { name: if ends { format!("{name}, end of stream") } else { name }, from, to })
}

/// The name of a callback in the SDK.
fn in_rust(callback: &str) -> String {
    callback.trim_start_matches("proxy_").replace("context_create", "create").replace("connection_close", "close")
}

/// The rows of a record.
fn rows(events: &[Event]) -> Vec<Row> {
    let mut rows = Vec::new();
    let arrow = |from, to, text: &str| Row::Arrow { from, to, text: text.to_owned(), is_return: false };
    let (mut open, mut paused): (Option<Part>, Option<Part>) = (None, None);
    let (mut resumes, mut replied) = (false, false);
    for event in events {
        match event {
            Event::Callback { name, arguments } => {
                let title = name.as_str();
                open = part(title, arguments);
                match &open {
                    // The host itself makes the response.
                    Some(part) if part.from == UPSTREAM && replied => {}
                    Some(part) => rows.push(arrow(part.from, HOST, &part.name)),
                    None if title == "proxy_on_http_call_response" => {
                        rows.push(Row::Gap("the service has responded".to_owned()));
                    }
                    None => {}
                }
                rows.push(arrow(HOST, FILTER, &in_rust(title)));
            }
            Event::HostCall { name, .. } if SHOWN.contains(&name.as_str()) => {
                resumes |= name == "proxy_continue_stream";
                replied |= name == "proxy_send_local_response";
                rows.push(arrow(FILTER, HOST, name));
            }
            Event::Returned { name, result } => {
                let words: &[&str] = match name.rsplit('_').next() {
                    Some("headers") => &HEADERS,
                    Some("body") => &DATA,
                    _ => &OTHERS,
                };
                let result = result.and_then(|result| usize::try_from(result).ok());
                if let Some(part) = open.take() {
                    let word = result.and_then(|result| words.get(result)).copied().unwrap_or_default();
                    rows.push(Row::Arrow { from: FILTER, to: HOST, text: word.to_owned(), is_return: true });
                    if result == Some(0) {
                        rows.push(arrow(HOST, part.to, &part.name));
                    } else {
                        paused = Some(part);
                    }
                }
                if std::mem::take(&mut resumes)
                    && let Some(part) = paused.take()
                {
                    rows.push(arrow(HOST, part.to, &part.name));
                }
            }
            _ => {}
        }
    }
    rows
}

/// Draws a record. The picture is readable on light and on dark pages.
pub(crate) fn svg(title: &str, events: &[Event]) -> String {
    let rows = rows(events);
    let (width, step) = (210, 34);
    let x = |lane: usize| 90 + lane * width;
    let height = 70 + rows.len() * step;
    let total = x(UPSTREAM) + 90;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {total} {height}\" role=\"img\" \
         aria-label=\"{title}\">\n\
         <style>text {{ font: 13px sans-serif; fill: #24292f; text-anchor: middle }} \
         .lane {{ font-weight: bold }} .gap {{ font-style: italic }} line, path {{ stroke: #57606a; fill: none }} \
         .life {{ stroke-dasharray: 2 4 }} .back {{ stroke-dasharray: 6 4 }} .head {{ fill: #57606a; stroke: none }} \
         @media (prefers-color-scheme: dark) {{ text {{ fill: #e6edf3 }} line, path {{ stroke: #9198a1 }} \
         .head {{ fill: #9198a1 }} }}</style>\n"
    );
    for (lane, name) in LANES.iter().enumerate() {
        let at = x(lane);
        let _ = writeln!(svg, "<text class=\"lane\" x=\"{at}\" y=\"24\">{name}</text>");
        let _ = writeln!(svg, "<line class=\"life\" x1=\"{at}\" y1=\"34\" x2=\"{at}\" y2=\"{}\"/>", height - 10);
    }
    for (index, row) in rows.iter().enumerate() {
        let y = 66 + index * step;
        match row {
            Row::Arrow { from, to, text, is_return } => {
                let (start, end) = (x(*from), x(*to));
                let tip = if end > start { end - 8 } else { end + 8 };
                let class = if *is_return { " class=\"back\"" } else { "" };
                // Beside the lines of the lanes between the two.
                let middle = if from.abs_diff(*to) > 1 { x(HOST).midpoint(x(FILTER)) } else { start.midpoint(end) };
                let _ = writeln!(svg, "<text x=\"{middle}\" y=\"{}\">{text}</text>", y - 6);
                let _ = writeln!(svg, "<line{class} x1=\"{start}\" y1=\"{y}\" x2=\"{tip}\" y2=\"{y}\"/>");
                let _ = writeln!(svg, "<path class=\"head\" d=\"M{end} {y} L{tip} {} L{tip} {} Z\"/>", y - 4, y + 4);
            }
            Row::Gap(text) => {
                let _ = writeln!(svg, "<text class=\"gap\" x=\"{}\" y=\"{}\">{text}</text>", x(HOST), y - 6);
            }
        }
    }
    svg.push_str("</svg>\n");
    svg
}
