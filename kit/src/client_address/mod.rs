//! The address of the client behind trusted proxies, and sets of networks.
//!
//! A client can write any value into `x-forwarded-for` and `forwarded`. Only the addresses that
//! trusted proxies added are reliable: those at the end of the list, one for each trusted hop.
//!
//! ```
//! use proxy_filter_kit::client_address::{NetworkSet, TrustedProxies};
//!
//! let proxies: NetworkSet = ["10.0.0.0/8", "2001:db8::/32"]
//!     .iter()
//!     .map(|network| network.parse().unwrap())
//!     .collect();
//! let trusted = TrustedProxies::networks(proxies);
//! let peer = "10.0.0.1".parse().unwrap();
//! // The client claims to be 1.1.1.1; the proxy 10.0.0.1 saw 198.51.100.7, and that one sent the claim.
//! let client = trusted.client(peer, &[b"1.1.1.1, 198.51.100.7, 10.9.9.9"]);
//! assert_eq!(client, "198.51.100.7".parse::<std::net::IpAddr>().unwrap());
//! ```

mod forwarded;
mod network;
mod trusted;

pub use forwarded::{Forwarded, Node, forwarded};
pub use network::{Network, NetworkError, NetworkMap, NetworkSet};
pub use trusted::{TrustedProxies, parse_address};
