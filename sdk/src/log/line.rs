use crate::current::Callback;

/// A line of text on the stack. It needs neither an allocation nor `core::fmt`, so it works while
/// the module is out of memory, and costs almost nothing in a module that never logs. Text beyond
/// the capacity is cut.
pub(crate) struct Line {
    bytes: [u8; Self::CAPACITY],
    length: usize,
}

impl Line {
    const CAPACITY: usize = 1024;

    pub(crate) const fn new() -> Self {
        Self { bytes: [0; Self::CAPACITY], length: 0 }
    }

    /// Appends a callback and its context.
    #[inline]
    pub(crate) fn push_callback(&mut self, callback: Callback, context_id: u32) {
        self.push_numbered(callback.name(), " of context ", context_id);
    }

    /// Appends a text and a number, with a separator between them.
    #[cold]
    #[inline(never)]
    pub(crate) fn push_numbered(&mut self, text: &str, separator: &str, number: u32) {
        self.push(text);
        self.push(separator);
        self.push_number(number);
    }

    #[inline]
    pub(crate) fn push(&mut self, text: &str) {
        self.push_bytes(text.as_bytes());
    }

    #[inline(never)]
    pub(crate) fn push_bytes(&mut self, bytes: &[u8]) {
        let room = self.bytes.get_mut(self.length..).unwrap_or_default();
        let fits = room.len().min(bytes.len());
        self.length += fits;
        if let (Some(room), Some(bytes)) = (room.get_mut(..fits), bytes.get(..fits)) {
            room.copy_from_slice(bytes);
        }
    }

    #[inline(never)]
    pub(crate) fn push_number(&mut self, number: u32) {
        // As deep as the number has digits.
        if number > 9 {
            self.push_number(number / 10);
        }
        let digit = (number % 10) as usize;
        self.push_bytes(b"0123456789".get(digit..=digit).unwrap_or_default());
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// Returns the bytes as text, if all of them are printable ASCII. It is not inlined, so that a
/// module has one copy of it.
#[cold]
#[inline(never)]
pub(crate) fn plain_text(bytes: &[u8]) -> Option<&str> {
    crate::sys::text::printable_ascii(bytes)
}

#[cfg(test)]
mod tests {
    use crate::log::line::Line;

    #[test]
    fn numbers_are_decimal() {
        for number in [0, 7, 10, 99, 100, 65_536, u32::MAX] {
            let mut line = Line::new();
            line.push_number(number);
            assert_eq!(line.as_bytes(), number.to_string().as_bytes());
        }
    }

    #[test]
    fn text_that_does_not_fit_is_truncated() {
        let mut line = Line::new();
        line.push(&"x".repeat(Line::CAPACITY + 1));
        line.push("y");
        assert_eq!(line.as_bytes(), "x".repeat(Line::CAPACITY).as_bytes());
    }
}
