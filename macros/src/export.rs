//! The items of a module: the implementations for its filters, its exports and, natively, their
//! table.

use crate::callback::{self, Capability, Method, ROOT_CONTEXT, Trait};
use crate::exports::{EXPORTS, FOREIGN};
use crate::filter::{Filter, Kind, Maker};
use crate::member::{Listed, Member};
use crate::quote::{quote, quote_at};
use proc_macro::{Ident, Span, TokenStream};

/// A part of rustc's message if a crate has two modules.
const ONE_MODULE: &str = "give_each_root_a_root_id_and_list_all_in_one_proxy_filter_module";

/// The alias of the only root of a module. The author's type keeps its name, in a module with a
/// macro of that name, so this name must not be one that an author would choose.
pub(crate) const ONLY_ROOT: &str = "OnlyRootOfThisProxyFilter";

/// The alias of its stream context, if the filter has no state. It is also the alias of the
/// expression that creates the context.
const ONLY_CONTEXT: &str = "OnlyContextOfThisProxyFilter";

/// Returns the content of the lookup of a module that consists of `members`: one without `root_id`,
/// or any number with one.
pub(crate) fn expand(members: &[Member]) -> TokenStream {
    let exports = EXPORTS.iter().filter(|export| export.is_needed_in(members));
    let (functions, entries): (String, String) =
        exports.map(|export| (export.function(members), export.entry(members))).unzip();
    let mut output = impls(members);
    let several = members.iter().any(|member| member.filter.root.id.is_some());
    let root = if several { "Root" } else { ONLY_ROOT };
    if several {
        output.extend(dispatch(members));
    }
    let stateless = members.first().filter(|member| member.filter.is_stateless());
    output.extend(stateless.map(without_state));
    let contexts = if stateless.is_some() { "Stateless" } else { "Contexts" };
    output.extend(quote(
        &format!(
            "::std::thread_local! {{
                static CONTEXTS: sdk::{contexts}<{root}> = const {{ sdk::{contexts}::new() }};
            }}
            {functions}
            #[doc(hidden)]
            pub mod __proxy_filter {{
                #[cfg(not(target_family = \"wasm\"))]
                pub fn module() -> super::sdk::Module {{
                    use super::{{CONTEXTS, sdk}};
                    sdk::Module {{ exports: &[{entries}] }}
                }}
            }}
            // Natively, `module` may be unused although the filter is used.
            #[cfg(not(target_family = \"wasm\"))]
            const _: fn() -> sdk::Module = __proxy_filter::module;"
        ),
        &[],
    ));
    // Two modules have the same exports, which would be an error of the linker. This name makes it
    // an error of the compiler.
    let location = members.first().map_or_else(Span::call_site, |member| member.listed.path.span());
    let name = format!("#[doc(hidden)] #[macro_export] macro_rules! {ONE_MODULE} {{ () => {{}} }}");
    output.extend(quote_at(location, &name, &[]));
    output
}

/// Which root context of several is created from the configuration.
const READ_ROOT: &str = "
    fn read_root(configuration: &sdk::Configuration) -> ::core::option::Option<sdk::Result<Self>> {
        let found = match sdk::root_id() {
            ::core::result::Result::Ok(found) => found,
            ::core::result::Result::Err(error) => {
                return ::core::option::Option::Some(::core::result::Result::Err(error));
            }
        };
        #readers
        ::core::option::Option::None
    }";

/// Returns the impls that the callbacks of a filter without state need: the stream context, and the
/// guarantee that its values are equal.
fn without_state(member: &Member) -> TokenStream {
    let root = &member.filter.root;
    let Maker::Author(Some(context)) = &root.maker else {
        let message = format!(
            "no callback of this filter uses `self`, so it has no state, but `{}` has fields or a destructor: \
             remove them, or add `on_create` or `on_delete`, which give each stream a context",
            root.name
        );
        return is_stateless(root.name.span(), &message);
    };
    let mut output = context.import(ONLY_CONTEXT);
    let name = context.text();
    let message = format!(
        "a filter whose `new_context` is `{name}` has no state, but this type has fields or a destructor: write out the value, \
         `{name} {{{{ … }}}}`"
    );
    output.extend(is_stateless(context.span(), &message));
    output.extend(quote_at(
        context.span(),
        &format!(
            "impl sdk::StatelessRoot for {ONLY_ROOT} {{
                fn only_context() -> <Self as sdk::RootContext>::Context {{ {ONLY_CONTEXT} }}
            }}"
        ),
        &[],
    ));
    output
}

/// Compiles only if the values of the stream context cannot be distinguished.
fn is_stateless(location: Span, message: &str) -> TokenStream {
    quote_at(
        location,
        &format!(
            "const _: () = ::core::assert!(
                sdk::is_stateless::<<{ONLY_ROOT} as sdk::RootContext>::Context>(),
                {message:?}
            );"
        ),
        &[],
    )
}

