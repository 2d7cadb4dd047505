//! JSON bodies, read while they pass: events, or the values at some paths.
//!
//! ```
//! use proxy_filter_kit::json::{Extractor, Value};
//!
//! let mut extractor = Extractor::new(["/model", "/messages/*/role"], 256).unwrap();
//! let mut found = Vec::new();
//! let body = br#"{"model": "m-1", "messages": [{"role": "user", "content": "a long text"}, {"role": "tool"}]}"#;
//! for chunk in body.chunks(5) {
//!     extractor
//!         .push(chunk, |path, value| {
//!             if let Value::Text(text) = value {
//!                 found.push((path, text.value.to_owned()));
//!             }
//!         })
//!         .unwrap();
//! }
//! extractor.finish(|_, _| {}).unwrap();
//! assert_eq!(found, [(0, "m-1".to_owned()), (1, "user".to_owned()), (1, "tool".to_owned())]);
//! ```
//!
//! Neither stores the body. The memory is that of one name or text up to a maximum, and of 128
//! levels. A longer text is reported up to the maximum, and a deeper body is refused.
//!
//! Source: RFC 8259.

mod extract;
mod read;

pub use extract::{Extractor, PathError};
pub use read::{Event, JsonError, Reader, Text, Value};
