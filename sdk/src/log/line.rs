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

    /// Creates a line that begins with its callback.
    #[cold]
    #[inline(never)]
    pub(crate) fn of(callback: Callback, context_id: u32) -> Self {
        let mut line = Self::new();
        line.push(callback.name());
        line.push(" of context ");
        line.push_number(context_id);
        line
    }

    #[inline]
    pub(crate) fn push(&mut self, text: &str) {
        self.push_bytes(text.as_bytes());
    }

    #[inline(never)]
    pub(crate) fn push_bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let Some(slot) = self.bytes.get_mut(self.length) else { return };
            *slot = *byte;
            self.length += 1;
        }
    }

    #[inline(never)]
    pub(crate) fn push_number(&mut self, number: u32) {
        // As deep as the number has digits.
        if number > 9 {
            self.push_number(number / 10);
        }
        self.push_bytes(&[b'0' + (number % 10) as u8]);
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
