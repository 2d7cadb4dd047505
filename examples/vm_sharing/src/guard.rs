//! `guard` refuses requests whose path begins with a line of its configuration.

use crate::REFUSED;
use proxy_filter::configured::RequestPath;
use proxy_filter::prelude::*;
use std::rc::Rc;

/// The plugin with the `root_id` `guard`.
#[derive(Debug, Default)]
pub struct Guard {
    prefixes: Rc<[RequestPath]>,
}

#[proxy_filter::root(root_id = "guard")]
impl RootContext for Guard {
    type Context = Guarded;

    fn on_configure(&mut self, configuration: Configuration) -> Result<()> {
        let text = String::from_utf8(configuration.bytes()?)?;
        let lines = text.lines().filter(|line| !line.is_empty());
        // A prefix without `/` would match no path.
        self.prefixes = lines.map(RequestPath::new).collect::<Result<_>>()?;
        Ok(())
    }

    fn new_context(&self) -> Guarded {
        Guarded { prefixes: Rc::clone(&self.prefixes) }
    }
}

/// One request.
#[derive(Debug)]
pub struct Guarded {
    prefixes: Rc<[RequestPath]>,
}

#[proxy_filter::context]
impl Context for Guarded {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        let path = request.path()?.unwrap_or_default();
        if self.prefixes.iter().any(|prefix| path.starts_with(prefix.as_bytes())) {
            REFUSED.set(REFUSED.get().saturating_add(1));
            return request.reply(LocalReply::new(403).details("guarded_path").body("not for you\n"));
        }
        Ok(FilterHeadersStatus::Continue)
    }
}
