//! Where something is: in a core's tables, in a list.

/// Which of the two kinds of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    #[default]
    Sessions,
    ListenStreams,
}

/// Where a portion begins. The default is the beginning of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ViewPlace {
    pub part: Part,
    pub slot: u32,
}

/// Where a row stands in a list: by what it is sorted, and among equals by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowPosition {
    pub rank: u64,
    pub core: u16,
    pub part: Part,
    pub slot: u32,
    pub generation: u32,
}
