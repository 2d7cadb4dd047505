//! [`Variation`]: an exchange in another form, and what is wrong with it.

use crate::embedded::is_paused_for_ever;
use crate::form::{ADDED, DIGESTS, Form, Sameness, Sent};
use crate::message::{Fields, Received};
use crate::outcome::Outcome;
use std::collections::BTreeSet;
use std::fmt;

/// An exchange that was played in another form: see
/// [`Host::sweep_forms`](crate::Host::sweep_forms) and
/// [`Host::sweep_outages`](crate::Host::sweep_outages). Printing it shows the form, and the trace.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Variation {
    /// The form, for example ``with an empty `authorization` ``.
    pub form: String,
    /// What became of the exchange.
    pub outcome: Outcome,
}

impl fmt::Display for Variation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:\n{}", self.form, self.outcome)
    }
}

/// Fields that a host writes, and those that differ with the framing of a message.
const OF_THE_HOST: [&str; 11] = [
    ADDED,
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-upstream-service-time",
    "x-request-id",
];

/// What is compared, and what not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judge<'a> {
    pub(crate) plain: &'a Outcome,
    /// The fields that the filter removes from the headers of the request and of the response.
    pub(crate) removed: [&'a Fields; 2],
    /// The names of values that must differ.
    pub(crate) ignored: &'a [String],
}

impl Judge<'_> {
    /// What is wrong with an exchange in another form. `before` is what became of the form before
    /// it.
    pub(crate) fn fault(
        &self,
        form: &Form,
        outcome: &Outcome,
        sent: &Sent,
        before: Option<&Outcome>,
    ) -> Option<String> {
        let plain = self.plain;
        let known = |message: &str| plain.errors().iter().any(|error| error.message() == message);
        if let Some(error) = outcome.errors().iter().find(|error| !known(error.message())) {
            return Some(format!("the filter fails: {error}"));
        }
        let waits = outcome.record().waiting.iter().find(|waits| is_paused_for_ever(waits));
        if let Some(waits) = waits.filter(|_| form.sameness != Sameness::Disconnected) {
            return Some(format!("the stream is paused for ever: {waits}"));
        }
        let compared = match form.sameness {
            Sameness::Same => self.difference(plain, outcome),
            Sameness::Order => before.filter(|before| decision(before) != decision(outcome)).map(|_| {
                "the decision depends on the order of the two values: the filter reads one of them, and the upstream \
                 may read the other"
                    .to_owned()
            }),
            _ => None,
        };
        let stays_refused = matches!(form.sameness, Sameness::Refused | Sameness::Order);
        let opens = (stays_refused && opens(plain, outcome)).then(|| OPENS.to_owned());
        opens
            .or(compared)
            .or_else(|| added(outcome))
            .or_else(|| digests(outcome, sent))
            .or_else(|| in_trailers(self.removed[0], outcome.upstream()))
            .or_else(|| in_trailers(self.removed[1], Some(outcome.response())))
    }

    /// What two outcomes differ in.
    fn difference(&self, plain: &Outcome, other: &Outcome) -> Option<String> {
        match (plain.is_forwarded(), other.is_forwarded()) {
            (false, true) => return Some(OPENS.to_owned()),
            (true, false) => return Some(format!("the request does not reach the upstream: {}", other.status())),
            _ => {}
        }
        if plain.status() != other.status() {
            return Some(format!("the status is {} instead of {}", other.status(), plain.status()));
        }
        let sides = [
            ("upstream", forwarded(plain), forwarded(other)),
            ("client", Some(plain.response()), Some(other.response())),
        ];
        sides.into_iter().find_map(|(side, plain, other)| {
            let (plain, other) = (plain?, other?);
            if plain.body != other.body {
                let [plain, other] = [plain, other].map(|message| message.body.escape_ascii());
                return Some(format!("the {side} receives the body \"{other}\" instead of \"{plain}\""));
            }
            let [plain, other] = [plain, other].map(|message| self.fields(message));
            let only = |fields: &BTreeSet<String>, others: &BTreeSet<String>| {
                let only: Vec<_> = fields.difference(others).cloned().collect();
                if only.is_empty() { "nothing".to_owned() } else { only.join(", ") }
            };
            (plain != other)
                .then(|| format!("the {side} receives {} instead of {}", only(&other, &plain), only(&plain, &other)))
        })
    }

    /// The fields that a filter may have written.
    fn fields(&self, message: &Received) -> BTreeSet<String> {
        let is_compared = |name: &str| {
            !OF_THE_HOST.contains(&name) && !self.ignored.iter().any(|ignored| ignored.eq_ignore_ascii_case(name))
        };
        let fields = message.headers.iter().map(|(name, value)| (name.escape_ascii().to_string(), value));
        fields
            .filter(|(name, _)| is_compared(name))
            .map(|(name, value)| format!("{name}: {}", value.escape_ascii()))
            .collect()
    }
}

