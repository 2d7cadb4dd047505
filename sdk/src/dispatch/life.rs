//! The callbacks that contexts of requests and of connections share, called on either trait.

use crate::engine::life::{Http, Life, Tcp};
use crate::error::Result;
use crate::error::policy::FailurePolicy;
use crate::http::context::Context;
use crate::http::log_context::LogContext;
use crate::tcp::StreamContext;

macro_rules! life {
    ($kind:ident: $contract:ident, $($log:expr)?, |$context:ident, $of_response:ident| $policy:expr) => {
        impl<C: $contract> Life<C> for $kind {
            #[inline]
            fn create(context: &mut C) -> Result<()> {
                context.on_create()
            }

            #[inline]
            fn done(context: &mut C) -> Result<()> {
                context.on_done()
            }

            #[inline]
            fn log(context: &mut C) -> Result<()> {
                context.on_log($($log)?)
            }

            #[inline]
            fn delete(context: &mut C) -> Result<()> {
                context.on_delete()
            }

            #[inline]
            fn foreign_function(context: &mut C, function_id: u32, arguments: Vec<u8>) -> Result<()> {
                context.on_foreign_function(function_id, arguments)
            }

            #[inline]
            fn failure_policy($context: &C, $of_response: bool) -> FailurePolicy {
                $policy
            }
        }
    };
}

life!(Http: Context, &LogContext::new(), |context, of_response| if of_response {
    context.response_failure_policy()
} else {
    context.failure_policy()
});
life!(Tcp: StreamContext, , |context, _of_response| context.failure_policy());
