//! gRPC as a test writes it: messages, statuses and metadata over HTTP/2.

use std::sync::Arc;
use std::time::Duration;

/// How a server of a bidirectional stream responds to each message.
pub(crate) type GrpcStreamAnswer = Arc<dyn Fn(&[u8]) -> GrpcStreamReply + Send + Sync>;

/// What a gRPC server does when a message has come on a stream: the messages it sends, and the
/// status if it ends the stream then.
///
/// ```
/// use proxy_filter_host::GrpcStreamReply;
/// let nothing = GrpcStreamReply::default();
/// let two = GrpcStreamReply::from(vec![b"one".to_vec(), b"two".to_vec()]);
/// let last = GrpcStreamReply::from(vec![b"bye".to_vec()]).end(5, "no more of these");
/// # let _ = (nothing, two, last);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrpcStreamReply {
    pub(crate) messages: Vec<Vec<u8>>,
    pub(crate) status: Option<(u32, String)>,
    pub(crate) after: Duration,
}

impl From<Vec<Vec<u8>>> for GrpcStreamReply {
    fn from(messages: Vec<Vec<u8>>) -> Self {
        Self { messages, ..Self::default() }
    }
}

impl GrpcStreamReply {
    /// Ends the stream with this status after the messages. Otherwise it ends with OK when the
    /// client has ended its half.
    #[must_use]
    pub fn end(mut self, code: u32, message: &str) -> Self {
        self.status = Some((code, message.into()));
        self
    }

    /// Does all of this so much later; see [`Reply::after`](crate::Reply::after).
    #[must_use]
    pub const fn after(mut self, delay: Duration) -> Self {
        self.after = delay;
        self
    }
}

/// A message as it is on the wire: not compressed, and its length before it.
pub(crate) fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[0][..], &length, message].concat()
}

/// The messages at the front of a body, and how many bytes they take.
pub(crate) fn unframe(body: &[u8]) -> (Vec<Vec<u8>>, usize) {
    let mut messages = Vec::new();
    let mut rest = body;
    while let Some(([_, length @ ..], after)) = rest.split_first_chunk::<5>() {
        let Some((message, after)) = after.split_at_checked(u32::from_be_bytes(*length) as usize) else { break };
        messages.push(message.to_vec());
        rest = after;
    }
    (messages, body.len() - rest.len())
}

/// The status as trailers, or as the headers of a response that is nothing else.
pub(crate) fn status(code: u32, message: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut fields = vec![(b"grpc-status".to_vec(), code.to_string().into_bytes())];
    if !message.is_empty() {
        fields.push((b"grpc-message".to_vec(), encode_message(message)));
    }
    fields
}

/// A status message is ASCII on the wire: other bytes are percent-encoded.
fn encode_message(message: &str) -> Vec<u8> {
    let encode = |byte: u8| match byte {
        b' '..=b'~' if byte != b'%' => vec![byte],
        _ => format!("%{byte:02X}").into_bytes(),
    };
    message.bytes().flat_map(encode).collect()
}

/// What every gRPC response begins with.
pub(crate) fn content_type() -> (Vec<u8>, Vec<u8>) {
    (b"content-type".to_vec(), b"application/grpc".to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_in_the_received_part_of_a_body() {
        let body = [frame(b"one"), frame(b""), frame(b"three")[..7].to_vec()].concat();
        assert_eq!(unframe(&body), (vec![b"one".to_vec(), Vec::new()], 13));
        assert_eq!(unframe(&[0, 255, 255, 255, 255]), (Vec::new(), 0));
    }

    #[test]
    fn a_status_message_is_ascii_on_the_wire() {
        assert_eq!(
            status(5, "50% über"),
            [(b"grpc-status".to_vec(), b"5".to_vec()), (b"grpc-message".to_vec(), b"50%25 %C3%BCber".to_vec())]
        );
    }
}
