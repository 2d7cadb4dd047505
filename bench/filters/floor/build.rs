//! Gives the modules the stack they need instead of the linker's 1 MiB: two pages of memory in all.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_FAMILY").is_ok_and(|family| family == "wasm") {
        println!("cargo::rustc-link-arg=-zstack-size=16384");
    }
}
