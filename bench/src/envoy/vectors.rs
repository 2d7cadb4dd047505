//! Keys and tokens for the jobs.

/// The issuer's keys: RS256 with 2,048 bits, and ES256. No secret is in this file.
pub(super) const JWKS: &str = r#"{"keys":[{"kty":"RSA","alg":"RS256","kid":"rsa","n":"2BS_zM70Zor9u62rPcV_gGHqCTLJdmZp9hhkGnPGx0iWdXtKsXrP8zskyfpiLxheZ8-VbFw_P0z_uT3wigW7RJmeuUWJSsp13TWJIxppd_2lIal0JPJW6Ms0G40zRcDd3AtFRm95kp9xgmMQwqst8geyOz2iz-gNrvtXgdgzCxEW1V6GBnFolSvcznuoQ_uFiu4p9Uz9sIcdjevuvkLV_1mPDcHgA89VVt634cvBreF4eslE_R9yODfp8TVxp2hu6Z0CH-HhfznJlH05epF09orbSkjCW3_1qS_cO-MqX75zL4NTGAOqZtgjHfsIoAvY8XTgFW3-5Z9lMcWmctDHuw","e":"AQAB"},{"kty":"EC","crv":"P-256","use":"sig","alg":"ES256","kid":"ec","x":"HkaNCyvPGZe4Qj4YkuslyJjNBO4O8R3gV7D1RiUsMa4","y":"sr3pfep0Onz78WOkxqfjo3fFt_GNjNBtPaQw0R8IcEQ"}]}"#;

/// Tokens of these keys that expire in the year 2100.
pub(super) const RS256: &str = "Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYSJ9.eyJpc3MiOiJodHRwczovL2lkcC5leGFtcGxlIiwiYXVkIjoiYXBpIiwic3ViIjoiYWxpY2UiLCJleHAiOjQxMDI0NDQ4MDB9.n5P7WrrBKLAL67zB4GkIvphhUlYwfXz6-DldC9D_msNYwikyYUs6tghRCgcpFQxKQTZW1iTvRAs-2S97PoxjvNvtn9XF34_bUwKDv_38ca5sqy8PjRzwEgrhU1YD9rHl9sXyK-NOkUWZdygEEw5eJZkW1YHVLNvtKqgX2xSSybGMe_m8OaRGzAesPxuDmi68nC81Rw_-dEFrEnGg33jm3Uho6JN2y20qfgGhNKAuJlW7T7OIpXcG0c2FR7y7uwgmfdGw1wp7AYJAQmpEDFJT7iEgNiU5YV5GTxX_vHml3NK6A9qvPHWJGw0jh-4VLfkwB7HIRF8P5-DKcKMRUMEx9w";
pub(super) const ES256: &str = "Bearer eyJhbGciOiJFUzI1NiIsImtpZCI6ImVjIn0.eyJpc3MiOiJodHRwczovL2lkcC5leGFtcGxlIiwiYXVkIjoiYXBpIiwic3ViIjoiYWxpY2UiLCJleHAiOjQxMDI0NDQ4MDB9.Z9khnipxFKV3j8n00insLa1gpRmzbI3CTy--Ioot1CLNUIP82GzHTFwK-B8RXquDCxODAznHIbfRgWTJhneqJw";
