//! The set of visited worlds: 8 bytes for each, and little room to grow.

use super::breadth::Fingerprint;

/// A set of fingerprints, none of which is 0.
///
/// It consists of regions that grow apart, each by half, so that it is never held twice. Within a region,
/// fingerprints lie in their own order but for collisions. So a region grows in one run through its memory.
#[derive(Debug, Default)]
pub(crate) struct Visited {
    regions: Vec<Region>,
    len: usize,
}

/// Open addressing; 0 is an empty slot.
#[derive(Debug, Default)]
struct Region {
    slots: Vec<Fingerprint>,
    len: usize,
}

const REGION_BITS: u32 = 6;

impl Visited {
    /// The number of fingerprints.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// All fingerprints, in an order in which a new set takes them quickly.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Fingerprint> {
        let slots = self.regions.iter().flat_map(|region| &region.slots);
        slots.copied().filter(|print| *print != 0)
    }

    /// True if it holds a fingerprint.
    pub(crate) fn contains(&self, print: Fingerprint) -> bool {
        self.region(print).is_some_and(|region| region.contains(print))
    }

    /// Adds a fingerprint. False if it was there before.
    pub(crate) fn insert(&mut self, print: Fingerprint) -> bool {
        if self.regions.is_empty() {
            self.regions.resize_with(1 << REGION_BITS, Region::default);
        }
        let is_new = self.regions[place_of_region(print)].insert(print);
        self.len += usize::from(is_new);
        is_new
    }

    /// Reads the memory in which a fingerprint is looked for. Many reads that wait for nothing take as long as one.
    pub(crate) fn touch(&self, print: Fingerprint) -> Fingerprint {
        let region = self.region(print).filter(|region| !region.slots.is_empty());
        region.map_or(0, |region| region.slots[region.home(print)])
    }

    fn region(&self, print: Fingerprint) -> Option<&Region> {
        self.regions.get(place_of_region(print))
    }
}

/// The first bits of a fingerprint choose its region; the rest, its place there.
fn place_of_region(print: Fingerprint) -> usize {
    (print >> (Fingerprint::BITS - REGION_BITS)) as usize
}

impl Region {
    fn home(&self, print: Fingerprint) -> usize {
        scaled(print << REGION_BITS, self.slots.len())
    }

    /// The slot of a fingerprint, or the empty one that it would take; there is one.
    fn find(&self, print: Fingerprint) -> usize {
        let mut place = self.home(print);
        while self.slots[place] != 0 && self.slots[place] != print {
            place += 1;
            if place == self.slots.len() {
                place = 0;
            }
        }
        place
    }

    fn contains(&self, print: Fingerprint) -> bool {
        !self.slots.is_empty() && self.slots[self.find(print)] == print
    }

    fn insert(&mut self, print: Fingerprint) -> bool {
        // Beyond three quarters, collisions take longer than growing.
        if (self.len + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        let place = self.find(print);
        let is_new = self.slots[place] == 0;
        self.slots[place] = print;
        self.len += usize::from(is_new);
        is_new
    }

    fn grow(&mut self) {
        let room = (self.slots.len() / 2 * 3).max(16);
        let before = std::mem::replace(&mut self.slots, vec![0; room]);
        for print in before.into_iter().filter(|print| *print != 0) {
            let place = self.find(print);
            self.slots[place] = print;
        }
    }
}

/// The number among so many that is as far from the first as a fingerprint is from 0.
pub(crate) fn scaled(print: Fingerprint, among: usize) -> usize {
    let scaled = (u128::from(print) * among as u128) >> Fingerprint::BITS;
    usize::try_from(scaled).expect("less than `among`")
}
