//! `jwt`: a token that was verified before.

#[path = "../frame/mod.rs"]
mod frame;

use proxy_filter_kit::jwt;
use std::cell::RefCell;
use std::hint::black_box;
use std::time::Duration;

/// RFC 7515, appendix A.3.
const TOKEN: &[u8] = b"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

std::thread_local! {
    static TOKENS: RefCell<jwt::TokenCache<String>> = RefCell::new(jwt::TokenCache::new(1000));
}

/// What the filter does for each request.
fn run() -> usize {
    TOKENS.with_borrow_mut(|tokens| {
        let now = black_box(Duration::from_secs(1));
        if let Some(subject) = tokens.get(black_box(TOKEN), now) {
            return subject.len();
        }
        tokens.insert(TOKEN, "subject".to_owned(), None, now);
        0
    })
}
