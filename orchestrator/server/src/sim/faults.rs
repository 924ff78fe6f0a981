//! What may go wrong in a world.

use super::dice::Dice;

/// Each is switched off in some worlds, so that the others get deep.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Servers are killed, and started again later.
    pub kills: bool,
    /// Servers are asked to end.
    pub ends: bool,
    /// The store, or one server's way to it, is away for a while.
    pub outages: bool,
    /// The store answers slowly at times.
    pub slow: bool,
    /// The answer to a commit gets lost.
    pub unknowns: bool,
    /// The store is locked for a moment.
    pub busy: bool,
    /// Clocks of servers go wrong by seconds, and jump.
    pub clocks: bool,
    /// The store's clock jumps.
    pub store_clock: bool,
    /// Workers vanish.
    pub vanish: bool,
    /// Workers stop for a while, and go on.
    pub sleeps: bool,
    /// Workers say goodbye.
    pub goodbyes: bool,
    /// Requests of workers, or the answers, get lost.
    pub lost: bool,
    /// Reports come twice.
    pub repeats: bool,
    /// Attempts fail.
    pub failures: bool,
    /// Attempts go on until they are told to stop.
    pub hangs: bool,
    pub cancels: bool,
    /// Flows change, some of them into nonsense.
    pub edits: bool,
    /// Schedules are held for a while.
    pub holds: bool,
    /// Sources cannot be read at times.
    pub unreadable: bool,
}

impl Faults {
    /// `shared`: several servers may use the store at a time.
    pub fn draw(dice: &mut Dice, shared: bool) -> Self {
        let quiet = dice.one_in(5);
        let mut draw = |chances: usize| dice.one_in(chances) && !quiet;
        let harsh = Faults {
            kills: draw(2),
            ends: draw(3),
            outages: draw(3) && shared,
            slow: draw(4) && shared,
            store_clock: draw(4) && shared,
            vanish: draw(2),
            sleeps: draw(3),
            goodbyes: draw(3),
            lost: draw(2),
            ..Faults::default()
        };
        Faults {
            unknowns: dice.one_in(2),
            busy: dice.one_in(2),
            clocks: dice.one_in(3),
            repeats: dice.one_in(2),
            failures: dice.one_in(2),
            hangs: dice.one_in(3),
            cancels: dice.one_in(3),
            edits: dice.one_in(3),
            holds: dice.one_in(3),
            unreadable: dice.one_in(8),
            ..harsh
        }
    }

    /// Whether a lease may run out while its server lives, or its server may be gone.
    pub fn end_leases(&self) -> bool {
        self.kills || self.ends || self.outages || self.slow || self.store_clock
    }

    /// Whether an attempt may lose its worker. Where nothing of this kind happens none may.
    pub fn lose_attempts(&self) -> bool {
        self.end_leases() || self.vanish || self.sleeps || self.goodbyes || self.lost
    }
}
