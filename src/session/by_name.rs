//! Statements or portals by the client's names. The unnamed one, which most drivers use for most statements, stands beside
//! the table, so that it costs no hash. Names are a client's choice, so the table's hash is keyed.

use std::collections::HashMap;

/// Things by name.
#[derive(Debug)]
pub(super) struct ByName<T> {
    unnamed: Option<T>,
    named: HashMap<Box<[u8]>, T>,
}

impl<T> Default for ByName<T> {
    fn default() -> Self {
        Self {
            unnamed: None,
            named: HashMap::new(),
        }
    }
}

impl<T> ByName<T> {
    pub(super) fn len(&self) -> usize {
        self.named.len() + usize::from(self.unnamed.is_some())
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<&T> {
        match name {
            b"" => self.unnamed.as_ref(),
            name => self.named.get(name),
        }
    }

    pub(super) fn get_mut(&mut self, name: &[u8]) -> Option<&mut T> {
        match name {
            b"" => self.unnamed.as_mut(),
            name => self.named.get_mut(name),
        }
    }

    pub(super) fn insert(&mut self, name: &[u8], thing: T) {
        match name {
            b"" => self.unnamed = Some(thing),
            name => drop(self.named.insert(name.into(), thing)),
        }
    }

    pub(super) fn remove(&mut self, name: &[u8]) -> Option<T> {
        match name {
            b"" => self.unnamed.take(),
            name => self.named.remove(name),
        }
    }

    pub(super) fn clear(&mut self) {
        self.unnamed = None;
        self.named.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unnamed_one_is_one_of_them() {
        let mut things = ByName::default();
        things.insert(b"", 1);
        things.insert(b"a", 2);
        assert_eq!(things.len(), 2);
        assert_eq!((things.get(b""), things.get(b"a")), (Some(&1), Some(&2)));
        things.insert(b"", 3);
        assert_eq!(things.get_mut(b"").copied(), Some(3));
        assert_eq!((things.remove(b""), things.remove(b"")), (Some(3), None));
        assert_eq!((things.remove(b"a"), things.len()), (Some(2), 0));
        things.insert(b"", 4);
        things.clear();
        assert_eq!(things.get(b""), None);
    }
}
