//! See `docs/crates.md`.

proxy_filter_crates::module!(|input| {
    use base64ct::{Base64, Base64UrlUnpadded, Encoding};
    core::str::from_utf8(input).is_ok_and(|text| {
        Base64UrlUnpadded::decode_vec(text).is_ok_and(|bytes| Base64::encode_string(&bytes).len() > 7)
    })
});
