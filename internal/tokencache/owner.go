package tokencache

// An owner counts what one owner has in one shard. Tokens fall into shards by a
// secret hash, so that shares within shards are shares of the whole, by and large.
type owner[V any] struct {
	id     uint64
	weight int64     // of all its entries
	oldest *entry[V] // nil while it has none; newer leads around the ring back to it
	heavy  int       // place in shard.heavy, from 1; 0: none
}

// add puts e behind the newest.
func (o *owner[V]) add(e *entry[V]) {
	e.owner = o
	if o.oldest == nil {
		o.oldest, e.older, e.newer = e, e, e
		return
	}
	e.newer, e.older = o.oldest, o.oldest.older
	e.older.newer, e.newer.older = e, e
}

func (o *owner[V]) remove(e *entry[V]) {
	switch {
	case e.newer == e:
		o.oldest = nil
	case o.oldest == e:
		o.oldest = e.newer
	}
	e.older.newer, e.newer.older = e.newer, e.older
	e.older, e.newer = nil, nil
}

// victim returns the one of the owner's entries that it misses least.
func (o *owner[V]) victim() *entry[V] {
	var pick chooser[V]
	for !pick.offer(o.oldest) {
		o.oldest = o.oldest.newer
		if pick.seen == patience {
			break
		}
	}
	return pick.best
}

// patience is how many entries the search for a victim looks at: enough to meet a
// cold one unless nearly all are in use, and little enough to wait for.
const patience = 64

// A chooser finds the coldest of the entries it is offered.
type chooser[V any] struct {
	best *entry[V]
	heat uint32
	seen int
}

// offer cools e and reports whether the search can end, e having been cold.
func (c *chooser[V]) offer(e *entry[V]) bool {
	c.seen++
	heat := e.cool()
	if c.best == nil || heat < c.heat {
		c.best, c.heat = e, heat
	}
	return heat == cold
}
