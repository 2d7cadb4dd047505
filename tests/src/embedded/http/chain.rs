//! A message in the filter chain: how far the filters forward it, and what the host buffers for
//! each of them.

use super::codec;
use super::contexts::{Contexts, Ended};
use super::progress::Progress;
use super::upstream;
use crate::embedded::fields::Map;
use crate::embedded::stream::{Phase, Which};
use crate::embedded::wire;
use crate::violation::Rule;
use std::time::Duration;

/// What a callback of a filter has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Paused {
    Nothing,
    /// The part of its callback. The filter still gets the next part.
    Part,
    /// The headers, and all that comes after them: the filter is not called again.
    All,
}

/// What a body callback returned, as Envoy understands the number.
enum Data {
    Continue,
    Buffer,
    Watermark,
    Drop,
}

impl Data {
    const fn from_raw(raw: u32) -> Self {
        match raw {
            0 => Self::Continue,
            1 => Self::Buffer,
            2 => Self::Watermark,
            _ => Self::Drop,
        }
    }
}

/// One filter, and what it has not forwarded.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "the filter pauses any of the parts")]
struct Stage {
    context: u32,
    paused: Paused,
    /// It has not forwarded the headers.
    headers: bool,
    /// It has not forwarded bytes of the body, or its end.
    data: bool,
    /// It has not forwarded the trailers.
    trailers: bool,
    /// The bytes that the host buffers: the filter has seen them, unless all is paused.
    buffer: Vec<u8>,
    /// The end of the body came with them.
    has_end: bool,
    /// The filter can read all the bytes that are buffered.
    is_readable: bool,
}

impl Stage {
    const fn new(context: u32) -> Self {
        Self {
            context,
            paused: Paused::Nothing,
            headers: false,
            data: false,
            trailers: false,
            buffer: Vec::new(),
            has_end: false,
            is_readable: false,
        }
    }

    /// Takes out the buffered bytes, to forward them.
    fn take_buffer(&mut self) -> Vec<u8> {
        (self.data, self.is_readable) = (false, false);
        std::mem::take(&mut self.buffer)
    }
}

/// One message in the filter chain.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) which: Which,
    /// The message ends with its headers.
    pub(super) only_headers: bool,
    /// There are trailers, from their sender or from a filter.
    has_trailers: bool,
    /// In the order in which the message passes them.
    stages: Vec<Stage>,
    /// The bytes of the body that all filters have forwarded.
    pub(super) forwarded: Vec<u8>,
}

pub(super) const fn body_phase(which: Which, end_of_stream: bool) -> Phase {
    match which {
        Which::Request => Phase::RequestBody { end_of_stream },
        Which::Response => Phase::ResponseBody { end_of_stream },
    }
}

impl Chain {
    /// A message that has not come to the first of these contexts.
    pub(super) fn new(which: Which, contexts: Vec<u32>, only_headers: bool) -> Self {
        let stages = contexts.into_iter().map(Stage::new).collect();
        Self { which, only_headers, has_trailers: false, stages, forwarded: Vec::new() }
    }

    /// The headers come to the first filter.
    pub(super) fn headers(&mut self, contexts: &mut Contexts) -> Result<(), Ended> {
        self.headers_from(contexts, 0)
    }

    /// A chunk of the body comes to the first filter.
    pub(super) fn data(&mut self, contexts: &mut Contexts, bytes: Vec<u8>, end: bool) -> Result<(), Ended> {
        self.data_from(contexts, 0, bytes, end, None)
    }

    /// The trailers come to the first filter.
    pub(super) fn trailers(&mut self, contexts: &mut Contexts, map: Map) -> Result<(), Ended> {
        contexts.with_side(self.which, |side| side.trailers.put(map));
        self.has_trailers = true;
        self.trailers_from(contexts, 0, None)
    }

    /// Resumes the filters that have continued the message outside of its callbacks. Whether
    /// anything was forwarded.
    pub(super) fn resume_continued(&mut self, contexts: &mut Contexts) -> Result<bool, Ended> {
        let mut resumed = false;
        for context in contexts.with_side(self.which, |side| std::mem::take(&mut side.continued)) {
            if let Some(index) = self.stages.iter().position(|stage| stage.context == context) {
                resumed |= self.resume(contexts, index)?;
            }
        }
        Ok(resumed)
    }

