//! What authors read when they use the macros wrongly, word for word, and unusual ways to use them
//! rightly.
//!
//! `TRYBUILD=overwrite cargo test -p proxy-filter --test ui` writes the messages anew.

#[test]
fn every_mistake_has_an_error_at_its_place() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}

#[test]
fn every_correct_use_compiles_without_a_warning() {
    trybuild::TestCases::new().pass("tests/ui/pass/*.rs");
}
