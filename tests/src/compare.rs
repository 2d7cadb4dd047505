//! Whether two hosts did the same.

use crate::blocks;
use crate::host::Transcript;
use crate::ignored;
use crate::message::{CONNECT, Fields, Received};
use crate::record::{Event, Record};
use crate::tcp::{ConnectionRecord, ReceivedBytes};
use std::fmt::Write as _;

/// Which of two hosts a line belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names {
    pub(crate) left: &'static str,
    pub(crate) right: &'static str,
}

/// Two hosts that are compared, and the names whose values may differ.
#[derive(Clone, Copy, Debug)]
struct Sides<'a> {
    names: Names,
    ignored: &'a [String],
}

/// How much two hosts say about themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Callbacks and host calls too.
    Everything,
    /// What client, upstream and log readers see.
    #[cfg_attr(not(feature = "envoy"), allow(dead_code, reason = "only a real Envoy has several VMs at once"))]
    Visible,
    /// What client and upstream see.
    Messages,
}

/// The differences between two transcripts; empty if there are none.
pub(crate) fn differences_of_all(left: &Transcript, right: &Transcript, names: Names, detail: Detail) -> String {
    let mut report = String::new();
    // Several VMs run at the same time: only what comes of it is the same.
    let detail = if left.several_vms { Detail::Messages } else { detail };
    let names = Sides { names, ignored: &left.ignored };
    compare(&mut report, "the start of the plugin", &events(&left.start, detail), &events(&right.start, detail), names);
    let refusal = |transcript: &Transcript| transcript.refused.as_ref().map(|refused| logs(refused));
    compare(&mut report, "the refusal", &lines(refusal(left)), &lines(refusal(right)), names);
    if left.exchanges.len() != right.exchanges.len() {
        let _ = writeln!(report, "{} exchanges here, {} there", left.exchanges.len(), right.exchanges.len());
    }
    // Of exchanges in flight at the same time, those of one host may get what happens for all of
    // them later than those of the other.
    let mut shared = (Record::default(), Record::default());
    for (index, (l, r)) in left.exchanges.iter().zip(&right.exchanges).enumerate() {
        let title = format!("exchange {}", index + 1);
        if l.overlaps && r.overlaps {
            let (l, r) = (own(l, &mut shared.0), own(r, &mut shared.1));
            compare_exchanges(&mut report, &title, (&l, &r), detail, names);
        } else {
            compare_exchanges(&mut report, &title, (l, r), detail, names);
        }
    }
    let title = "what happened for exchanges in flight at the same time";
    let [l, r] = [&shared.0.events, &shared.1.events].map(|shared| events(shared, detail));
    compare(&mut report, &format!("{title}, events"), &l, &r, names);
    let [mut l, mut r] = [&shared.0, &shared.1].map(calls);
    l.sort();
    r.sort();
    compare(&mut report, &format!("{title}, calls"), &l, &r, names);
    if left.connections.len() != right.connections.len() {
        let _ = writeln!(report, "{} connections here, {} there", left.connections.len(), right.connections.len());
    }
    for (index, (l, r)) in left.connections.iter().zip(&right.connections).enumerate() {
        let title = format!("connection {}", index + 1);
        compare(&mut report, &format!("{title}, moments"), &moments(l), &moments(r), names);
        compare(
            &mut report,
            &format!("{title}, events"),
            &events(&l.events, detail),
            &events(&r.events, detail),
            names,
        );
    }
    report
}

/// An exchange without what happened for all that were in flight at the same time, which is added
/// to the rest of it.
fn own(record: &Record, shared: &mut Record) -> Record {
    let mut record = record.clone();
    shared.events.append(&mut blocks::take_of_roots(&mut record.events));
    for (cluster, calls) in std::mem::take(&mut record.calls) {
        shared.calls.entry(cluster).or_default().extend(calls);
    }
    record
}

