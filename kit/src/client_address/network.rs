//! Networks, and tables of them.

use core::fmt;
use core::net::{IpAddr, Ipv6Addr};
use core::str::FromStr;
use hashbrown::{HashMap, hash_map::Entry};

/// A network: an address and the length of its prefix, such as `10.0.0.0/8` or `2001:db8::/32`, or
/// a single address.
///
/// Bits after the prefix are ignored, as in Envoy. An IPv4-mapped IPv6 network
/// (`::ffff:10.0.0.0/104`) is the IPv4 network.
///
/// ```
/// use proxy_filter_kit::client_address::Network;
///
/// let network: Network = "10.1.2.3/8".parse().unwrap();
/// assert_eq!(network.to_string(), "10.0.0.0/8");
/// assert!(network.contains("10.200.0.1".parse().unwrap()));
/// assert!("10.0.0.0/33".parse::<Network>().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    /// IPv6, with IPv4 mapped into it: one table serves both.
    bits: u128,
    /// The length within `bits`: for IPv4, 96 more than in the text.
    prefix: u8,
}

/// The fault of a text that is not a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NetworkError {
    /// The address is not an IPv4 or IPv6 address.
    Address,
    /// The length of the prefix is not a number, or longer than the address.
    Prefix,
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "not an IPv4 or IPv6 address",
            Self::Prefix => "the length of the prefix is not a number from 0 to 32 (IPv4) or 128 (IPv6)",
        })
    }
}

impl std::error::Error for NetworkError {}

/// The number of bits before an IPv4 address.
const MAPPED: u8 = 96;

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

const fn mask(prefix: u8) -> u128 {
    // Shifting by all bits is not defined: `/0` has no bits.
    match u128::MAX.checked_shl(128 - prefix as u32) {
        Some(mask) => mask,
        None => 0,
    }
}

impl Network {
    /// Creates a network from an address and the length of its prefix in bits.
    ///
    /// # Errors
    /// Fails if the prefix is longer than the address.
    pub fn new(address: IpAddr, prefix: u8) -> Result<Self, NetworkError> {
        let (longest, before) = if address.is_ipv4() { (32, MAPPED) } else { (128, 0) };
        if prefix > longest {
            return Err(NetworkError::Prefix);
        }
        let prefix = prefix + before;
        Ok(Self { bits: bits(address) & mask(prefix), prefix })
    }

    /// Whether an address is in this network.
    pub fn contains(&self, address: IpAddr) -> bool {
        bits(address) & mask(self.prefix) == self.bits
    }
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        Self { bits: bits(address), prefix: 128 }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let Some((address, prefix)) = text.split_once('/') else {
            return text.parse::<IpAddr>().map(Self::from).map_err(|_| NetworkError::Address);
        };
        let is_number = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
        let prefix = prefix.parse().ok().filter(|_| is_number).ok_or(NetworkError::Prefix)?;
        Self::new(address.parse().map_err(|_| NetworkError::Address)?, prefix)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = Ipv6Addr::from_bits(self.bits);
        match address.to_ipv4_mapped().zip(self.prefix.checked_sub(MAPPED)) {
            Some((address, prefix)) => write!(f, "{address}/{prefix}"),
            None => write!(f, "{address}/{}", self.prefix),
        }
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A table from networks to values, in which the most specific network applies: a country, a
/// tenant, a rule for an address.
///
/// A look-up takes one hash probe for each length of prefix in the table, at most 129, for any
/// number of networks. An entry needs about 24 bytes plus the value: 100,000 networks without
/// values need 4 MB.
///
/// ```
/// use proxy_filter_kit::client_address::NetworkMap;
///
/// let mut rules = NetworkMap::new();
/// rules.insert("10.0.0.0/8".parse().unwrap(), "office");
/// rules.insert("10.66.0.0/16".parse().unwrap(), "guests");
/// assert_eq!(rules.get("10.66.1.1".parse().unwrap()), Some(&"guests"));
/// assert_eq!(rules.get("10.1.1.1".parse().unwrap()), Some(&"office"));
/// assert_eq!(rules.get("::1".parse().unwrap()), None);
/// ```
#[derive(Clone)]
pub struct NetworkMap<T> {
    networks: HashMap<Network, T>,
    /// The number of networks with each prefix length, the longest first.
    prefixes: Vec<(u8, usize)>,
}

impl<T> NetworkMap<T> {
    /// Creates an empty table.
    pub fn new() -> Self {
        Self { networks: HashMap::new(), prefixes: Vec::new() }
    }

    /// Inserts a network, and returns its previous value.
    pub fn insert(&mut self, network: Network, value: T) -> Option<T> {
        match self.networks.entry(network) {
            Entry::Occupied(mut entry) => Some(entry.insert(value)),
            Entry::Vacant(entry) => {
                entry.insert(value);
                let place = self.prefixes.binary_search_by(|(prefix, _)| network.prefix.cmp(prefix));
                match place.map(|index| self.prefixes.get_mut(index)) {
                    Ok(Some((_, count))) => *count += 1,
                    Ok(None) => {}
                    Err(index) => self.prefixes.insert(index, (network.prefix, 1)),
                }
                None
            }
        }
    }

    /// Removes a network, and returns its value.
    pub fn remove(&mut self, network: Network) -> Option<T> {
        let value = self.networks.remove(&network)?;
        self.prefixes.retain_mut(|(prefix, count)| {
            *count -= usize::from(*prefix == network.prefix);
            *count > 0
        });
        Some(value)
    }

