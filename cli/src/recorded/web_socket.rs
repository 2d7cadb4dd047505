//! The frames of WebSocket (RFC 6455, section 5.2).

/// The opcode of binary messages.
pub(super) const BINARY: u8 = 2;

/// Returns the frame of a whole message. A client masks its frames: here with zeros, which change
/// no byte.
pub(super) fn frame(opcode: u8, payload: &[u8], is_of_client: bool) -> Vec<u8> {
    let mask_bit = if is_of_client { 0x80 } else { 0 };
    let mut frame = vec![0x80 | opcode & 0x0f];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ ..=125), _) => frame.push(mask_bit | length),
        (_, Ok(length)) => {
            frame.push(mask_bit | 0x7e);
            frame.extend(length.to_be_bytes());
        }
        _ => {
            frame.push(mask_bit | 0x7f);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    if is_of_client {
        frame.extend([0; 4]);
    }
    frame.extend(payload);
    frame
}

#[cfg(test)]
mod tests {
    use super::frame;

    #[test]
    fn the_length_of_a_frame_has_three_forms() {
        assert_eq!(frame(1, b"Hello", false), b"\x81\x05Hello");
        assert_eq!(frame(1, b"Hello", true), b"\x81\x85\0\0\0\0Hello");
        assert_eq!(frame(2, &[7; 126], false).get(..4), Some(&[0x82, 126, 0, 126][..]));
        assert_eq!(frame(2, &vec![7; 65_536], false).get(..10), Some(&[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0][..]));
    }
}
