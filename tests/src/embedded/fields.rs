//! A header map as Envoy keeps it.

use crate::message::Fields;
use proxy_filter::Status;

/// Which joining rules apply: Envoy joins the values of a few well-known fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Request,
    Response,
    Trailers,
}

/// Request fields whose values are joined with a comma. Measured on Envoy 1.40.
const JOINED_IN_REQUESTS: &str = " :authority :method :path :scheme te expect accept accept-encoding access-control-request-headers access-control-request-method \
    authorization authentication cache-control content-type content-encoding if-match if-none-match if-modified-since \
    if-unmodified-since if-range origin referer user-agent via x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-proto \
    x-request-id x-client-trace-id x-envoy-original-path x-envoy-original-host x-envoy-attempt-count x-envoy-decorator-operation \
    grpc-timeout grpc-accept-encoding pragma proxy-status x-envoy-external-address x-envoy-downstream-service-cluster \
    x-envoy-downstream-service-node x-envoy-is-timeout-retry ";

/// Response fields whose values are joined with a comma. Measured on Envoy 1.40.
const JOINED_IN_RESPONSES: &str = " :status access-control-allow-origin access-control-allow-credentials access-control-allow-headers \
    access-control-allow-methods access-control-expose-headers access-control-max-age cache-control content-type content-encoding \
    date server etag via x-request-id x-envoy-attempt-count x-envoy-decorator-operation grpc-status grpc-message upgrade vary expires \
    age location last-modified proxy-status proxy-connection x-envoy-upstream-canary x-envoy-degraded \
    x-envoy-immediate-health-check-fail x-envoy-ratelimited x-envoy-upstream-healthchecked-cluster ";

/// A header map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Map {
    kind: Kind,
    fields: Fields,
}

impl Map {
    pub(crate) const fn new(kind: Kind) -> Self {
        Self { kind, fields: Vec::new() }
    }

    /// A map with these fields, joined and ordered as Envoy does.
    pub(crate) fn from_fields(kind: Kind, fields: &[(Vec<u8>, Vec<u8>)]) -> Self {
        Self::of(kind, fields.to_vec())
    }

    /// The same, of fields that nothing else needs.
    pub(crate) fn of(kind: Kind, fields: Fields) -> Self {
        let mut map = Self::new(kind);
        map.fields.reserve(fields.len());
        for (name, value) in fields {
            let key = map.keyed(name);
            map.add_keyed(key, value);
        }
        map
    }

    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn fields(&self) -> &Fields {
        &self.fields
    }

    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.fields.len()).unwrap_or(u32::MAX)
    }

    /// The byte size of names and values.
    pub(crate) fn byte_size(&self) -> u32 {
        u32::try_from(self.fields.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>())
            .unwrap_or(u32::MAX)
    }

    /// The name as the map keeps it: in lower case, and `host` as `:authority` in requests.
    fn key(&self, name: &[u8]) -> Vec<u8> {
        self.keyed(name.to_vec())
    }

    fn keyed(&self, mut key: Vec<u8>) -> Vec<u8> {
        key.make_ascii_lowercase();
        if self.kind == Kind::Request && key == b"host" { b":authority".to_vec() } else { key }
    }

    fn joins(&self, key: &[u8]) -> bool {
        let joined = match self.kind {
            Kind::Request => JOINED_IN_REQUESTS,
            Kind::Response => JOINED_IN_RESPONSES,
            Kind::Trailers => return false,
        };
        std::str::from_utf8(key).is_ok_and(|key| joined.split_ascii_whitespace().any(|name| name == key))
    }

    /// The first value.
    pub(crate) fn get(&self, name: &[u8]) -> Option<&[u8]> {
        let key = self.key(name);
        self.fields.iter().find(|(found, _)| *found == key).map(|(_, value)| value.as_slice())
    }

    pub(crate) fn add(&mut self, name: &[u8], value: &[u8]) {
        let key = self.key(name);
        self.add_keyed(key, value.to_vec());
    }

    fn add_keyed(&mut self, key: Vec<u8>, value: Vec<u8>) {
        let same = self.fields.iter().position(|(found, _)| *found == key).filter(|_| self.joins(&key));
        match same.and_then(|place| self.fields.get_mut(place)) {
            Some((_, joined)) => {
                // Envoy appends nothing for an empty value.
                if !joined.is_empty() && !value.is_empty() {
                    joined.push(b',');
                }
                joined.extend_from_slice(&value);
            }
            None => self.insert(key, value),
        }
    }

    /// Pseudo-headers stay before all others.
    fn insert(&mut self, key: Vec<u8>, value: Vec<u8>) {
        let place = if key.starts_with(b":") {
            self.fields.iter().position(|(name, _)| !name.starts_with(b":")).unwrap_or(self.fields.len())
        } else {
            self.fields.len()
        };
        self.fields.insert(place, (key, value));
    }

    /// Gives a field exactly this value. It comes to the end, or to the end of the pseudo-headers,
    /// wherever it was before.
    pub(crate) fn replace(&mut self, name: &[u8], value: &[u8]) {
        let key = self.key(name);
        self.remove(&key);
        self.insert(key, value.to_vec());
    }

    /// Gives a field this value in its place, or adds it.
    pub(crate) fn overwrite(&mut self, name: &[u8], value: &[u8]) {
        match self.fields.iter_mut().find(|(found, _)| *found == name) {
            Some((_, old)) => *old = value.to_vec(),
            None => self.insert(name.to_vec(), value.to_vec()),
        }
    }

    /// Gives the first field of this name this value, and leaves the others.
    pub(crate) fn set_first(&mut self, name: &[u8], value: &[u8]) {
        let key = self.key(name);
        self.overwrite(&key, value);
    }

    /// Gives a field exactly this value, in the place of its first one, or adds it.
    pub(crate) fn set_only(&mut self, name: &[u8], value: &[u8]) {
        let key = self.key(name);
        self.overwrite(&key, value);
        let mut seen = false;
        self.fields.retain(|(found, _)| *found != key || !std::mem::replace(&mut seen, true));
    }

    pub(crate) fn remove(&mut self, name: &[u8]) {
        let key = self.key(name);
        self.fields.retain(|(found, _)| *found != key);
    }

    /// Adds a field at the end unless there is one.
    pub(crate) fn add_if_missing(&mut self, name: &str, value: &str) {
        if self.get(name.as_bytes()).is_none() {
            self.add(name.as_bytes(), value.as_bytes());
        }
    }
}

