//! `#[proxy_filter::filter]` on an `impl Context` or an `impl StreamContext`: a filter that is one
//! type. Its root context is one of the SDK's.

use crate::args::{self, Argument};
use crate::callback::{self, Capability};
use crate::context;
use crate::cursor::Cursor;
use crate::error::{Error, Faults, Result};
use crate::filter::{self, Filter, Kind, Maker, Root};
use crate::impl_block::{self, ImplBlock};
use crate::module;
use crate::quote::quote_at;
use crate::root;
use crate::valid::ValidImpl;
use proc_macro::{Delimiter, Group, Span, TokenStream, TokenTree};

/// The argument for the type of the configuration.
const CONFIG: &str = "config";

/// The attributes of which an impl has one.
const ATTRIBUTES: [&str; 4] = ["filter", "context", "stream_context", "root"];

/// The types that share what they contain between streams: their content is read.
const SHARED: [&str; 2] = ["Rc", "Arc"];

/// Whether the attribute is on an impl, and not on a function.
pub(crate) fn is_impl(item: TokenStream) -> bool {
    let mut cursor = Cursor::new(item, Span::call_site());
    cursor.attributes();
    impl_block::visibility(&mut cursor);
    impl_block::qualifiers(&mut cursor);
    cursor.peek_keyword("impl")
}

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut faults = Faults::default();
    let arguments = args::parse(arguments, &["root_id", CONFIG], &callback::words(), &usage(), &mut faults);
    let root_id = arguments.iter().find(|argument| argument.name == "root_id");
    let root_id = root_id.and_then(|argument| root::root_id_of(argument, &mut faults));
    let arguments_are_right = faults.is_empty();
    let mut output = item.clone();
    let block =
        faults.take(ImplBlock::parse(item, "an `impl Context for …`, an `impl StreamContext for …` or a function"));
    let another = |block: &ImplBlock| block.attributes.iter().find_map(another);
    match block {
        // The other attribute registers it.
        Some(block) if another(&block).is_some() => faults.extend(another(&block)),
        Some(block) => {
            let kind = faults.take(kind(&block));
            let valid = kind.and_then(|kind| ValidImpl::check(&block, kind.contract(), &mut faults));
            if let (Some(kind), Some(valid)) = (kind, valid) {
                if !valid.misfits.is_empty() {
                    output = block.without(&valid.misfits);
                }
                // Even after a fault in the impl: it is reported, and need not lead to others.
                let config = arguments.iter().find(|argument| argument.name == CONFIG);
                let capabilities: Vec<_> = arguments.iter().filter_map(|word| Capability::find(&word.name)).collect();
                output.extend(implementations(kind, &valid, &capabilities, config));
                if arguments_are_right {
                    let mut callbacks: Vec<String> = Vec::new();
                    callbacks.extend(config.map(|_| "on_configure".to_owned()));
                    let root = Root {
                        name: valid.name.clone(),
                        identity: filter::identity(&valid.name),
                        id: root_id,
                        callbacks,
                        maker: Maker::Context { is_selfless: is_selfless(&block) },
                    };
                    if root.id.is_some() {
                        output.extend(root::assert_listed(&valid.name, "filter", "CreatedByRoot"));
                    }
                    let context = context::facts(kind, &valid, &capabilities);
                    let registration = module::register(Filter { root, context });
                    output.extend(filter::lookup(&filter::hidden_name(&valid.name), registration));
                }
            }
        }
        None => {}
    }
    output.extend(faults.into_tokens());
    output
}

fn usage() -> String {
    format!(
        "expected `#[proxy_filter::filter]`, with any of `root_id = \"name\"`, `config = Config`, and what the context waits for: `{}`",
        callback::words().join("`, `")
    )
}