    /// The bytes that the host buffers.
    pub(super) fn buffered(&self) -> usize {
        self.stages.iter().map(|stage| stage.buffer.len()).sum()
    }

    /// Whether no filter pauses the message.
    pub(super) fn is_free(&self) -> bool {
        self.stages.iter().all(|stage| stage.paused == Paused::Nothing)
    }

    /// Whether a filter pauses all that comes.
    pub(super) fn is_closed(&self) -> bool {
        self.stages.iter().any(|stage| stage.paused == Paused::All)
    }

    /// Waits for the next event between the parts of the message, and no longer than until this
    /// time. The data that is buffered for a filter is available to it in its callback. Returns
    /// whether there was one.
    pub(super) async fn next_event(
        &mut self,
        contexts: &Contexts,
        progress: &Progress,
        complete: bool,
        until: Duration,
    ) -> bool {
        let (shown, phase) = self.expose(contexts, complete);
        contexts.set_phase(phase);
        let happened = progress.next_event(until).await;
        contexts.set_phase(Phase::Idle);
        self.conceal(contexts, shown);
        happened
    }

    /// Runs callbacks between the parts of the message. The data that is buffered for a filter is
    /// available to it there.
    pub(super) fn between<T>(
        &mut self,
        contexts: &mut Contexts,
        complete: bool,
        body: impl FnOnce(&mut Contexts) -> T,
    ) -> T {
        let (shown, phase) = self.expose(contexts, complete);
        contexts.set_phase(phase);
        let result = body(contexts);
        contexts.set_phase(Phase::Idle);
        self.conceal(contexts, shown);
        result
    }

    /// Makes what is buffered for a filter available to it until [`conceal`](Self::conceal).
    /// Returns which filter's it is, and the phase of the stream meanwhile.
    pub(super) fn expose(&mut self, contexts: &Contexts, complete: bool) -> (Option<usize>, Phase) {
        let available = |stage: &Stage| stage.paused == Paused::Part && stage.data && (stage.is_readable || complete);
        let mut buffers = (0..self.stages.len()).filter(|index| self.stages.get(*index).is_some_and(available));
        let shown = buffers.next();
        if buffers.next().is_some() {
            contexts.violation(
                Rule::NotPlayed,
                "the embedded host does not play two filters that buffer chunks of one body at the same time: test them in Envoy",
            );
        }
        if let Some(index) = shown {
            self.show_body(contexts, index);
        }
        let pauses_end = |stage: &Stage| stage.paused == Paused::Part && stage.data && stage.has_end;
        let ending = complete && !self.has_trailers && self.stages.iter().any(pauses_end);
        (shown, if ending { body_phase(self.which, true) } else { Phase::Idle })
    }

    /// Takes back what [`expose`](Self::expose) made available.
    pub(super) fn conceal(&mut self, contexts: &Contexts, shown: Option<usize>) {
        if let Some(index) = shown {
            self.take_body(contexts, index);
        }
    }

    fn stage(&mut self, index: usize) -> Option<&mut Stage> {
        self.stages.get_mut(index)
    }

    /// Forwards headers, from this filter on, until one pauses them. They stay in the side, and
    /// are not available to filters that have forwarded them.
    fn headers_from(&mut self, contexts: &mut Contexts, from: usize) -> Result<(), Ended> {
        let which = self.which;
        for index in from..self.stages.len() {
            let Some(stage) = self.stages.get_mut(index) else { break };
            let context = stage.context;
            if which == Which::Request {
                contexts.create(context);
            }
            contexts.with_side(which, |side| side.headers.show_to(context));
            let paused = headers_of_context(contexts, which, context, self.only_headers)?;
            if paused != Paused::Nothing {
                (stage.paused, stage.headers) = (paused, true);
                return Ok(());
            }
            contexts.with_side(which, |side| side.headers.hide_from(context));
        }
        if which == Which::Response {
            let refused =
                contexts.with_side(which, |side| side.headers.value.as_ref().and_then(codec::refuse_response));
            if let Some(reply) = refused {
                return Err(Ended::Reply(reply));
            }
        }
        contexts.with_side(which, |side| {
            // Filters that have paused response headers still reach what was forwarded, and change
            // it in vain.
            side.sent = side.headers.value.clone().filter(|_| side.headers.is_in_reach());
            side.gone = true;
        });
        match which {
            Which::Request => upstream::route(contexts),
            Which::Response => {
                self.note_forwarded(contexts);
                Ok(())
            }
        }
    }