/// Returns how one exchange differs in two hosts, in lines for people; empty if it does not:
/// callbacks, host calls and log lines in order, and what upstream, clusters and client received.
/// What depends on the time is left out. For tools: a test of [`test`](macro@crate::test) compares
/// on its own.
///
/// ```
/// use proxy_filter_host::{Host, Reply, differences};
/// let mut host = Host::without_module();
/// let first = host.get("/").send();
/// host.upstream(|_| Reply::new(404));
/// let second = host.get("/").send();
/// assert_eq!(differences(first.record(), first.record()), "");
/// assert!(differences(first.record(), second.record()).contains(":status: 404"));
/// ```
#[must_use]
pub fn differences(first: &Record, second: &Record) -> String {
    let mut report = String::new();
    let names = Sides { names: Names { left: "first", right: "second" }, ignored: &[] };
    compare_exchanges(&mut report, "the exchange", (first, second), Detail::Everything, names);
    report
}

/// Shows how one exchange differs.
fn compare_exchanges(report: &mut String, title: &str, (l, r): (&Record, &Record), detail: Detail, names: Sides<'_>) {
    compare(report, &format!("{title}, events"), &of_exchange(l, detail), &of_exchange(r, detail), names);
    compare(report, &format!("{title}, at the upstream"), &upstream(l), &upstream(r), names);
    // What happens without a request happens in each VM of an Envoy, and its calls are counted
    // there.
    if [l, r].into_iter().any(has_request) {
        compare(report, &format!("{title}, calls"), &calls(l), &calls(r), names);
    }
    compare(report, &format!("{title}, at the client"), &client(l), &client(r), names);
    let [left, right] = [l, r].map(|record| record.access_log.iter().cloned().collect::<Vec<_>>());
    compare(report, &format!("{title}, in the access log"), &left, &right, names);
}

/// Shows what is different between two lists of lines.
fn compare(report: &mut String, title: &str, left: &[String], right: &[String], Sides { names, ignored }: Sides<'_>) {
    let shown = |lines: &[String]| lines.iter().map(|line| ignored::hide(line, ignored)).collect::<Vec<_>>();
    let (left, right) = (&shown(left), &shown(right));
    if left == right {
        return;
    }
    let same = left.iter().zip(right).take_while(|(l, r)| l == r).count();
    let _ = writeln!(report, "{title}: the same up to line {same}, then");
    for line in left.iter().skip(same.saturating_sub(2)).take(2.min(same)) {
        let _ = writeln!(report, "    {line}");
    }
    for (name, side) in [(names.left, left), (names.right, right)] {
        for line in side.iter().skip(same).take(12) {
            let _ = writeln!(report, "  {name:>8} {line}");
        }
    }
}

fn lines(refusal: Option<Vec<String>>) -> Vec<String> {
    refusal.unwrap_or_else(|| vec!["not refused".into()])
}

