//! Whatever bytes a host answers with: no panic, and a header map yields exactly the pairs it says
//! it has.
//!
//! `cargo +nightly fuzz run host_bytes` in the repository root.

#![no_main]

use libfuzzer_sys::fuzz_target;
use proxy_filter::prelude::*;
use proxy_filter::sys::{self, HostFunctions};
use proxy_filter::{Status, property};
use std::rc::Rc;

/// Answers every read with the same bytes.
struct Host(Vec<u8>);

impl HostFunctions for Host {
    fn proxy_get_header_map_pairs(&self, _: u32) -> Result<Vec<u8>, Status> {
        Ok(self.0.clone())
    }

    fn proxy_get_header_map_value(&self, _: u32, _: &[u8]) -> Result<Vec<u8>, Status> {
        Ok(self.0.clone())
    }

    fn proxy_get_buffer_bytes(&self, _: u32, _: u32, _: u32) -> Result<Vec<u8>, Status> {
        Ok(self.0.clone())
    }

    fn proxy_get_property(&self, _: &[u8]) -> Result<Vec<u8>, Status> {
        Ok(self.0.clone())
    }
}

#[derive(Default)]
struct Root;

#[proxy_filter::root]
impl RootContext for Root {
    type Context = Stream;

    fn on_configure(&mut self, configuration: Configuration) -> Result<()> {
        let _ = configuration.json::<Vec<Option<(String, u8)>>>();
        Ok(())
    }

    fn new_context(&self) -> Stream {
        Stream
    }
}

struct Stream;

#[proxy_filter::context]
impl Context for Stream {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _end_of_stream: bool) -> Result<FilterHeadersStatus> {
        if let Ok(pairs) = request.pairs() {
            assert_eq!(pairs.iter().count(), pairs.len());
            let _ = request.set_pairs(&pairs);
            let _ = format!("{pairs:?}");
        }
        if let Some(value) = request.path()? {
            let _ = value.to_string();
        }
        let _ = request.get_all("x")?.iter().count();
        let _ = property::get(&["x"])?;
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_response_headers(&mut self, response: &mut ResponseHeaders, _end_of_stream: bool) -> Result<FilterHeadersStatus> {
        let _ = response.status()?;
        Ok(FilterHeadersStatus::Continue)
    }
}

fuzz_target!(|bytes: &[u8]| {
    sys::install(Some(Rc::new(Host(bytes.to_vec()))));
    let call = |name: &str, arguments: [u32; 5]| {
        let module = __proxy_filter::module();
        if let Some((_, export)) = module.exports.iter().find(|(export, _)| *export == name) {
            export(arguments);
        }
    };
    call("proxy_on_context_create", [1, 0, 0, 0, 0]);
    call("proxy_on_configure", [1, u32::try_from(bytes.len()).unwrap_or(u32::MAX), 0, 0, 0]);
    call("proxy_on_context_create", [2, 1, 0, 0, 0]);
    call("proxy_on_request_headers", [2, 1, 1, 0, 0]);
    call("proxy_on_response_headers", [2, 1, 1, 0, 0]);
    call("proxy_on_delete", [2, 0, 0, 0, 0]);
    call("proxy_on_delete", [1, 0, 0, 0, 0]);
});
