//! HTTP/2 over cleartext on both sides of Envoy, one stream a connection.

use super::channel::{Channel, announce};
use super::visit::Visit;
use super::wire::{LIMIT, Pace, SOON, Wire};
use crate::grpc;
use crate::message::{Answered, Body, CONNECT, Received, Request};
use std::io::{self, ErrorKind};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The pseudo-headers of a request that a test sees.
const PSEUDO: [&[u8]; 3] = [b":method", b":path", b":authority"];

/// Sends a request on a connection and waits for the response. `None`: the stream ended, or nothing
/// came for too long, before a response began.
pub(super) fn exchange_on(mut wire: Wire, request: &Request) -> io::Result<Option<Received>> {
    wire.send(PREFACE)?;
    let mut channel = Channel::open(wire, 1)?;
    let mut head = vec![(b":method".to_vec(), request.method.clone().into_bytes())];
    if !request.is_connect() {
        head.push((b":path".to_vec(), request.path.clone().into_bytes()));
        head.push((b":scheme".to_vec(), request.scheme().as_bytes().to_vec()));
    }
    head.extend(request.authority.iter().map(|authority| (b":authority".to_vec(), authority.clone().into_bytes())));
    channel.metadata.clone_from(&request.metadata);
    if let (true, Answered::After(_)) = (request.is_connect(), request.answered) {
        channel.open_tunnel(head, &request.headers, &request.body);
    } else {
        channel.send_message(head, &request.headers, &request.body, &request.trailers);
    }
    channel.wire.disconnect_after(request.disconnect_after);
    channel.receive(&[b":status"]);
    Ok(channel.take_received())
}

/// Serves one request: hands over what came, complete or not, and sends the reply unless there is
/// none.
pub(super) fn serve(mut wire: Wire, pace: Pace, visit: &Visit) {
    if wire.exactly(PREFACE.len()).is_err() {
        return;
    }
    let Ok(mut channel) = Channel::open(wire, 0) else { return };
    channel.pace = pace;
    wait_for_headers(&mut channel, visit);
    if channel.received.header(":method").is_some_and(|method| method == CONNECT) {
        serve_tunnel(&mut channel, visit);
        return;
    }
    channel.receive(&PSEUDO);
    let Some(request) = channel.take_received() else { return };
    let is_head = request.headers.first().is_some_and(|(_, method)| method == b"HEAD");
    let Some(reply) = visit.answer(&request).filter(|reply| !reply.reset) else { return };
    let mut headers = reply.headers.clone();
    let body = if is_head {
        announce(&mut headers, &reply.body);
        Body::Absent
    } else {
        reply.body
    };
    let status = (b":status".to_vec(), reply.status.to_string().into_bytes());
    channel.metadata.clone_from(&reply.metadata);
    if reply.cut_off {
        channel.send_beginning(vec![status], &headers, &body);
        return;
    }
    channel.send_message(vec![status], &headers, &body, &reply.trailers);
    channel.wire.drain();
}

/// Serves a `CONNECT` request: its bytes come once the client has the head of the response.
fn serve_tunnel(channel: &mut Channel, visit: &Visit) {
    channel.sort(&PSEUDO);
    let Some(reply) = visit.answer(&channel.received).filter(|reply| !reply.reset) else { return };
    let status = (b":status".to_vec(), reply.status.to_string().into_bytes());
    if !(200..300).contains(&reply.status) {
        channel.send_message(vec![status], &reply.headers, &reply.body, &reply.trailers);
    } else if channel.accept_tunnel(vec![status], &reply.headers, &reply.body).is_ok() {
        visit.note(&channel.received);
    }
    channel.wire.drain();
}

/// Waits until a request begins. A client that connects and sends none is not waited for.
fn wait_for_headers(channel: &mut Channel, visit: &Visit) {
    let mut listen = |limit| while !channel.has_headers && !channel.ended && channel.step(limit).is_ok() {};
    listen(SOON);
    visit.wait(|| listen(LIMIT));
}

/// Serves one bidirectional gRPC stream, message by message.
pub(super) fn converse(mut wire: Wire, visit: &Visit) -> io::Result<()> {
    wire.exactly(PREFACE.len())?;
    let mut channel = Channel::open(wire, 0)?;
    wait_for_headers(&mut channel, visit);
    channel.sort(&PSEUDO);
    visit.note(&channel.received);
    let head = vec![(b":status".to_vec(), b"200".to_vec()), grpc::content_type()];
    channel.send_headers(&head, false)?;
    let mut answered = 0;
    let status = loop {
        let (messages, length) = grpc::unframe(channel.received.body.get(answered..).unwrap_or_default());
        answered += length;
        if !messages.is_empty() || channel.ended {
            visit.note(&channel.received);
        }
        let mut turns = messages.iter().map_while(|message| visit.turn(message));
        let mut end = None;
        while let (Some(turn), None) = (turns.next(), &end) {
            for message in &turn.messages {
                channel.send_data(&grpc::frame(message), false)?;
            }
            end = turn.status;
        }
        match end {
            Some(status) => break status,
            None if channel.received.complete => break (0, String::new()),
            None if channel.ended => return Ok(()),
            None => {}
        }
        let more = visit.wait(|| channel.step(LIMIT));
        if let Err(error) = more.or_else(|error| if error.kind() == ErrorKind::TimedOut { Ok(()) } else { Err(error) })
        {
            visit.note(&channel.received);
            return Err(error);
        }
    };
    channel.send_headers(&grpc::status(status.0, &status.1), true)?;
    channel.wire.drain();
    Ok(())
}
