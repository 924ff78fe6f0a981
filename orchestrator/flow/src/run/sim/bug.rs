//! Bugs that are planted to see whether the simulation finds them.

/// A planted bug. [`planted!`] asks for it; outside tests that is `false` at compile time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Reports are taken whatever attempt they name.
    DroppedFence,
    /// One try more than `attempts_max`.
    OneTryMore,
    /// What no retry can help is tried again.
    HopelessRetry,
    /// A task is ready while one need has not ended.
    ForgottenNeed,
    /// A lost attempt keeps its slot.
    LeakedSlot,
    /// A lost task is never tried again.
    LostForever,
    /// A loss counts as one of the user's tries.
    LossSpendsTry,
    /// A task may lose its worker without end.
    EndlessLosses,
    /// A skip does not reach the tasks that read the data.
    SkipStops,
    /// A skip reaches tasks that only come after.
    SkipAlongAfter,
    /// A skip does not wait for the other needs.
    SkipTooSoon,
    /// A failure satisfies `after`.
    FailureSatisfiesAfter,
    /// A failure reaches its neighbours and no further.
    FailureStops,
    /// A false `when` is not looked at.
    WhenIgnored,
    /// New attempts start after a cancel.
    CancelStarts,
    /// Nothing tells running attempts to stop.
    CancelStopsNothing,
    /// A cancelled run with a failed task closes as failed.
    FailureBeatsCancel,
    /// A retry does not wait until it is due.
    RetryTooEarly,
    /// The due time follows from something that is not in the journal.
    ReplayDiffers,
    /// A run closes although a task waits for its retry.
    ClosesTooEarly,
    /// Skips that follow from other tasks are not counted as ended.
    NeverCloses,
    /// A stale failure leaves a trace.
    StaleLeavesTrace,
    /// `on_failure = "stop"` is not looked at.
    StopIgnored,
    /// One attempt more than there is room for.
    OneTooMany,
}

impl Bug {
    pub const ALL: [Bug; 24] = [
        Bug::DroppedFence,
        Bug::OneTryMore,
        Bug::HopelessRetry,
        Bug::ForgottenNeed,
        Bug::LeakedSlot,
        Bug::LostForever,
        Bug::LossSpendsTry,
        Bug::EndlessLosses,
        Bug::SkipStops,
        Bug::SkipAlongAfter,
        Bug::SkipTooSoon,
        Bug::FailureSatisfiesAfter,
        Bug::FailureStops,
        Bug::WhenIgnored,
        Bug::CancelStarts,
        Bug::CancelStopsNothing,
        Bug::FailureBeatsCancel,
        Bug::RetryTooEarly,
        Bug::ReplayDiffers,
        Bug::ClosesTooEarly,
        Bug::NeverCloses,
        Bug::StaleLeavesTrace,
        Bug::StopIgnored,
        Bug::OneTooMany,
    ];
}
