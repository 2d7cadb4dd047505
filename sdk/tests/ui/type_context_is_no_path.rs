use proxy_filter::prelude::*;

mod generic {
    use super::*;

    #[derive(Default)]
    struct Stamp;

    #[proxy_filter::root]
    impl RootContext for Stamp {
        type Context = Box<Stamped>;

        fn new_context(&self) -> Box<Stamped> {
            Box::new(Stamped)
        }
    }

    struct Stamped;
}

mod alias {
    use super::*;

    #[derive(Default)]
    struct Stamp;

    #[proxy_filter::root]
    impl RootContext for Stamp {
        type Context = Alias;

        fn new_context(&self) -> Alias {
            Stamped
        }
    }

    type Alias = Stamped;

    struct Stamped;

    #[proxy_filter::context]
    impl Context for Stamped {}
}

fn main() {}
