//! `proxy_filter::module!`, and the steps in which it and `#[proxy_filter::root]` collect the facts
//! about the filters.

use crate::cursor::Cursor;
use crate::error::{Error, Faults};
use crate::export;
use crate::filter::{self, Context, Filter, Maker, Root};
use crate::member::{Listed, Member};
use crate::path::Path;
use crate::quote::quote;
use proc_macro::{Delimiter, Span, TokenStream};

const USAGE: &str = "expected the root contexts of the module: `proxy_filter::module!(auth::Auth, Stamp)`";

/// `module!(paths)`.
pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let mut faults = Faults::default();
    let mut listed: Vec<Listed> = Vec::new();
    for tokens in Cursor::new(input, Span::call_site()).comma_separated() {
        match Path::parse_type(&tokens) {
            None => faults.push(Error::at(&tokens, USAGE)),
            Some(path) if listed.iter().any(|other| other.path.text() == path.text()) => {
                faults.push(listed_twice(&path));
            }
            Some(path) => listed.push(Listed::new(&format!("Root{}", listed.len()), path)),
        }
    }
    if listed.is_empty() && faults.is_empty() {
        faults.push(Error::new(Span::call_site(), USAGE));
    }
    let mut output = TokenStream::new();
    if let Some(ask) = ask_next(&[], &listed) {
        output.extend(filter::lookup("__proxy_filter_module", ask));
    }
    output.extend(faults.into_tokens());
    output
}

/// `__export!`, which the macros of the types call with their facts.
pub(crate) fn export(input: TokenStream) -> TokenStream {
    let mut cursor = Cursor::new(input, Span::call_site());
    let output = match cursor.ident().map(|step| step.to_string()).as_deref() {
        Some("register") => registration(&mut cursor),
        Some("module") => module(&mut cursor),
        _ => None,
    };
    output.unwrap_or_else(|| {
        Error::new(Span::call_site(), "this macro belongs to proxy-filter's attributes: use these").into_tokens()
    })
}

/// `register root {…} context {…}`: a `#[root]` with the facts about its stream context.
fn registration(cursor: &mut Cursor) -> Option<TokenStream> {
    let root = Root::parse(cursor)?;
    if let Some(whole) = Root::parse(cursor) {
        let message = format!(
            "the context of `{}` is a filter of its own, with a root context: \
             write `#[proxy_filter::context]` in place of `#[proxy_filter::filter]` on the impl of `{}`",
            root.name, whole.name
        );
        return Some(Error::new(root.name.span(), message).into_tokens());
    }
    Some(register(Filter { root, context: Context::parse(cursor)? }))
}

/// The facts of a filter, and its exports unless it is one of several.
pub(crate) fn register(filter: Filter) -> TokenStream {
    let mut output = filter::macro_of(&filter.root.name, filter.tokens());
    if filter.root.id.is_none() {
        let listed = Listed::new(export::ONLY_ROOT, Path::from(filter.root.name.clone()));
        output.extend(export::expand(&[Member { listed, filter }]));
    }
    output
}

/// `module { known } { asked } { to ask } root {…} context {…}`: the result of [`ask_next`].
fn module(cursor: &mut Cursor) -> Option<TokenStream> {
    let mut known = Cursor::inside(&cursor.group(Delimiter::Brace)?);
    let asked = Listed::parse(Cursor::inside(&cursor.group(Delimiter::Brace)?))?;
    let to_ask = Cursor::inside(&cursor.group(Delimiter::Brace)?).comma_separated();
    let to_ask = to_ask.iter().map(|tokens| Listed::parse(Cursor::of(tokens))).collect::<Option<Vec<_>>>()?;
    let mut members = Vec::new();
    while !known.is_empty() {
        members.push(Member::parse(&mut known)?);
    }
    members.push(Member { listed: asked, filter: Filter::parse(cursor)? });
    Some(ask_next(&members, &to_ask).unwrap_or_else(|| finish(members)))
}

/// Calls the macro of the first root in `to_ask` for its filter.
fn ask_next(known: &[Member], to_ask: &[Listed]) -> Option<TokenStream> {
    let (next, rest) = to_ask.split_first()?;
    let known = known.iter().map(Member::tokens).collect();
    let rest = rest.iter().map(|root| quote("#root,", &[("root", root.tokens())])).collect();
    let values = [("known", known), ("next", next.tokens()), ("rest", rest)];
    Some(filter::call("root_id_of", &next.path, quote("module { #known } { #next } { #rest }", &values)))
}

/// All filters are known.
fn finish(members: Vec<Member>) -> TokenStream {
    let mut faults = Faults::default();
    let mut distinct: Vec<Member> = Vec::new();
    let mut complete = true;
    for member in members {
        let path = &member.listed.path;
        let root = &member.filter.root;
        let Some(root_id) = &root.id else {
            let attribute = if matches!(root.maker, Maker::Author(_)) { "root" } else { "filter" };
            let message = format!(
                "`{}` has no root_id, so it is a module of its own: write `#[proxy_filter::{attribute}(root_id = \"name\")]`, \
                 or remove `module!` if this is the only filter",
                path.text()
            );
            faults.push(Error::at(&path.tokens, message));
            complete = false;
            continue;
        };
        if distinct.iter().any(|other| other.filter.root.identity == root.identity) {
            faults.push(listed_twice(path));
            continue;
        }
        let has_id = |other: &&Member| other.filter.root.id.as_ref().is_some_and(|id| id.value == root_id.value);
        if let Some(other) = distinct.iter().find(has_id) {
            let message = format!(
                "the root_id {:?} is already used by `{}`: the host could not distinguish them",
                root_id.value,
                other.listed.path.text()
            );
            faults.push(Error::at(std::slice::from_ref(&root_id.token), message));
        }
        distinct.push(member);
    }
    // A root without root_id has emitted exports. More exports would only be reported as
    // duplicates.
    let mut output = if complete { export::expand(&distinct) } else { export::impls(&distinct) };
    output.extend(faults.into_tokens());
    output
}

fn listed_twice(path: &Path) -> Error {
    Error::at(&path.tokens, format!("`{}` is listed twice", path.text()))
}
