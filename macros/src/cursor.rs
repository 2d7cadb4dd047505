//! A position in a stream of tokens, and parsers for the parts of Rust's grammar that the macros
//! need.

use proc_macro::{Delimiter, Group, Ident, Spacing, Span, TokenStream, TokenTree};

/// Reads tokens in order, with any lookahead.
#[derive(Debug, Clone)]
pub(crate) struct Cursor {
    tokens: Vec<TokenTree>,
    at: usize,
    end: Span,
}

impl Cursor {
    /// Creates a cursor over `tokens`. `end` is the location for an error about missing tokens at
    /// the end.
    pub(crate) fn new(tokens: TokenStream, end: Span) -> Self {
        let mut flat = Vec::new();
        flatten(tokens, &mut flat);
        Self { tokens: flat, at: 0, end }
    }

    /// Creates a cursor over `tokens`, which are part of another cursor's tokens.
    pub(crate) fn of(tokens: &[TokenTree]) -> Self {
        let end = tokens.last().map_or_else(Span::call_site, TokenTree::span);
        Self { tokens: tokens.to_vec(), at: 0, end }
    }

    /// Creates a cursor over the tokens between the delimiters of `group`.
    pub(crate) fn inside(group: &Group) -> Self {
        Self::new(group.stream(), group.span_close())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.peek().is_none()
    }

    pub(crate) fn peek(&self) -> Option<&TokenTree> {
        self.peek_nth(0)
    }

    pub(crate) fn peek_nth(&self, n: usize) -> Option<&TokenTree> {
        self.tokens.get(self.at.saturating_add(n))
    }

    /// Returns the location of the next token, or the end of the input.
    pub(crate) fn span(&self) -> Span {
        self.peek().map_or(self.end, TokenTree::span)
    }

    /// Takes the next token.
    pub(crate) fn token(&mut self) -> Option<TokenTree> {
        let token = self.peek()?.clone();
        self.at += 1;
        Some(token)
    }

    pub(crate) fn peek_punct(&self, n: usize, symbol: char) -> bool {
        matches!(self.peek_nth(n), Some(TokenTree::Punct(punct)) if punct.as_char() == symbol)
    }

    pub(crate) fn peek_keyword(&self, keyword: &str) -> bool {
        matches!(self.peek(), Some(TokenTree::Ident(ident)) if ident.to_string() == keyword)
    }

    /// Takes `symbol` if it is next.
    pub(crate) fn punct(&mut self, symbol: char) -> Option<TokenTree> {
        if self.peek_punct(0, symbol) { self.token() } else { None }
    }

    /// Takes the word `keyword` if it is next.
    pub(crate) fn keyword(&mut self, keyword: &str) -> Option<TokenTree> {
        if self.peek_keyword(keyword) { self.token() } else { None }
    }

    pub(crate) fn ident(&mut self) -> Option<Ident> {
        let Some(TokenTree::Ident(ident)) = self.peek().cloned() else { return None };
        self.at += 1;
        Some(ident)
    }

    pub(crate) fn group(&mut self, delimiter: Delimiter) -> Option<Group> {
        match self.peek() {
            Some(TokenTree::Group(group)) if group.delimiter() == delimiter => {
                let group = group.clone();
                self.at += 1;
                Some(group)
            }
            _ => None,
        }
    }

    /// Returns all remaining tokens.
    pub(crate) fn rest(&mut self) -> Vec<TokenTree> {
        let rest = self.since(self.at, self.tokens.len());
        self.at = self.tokens.len();
        rest
    }

    /// Returns a mark for [`Self::taken_since`].
    pub(crate) fn mark(&self) -> usize {
        self.at
    }

    /// Returns the tokens taken since `mark`.
    pub(crate) fn taken_since(&self, mark: usize) -> Vec<TokenTree> {
        self.since(mark, self.at)
    }

    fn since(&self, start: usize, end: usize) -> Vec<TokenTree> {
        self.tokens.get(start..end).unwrap_or_default().to_vec()
    }

