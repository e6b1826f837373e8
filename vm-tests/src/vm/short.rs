//! The short test, part of `./test`: three machines boot from power-on, get the package by apt, serve, lose a proxy, lose a host.

use std::time::Instant;

use anyhow::Result;

use super::drills;
use super::image::{Image, Packages};
use super::product::Product;
use super::stage::{Expect, Stage};
use super::trio::{Layout, Site, Trio};

pub(crate) fn run(image: &Image, packages: &Packages) -> Result<bool> {
    let began = Instant::now();
    let site = Site::build()?;
    println!("network and database after {:.0} s", began.elapsed().as_secs_f64());
    let began = Instant::now();
    let trio = Trio::boot(&site, image, &packages.old)?;
    println!("three guests booted in {:.0} s", began.elapsed().as_secs_f64());
    let began = Instant::now();
    trio.everywhere(|_| "DEBIAN_FRONTEND=noninteractive apt-get install -y -q /root/old.deb".into())?;
    println!("the package installed in {:.0} s", began.elapsed().as_secs_f64());
    trio.apply(Product::Standfast, Layout::SingleVip)?;
    let mut stage = Stage::set(&site, trio, Product::Standfast, Layout::SingleVip)?;
    println!("the VIP serves {:.0} s after the installation", began.elapsed().as_secs_f64());

    let in_place = Expect { stays: true, nobody_refused: true, ..Expect::default() };
    stage.measure("proxy-kill", in_place, |trio, owner| drills::signal_proxy(&trio.hosts[owner], "KILL"))?;
    let elsewhere = Expect { moves: true, ..Expect::default() };
    stage.measure("power-off", elsewhere, drills::cut_power)?;
    Ok(stage.events.iter().all(|event| event.wrong.is_none()))
}
