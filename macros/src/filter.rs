//! The facts about a filter that macros pass to each other.
//!
//! A macro sees only its own tokens, but a module's exports depend on all of its filters. So
//! `#[context]` and `#[root]` store their facts in a `macro_rules!` with the name of their type. It
//! passes them to [`__export!`](crate::__export):
//!
//! ```text
//! #[context]  macro Stamped:  ($then…) => { __export! { $then… context Http { "identity" [on_log] } } }
//! #[filter]   macro Log:      ($then…) => { __export! { $then… root { … } context { … } } }, and the exports
//! #[root]     calls           Stamped! { register root { Stamp "identity" ("id") [on_configure] {} } }
//! __export!   macro Stamp:    ($then…) => { __export! { $then… root { … } context { … } } }
//!             and the exports, unless there is a root_id
//! module!     calls           Auth! { module {} { Root0 auth::Auth } { Root1 Stamp, } }
//! __export!   calls           Stamp! { module { { Root0 auth::Auth } root { … } context { … } } { Root1 Stamp } {} }
//! __export!   the exports
//! ```
//!
//! Types and macros have separate namespaces, and `use streams::Stamped;` imports both. So a macro
//! is available wherever its type is. [`call`] imports it, and gives it a name that helps if the
//! macro does not exist.

use crate::callback::{CONTEXT, STREAM_CONTEXT, Trait};
use crate::cursor::Cursor;
use crate::literal::StringLiteral;
use crate::path::Path;
use crate::quote::{quote, quote_at};
use proc_macro::{Delimiter, Ident, TokenStream, TokenTree};

/// A root context, and the stream context that it creates.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    pub(crate) root: Root,
    pub(crate) context: Context,
}

#[derive(Debug, Clone)]
pub(crate) struct Root {
    /// The type as its impl names it, for the location of errors.
    pub(crate) name: Ident,
    pub(crate) identity: String,
    pub(crate) id: Option<StringLiteral>,
    pub(crate) callbacks: Vec<String>,
    pub(crate) maker: Maker,
}

/// Where a root context comes from, and so its stream contexts.
#[derive(Debug, Clone)]
pub(crate) enum Maker {
    /// The author wrote it. The path is that of the stream context, if `new_context` consists of
    /// nothing else: `fn new_context(&self) -> Stamped { Stamped }`.
    Author(Option<Path>),
    /// It belongs to the stream context, whose name is its name.
    Context {
        /// No callback names `self`.
        is_selfless: bool,
    },
}

#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) kind: Kind,
    pub(crate) identity: String,
    pub(crate) callbacks: Vec<String>,
}

/// The kind of stream of a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An HTTP stream: the context implements `Context`.
    Http,
    /// A TCP connection: the context implements `StreamContext`.
    Tcp,
}

impl Kind {
    pub(crate) const ALL: [Self; 2] = [Self::Http, Self::Tcp];

    /// The trait that such contexts implement.
    pub(crate) const fn contract(self) -> &'static Trait {
        match self {
            Self::Http => &CONTEXT,
            Self::Tcp => &STREAM_CONTEXT,
        }
    }

    /// Its type in the SDK.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Http => "Http",
            Self::Tcp => "Tcp",
        }
    }
}

/// The callbacks by which a filter decides about requests and responses. They, and `on_log`, need
/// no state from an earlier callback. `on_create` and `on_delete` belong to the life of a context.
/// The host also calls `on_done` of root contexts, and only a table of contexts distinguishes them.
/// A callout, which is stored among the callbacks, needs its context when it completes.
pub(crate) const DECISIONS: &[&str] = &[
    "on_request_headers",
    "on_request_body",
    "on_request_trailers",
    "on_request_metadata",
    "on_response_headers",
    "on_response_body",
    "on_response_trailers",
    "on_response_metadata",
];

/// A value that differs for two types of the same name: the location of the name. It is only
/// compared with other identities.
pub(crate) fn identity(name: &Ident) -> String {
    format!("{name} {:?}", name.span())
}

/// Returns a name of generated code that belongs to the type `name`.
pub(crate) fn hidden_name(name: &Ident) -> String {
    format!("__proxy_filter_{}", name.to_string().trim_start_matches("r#"))
}

