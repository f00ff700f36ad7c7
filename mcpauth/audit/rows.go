package audit

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/go-mcpauth/sdk/mcpauth"
)

// A Row is a count of decisions. Its texts are as they came, foreign and not fit for a terminal; encoding/json
// makes them fit for JSON.
type Row struct {
	// Issuer and Subject are the user, Client is the application. All are empty where nobody was known: of
	// requests without good credentials, and of guests.
	Issuer  string `json:"issuer,omitempty"`
	Subject string `json:"subject,omitempty"`
	Client  string `json:"client,omitempty"`

	Method string         `json:"method,omitempty"` // empty: refused before any operation was looked at, or of a method without a rule
	Name   string         `json:"name,omitempty"`   // the tool or prompt; empty for others, for those without a rule, and of unlisted applications
	Reason mcpauth.Reason `json:"reason,omitempty"`

	// Other says that this row is the sum of what had no room for rows of its own: of this caller, or of any
	// where no caller is named.
	Other bool `json:"other,omitempty"`

	Allowed uint64    `json:"allowed"`
	Refused uint64    `json:"refused"`
	First   time.Time `json:"first"` // Decision.Time of the earliest one
	Last    time.Time `json:"last"`
}

// Snapshot returns a copy of all counts, sorted by issuer, subject, client, method, name and reason; rows that
// say Other come after the rest of their caller's.
func (u *Usage) Snapshot() []Row {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.rows()
}

// Drain returns what Snapshot does and begins anew, in one step: no decision is lost or counted twice. Called
// every hour, it makes hourly figures.
func (u *Usage) Drain() []Row {
	u.mu.Lock()
	defer u.mu.Unlock()
	rows := u.rows()
	u.entries, u.callers, u.users, u.other = 0, nil, nil, counts{}
	return rows
}

func (u *Usage) rows() []Row {
	rows := make([]Row, 0, u.entries+1)
	add := func(r Row, c *counts) {
		if c.allowed+c.refused > 0 {
			r.Allowed, r.Refused, r.First, r.Last = c.allowed, c.refused, c.first, c.last
			rows = append(rows, r)
		}
	}
	for _, who := range u.callers {
		r := Row{Issuer: who.issuer, Subject: who.subject, Client: who.client}
		for key, c := range who.rows {
			r.Method, r.Name, r.Reason = key.method, key.name, key.reason
			add(r, c)
		}
		add(Row{Issuer: who.issuer, Subject: who.subject, Client: who.client, Other: true}, &who.other)
	}
	add(Row{Other: true}, &u.other)
	slices.SortFunc(rows, compare)
	return rows
}

func compare(a, b Row) int {
	other := func(r *Row) int {
		if r.Other {
			return 1
		}
		return 0
	}
	return cmp.Or(
		cmp.Compare(a.Issuer, b.Issuer), cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Client, b.Client), cmp.Compare(other(&a), other(&b)),
		cmp.Compare(a.Method, b.Method), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Reason, b.Reason),
	)
}

// A Column is what [Group] can tell apart.
type Column string

const (
	ByUser      Column = "user"      // Issuer and Subject
	ByClient    Column = "client"    // Client, of every issuer that has one of that name
	ByOperation Column = "operation" // Method and Name
	ByReason    Column = "reason"    // Reason
)

// Group adds up rows that are alike in these columns, and leaves the others empty; without columns, all are one row.
// What had no room for rows of its own stays apart where it is not known to which of the columns it belongs. An
// error names a Column that there is not.
func Group(rows []Row, by ...Column) ([]Row, error) {
	for _, c := range by {
		switch c {
		case ByUser, ByClient, ByOperation, ByReason:
		default:
			return nil, fmt.Errorf("audit: there is no column %q; write %s, %s, %s or %s", string(c), ByUser, ByClient, ByOperation, ByReason)
		}
	}
	type group struct {
		issuer, subject, client, method, name string
		reason                                mcpauth.Reason
		other                                 bool
	}
	sums := make(map[group]*counts)
	for _, r := range rows {
		g := group{}
		if slices.Contains(by, ByUser) {
			g.issuer, g.subject = r.Issuer, r.Subject
		}
		if slices.Contains(by, ByClient) {
			g.client = r.Client
		}
		if slices.Contains(by, ByOperation) {
			g.method, g.name = r.Method, r.Name
		}
		if slices.Contains(by, ByReason) {
			g.reason = r.Reason
		}
		g.other = r.Other && (slices.Contains(by, ByOperation) || slices.Contains(by, ByReason) ||
			r.Issuer == "" && (slices.Contains(by, ByUser) || slices.Contains(by, ByClient)))
		sum := sums[g]
		if sum == nil {
			sum = new(counts)
			sums[g] = sum
		}
		sum.allowed += r.Allowed
		sum.refused += r.Refused
		sum.seen(r.First, r.Last)
	}
	out := make([]Row, 0, len(sums))
	for g, sum := range sums {
		out = append(out, Row{
			Issuer: g.issuer, Subject: g.subject, Client: g.client, Method: g.method, Name: g.name, Reason: g.reason, Other: g.other,
			Allowed: sum.allowed, Refused: sum.refused, First: sum.first, Last: sum.last,
		})
	}
	slices.SortFunc(out, compare)
	return out, nil
}
