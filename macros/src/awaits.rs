//! What a function awaits that the macro cannot see into: futures of other functions, and parts of
//! an exchange that is handed on.

use crate::cursor::Cursor;
use proc_macro::{Delimiter, Group, TokenStream, TokenTree};

/// The types of the SDK that are futures, or whose methods are.
const FUTURES: [&str; 6] = ["HttpCall", "Timer", "Interval", "GrpcCall", "GrpcStream", "SharedQueue"];

/// The functions of the SDK that await their arguments, and how many arguments come before these.
const COMBINATORS: [(&str, usize); 5] = [("join", 0), ("join_all", 0), ("select", 0), ("timeout", 1), ("retry", 2)];

/// The methods of what these futures and an exchange return that can be awaited.
const METHODS: [&str; 3] = ["next", "tick", "receive"];

/// The types that contain a future, or nothing or an error.
const WRAPPERS: [&str; 2] = ["Option", "Result"];

/// The macros that await nothing, besides those whose name ends in `_limited`. Any other macro may
/// await its arguments, as `futures::join!` does.
const MACROS: [&str; 32] = [
    "assert",
    "assert_eq",
    "assert_ne",
    "cfg",
    "column",
    "concat",
    "debug",
    "debug_assert",
    "debug_assert_eq",
    "debug_assert_ne",
    "env",
    "error",
    "file",
    "format",
    "format_args",
    "include_bytes",
    "include_str",
    "info",
    "json",
    "line",
    "log",
    "matches",
    "option_env",
    "panic",
    "stringify",
    "todo",
    "trace",
    "unreachable",
    "vec",
    "warn",
    "write",
    "writeln",
];

/// The words after which `!` is a negation.
const KEYWORDS: [&str; 7] = ["break", "else", "if", "in", "match", "return", "while"];

/// What the macro cannot see into.
#[derive(Debug, Default)]
pub(crate) struct Unseen {
    /// A future of another function, which may wait for a callout.
    pub(crate) callouts: bool,
    /// The exchange is passed on, or a method is called that is not one of `Exchange`.
    pub(crate) parts: bool,
}

/// Reads the body of a function. `exchange` is the name of its parameter, if it has one, and
/// `methods` are those of `Exchange` that can be seen into.
pub(crate) fn unseen(body: &Group, exchange: Option<&str>, methods: &[&str]) -> Unseen {
    let mut reader = Reader { exchange, methods, seen: Vec::new(), found: Unseen::default() };
    reader.read(body.stream());
    reader.found
}

struct Reader<'a> {
    exchange: Option<&'a str>,
    methods: &'a [&'a str],
    /// The variables whose values are known futures, or come from them or from the exchange.
    seen: Vec<String>,
    found: Unseen,
}