/// Defines the macro that belongs to the type `name`, which passes `facts` on.
pub(crate) fn macro_of(name: &Ident, facts: TokenStream) -> TokenStream {
    let hidden = hidden_name(name);
    quote(
        &format!(
            "#[doc(hidden)]
            macro_rules! {hidden} {{ ($($then:tt)*) => {{ ::proxy_filter::__export! {{ $($then)* #facts }} }} }}
            #[doc(hidden)]
            pub(crate) use {hidden} as #Name;"
        ),
        &[("facts", facts), ("Name", TokenTree::from(name.clone()).into())],
    )
}

/// Returns a module `name` with `content`, in which [`Path::import`] works. Public items of
/// `content` are also public beside the module.
pub(crate) fn lookup(name: &str, content: TokenStream) -> TokenStream {
    quote(
        &format!(
            "#[doc(hidden)]
            pub mod {name} {{
                use ::proxy_filter::__private as sdk;
                #content
            }}
            #[doc(hidden)]
            pub use {name}::*;"
        ),
        &[("content", content)],
    )
}

/// Calls the macro of the type at `path`, in a [`lookup`].
///
/// If the macro does not exist, rustc reports that it cannot find a macro `callbacks_of_Stamped`,
/// and underlines the path. `what` is `callbacks_of`.
pub(crate) fn call(what: &str, path: &Path, input: TokenStream) -> TokenStream {
    let alias = format!("{what}_{}", path.text().replace("r#", "").replace("::", "_").replace('$', ""));
    let mut output = path.import(&alias);
    output.extend(quote_at(path.span(), &format!("{alias}! {{ #input }}"), &[("input", input)]));
    output
}

impl Filter {
    /// Parses the output of [`Self::tokens`].
    pub(crate) fn parse(cursor: &mut Cursor) -> Option<Self> {
        Some(Self { root: Root::parse(cursor)?, context: Context::parse(cursor)? })
    }

    pub(crate) fn tokens(&self) -> TokenStream {
        let mut tokens = self.root.tokens();
        tokens.extend(self.context.tokens());
        tokens
    }

    /// Whether the author has written any of these callbacks.
    pub(crate) fn has(&self, root: &[&str], context: &[&str]) -> bool {
        let any = |written: &[String], names: &[&str]| written.iter().any(|name| names.contains(&name.as_str()));
        any(&self.root.callbacks, root) || any(&self.context.callbacks, context)
    }

    /// Whether the filter has no state: then the host need not announce its stream contexts.
    ///
    /// A filter has no state if its root is the only one of the module, and has no callbacks and no
    /// callouts. All values of its stream context must be equal, and no callback may belong to the
    /// context's life. The SDK itself stores something about streams whose bodies the filter reads,
    /// and must be notified of their end.
    pub(crate) fn is_stateless(&self) -> bool {
        let root = &self.root;
        let keeps_nothing = |callback: &String| callback == "on_log" || DECISIONS.contains(&callback.as_str());
        root.id.is_none()
            && root.callbacks.is_empty()
            && self.context.kind == Kind::Http
            && self.context.callbacks.iter().all(keeps_nothing)
            && matches!(root.maker, Maker::Author(Some(_)) | Maker::Context { is_selfless: true })
    }
}

impl Root {
    pub(crate) fn parse(cursor: &mut Cursor) -> Option<Self> {
        cursor.keyword("root")?;
        let mut cursor = Cursor::inside(&cursor.group(Delimiter::Brace)?);
        let name = cursor.ident()?;
        let identity = StringLiteral::parse(&[cursor.token()?], "an identity").ok()?.value;
        let id = Cursor::inside(&cursor.group(Delimiter::Parenthesis)?).rest();
        let id = StringLiteral::parse(&id, "a root_id").ok();
        let callbacks = parse_callbacks(&mut cursor)?;
        let is_context = cursor.keyword("context").is_some();
        let made = Cursor::inside(&cursor.group(Delimiter::Brace)?).rest();
        let maker = if is_context {
            Maker::Context { is_selfless: !made.is_empty() }
        } else {
            Maker::Author(Path::parse(&made))
        };
        Some(Self { name, identity, id, callbacks, maker })
    }

    pub(crate) fn tokens(&self) -> TokenStream {
        let (maker, unit) = match &self.maker {
            Maker::Author(unit) => ("{ #unit }", unit.as_ref()),
            Maker::Context { is_selfless: true } => ("context { selfless }", None),
            Maker::Context { is_selfless: false } => ("context {}", None),
        };
        quote(
            &format!("root {{ #Name {:?} (#id) [{}] {maker} }}", self.identity, self.callbacks.join(" ")),
            &[
                ("unit", unit.into_iter().flat_map(Path::stream).collect()),
                ("Name", TokenTree::from(self.name.clone()).into()),
                ("id", self.id.iter().map(|id| id.token.clone()).collect()),
            ],
        )
    }
}

impl Context {
    pub(crate) fn parse(cursor: &mut Cursor) -> Option<Self> {
        cursor.keyword("context")?;
        let name = cursor.ident()?.to_string();
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name)?;
        let mut cursor = Cursor::inside(&cursor.group(Delimiter::Brace)?);
        let identity = StringLiteral::parse(&[cursor.token()?], "an identity").ok()?.value;
        Some(Self { kind, identity, callbacks: parse_callbacks(&mut cursor)? })
    }

    pub(crate) fn tokens(&self) -> TokenStream {
        let Self { kind, identity, callbacks } = self;
        quote(&format!("context {} {{ {identity:?} [{}] }}", kind.name(), callbacks.join(" ")), &[])
    }
}

fn parse_callbacks(cursor: &mut Cursor) -> Option<Vec<String>> {
    let names = Cursor::inside(&cursor.group(Delimiter::Bracket)?).rest();
    Some(names.iter().map(ToString::to_string).collect())
}
