//! Parses an `impl Trait for Type { … }`, as far as the attributes need it.

use crate::cursor::{Attribute, Cursor};
use crate::error::{Error, Result};
use proc_macro::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};

/// `impl<generics> trait_path for self_type where … { items }`.
#[derive(Debug)]
pub(crate) struct ImplBlock {
    pub(crate) attributes: Vec<Attribute>,
    /// Everything before the braces.
    header: Vec<TokenTree>,
    body: Group,
    pub(crate) generics: Vec<TokenTree>,
    /// The trait; empty for an inherent impl.
    pub(crate) trait_path: Vec<TokenTree>,
    pub(crate) self_type: Vec<TokenTree>,
    pub(crate) items: Vec<Item>,
}

/// One item of an impl.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) tokens: Vec<TokenTree>,
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) kind: ItemKind,
}

#[derive(Debug)]
pub(crate) enum ItemKind {
    Fn(Function),
    /// `type name = value;`
    Type {
        name: Ident,
        value: Vec<TokenTree>,
    },
    /// `path!(…);`, which may expand to any number of items.
    MacroCall,
    Other,
}

/// The signature of a `fn`.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: Ident,
    /// `const`, `async`, `unsafe`, `extern "C"`: all tokens before `fn`, without the visibility.
    pub(crate) qualifiers: Vec<TokenTree>,
    pub(crate) generics: Vec<TokenTree>,
    pub(crate) parameters: Group,
    /// `-> Type`, including the arrow.
    pub(crate) output: Vec<TokenTree>,
}

impl ImplBlock {
    /// Parses `item`. `expected` names the item that the attribute requires, for the error message.
    pub(crate) fn parse(item: TokenStream, expected: &str) -> Result<Self> {
        let mut cursor = Cursor::new(item, Span::call_site());
        let attributes = cursor.attributes();
        visibility(&mut cursor);
        let first = cursor.mark();
        while ["default", "unsafe", "const"].iter().any(|word| cursor.keyword(word).is_some()) {}
        if cursor.keyword("impl").is_none() {
            return Err(wrong_item(&mut cursor, first, expected));
        }
        let generics = cursor.generics();
        cursor.keyword("const");
        cursor.punct('!');
        let mut trait_path = cursor.until(|cursor| is_for(cursor) || is_where_or_body(cursor));
        let self_type = match cursor.keyword("for") {
            Some(_) => cursor.until(is_where_or_body),
            None => std::mem::take(&mut trait_path),
        };
        cursor.until(is_body);
        let header = cursor.taken_since(0);
        let body = cursor
            .group(Delimiter::Brace)
            .ok_or_else(|| Error::new(cursor.span(), format!("expected {expected}, with its body in braces")))?;
        let items = items(Cursor::inside(&body));
        Ok(Self { attributes, header, body, generics, trait_path, self_type, items })
    }

    /// Returns the functions, each with its attributes.
    pub(crate) fn functions(&self) -> impl Iterator<Item = (&Item, &Function)> {
        self.items.iter().filter_map(|item| match &item.kind {
            ItemKind::Fn(function) => Some((item, function)),
            _ => None,
        })
    }

    /// Returns the author's impl without the functions in `misfits`, which become methods of the
    /// type itself.
    ///
    /// So no code of the author is lost, and an editor still understands the bodies. rustc does not
    /// report again, in its own words, that they do not match the trait.
    pub(crate) fn without(&self, misfits: &[String]) -> TokenStream {
        let is_misfit = |item: &&Item| match &item.kind {
            ItemKind::Fn(function) => misfits.contains(&function.name.to_string()),
            _ => false,
        };
        let tokens = |items: Vec<&Item>| items.into_iter().flat_map(|item| item.tokens.clone()).collect();
        let (apart, kept) = self.items.iter().partition::<Vec<_>, _>(is_misfit);
        let mut body = Group::new(Delimiter::Brace, tokens(kept));
        body.set_span(self.body.span());
        let mut output: TokenStream = self.header.iter().cloned().chain([body.into()]).collect();
        if !apart.is_empty() {
            let self_type = self.self_type.iter().cloned().collect();
            output.extend(crate::quote::quote(
                "#[allow(dead_code, clippy::all, clippy::pedantic)] impl #Type { #apart }",
                &[("Type", self_type), ("apart", tokens(apart))],
            ));
        }
        output
    }
}

impl Function {
    /// Parses the tokens after the qualifiers, from `fn` up to the body or the semicolon, which
    /// remain.
    pub(crate) fn parse(cursor: &mut Cursor, qualifiers: Vec<TokenTree>) -> Option<Self> {
        cursor.keyword("fn")?;
        let name = cursor.ident()?;
        let generics = cursor.generics();
        let parameters = cursor.group(Delimiter::Parenthesis)?;
        let output = cursor.until(|cursor| is_where_or_body(cursor) || cursor.peek_punct(0, ';'));
        cursor.until(|cursor| is_body(cursor) || cursor.peek_punct(0, ';'));
        Some(Self { name, qualifiers, generics, parameters, output })
    }

