//! A filter in Rust for `wasm32-wasip1`, where the standard library has a clock, random bytes, an
//! environment and an output. `../README.md` says what it does.

use proxy_filter::prelude::*;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::time::{Instant, SystemTime};

/// The plugin.
#[derive(Debug, Default)]
pub struct Root;

#[proxy_filter::root]
impl RootContext for Root {
    type Context = Stream;

    fn on_start(&mut self, _configuration: VmConfiguration) -> Result<()> {
        // The keys of maps are random.
        assert_ne!(RandomState::new().hash_one(1), RandomState::new().hash_one(2), "no random bytes");
        let first = Instant::now();
        assert!(Instant::now() >= first, "no clock");
        assert!(SystemTime::UNIX_EPOCH.elapsed().is_ok_and(|elapsed| elapsed.as_secs() > 1_600_000_000), "no clock");
        println!("Rust starts");
        Ok(())
    }

    fn on_configure(&mut self, configuration: Configuration) -> Result<()> {
        println!("configured with {}", String::from_utf8_lossy(&configuration.bytes()?));
        Ok(())
    }

    fn new_context(&self) -> Stream {
        Stream { notes: HashMap::new() }
    }
}

/// One request and its response.
#[derive(Debug)]
pub struct Stream {
    notes: HashMap<&'static str, String>,
}

#[proxy_filter::context]
impl Context for Stream {
    fn on_request_headers(
        &mut self,
        request: &mut RequestHeaders,
        _end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        assert!(request.path()?.is_none_or(|path| path != "/fail"), "no way on");
        let name = request.get("x-name")?.map(|name| String::from_utf8_lossy(name.as_bytes()).into_owned());
        let greeting = std::env::var("GREETING").unwrap_or_else(|_| "nothing".into());
        self.notes.insert("greeting", format!("{greeting} {}", name.unwrap_or_default()));
        request.add("x-greeting", self.notes.get("greeting").map_or("", String::as_str))?;
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_request_body(&mut self, body: &mut RequestBody, _end_of_stream: bool) -> Result<FilterDataStatus> {
        // One write is one line of the log, and `eprintln!` writes in parts.
        let line = format!("{} bytes\n", body.len());
        std::io::stderr().write_all(line.as_bytes()).map_err(Error::other)?;
        Ok(FilterDataStatus::Continue)
    }

    fn on_response_headers(
        &mut self,
        response: &mut ResponseHeaders,
        _end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        response.add("x-language", "Rust")?;
        Ok(FilterHeadersStatus::Continue)
    }
}
