//! A root task that waits for the ticks of two intervals, of 3 and of 10 seconds, and requests that
//! wait for 20 milliseconds.

use proxy_filter::prelude::*;
use proxy_filter::timer::Interval;
use std::rc::Rc;
use std::time::Duration;

async fn beat(seconds: u64) -> Result<()> {
    let mut ticks = Interval::new(Duration::from_secs(seconds)).ticks()?;
    loop {
        ticks.tick().await?;
        log::info!("{seconds} seconds are over again");
    }
}

async fn beats(_: Rc<()>) -> Result<()> {
    futures::future::try_join(beat(3), beat(10)).await.map(|_: ((), ())| ())
}

#[proxy_filter::filter(root_task = beats)]
async fn ticks(mut exchange: Exchange) -> Result<()> {
    exchange.request_headers().await?;
    Timer::after(Duration::from_millis(20)).await
}
