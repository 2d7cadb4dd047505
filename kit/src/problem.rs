//! Errors as JSON for programs: problem details (RFC 9457).
//!
//! ```
//! use proxy_filter_kit::problem::{CONTENT_TYPE, Problem};
//!
//! let problem = Problem::new(429, "Too many requests").detail("5 a minute").member("limit", 5);
//! assert_eq!(problem.to_json(), r#"{"detail":"5 a minute","limit":5,"status":429,"title":"Too many requests"}"#);
//! // LocalReply::new(429).header("content-type", CONTENT_TYPE).body(problem.to_json())
//! # assert_eq!(CONTENT_TYPE, "application/problem+json");
//! ```

use serde_json::{Map, Value};

/// The media type.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// A problem. Its type is `about:blank` unless [`kind`](Self::kind) sets another one.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem(Map<String, Value>);

impl Problem {
    /// Creates a problem with the status of the response, and a short text that is the same for all
    /// problems of its kind.
    pub fn new(status: u16, title: impl Into<String>) -> Self {
        Self(Map::new()).put("status", status).put("title", title.into())
    }

    /// Sets `type`: a URI that identifies the kind of problem.
    #[must_use]
    pub fn kind(self, uri: impl Into<String>) -> Self {
        self.put("type", uri.into())
    }

    /// Sets `detail`: the fault of this request. Text of a client is escaped, so that it cannot end
    /// the JSON string.
    #[must_use]
    pub fn detail(self, detail: impl Into<String>) -> Self {
        self.put("detail", detail.into())
    }

    /// Sets `instance`: a URI that identifies this occurrence, such as a request id.
    #[must_use]
    pub fn instance(self, uri: impl Into<String>) -> Self {
        self.put("instance", uri.into())
    }

    /// Adds an extension member. Members of the standard have their own methods, and are not
    /// changed.
    #[must_use]
    pub fn member(self, name: &str, value: impl Into<Value>) -> Self {
        if ["type", "status", "title", "detail", "instance"].contains(&name) { self } else { self.put(name, value) }
    }

    /// Returns the status of the response.
    pub fn status(&self) -> u16 {
        self.0.get("status").and_then(|status| u16::try_from(status.as_u64()?).ok()).unwrap_or(500)
    }

    /// Returns the body of the response.
    pub fn to_json(&self) -> String {
        Value::Object(self.0.clone()).to_string()
    }

    fn put(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc_is_written() {
        // RFC 9457, section 3
        let problem = Problem::new(403, "You do not have enough credit.")
            .kind("https://example.com/probs/out-of-credit")
            .detail("Your current balance is 30, but that costs 50.")
            .instance("/account/12345/msgs/abc")
            .member("balance", 30)
            .member("status", 200);
        let expected = serde_json::json!({
            "type": "https://example.com/probs/out-of-credit", "title": "You do not have enough credit.", "status": 403,
            "detail": "Your current balance is 30, but that costs 50.", "instance": "/account/12345/msgs/abc", "balance": 30
        });
        assert_eq!(serde_json::from_str::<Value>(&problem.to_json()).unwrap(), expected);
        assert_eq!(problem.status(), 403);
    }

    #[test]
    fn text_of_a_client_stays_within_its_string() {
        let all: String = (0..0x250).filter_map(char::from_u32).collect();
        let json = Problem::new(400, all.as_str()).detail("\",\"status\":200,\"").to_json();
        let read: Value = serde_json::from_str(&json).unwrap();
        assert_eq!((read["title"].as_str(), &read["status"]), (Some(all.as_str()), &Value::from(400)));
        assert!(json.bytes().all(|byte| byte >= b' '));
    }
}
