//! The filter: one report for each request.

use crate::{QUEUE, Report};
use proxy_filter::prelude::*;
use proxy_filter::shared_data::Json;

/// The number of reported bytes of a host: a name has at most 253 characters, and a port may
/// follow. The host stores reports until the collector reads them, and the collector stores hosts
/// until the next summary. This limit ensures that clients do not choose the size.
const LONGEST_HOST: usize = 260;

/// One request and its response. The `root_id` is `reporter`.
#[derive(Debug, Default)]
pub(crate) struct Reporter;

#[proxy_filter::filter(root_id = "reporter")]
impl Context for Reporter {
    fn on_log(&mut self, log: &LogContext) -> Result<()> {
        // Looked up each time: the collector may start later than this worker, and may restart.
        let Some(queue) = SharedQueue::resolve("", QUEUE)? else {
            log::debug!("no collector has registered the queue");
            return Ok(());
        };
        let mut host = log.request_headers().get(":authority")?.unwrap_or_default().into_bytes();
        host.truncate(LONGEST_HOST);
        host.make_ascii_lowercase();
        let status = log.response_headers().get(":status")?.unwrap_or_default();
        queue.enqueue_value(&Json(Report {
            host: String::from_utf8_lossy(&host).into_owned(),
            status: status.to_str().ok().and_then(|status| status.parse().ok()).unwrap_or(0),
        }))
    }
}
