//! Counts requests in every worker, and adds the counts in a singleton service.
//!
//! `reporter` is a filter: it enqueues the host and the status of each request. `collector` is a
//! service on the main thread: it registers the queue, is notified of each item, and counts.

#[cfg(test)]
mod tests;

mod collector;
mod reporter;

/// The name of the queue. It belongs to the `vm_id`, which both plugins have.
const QUEUE: &str = "queue_aggregator.requests";

/// The report about a request.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Report {
    /// The host of the request.
    host: String,
    /// The status of the response; 0 if there was none.
    status: u16,
}

proxy_filter::module!(collector::Collector, reporter::Reporter);
