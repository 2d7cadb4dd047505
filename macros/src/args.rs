//! The arguments of an attribute: `name = value, word, …`.

use crate::cursor::Cursor;
use crate::error::{Error, Faults};
use proc_macro::{Span, TokenStream, TokenTree};

/// An argument: `name = value`, or a word without a value.
#[derive(Debug)]
pub(crate) struct Argument {
    pub(crate) name: String,
    /// The tokens after `=`; empty for a word.
    pub(crate) value: Vec<TokenTree>,
}

/// Parses the arguments of an attribute. `known` are the names of arguments with a value, `words`
/// are those without, and `usage` describes the syntax.
pub(crate) fn parse(
    tokens: TokenStream,
    known: &[&str],
    words: &[&str],
    usage: &str,
    faults: &mut Faults,
) -> Vec<Argument> {
    let mut arguments: Vec<Argument> = Vec::new();
    for tokens in Cursor::new(tokens, Span::call_site()).comma_separated() {
        let mut cursor = Cursor::of(&tokens);
        let name = cursor.ident().map(|name| name.to_string()).unwrap_or_default();
        let equals = cursor.punct('=');
        let value = cursor.rest();
        let is_word = words.contains(&name.as_str());
        if !is_word && !known.contains(&name.as_str()) {
            faults.push(Error::at(&tokens, format!("unknown argument: {usage}")));
        } else if is_word && (equals.is_some() || !value.is_empty()) {
            faults.push(Error::at(&tokens, format!("`{name}` takes no value: {usage}")));
        } else if !is_word && (equals.is_none() || value.is_empty()) {
            faults.push(Error::at(&tokens, format!("`{name}` needs a value: {usage}")));
        } else if arguments.iter().any(|argument| argument.name == name) {
            faults.push(Error::at(&tokens, format!("`{name}` is given twice")));
        } else {
            arguments.push(Argument { name, value });
        }
    }
    arguments
}
