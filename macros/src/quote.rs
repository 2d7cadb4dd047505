//! A small replacement for the `quote` crate: a template in Rust syntax with `#name` for the
//! author's tokens.

use crate::error::Error;
use proc_macro::{Group, Span, TokenStream, TokenTree};

/// Expands `template`, and replaces each `#name` with its value.
///
/// The template's own tokens get [`Span::mixed_site`]. Its local variables are invisible to the
/// author's code, but its items are visible, and lints treat it as another crate's macro. The
/// values keep their spans, so rustc's errors about them point at the author's code.
pub(crate) fn quote(template: &str, values: &[(&str, TokenStream)]) -> TokenStream {
    quote_at(Span::mixed_site(), template, values)
}

/// Like [`quote`], but errors in the template's own tokens are reported at `location`.
pub(crate) fn quote_at(location: Span, template: &str, values: &[(&str, TokenStream)]) -> TokenStream {
    match template.parse::<TokenStream>() {
        Ok(tokens) => splice(tokens, Span::mixed_site().located_at(location), values),
        Err(error) => {
            Error::new(location, format!("proxy-filter generated code that is not Rust ({error}); please report this"))
                .into_tokens()
        }
    }
}

fn splice(tokens: TokenStream, span: Span, values: &[(&str, TokenStream)]) -> TokenStream {
    let mut spliced = TokenStream::new();
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(ref punct) if punct.as_char() == '#' => {
                let name = tokens.peek().map(ToString::to_string);
                match values.iter().find(|(value, _)| name.as_deref() == Some(*value)) {
                    Some((_, value)) => {
                        tokens.next();
                        spliced.extend(value.clone());
                    }
                    None => spliced.extend([with_span(token, span)]),
                }
            }
            TokenTree::Group(group) => {
                let inner = Group::new(group.delimiter(), splice(group.stream(), span, values));
                spliced.extend([with_span(inner.into(), span)]);
            }
            token => spliced.extend([with_span(token, span)]),
        }
    }
    spliced
}

fn with_span(mut token: TokenTree, span: Span) -> TokenTree {
    token.set_span(span);
    token
}
