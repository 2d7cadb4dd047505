//! A filter without state is not told of the life of its streams, wherever its context is.
#![deny(warnings, missing_docs, missing_debug_implementations, unreachable_pub, unused)]
#![forbid(unsafe_code)]

use proxy_filter::prelude::*;

#[derive(Default)]
struct Stamp {
    _never_made: Option<String>,
}

#[proxy_filter::root]
impl RootContext for Stamp {
    type Context = self::streams::Stamped;

    #[inline]
    fn new_context(&self) -> Self::Context {
        // A comment is no code.
        self::streams::Stamped
    }
}

mod streams {
    use proxy_filter::prelude::*;

    pub(super) struct Stamped;

    #[proxy_filter::context]
    impl Context for Stamped {
        fn on_request_trailers(&mut self, _: &mut RequestTrailers) -> Result<FilterTrailersStatus> {
            Ok(FilterTrailersStatus::Continue)
        }

        fn on_response_metadata(&mut self, _: u32) -> Result<()> {
            Ok(())
        }

        fn on_log(&mut self, _: &LogContext) -> Result<()> {
            Ok(())
        }

        fn failure_policy(&self) -> FailurePolicy {
            FailurePolicy::Open
        }
    }
}

fn main() {
    let names: Vec<_> = crate::__proxy_filter::module().exports.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        [
            "proxy_abi_version_0_2_1",
            "_initialize",
            // These two refuse connections: the plugin belongs into another chain.
            "proxy_on_new_connection",
            "proxy_on_downstream_data",
            "proxy_on_request_trailers",
            "proxy_on_response_metadata",
            "proxy_on_log"
        ]
    );
}
