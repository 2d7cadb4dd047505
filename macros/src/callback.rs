//! The traits of a filter and their methods.

/// A kind of callout, as an argument of an attribute. It is stored among the callbacks of the
/// context, because the host makes callbacks for it as well.
#[derive(Debug)]
pub(crate) struct Capability {
    /// The argument.
    pub(crate) word: &'static str,
    /// The types of `Declares` for this kind, with their generics. Their names differ from any type
    /// of the author.
    awaits: &'static [&'static str],
    generics: &'static str,
}

/// The kinds of callouts that a context can start.
pub(crate) const CAPABILITIES: &[Capability] = &[
    Capability { word: "http_calls", awaits: &["sdk::HttpCall"], generics: "" },
    Capability { word: "timers", awaits: &["sdk::Timer"], generics: "" },
    Capability { word: "grpc_calls", awaits: &["sdk::GrpcCall<__Reply>"], generics: "<__Reply: 'static>" },
    Capability {
        word: "grpc_streams",
        awaits: &["sdk::GrpcStream<__Sent, __Received>", "sdk::GrpcReceive<__Sent, __Received>"],
        generics: "<__Sent: 'static, __Received: 'static>",
    },
    TASKS,
    QUEUES,
    WAKES,
];

/// Items of queues, which callbacks get from `on_queue_ready`.
const QUEUES: Capability = Capability { word: "queues", awaits: &["sdk::SharedQueue"], generics: "" };
/// An argument that `#[proxy_filter::filter]` adds to the contexts that it generates. Authors do
/// not write it.
const TASKS: Capability = Capability { word: "tasks", awaits: &["sdk::StreamTask"], generics: "" };

/// An argument for filters whose futures can wake each other: in a configuration, or because there
/// is a root task.
const WAKES: Capability = Capability { word: "wakes", awaits: &[], generics: "" };

/// The arguments of [`CAPABILITIES`] for what an async function can await.
pub(crate) fn awaited() -> impl Iterator<Item = &'static str> {
    all_words().into_iter().filter(|word| ![TASKS.word, WAKES.word].contains(word))
}

/// The arguments of [`CAPABILITIES`] that authors write: only async functions await queues.
pub(crate) fn words() -> Vec<&'static str> {
    awaited().filter(|word| *word != QUEUES.word).collect()
}

/// The same, and those that only generated code writes.
pub(crate) fn all_words() -> Vec<&'static str> {
    CAPABILITIES.iter().map(|capability| capability.word).collect()
}

impl Capability {
    pub(crate) fn find(word: &str) -> Option<&'static Self> {
        CAPABILITIES.iter().find(|capability| capability.word == word)
    }

    /// Returns the impl that gives the type `#Name` the capability.
    pub(crate) fn implementation(&self) -> String {
        let one = |awaits| format!("impl {} sdk::Declares<{awaits}> for #Name {{}}\n", self.generics);
        self.awaits.iter().map(one).collect()
    }

    /// Its constant in `CallbackSet`.
    pub(crate) fn constant(&self) -> String {
        self.word.to_uppercase()
    }
}

/// Returns the expression for the set of these constants of `CallbackSet`.
pub(crate) fn set(constants: impl Iterator<Item = String>) -> String {
    let unions: Vec<_> = constants.map(|constant| format!(".union(sdk::CallbackSet::{constant})")).collect();
    format!("sdk::CallbackSet::EMPTY{}", unions.concat())
}

/// One of the traits of a filter.
#[derive(Debug)]
pub(crate) struct Trait {
    pub(crate) name: &'static str,
    /// The attribute for its impls.
    pub(crate) attribute: &'static str,
    pub(crate) methods: &'static [Method],
}

/// A method that filters may implement.
#[derive(Debug)]
pub(crate) struct Method {
    pub(crate) name: &'static str,
    /// Its declaration, with the names of the prelude.
    pub(crate) signature: &'static str,
    /// The names of its arguments after `self`.
    pub(crate) arguments: &'static [&'static str],
}

impl Trait {
    pub(crate) fn method(&self, name: &str) -> Option<&'static Method> {
        self.methods.iter().find(|method| method.name == name)
    }
}

impl Method {
    const fn new(name: &'static str, signature: &'static str, arguments: &'static [&'static str]) -> Self {
        Self { name, signature, arguments }
    }

    /// Its constant in `CallbackSet`.
    pub(crate) fn constant(&self) -> String {
        self.name.to_uppercase()
    }

    /// Whether the contexts of requests and of connections have the same method.
    pub(crate) fn is_of_every_context(&self) -> bool {
        CONTEXT.method(self.name).is_some() && STREAM_CONTEXT.method(self.name).is_some()
    }

    /// Returns the result for a stream of the other kind: an error if the callback returns a
    /// decision.
    pub(crate) fn result_for_the_other_kind(&self, kind: &str) -> String {
        let output = self.signature.rsplit_once("Result<").map_or("()", |(_, output)| output.trim_end_matches('>'));
        if output == "()" { "Ok(())".to_owned() } else { format!("Err(sdk::wrong_kind::<sdk::{kind}>())") }
    }

    /// Whether events of the host call it, so that implementing it affects the exports of a module.
    pub(crate) fn is_callback(&self) -> bool {
        self.name.starts_with("on_")
    }
}

