//! `jwt`: a new token with ES256.

#[path = "../frame/mod.rs"]
mod frame;

use proxy_filter_kit::jwt;
use std::hint::black_box;

/// RFC 7515, appendix A.3.
const KEY: &[u8] = br#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
/// RFC 7515, appendix A.3.
const TOKEN: &[u8] = b"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

std::thread_local! {
    static KEYS: jwt::Jwks = jwt::Jwks::from_iter(jwt::Key::from_jwk(KEY));
}

/// What the filter does for each request.
fn run() -> usize {
    KEYS.with(|keys| keys.verify(black_box(TOKEN)).map_or(0, |token| token.payload.len()))
}
