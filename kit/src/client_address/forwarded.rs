//! The header `forwarded` (RFC 7239).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A node that forwarded or received a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Node {
    /// An address, and the port if present. An obfuscated port (`:_x`) is dropped.
    Address(IpAddr, Option<u16>),
    /// `unknown`.
    Unknown,
    /// An obfuscated name: `_hidden`.
    Obfuscated(String),
}

/// The parameters that one proxy added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Forwarded {
    /// The node that sent the request to the proxy.
    pub r#for: Option<Node>,
    /// The interface of the proxy that received the request.
    pub by: Option<Node>,
    /// The `host` header that the proxy received.
    pub host: Option<Vec<u8>>,
    /// The scheme of the request: `http`, `https`.
    pub proto: Option<Vec<u8>>,
}

/// Parses a `forwarded` header. The element next to the client is the first. Returns `None` if any
/// part is malformed, or an element has a parameter twice. Unknown parameters are skipped.
///
/// A client can send this header. Trust only the elements at the end, one for each trusted proxy.
///
/// ```
/// use proxy_filter_kit::client_address::{Node, forwarded};
///
/// let elements = forwarded(
///     br#"for=192.0.2.60;proto=http;by=203.0.113.43, for="[2001:db8:cafe::17]:4711""#,
/// )
/// .unwrap();
/// assert_eq!(elements[0].proto.as_deref(), Some(&b"http"[..]));
/// assert_eq!(
///     elements[1].r#for,
///     Some(Node::Address("2001:db8:cafe::17".parse().unwrap(), Some(4711)))
/// );
/// ```
///
/// Source: RFC 7239, section 4.
pub fn forwarded(header: &[u8]) -> Option<Vec<Forwarded>> {
    let mut elements = Vec::new();
    let mut rest = header;
    loop {
        let mut element = Forwarded::default();
        let mut is_empty = true;
        loop {
            rest = rest.trim_ascii_start();
            if let [b';' | b',', ..] | [] = rest {
                // Empty parts of a list are allowed.
            } else {
                let (name, value, after) = pair(rest)?;
                rest = after.trim_ascii_start();
                set(&mut element, name, value)?;
                is_empty = false;
            }
            match rest {
                [b';', after @ ..] => rest = after,
                _ => break,
            }
        }
        if !is_empty {
            elements.push(element);
        }
        match rest {
            [] => return Some(elements),
            [b',', after @ ..] => rest = after,
            _ => return None,
        }
    }
}

/// Returns a name, a value, and the rest.
fn pair(text: &[u8]) -> Option<(&[u8], Vec<u8>, &[u8])> {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let end = text.iter().position(|byte| !is_token(byte)).filter(|end| *end > 0)?;
    let (name, rest) = text.split_at_checked(end)?;
    let rest = rest.strip_prefix(b"=")?;
    if let Some(quoted) = rest.strip_prefix(b"\"") {
        let mut value = Vec::new();
        let mut bytes = quoted.iter();
        loop {
            match bytes.next()? {
                b'"' => return Some((name, value, bytes.as_slice())),
                b'\\' => value.push(*bytes.next()?),
                byte => value.push(*byte),
            }
        }
    }
    // More characters than a token has: ports, and IPv6 addresses that proxies send without quotes.
    let is_value = |byte: &u8| is_token(byte) || b":[]".contains(byte);
    let end = rest.iter().position(|byte| !is_value(byte)).unwrap_or(rest.len());
    let (value, rest) = rest.split_at_checked(end)?;
    (!value.is_empty()).then(|| (name, value.to_vec(), rest))
}

fn set(element: &mut Forwarded, name: &[u8], value: Vec<u8>) -> Option<()> {
    let is_first = match name.to_ascii_lowercase().as_slice() {
        b"for" => element.r#for.replace(node(&value)?).is_none(),
        b"by" => element.by.replace(node(&value)?).is_none(),
        b"host" => element.host.replace(value).is_none(),
        b"proto" => element.proto.replace(value).is_none(),
        _ => true,
    };
    is_first.then_some(())
}

