//! The arguments of an attribute: `name = value, …`.

use crate::cursor::Cursor;
use crate::error::{Error, Faults};
use proc_macro::{Span, TokenStream, TokenTree};

/// One `name = value`.
#[derive(Debug)]
pub(crate) struct Argument {
    pub(crate) name: String,
    pub(crate) tokens: Vec<TokenTree>,
    /// What follows `=`.
    pub(crate) value: Vec<TokenTree>,
}

/// Reads the arguments of an attribute, of which `known` are the names, and `usage` says how they are written.
pub(crate) fn parse(tokens: TokenStream, known: &[&str], usage: &str, faults: &mut Faults) -> Vec<Argument> {
    let mut arguments: Vec<Argument> = Vec::new();
    for tokens in Cursor::new(tokens, Span::call_site()).comma_separated() {
        let mut cursor = Cursor::of(&tokens);
        let name = cursor.ident().map(|name| name.to_string()).unwrap_or_default();
        let equals = cursor.punct('=');
        let value = cursor.rest();
        if !known.contains(&name.as_str()) {
            faults.push(Error::at(&tokens, format!("unknown argument: {usage}")));
        } else if equals.is_none() || value.is_empty() {
            faults.push(Error::at(&tokens, format!("`{name}` needs a value: {usage}")));
        } else if arguments.iter().any(|argument| argument.name == name) {
            faults.push(Error::at(&tokens, format!("`{name}` is given twice")));
        } else {
            arguments.push(Argument { name, tokens, value });
        }
    }
    arguments
}