impl Reader<'_> {
    fn read(&mut self, tokens: TokenStream) {
        let tokens = Cursor::new(tokens, proc_macro::Span::call_site()).rest();
        for (index, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Group(group) => self.read(group.stream()),
                TokenTree::Ident(_) if is(token, "let") => self.bind(after(&tokens, index)),
                TokenTree::Ident(_) if is(token, "match") => self.bind_arms(after(&tokens, index)),
                TokenTree::Ident(_) if self.is_exchange(token) => {
                    let is_field =
                        index.checked_sub(1).and_then(|at| tokens.get(at)).is_some_and(|dot| is_punct(dot, '.'));
                    self.found.parts |= !is_field && !self.is_known_method(after(&tokens, index));
                }
                TokenTree::Ident(_) if is(token, "await") => {
                    let operand = operand(tokens.get(..index.saturating_sub(1)).unwrap_or_default());
                    self.found.callouts |= !self.is_seen(operand);
                }
                TokenTree::Ident(name) if is_macro(after(&tokens, index)) => {
                    self.found.callouts |= !awaits_nothing(&name.to_string());
                }
                _ => {}
            }
        }
    }

    fn is_exchange(&self, token: &TokenTree) -> bool {
        self.exchange.is_some_and(|name| is(token, name))
    }

    /// Whether `.method` of `Exchange` comes next.
    fn is_known_method(&self, rest: &[TokenTree]) -> bool {
        matches!(rest, [dot, method, ..] if is_punct(dot, '.') && self.methods.iter().any(|name| is(method, name)))
    }

    /// Remembers the variables of `pattern: Type = value`, up to `;` or a block. Other values
    /// remove them: they may be futures that the macro cannot see into.
    fn bind(&mut self, rest: &[TokenTree]) {
        let Some(middle) = outside_generics(rest, '=') else { return };
        let (pattern, value) = rest.split_at(middle);
        let value = after(value, 0);
        let is_end = |token: &TokenTree| match token {
            TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
            token => is_punct(token, ';'),
        };
        let end = value.iter().position(is_end).unwrap_or(value.len());
        let (pattern, annotation) = match pattern.iter().position(|token| is_punct(token, ':')) {
            // A path has two of them.
            Some(at) if !pattern.get(at + 1).is_some_and(|next| is_punct(next, ':')) => {
                (pattern.get(..at).unwrap_or_default(), after(pattern, at))
            }
            _ => (pattern, [].as_slice()),
        };
        // rustc checks the annotation.
        if is_future(annotation) || self.is_source(value.get(..end).unwrap_or_default()) {
            self.remember(pattern);
        } else {
            self.remove(pattern);
        }
    }

    fn remove(&mut self, pattern: &[TokenTree]) {
        for token in pattern {
            match token {
                TokenTree::Ident(name) => self.seen.retain(|seen| *seen != name.to_string()),
                TokenTree::Group(group) => self.remove(&Cursor::inside(group).rest()),
                _ => {}
            }
        }
    }

    /// Remembers the variables in the patterns of a `match`.
    fn bind_arms(&mut self, rest: &[TokenTree]) {
        let body = rest.iter().enumerate().find_map(|(index, token)| match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some((index, group)),
            _ => None,
        });
        let Some((index, body)) = body else { return };
        if !self.is_source(rest.get(..index).unwrap_or_default()) {
            return;
        }
        let tokens = Cursor::inside(body).rest();
        let is_arrow = |pair: &[TokenTree]| matches!(pair, [a, b] if is_punct(a, '=') && is_punct(b, '>'));
        for (index, _) in tokens.windows(2).enumerate().filter(|(_, pair)| is_arrow(pair)) {
            let before = tokens.get(..index).unwrap_or_default();
            let ends = |token: &TokenTree| match token {
                TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
                token => is_punct(token, ','),
            };
            let start = before.iter().rposition(ends).map_or(0, |at| at + 1);
            self.remember(before.get(start..).unwrap_or_default());
        }
    }

    fn remember(&mut self, pattern: &[TokenTree]) {
        for token in pattern {
            match token {
                TokenTree::Ident(name) => self.seen.push(name.to_string()),
                TokenTree::Group(group) => self.remember(&Cursor::inside(group).rest()),
                _ => {}
            }
        }
    }

    /// Whether a value is a known future or comes from one, or from a part of the exchange.
    fn is_source(&self, value: &[TokenTree]) -> bool {
        let value = value.split_last().filter(|(last, _)| is_punct(last, '?')).map_or(value, |(_, rest)| rest);
        match value {
            [rest @ .., dot, word] if is(word, "await") && is_punct(dot, '.') => self.is_seen(rest),
            value => self.is_seen(value),
        }
    }

    /// Whether the macro knows what it takes to await `operand`.
    fn is_seen(&self, operand: &[TokenTree]) -> bool {
        let skipped = operand.iter().take_while(|token| is_punct(token, '&') || is(token, "mut") || is(token, "move"));
        let operand = operand.get(skipped.count()..).unwrap_or_default();
        match operand {
            // Its awaits are read by themselves.
            [TokenTree::Group(_)] => true,
            [word, ..] if is(word, "async") => true,
            [bar, ..] if is_punct(bar, '|') => self.is_seen(closure_body(operand)),
            [first, rest @ ..] if self.is_exchange(first) => {
                let method = last_method(rest);
                self.is_known_method(rest) && method.is_some_and(|method| method != "config" && self.is_method(&method))
            }
            [TokenTree::Ident(_), ..] => self.is_seen_path(operand),
            _ => false,
        }
    }

    fn is_method(&self, name: &str) -> bool {
        METHODS.contains(&name) || self.methods.contains(&name)
    }

    fn is_seen_path(&self, operand: &[TokenTree]) -> bool {
        let mut cursor = Cursor::of(operand);
        let mut path = Vec::new();
        loop {
            cursor.generics();
            let Some(name) = cursor.ident() else { break };
            path.push(name.to_string());
            if !cursor.double_colon() {
                break;
            }
        }
        let rest = cursor.rest();
        if path.iter().any(|name| FUTURES.contains(&name.as_str())) {
            return true;
        }
        let Some(name) = path.last() else { return false };
        if let Some((_, skipped)) = COMBINATORS.iter().find(|(known, _)| known == name) {
            let Some(TokenTree::Group(arguments)) = rest.first() else { return false };
            let arguments = Cursor::inside(arguments).comma_separated();
            return arguments.iter().skip(*skipped).all(|argument| self.is_seen(argument));
        }
        let is_local = path.len() == 1 && self.seen.contains(name);
        is_local && last_method(&rest).is_none_or(|method| self.is_method(&method))
    }
}

