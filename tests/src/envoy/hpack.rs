//! Header blocks of HTTP/2 (RFC 7541), written in the plainest way: nothing indexed, nothing
//! compressed, values as given.

use crate::message::Fields;
use httlib_hpack::{Decoder, Encoder};
use std::io::{self, ErrorKind};

/// The block of these fields, with names in lower case as HTTP/2 demands.
pub(super) fn encode(fields: &Fields) -> io::Result<Vec<u8>> {
    let mut block = Vec::new();
    let mut encoder = Encoder::default();
    for (name, value) in fields {
        let literal = (name.to_ascii_lowercase(), value.clone(), 0);
        encoder.encode(literal, &mut block).map_err(|error| io::Error::other(format!("{error:?}")))?;
    }
    Ok(block)
}

/// The fields of a block. The decoder belongs to the connection.
pub(super) fn decode(decoder: &mut Decoder<'_>, mut block: Vec<u8>) -> io::Result<Fields> {
    let mut fields = Vec::new();
    decoder
        .decode(&mut block, &mut fields)
        .map_err(|error| io::Error::new(ErrorKind::InvalidData, format!("{error:?}")))?;
    Ok(fields.into_iter().map(|(name, value, _)| (name, value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_are_decoded_as_they_were_encoded() {
        let fields: Fields = [
            (b":path".to_vec(), b"/".to_vec()),
            (b"x-empty".to_vec(), Vec::new()),
            (b"x-bytes".to_vec(), vec![0xff, 0xfe, 0x00]),
            (b"x-long".to_vec(), vec![b'v'; 60 * 1024]),
            (b"x-bytes".to_vec(), b"again".to_vec()),
        ]
        .into();
        let block = encode(&fields).unwrap();
        assert_eq!(decode(&mut Decoder::default(), block).unwrap(), fields);
    }
}
