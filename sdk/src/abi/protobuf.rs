//! The wire format of protocol buffers, as far as hosts use it in this ABI: reading a message field
//! by field, and writing the few kinds of field that arguments of host functions have.

/// The bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The value of one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field<'a> {
    /// `int32`, `uint64`, `bool`, an enum.
    Varint(u64),
    /// `fixed64`, `double`.
    Fixed64(u64),
    /// `string`, `bytes`, a message.
    Bytes(&'a [u8]),
    /// `fixed32` and `float`, which no message here uses.
    Fixed32,
}

/// Walks the fields of a message: number and value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) const fn new(message: &'a [u8]) -> Self {
        Self(message)
    }

    /// The next field; `None` at the end of the message.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<(u64, Field<'a>)>, Malformed> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let field = match tag & 7 {
            0 => Field::Varint(self.varint()?),
            1 => {
                let (value, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
                self.0 = rest;
                Field::Fixed64(u64::from_le_bytes(*value))
            }
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                let (value, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
                self.0 = rest;
                Field::Bytes(value)
            }
            5 => {
                self.0 = self.0.get(4..).ok_or(Malformed)?;
                Field::Fixed32
            }
            _ => return Err(Malformed),
        };
        Ok(Some((tag >> 3, field)))
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(Malformed)?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    /// Returns the last value of a bytes field. Defaults to empty bytes, as the format requires.
    #[inline]
    pub(crate) fn bytes(mut self, number: u64) -> Result<&'a [u8], Malformed> {
        let mut found = &[][..];
        while let Some((field, value)) = self.next()? {
            match value {
                Field::Bytes(bytes) if field == number => found = bytes,
                _ => {}
            }
        }
        Ok(found)
    }

    /// Returns the last value of a number or boolean. Defaults to 0.
    #[inline]
    pub(crate) fn number(mut self, number: u64) -> Result<u64, Malformed> {
        let mut found = 0;
        while let Some((field, value)) = self.next()? {
            match value {
                Field::Varint(value) if field == number => found = value,
                _ => {}
            }
        }
        Ok(found)
    }
}

/// Writes a message. Field numbers are below 16. Default values are omitted, as the format
/// requires.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message(Vec<u8>);

impl Message {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    #[inline]
    pub(crate) fn bytes(mut self, number: u8, value: &[u8]) -> Self {
        if !value.is_empty() {
            self.0.push(number << 3 | 2);
            self.varint(value.len() as u64);
            self.0.extend_from_slice(value);
        }
        self
    }

    #[inline]
    pub(crate) fn number(mut self, number: u8, value: u64) -> Self {
        if value != 0 {
            self.0.push(number << 3);
            self.varint(value);
        }
        self
    }

    #[allow(clippy::cast_possible_truncation, reason = "seven bits at a time fit a byte")]
    #[inline]
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    #[inline]
    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_messages_are_read_back() {
        let long = vec![7; 300];
        let message = Message::new().bytes(1, b"name").number(2, 1).number(3, u64::MAX).bytes(4, &long).finish();
        let fields = Fields::new(&message);
        assert_eq!(fields.bytes(1), Ok(&b"name"[..]));
        assert_eq!((fields.number(2), fields.number(3)), (Ok(1), Ok(u64::MAX)));
        assert_eq!(fields.bytes(4), Ok(&long[..]));
        assert_eq!((fields.bytes(9), fields.number(9)), (Ok(&b""[..]), Ok(0)));
    }

    #[test]
    fn defaults_are_not_written() {
        assert_eq!(Message::new().bytes(1, b"").number(2, 0).finish(), b"");
    }

    #[test]
    fn every_truncation_is_malformed_or_ends_between_fields() {
        let message = [&Message::new().bytes(1, b"ab").finish()[..], b"\x11\0\0\0\0\0\0\0\0\x1d\0\0\0\0"].concat();
        let whole = [4, 13, message.len()];
        for end in 1..message.len() {
            let mut fields = Fields::new(&message[..end]);
            let result = loop {
                match fields.next() {
                    Ok(Some(_)) => {}
                    Ok(None) => break true,
                    Err(Malformed) => break false,
                }
            };
            assert_eq!(result, whole.contains(&end), "cut at {end}");
        }
    }

    #[test]
    fn a_number_without_end_and_a_group_are_malformed() {
        assert_eq!(Fields::new(&[0xff; 11]).next(), Err(Malformed));
        assert_eq!(Fields::new(&[0x0b]).next(), Err(Malformed));
        assert_eq!(Fields::new(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01").next(), Err(Malformed));
    }
}
