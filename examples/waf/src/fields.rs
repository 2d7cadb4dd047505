//! Headers and trailers.

use crate::scan::Rules;
use proxy_filter::fields::Pairs;
use std::collections::BTreeMap;

/// Returns the rule whose pattern is in a field. Repeated fields are joined, as the upstream may
/// do, because a pattern may be spread over them.
pub(crate) fn find<'a>(rules: &'a Rules, fields: &Pairs) -> Option<&'a str> {
    let mut joined: BTreeMap<&[u8], Vec<u8>> = BTreeMap::new();
    for (name, value) in fields {
        match joined.get_mut(name) {
            Some(values) => {
                values.extend_from_slice(if name == b"cookie" { b"; " } else { b", " });
                values.extend_from_slice(value);
            }
            None => drop(joined.insert(name, value.to_vec())),
        }
    }
    joined.iter().find_map(|(name, values)| rules.find(&[*name, b": ", values].concat()))
}
