//! Updates of a value that others write again and again meanwhile.

use proxy_filter::metric::Counter;
use proxy_filter::prelude::*;
use proxy_filter::shared_data::{SharedCell, SharedCounter};
use proxy_filter::timer::retry;
use std::rc::Rc;
use std::time::Duration;

static VALUE: SharedCell<u64> = SharedCell::new("value");
static COUNTER: SharedCounter = SharedCounter::new("value");
static UPDATED: Counter = Counter::new("updated");

/// Adds one. Each of so many attempts loses against a write by somebody else.
fn losing(times: u32) -> impl FnMut(Option<u64>) -> u64 {
    let mut left = times;
    move |before| {
        if left > 0 {
            left -= 1;
            // A new version of the value, whatever it is.
            let _ = VALUE.update(|value| value.unwrap_or(0));
        }
        before.unwrap_or(0) + 1
    }
}

/// Every VM updates as well, now and then.
async fn updates(config: Rc<u32>) -> Result<()> {
    for round in 0..*config {
        VALUE.update(losing(round % 35))?;
        UPDATED.increment(1)?;
        Timer::after(Duration::from_millis(3)).await?;
    }
    Ok(())
}

/// The filter: the path says how many attempts lose.
#[proxy_filter::filter(root_task = updates)]
async fn contention(mut exchange: Exchange<u32>) -> Result<()> {
    let is_alone = *exchange.config() == 0;
    let request = exchange.request_headers().await?;
    let path = request.path()?.unwrap_or_default();
    let said = match path.to_str()?.trim_start_matches('/').split_once('/') {
        Some(("once", times)) => VALUE.update(losing(times.parse()?)).map(|_| ()),
        Some(("retried", times)) => {
            let mut lose = losing(times.parse()?);
            retry(5, Duration::from_millis(1), async || VALUE.update(&mut lose)).await.map(|_| ())
        }
        Some(("count", n)) => COUNTER.add(n.parse()?).map(|_| ()),
        // With several VMs the value at a time is not certain; that no update was lost is.
        Some(("check", n)) => {
            let (value, updated) = (VALUE.get()?.unwrap_or(0), UPDATED.get()? + n.parse::<u64>()?);
            let said = if value == updated { "nothing was lost".to_owned() } else { format!("{value}, not {updated}") };
            return request.replace("x-said", said);
        }
        _ => Ok(()),
    };
    request.replace("x-said", said.map_or_else(|why| why.to_string(), |()| "updated".to_owned()))?;
    if !is_alone {
        return Ok(());
    }
    request.replace("x-value", VALUE.get()?.unwrap_or(0).to_string())
}
