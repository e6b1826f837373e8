//! What happens on every link: an election, a resignation, a return, a split and its healing.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use super::bed::{Bed, Side};
use super::cell::Cell;

/// How long the other side took to have the VIP. `None` where nothing was to be taken over.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Times {
    pub after_resignation: Option<Duration>,
    pub after_silence: Option<Duration>,
}

/// Asking the kernel costs two processes a time.
const LOOK: Duration = Duration::from_millis(15);

pub(crate) fn play(cell: Cell, bed: &mut Bed) -> Result<Times> {
    let leader = if cell.we_lead { Side::Ours } else { Side::Theirs };
    if !cell.password.fits() {
        return refuse(cell, bed).map(|()| Times::default());
    }
    bed.start(leader)?;
    becomes(cell, bed, &[leader])?;
    bed.start(leader.other())?;
    stays(cell, bed, leader, 6)?;

    bed.dismiss(leader);
    let after_resignation = Some(becomes(cell, bed, &[leader.other()])?);
    bed.bury(leader)?;
    bed.start(leader)?;
    let holder = if cell.preempt { leader } else { leader.other() };
    if cell.preempt {
        becomes(cell, bed, &[leader])?;
    }
    stays(cell, bed, holder, 6)?;

    bed.split(true)?;
    let after_silence = Some(becomes(cell, bed, &[Side::Ours, Side::Theirs])?);
    bed.split(false)?;
    becomes(cell, bed, &[leader])?;
    stays(cell, bed, leader, 4)?;
    heard_well(bed)?;
    Ok(Times { after_resignation, after_silence })
}

/// Neither takes the other's word: both are master, and vrrpd says why.
fn refuse(cell: Cell, bed: &mut Bed) -> Result<()> {
    bed.start(Side::Ours)?;
    bed.start(Side::Theirs)?;
    becomes(cell, bed, &[Side::Ours, Side::Theirs])?;
    std::thread::sleep(3 * cell.advert());
    ensure!(bed.holds(Side::Ours) && bed.holds(Side::Theirs), "one of them gave way");
    let counters = &bed.status()?["counters"];
    let refused =
        counters["auth_failure"].as_u64().unwrap_or(0) + counters["authtype_mismatch"].as_u64().unwrap_or(0);
    ensure!(refused > 0 && counters["advert_rcvd"] == 0, "counted: {counters}");
    Ok(())
}

/// No advert was dropped, and none differed in its addresses.
fn heard_well(bed: &Bed) -> Result<()> {
    let status = bed.status()?;
    let counters = &status["counters"];
    ensure!(counters["advert_rcvd"].as_u64() > Some(0), "no advert was heard");
    let Some(all) = counters.as_object() else { bail!("no counters") };
    for (name, count) in all {
        let harmless = !name.ends_with("_err") && !name.ends_with("mismatch") && !name.ends_with("failure");
        ensure!(harmless || *count == 0, "{name} is {count}");
    }
    Ok(())
}

/// Waits until exactly these hold the VIP.
fn becomes(cell: Cell, bed: &Bed, wanted: &[Side]) -> Result<Duration> {
    let limit = 15 * cell.advert() + Duration::from_secs(5);
    let began = Instant::now();
    while [Side::Ours, Side::Theirs].iter().any(|side| bed.holds(*side) != wanted.contains(side)) {
        ensure!(began.elapsed() < limit, "waited in vain for {wanted:?} to hold the VIP");
        std::thread::sleep(LOOK);
    }
    Ok(began.elapsed())
}

/// For so many adverts nobody but `holder` has the VIP.
fn stays(cell: Cell, bed: &Bed, holder: Side, adverts: u32) -> Result<()> {
    let began = Instant::now();
    while began.elapsed() < adverts * cell.advert() {
        ensure!(bed.holds(holder), "{holder:?} lost the VIP");
        ensure!(!bed.holds(holder.other()), "{:?} took the VIP, too", holder.other());
        std::thread::sleep(LOOK);
    }
    Ok(())
}
