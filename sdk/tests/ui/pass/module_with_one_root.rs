//! One root with a root_id, which the host must then name. A body can end in another callback, so
//! the module needs more exports.
#![deny(warnings, missing_docs, missing_debug_implementations, unreachable_pub, unused)]
#![forbid(unsafe_code)]

mod filter {
    use proxy_filter::prelude::*;

    #[derive(Default)]
    pub(super) struct Stamp;

    #[proxy_filter::root(root_id = "stamp")]
    impl RootContext for Stamp {
        type Context = Stamped;

        fn on_configure(&mut self, _: Configuration) -> Result<()> {
            Ok(())
        }

        fn new_context(&self) -> Stamped {
            Stamped
        }
    }

    pub(super) struct Stamped;

    #[proxy_filter::context]
    impl Context for Stamped {
        fn on_delete(&mut self) -> Result<()> {
            Ok(())
        }

        fn on_response_body(&mut self, _: &mut ResponseBody, _: bool) -> Result<FilterDataStatus> {
            Ok(FilterDataStatus::Continue)
        }
    }
}

proxy_filter::module!(filter::Stamp,);

fn main() {
    let names: Vec<_> = crate::__proxy_filter::module().exports.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        [
            "proxy_abi_version_0_2_1",
            "_initialize",
            "proxy_on_vm_start",
            "proxy_on_configure",
            "proxy_on_context_create",
            // These two refuse connections: the plugin belongs into another chain.
            "proxy_on_new_connection",
            "proxy_on_downstream_data",
            "proxy_on_response_headers",
            "proxy_on_response_body",
            "proxy_on_response_trailers",
            "proxy_on_delete",
        ]
    );
}
