//! Literals that can never be a header field.
//!
//! A macro sees tokens, not types: `text.replace(" ", "_")` does not set a header. A call with such
//! a literal therefore remains unchanged, and its result is checked by type. It does not compile if
//! it is the result of a function that takes a field (`FieldLiteral` of the SDK).

use crate::literal;
use crate::quote::quote_at;
use proc_macro::{Delimiter, Group, TokenStream, TokenTree};

/// The arguments of the functions with this name.
struct Call {
    name: &'static str,
    /// Whether the function is called with a path, such as `HttpCall::get`, and not as a method.
    is_associated: bool,
    /// The kind of each argument. `body.replace(text)` has another number of arguments.
    arguments: &'static [Argument],
}

#[derive(Clone, Copy)]
enum Argument {
    Any,
    Name,
    Value,
    Method,
    Path,
}

const CALLS: &[Call] = &[
    Call { name: "add", is_associated: false, arguments: &[Argument::Name, Argument::Value] },
    Call { name: "replace", is_associated: false, arguments: &[Argument::Name, Argument::Value] },
    Call { name: "remove", is_associated: false, arguments: &[Argument::Name] },
    Call { name: "header", is_associated: false, arguments: &[Argument::Name, Argument::Value] },
    Call { name: "metadata", is_associated: false, arguments: &[Argument::Name, Argument::Any] },
    Call { name: "get", is_associated: true, arguments: &[Argument::Any, Argument::Path] },
    Call { name: "post", is_associated: true, arguments: &[Argument::Any, Argument::Path] },
    Call { name: "new", is_associated: true, arguments: &[Argument::Any, Argument::Method, Argument::Path] },
];

const PSEUDO_HEADERS: [&[u8]; 6] = [b":method", b":path", b":scheme", b":authority", b":protocol", b":status"];

impl Argument {
    /// The type in the SDK whose message describes the fault of the literal.
    fn fault(self, bytes: &[u8]) -> Option<&'static str> {
        let is_control = |byte: &u8| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f;
        match self {
            Self::Any => None,
            Self::Name => {
                let is_pseudo = PSEUDO_HEADERS.iter().any(|name| name.eq_ignore_ascii_case(bytes));
                (!is_pseudo && !is_token(bytes)).then_some("FieldName")
            }
            Self::Value => bytes.iter().any(is_control).then_some("FieldValue"),
            Self::Method => (!is_token(bytes)).then_some("RequestMethod"),
            Self::Path => {
                let is_path = bytes == b"*"
                    || (bytes.first() == Some(&b'/')
                        && !bytes.iter().any(|byte| *byte == b' ' || *byte == b'\t' || is_control(byte)));
                (!is_path).then_some("RequestPath")
            }
        }
    }
}

fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// Returns the item with a check after each call with such a literal, in its functions.
pub(crate) fn check(item: TokenStream) -> TokenStream {
    let mut output = TokenStream::new();
    let mut is_function = false;
    for token in item {
        let token = match token {
            TokenTree::Ident(ref word) if word.to_string() == "fn" => {
                is_function = true;
                token
            }
            TokenTree::Punct(ref punct) if punct.as_char() == ';' => {
                is_function = false;
                token
            }
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                let inner = if std::mem::take(&mut is_function) { body(&group) } else { Some(check(group.stream())) };
                with(group, inner).into()
            }
            token => token,
        };
        output.extend([token]);
    }
    output
}

/// Returns the body of a function with the checks, if there are any.
fn body(group: &Group) -> Option<TokenStream> {
    let checked = expression(group.stream())?;
    let import = "use ::proxy_filter::__private::FieldLiteral as _;";
    let mut output = TokenStream::new();
    let mut tokens = checked.into_iter().peekable();
    // Attributes of the body itself are first.
    while let Some(TokenTree::Punct(hash)) = tokens.peek().cloned() {
        let mut ahead = tokens.clone();
        ahead.next();
        let is_inner = matches!(ahead.next(), Some(TokenTree::Punct(mark)) if mark.as_char() == '!');
        if hash.as_char() != '#' || !is_inner {
            break;
        }
        output.extend(tokens.by_ref().take(3));
    }
    output.extend(quote_at(group.span_open(), import, &[]));
    output.extend(tokens);
    Some(output)
}

/// Returns the tokens with the checks, if there are any.
fn expression(tokens: TokenStream) -> Option<TokenStream> {
    let mut output = TokenStream::new();
    let mut is_changed = false;
    // The tokens before a group in parentheses: `.name` or `::name`.
    let mut before = [const { None }; 2];
    for token in tokens {
        let mut check = None;
        let token = match token {
            TokenTree::Group(group) => {
                if group.delimiter() == Delimiter::Parenthesis {
                    check = called(&before).and_then(|call| call.check(&group));
                }
                let inner = expression(group.stream());
                is_changed |= inner.is_some();
                TokenTree::from(with(group, inner))
            }
            token => token,
        };
        before = [before[1].take(), Some(token.clone())];
        output.extend([token]);
        if let Some(check) = check {
            is_changed = true;
            output.extend(check);
        }
    }
    is_changed.then_some(output)
}

/// Returns the function that these two tokens before its arguments call.
fn called(before: &[Option<TokenTree>; 2]) -> Option<&'static Call> {
    let [Some(TokenTree::Punct(punct)), Some(TokenTree::Ident(name))] = before else { return None };
    let is_associated = match punct.as_char() {
        '.' => false,
        ':' => true,
        _ => return None,
    };
    let name = name.to_string();
    CALLS.iter().find(|call| call.name == name && call.is_associated == is_associated)
}

impl Call {
    /// Returns the check after a call with these arguments, if one of them is a literal that it
    /// cannot take.
    fn check(&self, arguments: &Group) -> Option<TokenStream> {
        let arguments = split(arguments.stream());
        if arguments.len() != self.arguments.len() {
            return None;
        }
        let fault = |(argument, tokens): (&Argument, &Vec<TokenTree>)| match tokens.as_slice() {
            [token @ TokenTree::Literal(literal)] => {
                let fault = argument.fault(&literal::bytes(&literal.to_string())?)?;
                Some((token.span(), fault))
            }
            _ => None,
        };
        let takes = if self.is_associated { "takes_target" } else { "takes_field" };
        let (span, fault) = self.arguments.iter().zip(&arguments).find_map(fault)?;
        let check = format!(
            ".__proxy_filter_literal(|call| {{
                use ::proxy_filter::__private::AnyCall as _;
                call.{takes}(::proxy_filter::__private::{fault})
            }})"
        );
        Some(quote_at(span, &check, &[]))
    }
}

/// Returns the parts between commas, without a part after the last comma.
fn split(tokens: TokenStream) -> Vec<Vec<TokenTree>> {
    let mut parts = vec![Vec::new()];
    for token in tokens {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == ',' => parts.push(Vec::new()),
            token => parts.last_mut().into_iter().for_each(|part| part.push(token.clone())),
        }
    }
    if parts.last().is_some_and(Vec::is_empty) {
        parts.pop();
    }
    parts
}

/// Returns the group with other tokens in it, if there are any.
fn with(group: Group, inner: Option<TokenStream>) -> Group {
    let Some(inner) = inner else { return group };
    let mut changed = Group::new(group.delimiter(), inner);
    changed.set_span(group.span());
    changed
}
