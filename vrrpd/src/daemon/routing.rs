//! A router's routes and rules: there while it is Active, behind its addresses, and gone before them.

use std::io;

use configs::Route;

use crate::log::log;
use crate::net::{Interface, Rtnl};

use super::kernel::Kernel;
use super::station::Station;

/// Routes and rules that nobody advertises any more.
pub(crate) fn remove(rtnl: &mut Rtnl, router: &configs::Router) -> io::Result<()> {
    let rules = router.rules.iter().map(|rule| rtnl.remove_rule(rule)).collect::<Vec<_>>();
    let routes = router.routes.iter().map(|route| rtnl.remove_route(route));
    rules.into_iter().chain(routes).find(Result::is_err).unwrap_or(Ok(()))
}

impl Station {
    /// The interface that a route names, or if it names none and has no next hop, the router's own.
    pub(super) fn find_routes(&self, interfaces: &[Interface]) -> Vec<(Route, Option<u32>)> {
        let named = |name: &String| interfaces.iter().find(|it| it.name == *name).map(|it| it.index);
        let own = self.wire.as_ref().map(|wire| wire.index);
        let index = |route: &Route| match &route.interface {
            Some(name) => named(name),
            None if route.kind == configs::RouteKind::Unicast && route.via.is_none() => own,
            None => None,
        };
        self.config.routes.iter().map(|route| (route.clone(), index(route))).collect()
    }

    /// Those of a former vrrpd go first: what is still there afterwards is somebody else's.
    pub(super) fn install_routes(&self, kernel: &mut Kernel) {
        self.remove_routes(kernel);
        for (route, index) in &self.routes {
            let added = kernel.rtnl.add_route(route, *index);
            kernel.count(added, "not_added=route", &self.config.name);
        }
        for rule in &self.config.rules {
            let added = kernel.rtnl.add_rule(rule);
            kernel.count(added, "not_added=rule", &self.config.name);
        }
    }

    pub(super) fn remove_routes(&self, kernel: &mut Kernel) {
        let removed = remove(&mut kernel.rtnl, &self.config);
        kernel.count(removed, "not_removed=route", &self.config.name);
    }

    /// The kernel forgets routes over a link that was down, and somebody may have removed some.
    pub(super) fn keep_routes(&self, kernel: &mut Kernel) {
        for (route, index) in &self.routes {
            if kernel.rtnl.add_route(route, *index).is_ok() {
                log!("warn", "route-lost", "router={}", self.config.name);
            }
        }
        for rule in &self.config.rules {
            let added = kernel.rtnl.add_rule(rule);
            kernel.count(added, "not_added=rule", &self.config.name);
        }
    }
}
