//! Faults of the author's code, with their locations.

use proc_macro::{Delimiter, Group, Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree};

/// One or more faults, each at the author's own tokens.
#[derive(Debug)]
pub(crate) struct Error {
    faults: Vec<Fault>,
}

#[derive(Debug)]
struct Fault {
    start: Span,
    end: Span,
    message: String,
}

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A fault at one token.
    pub(crate) fn new(span: Span, message: impl Into<String>) -> Self {
        Self { faults: vec![Fault { start: span, end: span, message: message.into() }] }
    }

    /// A fault that underlines all of `tokens`, or the macro call itself if there are none.
    pub(crate) fn at(tokens: &[TokenTree], message: impl Into<String>) -> Self {
        let start = tokens.first().map_or_else(Span::call_site, TokenTree::span);
        let end = tokens.last().map_or(start, TokenTree::span);
        Self { faults: vec![Fault { start, end, message: message.into() }] }
    }

    /// Returns the faults as `compile_error!` items.
    pub(crate) fn into_tokens(self) -> TokenStream {
        self.faults.into_iter().flat_map(Fault::into_tokens).collect()
    }
}

impl Fault {
    fn into_tokens(self) -> TokenStream {
        let Self { start, end, message } = self;
        let punct = |symbol, spacing| {
            let mut punct = Punct::new(symbol, spacing);
            punct.set_span(start);
            TokenTree::from(punct)
        };
        let ident = |name| TokenTree::from(Ident::new(name, start));
        let mut message = Literal::string(&message);
        message.set_span(end);
        let mut argument = Group::new(Delimiter::Brace, TokenTree::from(message).into());
        argument.set_span(end);
        // rustc underlines a macro call from its first token to its last: `start` to `end`.
        [
            punct(':', Spacing::Joint),
            punct(':', Spacing::Alone),
            ident("core"),
            punct(':', Spacing::Joint),
            punct(':', Spacing::Alone),
            ident("compile_error"),
            punct('!', Spacing::Alone),
            argument.into(),
        ]
        .into_iter()
        .collect()
    }
}

/// The faults found so far. Checks continue after the first fault, so that an author sees all of
/// them at once.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    pub(crate) fn push(&mut self, error: Error) {
        self.0.extend(error.faults);
    }

    pub(crate) fn extend(&mut self, errors: impl IntoIterator<Item = Error>) {
        errors.into_iter().for_each(|error| self.push(error));
    }

    /// Takes the value out of `result`, or stores its error.
    pub(crate) fn take<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.push(error)).ok()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn into_tokens(self) -> TokenStream {
        Error { faults: self.0 }.into_tokens()
    }
}
