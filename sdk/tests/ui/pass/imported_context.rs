//! Types are found where `use` finds them: plainly, renamed, through a glob, and re-exported.
#![deny(warnings, missing_docs, missing_debug_implementations, unreachable_pub, unused)]
#![forbid(unsafe_code)]

mod streams {
    use proxy_filter::prelude::*;

    pub(crate) struct Stamped;

    #[proxy_filter::context]
    impl Context for Stamped {}

    pub(crate) mod inner {
        use proxy_filter::prelude::*;

        pub(crate) struct Stamped;

        #[proxy_filter::context]
        impl Context for Stamped {}
    }

    pub(crate) mod reexported {
        pub(crate) use super::inner::*;
    }
}

mod plainly {
    use crate::streams::Stamped;
    use proxy_filter::prelude::*;

    #[derive(Default)]
    pub(crate) struct Stamp;

    #[proxy_filter::root(root_id = "plainly")]
    impl RootContext for Stamp {
        type Context = Stamped;

        fn new_context(&self) -> Stamped {
            Stamped
        }
    }
}

mod renamed {
    use super::streams::Stamped as Other;
    use proxy_filter::prelude::*;

    #[derive(Default)]
    pub(crate) struct Stamp;

    #[proxy_filter::root(root_id = "renamed")]
    impl RootContext for Stamp {
        type Context = Other;

        fn new_context(&self) -> Other {
            Other
        }
    }
}

mod glob {
    use crate::streams::reexported::*;
    use proxy_filter::prelude::*;

    #[derive(Default)]
    pub(crate) struct Stamp;

    #[proxy_filter::root(root_id = "glob")]
    impl RootContext for Stamp {
        type Context = Stamped;

        fn new_context(&self) -> Self::Context {
            Stamped
        }
    }
}

mod roots {
    pub(crate) use crate::plainly::Stamp;
    pub(crate) use crate::renamed::Stamp as Renamed;
}

use roots::*;

proxy_filter::module!(Stamp, self::Renamed, crate::glob::Stamp);

fn main() {
    let _ = crate::__proxy_filter::module();
}
