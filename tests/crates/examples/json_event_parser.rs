//! See `docs/crates.md`.

proxy_filter_crates::module!(|input| {
    use json_event_parser::{JsonEvent, SliceJsonParser};
    let mut parser = SliceJsonParser::new(input);
    loop {
        match parser.parse_next() {
            Ok(JsonEvent::Eof) => break true,
            Ok(_) => {}
            Err(_) => break false,
        }
    }
});
