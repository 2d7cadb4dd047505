//! Checks signatures with keys of every form: a guest for scenarios.

use proxy_filter::foreign::{self, Key};
use proxy_filter::prelude::*;

/// A signature and its key.
#[derive(serde::Deserialize)]
struct Case {
    name: String,
    is_der: bool,
    key: Vec<u8>,
    text: String,
    signature: Vec<u8>,
    hash: String,
}

#[derive(Default)]
struct Root;

#[proxy_filter::root]
impl RootContext for Root {
    type Context = Stream;

    fn on_configure(&mut self, configuration: Configuration) -> Result<()> {
        for case in configuration.json::<Vec<Case>>()? {
            let pem = String::from_utf8_lossy(&case.key);
            let key = if case.is_der { Key::Der(&case.key) } else { Key::Pem(&pem) };
            let verdict = foreign::verify_signature(&case.hash, key, &case.text, &case.signature);
            log::info!("{}: {:?}", case.name, verdict.map_err(|error| error.kind()));
        }
        Ok(())
    }

    fn new_context(&self) -> Stream {
        Stream
    }
}

struct Stream;

#[proxy_filter::context]
impl Context for Stream {}
