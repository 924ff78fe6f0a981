//! How big and how slow things are in a world.

pub struct Size {
    /// A moment is shorter than this.
    pub moment_ms: usize,
    /// Compiling a flow takes so much longer than a moment.
    pub compile_ms: u64,
    /// Most attempts take less than this.
    pub short_ms: usize,
    /// The others take at least this, and less than twice as long.
    pub long_ms: usize,
    /// A server has fewer slots of its own.
    pub own_slots: usize,
    /// So much happens in no world in which nobody spins.
    pub steps_max: u64,
    /// Nor does anybody look at the clock so often without waiting for anything.
    pub looks_max: u64,
}

impl Size {
    /// A handful of everything.
    pub const SMALL: Size = Size {
        moment_ms: 20,
        compile_ms: 0,
        short_ms: 1_500,
        long_ms: 3_000,
        own_slots: 3,
        steps_max: 50_000,
        looks_max: 100_000,
    };

    /// Thousands of everything, for as long as somebody wants to look.
    pub const BIG: Size = Size {
        moment_ms: 3,
        compile_ms: 5,
        short_ms: 30_000,
        long_ms: 30_000,
        own_slots: 1,
        steps_max: u64::MAX,
        looks_max: 10_000_000,
    };
}
