//! The macros of `proxy_filter::log`, one for each level: a line that consists of text and of
//! values without format options needs no `core::fmt`.

use crate::literal::StringLiteral;
use crate::quote::quote;
use proc_macro::{Ident, Literal, TokenStream, TokenTree};

/// Expands a macro of this level: `Level::Info` is that of `info!`.
pub(crate) fn expand(level: &str, tokens: TokenStream) -> TokenStream {
    let macro_name = level.to_lowercase();
    Line::read(tokens.clone()).map_or_else(
        // Anything else is left to the crate `log`: also what is wrong, so that rustc says so.
        || quote(&format!("::proxy_filter::__private::log_crate::{macro_name}!(#tokens)"), &[("tokens", tokens)]),
        |line| line.expand(level),
    )
}

/// A format string of which every placeholder is `{}`, `{0}` or `{name}`, and its arguments.
struct Line {
    pieces: Vec<Piece>,
    arguments: Vec<TokenStream>,
}

impl Line {
    fn read(tokens: TokenStream) -> Option<Self> {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut parts = tokens.split(|token| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ','));
        let format = parts.next()?;
        let span = format.first()?.span();
        let format = StringLiteral::parse(format, "a format string").ok()?;
        let mut arguments: Vec<TokenStream> = Vec::new();
        let mut positional: Vec<&[TokenTree]> = parts.collect();
        if positional.last().is_some_and(|last| last.is_empty()) {
            positional.pop();
        }
        for argument in &positional {
            // An argument without a name that cannot be cut in two by a comma: `a::<B, C>()` is
            // one argument for rustc, and two here.
            let may_go_on =
                |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if "=<>|".contains(punct.as_char()));
            if argument.is_empty() || argument.iter().any(may_go_on) {
                return None;
            }
            arguments.push(argument.iter().cloned().collect());
        }
        let mut used = vec![false; arguments.len()];
        let mut names: Vec<String> = Vec::new();
        let mut next = 0;
        let mut pieces = Vec::new();
        for piece in split(&format.value)? {
            pieces.push(match piece {
                Raw::Text(text) => Piece::Text(text),
                Raw::Next => {
                    next += 1;
                    Piece::Argument(next - 1)
                }
                Raw::Index(index) => Piece::Argument(index),
                Raw::Name(name) => {
                    let known = names.iter().position(|other| *other == name);
                    let index = known.unwrap_or_else(|| {
                        names.push(name);
                        names.len() - 1
                    });
                    Piece::Argument(positional.len() + index)
                }
            });
        }
        for piece in &pieces {
            if let Piece::Argument(index) = piece {
                match used.get_mut(*index) {
                    Some(used) => *used = true,
                    None if *index < positional.len() + names.len() => {}
                    None => return None,
                }
            }
        }
        // A name in the format string is the author's variable.
        arguments.extend(names.iter().map(|name| TokenTree::from(Ident::new(name, span)).into()));
        used.into_iter().all(|used| used).then_some(Self { pieces, arguments })
    }

    fn expand(&self, level: &str) -> TokenStream {
        let names: Vec<String> = (0..self.arguments.len()).map(|index| format!("argument_{index}")).collect();
        let mut values: Vec<(&str, TokenStream)> = Vec::new();
        for (name, argument) in names.iter().zip(&self.arguments) {
            values.push((name, argument.clone()));
        }
        let texts: Vec<(String, TokenStream)> = self
            .pieces
            .iter()
            .enumerate()
            .filter_map(|(index, piece)| match piece {
                Piece::Text(text) => Some((format!("text_{index}"), TokenTree::from(Literal::string(text)).into())),
                Piece::Argument(_) => None,
            })
            .collect();
        values.extend(texts.iter().map(|(name, text)| (name.as_str(), text.clone())));
        let parts: String = self
            .pieces
            .iter()
            .enumerate()
            .map(|(index, piece)| match piece {
                Piece::Text(_) => format!("log::Part::Text(#text_{index}),"),
                Piece::Argument(argument) => format!("(&log::Argument(value_{argument})).part(),"),
            })
            .collect();
        let references: Vec<String> = names.iter().map(|name| format!("&(#{name})")).collect();
        let patterns: Vec<String> = (0..names.len()).map(|index| format!("value_{index}")).collect();
        // The comma after the last one makes one value a tuple too.
        let [references, patterns] =
            [references, patterns].map(|list| list.join(",") + if names.is_empty() { "" } else { "," });
        quote(
            &format!(
                "{{
                    use ::proxy_filter::__private::log_line as log;
                    if log::is_enabled(log::Level::{level}) {{
                        #[allow(unused_imports)]
                        use log::{{DisplayPart as _, TextPart as _}};
                        match ({references}) {{
                            ({patterns}) => log::write(log::Level::{level}, ::core::module_path!(), &[{parts}]),
                        }}
                    }}
                }}"
            ),
            &values,
        )
    }
}

enum Piece {
    Text(String),
    /// The argument with this index.
    Argument(usize),
}

/// A piece of a format string.
#[derive(Debug, PartialEq, Eq)]
enum Raw {
    Text(String),
    Next,
    Index(usize),
    Name(String),
}

/// Splits a format string; `None` if a placeholder has options, or is none.
fn split(format: &str) -> Option<Vec<Raw>> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut rest = format;
    while let Some(at) = rest.find(['{', '}']) {
        let (plain, brace) = rest.split_at(at);
        text.push_str(plain);
        if let Some(after) = brace.strip_prefix("{{") {
            text.push('{');
            rest = after;
        } else if let Some(after) = brace.strip_prefix("}}") {
            text.push('}');
            rest = after;
        } else {
            let (placeholder, after) = brace.strip_prefix('{')?.split_once('}')?;
            if !text.is_empty() {
                pieces.push(Raw::Text(core::mem::take(&mut text)));
            }
            pieces.push(argument(placeholder)?);
            rest = after;
        }
    }
    text.push_str(rest);
    if !text.is_empty() {
        pieces.push(Raw::Text(text));
    }
    Some(pieces)
}

fn argument(placeholder: &str) -> Option<Raw> {
    let is_name = |name: &str| {
        name.chars().all(|character| character == '_' || character.is_alphanumeric())
            && !name.starts_with(|first: char| first.is_numeric())
            && !["_", "self", "super", "crate", "Self"].contains(&name)
    };
    match placeholder {
        "" => Some(Raw::Next),
        index if index.bytes().all(|byte| byte.is_ascii_digit()) => index.parse().ok().map(Raw::Index),
        name if is_name(name) => Some(Raw::Name(name.to_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Raw, split};

    #[test]
    fn a_format_string_is_split_at_its_placeholders() {
        let text = |text: &str| Raw::Text(text.to_owned());
        let name = |name: &str| Raw::Name(name.to_owned());
        for (format, pieces) in [
            ("", Some(vec![])),
            ("plain", Some(vec![text("plain")])),
            ("{}: {}", Some(vec![Raw::Next, text(": "), Raw::Next])),
            ("a{name}b{1}{0}", Some(vec![text("a"), name("name"), text("b"), Raw::Index(1), Raw::Index(0)])),
            ("{{}}{}}}", Some(vec![text("{}"), Raw::Next, text("}")])),
            ("{_a}", Some(vec![name("_a")])),
            ("{:?}", None),
            ("{name:>5}", None),
            ("{ name }", None),
            ("{0.1}", None),
            ("{", None),
            ("}", None),
            ("{a", None),
        ] {
            assert_eq!(split(format), pieces, "{format}");
        }
    }
}
