//! `cors` of the kit.

#[path = "../frame/mod.rs"]
mod frame;

use proxy_filter_kit::cors;
use std::hint::black_box;

std::thread_local! {
    static CORS: Option<cors::Cors> = cors::Cors::builder().origin("https://*.a.example").method("PUT").header("x-a").build().ok();
}

/// What the filter does for each request.
fn run() -> usize {
    CORS.with(|cors| {
        let cors = cors.as_ref().map(|cors| cors.preflight(black_box(b"https://app.a.example"), b"PUT", Some(b"x-a")));
        cors.map_or(0, |preflight| preflight.headers.len())
    })
}