/// Whether a type is a future of the SDK, or an `Option` or a `Result` of one.
fn is_future(annotation: &[TokenTree]) -> bool {
    let mut cursor = Cursor::of(annotation);
    let mut name = String::new();
    while let Some(next) = cursor.ident() {
        name = next.to_string();
        if !cursor.double_colon() {
            break;
        }
    }
    let generics = cursor.generics();
    if !cursor.is_empty() {
        return false;
    }
    match generics.as_slice() {
        [_, content @ .., _] if WRAPPERS.contains(&name.as_str()) => {
            let first = outside_generics(content, ',').unwrap_or(content.len());
            is_future(content.get(..first).unwrap_or_default())
        }
        _ => FUTURES.contains(&name.as_str()),
    }
}

/// The position of the first `symbol` that is not between `<` and `>`.
fn outside_generics(tokens: &[TokenTree], symbol: char) -> Option<usize> {
    let mut depth = 0_usize;
    tokens.iter().position(|token| {
        if is_punct(token, '<') {
            depth += 1;
        } else if is_punct(token, '>') {
            depth = depth.saturating_sub(1);
        }
        depth == 0 && is_punct(token, symbol)
    })
}

/// Whether `!` and a group come next, as after the name of a macro.
fn is_macro(rest: &[TokenTree]) -> bool {
    matches!(rest, [mark, TokenTree::Group(_), ..] if is_punct(mark, '!'))
}

/// Whether the macro of this name, or the negation after this keyword, awaits nothing.
fn awaits_nothing(name: &str) -> bool {
    MACROS.contains(&name) || KEYWORDS.contains(&name) || name.ends_with("_limited")
}

/// What a closure evaluates.
fn closure_body(closure: &[TokenTree]) -> &[TokenTree] {
    let second = closure.iter().skip(1).position(|token| is_punct(token, '|'));
    second.and_then(|at| closure.get(at + 2..)).unwrap_or_default()
}

/// The method that is called last in a chain: `next` of `.by_ref().next()`.
fn last_method(chain: &[TokenTree]) -> Option<String> {
    chain.windows(2).rev().find_map(|pair| match pair {
        [dot, TokenTree::Ident(name)] if is_punct(dot, '.') => Some(name.to_string()),
        _ => None,
    })
}

/// The end of `before` that is one expression: a chain of names, calls and blocks.
fn operand(before: &[TokenTree]) -> &[TokenTree] {
    let mut start = before.len();
    let mut angles = 0_usize;
    while let Some(token) = start.checked_sub(1).and_then(|at| before.get(at)) {
        let is_part = match token {
            // A block ends the expression before it; it is one itself if it is awaited.
            TokenTree::Group(group) => group.delimiter() != Delimiter::Brace || start == before.len(),
            TokenTree::Ident(name) => {
                !["return", "match", "if", "while", "in", "let", "else", "break"].contains(&name.to_string().as_str())
            }
            TokenTree::Punct(punct) => match punct.as_char() {
                '>' => {
                    angles += 1;
                    true
                }
                '<' if angles > 0 => {
                    angles -= 1;
                    true
                }
                '.' | ':' | '?' | '!' => true,
                _ => angles > 0,
            },
            TokenTree::Literal(_) => angles > 0,
        };
        if !is_part {
            break;
        }
        start -= 1;
    }
    before.get(start..).unwrap_or_default()
}

fn after(tokens: &[TokenTree], index: usize) -> &[TokenTree] {
    tokens.get(index + 1..).unwrap_or_default()
}

fn is(token: &TokenTree, word: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident.to_string() == word)
}

fn is_punct(token: &TokenTree, symbol: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == symbol)
}
