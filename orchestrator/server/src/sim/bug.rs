//! Bugs that are planted to see whether the simulation finds them.

use std::cell::Cell;

thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Plants a bug in everything that this thread does, or pulls it out again.
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

/// [`planted!`] asks for it; outside tests that is `false` at compile time.
pub fn planted(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// A planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Who drives a run appends without showing its lease.
    Unfenced,
    /// A lease is taken once and never prolonged.
    LeaseNotRenewed,
    /// Who takes a run over does not give up what ran at the one before.
    TakeoverForgetsAttempts,
    /// A commit of which nobody knows what became of it counts as done.
    UnknownTakenForDone,
    /// Who collides with somebody else in the journal gives the run up.
    ConflictEndsDriver,
    /// A store that is away for a moment ends the driver.
    NoPatience,
    /// Attempts are handed out before their start is durable.
    HandsOutBeforeDurable,
    /// A report is answered before it is durable.
    AnswersBeforeDurable,
    /// A report on what was given up before is answered as if it counted.
    StaleTakenForRecorded,
    /// What others write into the journal is not looked at.
    TailUnread,
    /// The slot of an attempt that has ended stays taken.
    PlaceKept,
    /// A driver does not hear that a worker is gone.
    WorkerLossUnheard,
    /// A worker may be silent for as long as it likes.
    SilenceBorne,
    /// An attempt that never reached its worker is not given up.
    LostHandoutKept,
    /// Workers are not told what to stop.
    StopsNobody,
    /// A worker that leaves stays on the list.
    GoodbyeIgnored,
    /// A worker that starts again takes its own place without giving up what it did before.
    NamesakeForgotten,
    /// A schedule's time is marked as decided before its run is made.
    TimeDecidedFirst,
    /// Runs of a schedule are made as if somebody had asked for them.
    ScheduledTwice,
    /// A run is made although the one before goes on.
    OverlapIgnored,
    /// A schedule that is held goes on.
    PauseIgnored,
    /// An edit that does not compile removes the flow.
    BrokenEditDropsFlow,
    /// The name that a client gave its request is not written down.
    KeyForgotten,
    /// A run is accepted although nobody knows whether it was written.
    AcceptsUnknown,
    /// A second server on a store that cannot be shared goes on.
    ServesTwice,
    /// Who ends keeps its leases.
    LeavesNothing,
    /// The time goes back with the wall clock.
    TimeGoesBack,
    /// A driver does not count the slots of pools that it takes itself.
    OwnSlotsUncounted,
    /// A slot that becomes free is taken again although the store has just refused that.
    RefusalOverlooked,
    /// Who was refused a slot of a pool never asks again.
    RefusalIsFinal,
    /// The slot of a pool stays taken when its attempt has ended.
    HoldKept,
    /// Attempts that start in one append count as one in their pool.
    BatchUncounted,
    /// A run keeps the slot that its attempt frees although it is another's turn.
    TurnOverlooked,
    /// A slot that becomes free goes to whoever came last.
    LastServedFirst,
    /// Who finds a pool full does not say that he waits.
    WaitUnsaid,
}

impl Bug {
    pub const ALL: [Bug; 35] = [
        Bug::Unfenced,
        Bug::LeaseNotRenewed,
        Bug::TakeoverForgetsAttempts,
        Bug::UnknownTakenForDone,
        Bug::ConflictEndsDriver,
        Bug::NoPatience,
        Bug::HandsOutBeforeDurable,
        Bug::AnswersBeforeDurable,
        Bug::StaleTakenForRecorded,
        Bug::TailUnread,
        Bug::PlaceKept,
        Bug::WorkerLossUnheard,
        Bug::SilenceBorne,
        Bug::LostHandoutKept,
        Bug::StopsNobody,
        Bug::GoodbyeIgnored,
        Bug::NamesakeForgotten,
        Bug::TimeDecidedFirst,
        Bug::ScheduledTwice,
        Bug::OverlapIgnored,
        Bug::PauseIgnored,
        Bug::BrokenEditDropsFlow,
        Bug::KeyForgotten,
        Bug::AcceptsUnknown,
        Bug::ServesTwice,
        Bug::LeavesNothing,
        Bug::TimeGoesBack,
        Bug::OwnSlotsUncounted,
        Bug::RefusalOverlooked,
        Bug::RefusalIsFinal,
        Bug::HoldKept,
        Bug::BatchUncounted,
        Bug::TurnOverlooked,
        Bug::LastServedFirst,
        Bug::WaitUnsaid,
    ];
}
