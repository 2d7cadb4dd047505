//! Callbacks of requests and responses.

use crate::current::Callback;
use crate::dispatch::contexts::Contexts;
use crate::dispatch::failure::{CONTINUE, Refusal};
use crate::dispatch::message::{Message, Request, Response, body, headers, trailers};
use crate::dispatch::run;
use crate::http::context::Context;
use crate::plugin::registration::NewContext;

macro_rules! exports {
    ($($(#[$doc:meta])* $name:ident($($argument:ident),*): $message:ident[$index:literal],
        |$stream:ident| $refusal:expr, |$context:ident| $run:expr;)*) => {
        $($(#[$doc])*
        pub fn $name<R: NewContext>(contexts: &Contexts<R>, context_id: u32, $($argument: u32),*) -> u32
        where
            R::Context: Context,
        {
            let Some($stream) = contexts.stream(context_id) else { return CONTINUE };
            run::decide(contexts, $message::CALLBACKS[$index], context_id, $stream, $refusal, |$context| $run)
        })*
    };
}

exports! {
    /// `proxy_on_request_headers`.
    on_request_headers(_number_of_headers, end_of_stream): Request[0], |stream| Refusal::Reply, |context| {
        headers::<Request, _>(context, &stream.messages.request, end_of_stream != 0)
    };
    /// `proxy_on_response_headers`.
    on_response_headers(_number_of_headers, end_of_stream): Response[0], |stream| Refusal::Reply, |context| {
        headers::<Response, _>(context, &stream.messages.response, end_of_stream != 0)
    };
    /// `proxy_on_request_body`.
    on_request_body(body_size, end_of_stream): Request[1], |stream| Refusal::Reply, |context| {
        body::<Request, _>(context, &stream.messages.request, body_size as usize, end_of_stream != 0)
    };
    /// `proxy_on_response_body`.
    on_response_body(body_size, end_of_stream): Response[1],
        |stream| Refusal::of_response(&stream.messages.response), |context| {
            body::<Response, _>(context, &stream.messages.response, body_size as usize, end_of_stream != 0)
        };
    /// `proxy_on_request_trailers`.
    on_request_trailers(_number_of_trailers): Request[2], |stream| Refusal::Reply, |context| {
        trailers::<Request, _>(context, &stream.messages.request)
    };
    /// `proxy_on_response_trailers`.
    on_response_trailers(_number_of_trailers): Response[2],
        |stream| Refusal::of_response(&stream.messages.response), |context| {
            trailers::<Response, _>(context, &stream.messages.response)
        };
}

/// `proxy_on_request_metadata`. Hosts ignore the result.
pub fn on_request_metadata<R: NewContext>(contexts: &Contexts<R>, context_id: u32, entries: u32) -> u32
where
    R::Context: Context,
{
    run::notify(contexts, Callback::REQUEST_METADATA, context_id, |context| context.on_request_metadata(entries));
    CONTINUE
}

/// `proxy_on_response_metadata`. Hosts ignore the result.
pub fn on_response_metadata<R: NewContext>(contexts: &Contexts<R>, context_id: u32, entries: u32) -> u32
where
    R::Context: Context,
{
    run::notify(contexts, Callback::RESPONSE_METADATA, context_id, |context| context.on_response_metadata(entries));
    CONTINUE
}
