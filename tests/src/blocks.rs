//! The callbacks of one stream among those of several.

use crate::record::Event;

/// Takes the callbacks of some contexts out of a list, each with what happened in it.
pub(crate) fn take_of(events: &mut Vec<Event>, is_own: impl Fn(u64) -> bool) -> Vec<Event> {
    let (mut own, mut others) = (Vec::new(), Vec::new());
    // A host function may enter the module again.
    let (mut depth, mut takes) = (0_usize, false);
    for event in std::mem::take(events) {
        if let (0, Event::Callback { arguments, .. }) = (depth, &event) {
            takes = arguments.first().is_some_and(|context| is_own(*context));
        }
        let of = if takes { &mut own } else { &mut others };
        match event {
            Event::Callback { .. } => depth += 1,
            Event::Returned { .. } => depth = depth.saturating_sub(1),
            _ => {}
        }
        of.push(event);
        takes &= depth > 0;
    }
    *events = others;
    own
}

/// Takes the callbacks out of a list that root contexts have for what streams wait for.
pub(crate) fn take_of_roots(events: &mut Vec<Event>) -> Vec<Event> {
    let is_root = |event: &Event| {
        let name = event.callback().unwrap_or_default();
        ["proxy_on_tick", "proxy_on_queue_ready", "proxy_on_http_call_response", "proxy_on_foreign_function"]
            .contains(&name)
            || name.starts_with("proxy_on_grpc_")
    };
    let context = |event: &Event| match event {
        Event::Callback { arguments, .. } => arguments.first().copied(),
        _ => None,
    };
    let roots: Vec<u64> = events.iter().filter(|event| is_root(event)).filter_map(context).collect();
    take_of(events, |context| roots.contains(&context))
}

/// Drops the ticks in which a module only looks at the time and sets the next tick. Envoy's time is
/// real, so such a tick may come between any two callbacks, or after the exchange.
pub(crate) fn drop_idle_ticks(events: &mut Vec<Event>) {
    let is_idle = |event: &Event| match event {
        Event::HostCall { name, .. } => {
            matches!(name.as_str(), "proxy_get_current_time_nanoseconds" | "proxy_set_tick_period_milliseconds")
        }
        _ => false,
    };
    let mut rest = Vec::with_capacity(events.len());
    let mut tick_at = None;
    for event in events.drain(..) {
        match (&event, tick_at) {
            (Event::Callback { name, .. }, None) if name == "proxy_on_tick" => tick_at = Some(rest.len()),
            (Event::Returned { .. }, Some(at)) => {
                tick_at = None;
                rest.truncate(at);
                continue;
            }
            (event, Some(_)) if is_idle(event) => {}
            _ => tick_at = None,
        }
        rest.push(event);
    }
    *events = rest;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn callback(name: &str, context: u64) -> Event {
        Event::Callback { name: name.into(), arguments: vec![context] }
    }

    fn returned(name: &str) -> Event {
        Event::Returned { name: name.into(), result: None }
    }

    #[test]
    fn only_idle_ticks_are_dropped() {
        let call = |name: &str| Event::HostCall { name: name.into(), status: 0 };
        let tick = |calls: &[Event]| [&[callback("proxy_on_tick", 1)], calls, &[returned("proxy_on_tick")]].concat();
        let time = call("proxy_get_current_time_nanoseconds");
        let busy = tick(&[time.clone(), call("proxy_log")]);
        let stream = [callback("proxy_on_log", 2), time.clone(), returned("proxy_on_log")];
        let mut events = [&tick(&[])[..], &busy, &tick(&[time.clone(), time]), &stream].concat();
        drop_idle_ticks(&mut events);
        assert_eq!(events, [&busy[..], &stream].concat());
    }

    #[test]
    fn a_callback_is_taken_with_all_that_happened_in_it() {
        let call = Event::HostCall { name: "proxy_log".into(), status: 0 };
        let nested = [callback("c", 2), callback("memory", 9), call.clone(), returned("memory"), returned("c")];
        let other = [callback("c", 3), call, returned("c")];
        let mut events = [&nested[..], &other, &nested].concat();
        assert_eq!(take_of(&mut events, |context| context == 2), [&nested[..], &nested].concat());
        assert_eq!(events, other);
    }

    #[test]
    fn callbacks_of_root_contexts_are_those_of_contexts_that_tick_or_get_responses() {
        let root = [callback("proxy_on_grpc_close", 1), returned("proxy_on_grpc_close")];
        let stream = [callback("proxy_on_log", 2), returned("proxy_on_log")];
        let mut events = [&stream[..], &root, &stream].concat();
        assert_eq!(take_of_roots(&mut events), root);
        assert_eq!(events, [&stream[..], &stream].concat());
    }
}
