use proxy_filter::prelude::*;
use std::time::Duration;

mod no_value {
    use super::*;

    #[proxy_filter::filter(root_id = "0", deadline)]
    async fn filter(exchange: Exchange) -> Result<()> {
        Ok(())
    }
}

mod no_duration {
    use super::*;

    #[proxy_filter::filter(root_id = "1", deadline = 2)]
    async fn filter(_exchange: Exchange) -> Result<()> {
        Ok(())
    }
}

mod nothing {
    use super::*;

    #[proxy_filter::filter(root_id = "2", deadline = Duration::ZERO)]
    async fn filter(_exchange: Exchange) -> Result<()> {
        Ok(())
    }
}

mod too_long {
    use super::*;

    #[proxy_filter::filter(root_id = "3", deadline = Duration::from_secs(10_000_000))]
    async fn filter(_exchange: Exchange) -> Result<()> {
        Ok(())
    }
}

mod not_constant {
    use super::*;

    fn limit() -> Duration {
        Duration::from_secs(1)
    }

    #[proxy_filter::filter(root_id = "4", deadline = limit())]
    async fn filter(_exchange: Exchange) -> Result<()> {
        Ok(())
    }
}

proxy_filter::module!(no_value::Filter, no_duration::Filter, nothing::Filter, too_long::Filter, not_constant::Filter);

fn main() {}