fn node(value: &[u8]) -> Option<Node> {
    let text = core::str::from_utf8(value).ok()?;
    let is_obfuscated = |text: &str| {
        let name = text.strip_prefix('_').unwrap_or_default();
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Some(Node::Address(address.into(), None)); // without the brackets that the RFC requires
    }
    let (name, port) = if let Some(inner) = text.strip_prefix('[') {
        let (address, port) = inner.split_once(']')?;
        let port = if port.is_empty() { None } else { Some(port.strip_prefix(':')?) };
        (Node::Address(IpAddr::V6(address.parse().ok()?), None), port)
    } else {
        let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
        let node = match name {
            _ if name.eq_ignore_ascii_case("unknown") => Node::Unknown,
            _ if is_obfuscated(name) => Node::Obfuscated(name.to_owned()),
            _ => Node::Address(IpAddr::V4(name.parse::<Ipv4Addr>().ok()?), None),
        };
        (node, port)
    };
    let port = match port {
        Some(name) if name.starts_with('_') && name.len() > 1 => None,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
        Some(_) => return None,
        None => None,
    };
    Some(match name {
        Node::Address(address, _) => Node::Address(address, port),
        name => name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str, port: Option<u16>) -> Node {
        Node::Address(text.parse().unwrap(), port)
    }

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        // RFC 7239, sections 4, 5.2, 6 and 7.1
        let one = |header: &str| {
            let mut elements = forwarded(header.as_bytes()).unwrap();
            assert_eq!(elements.len(), 1, "{header}");
            elements.remove(0)
        };
        assert_eq!(one("for=\"_gazonk\"").r#for, Some(Node::Obfuscated("_gazonk".into())));
        assert_eq!(one("For=\"[2001:db8:cafe::17]:4711\"").r#for, Some(address("2001:db8:cafe::17", Some(4711))));
        let element = one("for=192.0.2.60;proto=http;by=203.0.113.43");
        assert_eq!(
            (element.r#for, element.by),
            (Some(address("192.0.2.60", None)), Some(address("203.0.113.43", None)))
        );
        assert_eq!(element.proto.as_deref(), Some(&b"http"[..]));
        assert_eq!(one("for=\"192.0.2.43:47011\"").r#for, Some(address("192.0.2.43", Some(47011))));
        assert_eq!(one("for=unknown").r#for, Some(Node::Unknown));
        assert_eq!(one("for=_SEVKISEK").r#for, Some(Node::Obfuscated("_SEVKISEK".into())));
        let list = forwarded(b"for=192.0.2.43, for=\"[2001:db8:cafe::17]\",for=unknown").unwrap();
        assert_eq!(list.len(), 3);
        assert_eq!(list[1].r#for, Some(address("2001:db8:cafe::17", None)));
    }

    #[test]
    fn malformed_headers_are_refused_as_a_whole() {
        for header in [
            "for",
            "for=",
            "=1",
            "for=1.2.3",
            "for=\"1.2.3.4",
            "for=1.2.3.4 by=2.2.2.2",
            "for=1.2.3.4;for=2.2.2.2",
            "for=\"[::1\"",
            "for=\"[::1]x\"",
            "for=\"1.2.3.4:99999\"",
            "for=\"1.2.3.4:\"",
            "for=_",
            "for=a\u{e9}",
            "a b",
            "for=\"1.2.3.4\\",
        ] {
            assert_eq!(forwarded(header.as_bytes()), None, "{header}");
        }
    }

    #[test]
    fn empty_parts_and_unknown_parameters_are_skipped() {
        assert_eq!(forwarded(b"").unwrap(), []);
        assert_eq!(forwarded(b" ,, ;").unwrap(), []);
        let elements = forwarded(b", for=1.2.3.4;;secret=\"a,b;c\\\"\" ;host=\"x:1\",").unwrap();
        assert_eq!(elements.len(), 1);
        assert_eq!(elements[0].host.as_deref(), Some(&b"x:1"[..]));
        assert_eq!(forwarded(b"for=::1").unwrap()[0].r#for, Some(address("::1", None)));
        assert_eq!(forwarded(b"for=\"unknown:_x\"").unwrap()[0].r#for, Some(Node::Unknown));
    }
}
