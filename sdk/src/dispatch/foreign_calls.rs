//! Foreign functions of the host that call back.

use super::stream::LifeOf;
use super::{Life, NewContext, Runtime};
use crate::abi::BufferType;
use crate::buffer;
use crate::error::Result;
use crate::runtime::{Callback, current, edit};
use std::cell::Cell;

thread_local! {
    /// Calls for contexts that were in a callback: the host made them inside of it.
    static MISSED: Cell<Vec<ForeignCall>> = const { Cell::new(Vec::new()) };
}

struct ForeignCall {
    context_id: u32,
    function_id: u32,
    arguments: Result<Vec<u8>>,
}

impl<R: NewContext> Runtime<R> {
    /// `proxy_on_foreign_function`, of a root context or a stream.
    pub fn on_foreign_function(&self, context_id: u32, function_id: u32, arguments_size: u32) {
        // Now, or never: the host has them during this callback only.
        let arguments = buffer::whole(BufferType::FOREIGN_FUNCTION_ARGUMENTS, arguments_size);
        let call = ForeignCall { context_id, function_id, arguments };
        self.foreign_call(call);
        current::inside(|| self.after_root_callback(context_id));
    }

    /// Whether a callback of this context runs.
    pub(super) fn is_busy(&self, context_id: u32) -> bool {
        match self.streams.get(context_id) {
            Some(stream) => stream.is_busy(),
            None => self.root(context_id).is_some_and(super::root::Root::is_busy),
        }
    }

    fn foreign_call(&self, call: ForeignCall) {
        let ForeignCall { context_id: id, function_id, .. } = call;
        let stream = self.streams.get(id);
        if self.is_busy(id) {
            return MISSED.with(|cell| edit(cell, |missed| missed.push(call)));
        }
        current::inside(|| match stream {
            Some(_) => self.observe(Callback::FOREIGN_FUNCTION, id, |context| {
                LifeOf::<R>::foreign_function(context, function_id, call.arguments?)
            }),
            None => self
                .notify(Callback::FOREIGN_FUNCTION, id, |root| root.on_foreign_function(function_id, call.arguments?)),
        });
    }

    /// Makes up for the calls that a context has missed because it was in a callback, which is over now.
    #[inline]
    pub(super) fn make_up(&self) {
        if !R::FOREIGN {
            return;
        }
        for call in MISSED.take() {
            self.foreign_call(call);
        }
    }
}
