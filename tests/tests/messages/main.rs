//! The effects of Envoy's codecs and connection manager on messages, before and after the filters.
//! Each table runs in the embedded host and in Envoy over HTTP/1 and HTTP/2. The test compares
//! callbacks, the headers that the filter saw, the messages that the upstream and the client
//! received, and access logs.
#![allow(clippy::unwrap_used, reason = "this is a test")]
#![allow(clippy::too_many_lines, reason = "these are tables")]

mod callouts;
mod edits;
mod replies;
mod requests;
mod row;

use proxy_filter_host::{Host, Protocol};

macro_rules! tables {
    ($($name:ident: $rows:path;)*) => { $(
        mod $name {
            use super::*;

            #[proxy_filter_host::test(guest = "script")]
            fn over_http1(host: Host) {
                row::play(host, $rows(), Protocol::Http1);
            }

            #[proxy_filter_host::test(guest = "script")]
            fn over_http2(host: Host) {
                row::play(host, $rows(), Protocol::Http2);
            }

            #[proxy_filter_host::test(guest = "script", embedded)]
            fn differences_are_reported(host: Host) {
                row::refuse(host, &$rows);
            }
        }
    )* };
}

tables! {
    request_fields: requests::fields;
    request_targets: requests::targets;
    request_methods: requests::methods;
    request_bodies: requests::bodies;
    request_limits: requests::limits;
    responses: replies::of_the_upstream;
    responses_to_head: replies::to_head;
    local_replies: replies::of_the_filter;
    edited_requests: edits::of_requests;
    edited_responses: edits::of_responses;
    edited_bodies: edits::of_bodies;
    callout_requests: callouts::rows;
}
