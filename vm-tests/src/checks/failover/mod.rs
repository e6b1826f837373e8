//! A source and its replica behind one proxy, under load: what a planned switch, and every unplanned death, costs clients.

mod bed;
pub(super) mod death;
pub(super) mod limits;
pub(super) mod pairs;
mod server;
pub(super) mod soak;
pub(super) mod switch;
mod teller;
