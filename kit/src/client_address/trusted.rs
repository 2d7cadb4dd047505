//! Finds the client's address in `x-forwarded-for`.

use super::forwarded::{Node, forwarded};
use super::network::NetworkSet;
use core::net::{IpAddr, SocketAddr};

/// The trusted proxies between this proxy and the clients.
///
/// Addresses are compared as [`NetworkSet`] does: an IPv4-mapped IPv6 address is an IPv4 address,
/// and is returned as one.
#[derive(Clone, Debug)]
pub struct TrustedProxies(Trust);

#[derive(Clone, Debug)]
enum Trust {
    Hops(usize),
    Networks(NetworkSet),
}

impl TrustedProxies {
    /// Trusts this number of proxies, with any addresses. With 0, the client is the peer of the
    /// connection. This is Envoy's `xff_num_trusted_hops`, with one difference: if
    /// `use_remote_address` is on, Envoy has already appended the peer's address to
    /// `x-forwarded-for` before a filter runs.
    ///
    /// If `use_remote_address` is off, which is the default, Envoy itself takes `source.address`
    /// from the end of `x-forwarded-for`. A client that connects directly then chooses its address,
    /// also with 0.
    ///
    /// If a client can bypass one of the proxies, it can choose its address.
    pub const fn hops(count: usize) -> Self {
        Self(Trust::Hops(count))
    }

    /// Trusts proxies in these networks. The client is the last address of the list that is in none
    /// of them.
    pub const fn networks(networks: NetworkSet) -> Self {
        Self(Trust::Networks(networks))
    }

    /// Returns the client's address. `peer` is the address of the connection's other end. The
    /// values of all `x-forwarded-for` headers follow, in their order.
    ///
    /// An element that is not an address ends the search. The result is then the address of the
    /// proxy that added it.
    ///
    /// ```
    /// use proxy_filter_kit::client_address::TrustedProxies;
    ///
    /// let trusted = TrustedProxies::hops(1);
    /// let client =
    ///     trusted.client("10.0.0.1".parse().unwrap(), &[b"1.1.1.1", b"198.51.100.7:4711"]);
    /// assert_eq!(client.to_string(), "198.51.100.7");
    /// ```
    pub fn client(&self, peer: IpAddr, x_forwarded_for: &[&[u8]]) -> IpAddr {
        let elements = x_forwarded_for.iter().rev().flat_map(|value| value.rsplit(|byte| *byte == b','));
        self.search(peer, elements.map(parse_address))
    }

    /// As [`client`](Self::client), with the values of all `forwarded` headers (RFC 7239).
    /// `unknown`, obfuscated nodes and malformed elements end the search.
    ///
    /// ```
    /// use proxy_filter_kit::client_address::TrustedProxies;
    ///
    /// let header = br#"for=1.1.1.1, for="[2001:db8::7]:4711";proto=https"#;
    /// let client =
    ///     TrustedProxies::hops(1).client_forwarded("10.0.0.1".parse().unwrap(), &[header]);
    /// assert_eq!(client.to_string(), "2001:db8::7");
    /// ```
    pub fn client_forwarded(&self, peer: IpAddr, values: &[&[u8]]) -> IpAddr {
        let mut nodes: Vec<Option<IpAddr>> = Vec::new();
        for value in values {
            // A malformed header is not used at all: an unclosed quote hides everything that a
            // later proxy added.
            match forwarded(value) {
                Some(elements) => nodes.extend(elements.into_iter().map(|element| match element.r#for {
                    Some(Node::Address(address, _)) => Some(address.to_canonical()),
                    _ => None,
                })),
                None => nodes.push(None),
            }
        }
        self.search(peer, nodes.into_iter().rev())
    }

    /// From the peer towards the client.
    fn search(&self, peer: IpAddr, addresses: impl Iterator<Item = Option<IpAddr>>) -> IpAddr {
        let mut client = peer.to_canonical();
        let mut hops = 0;
        for address in addresses {
            let is_trusted = match &self.0 {
                Trust::Hops(count) => hops < *count,
                Trust::Networks(networks) => networks.contains(client),
            };
            let (true, Some(address)) = (is_trusted, address) else { break };
            client = address;
            hops = hops.saturating_add(1);
        }
        client
    }
}

