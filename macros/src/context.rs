//! `#[proxy_filter::context]` and `#[proxy_filter::stream_context]`.

use crate::args;
use crate::callback::{self, Capability, Method};
use crate::error::Faults;
use crate::filter::{self, Context, Kind};
use crate::impl_block::ImplBlock;
use crate::quote::quote;
use crate::valid::ValidImpl;
use proc_macro::{TokenStream, TokenTree};

pub(crate) fn expand(kind: Kind, arguments: TokenStream, item: TokenStream) -> TokenStream {
    let contract = kind.contract();
    let mut faults = Faults::default();
    let words = args::parse(arguments, &[], &callback::all_words(), &usage(kind), &mut faults);
    let capabilities: Vec<_> = words.iter().filter_map(|word| Capability::find(&word.name)).collect();
    let mut output = item.clone();
    if let Some(block) = faults.take(ImplBlock::parse(item, &format!("an `impl {} for …`", contract.name))) {
        if let Some(valid) = ValidImpl::check(&block, contract, &mut faults) {
            if !valid.misfits.is_empty() {
                output = block.without(&valid.misfits);
            }
            // Also after a fault: the fault is reported, and should not cause others.
            output.extend(registration(kind, &valid, &capabilities));
        }
    }
    output.extend(faults.into_tokens());
    output
}

fn usage(kind: Kind) -> String {
    format!(
        "expected `{}`, or the kinds of callouts that the context starts: `{}({})]`",
        kind.contract().attribute,
        kind.contract().attribute.trim_end_matches(']'),
        callback::words().join(", ")
    )
}

fn registration(kind: Kind, valid: &ValidImpl, capabilities: &[&Capability]) -> TokenStream {
    let mut output = implementation(kind, valid, capabilities, "sdk::assert_created_by_root::<#Name>()");
    output.extend(filter::macro_of(&valid.name, facts(kind, valid, capabilities).tokens()));
    output
}

/// What the other macros learn about the context.
pub(crate) fn facts(kind: Kind, valid: &ValidImpl, capabilities: &[&Capability]) -> Context {
    let names = valid.callbacks.iter().map(|method| method.name);
    Context {
        kind,
        identity: filter::identity(&valid.name),
        callbacks: names.chain(capabilities.iter().map(|capability| capability.word)).map(str::to_owned).collect(),
    }
}

/// What the context implements, and `more`.
pub(crate) fn implementation(kind: Kind, valid: &ValidImpl, capabilities: &[&Capability], more: &str) -> TokenStream {
    let callbacks = valid.callbacks.iter().copied().map(Method::constant);
    let constants = callbacks.chain(capabilities.iter().map(|capability| capability.constant()));
    let set = callback::set(constants);
    let awaits: String = capabilities.iter().map(|capability| capability.implementation()).collect();
    quote(
        &format!(
            "const _: () = {{
                use ::proxy_filter::__private as sdk;
                impl sdk::Callbacks for #Name {{
                    const SET: sdk::CallbackSet = {set};
                    type Kind = sdk::{};
                }}
                {awaits}
                {more}
            }};",
            kind.name(),
        ),
        &[("Name", TokenTree::from(valid.name.clone()).into())],
    )
}
