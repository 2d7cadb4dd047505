//! Checks an impl against the trait of its attribute.

use crate::callback::{CONTEXT, Method, ROOT_CONTEXT, STREAM_CONTEXT, Trait};
use crate::cursor::Cursor;
use crate::error::{Error, Faults, Result};
use crate::impl_block::{Function, ImplBlock, ItemKind};
use crate::path::Path;
use proc_macro::{Ident, TokenTree};

/// An impl whose callbacks are known.
#[derive(Debug)]
pub(crate) struct ValidImpl {
    /// The type that implements the trait.
    pub(crate) name: Ident,
    /// The callbacks that the author wrote, in the order of the trait.
    pub(crate) callbacks: Vec<&'static Method>,
    /// The callbacks among them that do not have the trait's signature.
    pub(crate) misfits: Vec<String>,
}

impl ValidImpl {
    /// Checks `block`. Returns `None` if it is not an impl of `expected` for a type with a name,
    /// because then nothing else can be checked.
    ///
    /// Faults that rustc reports well are left to it: unknown and missing items, argument types,
    /// return types.
    pub(crate) fn check(block: &ImplBlock, expected: &Trait, faults: &mut Faults) -> Option<Self> {
        faults.take(check_trait(block, expected))?;
        let name = faults.take(check_type(block, expected))?;
        let mut misfits = Vec::new();
        let mut found = Vec::new();
        for (item, function) in block.functions() {
            let Some(method) = expected.method(&function.name.to_string()).filter(|method| method.is_callback()) else {
                continue;
            };
            found.push(method.name);
            if let Err(error) = check_signature(method, function) {
                faults.push(error);
                misfits.push(method.name.to_owned());
            }
            for attribute in item.attributes.iter().filter(|attribute| attribute.is_cfg()) {
                let message = format!(
                    "`{}` is exported even if its `cfg` is false: put the `cfg` inside the function",
                    method.name
                );
                faults.push(Error::at(&attribute.tokens, message));
            }
        }
        for item in block.items.iter().filter(|item| matches!(item.kind, ItemKind::MacroCall)) {
            let message = format!(
                "{} cannot see the callbacks in this macro call, so the host would not call them: write them without a macro",
                expected.attribute
            );
            faults.push(Error::at(&item.tokens, message));
        }
        let callbacks = expected.methods.iter().filter(|method| found.contains(&method.name)).collect();
        Some(Self { name, callbacks, misfits })
    }
}

fn check_trait(block: &ImplBlock, expected: &Trait) -> Result<()> {
    let Trait { name, attribute, .. } = expected;
    let written = Path::parse(&block.trait_path);
    let found = written.and_then(|path| path.segments.last().map(ToString::to_string));
    if found.as_deref() == Some(name) {
        return Ok(());
    }
    if block.trait_path.is_empty() {
        let message = format!("expected `impl {name} for …`, found an impl without a trait");
        return Err(Error::at(&block.self_type, message));
    }
    let right = [CONTEXT, STREAM_CONTEXT, ROOT_CONTEXT].into_iter().find(|other| found.as_deref() == Some(other.name));
    let message = match right {
        Some(right) => format!("{attribute} goes on `impl {name} for …`; this impl needs {}", right.attribute),
        None => format!("{attribute} goes on `impl {name} for …`, not on an impl of another trait"),
    };
    Err(Error::at(&block.trait_path, message))
}

fn check_type(block: &ImplBlock, expected: &Trait) -> Result<Ident> {
    let name = expected.name;
    if !block.generics.is_empty() {
        let message = format!("an `impl {name}` cannot be generic: the functions that a module exports are not");
        return Err(Error::at(&block.generics, message));
    }
    match block.self_type.as_slice() {
        [TokenTree::Ident(ident)] if !["Self", "_"].contains(&ident.to_string().as_str()) => Ok(ident.clone()),
        other => Err(Error::at(
            other,
            format!(
                "expected the name of a struct or enum of this module, without generic arguments: `impl {name} for Name`"
            ),
        )),
    }
}

fn check_signature(method: &Method, function: &Function) -> Result<()> {
    let Method { name, signature, .. } = method;
    let wrong =
        |tokens: &[TokenTree], what: &str| Err(Error::at(tokens, format!("`{name}` {what}\nexpected `{signature}`")));
    if let [first, ..] = function.qualifiers.as_slice() {
        return wrong(&function.qualifiers, &format!("cannot be `{first}`"));
    }
    if !function.has_only_lifetimes() {
        return wrong(&function.generics, "cannot be generic");
    }
    let list = [TokenTree::from(function.parameters.clone())];
    let parameters = function.parameters();
    let Some((receiver, arguments)) = parameters.split_first() else {
        return wrong(&list, "needs `&mut self` as its first parameter");
    };
    match Receiver::parse(receiver) {
        Some(Receiver::Mutable) => {}
        Some(Receiver::Shared | Receiver::Owned) => return wrong(receiver, "takes `&mut self`"),
        None => return wrong(&list, "needs `&mut self` as its first parameter"),
    }
    let expected = method.arguments.len();
    if arguments.len() != expected {
        let plural = if expected == 1 { "" } else { "s" };
        return wrong(&list, &format!("takes {expected} argument{plural} after `&mut self`, not {}", arguments.len()));
    }
    if function.output.is_empty() {
        return wrong(&[function.name.clone().into()], "has no return type");
    }
    Ok(())
}

/// The way in which a method takes `self`.
enum Receiver {
    Mutable,
    Shared,
    Owned,
}

impl Receiver {
    /// Parses a parameter; `None` if it is not `self`.
    fn parse(parameter: &[TokenTree]) -> Option<Self> {
        let mut cursor = Cursor::of(parameter);
        cursor.attributes();
        let reference = cursor.punct('&').is_some();
        if reference && cursor.punct('\'').is_some() {
            cursor.ident();
        }
        let mutable = cursor.keyword("mut").is_some();
        cursor.keyword("self")?;
        Some(match (reference, mutable) {
            // An explicit type, `self: &mut Self`: rustc checks it.
            (false, _) if cursor.peek_punct(0, ':') => Self::Mutable,
            (true, true) => Self::Mutable,
            (true, false) => Self::Shared,
            (false, _) => Self::Owned,
        })
    }
}
