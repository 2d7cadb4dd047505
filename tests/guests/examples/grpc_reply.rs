//! Replies as the request's headers say: `x-status`, `x-grpc`, `x-body`, and `x-phase` if not in
//! the request's headers.

use proxy_filter::prelude::*;

#[derive(Default)]
struct Root;

#[proxy_filter::root]
impl RootContext for Root {
    type Context = Stream;

    fn new_context(&self) -> Stream {
        Stream { reply: None }
    }
}

/// What is replied in the response.
struct Stream {
    reply: Option<(u16, Option<u8>, Vec<u8>)>,
}

fn number(request: &RequestHeaders, name: &str) -> Result<Option<u16>> {
    Ok(request.get(name)?.and_then(|value| value.to_str().ok()?.parse().ok()))
}

fn reply((status, grpc, body): (u16, Option<u8>, Vec<u8>)) -> LocalReply {
    let reply = LocalReply::new(status).header("x-reason", "test").body(body);
    match grpc {
        Some(grpc) => reply.grpc_status(grpc),
        None => reply,
    }
}

#[proxy_filter::context]
impl Context for Stream {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        let status = number(request, "x-status")?.unwrap_or(200);
        let grpc = number(request, "x-grpc")?.and_then(|grpc| u8::try_from(grpc).ok());
        let body = request.get("x-body")?.unwrap_or_default().to_vec();
        match request.get("x-phase")?.unwrap_or_default().to_str() {
            Ok("response") => self.reply = Some((status, grpc, body)),
            Ok("error") => return Err(Error::other("failed as asked")),
            _ => return request.reply(reply((status, grpc, body))),
        }
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_response_headers(&mut self, response: &mut ResponseHeaders, _: bool) -> Result<FilterHeadersStatus> {
        let said = response.get("grpc-status")?;
        log::info!("response with grpc-status {said:?}");
        match self.reply.take() {
            Some(answer) => response.reply(reply(answer)),
            None => Ok(FilterHeadersStatus::Continue),
        }
    }
}
