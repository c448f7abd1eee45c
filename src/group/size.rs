//! The size of values, as far as it matters to how many of them go in one message.

use std::hash::{Hash, Hasher};

/// The size of a value in bytes, roughly: the bytes that hashing reads. A machine cannot encode values: it does not know
/// how they are sent.
pub(super) fn size(value: &impl Hash) -> u64 {
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
    use super::size;

    #[test]
    fn a_text_is_as_large_as_its_bytes() {
        let ten = size(&"0123456789".to_owned());
        assert!((10..12).contains(&ten), "{ten}");
        assert!(size(&vec!["0123456789".to_owned(); 100]) >= 1000);
    }
}