pub(crate) const ROOT_CONTEXT: Trait = Trait {
    name: "RootContext",
    attribute: "#[proxy_filter::root]",
    methods: &[
        Method::new(
            "on_start",
            "fn on_start(&mut self, configuration: VmConfiguration) -> Result<()>",
            &["configuration"],
        ),
        Method::new(
            "on_configure",
            "fn on_configure(&mut self, configuration: Configuration) -> Result<()>",
            &["configuration"],
        ),
        Method::new("on_tick", "fn on_tick(&mut self) -> Result<()>", &[]),
        Method::new("on_queue_ready", "fn on_queue_ready(&mut self, queue: &SharedQueue) -> Result<()>", &["queue"]),
        Method::new("on_log", "fn on_log(&mut self, log: &LogContext) -> Result<()>", &["log"]),
        Method::new(
            "on_foreign_function",
            "fn on_foreign_function(&mut self, function_id: u32, arguments: Vec<u8>) -> Result<()>",
            &["function_id", "arguments"],
        ),
        Method::new("on_done", "fn on_done(&mut self) -> bool", &[]),
        Method::new("new_context", "fn new_context(&self) -> Self::Context", &[]),
    ],
};

pub(crate) const CONTEXT: Trait = Trait {
    name: "Context",
    attribute: "#[proxy_filter::context]",
    methods: &[
        Method::new("on_create", "fn on_create(&mut self) -> Result<()>", &[]),
        Method::new(
            "on_request_headers",
            "fn on_request_headers(&mut self, request: &mut RequestHeaders, end_of_stream: bool) -> Result<FilterHeadersStatus>",
            &["request", "end_of_stream"],
        ),
        Method::new(
            "on_request_body",
            "fn on_request_body(&mut self, body: &mut RequestBody, end_of_stream: bool) -> Result<FilterDataStatus>",
            &["body", "end_of_stream"],
        ),
        Method::new(
            "on_request_trailers",
            "fn on_request_trailers(&mut self, trailers: &mut RequestTrailers) -> Result<FilterTrailersStatus>",
            &["trailers"],
        ),
        Method::new(
            "on_response_headers",
            "fn on_response_headers(&mut self, response: &mut ResponseHeaders, end_of_stream: bool) -> Result<FilterHeadersStatus>",
            &["response", "end_of_stream"],
        ),
        Method::new(
            "on_response_body",
            "fn on_response_body(&mut self, body: &mut ResponseBody, end_of_stream: bool) -> Result<FilterDataStatus>",
            &["body", "end_of_stream"],
        ),
        Method::new(
            "on_response_trailers",
            "fn on_response_trailers(&mut self, trailers: &mut ResponseTrailers) -> Result<FilterTrailersStatus>",
            &["trailers"],
        ),
        Method::new(
            "on_request_metadata",
            "fn on_request_metadata(&mut self, entries: u32) -> Result<()>",
            &["entries"],
        ),
        Method::new(
            "on_response_metadata",
            "fn on_response_metadata(&mut self, entries: u32) -> Result<()>",
            &["entries"],
        ),
        Method::new(
            "on_foreign_function",
            "fn on_foreign_function(&mut self, function_id: u32, arguments: Vec<u8>) -> Result<()>",
            &["function_id", "arguments"],
        ),
        Method::new("on_done", "fn on_done(&mut self) -> Result<()>", &[]),
        Method::new("on_log", "fn on_log(&mut self, log: &LogContext) -> Result<()>", &["log"]),
        Method::new("on_delete", "fn on_delete(&mut self) -> Result<()>", &[]),
        Method::new("failure_policy", "fn failure_policy(&self) -> FailurePolicy", &[]),
    ],
};

pub(crate) const STREAM_CONTEXT: Trait = Trait {
    name: "StreamContext",
    attribute: "#[proxy_filter::stream_context]",
    methods: &[
        Method::new("on_create", "fn on_create(&mut self) -> Result<()>", &[]),
        Method::new("on_new_connection", "fn on_new_connection(&mut self) -> Result<NetworkFilterStatus>", &[]),
        Method::new(
            "on_downstream_data",
            "fn on_downstream_data(&mut self, data: &mut DownstreamData, end_of_stream: bool) -> Result<NetworkFilterStatus>",
            &["data", "end_of_stream"],
        ),
        Method::new(
            "on_upstream_data",
            "fn on_upstream_data(&mut self, data: &mut UpstreamData, end_of_stream: bool) -> Result<NetworkFilterStatus>",
            &["data", "end_of_stream"],
        ),
        Method::new(
            "on_downstream_close",
            "fn on_downstream_close(&mut self, peer: PeerType) -> Result<()>",
            &["peer"],
        ),
        Method::new("on_upstream_close", "fn on_upstream_close(&mut self, peer: PeerType) -> Result<()>", &["peer"]),
        Method::new(
            "on_foreign_function",
            "fn on_foreign_function(&mut self, function_id: u32, arguments: Vec<u8>) -> Result<()>",
            &["function_id", "arguments"],
        ),
        Method::new("on_done", "fn on_done(&mut self) -> Result<()>", &[]),
        Method::new("on_log", "fn on_log(&mut self) -> Result<()>", &[]),
        Method::new("on_delete", "fn on_delete(&mut self) -> Result<()>", &[]),
        Method::new("failure_policy", "fn failure_policy(&self) -> FailurePolicy", &[]),
    ],
};
