//! Continuations of one prefix that grow side by side, a token each at a time.
//!
//! Left-to-right decoding is bound by reading the weights; several continuations read them once. Each keeps the keys and
//! values of its own tokens, the prefix's are shared.

use crate::config::{Config, LayerConfig};

/// Places for tokens that are made first; doubled when they are full.
const ROOM: usize = 8;

/// Keys or values of one layer, `[branches, room, kv_heads, head_dim]`.
#[derive(Clone, Debug)]
struct Own {
    values: Vec<f32>,
    /// kv_heads · head_dim
    width: usize,
}

/// What has been read of each branch. All are equally long.
#[derive(Clone, Debug)]
pub(crate) struct Branches {
    /// The tokens of each.
    ids: Vec<Vec<u32>>,
    /// Keys and values of each layer; empty where a backend reads branches anew.
    layers: Vec<[Own; 2]>,
    room: usize,
}

impl Branches {
    /// `count` branches without a token.
    pub(crate) fn new(count: usize) -> Self {
        Self { ids: vec![Vec::new(); count], layers: Vec::new(), room: 0 }
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Tokens read of each.
    pub(crate) fn tokens(&self) -> usize {
        self.ids.first().map_or(0, Vec::len)
    }

    /// The tokens of branch `index`.
    pub(crate) fn ids(&self, index: usize) -> &[u32] {
        &self.ids[index]
    }

    /// The tokens of all, `[branches · tokens]`.
    pub(crate) fn all_ids(&self) -> Vec<u32> {
        self.ids.concat()
    }

    /// Appends a token to each.
    pub(crate) fn push(&mut self, ids: &[u32]) {
        self.ids.iter_mut().zip(ids).for_each(|(branch, &id)| branch.push(id));
    }

    /// Forgets the branches that `keep` does not name (ascending).
    pub(crate) fn keep(&mut self, keep: &[usize]) {
        self.ids = keep.iter().map(|&index| std::mem::take(&mut self.ids[index])).collect();
        for own in self.layers.iter_mut().flatten() {
            let row = self.room * own.width;
            for (to, &from) in keep.iter().enumerate() {
                own.values.copy_within(from * row..(from + 1) * row, to * row);
            }
            own.values.truncate(keep.len() * row);
        }
    }

    /// Makes room for keys and values of one more token of each branch.
    pub(crate) fn reserve(&mut self, config: &Config) {
        if self.layers.is_empty() {
            let own = |l: &LayerConfig| Own { values: Vec::new(), width: l.kv_heads * l.head_dim };
            self.layers = config.layers.iter().map(|layer| [own(layer), own(layer)]).collect();
        }
        if self.tokens() < self.room {
            return;
        }
        let room = (2 * self.room).max(ROOM);
        for own in self.layers.iter_mut().flatten() {
            let mut values = vec![0.0; self.ids.len() * room * own.width];
            let old = own.values.chunks_exact((self.room * own.width).max(1));
            for (to, from) in values.chunks_exact_mut(room * own.width).zip(old) {
                to[..from.len()].copy_from_slice(from);
            }
            own.values = values;
        }
        self.room = room;
    }

    /// Writes the keys `k` and values `v`, `[branches, kv_heads, head_dim]` each, that layer `index` made of the next token;
    /// returns those of all tokens, `[branches, room, kv_heads, head_dim]` each.
    pub(crate) fn write(&mut self, index: usize, k: &[f32], v: &[f32]) -> [&[f32]; 2] {
        let (room, token) = (self.room, self.tokens());
        let layer = &mut self.layers[index];
        for (own, new) in layer.iter_mut().zip([k, v]) {
            let rows = own.values.chunks_exact_mut(room * own.width);
            for (row, new) in rows.zip(new.chunks_exact(own.width)) {
                row[token * own.width..][..own.width].copy_from_slice(new);
            }
        }
        layer.each_ref().map(|own| &own.values[..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::KvCache;
    use crate::net::Net;
    use crate::shipped;
    use lacuna_engine::CancelToken;
    use lacuna_kernels::Precision;

    fn ids(count: usize, seed: usize) -> Vec<u32> {
        (0..count).map(|i| 16 + ((i * 37 + seed * 101 + i * i) % 4000) as u32).collect()
    }

    #[test]
    fn grown_by_tokens_they_have_the_bits_of_being_read_at_once() {
        let net = Net::load(&shipped::source(), Precision::best()).unwrap();
        let cancel = CancelToken::new();
        let mut cache = KvCache::new(net.config(), net.precision());
        net.read(&mut cache, &ids(150, 1), &cancel).unwrap();
        let texts: Vec<Vec<u32>> = (0..3).map(|seed| ids(21, 10 + seed)).collect();
        let hidden = net.config().hidden_size;
        let expected = net.branch(&cache, &texts.concat(), 3, &cancel).unwrap();
        let (mut branches, mut active) = (Branches::new(3), vec![0, 1, 2]);
        for token in 0..21 {
            if token == 12 {
                branches.keep(&[0, 2]); // past the first room, before the next
                active = vec![0, 2];
            }
            let next: Vec<u32> = active.iter().map(|&b| texts[b][token]).collect();
            let found = net.grow(&cache, &mut branches, &next, &cancel).unwrap();
            for (&b, found) in active.iter().zip(found.chunks_exact(hidden)) {
                assert!(
                    found == &expected[(b * 21 + token) * hidden..][..hidden],
                    "branch {b}, token {token}"
                );
            }
        }
        assert_eq!((branches.len(), branches.tokens(), cache.len()), (2, 21, 150));
        assert_eq!(branches.ids(1), texts[2]);
    }
}