const OPENS: &str = "the request is refused otherwise, and reaches the upstream now";

/// Whether a request that is refused otherwise reaches the upstream.
pub(crate) fn opens(plain: &Outcome, outcome: &Outcome) -> bool {
    !plain.is_forwarded() && outcome.is_forwarded()
}

/// What a filter decided.
fn decision(outcome: &Outcome) -> (u16, bool) {
    (outcome.status(), outcome.is_forwarded())
}

/// What the upstream received, if that is the whole request.
fn forwarded(outcome: &Outcome) -> Option<&Received> {
    outcome.upstream().filter(|request| request.complete)
}

/// The fields of this name.
fn values(fields: &Fields, name: &str) -> Vec<Vec<u8>> {
    fields.iter().filter(|(found, _)| found == name.as_bytes()).map(|(_, value)| value.clone()).collect()
}

/// What is wrong with the fields that a form added: each of them arrives as it was sent, or none.
fn added(outcome: &Outcome) -> Option<String> {
    let sent = [vec![b'1', 0xff], b"2".to_vec()];
    let client = outcome.response();
    [("upstream", forwarded(outcome)), ("client", Some(client))].into_iter().find_map(|(side, message)| {
        let found = values(&message?.headers, ADDED);
        let is_right = found.is_empty() || found == sent;
        let shown = |values: &[Vec<u8>]| {
            values.iter().map(|value| value.escape_ascii().to_string()).collect::<Vec<_>>().join(", ")
        };
        (!is_right)
            .then(|| format!("of a field with the values {}, the {side} receives {}", shown(&sent), shown(&found)))
    })
}

/// The digest of another body, if a message has one.
fn digests(outcome: &Outcome, sent: &Sent) -> Option<String> {
    let messages = [
        ("request", sent.request.as_ref().map(|request| request.body.bytes()), forwarded(outcome)),
        ("response", sent.reply.as_ref().map(|reply| reply.body.bytes()), Some(outcome.response())),
    ];
    messages.into_iter().find_map(|(which, body, message)| {
        let message = message.filter(|message| body.is_some_and(|body| body != message.body))?;
        let stale = |(name, value): &(&str, &str)| {
            let found = [&message.headers, &message.trailers].map(|fields| values(fields, name)).concat();
            found.iter().any(|found| found == value.as_bytes())
        };
        let (name, _) = DIGESTS.iter().find(|digest| stale(digest))?;
        Some(format!("the filter changes the body of the {which}, and forwards `{name}` of the body that it was"))
    })
}

/// The fields of a message that the filter removes from its headers.
pub(crate) fn removed(sent: &Fields, received: Option<&Received>) -> Fields {
    let Some(received) = received else { return Vec::new() };
    let is_removed = |name: &[u8]| {
        let of_the_host = name.starts_with(b"x-envoy-") || OF_THE_HOST.iter().any(|own| own.as_bytes() == name);
        !of_the_host && received.headers.iter().all(|(found, _)| found != name)
    };
    let fields = sent.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
    fields.filter(|(name, _)| is_removed(name)).collect()
}

/// The fields among these that a message has in its trailers.
fn in_trailers(removed: &Fields, received: Option<&Received>) -> Option<String> {
    let (name, _) = removed.iter().find(|field| received.is_some_and(|message| message.trailers.contains(field)))?;
    Some(format!("the filter removes `{}` from the headers, and forwards it in the trailers", name.escape_ascii()))
}
