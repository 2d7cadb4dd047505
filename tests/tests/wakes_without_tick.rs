//! In a module without a tick, a woken future runs at the next event of its stream, and the log
//! reports that.
#![allow(clippy::unwrap_used, reason = "this is a test")]

use proxy_filter_host::Host;

#[path = "../guests/examples/wakes_without_tick.rs"]
mod guest;

#[proxy_filter_host::test(guest = "wakes_without_tick", module = guest)]
fn a_stream_that_is_woken_without_a_tick_is_logged_once_and_runs_at_its_next_event(mut host: Host) {
    host.configure("").unwrap();
    let line = "a future was woken and cannot run yet: the module has no tick; write \
                `#[proxy_filter::filter(timers)]`";
    for lines in [1, 0] {
        let waits = host.get("/waits").before_response(|host| {
            let exchange = host.get("/wakes").send();
            assert_eq!(exchange.messages(), vec![line; lines], "{exchange}");
        });
        let exchange = waits.send();
        assert_eq!(exchange.response().header("x-ran"), Some("with the response".into()), "{exchange}");
    }
}