/// Why an attribute cannot be beside this one.
fn another(attribute: &crate::cursor::Attribute) -> Option<Error> {
    let name = attribute.last_name().filter(|name| ATTRIBUTES.contains(&name.as_str()))?;
    let message = if name == "filter" {
        "the impl has `#[proxy_filter::filter]` twice".to_owned()
    } else {
        format!("`#[proxy_filter::filter]` registers the impl alone: remove it, or `#[proxy_filter::{name}]`")
    };
    Some(Error::at(&attribute.tokens, message))
}

/// What the impl is of.
fn kind(block: &ImplBlock) -> Result<Kind> {
    let name = block.trait_path.last().map(ToString::to_string).unwrap_or_default();
    let found = Kind::ALL.into_iter().find(|kind| kind.contract().name == name);
    let place = if block.trait_path.is_empty() { &block.self_type } else { &block.trait_path };
    found.ok_or_else(|| {
        Error::at(
            place,
            "#[proxy_filter::filter] goes on `impl Context for …`, on `impl StreamContext for …`, or on an async function",
        )
    })
}

/// Whether no body in the impl names `self`.
fn is_selfless(block: &ImplBlock) -> bool {
    let names_self = |token: &TokenTree| match token {
        TokenTree::Group(body) if body.delimiter() == Delimiter::Brace => mentions_self(body),
        _ => false,
    };
    !block.functions().any(|(item, _)| item.tokens.last().is_some_and(names_self))
}

fn mentions_self(group: &Group) -> bool {
    group.stream().into_iter().any(|token| match token {
        TokenTree::Ident(name) => name.to_string() == "self",
        TokenTree::Group(group) => mentions_self(&group),
        _ => false,
    })
}

/// What the context implements, so that a root context of the SDK creates it.
fn implementations(
    kind: Kind,
    valid: &ValidImpl,
    capabilities: &[&Capability],
    config: Option<&Argument>,
) -> TokenStream {
    let root = if config.is_some() { "ConfiguredRoot" } else { "UnconfiguredRoot" };
    let more = format!("impl sdk::OneType for #Name {{ type Root = sdk::{root}<#Name>; }}");
    let mut output = context::implementation(kind, valid, capabilities, &more);
    let name = |text: &str, values: &[(&str, TokenStream)]| {
        let name = [("Name", TokenTree::from(valid.name.clone()).into())];
        quote_at(valid.name.span(), text, &[&name, values].concat())
    };
    let Some(config) = config else {
        output.extend(name(
            "impl ::proxy_filter::__private::Unconfigured for #Name {
                #[inline]
                fn new_context() -> Self { ::proxy_filter::__private::by_default() }
            }",
            &[],
        ));
        return output;
    };
    let kept: TokenStream = config.value.iter().cloned().collect();
    let location = config.value.last().map_or_else(Span::call_site, TokenTree::span);
    let read = quote_at(
        config.value.first().map_or(location, TokenTree::span),
        "::proxy_filter::__private::read_config::<#Read>(configuration)?",
        &[("Read", content(&config.value).unwrap_or_else(|| kept.clone()))],
    );
    output.extend(name(
        "impl ::proxy_filter::__private::Configured for #Name {
            type Config = #Kept;
            #[inline]
            fn read(
                configuration: &::proxy_filter::Configuration,
            ) -> ::proxy_filter::Result<Self::Config> {
                ::core::result::Result::Ok(::core::convert::From::from(#read))
            }
            #[inline]
            fn new_context(config: &Self::Config) -> Self { ::proxy_filter::__private::from_config(config) }
        }",
        &[("Kept", kept), ("read", read)],
    ));
    output
}

/// The `Config` of `Rc<Config>`.
fn content(kept: &[TokenTree]) -> Option<TokenStream> {
    let mut cursor = Cursor::of(kept);
    cursor.double_colon();
    let mut name = cursor.ident()?;
    while cursor.double_colon() {
        name = cursor.ident()?;
    }
    let generics = cursor.generics();
    let [_, content @ .., _] = generics.as_slice() else { return None };
    let is_shared = SHARED.contains(&name.to_string().as_str()) && cursor.is_empty() && !content.is_empty();
    is_shared.then(|| content.iter().cloned().collect())
}
