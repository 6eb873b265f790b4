//! Hello shapes, each kept once for all sessions that show it, with what an event says of it ready to be copied.
//!
//! Thousands of clients send a handful of shapes. One table serves the process, whatever listener a session came in by.

use super::event::{LIST, group, scheme, suite, version};
use parser::wire::{Fingerprints, HelloShape};
use rapidhash::RapidHashMap;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

/// Shapes that are kept. A large site meets some dozens of client builds; a scanner makes up any number.
const KEPT: usize = 256;

/// Larger shapes are not kept, in bytes: with all lists long, that of a browser has some 700.
const LARGEST: usize = 4 * 1024;

static SHAPES: LazyLock<Shapes> = LazyLock::new(Shapes::default);

/// The shape that is kept in the place of `shape`, to be held by a session that lives on.
pub(crate) fn shared(shape: &Arc<HelloShape>) -> Arc<HelloShape> {
    SHAPES.shared(shape)
}

/// What is told of `shape`.
pub(crate) fn told(shape: &Arc<HelloShape>) -> Arc<ShapeTold> {
    SHAPES.told(shape)
}

/// Shapes that had to make room for others since the start of the process.
pub(crate) fn evicted() -> u64 {
    SHAPES.evicted.load(Relaxed)
}

/// What an event says of a shape: lists as JSON text.
#[derive(Debug, Default)]
pub(crate) struct ShapeTold {
    pub(crate) fingerprints: Fingerprints,
    pub(super) versions: Box<RawValue>,
    pub(super) ciphers: Box<RawValue>,
    /// `None` when there is nothing in it.
    pub(super) groups: Option<Box<RawValue>>,
    pub(super) schemes: Option<Box<RawValue>>,
    /// Recency.
    used: AtomicU64,
}

impl ShapeTold {
    fn of(shape: &HelloShape) -> ShapeTold {
        let groups: Vec<_> = shape.groups.iter().filter(|g| !g.is_grease()).take(LIST).map(|g| group(*g)).collect();
        let schemes = shape.signature_schemes.iter().filter(|s| !s.is_grease());
        let schemes: Vec<_> = schemes.take(LIST).map(|s| scheme(*s)).collect();
        let ciphers = shape.suites.iter().filter(|s| !s.is_grease()).take(LIST).map(|s| suite(*s));
        ShapeTold {
            fingerprints: Fingerprints::of(shape),
            versions: json(&shape.versions().into_iter().take(LIST).map(version).collect::<Vec<_>>()),
            ciphers: json(&ciphers.collect::<Vec<_>>()),
            groups: (!groups.is_empty()).then(|| json(&groups)),
            schemes: (!schemes.is_empty()).then(|| json(&schemes)),
            used: AtomicU64::new(0),
        }
    }
}

fn json(list: &impl Serialize) -> Box<RawValue> {
    // A list of texts: there is nothing that serde_json could refuse.
    to_raw_value(list).unwrap_or_default()
}

#[derive(Debug, Default)]
struct Shapes {
    table: RwLock<Table>,
    clock: AtomicU64,
    evicted: AtomicU64,
}

/// Its hasher has a key of its own: a stranger cannot choose shapes that meet in one place.
#[derive(Debug, Default)]
struct Table {
    known: RapidHashMap<Arc<HelloShape>, Arc<ShapeTold>>,
    /// The same by where the kept shape stands: a session that shares it is not read again.
    places: RapidHashMap<usize, Arc<ShapeTold>>,
}

impl Table {
    fn find(&self, shape: &Arc<HelloShape>) -> Option<&Arc<ShapeTold>> {
        self.places.get(&place(shape)).or_else(|| self.known.get(&**shape))
    }

    fn insert(&mut self, shape: &Arc<HelloShape>, told: &Arc<ShapeTold>) {
        self.known.insert(Arc::clone(shape), Arc::clone(told));
        self.places.insert(place(shape), Arc::clone(told));
    }

    /// Forgets what was not asked for the longest.
    fn remove_oldest(&mut self) {
        let oldest = self.known.iter().min_by_key(|(_, told)| told.used.load(Relaxed));
        if let Some(shape) = oldest.map(|(shape, _)| Arc::clone(shape)) {
            self.known.remove(&shape);
            self.places.remove(&place(&shape));
        }
    }
}

/// Nothing else stands there as long as the table holds the shape.
fn place(shape: &Arc<HelloShape>) -> usize {
    Arc::as_ptr(shape).addr()
}

impl Shapes {
    fn shared(&self, shape: &Arc<HelloShape>) -> Arc<HelloShape> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        if table.places.contains_key(&place(shape)) {
            return Arc::clone(shape);
        }
        if let Some((kept, _)) = table.known.get_key_value(&**shape) {
            return Arc::clone(kept);
        }
        drop(table);
        self.told(shape);
        Arc::clone(shape)
    }

    fn told(&self, shape: &Arc<HelloShape>) -> Arc<ShapeTold> {
        let now = self.clock.fetch_add(1, Relaxed);
        if let Some(told) = self.table.read().unwrap_or_else(PoisonError::into_inner).find(shape) {
            told.used.store(now, Relaxed);
            return Arc::clone(told);
        }
        let told = Arc::new(ShapeTold::of(shape));
        told.used.store(now, Relaxed);
        if shape.memory() <= LARGEST {
            self.keep(shape, &told);
        }
        told
    }

    fn keep(&self, shape: &Arc<HelloShape>, told: &Arc<ShapeTold>) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        // Another session may have brought it meanwhile.
        if table.known.contains_key(&**shape) {
            return;
        }
        while table.known.len() >= KEPT {
            table.remove_oldest();
            self.evicted.fetch_add(1, Relaxed);
        }
        table.insert(shape, told);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parser::wire::CipherSuite;

    fn shape(suites: impl IntoIterator<Item = u16>) -> Arc<HelloShape> {
        Arc::new(HelloShape { suites: suites.into_iter().map(CipherSuite).collect(), ..HelloShape::default() })
    }

    #[test]
    fn equal_shapes_of_many_sessions_are_one() {
        let shapes = Shapes::default();
        let first = shapes.shared(&shape([0x1302]));
        assert!(Arc::ptr_eq(&first, &shapes.shared(&shape([0x1302]))));
        assert!(!Arc::ptr_eq(&first, &shapes.shared(&shape([0x1301]))));
        assert!(Arc::ptr_eq(&shapes.told(&shape([0x1302])), &shapes.told(&first)), "told once");
        assert!(Arc::ptr_eq(&first, &shapes.shared(&first)));
    }

    #[test]
    fn strangers_push_out_what_was_not_seen_for_long_and_it_is_counted() {
        let shapes = Shapes::default();
        let often = shapes.shared(&shape([0x1302]));
        for number in 0..2 * KEPT as u16 {
            shapes.shared(&shape([number, number]));
            shapes.told(&often);
        }
        assert_eq!(shapes.table.read().unwrap().known.len(), KEPT);
        assert_eq!(shapes.table.read().unwrap().places.len(), KEPT);
        assert_eq!(shapes.evicted.load(Relaxed), KEPT as u64 + 1);
        assert!(Arc::ptr_eq(&often, &shapes.shared(&shape([0x1302]))), "the one that is seen often stays");
        let huge = shapes.shared(&shape(0..30_000));
        assert!(!Arc::ptr_eq(&huge, &shapes.shared(&shape(0..30_000))), "not worth its memory");
    }
}
