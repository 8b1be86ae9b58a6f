//! Misdeeds.
