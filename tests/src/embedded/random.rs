//! Random bytes that are the same in each run.

/// Numbers that look random, and are the same for the same seed: `SplitMix64`.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// Those of one VM: others with the same seed have different ones.
    pub(crate) fn new(seed: u64, vm: usize) -> Self {
        let mut first = Self(seed ^ (vm as u64).rotate_right(8));
        Self(first.next())
    }

    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(self.next().to_le_bytes().get(..chunk.len()).unwrap_or_default());
        }
    }
}
