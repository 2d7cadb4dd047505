//! Names and values of header fields that are checked when the program is compiled.

use crate::abi::field::{is_constant_name, is_constant_value};

/// Whether [`name!`](crate::fields::name) accepts the text.
#[doc(hidden)]
#[must_use]
pub const fn is_name(text: &str) -> bool {
    is_constant_name(text.as_bytes())
}

/// Whether [`value!`](crate::fields::value) accepts the text.
#[doc(hidden)]
#[must_use]
pub const fn is_value(text: &str) -> bool {
    is_constant_value(text.as_bytes())
}

/// Returns the name of a header field, and checks it at compile time.
///
/// The SDK's attributes check the literals in the functions under them. Elsewhere, in constants and
/// in functions without an attribute, a name is only checked when it is used: the call then fails
/// with [`InvalidInput`](crate::ErrorKind::InvalidInput). Use this macro to find the mistake
/// earlier. The argument is any constant `&'static str`. The name of a pseudo-header, such as
/// `:path`, is accepted, although not every map has it.
///
/// ```
/// use proxy_filter::fields;
/// use proxy_filter::prelude::*;
///
/// const USER: &str = fields::name!("x-user");
///
/// fn name_user(request: &mut RequestHeaders) -> Result<()> {
///     request.remove(fields::name!("x-subject"))?;
///     request.replace(USER, "alice")
/// }
/// ```
///
/// ```compile_fail
/// const USER: &str = proxy_filter::fields::name!("x user");
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __field_name {
    ($name:expr) => {
        const {
            ::core::assert!(
                $crate::__private::is_name($name),
                "a header name has letters, digits and !#$%&'*+-.^_`|~ only, or it is a pseudo-header as `:path` is"
            );
            $name
        }
    };
}

/// Returns the value of a header field, and checks it at compile time.
///
/// Like [`name!`](crate::fields::name): a value has no control bytes except tabs.
///
/// ```
/// use proxy_filter::fields;
/// use proxy_filter::prelude::*;
///
/// const POLICY: &str = fields::value!("default-src 'self'");
///
/// fn protect(response: &mut ResponseHeaders) -> Result<()> {
///     response.replace("content-security-policy", POLICY)
/// }
/// ```
///
/// ```compile_fail
/// const POLICY: &str = proxy_filter::fields::value!("default-src 'self'\n");
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __field_value {
    ($value:expr) => {
        const {
            ::core::assert!(
                $crate::__private::is_value($value),
                "a control byte in a header value: escape or remove it"
            );
            $value
        }
    };
}

#[cfg(test)]
mod tests {
    use super::{is_name, is_value};
    use crate::abi::field::{check_name_of, check_value};
    use crate::abi::map_type::MapType;

    /// The checks at compile time and at run time accept the same bytes, at every position.
    #[test]
    fn constants_are_checked_like_other_names_and_values() {
        for byte in 0..=0x7f_u8 {
            for text in
                [vec![byte], vec![b'a', byte], vec![byte, b'a'], [b"nine-abc".as_slice(), &[byte], b"-x"].concat()]
            {
                let text = String::from_utf8(text).unwrap();
                assert_eq!(
                    is_name(&text),
                    check_name_of(MapType::REQUEST_HEADERS, text.as_bytes()).is_ok(),
                    "{text:?}"
                );
                assert_eq!(is_value(&text), check_value(text.as_bytes()).is_ok(), "{text:?}");
            }
        }
        for name in [":method", ":path", ":scheme", ":authority", ":protocol", ":Path"] {
            assert!(is_name(name) && check_name_of(MapType::REQUEST_HEADERS, name.as_bytes()).is_ok(), "{name}");
        }
        assert!(is_name(":status") && !is_name("") && !is_name(":other") && !is_name("ä") && is_value("ä"));
    }
}
