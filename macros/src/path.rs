//! A path to a type.

use crate::cursor::Cursor;
use crate::quote::quote;
use proc_macro::{Ident, Span, TokenStream, TokenTree};

/// A path without generic arguments: `Stamped`, `streams::Stamped`, `crate::streams::Stamped`.
#[derive(Debug, Clone)]
pub(crate) struct Path {
    pub(crate) tokens: Vec<TokenTree>,
    pub(crate) segments: Vec<Ident>,
}

impl Path {
    /// Parses all of `tokens` as a path; `None` if they are anything else.
    pub(crate) fn parse(tokens: &[TokenTree]) -> Option<Self> {
        let mut cursor = Cursor::of(tokens);
        let mut segments = Vec::new();
        cursor.double_colon();
        loop {
            segments.push(cursor.ident()?);
            if cursor.is_empty() {
                return Some(Self { tokens: tokens.to_vec(), segments });
            }
            if !cursor.double_colon() {
                return None;
            }
        }
    }

    /// Parses all of `tokens` as the path of a type, which ends with a name.
    pub(crate) fn parse_type(tokens: &[TokenTree]) -> Option<Self> {
        let is_name =
            |segment: &Ident| !["self", "super", "crate", "Self", "_"].contains(&segment.to_string().as_str());
        Self::parse(tokens).filter(|path| path.first() != "Self" && path.segments.last().is_some_and(is_name))
    }

    /// Whether this is `::name::…`.
    pub(crate) fn is_global(&self) -> bool {
        matches!(self.tokens.first(), Some(TokenTree::Punct(_)))
    }

    pub(crate) fn first(&self) -> String {
        self.segments.first().map(ToString::to_string).unwrap_or_default()
    }

    pub(crate) fn stream(&self) -> TokenStream {
        self.tokens.iter().cloned().collect()
    }

    /// Returns the same path, as seen from a child of its module.
    pub(crate) fn seen_from_child(&self) -> TokenStream {
        let mut path = self.clone();
        if self.first() == "self" && self.segments.len() > 1 {
            // `self` and the two colons after it.
            path.tokens.drain(..3);
        }
        let absolute = self.is_global() || ["crate", "$crate"].contains(&self.first().as_str());
        let parent = if absolute { "" } else { "super::" };
        quote(&format!("{parent}#path"), &[("path", path.stream())])
    }

    /// Imports the item at the path, as seen from the parent module, under the name `alias`.
    pub(crate) fn import(&self, alias: &str) -> TokenStream {
        quote(&format!("use #path as {alias};"), &[("path", self.seen_from_child())])
    }

    /// Returns the location of its last segment.
    pub(crate) fn span(&self) -> Span {
        self.segments.last().map_or_else(Span::call_site, Ident::span)
    }

    /// Returns the path as an author would write it.
    pub(crate) fn text(&self) -> String {
        let names = self.segments.iter().map(ToString::to_string).collect::<Vec<_>>().join("::");
        if self.is_global() { format!("::{names}") } else { names }
    }
}

impl From<Ident> for Path {
    fn from(name: Ident) -> Self {
        Self { tokens: vec![name.clone().into()], segments: vec![name] }
    }
}
