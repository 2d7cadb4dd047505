//! [`Connection`]: what became of one TCP connection through the host.

use crate::backend::ConfigureError;
use crate::filter_error::{self, Errors, FilterError};
use crate::record::{Event, LogLine, VmRole};
use crate::tcp::{ConnectionRecord, ReceivedBytes, StepOutcome};
use crate::trace::{self, Colour};
use std::fmt;

/// One connection and what became of it. Printing it shows the trace of callbacks, host calls and
/// log lines.
#[derive(Clone, Debug)]
pub struct Connection {
    record: ConnectionRecord,
    client: ReceivedBytes,
    upstream: Option<ReceivedBytes>,
    refused: Option<ConfigureError>,
    errors: Errors,
}

impl Connection {
    pub(crate) fn new(record: ConnectionRecord, errors: Errors) -> Self {
        let mut client = ReceivedBytes::default();
        let mut upstream: Option<ReceivedBytes> = None;
        for moment in &record.steps {
            client.add(&moment.client);
            if let Some(heard) = &moment.upstream {
                upstream.get_or_insert_default().add(heard);
            }
        }
        Self { record, client, upstream, refused: None, errors }
    }

    /// The plugin did not start: the client did not connect.
    pub(crate) fn refused(refused: ConfigureError, errors: Errors) -> Self {
        Self { refused: Some(refused), ..Self::new(ConnectionRecord::default(), errors) }
    }

    /// What the client received in all.
    #[must_use]
    pub const fn client(&self) -> &ReceivedBytes {
        &self.client
    }

    /// What the upstream received in all; `None` if the host never connected to it.
    #[must_use]
    pub const fn upstream(&self) -> Option<&ReceivedBytes> {
        self.upstream.as_ref()
    }

    /// The steps one by one: the first is that the client connects.
    #[must_use]
    pub fn steps(&self) -> &[StepOutcome] {
        &self.record.steps
    }

    /// The texts of the lines that the module logged during this connection.
    #[must_use]
    pub fn messages(&self) -> Vec<&str> {
        messages(&self.record.events)
    }

    /// The lines that the module logged during this connection.
    #[must_use]
    pub fn logs(&self) -> Vec<&LogLine> {
        self.record.events.iter().filter_map(Event::log_line).collect()
    }

    /// The callbacks the host entered, by export name. In a real Envoy only while the log level is
    /// trace.
    #[must_use]
    pub fn callbacks(&self) -> Vec<&str> {
        self.record.events.iter().filter_map(Event::callback).collect()
    }

    /// The texts of the lines that another VM of the plugin logged during the connection, if the
    /// host has [several](crate::Host::workers) or a [singleton
    /// service](crate::Host::singleton_service).
    ///
    /// [`messages`](Self::messages) are those of the VM that served the connection.
    #[must_use]
    pub fn messages_of(&self, of: VmRole) -> Vec<&str> {
        messages(self.record.elsewhere.iter().filter(|(found, _)| *found == of).flat_map(|(_, events)| events))
    }

    /// The texts of the lines that any VM logged during this connection: first those of the VM that
    /// served it.
    #[must_use]
    pub fn messages_of_all(&self) -> Vec<&str> {
        let elsewhere = self.record.elsewhere.iter().flat_map(|(_, events)| events);
        messages(self.record.events.iter().chain(elsewhere))
    }

    /// The failures of the filter itself during this connection, whether they are expected or not.
    #[must_use]
    pub fn errors(&self) -> &[FilterError] {
        self.errors.found()
    }

    /// Expects the filter to have failed during this connection, as
    /// [`Outcome::expect_error`](crate::Outcome::expect_error) does for a request.
    ///
    /// ```
    /// # use proxy_filter_host::Host;
    /// # fn body(mut host: Host) {
    /// host.connect().send("bad").play().expect_error("on_downstream_data of context 2 failed");
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

    /// Everything that happened, for tools.
    #[must_use]
    pub const fn record(&self) -> &ConnectionRecord {
        &self.record
    }

    /// The trace of callbacks, host calls and log lines, and what both sides received.
    #[must_use]
    pub fn trace(&self, colour: Colour) -> String {
        match &self.refused {
            Some(refused) => refused.to_string(),
            None => trace::render_connection(&self.record, colour),
        }
    }
}

/// The texts of the lines among these events.
fn messages<'a>(events: impl IntoIterator<Item = &'a Event>) -> Vec<&'a str> {
    events.into_iter().filter_map(Event::log_line).map(|line| line.message.as_str()).collect()
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.trace(Colour::Never))
    }
}