/// The most pairs and bytes Envoy takes from a module; beyond that it takes none at all, without an
/// error.
const MAX_PAIRS: usize = 1024;
const MAX_BYTES: usize = 1024 * 1024;

/// Encodes a map for the module; an empty one is no bytes.
pub(crate) fn encode(fields: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    if fields.is_empty() {
        return Vec::new();
    }
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut bytes = u32::try_from(fields.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
    for (name, value) in fields {
        bytes.extend_from_slice(&length(name));
        bytes.extend_from_slice(&length(value));
    }
    for part in fields.iter().flat_map(|(name, value)| [name, value]) {
        bytes.extend_from_slice(part);
        bytes.push(0);
    }
    bytes
}

/// Decodes a map from the module as Envoy does: whatever is wrong with the bytes makes it empty,
/// without an error.
pub(crate) fn decode(bytes: &[u8]) -> Fields {
    decode_exactly(bytes).unwrap_or_default()
}

fn decode_exactly(bytes: &[u8]) -> Option<Fields> {
    let (count, mut lengths) = take_length(bytes)?;
    if count > MAX_PAIRS || bytes.len() > MAX_BYTES {
        return None;
    }
    let mut data = lengths.get(count.checked_mul(8)?..)?;
    let mut fields = Fields::new();
    for _ in 0..count {
        let (name, rest) = take_length(lengths)?;
        let (value, rest) = take_length(rest)?;
        lengths = rest;
        let (name, rest) = take_text(data, name)?;
        let (value, rest) = take_text(rest, value)?;
        data = rest;
        fields.push((name, value));
    }
    data.is_empty().then_some(fields)
}

fn take_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*head) as usize, rest))
}

fn take_text(bytes: &[u8], size: usize) -> Option<(Vec<u8>, &[u8])> {
    let (text, rest) = bytes.split_at_checked(size)?;
    let (nul, rest) = rest.split_first()?;
    (*nul == 0).then(|| (text.to_vec(), rest))
}

/// What reading a map that is not there says.
pub(crate) const UNAVAILABLE: Status = Status::BAD_ARGUMENT;

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(map: &Map) -> Vec<(&str, &str)> {
        let text = |bytes| std::str::from_utf8(bytes).unwrap();
        map.fields().iter().map(|(name, value)| (text(name), text(value))).collect()
    }

    #[test]
    fn well_known_fields_are_joined_and_others_stay_separate() {
        let mut map = Map::new(Kind::Request);
        for (name, value) in [("Accept", "a"), ("x", "1"), ("accept", "b"), ("X", "2"), ("Host", "h"), (":path", "/")] {
            map.add(name.as_bytes(), value.as_bytes());
        }
        assert_eq!(pairs(&map), [(":authority", "h"), (":path", "/"), ("accept", "a,b"), ("x", "1"), ("x", "2")]);
        map.replace(b"X", b"3");
        map.remove(b"ACCEPT");
        map.replace(b":path", b"/new");
        assert_eq!(pairs(&map), [(":authority", "h"), (":path", "/new"), ("x", "3")]);
    }

    #[test]
    fn a_replaced_field_moves_to_the_end_of_the_map() {
        let mut map = Map::new(Kind::Response);
        for name in [":status", "cache-control", "x", "date"] {
            map.add(name.as_bytes(), b"0");
        }
        for name in ["x", "cache-control", ":status"] {
            map.replace(name.as_bytes(), b"1");
        }
        assert_eq!(pairs(&map), [(":status", "1"), ("date", "0"), ("x", "1"), ("cache-control", "1")]);
    }

    #[test]
    fn a_malformed_map_is_an_empty_map() {
        let fields = vec![(b"a".to_vec(), b"b".to_vec())];
        let bytes = encode(&fields);
        assert_eq!(decode(&bytes), fields);
        assert!(decode(&[&bytes[..], b"x"].concat()).is_empty());
        assert!(decode(&bytes[..bytes.len() - 1]).is_empty());
        assert!(decode(&encode(&vec![(b"n".to_vec(), Vec::new()); 1025])).is_empty());
        assert!(decode(&[0]).is_empty());
    }
}
