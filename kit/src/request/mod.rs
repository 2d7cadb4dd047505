//! Parses the parts of a request: path, query parameters, cookies, media types, `accept`,
//! credentials.
//!
//! All functions accept the bytes of the host. None fails because bytes are not text.
//!
//! ```
//! use proxy_filter_kit::request::{bearer, cookie, path, Query};
//!
//! assert_eq!(path(b"/shop/cart?item=7&item=9"), b"/shop/cart");
//! assert_eq!(Query::of(b"/shop/cart?item=7&item=9").get("item").as_deref(), Some(&b"7"[..]));
//! assert_eq!(cookie(b"theme=dark; session=31d4", "session"), Some(&b"31d4"[..]));
//! assert_eq!(bearer(b"bearer  abc.def"), Some(&b"abc.def"[..]));
//! ```

mod accept;
mod cookies;
mod credentials;
mod media_type;
mod path;
mod percent;
mod query;
mod token;

pub use accept::{accepts_encoding, negotiate_encoding, negotiate_media_type};
pub use cookies::{CookieError, SameSite, SetCookie, cookie, cookies, remove_cookie};
pub use credentials::{Basic, Credentials, basic, bearer, secret_eq};
pub use media_type::MediaType;
pub use path::{EscapedSlashes, Normalisation, PathError, path, path_segments};
pub use percent::{PercentDecode, percent_decode, percent_encode};
pub use query::{Query, QueryEdit};
