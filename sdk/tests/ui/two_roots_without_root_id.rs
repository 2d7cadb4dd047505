use proxy_filter::prelude::*;

mod auth {
    use super::*;

    #[derive(Default)]
    struct Auth;

    #[proxy_filter::root]
    impl RootContext for Auth {
        type Context = Authorized;

        fn new_context(&self) -> Authorized {
            Authorized
        }
    }

    struct Authorized;

    #[proxy_filter::context]
    impl Context for Authorized {}
}

mod stamp {
    use super::*;

    #[derive(Default)]
    struct Stamp;

    #[proxy_filter::root]
    impl RootContext for Stamp {
        type Context = Stamped;

        fn new_context(&self) -> Stamped {
            Stamped
        }
    }

    struct Stamped;

    #[proxy_filter::context]
    impl Context for Stamped {}
}

fn main() {}
