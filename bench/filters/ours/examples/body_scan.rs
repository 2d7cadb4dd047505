//! Searches the response's body for a word, chunk by chunk.

use memchr::memmem;
use proxy_filter::log;
use proxy_filter::prelude::*;

#[derive(Default)]
struct BodyScan;

#[proxy_filter::filter]
impl Context for BodyScan {
    fn on_response_body(&mut self, body: &mut ResponseBody, _: bool) -> Result<FilterDataStatus> {
        if memmem::find(&body.to_bytes()?, b"forbidden").is_some() {
            log::info!("a forbidden word");
        }
        Ok(FilterDataStatus::Continue)
    }
}
