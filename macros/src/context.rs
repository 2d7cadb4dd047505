//! `#[proxy_filter::context]` and `#[proxy_filter::stream_context]`.

use crate::callback::Method;
use crate::error::{Error, Faults};
use crate::filter::{self, Context, Kind};
use crate::impl_block::ImplBlock;
use crate::quote::quote;
use crate::valid::ValidImpl;
use proc_macro::{TokenStream, TokenTree};

pub(crate) fn expand(kind: Kind, arguments: TokenStream, item: TokenStream) -> TokenStream {
    let contract = kind.contract();
    let mut faults = Faults::default();
    let arguments: Vec<_> = arguments.into_iter().collect();
    if !arguments.is_empty() {
        faults.push(Error::at(&arguments, format!("{} takes no arguments", contract.attribute)));
    }
    let mut output = item.clone();
    if let Some(block) = faults.take(ImplBlock::parse(item, &format!("an `impl {} for …`", contract.name))) {
        if let Some(valid) = ValidImpl::check(&block, contract, &mut faults) {
            if !valid.misfits.is_empty() {
                output = block.without(&valid.misfits);
            }
            // Even after a fault: it is reported, and need not lead to others.
            output.extend(registration(kind, &valid));
        }
    }
    output.extend(faults.into_tokens());
    output
}

fn registration(kind: Kind, valid: &ValidImpl) -> TokenStream {
    let union = |method: &&Method| format!(".union(sdk::CallbackSet::{})", method.constant());
    let set = valid.callbacks.iter().map(union).collect::<Vec<_>>().concat();
    let context = Context {
        kind,
        identity: filter::identity(&valid.name),
        callbacks: valid.callbacks.iter().map(|method| method.name.to_owned()).collect(),
    };
    let mut output = quote(
        &format!(
            "const _: () = {{
                use ::proxy_filter::__private as sdk;
                impl sdk::Callbacks for #Name {{
                    const SET: sdk::CallbackSet = sdk::CallbackSet::EMPTY{set};
                    type Kind = sdk::{};
                }}
                sdk::assert_created_by_root::<#Name>()
            }};",
            kind.name(),
        ),
        &[("Name", TokenTree::from(valid.name.clone()).into())],
    );
    output.extend(filter::macro_of(&valid.name, context.tokens()));
    output
}
