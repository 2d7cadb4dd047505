//! Evaluates expressions with Envoy's own functions: a guest for scenarios.

use proxy_filter::foreign::{self, Expression, Match};
use proxy_filter::prelude::*;
use std::fmt::Debug;
use std::rc::Rc;

fn show<T: Debug>(what: &str, result: Result<T>) {
    match result {
        Ok(value) => log::info!("{what}: {value:?}"),
        Err(error) => log::info!("{what}: {:?}", error.kind()),
    }
}

const EXPRESSIONS: [&str; 18] = [
    "request.path == '/yes'",
    "request.headers['x-missing'] == '1'",
    "1.5",
    "null",
    "request.method + '!'",
    "'x-missing' in request.headers || request.path.startsWith('/y')",
    "has(request.headers.x)",
    "request.headers[':path'].endsWith('s') && request.path.contains('es')",
    "request.path.matches('^/[a-z]+$')",
    "request.url_path.size()",
    "request.size + 7",
    "response.code == 200",
    "request.missing",
    "missing",
    "['GET', 'HEAD'].exists(method, method == request.method) ? [1, 2] : []",
    "{'a': true}",
    "[null]",
    "connection.mtls",
];

#[derive(Default)]
struct Root {
    expressions: Rc<Vec<Expression>>,
}

#[proxy_filter::root]
impl RootContext for Root {
    type Context = Stream;

    fn on_configure(&mut self, _configuration: Configuration) -> Result<()> {
        self.expressions = Rc::new(EXPRESSIONS.into_iter().map(Expression::new).collect::<Result<_>>()?);
        show("no expression", Expression::new("bad + ( expression").map(drop));
        show("no function", Expression::new("missing(1)").map(drop));
        show("no token", foreign::call("expr_evaluate", b"1"));
        show("nothing to delete", foreign::call("expr_delete", [9, 9, 9, 9]));
        show("no token to delete", foreign::call("expr_delete", b"1"));
        show("of the root", Expression::new("plugin_name.size() > 0 && 1 + 1 == 2")?.matches().map(Match::is_true));
        show(
            "on the root",
            self.expressions.first().map(Expression::matches).transpose().map(|found| found.map(Match::is_true)),
        );
        Ok(())
    }

    fn new_context(&self) -> Stream {
        Stream { expressions: Rc::clone(&self.expressions) }
    }
}

struct Stream {
    expressions: Rc<Vec<Expression>>,
}

#[proxy_filter::context]
impl Context for Stream {
    fn on_request_headers(
        &mut self,
        request: &mut RequestHeaders,
        _end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        for (text, expression) in EXPRESSIONS.into_iter().zip(self.expressions.iter()) {
            show(text, expression.evaluate().map(HeaderValue::from));
            show(text, expression.matches().map(Match::is_true));
        }
        show("in a stream", Expression::new("true")?.matches().map(Match::is_true));
        // Tokens are numbered; the one before this belonged to the expression that was just
        // dropped.
        let token = foreign::call("expr_create", "true")?;
        let before = token.first_chunk().map(|token| u32::from_le_bytes(*token).wrapping_sub(1)).unwrap_or_default();
        show("dropped", foreign::call("expr_evaluate", before.to_le_bytes()));
        show("deleted", foreign::call("expr_delete", token));
        request.replace("x-seen", "1")?;
        Ok(FilterHeadersStatus::Continue)
    }
}
