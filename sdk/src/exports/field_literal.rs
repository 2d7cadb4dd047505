//! Why a literal that can never be a header field does not compile.
//!
//! The attributes add a check to each call with such a literal, because they cannot see whether the
//! call is one of the SDK's: [`FieldLiteral`] is for whatever a call returns, and [`FieldCall`]
//! refuses what those calls return that take a field.

#[cfg(feature = "grpc")]
use crate::callout::grpc::call::GrpcCall;
#[cfg(feature = "grpc")]
use crate::callout::grpc::stream::GrpcStream;
use crate::callout::http::HttpCall;
use crate::error::Result;
use crate::error::local_reply::LocalReply;
use core::marker::PhantomData;

/// What any call returns.
pub trait FieldLiteral: Sized {
    /// Asks whether the call accepts a literal that is not a valid field.
    #[must_use]
    #[inline]
    fn __proxy_filter_literal(self, ask: impl FnOnce(FieldCall<Self>)) -> Self {
        ask(FieldCall(PhantomData));
        self
    }
}

impl<T> FieldLiteral for T {}

/// A call that returns a `T`.
#[derive(Debug)]
pub struct FieldCall<T>(PhantomData<T>);

/// A call that is not one of the SDK's takes any literal.
pub trait AnyCall: Sized {
    /// Whether the call takes the literal as a name or value.
    #[inline]
    fn takes_field<L>(self, _literal: L) {}

    /// Whether the call takes the literal as a method or path.
    #[inline]
    fn takes_target<L>(self, _literal: L) {}
}

impl<T> AnyCall for FieldCall<T> {}

macro_rules! calls_with_fields {
    ($($(#[$meta:meta])* [$($generics:ident),*] $returned:ty;)*) => {
        $(
            $(#[$meta])*
            #[doc(hidden)]
            impl<$($generics),*> FieldCall<$returned> {
                /// Does not compile: the literal is no field. An inherent method is found before
                /// that of [`AnyCall`].
                pub fn takes_field<L: FieldText>(self, _literal: L) {}
            }
        )*
    };
}

calls_with_fields! {
    [] Result<()>;
    [] HttpCall;
    [] LocalReply;
    #[cfg(feature = "grpc")]
    [Reply] GrpcCall<Reply>;
    #[cfg(feature = "grpc")]
    [Sent, Received] GrpcStream<Sent, Received>;
}

impl FieldCall<HttpCall> {
    /// Does not compile: the literal is no method, or no path.
    pub fn takes_target<L: FieldText>(self, _literal: L) {}
}

/// No type implements it. It exists for its error message.
#[diagnostic::on_unimplemented(
    message = "this literal can never be a `{Self}`",
    label = "the call takes a `{Self}` here",
    note = "names of header fields: letters, digits and !#$%&'*+-.^_`|~, or a pseudo-header; values: no control bytes but tabs",
    note = "methods of HTTP calls: as names of fields; paths: `/…` or `*`, without spaces and control bytes",
    note = "if the call is a function of yours that takes other texts, bind the literal to a constant"
)]
pub trait FieldText {}

macro_rules! faults {
    ($($name:ident)*) => {
        $(
            /// What the literal is not.
            #[derive(Debug)]
            pub struct $name;
        )*
    };
}

faults!(FieldName FieldValue RequestMethod RequestPath);
