//! `stamp` adds a header, named by its configuration, with the number of requests that `guard` has refused.

use crate::REFUSED;
use proxy_filter::prelude::*;
use std::rc::Rc;

/// The plugin with the `root_id` `stamp`.
#[derive(Debug, Default)]
pub struct Stamp {
    header: Rc<str>,
}

#[proxy_filter::root(root_id = "stamp")]
impl RootContext for Stamp {
    type Context = Stamped;

    fn on_configure(&mut self, configuration: Configuration) -> Result<()> {
        self.header = String::from_utf8(configuration.bytes()?)?.trim().into();
        if self.header.is_empty() {
            return Err(Error::other("the configuration is the name of a header"));
        }
        Ok(())
    }

    fn new_context(&self) -> Stamped {
        Stamped { header: Rc::clone(&self.header) }
    }
}

/// One response.
#[derive(Debug)]
pub struct Stamped {
    header: Rc<str>,
}

#[proxy_filter::context]
impl Context for Stamped {
    fn on_response_headers(&mut self, response: &mut ResponseHeaders, _: bool) -> Result<FilterHeadersStatus> {
        response.replace(&*self.header, REFUSED.get().to_string())?;
        Ok(FilterHeadersStatus::Continue)
    }

    fn failure_policy(&self) -> FailurePolicy {
        // A response without the stamp is better than none.
        FailurePolicy::Open
    }
}
