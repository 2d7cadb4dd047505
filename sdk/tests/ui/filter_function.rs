use proxy_filter::prelude::*;

mod not_async {
    use super::*;

    #[proxy_filter::filter]
    fn filter(exchange: Exchange) -> Result<()> {
        Ok(())
    }
}

mod no_exchange {
    use super::*;

    #[proxy_filter::filter]
    async fn filter(request: RequestHeaders) -> Result<()> {
        Ok(())
    }
}

mod two_parameters {
    use super::*;

    #[proxy_filter::filter]
    async fn filter(exchange: Exchange, more: u32) -> Result<()> {
        Ok(())
    }
}

mod generic {
    use super::*;

    #[proxy_filter::filter]
    async fn filter<T>(exchange: Exchange<T>) -> Result<()> {
        Ok(())
    }
}

mod nothing_returned {
    use super::*;

    #[proxy_filter::filter]
    async fn filter(exchange: Exchange) {}
}

mod unknown_argument {
    use super::*;

    #[proxy_filter::filter(request_bodies)]
    async fn filter(exchange: Exchange) -> Result<()> {
        Ok(())
    }
}

mod no_function {
    use super::*;

    #[proxy_filter::filter]
    struct Filter;
}

fn main() {}
