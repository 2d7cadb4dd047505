//! `request` of the kit.

#[path = "../frame/mod.rs"]
mod frame;

use proxy_filter_kit::request;
use std::hint::black_box;

/// What the filter does for each request.
fn run() -> usize {
    let target = black_box(b"/shop/%7Ea/../cart?item=7&sort=price".as_slice());
    let cookies = black_box(b"theme=dark; session=31d4".as_slice());
    let item = request::Query::of(target).get("item").map_or(0, |item| item.len());
    let path = request::Normalisation::new().normalise(request::path(target)).map_or(0, |path| path.len());
    let cookie = request::SetCookie::new("session", "31d4").build().map_or(0, |cookie| cookie.len());
    item + path + cookie + request::cookie(cookies, "session").map_or(0, <[u8]>::len)
}