    /// Takes tokens up to the first one, outside of angle brackets, for which `stop` returns true.
    pub(crate) fn until(&mut self, stop: impl Fn(&Self) -> bool) -> Vec<TokenTree> {
        let start = self.at;
        let mut depth = 0_usize;
        let mut arrow = false;
        while !self.is_empty() && (depth > 0 || arrow || !stop(self)) {
            let Some(TokenTree::Punct(punct)) = self.token() else {
                arrow = false;
                continue;
            };
            match punct.as_char() {
                '<' => depth += 1,
                // The `>` of `->` and `=>` does not close anything.
                '>' if !arrow => depth = depth.saturating_sub(1),
                _ => {}
            }
            arrow = matches!(punct.as_char(), '-' | '=') && punct.spacing() == Spacing::Joint;
        }
        self.taken_since(start)
    }

    /// Returns the parts between commas, without a part after a trailing comma.
    pub(crate) fn comma_separated(mut self) -> Vec<Vec<TokenTree>> {
        let mut parts = Vec::new();
        while !self.is_empty() {
            parts.push(self.until(|cursor| cursor.peek_punct(0, ',')));
            self.punct(',');
        }
        parts
    }

    /// Takes all `#[…]` at this position.
    pub(crate) fn attributes(&mut self) -> Vec<Attribute> {
        let mut attributes = Vec::new();
        while self.peek_punct(0, '#') {
            let mark = self.mark();
            self.token();
            self.punct('!');
            let Some(group) = self.group(Delimiter::Bracket) else {
                self.at = mark;
                break;
            };
            attributes.push(Attribute { content: group, tokens: self.taken_since(mark) });
        }
        attributes
    }

    /// Takes a generic parameter list, `<…>`, if it is next.
    pub(crate) fn generics(&mut self) -> Vec<TokenTree> {
        let start = self.at;
        if self.punct('<').is_some() {
            self.until(|cursor| cursor.peek_punct(0, '>'));
            self.punct('>');
        }
        self.taken_since(start)
    }

    /// Takes `::` if it is next.
    pub(crate) fn double_colon(&mut self) -> bool {
        let found = self.peek_punct(0, ':') && self.peek_punct(1, ':');
        if found {
            self.at += 2;
        }
        found
    }
}

/// `#[name …]`.
#[derive(Debug, Clone)]
pub(crate) struct Attribute {
    content: Group,
    pub(crate) tokens: Vec<TokenTree>,
}

impl Attribute {
    /// Whether this is `#[name]`, `#[name = …]` or `#[name(…)]`.
    pub(crate) fn is(&self, name: &str) -> bool {
        let content = Cursor::inside(&self.content);
        content.peek_keyword(name) && !content.peek_punct(1, ':')
    }

    /// The last name of its path: `filter` for `#[proxy_filter::filter]`.
    pub(crate) fn last_name(&self) -> Option<String> {
        let mut cursor = Cursor::inside(&self.content);
        let mut name = cursor.ident();
        while cursor.double_colon() {
            name = cursor.ident();
        }
        name.map(|name| name.to_string())
    }

    /// Whether the item may be removed by `#[cfg(…)]` or `#[cfg_attr(…, cfg(…))]`.
    pub(crate) fn is_cfg(&self) -> bool {
        self.is("cfg") || (self.is("cfg_attr") && mentions_cfg(self.content.stream()))
    }
}

fn mentions_cfg(tokens: TokenStream) -> bool {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let found = match token {
            TokenTree::Group(group) => mentions_cfg(group.stream()),
            TokenTree::Ident(name) => name.to_string() == "cfg" && matches!(tokens.peek(), Some(TokenTree::Group(_))),
            _ => false,
        };
        if found {
            return true;
        }
    }
    false
}

/// Removes the invisible groups that a `macro_rules!` puts around the values of `$x:ty` or
/// `$x:path`.
fn flatten(tokens: TokenStream, flat: &mut Vec<TokenTree>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::None => flatten(group.stream(), flat),
            token => flat.push(token),
        }
    }
}