/// Parses an address as proxies write it: with or without port and brackets, and with surrounding
/// spaces.
///
/// ```
/// use proxy_filter_kit::client_address::parse_address;
///
/// for text in ["2001:db8::1", " [2001:db8::1] ", "[2001:db8::1]:443"] {
///     assert_eq!(parse_address(text.as_bytes()), "2001:db8::1".parse().ok());
/// }
/// assert_eq!(parse_address(b"192.0.2.1:443"), "192.0.2.1".parse().ok());
/// assert_eq!(parse_address(b"localhost"), None);
/// ```
pub fn parse_address(text: &[u8]) -> Option<IpAddr> {
    let text = core::str::from_utf8(text.trim_ascii()).ok()?;
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let address = match bare {
        Some(bare) => IpAddr::V6(bare.parse().ok()?),
        None => text.parse().or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip())).ok()?,
    };
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(trusted: &TrustedProxies, headers: &[&str]) -> String {
        let headers: Vec<&[u8]> = headers.iter().map(|header| header.as_bytes()).collect();
        trusted.client("10.0.0.1".parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn as_many_hops_are_believed_as_are_trusted() {
        for (hops, expected) in [(0, "10.0.0.1"), (1, "3.3.3.3"), (2, "2.2.2.2"), (3, "1.1.1.1"), (9, "1.1.1.1")] {
            for headers in [
                &["1.1.1.1, 2.2.2.2,3.3.3.3"][..],
                &["1.1.1.1", "2.2.2.2 , 3.3.3.3"],
                &["1.1.1.1", "2.2.2.2", "3.3.3.3"],
            ] {
                assert_eq!(client(&TrustedProxies::hops(hops), headers), expected, "{hops} {headers:?}");
            }
        }
        assert_eq!(client(&TrustedProxies::hops(3), &[]), "10.0.0.1");
    }

    #[test]
    fn a_client_cannot_choose_its_address() {
        let networks = TrustedProxies::networks(["10.0.0.0/8".parse().unwrap()].into_iter().collect());
        for (headers, expected) in [
            (&["6.6.6.6, 1.1.1.1"][..], "1.1.1.1"),
            (&["6.6.6.6, 10.0.0.5, 1.1.1.1, 10.0.0.2"], "1.1.1.1"),
            (&["::ffff:10.0.0.5, 1.1.1.1, ::ffff:10.0.0.2"], "1.1.1.1"),
            (&["6.6.6.6, unknown, 10.0.0.2"], "10.0.0.2"),
            (&["6.6.6.6, , 10.0.0.2"], "10.0.0.2"),
            (&["6.6.6.6,\u{e9}"], "10.0.0.1"),
            (&["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ] {
            assert_eq!(client(&networks, headers), expected, "{headers:?}");
        }
        let outside = networks.client("9.9.9.9".parse().unwrap(), &[b"6.6.6.6"]);
        assert_eq!(outside.to_string(), "9.9.9.9");
    }

    #[test]
    fn an_unclosed_quote_hides_nothing() {
        let trusted = TrustedProxies::hops(1);
        let peer = "10.0.0.1".parse().unwrap();
        for (headers, expected) in [
            (&[&b"for=6.6.6.6"[..], b"for=1.1.1.1"][..], "1.1.1.1"),
            (&[b"for=\"6.6.6.6", b"for=1.1.1.1"], "1.1.1.1"),
            (&[b"for=\"6.6.6.6, for=1.1.1.1"], "10.0.0.1"),
            (&[b"for=_hidden"], "10.0.0.1"),
            (&[b"proto=https"], "10.0.0.1"),
        ] {
            assert_eq!(trusted.client_forwarded(peer, headers).to_string(), expected, "{headers:?}");
        }
    }
}
