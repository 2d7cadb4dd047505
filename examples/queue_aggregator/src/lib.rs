//! Counts requests on every worker, and sums them up in a service that runs once.
//!
//! `reporter` is a filter: it puts what it knows of each request into a queue. `collector` is a
//! service on the main thread: it registered the queue, is told of each item, and sums them up.

#[cfg(test)]
mod tests;

mod collector;
mod reporter;

/// The name of the queue. It belongs to the `vm_id`, which both plugins have.
const QUEUE: &str = "queue_aggregator.requests";

/// What is reported of a request.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Report {
    /// The host it was for.
    host: String,
    /// The status of the response, 0 if there was none.
    status: u16,
}

proxy_filter::module!(collector::Collector, reporter::Reporter);
