//! Whatever Rust allows in such an impl, the attributes read over it.
#![deny(warnings, missing_docs, missing_debug_implementations, unreachable_pub, unused)]
#![forbid(unsafe_code)]

use proxy_filter::prelude::{self as filter, *};
use std::collections::HashMap;

/// A root.
#[derive(Default)]
struct r#Stamp {
    handlers: HashMap<u8, Vec<fn(&str) -> Option<Result<u8>>>>,
}

#[doc = "nested [groups] {of} (attributes)"]
#[allow(dead_code, clippy::all, reason = "with #[cfg(none)] in a string")]
#[proxy_filter::root]
#[cfg_attr(all(), allow(non_camel_case_types, reason = "it is a test"))]
impl filter::RootContext for r#Stamp
where
    [u8; 1 + { 1 }]: Sized,
    for<'a> fn(&'a u8) -> &'a u8: Copy,
{
    /// A doc comment on `type Context`.
    type Context
        = self::r#yield
    where
        Vec<fn() -> u8>: Sized;

    #[inline]
    #[doc(alias = "fn on_start(&mut self)")]
    fn on_done<'a>(&'a mut self) -> bool {
        // An item inside of a callback is not a callback.
        fn on_start<const N: usize>(_: [u8; N]) -> usize {
            N
        }
        struct Nested<const N: usize = { 1 << 2 }>([u8; N]);
        impl<const N: usize> Nested<N> {
            fn on_configure(&self) -> bool {
                N > 0 && self.0.len() >= N
            }
        }
        on_start([0; 2]) == 2 && Nested::<4>([0; 4]).on_configure() && self.handlers.is_empty()
    }

    fn new_context(&self) -> <Self as RootContext>::Context {
        r#yield { next: None }
    }
}

#[expect(non_camel_case_types, reason = "it is a test")]
struct r#yield {
    next: Option<Box<dyn FnMut(&mut r#yield) -> bool>>,
}

#[proxy_filter::context]
impl ::proxy_filter::prelude::Context for r#yield {
    fn on_create(self: &mut Self) -> Result<()> {
        let next = self.next.take().map(|mut next| next(self) && 1 < 2);
        let _ = (next, 1 >> 2, || -> u8 { 3 });
        Ok(())
    }

    #[cfg_attr(any(), doc = "not there")]
    fn on_request_headers(
        &mut self,
        #[allow(unused_variables)] RequestHeaders { .. }: &mut RequestHeaders,
        (true | false): bool,
    ) -> Result<FilterHeadersStatus, proxy_filter::Error> {
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_response_headers(
        &mut self,
        _: &mut ResponseHeaders,
        _: bool,
    ) -> std::result::Result<FilterHeadersStatus, <Failure<{ 1 + 1 }> as Fails>::Error> {
        Ok(FilterHeadersStatus::Continue)
    }
}

struct Failure<const N: usize>;

trait Fails {
    type Error;
}

impl<const N: usize> Fails for Failure<N> {
    type Error = proxy_filter::Error;
}

fn main() {
    let names: Vec<_> = crate::__proxy_filter::module().exports.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        [
            "proxy_abi_version_0_2_1",
            "_initialize",
            "proxy_on_context_create",
            // These two refuse connections: the plugin belongs into another chain.
            "proxy_on_new_connection",
            "proxy_on_downstream_data",
            "proxy_on_request_headers",
            "proxy_on_response_headers",
            "proxy_on_done",
            "proxy_on_delete",
        ]
    );
}