/// Returns the impls that every registered filter needs, for any exports of its module.
pub(crate) fn impls(members: &[Member]) -> TokenStream {
    let mut output = TokenStream::new();
    let mut contexts: Vec<&str> = Vec::new();
    output.extend(members.iter().map(Member::import));
    for member in members {
        let Member { listed: Listed { alias, path }, filter } = member;
        let context = match filter.root.maker {
            Maker::Author(_) => {
                output.extend(new_context(alias, filter));
                quote(&format!("<{alias} as sdk::RootContext>::Context"), &[])
            }
            // The SDK implements `NewContext`.
            Maker::Context { .. } => path.seen_from_child(),
        };
        if !contexts.contains(&filter.context.identity.as_str()) {
            contexts.push(&filter.context.identity);
            output.extend(quote("impl sdk::CreatedByRoot for #context {}", &[("context", context)]));
        }
    }
    output
}

/// What a root context of the author's implements.
fn new_context(alias: &Ident, filter: &Filter) -> TokenStream {
    let capabilities = filter.root.callbacks.iter().filter_map(|name| Capability::find(name));
    let tick = filter.has(&["on_tick"], &[]).then(|| "ON_TICK".to_owned());
    let awaits = callback::set(capabilities.map(Capability::constant).chain(tick));
    let logs = filter.has(&["on_log"], &[]);
    let foreign = filter.has(FOREIGN, FOREIGN);
    // A missing `Default` is a fault of the type in the author's impl.
    quote_at(
        filter.root.name.span(),
        &format!(
            "impl sdk::NewContext for {alias} {{
                const AWAITS: sdk::CallbackSet = {awaits};
                const LOGS: bool = {logs};
                const FOREIGN: bool = {foreign};
                fn new_root() -> sdk::Result<::core::option::Option<Self>> {{
                    ::core::result::Result::Ok(::core::option::Option::Some(::core::default::Default::default()))
                }}
            }}"
        ),
        &[],
    )
}

