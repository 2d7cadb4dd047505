//! What authors read when they use the macros wrongly, word for word, and unusual ways to use them
//! rightly.
//!
//! `TRYBUILD=overwrite cargo test -p proxy-filter --test ui` writes the messages anew.

#[test]
fn every_mistake_is_explained_where_it_was_made() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}

#[test]
fn every_rightful_use_compiles_without_a_warning() {
    trybuild::TestCases::new().pass("tests/ui/pass/*.rs");
}
