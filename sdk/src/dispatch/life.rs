//! What the contexts of requests and of connections have in common: their life, and what a failure means to them.

use crate::context::Context;
use crate::error::Result;
use crate::filter_status::FailurePolicy;
use crate::log_context::LogContext;
use crate::tcp::StreamContext;

/// The callbacks that every context of a stream has, whichever trait they are from.
pub trait Life<C> {
    /// `on_create`.
    fn create(context: &mut C) -> Result<()>;
    /// `on_done`.
    fn done(context: &mut C) -> Result<()>;
    /// `on_log`.
    fn log(context: &mut C) -> Result<()>;
    /// `on_delete`.
    fn delete(context: &mut C) -> Result<()>;
    /// `on_foreign_function`.
    fn foreign_function(context: &mut C, function_id: u32, arguments: Vec<u8>) -> Result<()>;
    /// `failure_policy`, or `response_failure_policy`.
    fn failure_policy(context: &C, of_response: bool) -> FailurePolicy;
}

/// Contexts that implement [`Context`].
#[derive(Debug)]
pub enum Http {}

/// Contexts that implement [`StreamContext`].
#[derive(Debug)]
pub enum Tcp {}

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
