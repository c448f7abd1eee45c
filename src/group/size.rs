//! The size of values, as far as it matters to how many of them go in one message.

use std::hash::{Hash, Hasher};

/// The first items: as many as are this large in bytes, and one at least.
pub(super) fn first<T: Hash>(
    items: impl IntoIterator<Item = T>,
    most: u64,
) -> impl Iterator<Item = T> {
    let mut bytes = 0;
    items.into_iter().take_while(move |item| {
        let begin = bytes;
        bytes += size(item);
        begin < most
    })
}

/// The size of a value in bytes, roughly: the bytes that hashing reads. A machine cannot encode values: it does not know
/// how they are sent.
fn size(value: &impl Hash) -> u64 {
    let mut bytes = Bytes(0);
    value.hash(&mut bytes);
    bytes.finish()
}

/// Counts the bytes that it is given.
struct Bytes(u64);

impl Hasher for Bytes {
    fn write(&mut self, bytes: &[u8]) {
        self.0 += bytes.len() as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::{first, size};

    #[test]
    fn a_text_is_as_large_as_its_bytes() {
        let ten = size(&"0123456789".to_owned());
        assert!((10..12).contains(&ten), "{ten}");
        assert!(size(&vec!["0123456789".to_owned(); 100]) >= 1000);
    }

    #[test]
    fn the_first_items_are_as_large_as_they_may_be_and_one_at_least() {
        let texts = vec!["0123456789".to_owned(); 100];
        for (most, count) in [(1, 1), (11, 1), (12, 2), (110, 10), (u64::MAX, 100)] {
            assert_eq!(first(&texts, most).count(), count, "{most}");
        }
    }
}