/// Returns `Root` and `Stream`, the root context and the stream context that represent those of all
/// `members`.
fn dispatch(members: &[Member]) -> TokenStream {
    let for_each = |template: &str| -> TokenStream {
        members
            .iter()
            .flat_map(|member| {
                let root_id = member.filter.root.id.iter().map(|id| id.token.clone()).collect();
                quote(&template.replace('@', &member.listed.alias.to_string()), &[("root_id", root_id)])
            })
            .collect()
    };
    let root = ROOT_CONTEXT.methods.iter().map(|method| delegation(&ROOT_CONTEXT, method, "Root", members));
    let root = root.collect::<String>();
    let refusals = EXPORTS.iter().filter(|export| export.refuses_in(members));
    let refusals = refusals.map(|export| {
        let callback = export.name.trim_start_matches("proxy_").to_uppercase();
        format!(".union(sdk::CallbackSet::{callback})")
    });
    let refusals = refusals.collect::<String>();
    let contexts =
        Kind::ALL.into_iter().filter(|kind| members.iter().any(|member| member.filter.context.kind == *kind));
    let contexts = contexts.map(|kind| context_impl(kind, members)).collect::<String>();
    let life = life(members);
    let is_read = |member: &Member| matches!(member.filter.root.maker, Maker::Context { .. });
    let read_root = if members.iter().any(is_read) { READ_ROOT } else { "" };
    quote(
        &format!(
            "use ::proxy_filter::__private::*;
            enum Root {{ #roots }}
            enum Stream {{ #streams }}
            impl sdk::NewContext for Root {{
                const AWAITS: sdk::CallbackSet = sdk::CallbackSet::SEVERAL #awaits;
                const LOGS: bool = false #logs;
                const FOREIGN: bool = false #foreign;
                const IS_READ: bool = false #reads;
                fn new_root() -> sdk::Result<::core::option::Option<Self>> {{
                    let found = sdk::root_id()?;
                    #choices
                    ::core::result::Result::Err(sdk::unknown_root_id(&found, &[#ids]))
                }}
                {read_root}
                fn as_any(&mut self) -> &mut dyn ::core::any::Any {{
                    match self {{ #anys }}
                }}
            }}
            impl sdk::RootContext for Root {{
                type Context = Stream;
                {root}
            }}
            impl sdk::Callbacks for Stream {{
                const SET: sdk::CallbackSet = sdk::CallbackSet::SEVERAL #sets {refusals};
                type Kind = Self;
                fn set(&self) -> sdk::CallbackSet {{
                    match self {{ #own_sets }}
                }}
                fn as_any(&mut self) -> &mut dyn ::core::any::Any {{
                    match self {{ #contexts }}
                }}
            }}
            {life}
            {contexts}"
        ),
        &[
            ("roots", for_each("@(@),")),
            ("streams", for_each("@(<@ as sdk::RootContext>::Context),")),
            (
                "choices",
                for_each(
                    "if found == #root_id.as_bytes() {
                        return ::core::result::Result::map(
                            <@ as sdk::NewContext>::new_root(),
                            |root| ::core::option::Option::map(root, Self::@),
                        );
                    }",
                ),
            ),
            (
                "readers",
                for_each(
                    "if found == #root_id.as_bytes() {
                        let read = <@ as sdk::NewContext>::read_root(configuration)?;
                        return ::core::option::Option::Some(::core::result::Result::map(read, Self::@));
                    }",
                ),
            ),
            ("reads", for_each("|| <@ as sdk::NewContext>::IS_READ")),
            ("logs", for_each("|| <@ as sdk::NewContext>::LOGS")),
            ("foreign", for_each("|| <@ as sdk::NewContext>::FOREIGN")),
            ("ids", for_each("#root_id,")),
            ("anys", for_each("Self::@(root) => root,")),
            ("contexts", for_each("Self::@(context) => context,")),
            ("awaits", for_each(".union(<@ as sdk::NewContext>::AWAITS)")),
            ("own_sets", for_each("Self::@(_) => <<@ as sdk::RootContext>::Context as sdk::Callbacks>::SET,")),
            ("sets", for_each(".union(<<@ as sdk::RootContext>::Context as sdk::Callbacks>::SET)")),
        ],
    )
}

/// Returns the methods that the contexts of requests and of connections share, for the enum
/// `Stream`.
fn life(members: &[Member]) -> String {
    let method = |name: &str, reference: &str, more: [&str; 2], output: &str| -> String {
        let [parameters, arguments] = more;
        let arm = |member: &Member| {
            let variant = &member.listed.alias;
            let context = format!("<{variant} as sdk::RootContext>::Context");
            format!(
                "Stream::{variant}(filter) => <<{context} as sdk::Callbacks>::Kind as sdk::Life<_>>::{name}(filter, {arguments}),"
            )
        };
        let arms = members.iter().map(arm).collect::<String>();
        format!("fn {name}(context: {reference} Self, {parameters}) -> {output} {{ match context {{ {arms} }} }}\n")
    };
    let methods = ["create", "done", "log", "delete"].map(|name| method(name, "&mut", ["", ""], "Result<()>")).concat();
    let foreign = ["function_id: u32, arguments: Vec<u8>", "function_id, arguments"];
    let foreign = method("foreign_function", "&mut", foreign, "Result<()>");
    let policy = method("failure_policy", "&", ["of_response: bool", "of_response"], "FailurePolicy");
    format!("impl sdk::Life<Self> for Stream {{ {methods} {foreign} {policy} }}")
}

/// Returns the callbacks of one kind of streams, for the enum `Stream`. [`life`] has those of every
/// kind.
fn context_impl(kind: Kind, members: &[Member]) -> String {
    let contract = kind.contract();
    let own: Vec<Member> = members.iter().filter(|member| member.filter.context.kind == kind).cloned().collect();
    let method = |method: &Method| {
        // The host's configuration can give streams of another kind to a module's root. The root
        // refuses them at their first callback.
        let others = if own.len() < members.len() {
            format!("_ => {},", method.result_for_the_other_kind(kind.name()))
        } else {
            String::new()
        };
        delegation_or(contract, method, "Stream", &own, &others)
    };
    let methods =
        contract.methods.iter().filter(|method| !method.is_of_every_context()).map(method).collect::<String>();
    format!("impl sdk::{} for Stream {{ {methods} }}\n", contract.name)
}

/// Returns the `method` of the enum `own`, which calls the method of the filter in it.
fn delegation(contract: &Trait, method: &Method, own: &str, members: &[Member]) -> String {
    delegation_or(contract, method, own, members, "")
}

/// The same, if not every filter of the enum has the method.
fn delegation_or(contract: &Trait, method: &Method, own: &str, members: &[Member], others: &str) -> String {
    let arguments = [&["filter"], method.arguments].concat().join(", ");
    let call = format!("sdk::{}::{}({arguments})", contract.name, method.name);
    let arm = |member: &Member| {
        let variant = &member.listed.alias;
        match method.name {
            "new_context" => format!("{own}::{variant}(filter) => Stream::{variant}({call}),"),
            _ => format!("{own}::{variant}(filter) => {call},"),
        }
    };
    let arms = members.iter().map(arm).collect::<Vec<_>>().concat();
    // A method that does nothing does not use its arguments.
    format!("#[allow(unused_variables)] {} {{ match self {{ {arms} {others} }} }}\n", method.signature)
}
