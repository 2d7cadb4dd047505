//! `#[proxy_filter::filter]`: a filter that is one async function.
//!
//! It becomes a root context with the function's name in camel case, and a stream context. Each has
//! its own attribute, and is registered like a context that is written by hand.

use crate::args::{self, Argument};
use crate::awaits::{self, Unseen};
use crate::callback;
use crate::cursor::Cursor;
use crate::error::{Error, Faults, Result};
use crate::filter;
use crate::impl_block::{self, Function};
use crate::policy::{self, FAIL_OPEN, POLICY, RESPONSE_POLICY};
use crate::quote::{quote, quote_at};
use proc_macro::{Delimiter, Group, Ident, Literal, Span, TokenStream, TokenTree};

const USAGE: &str = "expected `#[proxy_filter::filter]`, with any of `root_id = \"name\"`, `root_task = function`, `configure = function`, \
                     `deadline = duration`, `fail_open`, `failure_policy = function` and `response_failure_policy = function`";
const EXPECTED: &str = "expected `async fn name(exchange: Exchange) -> Result<()>`, or `Exchange<Config>` with the type of its configuration";

/// A part of the stream that the function may await.
struct Phase {
    /// The methods of `Exchange` that await it.
    methods: &'static [&'static str],
    /// Its constant in `Points`.
    constant: &'static str,
    callback: &'static str,
}

const PHASES: &[Phase] = &[
    Phase {
        // Only a body callback reports that a message has ended without trailers.
        methods: &["request_body", "request_chunk", "request_chunks", "request_trailers", HELD[0]],
        constant: "REQUEST_BODY",
        callback: "fn on_request_body(&mut self, body: &mut sdk::RequestBody, end_of_stream: bool) -> sdk::Result<sdk::FilterDataStatus> {
            self.0.on_request_body(body.len(), end_of_stream)
        }",
    },
    Phase {
        methods: &["request_trailers"],
        constant: "REQUEST_TRAILERS",
        callback: "fn on_request_trailers(&mut self, _: &mut sdk::RequestTrailers) -> sdk::Result<sdk::FilterTrailersStatus> {
            self.0.on_request_trailers()
        }",
    },
    Phase {
        methods: &["response_headers", "response_body", "response_chunk", "response_chunks", "response_trailers", HELD[1]],
        constant: "RESPONSE_HEADERS",
        callback: "fn on_response_headers(&mut self, _: &mut sdk::ResponseHeaders, end_of_stream: bool) -> sdk::Result<sdk::FilterHeadersStatus> {
            self.0.on_response_headers(end_of_stream)
        }",
    },
    Phase {
        methods: &["response_body", "response_chunk", "response_chunks", "response_trailers", HELD[1]],
        constant: "RESPONSE_BODY",
        callback: "fn on_response_body(&mut self, body: &mut sdk::ResponseBody, end_of_stream: bool) -> sdk::Result<sdk::FilterDataStatus> {
            self.0.on_response_body(body.len(), end_of_stream)
        }",
    },
    Phase {
        methods: &["response_trailers"],
        constant: "RESPONSE_TRAILERS",
        callback: "fn on_response_trailers(&mut self, _: &mut sdk::ResponseTrailers) -> sdk::Result<sdk::FilterTrailersStatus> {
            self.0.on_response_trailers()
        }",
    },
    Phase {
        methods: &["log_context"],
        constant: "FINISHED",
        callback: "fn on_log(&mut self, _: &sdk::LogContext) -> sdk::Result<()> { self.0.on_log() }",
    },
];

/// The methods of `Exchange` that pause headers until the body is complete. They check this with a
/// timer, because not every host supports it.
const HELD: [&str; 2] = ["request_headers_with_body", "response_headers_with_body"];

/// The methods of `Exchange` that await the whole body of a response, which a tunnel does not have.
const WHOLE_RESPONSES: [&str; 2] = ["response_body", HELD[1]];

/// The methods of `Exchange` that need no further export.
const METHODS: [&str; 8] = [
    "request_headers",
    "request_body_end",
    "response_body_end",
    "config",
    "forward_request",
    "reply",
    "close_stream",
    SPAWNER,
];

/// The callouts of a function that names this type or function.
const WAITS: &[(&str, &str)] = &[
    ("HttpCall", "http_calls"),
    ("Timer", "timers"),
    ("Interval", "timers"),
    ("timeout", "timers"),
    ("retry", "timers"),
    ("GrpcCall", "grpc_calls"),
    ("GrpcStream", "grpc_streams"),
    ("SharedQueue", "queues"),
];

/// The method of `Exchange` for futures that run independently of their stream.
const SPAWNER: &str = "spawner";

