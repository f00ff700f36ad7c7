package audit

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/go-mcpauth/sdk/mcpauth"
)

const (
	defaultMaxEntries = 1 << 14
	callerShare       = 16 // a user gets at most this part of the entries
	minCallerEntries  = 16
)

// Usage counts decisions per user, client and tool, since it began or was last emptied by [Usage.Drain]. Give
// [Usage.Record] to Config.OnDecision. The zero value is ready; it is safe for concurrent use and must not
// be copied.
//
// Counts are exact in sum. What has no room for a row of its own is counted in a row that says Other: of its
// caller, or of nobody in particular where the caller is new. No user can take up more than a sixteenth of
// the room, whatever the number of applications.
//
// Names of tools and prompts are counted by name; of resources, whose URIs have no end and name people,
// the method alone. A name that nothing was declared for is no name: it is left out, so that nobody
// fills the table with inventions. A refusal of a proof counts for the caller whom the token names.
type Usage struct {
	// MaxEntries is how many callers and rows are kept, together. Zero: 16,384, which take 4 to 8 MiB, and more
	// only where subjects are long: a caller takes at most 2 KiB of names.
	// It must not change after the first Record.
	MaxEntries int

	mu      sync.Mutex
	entries int
	callers map[string]*caller // by Principal.ID, which is bounded and which nobody can imitate
	users   map[user]*share    // of the callers
	other   counts             // of callers that came when the table was full
}

type caller struct {
	issuer, subject, client string
	share                   *share
	rows                    map[rowKey]*counts
	other                   counts
}

// A user comes with any number of applications, where these register themselves.
type user struct{ issuer, subject string }

// A share is what one user has of the entries.
type share struct{ callers, rows int }

type rowKey struct {
	method, name string
	reason       mcpauth.Reason
}

type counts struct {
	allowed, refused uint64
	first, last      time.Time
}

func (c *counts) add(d *mcpauth.Decision) {
	if d.Allowed {
		c.allowed++
	} else {
		c.refused++
	}
	c.seen(d.Time, d.Time)
}

// seen widens the time between first and last. Decisions of several requests may come in any order.
func (c *counts) seen(first, last time.Time) {
	if c.first.IsZero() || !first.IsZero() && first.Before(c.first) {
		c.first = first
	}
	if last.After(c.last) {
		c.last = last
	}
}

// Record counts a decision.
func (u *Usage) Record(_ context.Context, d mcpauth.Decision) {
	key, named := keyOf(&d)
	u.mu.Lock()
	defer u.mu.Unlock()
	id := d.Principal.ID()
	if d.Principal.Issuer() == "" {
		id = "" // a guest is nobody, too
	}
	who := u.callers[id]
	if who == nil {
		if who = u.admit(id, d.Principal); who == nil {
			u.other.add(&d)
			return
		}
	}
	row := who.rows[key]
	if row == nil {
		if !named || u.entries >= u.max() || who.share.callers-1+who.share.rows >= u.most() {
			if id == "" {
				u.other.add(&d)
			} else {
				who.other.add(&d)
			}
			return
		}
		row = new(counts)
		key.method, key.name, key.reason = strings.Clone(key.method), strings.Clone(key.name), mcpauth.Reason(strings.Clone(string(key.reason)))
		who.rows[key] = row // cloned, so that it does not keep the body of a request
		who.share.rows++
		u.entries++
	}
	row.add(&d)
}

func (u *Usage) max() int {
	if u.MaxEntries > 0 {
		return u.MaxEntries
	}
	return defaultMaxEntries
}

// most is how many entries a user gets, besides one for the first caller.
func (u *Usage) most() int { return max(u.max()/callerShare, minCallerEntries) }

// admit makes room for a caller, or returns nil where there is none.
func (u *Usage) admit(id string, p *mcpauth.Principal) *caller {
	if u.entries >= u.max() || len(p.Issuer())+len(p.Subject())+len(p.ClientID()) > maxSentence {
		return nil
	}
	has := u.users[user{p.Issuer(), p.Subject()}]
	if has != nil && has.callers+has.rows >= u.most() {
		return nil
	}
	if u.callers == nil {
		u.callers, u.users = make(map[string]*caller), make(map[user]*share)
	}
	who := &caller{
		issuer: strings.Clone(p.Issuer()), subject: strings.Clone(p.Subject()), client: strings.Clone(p.ClientID()),
		share: has, rows: make(map[rowKey]*counts),
	}
	if has == nil {
		who.share = new(share)
		u.users[user{who.issuer, who.subject}] = who.share
	}
	who.share.callers++
	u.callers[id] = who
	u.entries++
	return who
}

// keyOf is the row of a decision. It has none of its own where a name is too long to be kept.
func keyOf(d *mcpauth.Decision) (key rowKey, ok bool) {
	key = rowKey{method: d.Operation.Method, reason: d.Reason}
	invented := false // or may be: nobody has looked for a rule of what an unlisted application names
	switch d.Reason {
	case mcpauth.ReasonNoRule, mcpauth.ReasonUnsafeURI, mcpauth.ReasonClient:
		invented = !d.Allowed
	}
	switch key.method {
	case "tools/call", "prompts/get":
		if !invented {
			key.name = d.Operation.Name
		}
	case "resources/read", "resources/subscribe", "resources/unsubscribe", "completion/complete", "subscriptions/listen", "GET", "DELETE":
	default:
		if invented {
			key.method = ""
		}
	}
	return key, len(key.method) <= maxText && len(key.name) <= maxText && len(key.reason) <= maxText
}
