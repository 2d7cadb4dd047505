//! Responses to HTTP calls.

use crate::callout::http::answer::HttpAnswer;
use crate::callout::http::response::HttpCallResponse;
use crate::callout::http::{completions, future};
use crate::current::Callback;
use crate::dispatch::complete;
use crate::dispatch::contexts::Contexts;
use crate::dispatch::run;
use crate::dispatch::tasks;
use crate::dispatch::uses::Uses;
use crate::engine::effective;
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
    if Uses::<R>::TASKS {
        if let Some(place) = future::who_waits_for(token) {
            if let Some(task) = place.tell((body_size, number_of_trailers), HttpAnswer::fetch) {
                tasks::run_task(contexts, task);
                place.keep(token, |here| {
                    // Back from the stream that has run.
                    effective::back_to(root);
                    HttpAnswer::fetch(here)
                });
            }
            return run::after_root_callback(contexts, root);
        }
    }
    if Uses::<R>::ONLY_FUTURES {
        return;
    }
    // The call of a stream that is over is not known any more.
    let Some((owner, completion)) = completions::take(token) else { return };
    let response = HttpCallResponse::new(body_size, number_of_trailers);
    complete::complete(contexts, Callback::HTTP_CALL_RESPONSE, owner, completion, response.check());
    run::after_root_callback(contexts, root);
}