    /// Forwards a chunk of the body, from this filter on, until one pauses it. `resumed` is the
    /// filter whose pause of everything ends now.
    fn data_from(
        &mut self,
        contexts: &mut Contexts,
        from: usize,
        bytes: Vec<u8>,
        end: bool,
        resumed: Option<usize>,
    ) -> Result<(), Ended> {
        let (which, mut data, mut end, mut added) = (self.which, bytes, end, None);
        // Whether trailers that were added to a response are lost if a later filter keeps the body.
        let mut fragile = false;
        for index in from..self.stages.len() {
            let Some(stage) = self.stage(index) else { break };
            if stage.paused == Paused::All {
                stage.buffer.append(&mut data);
                (stage.data, stage.has_end) = (true, end);
                return self.added_trailers(contexts, added, resumed);
            }
            let readable = stage.is_readable;
            let new = std::mem::take(&mut data);
            let visible = if readable { [std::mem::take(&mut stage.buffer), new].concat() } else { new };
            let (body, decision) = data_of_context(contexts, which, stage.context, visible, readable, end)?;
            match decision {
                Data::Continue => {
                    stage.buffer.extend_from_slice(&body);
                    data = stage.take_buffer();
                    let paused = stage.paused == Paused::Part;
                    self.release(contexts, index)?;
                    if end && !self.has_trailers && has_trailers(contexts, which) {
                        (self.has_trailers, end) = (true, false);
                        // Envoy 1.40 calls the next filters twice for those of a request, if this
                        // filter has paused the body before.
                        let times = if paused && which == Which::Request { 2 } else { 1 };
                        // It calls a filter that it resumes for the trailers of that filter, too.
                        let next = if resumed == Some(index) { index } else { index + 1 };
                        added = Some((next, times));
                        fragile = !paused && which == Which::Response;
                    }
                    continue;
                }
                decision @ (Data::Buffer | Data::Watermark) => {
                    stage.buffer.extend_from_slice(&body);
                    stage.is_readable = matches!(decision, Data::Buffer);
                }
                Data::Drop => {
                    if readable {
                        stage.buffer = body;
                    }
                    stage.is_readable = false;
                }
            }
            (stage.paused, stage.data, stage.has_end) = (Paused::Part, true, end);
            if stage.buffer.len() > contexts.buffer_limit() {
                return Err(match which {
                    Which::Request => Ended::Reply(wire::payload_too_large()),
                    Which::Response => Ended::Closed,
                });
            }
            if fragile {
                // Envoy 1.40 calls no filter for the trailers: this filter sees no end of the body,
                // and keeps it.
                return Ok(());
            }
            return self.added_trailers(contexts, added, resumed);
        }
        self.forwarded.append(&mut data);
        if which == Which::Response {
            self.note_forwarded(contexts);
        }
        self.added_trailers(contexts, added, resumed)
    }

    /// A filter has added trailers at the end of the body: they come to the later ones.
    fn added_trailers(
        &mut self,
        contexts: &mut Contexts,
        added: Option<(usize, u32)>,
        resumed: Option<usize>,
    ) -> Result<(), Ended> {
        let (from, times) = added.unwrap_or_default();
        (0..times).try_for_each(|_| {
            self.trailers_from(contexts, from, resumed)?;
            if self.is_free() {
                // What a second call edits is edited in vain.
                contexts.with_side(self.which, |side| {
                    side.sent_trailers = side.sent_trailers.take().or_else(|| side.trailers.value.clone());
                });
            }
            Ok(())
        })
    }

