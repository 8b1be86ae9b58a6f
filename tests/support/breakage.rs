//! What goes wrong with a broken driver, for tests of the tests.

/// How a broken driver would behave, once in a while. For tests of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breakage {
    /// `handle_written(done)` is forgotten.
    ForgetsWritten,
    /// A publication is not handed to one core.
    LosesPublication,
    /// `Effect::Read` is not carried out.
    ForgetsToRead,
    /// What the fan-out gave is not written.
    LosesFanout,
    /// While a reader is slow, a change of a topic that changed before is taken for the same one.
    ConflatesToTheOldest,
    /// A client that comes back is taken to know one change more than it does.
    ResumesOffByOne,
    /// A session that moves to another core has lost a subscription there.
    TravelsWithoutASubscription,
    /// Its stream counts as one message further than it is.
    TravelsOnePlaceFurther,
    /// It has lost what was published for its principal alone.
    TravelsWithoutWhatIsForOne,
    /// What is for one principal is handed to a core as if it were for all.
    TellsAllWhatIsForOne,
    /// It is known by a name that its client does not have.
    TravelsUnderAStaleKey,
}

impl Breakage {
    /// It shows when something moves to another core.
    pub fn travels(self) -> bool {
        matches!(
            self,
            Breakage::TravelsWithoutASubscription
                | Breakage::TravelsOnePlaceFurther
                | Breakage::TravelsUnderAStaleKey
                | Breakage::TravelsWithoutWhatIsForOne
        )
    }

    /// It shows where clients are somebody's.
    pub fn is_of_principals(self) -> bool {
        matches!(
            self,
            Breakage::TravelsWithoutWhatIsForOne | Breakage::TellsAllWhatIsForOne
        )
    }
}
