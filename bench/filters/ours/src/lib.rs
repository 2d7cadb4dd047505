//! The bench filters are the examples of this package: five behaviours, each also in the two
//! packages beside it.
