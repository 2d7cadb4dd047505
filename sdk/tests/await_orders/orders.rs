//! The orders in which the parts of two messages come.

use super::host::{Event, Which};

/// What comes, and whether the stream ends with it as it should.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) events: Vec<(Which, Event)>,
    /// The client disconnects, or the upstream resets, after that.
    pub(crate) is_cut: bool,
}

const DATA: Event = Event::Data(b"ab", false);
const MORE: Event = Event::Data(b"cd", false);
const LAST: Event = Event::Data(b"ef", true);
const END: Event = Event::Data(b"", true);
const NOTHING: Event = Event::Data(b"", false);
const HEADERS: Event = Event::Headers(false);

/// Messages without a body, with one, and with trailers; some ends come with data and some apart.
const SHAPES: [&[Event]; 7] = [
    &[Event::Headers(true)],
    &[HEADERS, LAST],
    &[HEADERS, DATA, END],
    &[HEADERS, DATA, MORE, Event::Trailers],
    &[HEADERS, Event::Trailers],
    // An upgrade begins so; and what a decompressor makes of the first bytes of a body.
    &[HEADERS, NOTHING, DATA, LAST],
    &[HEADERS, DATA, MORE, LAST],
];

/// Every order of these requests and responses.
pub(crate) fn all() -> Vec<Order> {
    let mut orders = Vec::new();
    for request in SHAPES {
        // The rest differ in what only requests have.
        for response in &SHAPES[..5] {
            orders.extend(of(request, response));
        }
    }
    orders
}

/// Orders in which each kind of event has its place.
pub(crate) fn some() -> Vec<Order> {
    let shapes = [(0, 2), (1, 0), (2, 3), (3, 2), (5, 1)];
    shapes.into_iter().flat_map(|(request, response)| of(SHAPES[request], SHAPES[response])).collect()
}

/// The response begins after every part of the request, and before the first.
fn of(request: &[Event], response: &[Event]) -> Vec<Order> {
    let request: Vec<_> = request.iter().map(|event| (Which::Request, *event)).collect();
    let response: Vec<_> = response.iter().map(|event| (Which::Response, *event)).collect();
    let mut orders = Vec::new();
    for position in 0..=request.len() {
        let (before, after) = request.split_at(position);
        // The request stops there, goes on at once, or after the first of the response.
        orders.push([before, &response].concat());
        if !after.is_empty() {
            for split in [1, 2] {
                let (begin, rest) = response.split_at(split.min(response.len()));
                orders.push([before, begin, after, rest].concat());
            }
        }
    }
    orders.into_iter().map(|events| Order { events, is_cut: false }).collect()
}

/// The same, cut off after every event.
pub(crate) fn cut(order: &Order) -> impl Iterator<Item = Order> + '_ {
    (0..order.events.len()).map(|length| Order { events: order.events[..length].to_vec(), is_cut: true })
}
