//! Classes of environments, named after the faults that can happen in them.

use super::budget::Budget;
use serde::Serialize;
use strum::{EnumCount, IntoStaticStr, VariantArray};

/// A class of environments: the kind of fault that can happen.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, EnumCount, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Class {
    /// Nodes crash, and stay down.
    CrashStop,
    /// Nodes crash, and come back.
    CrashRecovery,
    /// Messages are lost.
    Lossy,
    /// Messages arrive twice.
    Duplicating,
    /// Messages overtake each other.
    Reordering,
    /// Detectors err.
    Suspicious,
    /// The nodes fall apart into sides that cannot reach each other.
    Partition,
    /// All of these.
    Everything,
}

impl Class {
    /// All classes: each breaks one assumption, the last breaks all of them.
    pub const ALL: [Self; Self::COUNT] =
        *Self::VARIANTS.first_chunk().expect("as many variants as there are");

    /// Its name: `crash-stop`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The faults that can happen in this class. No others can.
    #[must_use]
    pub fn faults(self) -> &'static [Budget] {
        match self {
            Self::CrashStop => &[Budget::Crashes],
            Self::CrashRecovery => &[Budget::Crashes, Budget::Restarts],
            Self::Lossy => &[Budget::Drops],
            Self::Duplicating => &[Budget::Duplicates],
            Self::Reordering => &[Budget::Overtakes],
            Self::Suspicious => &[Budget::Suspicions],
            Self::Partition => &[Budget::Cuts],
            Self::Everything => Budget::FAULTS,
        }
    }
}
