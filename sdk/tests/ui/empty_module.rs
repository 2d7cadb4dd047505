proxy_filter::module!();

fn main() {}
