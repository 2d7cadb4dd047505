use proxy_filter::prelude::*;

mod empty {
    use super::*;

    #[derive(Default)]
    struct Stamp;

    #[proxy_filter::root(root_id = "")]
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

mod no_value {
    use super::*;

    #[derive(Default)]
    struct Stamp;

    #[proxy_filter::root(root_id)]
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

mod no_string {
    use super::*;

    #[derive(Default)]
    struct Stamp;

    #[proxy_filter::root(root_id = b"stamp")]
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

mod twice {
    use super::*;

    #[derive(Default)]
    struct Stamp;

    #[proxy_filter::root(root_id = "stamp", root_id = "stamp")]
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
