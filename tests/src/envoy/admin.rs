//! Envoy's administration interface.

use super::http1;
use crate::message::Request;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;

/// The administration interface of one Envoy.
pub(super) struct Admin {
    address: SocketAddr,
}

impl Admin {
    /// The interface at this address.
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    /// Whether Envoy has loaded its configuration.
    pub(super) fn is_ready(&self) -> bool {
        self.ask("GET", "/ready").is_ok()
    }

    /// The address of the listener, whose port the kernel chose.
    pub(super) fn listener(&self) -> io::Result<SocketAddr> {
        self.listener_whose(|_| true)
    }

    /// The address of the listener with this name.
    pub(super) fn listener_of(&self, name: &str) -> io::Result<SocketAddr> {
        self.listener_whose(|found| found == name)
    }

    fn listener_whose(&self, is_wanted: impl Fn(&str) -> bool) -> io::Result<SocketAddr> {
        // One line a listener: `name::127.0.0.1:40000`, or `name::[::1]:40000`.
        let text = self.ask("GET", "/listeners")?;
        let listeners = text.lines().filter_map(|line| line.split_once("::"));
        let address =
            listeners.filter(|(name, _)| is_wanted(name)).find_map(|(_, address)| address.trim().parse().ok());
        address.ok_or_else(|| io::Error::other(format!("Envoy does not list the listener: {text:?}")))
    }

    /// The statistics of these names. One that Envoy does not know is missing.
    pub(super) fn stats(&self, names: &[&str]) -> io::Result<HashMap<String, usize>> {
        // A regular expression, `^one$|^two$`, as it is written in a query.
        let filter = names.join("$%7C%5E").replace('.', "%5C.");
        let text = self.ask("GET", &format!("/stats?filter=%5E{filter}$"))?;
        let stat = |line: &str| {
            let (name, value) = line.split_once(": ")?;
            Some((name.to_owned(), value.trim().parse().ok()?))
        };
        Ok(text.lines().filter_map(stat).collect())
    }

    /// The value of a counter or gauge that the module defined.
    pub(super) fn metric(&self, name: &str) -> io::Result<Option<u64>> {
        let text = self.ask("GET", "/stats?filter=%5Ewasmcustom%5C.")?;
        let value = |line: &str| line.strip_prefix("wasmcustom.")?.strip_prefix(name)?.strip_prefix(": ")?.parse().ok();
        Ok(text.lines().find_map(value))
    }

    /// The statistics whose names match, as Prometheus reads them.
    #[cfg(test)]
    pub(super) fn prometheus(&self, filter: &str) -> io::Result<String> {
        self.ask("GET", &format!("/stats?format=prometheus&filter={}", filter.replace('^', "%5E")))
    }

    /// Asks Envoy to shut down, which gives the module its last callbacks.
    pub(super) fn quit(&self) -> io::Result<()> {
        self.ask("POST", "/quitquitquit").map(drop)
    }

    fn ask(&self, method: &str, path: &str) -> io::Result<String> {
        let request = Request::new(method, path, "admin");
        let response = http1::exchange(self.address, &request)?.unwrap_or_default();
        let status = response.headers.first().map(|(_, value)| value.as_slice());
        let text = String::from_utf8_lossy(&response.body).into_owned();
        if status == Some(b"200") {
            Ok(text)
        } else {
            Err(io::Error::other(format!("{method} {path} at Envoy's administration interface: {text}")))
        }
    }
}