    /// Whether its generic parameters, if any, are lifetimes.
    pub(crate) fn has_only_lifetimes(&self) -> bool {
        let [_, parameters @ .., _] = self.generics.as_slice() else { return true };
        let is_lifetime = |parameter: &Vec<TokenTree>| Cursor::of(parameter).peek_punct(0, '\'');
        Cursor::of(parameters).comma_separated().iter().all(is_lifetime)
    }

    /// The parameters, including `self`.
    pub(crate) fn parameters(&self) -> Vec<Vec<TokenTree>> {
        Cursor::inside(&self.parameters).comma_separated()
    }
}

/// Takes `pub`, `pub(crate)` and the like.
pub(crate) fn visibility(cursor: &mut Cursor) {
    if cursor.keyword("pub").is_some() {
        cursor.group(Delimiter::Parenthesis);
    }
}

/// Takes the qualifiers before `fn`.
pub(crate) fn qualifiers(cursor: &mut Cursor) -> Vec<TokenTree> {
    let start = cursor.mark();
    loop {
        if cursor.keyword("extern").is_some() {
            if let Some(TokenTree::Literal(_)) = cursor.peek() {
                cursor.token();
            }
        } else if !["default", "const", "async", "unsafe", "safe", "gen"]
            .iter()
            .any(|word| cursor.keyword(word).is_some())
        {
            return cursor.taken_since(start);
        }
    }
}

fn items(mut cursor: Cursor) -> Vec<Item> {
    let mut items = Vec::new();
    while !cursor.is_empty() {
        let start = cursor.mark();
        let attributes = cursor.attributes();
        visibility(&mut cursor);
        let kind = item_kind(&mut cursor);
        items.push(Item { tokens: cursor.taken_since(start), attributes, kind });
    }
    items
}

/// Takes one item, including its end.
fn item_kind(cursor: &mut Cursor) -> ItemKind {
    let qualifiers = qualifiers(cursor);
    let (kind, ends_with_body) = if cursor.peek_keyword("fn") {
        (Function::parse(cursor, qualifiers).map(ItemKind::Fn), true)
    } else if cursor.keyword("type").is_some() {
        (type_item(cursor), false)
    } else {
        let path = cursor.until(|cursor| cursor.peek_punct(0, '!') || cursor.peek_punct(0, '=') || is_end(cursor));
        // `const NAME: …` began like a qualified function.
        let is_call = cursor.peek_punct(0, '!') && !path.is_empty() && qualifiers.is_empty();
        (is_call.then_some(ItemKind::MacroCall), is_call)
    };
    // A braced group ends a function or a macro call, but is only a part of a constant's value.
    cursor.until(|cursor| cursor.peek_punct(0, ';') || (ends_with_body && is_body(cursor)));
    cursor.token();
    kind.unwrap_or(ItemKind::Other)
}

fn type_item(cursor: &mut Cursor) -> Option<ItemKind> {
    let name = cursor.ident()?;
    cursor.generics();
    cursor.until(|cursor| cursor.peek_punct(0, '=') || cursor.peek_punct(0, ';'));
    cursor.punct('=');
    let value = cursor.until(|cursor| cursor.peek_punct(0, ';') || cursor.peek_keyword("where"));
    Some(ItemKind::Type { name, value })
}

fn is_body(cursor: &Cursor) -> bool {
    matches!(cursor.peek(), Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace)
}

fn is_end(cursor: &Cursor) -> bool {
    is_body(cursor) || cursor.peek_punct(0, ';')
}

fn is_where_or_body(cursor: &Cursor) -> bool {
    cursor.peek_keyword("where") || is_body(cursor)
}

/// Whether the next token is the `for` between trait and type, not that of `for<'a> fn(&'a u8)`.
fn is_for(cursor: &Cursor) -> bool {
    let higher_ranked = cursor.peek_punct(1, '<') && (cursor.peek_punct(2, '\'') || cursor.peek_punct(2, '>'));
    cursor.peek_keyword("for") && !higher_ranked
}

/// Describes the item that has the attribute and is not an impl.
fn wrong_item(cursor: &mut Cursor, first: usize, expected: &str) -> Error {
    qualifiers(cursor);
    let found = match cursor.token().map(|token| token.to_string()).as_deref() {
        Some("fn") => "a function",
        Some("struct") => "a struct",
        Some("enum") => "an enum",
        Some("union") => "a union",
        Some("trait") => "a trait",
        Some("mod") => "a module",
        Some("type") => "a type alias",
        Some("use") => "a `use`",
        Some("static") => "a static",
        _ => "something else",
    };
    let name = cursor.token();
    let tokens = cursor.taken_since(first);
    let message = match name {
        Some(TokenTree::Ident(name)) => format!("expected {expected}, found {found}: `{name}`"),
        _ => format!("expected {expected}, found {found}"),
    };
    Error::at(&tokens, message)
}