    /// Returns the value of the most specific network that contains the address.
    pub fn get(&self, address: IpAddr) -> Option<&T> {
        let bits = bits(address);
        self.prefixes
            .iter()
            .find_map(|(prefix, _)| self.networks.get(&Network { bits: bits & mask(*prefix), prefix: *prefix }))
    }

    /// Returns the number of networks.
    pub fn len(&self) -> usize {
        self.networks.len()
    }

    /// Whether the table is empty.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty()
    }
}

impl<T> Default for NetworkMap<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for NetworkMap<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NetworkMap({} networks)", self.len())
    }
}

impl<T> Extend<(Network, T)> for NetworkMap<T> {
    fn extend<I: IntoIterator<Item = (Network, T)>>(&mut self, networks: I) {
        for (network, value) in networks {
            self.insert(network, value);
        }
    }
}

impl<T> FromIterator<(Network, T)> for NetworkMap<T> {
    fn from_iter<I: IntoIterator<Item = (Network, T)>>(networks: I) -> Self {
        let mut map = Self::new();
        map.extend(networks);
        map
    }
}

/// A set of networks: allowed and denied addresses, trusted proxies. [`NetworkMap`] describes its
/// cost.
///
/// ```
/// use proxy_filter_kit::client_address::NetworkSet;
///
/// let denied =
///     NetworkSet::parse("# from the feed\n192.0.2.0/24\n\n2001:db8::1  # a host\n").unwrap();
/// assert!(denied.contains("192.0.2.200".parse().unwrap()));
/// assert!(!denied.contains("192.0.3.1".parse().unwrap()));
/// assert_eq!(NetworkSet::parse("192.0.2.0/24\nlocalhost").unwrap_err().0, 2); // the line
/// ```
#[derive(Clone, Debug, Default)]
pub struct NetworkSet(NetworkMap<()>);

impl NetworkSet {
    /// Parses a list with one network in each line. `#` begins a comment.
    ///
    /// # Errors
    /// Fails with the number of the first line that is not a network, from 1, and the fault.
    pub fn parse(list: &str) -> Result<Self, (usize, NetworkError)> {
        let mut set = Self::default();
        for (index, line) in list.lines().enumerate() {
            let network = line.split('#').next().unwrap_or_default().trim();
            if !network.is_empty() {
                set.insert(network.parse().map_err(|why| (index.saturating_add(1), why))?);
            }
        }
        Ok(set)
    }

    /// Adds a network.
    pub fn insert(&mut self, network: Network) {
        self.0.insert(network, ());
    }

    /// Whether a network of the set contains the address.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.get(address).is_some()
    }

    /// Returns the number of networks.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Network> for NetworkSet {
    fn from_iter<I: IntoIterator<Item = Network>>(networks: I) -> Self {
        Self(networks.into_iter().map(|network| (network, ())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Generator;
    use core::net::Ipv4Addr;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn networks_are_read_and_written() {
        for (text, expected) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.255.1.1/9", "10.128.0.0/9"),
            ("1.2.3.4", "1.2.3.4/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "::/0"),
            ("2001:DB8::1/32", "2001:db8::/32"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::1", "::1/128"),
        ] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), expected, "{text}");
        }
        for text in
            ["", "/8", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0/8", "a/8", "10.0.0.0/+8", "::/-1", "10.0.0.0/8/8"]
        {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_ipv4_network_has_no_ipv6_address_but_the_mapped_ones() {
        let any: NetworkSet = ["0.0.0.0/0".parse().unwrap()].into_iter().collect();
        assert!(any.contains(address("8.8.8.8")) && any.contains(address("::ffff:8.8.8.8")));
        assert!(!any.contains(address("::1")) && !any.contains(address("::8.8.8.8")));
        let all: NetworkSet = ["::/0".parse().unwrap()].into_iter().collect();
        assert!(all.contains(address("::1")));
    }

    #[test]
    fn a_table_agrees_with_a_search_through_all_its_networks() {
        let mut generator = Generator::new(3);
        let mut networks = Vec::new();
        let mut map = NetworkMap::new();
        for number in 0..400 {
            let bits = u32::try_from(generator.next() & 0x0303_ffff).unwrap();
            let prefix = u8::try_from(generator.below(33)).unwrap();
            let network = Network::new(IpAddr::V4(Ipv4Addr::from_bits(bits)), prefix).unwrap();
            networks.retain(|(old, _)| *old != network);
            networks.push((network, number));
            map.insert(network, number);
            if number % 5 == 0 {
                let (removed, value) = networks.remove(generator.below(networks.len()));
                assert_eq!(map.remove(removed), Some(value));
            }
        }
        assert_eq!(map.len(), networks.len());
        for _ in 0..5_000 {
            let address = IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(generator.next() & 0x0303_ffff).unwrap()));
            let found = networks.iter().filter(|(network, _)| network.contains(address));
            assert_eq!(map.get(address), found.max_by_key(|(network, _)| network.prefix).map(|(_, value)| value));
        }
        for (network, _) in networks {
            map.remove(network);
        }
        assert!(map.is_empty() && map.prefixes.is_empty());
    }

    #[test]
    fn a_look_up_takes_as_many_probes_as_there_are_lengths_of_prefixes() {
        let mut set = NetworkSet::default();
        for number in 0..100_000_u32 {
            set.insert(Network::from(IpAddr::V4(Ipv4Addr::from_bits(number.wrapping_mul(2_654_435_761)))));
        }
        set.insert("10.0.0.0/8".parse().unwrap());
        assert_eq!(set.len(), 100_001);
        assert_eq!(set.0.prefixes, [(128, 100_000), (104, 1)]);
        assert!(set.contains(IpAddr::V4(Ipv4Addr::from_bits(2_654_435_761))));
    }
}
