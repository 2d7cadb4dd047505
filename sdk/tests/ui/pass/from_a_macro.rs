//! The author's own macro writes the filter, with captures that rustc groups invisibly.
#![deny(warnings, missing_docs, missing_debug_implementations, unreachable_pub, unused)]
#![forbid(unsafe_code)]

use proxy_filter::prelude::*;

macro_rules! filter {
    ($Root:ident, $Stream:ident, $path:path, $type:ty, $id:literal, $result:ty) => {
        #[derive(Default)]
        struct $Root;

        #[proxy_filter::root(root_id = $id)]
        impl RootContext for $Root {
            type Context = $type;

            fn new_context(&self) -> $type {
                $Stream
            }
        }

        struct $Stream;

        #[proxy_filter::context]
        impl $path for $Stream {
            fn on_log(&mut self, _: &LogContext) -> $result {
                Ok(())
            }
        }
    };
}

filter!(Stamp, Stamped, Context, Stamped, "stamp", Result<()>);
filter!(Auth, Authorized, proxy_filter::prelude::Context, crate::Authorized, "auth", Result<(), proxy_filter::Error>);

macro_rules! log {
    () => {
        #[derive(Default)]
        struct Log;

        #[proxy_filter::root(root_id = "log")]
        impl RootContext for Log {
            type Context = $crate::Logged;

            fn new_context(&self) -> Self::Context {
                Logged
            }
        }

        struct Logged;

        #[proxy_filter::context]
        impl Context for Logged {}
    };
}

log!();

macro_rules! module {
    ($($Root:path)*) => {
        proxy_filter::module!($($Root,)* $crate::Log);
    };
}

module!(Stamp crate::Auth);

fn main() {}
