//! `problem` of the kit.

#[path = "../frame/mod.rs"]
mod frame;

use proxy_filter_kit::problem;
use std::hint::black_box;

/// What the filter does for each request.
fn run() -> usize {
    problem::Problem::new(400, black_box("Bad request")).detail("a field is missing").to_json().len()
}
