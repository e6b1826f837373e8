mod control;
mod route;
mod snapshot;
mod stats;
mod variables;
fn main() {}