/// The argument for the maximum time of the function.
const DEADLINE: &str = "deadline";

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut faults = Faults::default();
    let known = ["root_id", "root_task", "configure", DEADLINE, POLICY, RESPONSE_POLICY];
    let arguments = args::parse(arguments, &known, &[FAIL_OPEN], USAGE, &mut faults);
    policy::check(&arguments, &mut faults);
    let mut output = item.clone();
    if let Some(function) = faults.take(AsyncFunction::parse(item)) {
        output.extend(function.filter(&arguments));
    }
    output.extend(faults.into_tokens());
    output
}

/// The author's function.
struct AsyncFunction {
    name: Ident,
    /// The type of the configuration, if there is one.
    config: Option<Vec<TokenTree>>,
    /// All names in the function.
    names: Vec<Name>,
    /// What it awaits elsewhere.
    unseen: Unseen,
}

struct Name {
    text: String,
    /// It follows a dot: a method or field, such as the `timeout` of an `HttpCall`.
    is_member: bool,
}

impl AsyncFunction {
    fn parse(item: TokenStream) -> Result<Self> {
        let mut names = Vec::new();
        collect(item.clone(), &mut names);
        let mut cursor = Cursor::new(item, Span::call_site());
        cursor.attributes();
        impl_block::visibility(&mut cursor);
        let first = cursor.mark();
        let qualifiers = impl_block::qualifiers(&mut cursor);
        let function = Function::parse(&mut cursor, qualifiers);
        let Some(function) = function else {
            cursor.rest();
            return Err(Error::at(&cursor.taken_since(first), EXPECTED));
        };
        let name = [TokenTree::from(function.name.clone())];
        if !function.qualifiers.iter().any(|token| token.to_string() == "async") {
            return Err(Error::at(&name, format!("`{}` is not async: {EXPECTED}", function.name)));
        }
        if !function.generics.is_empty() {
            return Err(Error::at(
                &function.generics,
                "a filter cannot be generic: the functions that a module exports are not",
            ));
        }
        let parameters = function.parameters();
        let [exchange] = parameters.as_slice() else {
            return Err(Error::at(
                &[function.parameters.into()],
                format!("a filter takes an `Exchange` and nothing else\n{EXPECTED}"),
            ));
        };
        if function.output.is_empty() {
            return Err(Error::at(&name, format!("`{}` has no return type\n{EXPECTED}", function.name)));
        }
        let mut methods = METHODS.to_vec();
        methods.extend(PHASES.iter().flat_map(|phase| phase.methods));
        let exchange_name = variable(exchange);
        let unseen =
            cursor.group(Delimiter::Brace).map(|body| awaits::unseen(&body, exchange_name.as_deref(), &methods));
        Ok(Self { config: config(exchange)?, name: function.name, names, unseen: unseen.unwrap_or_default() })
    }

    /// Whether the function, or a root task, may wait for callouts of this kind.
    fn waits_for(&self, word: &str, arguments: &[Argument]) -> bool {
        let has = |names: &[&str]| arguments.iter().any(|argument| names.contains(&argument.name.as_str()));
        // Root tasks are functions elsewhere, and so are the futures that are spawned.
        let is_unseen = self.unseen.callouts || self.spawns() || has(&["root_task", "configure"]);
        let is_available = cfg!(feature = "grpc") || !word.starts_with("grpc");
        let named = |wait: &(&str, &str)| {
            wait.1 == word && self.names.iter().any(|name| name.text == wait.0 && !name.is_member)
        };
        let is_timed =
            word == "timers" && (has(&[DEADLINE]) || self.names.iter().any(|name| HELD.contains(&name.text.as_str())));
        is_unseen && is_available || is_timed || WAITS.iter().any(named)
    }

    /// Whether futures may run independently of the stream.
    fn spawns(&self) -> bool {
        self.unseen.parts || self.names.iter().any(|name| name.text == SPAWNER)
    }