    /// Forwards the trailers, from this filter on, until one pauses them. `resumed` is the filter
    /// whose pause of everything ends now.
    fn trailers_from(&mut self, contexts: &mut Contexts, from: usize, resumed: Option<usize>) -> Result<(), Ended> {
        let which = self.which;
        let phase = match which {
            Which::Request => Phase::RequestTrailers,
            Which::Response => Phase::ResponseTrailers,
        };
        for index in from..self.stages.len() {
            let Some(stage) = self.stage(index) else { break };
            if stage.paused == Paused::All {
                stage.trailers = true;
                return Ok(());
            }
            // What is buffered for the filter is available; after another kind of pause, an empty
            // buffer is, which is not sent.
            let (context, paused) = (stage.context, stage.paused == Paused::Part);
            let count = contexts.with_side(which, |side| {
                side.trailers.show_to(context);
                side.trailers.value.as_ref().map_or(0, Map::len)
            });
            if paused {
                self.show_body(contexts, index);
            }
            let called = contexts.callback(context, phase, &which.name("trailers"), &[count]);
            if paused {
                self.take_body(contexts, index);
            }
            let continued = take_continued(contexts, which, context);
            let raw = called?;
            if continued && raw == 0 && which == Which::Response {
                resumed_in_callback(contexts, which, "trailers");
            }
            let Some(stage) = self.stage(index) else { break };
            if raw != 0 && !continued {
                (stage.paused, stage.trailers) = (Paused::Part, true);
                return Ok(());
            }
            let data = stage.take_buffer();
            contexts.with_side(which, |side| side.trailers.hide_from(context));
            self.release(contexts, index)?;
            match resumed {
                // Envoy 1.40 calls the filter again for both.
                Some(filter) if filter == index && continued => {
                    if !data.is_empty() {
                        self.data_from(contexts, index, data, false, None)?;
                    }
                    return self.trailers_from(contexts, index, None);
                }
                Some(filter) if filter == index && !data.is_empty() => {
                    lost_body(contexts, which);
                    return self.trailers_from(contexts, index, None);
                }
                _ if data.is_empty() => {}
                _ => self.data_from(contexts, index + 1, data, false, None)?,
            }
        }
        Ok(())
    }

    /// A filter pauses nothing any more: headers that it paused are forwarded.
    fn release(&mut self, contexts: &mut Contexts, index: usize) -> Result<(), Ended> {
        let Some(stage) = self.stage(index) else { return Ok(()) };
        let (all, context) = (stage.paused == Paused::All, stage.context);
        stage.paused = Paused::Nothing;
        if !std::mem::take(&mut stage.headers) {
            return Ok(());
        }
        // Response headers that were paused stay available, although they were forwarded.
        if self.which == Which::Request || !all {
            contexts.with_side(self.which, |side| side.headers.hide_from(context));
        }
        self.headers_from(contexts, index + 1)
    }

    /// A filter has continued the message: the parts that it paused are forwarded, through the
    /// filter itself if it has not seen them. Whether there were any.
    ///
    /// Envoy has one buffer for all filters, and calls the later ones for all that is in it: also
    /// for what they have seen already, and paused.
    fn resume(&mut self, contexts: &mut Contexts, index: usize) -> Result<bool, Ended> {
        let Some((before, [stage, after @ ..])) = self.stages.split_at_mut_checked(index) else { return Ok(false) };
        if stage.paused == Paused::Nothing {
            return Ok(false);
        }
        if before.iter().any(|stage| stage.paused == Paused::Part && !stage.buffer.is_empty()) {
            contexts.violation(
                Rule::SharedBuffer,
                "a filter continued a message of which another filter, before it, holds the body: Envoy 1.40 has one buffer for both, and lets \
                 go what the other one holds",
            );
        }
        let later = after.iter_mut().filter(|stage| stage.paused == Paused::Part);
        let later: Vec<u8> = later.flat_map(|stage| std::mem::take(&mut stage.buffer)).collect();
        let next = if stage.paused == Paused::All { index } else { index + 1 };
        let (data, trailers, mut end) = (stage.data, std::mem::take(&mut stage.trailers), stage.has_end);
        let bytes = [later, stage.take_buffer()].concat();
        self.release(contexts, index)?;
        let added = end && next > index && !self.has_trailers && has_trailers(contexts, self.which);
        if added {
            (self.has_trailers, end) = (true, false);
        }
        let resumed = (next == index).then_some(index);
        if (data && end) || !bytes.is_empty() {
            self.data_from(contexts, next, bytes, end, resumed)?;
        }
        if trailers || added {
            self.trailers_from(contexts, next, resumed)?;
        }
        Ok(true)
    }

    /// Makes what is buffered for a filter available to it.
    fn show_body(&mut self, contexts: &Contexts, index: usize) {
        let which = self.which;
        let Some(stage) = self.stage(index) else { return };
        let visible = if stage.is_readable { std::mem::take(&mut stage.buffer) } else { Vec::new() };
        contexts.with_side(which, |side| {
            side.body.show(visible, stage.context);
            side.holds_body = true;
        });
    }

