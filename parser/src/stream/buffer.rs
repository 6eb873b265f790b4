//! Bytes of a message that has not come in full, up to a stated bound.

/// First allocation for a message: a ClientHello without post-quantum key shares, a Connection Request, an answer fit.
const FIRST_ALLOCATION: usize = 2048;

/// Collects a message. Memory grows with what came, never with what was announced.
///
/// One pointer, as an idle session has six of these and never again anything in them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Buffer {
    #[allow(clippy::box_collection)]
    bytes: Option<Box<Vec<u8>>>,
}

impl Buffer {
    /// Bytes collected.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.as_deref().map_or(&[], Vec::as_slice)
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes().len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }

    /// Heap bytes held.
    pub(crate) fn held(&self) -> usize {
        self.bytes.as_ref().map_or(0, |bytes| bytes.capacity())
    }

    /// Moves bytes from the front of `input` until `target` are held in all, and says whether they are.
    pub(crate) fn fill(&mut self, input: &mut &[u8], target: usize) -> bool {
        let take = target.saturating_sub(self.len()).min(input.len());
        if take > 0 {
            let first = || Box::new(Vec::with_capacity(target.min(FIRST_ALLOCATION)));
            let (taken, rest) = input.split_at(take);
            self.bytes.get_or_insert_with(first).extend_from_slice(taken);
            *input = rest;
        }
        self.len() >= target
    }

    /// Forgets the bytes and gives the memory back.
    pub(crate) fn free(&mut self) {
        self.bytes = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_grows_with_what_came() {
        let mut buffer = Buffer::default();
        let mut input = &[7; 10][..];
        assert!(!buffer.fill(&mut input, 60_000));
        assert_eq!((buffer.len(), input.len()), (10, 0));
        assert!(buffer.held() <= FIRST_ALLOCATION);
        buffer.free();
        assert_eq!(buffer.held(), 0);
    }

    #[test]
    fn no_more_is_taken_than_the_target() {
        let mut buffer = Buffer::default();
        let mut input = &[1, 2, 3, 4][..];
        assert!(buffer.fill(&mut input, 3));
        assert_eq!((buffer.bytes(), input), (&[1, 2, 3][..], &[4][..]));
    }
}
