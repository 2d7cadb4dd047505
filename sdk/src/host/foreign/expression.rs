//! [`Expression`]: CEL, evaluated by Envoy.

use crate::abi::status::Status;
use crate::error::kind::ErrorKind;
use crate::error::{Error, Result};
use crate::host::foreign::typed;
use crate::host::stream_info::attribute;

/// A CEL expression about the attributes of a stream, which Envoy compiles and evaluates.
///
/// Compile it once, in `on_configure`, and evaluate it for each stream. It belongs to the root
/// context. Dropping it deletes it in Envoy; so does the end of its root context.
///
/// ```
/// use proxy_filter::foreign::{Expression, Match};
/// use proxy_filter::prelude::*;
/// use std::rc::Rc;
///
/// #[derive(Default)]
/// struct Root {
///     internal: Option<Rc<Expression>>,
/// }
///
/// #[proxy_filter::root]
/// impl RootContext for Root {
///     type Context = Stream;
///
///     fn on_configure(&mut self, _configuration: Configuration) -> Result<()> {
///         self.internal = Some(Rc::new(Expression::new("request.headers['x-internal'] == '1'")?));
///         Ok(())
///     }
///
///     fn new_context(&self) -> Stream {
///         Stream { internal: self.internal.clone() }
///     }
/// }
///
/// struct Stream {
///     internal: Option<Rc<Expression>>,
/// }
///
/// #[proxy_filter::context]
/// impl Context for Stream {
///     fn on_request_headers(
///         &mut self,
///         request: &mut RequestHeaders,
///         _end_of_stream: bool,
///     ) -> Result<FilterHeadersStatus> {
///         if let Some(internal) = &self.internal {
///             // The evaluation fails if the request does not have the header.
///             if internal.matches().is_ok_and(Match::is_true) {
///                 request.replace("x-checked", "internal")?;
///             }
///         }
///         Ok(FilterHeadersStatus::Continue)
///     }
/// }
/// # fn main() {}
/// ```
///
/// Envoy evaluates it for the context whose callback runs, even if another context is selected. In
/// a callback of the root context, attributes of streams are not available.
///
/// The embedded host evaluates expressions if its feature `expressions` is on, with these limits.
/// It has only attributes that are text, numbers, booleans or header fields, the latter by
/// lower-case name. It has no times, durations, metadata or filter state. The functions are
/// `bytes`, `contains`, `double`, `endsWith`, `int`, `matches`, `size`, `startsWith`, `string` and
/// `uint`, and the macros. An expression with any other function is not valid. If the left side of
/// `||` or `&&` fails, the whole expression fails; in Envoy, the right side may decide.
///
/// Source: Envoy 1.40, foreign functions `expr_create`, `expr_evaluate`, `expr_delete`.
#[doc(alias = "CEL")]
#[doc(alias = "expr_create")]
#[doc(alias = "expr_evaluate")]
#[doc(alias = "expr_delete")]
#[derive(Debug)]
pub struct Expression {
    token: Vec<u8>,
}

/// The value of an [`Expression`] that is a boolean.
///
/// ```
/// # use proxy_filter::foreign::Match;
/// assert!(Match::True.is_true());
/// assert!(!Match::False.is_true());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an expression decides nothing unless its value is looked at"]
pub enum Match {
    /// The expression is true.
    True,
    /// The expression is false.
    False,
}

impl Match {
    /// Whether the expression is true.
    #[must_use = "an expression decides nothing unless its value is looked at"]
    #[inline]
    pub const fn is_true(self) -> bool {
        matches!(self, Self::True)
    }
}

impl Expression {
    /// Compiles an expression.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) for a text that is no expression;
    /// [`NotFound`](ErrorKind::NotFound) on hosts without the function.
    #[inline]
    pub fn new(text: &str) -> Result<Self> {
        let bad = |status| (status == Status::BAD_ARGUMENT).then_some(ErrorKind::InvalidInput);
        Ok(Self { token: typed("expr_create", text.as_bytes(), bad)? })
    }

    /// The value in the host's encoding, which is that of [`property::get`](crate::property::get).
    ///
    /// # Errors
    /// Fails with [`WrongPhase`](ErrorKind::WrongPhase) if the evaluation fails: an attribute does
    /// not exist, is not available in this phase, or has another type. Fails with
    /// [`Refused`](ErrorKind::Refused) and [`SERIALIZATION_FAILURE`](Status::SERIALIZATION_FAILURE)
    /// for a value that is null.
    #[inline]
    pub fn evaluate(&self) -> Result<Vec<u8>> {
        let failed = |status| (status == Status::INTERNAL_FAILURE).then_some(ErrorKind::WrongPhase);
        typed("expr_evaluate", &self.token, failed)
    }

    /// Evaluates the expression as a boolean.
    ///
    /// ```
    /// # use proxy_filter::{Result, foreign::{Expression, Match}};
    /// fn is_internal(internal: &Expression) -> Result<bool> {
    ///     Ok(internal.matches()? == Match::True)
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Malformed`](ErrorKind::Malformed) if the value is no boolean, and as
    /// [`evaluate`](Self::evaluate).
    #[inline]
    pub fn matches(&self) -> Result<Match> {
        let refuse = || Error::refused(ErrorKind::Malformed, "the value of the expression is not a boolean");
        let is_true = attribute::boolean(&self.evaluate()?).ok_or_else(refuse)?;
        Ok(if is_true { Match::True } else { Match::False })
    }
}

impl Drop for Expression {
    #[inline]
    fn drop(&mut self) {
        let _ = crate::host::foreign::call("expr_delete", &self.token);
    }
}
