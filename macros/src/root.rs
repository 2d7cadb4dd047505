//! `#[proxy_filter::root]`.

use crate::args::{self, Argument};
use crate::callback::{self, Capability, ROOT_CONTEXT};
use crate::cursor::Cursor;
use crate::error::{Error, Faults};
use crate::filter::{self, Maker, Root};
use crate::impl_block::{ImplBlock, ItemKind};
use crate::literal::StringLiteral;
use crate::path::Path;
use crate::quote::quote;
use crate::valid::ValidImpl;
use proc_macro::{Ident, TokenStream, TokenTree};

const USAGE: &str = "expected `#[proxy_filter::root]` or `#[proxy_filter::root(root_id = \"name\")]`, and the kinds of callouts that the root starts: \
                     `http_calls`, `timers`, `grpc_calls`, `grpc_streams`";

/// Compiles only if `module!` has registered the root. The trait exists for its error message.
const ASSERT_LISTED: &str = "const _: () = {
    #[diagnostic::on_unimplemented(
        message = \"no `proxy_filter::module!` lists the WHAT `{Self}`\",
        label = \"has a `root_id`, so it is one filter of several\",
        note = \"list it in the crate root: `proxy_filter::module!({Self}, …);`\",
        note = \"or, if it is the only filter, remove the `root_id`\"
    )]
    trait Listed {}
    #[diagnostic::do_not_recommend]
    impl<R: ::proxy_filter::__private::REGISTERED> Listed for R {}
    const fn assert_listed<R: Listed>() {}
    assert_listed::<#Name>()
};";

/// The same for `what`, a type that is `registered` then.
pub(crate) fn assert_listed(name: &Ident, what: &str, registered: &str) -> TokenStream {
    let text = ASSERT_LISTED.replace("WHAT", what).replace("REGISTERED", registered);
    quote(&text, &[("Name", TokenTree::from(name.clone()).into())])
}

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut faults = Faults::default();
    let (root_id, capabilities) = read(arguments, &mut faults);
    let arguments_are_right = faults.is_empty();
    let mut output = item.clone();
    if let Some(block) = faults.take(ImplBlock::parse(item, "an `impl RootContext for …`")) {
        if let Some(valid) = ValidImpl::check(&block, &ROOT_CONTEXT, &mut faults) {
            if !valid.misfits.is_empty() {
                output = block.without(&valid.misfits);
            }
            // Also after a fault in the impl: the fault is reported, and should not cause others.
            if let Some(context) = context(&block, &mut faults) {
                output.extend(if arguments_are_right {
                    registration(&valid, root_id, &capabilities, &context, makes_only(&block, &context))
                } else {
                    quote(
                        "impl ::proxy_filter::__private::CreatedByRoot for #Context {}",
                        &[("Context", context.stream())],
                    )
                });
            }
        }
    }
    output.extend(faults.into_tokens());
    output
}

/// The `root_id`, and the kinds of callouts of the root.
fn read(arguments: TokenStream, faults: &mut Faults) -> (Option<StringLiteral>, Vec<&'static Capability>) {
    let arguments = args::parse(arguments, &["root_id"], &callback::all_words(), USAGE, faults);
    let capabilities = arguments.iter().filter_map(|argument| Capability::find(&argument.name)).collect();
    let root_id = arguments.iter().find(|argument| argument.name == "root_id");
    (root_id.and_then(|argument| root_id_of(argument, faults)), capabilities)
}

pub(crate) fn root_id_of(argument: &Argument, faults: &mut Faults) -> Option<StringLiteral> {
    let root_id = faults.take(StringLiteral::parse(&argument.value, "a string literal: `root_id = \"name\"`"))?;
    if root_id.value.is_empty() {
        let message = "a root_id cannot be empty; without `root_id`, the only filter of a module accepts any";
        faults.push(Error::at(&argument.value, message));
    }
    Some(root_id)
}

/// Returns the type in `type Context`. rustc checks that there is one.
fn context(block: &ImplBlock, faults: &mut Faults) -> Option<Path> {
    let value = block.items.iter().find_map(|item| match &item.kind {
        ItemKind::Type { name, value } if name.to_string() == "Context" => Some(value),
        _ => None,
    })?;
    let path = Path::parse_type(value);
    let message = "expected the path of a type without generic arguments, such as `Stamped` or `streams::Stamped`: \
                   #[proxy_filter::root] finds its callbacks by name";
    faults.take(path.ok_or_else(|| Error::at(value, message)))
}

/// Whether the body of `new_context` is only the path of the context.
fn makes_only(block: &ImplBlock, context: &Path) -> bool {
    let mut makers = block.functions().filter(|(_, function)| function.name.to_string() == "new_context");
    let (Some((item, _)), None) = (makers.next(), makers.next()) else { return false };
    let Some(TokenTree::Group(body)) = item.tokens.last() else { return false };
    let text = |tokens: &[TokenTree]| tokens.iter().map(ToString::to_string).collect::<Vec<_>>();
    text(&Cursor::inside(body).rest()) == text(&context.tokens)
}

fn registration(
    valid: &ValidImpl,
    root_id: Option<StringLiteral>,
    capabilities: &[&Capability],
    context: &Path,
    makes_only: bool,
) -> TokenStream {
    let mut output = TokenStream::new();
    if !capabilities.is_empty() {
        let awaits: String = capabilities.iter().map(|capability| capability.implementation()).collect();
        let text = format!("const _: () = {{ use ::proxy_filter::__private as sdk; {awaits} }};");
        output.extend(quote(&text, &[("Name", TokenTree::from(valid.name.clone()).into())]));
    }
    if root_id.is_some() {
        output.extend(assert_listed(&valid.name, "root context", "NewContext"));
    }
    let names = valid.callbacks.iter().map(|method| method.name);
    let root = Root {
        name: valid.name.clone(),
        identity: filter::identity(&valid.name),
        id: root_id,
        callbacks: names.chain(capabilities.iter().map(|capability| capability.word)).map(str::to_owned).collect(),
        maker: Maker::Author(makes_only.then(|| context.clone())),
    };
    let ask = filter::call("callbacks_of", context, quote("register #root", &[("root", root.tokens())]));
    output.extend(filter::lookup(&filter::hidden_name(&valid.name), ask));
    output
}
