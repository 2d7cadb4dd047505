//! Two filters in one module.

use proxy_filter::prelude::*;

mod stamp {
    use proxy_filter::prelude::*;

    #[derive(Default)]
    pub(crate) struct Root {
        stamp: String,
    }

    #[proxy_filter::root(root_id = "stamp")]
    impl RootContext for Root {
        type Context = Stream;

        fn on_configure(&mut self, configuration: Configuration) -> Result<()> {
            self.stamp = String::from_utf8(configuration.bytes()?)?;
            Ok(())
        }

        fn new_context(&self) -> Stream {
            Stream { stamp: self.stamp.clone() }
        }
    }

    pub(crate) struct Stream {
        stamp: String,
    }

    #[proxy_filter::context]
    impl Context for Stream {
        fn on_response_headers(
            &mut self,
            response: &mut ResponseHeaders,
            _end_of_stream: bool,
        ) -> Result<FilterHeadersStatus> {
            response.add("x-stamp", &self.stamp)?;
            Ok(FilterHeadersStatus::Continue)
        }
    }
}

#[derive(Default)]
struct Deny;

#[proxy_filter::root(root_id = "deny")]
impl RootContext for Deny {
    type Context = DenyStream;

    fn new_context(&self) -> DenyStream {
        DenyStream
    }
}

struct DenyStream;

#[proxy_filter::context]
impl Context for DenyStream {
    fn on_request_headers(
        &mut self,
        request: &mut RequestHeaders,
        _end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        request.reply(LocalReply::new(403).body("denied\n"))
    }
}

proxy_filter::module!(stamp::Root, Deny);