    /// The parts of the stream that the function may wait for.
    fn phases(&self) -> Vec<&'static Phase> {
        let is_named = |method: &&str| self.names.iter().any(|name| name.text == **method);
        let is_awaited = |phase: &&Phase| self.unseen.parts || phase.methods.iter().any(is_named);
        PHASES.iter().filter(is_awaited).collect()
    }

    /// Returns the callback in which the future begins.
    fn on_request_headers(&self) -> &'static str {
        let is_named = |method: &&str| self.names.iter().any(|name| name.text == **method);
        let awaits_whole = self.unseen.parts || WHOLE_RESPONSES.iter().any(is_named);
        if awaits_whole { ON_TUNNEL_REQUEST_HEADERS } else { ON_REQUEST_HEADERS }
    }

    /// Returns the root context and the stream context.
    fn filter(&self, arguments: &[Argument]) -> TokenStream {
        let value = |name: &str| -> TokenStream {
            let argument = arguments.iter().find(|argument| argument.name == name);
            argument.into_iter().flat_map(|argument| argument.value.clone()).collect()
        };
        let is_written = |word: &str| arguments.iter().any(|argument| argument.name == word);
        let phases = self.phases();
        let waits: Vec<_> = callback::awaited().filter(|word| self.waits_for(word, arguments)).collect();
        let spawns = self.spawns();
        // They end with their root context.
        let spawned = if spawns { "spawned: sdk::Spawned," } else { "" };
        let points = points(&phases, &waits);
        let on_request_headers = self.on_request_headers();
        let callbacks: String = phases.iter().map(|phase| phase.callback).collect();
        let (policies, has_policies) = policy::methods(arguments);
        let words: String = waits.iter().flat_map(|word| [word, ", "]).collect();
        let root = camel_case(&self.name.to_string());
        let name = |name: &str| TokenStream::from(TokenTree::from(Ident::new(name, self.name.span())));
        let tasks = [("root_task", ROOT_TASK), ("configure", CONFIGURE)].map(|(argument, template)| {
            let function = value(argument);
            if function.is_empty() { TokenStream::new() } else { quote(template, &[("function", function)]) }
        });
        let [root_task, configure] = tasks;
        let is_gated = !configure.is_empty();
        let is_configured = self.config.is_some() || is_gated || !root_task.is_empty();
        // Without a configuration, streams share nothing that could wake a future.
        let wakes = if is_configured || spawns { "wakes," } else { "" };
        let config = match &self.config {
            Some(config) => config.iter().cloned().collect(),
            None => quote("()", &[]),
        };
        let read =
            if self.config.is_some() { "sdk::read_config(&configuration)?" } else { "{ let _ = configuration; }" };
        // With a `root_id`, `module!` generates the module.
        let exported = if is_written("root_id") { "" } else { "__proxy_filter" };
        let root_id = if is_written("root_id") { "root_id = #id," } else { "" };
        let on_configure = if is_configured { ON_CONFIGURE.replace("READ", read) } else { String::new() };
        let (held, configured) = configuration(is_configured);
        let gate = if is_gated { "gate: sdk::Gate," } else { "" };
        let filter = if is_gated { GATED } else { "#function" };
        let deadline = value(DEADLINE);
        let (limit, filter) = if deadline.is_empty() {
            (TokenStream::new(), filter.to_owned())
        } else {
            (limit(deadline), WITHIN.replace("THE_FUNCTION", filter))
        };
        let (kept_type, kept) =
            if has_policies { ("::core::option::Option<::std::rc::Rc<#Config>>", configured) } else { ("()", "()") };
        let shown = Literal::string(self.name.to_string().trim_start_matches("r#"));
        quote(
            &format!(
                "#[doc(hidden)]
                #[allow(missing_docs, missing_debug_implementations, non_camel_case_types, unreachable_pub)]
                mod #hidden {{
                    use super::*;
                    use ::core::option::Option::Some;
                    use ::proxy_filter::__private as sdk;
                    const POINTS: sdk::Points = sdk::Points::FIRST{points};
                    #limit
                    #[derive(Default)]
                    pub struct #Root {{
                        config: {held},
                        tasks: ::std::vec::Vec<sdk::RootTask>,
                        {gate}
                        {spawned}
                    }}
                    #[::proxy_filter::root({root_id} {words} {wakes} tasks)]
                    impl sdk::RootContext for #Root {{
                        type Context = #Stream;
                        {on_configure}
                        fn new_context(&self) -> #Stream {{
                            #Stream(sdk::StreamTask::new({configured}, POINTS, {filter}), {kept})
                        }}
                    }}
                    pub struct #Stream(sdk::StreamTask, {kept_type});
                    #[::proxy_filter::context({words} tasks)]
                    impl sdk::Context for #Stream {{
                        {on_request_headers}
                        {callbacks}
                        #policies
                    }}
                }}
                #[doc(hidden)]
                #[allow(unused_imports, unreachable_pub)]
                pub use #hidden::{{#Root, {exported}}};"
            ),
            &[
                ("hidden", name(&format!("{}_function", filter::hidden_name(&self.name)))),
                ("Root", name(&root)),
                ("Stream", name(&format!("{root}Stream"))),
                ("Config", config),
                ("id", value("root_id")),
                ("root_task", root_task),
                ("configure", configure),
                ("function", TokenTree::from(self.name.clone()).into()),
                ("policies", policies),
                ("limit", limit),
                ("shown", TokenTree::from(shown).into()),
            ],
        )
    }
}

/// Returns the terms after `sdk::Points::FIRST` in the expression for the exports of the module.
fn points(phases: &[&Phase], waits: &[&str]) -> String {
    let phases = phases.iter().map(|phase| phase.constant.to_owned());
    let words = waits.iter().map(|word| word.to_uppercase());
    phases.chain(words).map(|constant| [".with(sdk::Points::", &constant, ")"].concat()).collect()
}

