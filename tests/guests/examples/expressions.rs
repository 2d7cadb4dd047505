//! Evaluates expressions with Envoy's own functions: a guest for scenarios.

use proxy_filter::foreign::{self, Expression};
use proxy_filter::prelude::*;
use std::fmt::Debug;
use std::rc::Rc;

fn show<T: Debug>(what: &str, result: Result<T>) {
    match result {
        Ok(value) => log::info!("{what}: {value:?}"),
        Err(error) => log::info!("{what}: {:?}", error.kind()),
    }
}

const EXPRESSIONS: [&str; 5] =
    ["request.path == '/yes'", "request.headers['x-missing'] == '1'", "1.5", "null", "request.method + '!'"];

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
        show("on the root", self.expressions.first().map(Expression::matches).transpose());
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
            show(text, expression.matches());
        }
        show("in a stream", Expression::new("true")?.matches());
        // Tokens are numbered; the one before this belonged to the expression that was just dropped.
        let token = foreign::call("expr_create", "true")?;
        let before = token.first_chunk().map(|token| u32::from_le_bytes(*token).wrapping_sub(1)).unwrap_or_default();
        show("dropped", foreign::call("expr_evaluate", before.to_le_bytes()));
        show("deleted", foreign::call("expr_delete", token));
        request.replace("x-seen", "1")?;
        Ok(FilterHeadersStatus::Continue)
    }
}