    /// Takes back what [`Self::show_body`] made available.
    fn take_body(&mut self, contexts: &Contexts, index: usize) {
        let body = contexts.with_side(self.which, |side| {
            side.holds_body = false;
            side.body.take().unwrap_or_default()
        });
        if let Some(stage) = self.stage(index).filter(|stage| stage.is_readable) {
            stage.buffer = body;
        }
    }

    /// All filters have forwarded a part.
    fn note_forwarded(&self, contexts: &Contexts) {
        let now = contexts.now();
        contexts.with_side(self.which, |side| side.forwarded_at = Some(now));
    }
}

/// Calls one context with the headers. What it pauses then.
fn headers_of_context(contexts: &mut Contexts, which: Which, context: u32, end: bool) -> Result<Paused, Ended> {
    let count = contexts.with_side(which, |side| side.headers.value.as_ref().map_or(0, Map::len));
    let phase = match which {
        Which::Request => Phase::RequestHeaders,
        Which::Response => Phase::ResponseHeaders,
    };
    let before = contexts.with_side(which, |side| side.continued.contains(&context));
    let raw = contexts.callback(context, phase, &which.name("headers"), &[count, u32::from(end)])?;
    let continued = take_continued(contexts, which, context);
    if continued && !before {
        let harms = match raw {
            0 | 2 => which == Which::Response,
            1 => !end && !contexts.allows_stop_iteration(),
            _ => !end,
        };
        if harms {
            resumed_in_callback(contexts, which, "headers");
        }
    }
    Ok(match raw {
        // 2 is ContinueAndEndStream, which Envoy treats as Continue.
        0 | 2 => Paused::Nothing,
        _ if continued => Paused::Nothing,
        1 if contexts.allows_stop_iteration() && !end => Paused::Part,
        _ => Paused::All,
    })
}

/// A callback has continued the message that it got a part of, and then decided about it in a way
/// that Envoy carries out a second time, or never.
fn resumed_in_callback(contexts: &Contexts, which: Which, part: &str) {
    let callback = which.name(part);
    contexts.violation(
        Rule::ResumeInCallback,
        format!(
            "proxy_continue_stream in {callback}, for the message of the callback: Envoy 1.40 forwards it twice, cuts it off or \
             crashes. Return Continue instead"
        ),
    );
}

/// A filter has paused a body, and then forwarded its trailers, while a resumption called it for
/// both.
fn lost_body(contexts: &Contexts, which: Which) {
    contexts.violation(
        Rule::LostBody,
        format!(
            "{0} returned Continue for trailers whose body {1} had paused, both while the message was resumed after its headers had been \
             paused: Envoy 1.40 drops the body. Call proxy_continue_stream in {0} and return StopIteration, and Continue when the host \
             calls again for both",
            which.name("trailers"),
            which.name("body")
        ),
    );
}

/// Calls one context with a chunk of the body. What it has made of it, and what it returned.
fn data_of_context(
    contexts: &mut Contexts,
    which: Which,
    context: u32,
    visible: Vec<u8>,
    buffered: bool,
    end: bool,
) -> Result<(Vec<u8>, Data), Ended> {
    if buffered && visible.len() > contexts.buffer_limit() {
        if which == Which::Response {
            return Err(Ended::Closed);
        }
        // Envoy has sent its local reply already when it calls the filter with this chunk.
        contexts.note_local_reply(&wire::payload_too_large());
    }
    let size = u32::try_from(visible.len()).unwrap_or(u32::MAX);
    contexts.with_side(which, |side| side.body.show(visible, context));
    let called = contexts.callback(context, body_phase(which, end), &which.name("body"), &[size, u32::from(end)]);
    let body = contexts.with_side(which, |side| side.body.take().unwrap_or_default());
    let continued = take_continued(contexts, which, context);
    let raw = called?;
    Ok((body, if continued { Data::Continue } else { Data::from_raw(raw) }))
}

/// Whether the context whose callback has run has continued the message in it.
fn take_continued(contexts: &Contexts, which: Which, context: u32) -> bool {
    contexts.with_side(which, |side| {
        let before = side.continued.len();
        side.continued.retain(|other| *other != context);
        side.continued.len() < before
    })
}

fn has_trailers(contexts: &Contexts, which: Which) -> bool {
    contexts.with_side(which, |side| side.trailers.value.is_some())
}
