package jwks

// maxCandidates bounds the signatures that one token can make us check: keys
// that share a kid, and keys that fit a token without one.
const maxCandidates = 8

// An index is one state of a key set. It never changes once it is published;
// its slices are handed out and must not be written to.
type index struct {
	byID  map[string]entry
	stale int64 // no longer good from this time on
	due   int64 // to be refreshed from this time on
	keys  []*Key
	any   candidates // for tokens without kid
}

// An entry holds the keys of one kid. Almost always they fit the same
// algorithms and stand in the entry itself, which lies inside the map: with a
// thousand keys the further hop would cost as much as the rest of the lookup.
type entry struct {
	keys  []*Key
	algs  algSet // of all keys; 0 when they differ
	mixed *candidates
}

// candidates holds the keys per algorithm, so that a lookup filters nothing.
type candidates [numAlgorithms][]*Key

func (c *candidates) add(k *Key) {
	for a := range numAlgorithms {
		if k.algs.has(a) && len(c[a]) < maxCandidates {
			c[a] = append(c[a], k)
		}
	}
}

func (e *entry) add(k *Key) {
	switch {
	case e.mixed != nil:
		e.mixed.add(k)
	case e.keys == nil:
		e.keys, e.algs = []*Key{k}, k.algs
	case e.algs != k.algs:
		e.mixed = new(candidates)
		for _, have := range e.keys {
			e.mixed.add(have)
		}
		e.mixed.add(k)
		e.keys, e.algs = nil, 0
	case len(e.keys) < maxCandidates:
		e.keys = append(e.keys, k)
	}
}

func newIndex(keys []*Key) *index {
	ix := &index{keys: keys, byID: make(map[string]entry, len(keys))}
	for _, k := range keys {
		ix.any.add(k)
		if k.ID != "" {
			e := ix.byID[k.ID]
			e.add(k)
			ix.byID[k.ID] = e
		}
	}
	return ix
}

// find returns the keys for kid and a, nil when there are none. A key without
// kid serves tokens without kid only.
func (ix *index) find(kid string, a algorithm) []*Key {
	if kid == "" {
		return ix.any[a]
	}
	e := ix.byID[kid]
	if e.algs.has(a) {
		return e.keys
	}
	if e.mixed != nil {
		return e.mixed[a]
	}
	return nil
}

// merge returns the keys for the next index: those of fresh, but with the
// *Key of old where it is the same key, so that whoever remembered it by
// pointer finds it current. It counts what came and lists what left.
func (ix *index) merge(fresh []*Key) (keys []*Key, added int, removed []*Key) {
	known := make(map[identity]*Key)
	if ix != nil {
		for _, k := range ix.keys {
			known[k.identity()] = k
		}
	}
	keys = make([]*Key, 0, len(fresh))
	for _, k := range fresh {
		if old := known[k.identity()]; old != nil {
			delete(known, k.identity())
			k = old
		} else {
			added++
		}
		keys = append(keys, k)
	}
	for _, k := range known {
		removed = append(removed, k)
	}
	return keys, added, removed
}
