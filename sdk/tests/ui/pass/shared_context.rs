//! Two roots share one stream context, under different paths; two others have contexts of one name.
#![deny(warnings, missing_docs, missing_debug_implementations, unreachable_pub, unused)]
#![forbid(unsafe_code)]

use proxy_filter::prelude::*;

#[derive(Default)]
struct Strict;

#[proxy_filter::root(root_id = "strict")]
impl RootContext for Strict {
    type Context = Checked;

    fn new_context(&self) -> Checked {
        Checked { _strict: true }
    }
}

mod lenient {
    use proxy_filter::prelude::*;

    #[derive(Default)]
    pub(crate) struct Lenient;

    #[proxy_filter::root(root_id = r#"len"ient"#)]
    impl RootContext for Lenient {
        type Context = crate::Checked;

        fn new_context(&self) -> crate::Checked {
            crate::Checked { _strict: false }
        }
    }
}

struct Checked {
    _strict: bool,
}

#[proxy_filter::context]
impl Context for Checked {}

mod other {
    use proxy_filter::prelude::*;

    #[derive(Default)]
    pub(crate) struct Root;

    #[proxy_filter::root(root_id = "\u{6f}ther")]
    impl RootContext for Root {
        type Context = Checked;

        fn new_context(&self) -> Checked {
            Checked
        }
    }

    pub(crate) struct Checked;

    #[proxy_filter::context]
    impl Context for Checked {}
}

proxy_filter::module!(Strict, lenient::Lenient, other::Root);

fn main() {}
