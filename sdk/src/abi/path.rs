//! Property paths: the parts joined with NUL.

/// Joins the parts of a property path as the host expects them.
#[inline]
pub(crate) fn encode(parts: &[&str]) -> Vec<u8> {
    let mut path = Vec::with_capacity(parts.iter().map(|part| part.len() + 1).sum());
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            path.push(0);
        }
        path.extend_from_slice(part.as_bytes());
    }
    path
}

#[cfg(test)]
mod tests {
    use crate::abi::path::encode;

    #[test]
    fn parts_are_joined_with_nul_without_a_trailing_nul() {
        assert_eq!(encode(&["request", "headers", "x"]), b"request\0headers\0x");
        assert_eq!(encode(&["plugin_name"]), b"plugin_name");
        assert_eq!(encode(&[]), b"");
    }
}
