//! The filters of a module, and the names of their roots in it.

use crate::cursor::Cursor;
use crate::filter::{Filter, Maker};
use crate::path::Path;
use crate::quote::quote;
use proc_macro::{Delimiter, Ident, Span, TokenStream};

/// A root that `module!` lists: its path, and its name in the module's
/// [`filter::lookup`](crate::filter::lookup).
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    pub(crate) alias: Ident,
    pub(crate) path: Path,
}

impl Listed {
    pub(crate) fn new(alias: &str, path: Path) -> Self {
        Self { alias: Ident::new(alias, Span::mixed_site()), path }
    }

    /// Parses all of `cursor`.
    pub(crate) fn parse(mut cursor: Cursor) -> Option<Self> {
        Some(Self { alias: cursor.ident()?, path: Path::parse(&cursor.rest())? })
    }

    pub(crate) fn tokens(&self) -> TokenStream {
        quote(&format!("{} #path", self.alias), &[("path", self.path.stream())])
    }
}

/// A filter of a module.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) listed: Listed,
    pub(crate) filter: Filter,
}

impl Member {
    /// The root context under its alias.
    pub(crate) fn import(&self) -> TokenStream {
        let Listed { alias, path } = &self.listed;
        match self.filter.root.maker {
            Maker::Author(_) => path.import(&alias.to_string()),
            Maker::Context { .. } => {
                quote(&format!("type {alias} = <#path as sdk::OneType>::Root;"), &[("path", path.seen_from_child())])
            }
        }
    }

    /// Parses the output of [`Self::tokens`].
    pub(crate) fn parse(cursor: &mut Cursor) -> Option<Self> {
        let listed = Listed::parse(Cursor::inside(&cursor.group(Delimiter::Brace)?))?;
        Some(Self { listed, filter: Filter::parse(cursor)? })
    }

    pub(crate) fn tokens(&self) -> TokenStream {
        quote("{ #listed } #filter", &[("listed", self.listed.tokens()), ("filter", self.filter.tokens())])
    }
}