/// The log lines without repetitions: Envoy refuses a plugin once for each VM it tries.
fn logs(events: &[Event]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in events.iter().filter_map(Event::log_line) {
        let line = format!("log {}: {}", line.level.name(), normalise(&line.message));
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

/// The events of an exchange. When the upstream closes a tunnel that began with `CONNECT`, Envoy
/// may show an empty chunk before the end, or not: that depends on when it reads the close.
fn of_exchange(record: &Record, detail: Detail) -> Vec<String> {
    let mut lines = events(&record.events, detail);
    let is_connect = record.upstream.as_ref().and_then(|request| request.header(":method"));
    if is_connect.is_none_or(|method| method != CONNECT) {
        return lines;
    }
    let is_empty = |line: &String| line.starts_with("-> proxy_on_response_body[") && line.ends_with(", 0, 0]");
    if let Some(last) = lines.iter().rposition(is_empty)
        && lines.iter().position(is_empty) != Some(last)
    {
        let end = lines.iter().skip(last).position(|line| line.starts_with("<- ")).unwrap_or_default();
        lines.drain(last..=last + end);
    }
    lines
}

fn events(events: &[Event], detail: Detail) -> Vec<String> {
    let visible = |event: &&Event| match detail {
        // Each host describes a trap with its own words.
        Detail::Everything => match event {
            // How often a module looks at the time while it waits depends on the machine.
            // This SDK reads the level of the log after each tick.
            Event::HostCall { name, .. } => {
                !matches!(name.as_str(), "clock_time_get" | "poll_oneoff" | "sched_yield" | "proxy_get_log_level")
            }
            event => !matches!(event, Event::Trapped { .. }),
        },
        Detail::Visible => event.log_line().is_some(),
        Detail::Messages => false,
    };
    let mut events = events.to_vec();
    blocks::drop_idle_ticks(&mut events);
    events
        .iter()
        .filter(visible)
        .map(|event| match event {
            Event::Callback { name, arguments } => format!("-> {name}{arguments:?}"),
            Event::Returned { name, result: Some(result) } => format!("<- {name} = {result}"),
            Event::Returned { name, result: None } => format!("<- {name}"),
            Event::HostCall { name, status } => format!("   {name} = {status}"),
            Event::Trapped { why } => format!("   trapped: {why}"),
            Event::Log(line) => format!("   log {}: {}", line.level.name(), normalise(&line.message)),
        })
        .collect()
}

fn moments(record: &ConnectionRecord) -> Vec<String> {
    let mut lines = Vec::new();
    for moment in &record.steps {
        lines.push(format!("* {}", moment.title));
        lines.extend(heard("client", Some(&moment.client)));
        lines.extend(heard("upstream", moment.upstream.as_ref()));
    }
    lines
}

fn heard(who: &str, heard: Option<&ReceivedBytes>) -> Option<String> {
    let ReceivedBytes { bytes, end } = heard?;
    Some(format!("  {who}: {} bytes, {end:?}: {}", bytes.len(), bytes.escape_ascii()))
}

fn client(record: &Record) -> Vec<String> {
    received(record.response.as_ref())
}

fn upstream(record: &Record) -> Vec<String> {
    received(record.upstream.as_ref())
}

/// Whether there was a request, and not just time that passed.
fn has_request(record: &Record) -> bool {
    let created = |event: &Event| event.callback() == Some("proxy_on_context_create");
    record.response.is_some() || record.upstream.is_some() || record.events.iter().any(created)
}

fn calls(record: &Record) -> Vec<String> {
    let all = |(cluster, calls): (&String, &Vec<Received>)| {
        calls.iter().flat_map(|call| received(Some(call))).map(|line| format!("{cluster}: {line}")).collect::<Vec<_>>()
    };
    record.calls.iter().flat_map(all).collect()
}

fn received(message: Option<&Received>) -> Vec<String> {
    let Some(message) = message else { return vec!["nothing".into()] };
    let mut lines = vec![if message.complete { "complete".into() } else { "cut off".into() }];
    lines.extend(Some(&message.cluster).filter(|cluster| !cluster.is_empty()).map(|name| format!("cluster {name}")));
    lines.extend(fields(&message.headers));
    lines.push(format!("body of {} bytes: {}", message.body.len(), message.body.escape_ascii()));
    lines.extend(fields(&message.trailers));
    lines
}

fn fields(fields: &Fields) -> impl Iterator<Item = String> {
    fields.iter().map(|(name, value)| normalise(&format!("{}: {}", name.escape_ascii(), value.escape_ascii())))
}

/// Hides what depends on the clock: the value of `date`, and of `x-envoy-upstream-service-time`. A
/// value ends where the next field of a list begins.
fn normalise(line: &str) -> String {
    let fields: Vec<_> = line.split(" | ").map(normalise_field).collect();
    fields.join(" | ")
}

fn normalise_field(field: &str) -> String {
    for name in ["date: ", "x-envoy-upstream-service-time: "] {
        if let Some((before, value)) = field.split_once(name) {
            let starts_as_expected = value.starts_with(|c: char| c.is_ascii_alphanumeric());
            if starts_as_expected && !before.ends_with(|c: char| c.is_ascii_alphanumeric()) {
                return format!("{before}{name}…");
            }
        }
    }
    field.to_owned()
}
