//! One filter for each block of the kit: see `examples`.
