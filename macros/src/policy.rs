//! The arguments of `#[proxy_filter::filter]` for the effect of an `Err`.

use crate::args::Argument;
use crate::error::{Error, Faults};
use crate::quote::{quote, quote_at};
use proc_macro::{Span, TokenStream};

/// The arguments for the functions that return the failure policy for a configuration.
pub(crate) const POLICY: &str = "failure_policy";
pub(crate) const RESPONSE_POLICY: &str = "response_failure_policy";
/// The argument for the open policy.
pub(crate) const FAIL_OPEN: &str = "fail_open";

/// Reports arguments that contradict each other.
pub(crate) fn check(arguments: &[Argument], faults: &mut Faults) {
    let policy = arguments.iter().find(|argument| argument.name == POLICY);
    if let Some(policy) = policy.filter(|_| arguments.iter().any(|argument| argument.name == FAIL_OPEN)) {
        faults.push(Error::at(
            &policy.value,
            "`fail_open` and `failure_policy` both set the failure policy: remove one of them",
        ));
    }
}

/// Returns the methods of the context that return the failure policies, and whether they depend on
/// the configuration.
pub(crate) fn methods(arguments: &[Argument]) -> (TokenStream, bool) {
    let otherwise = if arguments.iter().any(|argument| argument.name == FAIL_OPEN) { "Open" } else { "Closed" };
    let functions = [POLICY, RESPONSE_POLICY].map(|name| {
        let argument = arguments.iter().find(|argument| argument.name == name);
        (name, argument.into_iter().flat_map(|argument| argument.value.clone()).collect::<TokenStream>())
    });
    let is_configured = functions.iter().any(|(_, function)| !function.is_empty());
    let methods = functions.into_iter().flat_map(|(name, function)| failure_policy(name, otherwise, function));
    (methods.collect(), is_configured)
}

/// Returns the method of the context that returns a failure policy. It calls the author's function
/// with the configuration. Without that function, the policy is `otherwise`, and the response has
/// the policy of the request.
fn failure_policy(method: &str, otherwise: &str, function: TokenStream) -> TokenStream {
    if function.is_empty() && method == RESPONSE_POLICY {
        return TokenStream::new();
    }
    if function.is_empty() {
        let body = format!("fn {method}(&self) -> sdk::FailurePolicy {{ sdk::FailurePolicy::{otherwise} }}");
        return quote(&body, &[]);
    }
    let location = function.clone().into_iter().next().map_or_else(Span::call_site, |token| token.span());
    let call = quote_at(location, "sdk::policy_of(self.1.as_deref(), #function)", &[("function", function)]);
    quote(&format!("fn {method}(&self) -> sdk::FailurePolicy {{ #call }}"), &[("call", call)])
}
