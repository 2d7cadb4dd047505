//! [`Outcome`]: what became of one request.

use crate::backend::ConfigureError;
use crate::filter_error::{self, Errors, FilterError};
use crate::message::Received;
use crate::record::{Event, LogLine, Record, VmRole};
use crate::spent::Spent;
use crate::trace::{self, Colour};
use std::fmt;

/// One request and what became of it. Printing it shows the trace of callbacks, host calls and log
/// lines.
#[derive(Clone, Debug)]
pub struct Outcome {
    record: Record,
    nothing: Received,
    refused: Option<ConfigureError>,
    errors: Errors,
}

impl Outcome {
    pub(crate) fn new(record: Record, errors: Errors) -> Self {
        Self { record, nothing: Received::default(), refused: None, errors }
    }

    /// The plugin did not start: nothing was sent.
    pub(crate) fn refused(refused: ConfigureError, errors: Errors) -> Self {
        Self { refused: Some(refused), ..Self::new(Record::default(), errors) }
    }

    /// The status the client received; 0 if the connection ended without a response.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.response().status()
    }

    /// What the client received; an empty message if the connection ended without a response.
    #[must_use]
    pub fn response(&self) -> &Received {
        self.record.response.as_ref().unwrap_or(&self.nothing)
    }

    /// What the upstream received; `None` if nothing reached it.
    #[must_use]
    pub const fn upstream(&self) -> Option<&Received> {
        self.record.upstream.as_ref()
    }

    /// Whether the upstream has received the whole request.
    pub(crate) fn is_forwarded(&self) -> bool {
        self.upstream().is_some_and(|request| request.complete)
    }

    /// What a cluster received during this exchange, in order. Empty if nothing came.
    ///
    /// In a real Envoy every VM of the plugin does what `on_configure` and `on_tick` do; the calls
    /// made there come several times.
    #[must_use]
    pub fn calls(&self, cluster: &str) -> Vec<Received> {
        self.record.calls.get(cluster).cloned().unwrap_or_default()
    }

    /// The line that the host wrote into its access log, in the format of
    /// [`Host::access_log`](crate::Host::access_log). `None` if the test sets no format, or if the
    /// host closed the connection before there was a stream.
    #[must_use]
    pub fn access_log(&self) -> Option<&str> {
        self.record.access_log.as_deref()
    }

    /// The lines the module logged during this exchange.
    #[must_use]
    pub fn logs(&self) -> Vec<&LogLine> {
        self.record.events.iter().filter_map(Event::log_line).collect()
    }

    /// The texts of the lines the module logged during this exchange.
    #[must_use]
    pub fn messages(&self) -> Vec<&str> {
        self.logs().into_iter().map(|line| line.message.as_str()).collect()
    }

    /// The callbacks the host entered, by export name. In a real Envoy only while the log level is
    /// trace.
    #[must_use]
    pub fn callbacks(&self) -> Vec<&str> {
        self.record.events.iter().filter_map(Event::callback).collect()
    }

    /// The texts of the lines that another VM of the plugin logged during the exchange, if the host
    /// has [several](crate::Host::workers) or a [singleton
    /// service](crate::Host::singleton_service).
    ///
    /// [`messages`](Self::messages) are those of the VM that served the request; where no request
    /// was served, as in [`Host::advance`](crate::Host::advance), those of each VM are here.
    #[must_use]
    pub fn messages_of(&self, of: VmRole) -> Vec<&str> {
        let events = self.record.elsewhere.iter().filter(|(found, _)| *found == of).flat_map(|(_, events)| events);
        events.filter_map(Event::log_line).map(|line| line.message.as_str()).collect()
    }

    /// The texts of the lines that any VM logged during this exchange: first those of the VM that
    /// served it.
    #[must_use]
    pub fn messages_of_all(&self) -> Vec<&str> {
        let elsewhere = self.record.elsewhere.iter().flat_map(|(_, events)| events);
        let events = self.record.events.iter().chain(elsewhere);
        events.filter_map(Event::log_line).map(|line| line.message.as_str()).collect()
    }

    /// What the exchange cost the plugin: callbacks, host calls, instructions and memory. All are 0
    /// in a real Envoy, which does not report them.
    ///
    /// With [`before_response`](crate::RequestBuilder::before_response), what happened meanwhile is
    /// included.
    #[must_use]
    pub const fn spent(&self) -> Spent {
        self.record.spent
    }

    /// The failures of the filter itself in this exchange, whether they are expected or not.
    #[must_use]
    pub fn errors(&self) -> &[FilterError] {
        self.errors.found()
    }

    /// Expects the filter to have failed in this exchange: a [`FilterError`] whose message contains
    /// this text. All that contain it do not fail the test.
    ///
    /// A real Envoy does not tell of traps: there an error that is not found counts as one that
    /// happened. The embedded host, with which it is compared, has checked it.
    ///
    /// ```
    /// # use proxy_filter_host::Host;
    /// # fn body(mut host: Host) {
    /// host.get("/").header("x-index", "7").send().expect_error("index out of bounds");
    /// # }
    /// ```
    ///
    /// # Panics
    /// There is no such failure, or the text is empty.
    pub fn expect_error(&self, text: impl AsRef<str>) -> &Self {
        let text = text.as_ref();
        filter_error::check(text);
        let found = self.errors.expect(text);
        assert!(found, "no error of the filter contains {text:?}: {:?}\n{self}", self.errors());
        self
    }

    pub(crate) fn expect_all_errors(&self) {
        self.errors.expect_all();
    }

    /// Everything that happened, for tools.
    #[must_use]
    pub const fn record(&self) -> &Record {
        &self.record
    }

    /// The trace of callbacks, host calls and log lines, and what client and upstream saw.
    #[must_use]
    pub fn trace(&self, colour: Colour) -> String {
        match &self.refused {
            Some(refused) => refused.to_string(),
            None => trace::render(&self.record, colour),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.trace(Colour::Never))
    }
}