/// Returns the deadline as a constant, which is checked where the author wrote it.
///
/// The author may have a constant with any other name.
fn limit(deadline: TokenStream) -> TokenStream {
    let location = deadline.clone().into_iter().next().map_or_else(Span::call_site, |token| token.span());
    quote_at(
        location,
        "const __PROXY_FILTER_DEADLINE: ::core::time::Duration = #deadline;
        const _: () = ::core::assert!(
            sdk::is_deadline(__PROXY_FILTER_DEADLINE),
            \"a deadline is longer than 0, and not longer than 4294967295 milliseconds, 49 days\"
        );",
        &[("deadline", deadline)],
    )
}

/// Returns the type that the root context stores for its configuration, and the expression that
/// passes it to a stream. Without a configuration, all streams share an empty one.
const fn configuration(is_configured: bool) -> (&'static str, &'static str) {
    if is_configured {
        ("::core::option::Option<::std::rc::Rc<#Config>>", "self.config.clone()")
    } else {
        (
            "::std::cell::OnceCell<::std::rc::Rc<#Config>>",
            "Some(::std::rc::Rc::clone(self.config.get_or_init(::core::default::Default::default)))",
        )
    }
}

/// The callbacks that every filter exports: the future begins with the headers.
const ON_REQUEST_HEADERS: &str = "
    fn on_request_headers(&mut self, _: &mut sdk::RequestHeaders, end_of_stream: bool) -> sdk::Result<sdk::FilterHeadersStatus> {
        self.0.on_request_headers(end_of_stream)
    }";

/// The same for a function that may await a whole response.
const ON_TUNNEL_REQUEST_HEADERS: &str = "
    fn on_request_headers(&mut self, _: &mut sdk::RequestHeaders, end_of_stream: bool) -> sdk::Result<sdk::FilterHeadersStatus> {
        self.0.note_tunnel(end_of_stream);
        self.0.on_request_headers(end_of_stream)
    }";

/// Reads the configuration, and starts its root task.
const ON_CONFIGURE: &str = "
    fn on_configure(&mut self, configuration: sdk::Configuration) -> sdk::Result<()> {
        let config: ::std::rc::Rc<#Config> = ::std::rc::Rc::new(READ);
        self.tasks.clear();
        #configure
        #root_task
        self.config = Some(config);
        ::core::result::Result::Ok(())
    }";

/// Returns the code that runs beside the streams.
const ROOT_TASK: &str = "self.tasks.push(sdk::RootTask::new(POINTS, #function(::std::rc::Rc::clone(&config))));";

/// Returns the code that runs before the streams.
const CONFIGURE: &str = "self.tasks.push(self.gate.open_after(POINTS, #function(::std::rc::Rc::clone(&config))));";

/// Returns the function, to be run once the plugin is ready.
const GATED: &str = "{
    let gate = ::core::clone::Clone::clone(&self.gate);
    move |exchange| async move {
        gate.pass().await?;
        #function(exchange).await
    }
}";

/// Returns the same with a deadline.
const WITHIN: &str = "{
    let function = THE_FUNCTION;
    move |exchange| sdk::within(__PROXY_FILTER_DEADLINE, #shown, function(exchange))
}";

/// The name in `mut name: Exchange`.
fn variable(parameter: &[TokenTree]) -> Option<String> {
    let mut cursor = Cursor::of(parameter);
    cursor.attributes();
    cursor.keyword("mut");
    cursor.ident().map(|name| name.to_string())
}

/// Returns the type in `Exchange<Type>`.
fn config(parameter: &[TokenTree]) -> Result<Option<Vec<TokenTree>>> {
    let mut cursor = Cursor::of(parameter);
    cursor.until(|cursor| cursor.peek_keyword("Exchange"));
    if cursor.keyword("Exchange").is_none() {
        return Err(Error::at(parameter, format!("a filter takes an `Exchange`\n{EXPECTED}")));
    }
    match cursor.generics().as_slice() {
        [_, config @ .., _] if !config.is_empty() => Ok(Some(config.to_vec())),
        _ => Ok(None),
    }
}

fn collect(tokens: TokenStream, names: &mut Vec<Name>) {
    let mut is_member = false;
    for token in tokens {
        let is_dot = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '.');
        match token {
            TokenTree::Ident(ident) => names.push(Name { text: ident.to_string(), is_member }),
            TokenTree::Group(group) => collect(Group::stream(&group), names),
            _ => {}
        }
        is_member = is_dot;
    }
}

/// Returns the name of a type for the name of a function.
fn camel_case(name: &str) -> String {
    let mut result = String::new();
    for word in name.trim_start_matches("r#").split('_') {
        let mut letters = word.chars();
        result.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        result.extend(letters);
    }
    result
}
