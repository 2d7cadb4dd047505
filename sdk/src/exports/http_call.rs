//! Responses to HTTP calls.

use crate::callout::http::HttpCall;
use crate::callout::http::response::HttpCallResponse;
use crate::current::Callback;
use crate::dispatch::arrive::arrive;
use crate::dispatch::contexts::Contexts;
use crate::dispatch::{complete, run};
use crate::plugin::registration::NewContext;

/// `proxy_on_http_call_response`.
pub fn on_http_call_response<R: NewContext>(
    contexts: &Contexts<R>,
    root: u32,
    token: u32,
    _number_of_headers: u32,
    body_size: u32,
    number_of_trailers: u32,
) {
    complete::enter_root::<R>(root);
    // The registry does not know the call if its stream has ended.
    let is_known = arrive::<R, HttpCall>(
        contexts,
        root,
        token,
        || (body_size, number_of_trailers),
        |owner, completion, _| {
            let response = HttpCallResponse::of_host(body_size, number_of_trailers);
            complete::complete(contexts, Callback::HTTP_CALL_RESPONSE, owner, completion, response.check());
        },
    );
    if is_known {
        run::after_root_callback(contexts, root);
    }
}
