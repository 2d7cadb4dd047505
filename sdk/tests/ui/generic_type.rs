use proxy_filter::prelude::*;

#[derive(Default)]
struct Stamp<T>(T);

#[proxy_filter::root]
impl<T: 'static> RootContext for Stamp<T> {
    type Context = Stamped<T>;

    fn new_context(&self) -> Stamped<T> {
        Stamped(std::marker::PhantomData)
    }
}

struct Stamped<T>(std::marker::PhantomData<T>);

#[proxy_filter::context]
impl<T: 'static> Context for Stamped<T> {}

struct Counted<T>(T);

#[proxy_filter::context]
impl Context for Counted<u32> {}

#[proxy_filter::context]
impl Context for (u32, u32) {}

fn main() {}
