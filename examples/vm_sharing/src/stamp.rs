//! `stamp` adds a header with the number of requests that `guard` has refused. Its configuration is
//! the name of the header.

use crate::REFUSED;
use proxy_filter::configured::HeaderName;
use proxy_filter::prelude::*;
use std::rc::Rc;

/// The plugin with the `root_id` `stamp`.
#[derive(Debug, Default)]
pub struct Stamp {
    header: Option<Rc<HeaderName>>,
}

#[proxy_filter::root(root_id = "stamp")]
impl RootContext for Stamp {
    type Context = Stamped;

    fn on_configure(&mut self, configuration: Configuration) -> Result<()> {
        let text = String::from_utf8(configuration.bytes()?)?;
        self.header = Some(Rc::new(HeaderName::new(text.trim())?));
        Ok(())
    }

    fn new_context(&self) -> Stamped {
        Stamped { header: self.header.clone() }
    }
}

/// One response.
#[derive(Debug)]
pub struct Stamped {
    header: Option<Rc<HeaderName>>,
}

#[proxy_filter::context]
impl Context for Stamped {
    fn on_response_headers(&mut self, response: &mut ResponseHeaders, _: bool) -> Result<FilterHeadersStatus> {
        if let Some(header) = &self.header {
            response.replace(&**header, REFUSED.get().to_string())?;
        }
        Ok(FilterHeadersStatus::Continue)
    }

    fn failure_policy(&self) -> FailurePolicy {
        // A failure to set the header does not fail the response.
        FailurePolicy::Open
    }
}
