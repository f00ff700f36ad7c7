package audit_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/audit"
)

func decision(p *mcpauth.Principal, method, name string, reason mcpauth.Reason, at time.Duration) mcpauth.Decision {
	return mcpauth.Decision{
		Time: noon.Add(at), Allowed: reason == mcpauth.ReasonAllowed, Reason: reason, Principal: p, Operation: mcpauth.Operation{Method: method, Name: name},
	}
}

func total(rows []audit.Row) (allowed, refused uint64) {
	for _, r := range rows {
		allowed += r.Allowed
		refused += r.Refused
	}
	return allowed, refused
}

func TestUsage(t *testing.T) {
	var u audit.Usage
	require.Empty(t, u.Snapshot())
	uma, rio := someone("uma", "desk"), someone("rio", "desk")
	phone := someone("uma", "phone")
	for _, d := range []mcpauth.Decision{
		decision(uma, "tools/call", "read", mcpauth.ReasonAllowed, 5*time.Second),
		decision(uma, "tools/call", "read", mcpauth.ReasonAllowed, time.Second), // an earlier one, later
		decision(uma, "tools/call", "read", mcpauth.ReasonInsufficientScope, 2*time.Second),
		decision(phone, "tools/call", "read", mcpauth.ReasonAllowed, 3*time.Second),
		decision(rio, "resources/read", "notes://uma/diary", mcpauth.ReasonAllowed, 4*time.Second),
		decision(rio, "resources/read", "notes://rio/diary", mcpauth.ReasonAllowed, 4*time.Second),
		decision(rio, "tools/call", "invented-1", mcpauth.ReasonNoRule, 6*time.Second),
		decision(rio, "tools/call", "invented-2", mcpauth.ReasonNoRule, 7*time.Second),
		decision(rio, "invented/method", "", mcpauth.ReasonNoRule, 8*time.Second),
		decision(nil, "", "", mcpauth.ReasonNoCredentials, 9*time.Second),
	} {
		u.Record(t.Context(), d)
	}
	const issuer = "https://login.example.com"
	at := func(s int) time.Time { return noon.Add(time.Duration(s) * time.Second) }
	want := []audit.Row{
		{Reason: "no_credentials", Refused: 1, First: at(9), Last: at(9)},
		{Issuer: issuer, Subject: "rio", Client: "desk", Reason: "no_rule", Refused: 1, First: at(8), Last: at(8)},
		{Issuer: issuer, Subject: "rio", Client: "desk", Method: "resources/read", Reason: "allowed", Allowed: 2, First: at(4), Last: at(4)},
		{Issuer: issuer, Subject: "rio", Client: "desk", Method: "tools/call", Reason: "no_rule", Refused: 2, First: at(6), Last: at(7)},
		{Issuer: issuer, Subject: "uma", Client: "desk", Method: "tools/call", Name: "read", Reason: "allowed", Allowed: 2, First: at(1), Last: at(5)},
		{Issuer: issuer, Subject: "uma", Client: "desk", Method: "tools/call", Name: "read", Reason: "insufficient_scope", Refused: 1, First: at(2), Last: at(2)},
		{Issuer: issuer, Subject: "uma", Client: "phone", Method: "tools/call", Name: "read", Reason: "allowed", Allowed: 1, First: at(3), Last: at(3)},
	}
	require.Equal(t, want, u.Snapshot())

	rows, err := audit.Group(want, audit.ByUser)
	require.NoError(t, err)
	require.Equal(t, []audit.Row{
		{Refused: 1, First: at(9), Last: at(9)},
		{Issuer: issuer, Subject: "rio", Allowed: 2, Refused: 3, First: at(4), Last: at(8)},
		{Issuer: issuer, Subject: "uma", Allowed: 3, Refused: 1, First: at(1), Last: at(5)},
	}, rows)
	rows, err = audit.Group(want, audit.ByClient, audit.ByOperation)
	require.NoError(t, err)
	require.Len(t, rows, 6)
	rows, err = audit.Group(want)
	require.NoError(t, err)
	require.Equal(t, []audit.Row{{Allowed: 5, Refused: 5, First: at(1), Last: at(9)}}, rows)
	_, err = audit.Group(want, "tool")
	require.ErrorContains(t, err, `"tool"`)

	require.Equal(t, want, u.Drain())
	require.Empty(t, u.Snapshot())
	u.Record(t.Context(), decision(uma, "ping", "", mcpauth.ReasonAllowed, 0))
	require.Len(t, u.Drain(), 1)
}

// TestUsageIsBounded floods the table and wants the sums to stay right.
func TestUsageIsBounded(t *testing.T) {
	u := audit.Usage{MaxEntries: 320} // 20 rows for each caller
	flood := someone("flood", "desk")
	for i := range 1000 {
		u.Record(t.Context(), decision(flood, "tools/call", fmt.Sprint("tool", i), mcpauth.ReasonAllowed, 0))
		u.Record(t.Context(), decision(flood, "tools/call", fmt.Sprint("tool", i), mcpauth.ReasonRole, 0))
	}
	rows := u.Snapshot()
	require.Len(t, rows, 21)
	last := rows[20]
	require.True(t, last.Other)
	require.Equal(t, "flood", last.Subject)
	require.Equal(t, []uint64{990, 990}, []uint64{last.Allowed, last.Refused})

	uma := someone("uma", "desk")
	u.Record(t.Context(), decision(uma, "tools/call", "read", mcpauth.ReasonAllowed, 0))
	rows, err := audit.Group(u.Snapshot(), audit.ByUser, audit.ByOperation)
	require.NoError(t, err)
	require.Equal(t, "read", rows[len(rows)-1].Name, "one caller leaves room for others")
	u.Record(t.Context(), decision(uma, "tools/call", strings.Repeat("x", 1<<20), mcpauth.ReasonAllowed, 0))
	u.Record(t.Context(), decision(someone(strings.Repeat("x", 1<<14), ""), "tools/call", "read", mcpauth.ReasonAllowed, 0))

	for i := range 1000 {
		u.Record(t.Context(), decision(someone(fmt.Sprint("user", i), "desk"), "tools/call", "read", mcpauth.ReasonAllowed, 0))
		u.Record(t.Context(), decision(nil, "", "", mcpauth.Reason(fmt.Sprint("reason", i)), 0))
	}
	u.Record(t.Context(), decision(uma, "tools/call", "read", mcpauth.ReasonAllowed, 0))
	rows = u.Snapshot()
	require.LessOrEqual(t, len(rows), 320+160)
	allowed, refused := total(rows)
	require.Equal(t, []uint64{1000 + 1 + 1 + 1 + 1000 + 1, 2000}, []uint64{allowed, refused})
	var nobody int
	for _, r := range rows {
		require.Less(t, len(r.Name), 300)
		require.Less(t, len(r.Subject), 300)
		if r.Other && r.Issuer == "" {
			nobody++
		}
	}
	require.Equal(t, 1, nobody)
	// The table is full, and whoever is in it finds no room for more.
	for i := range 300 {
		for j := range 5 {
			u.Record(t.Context(), decision(someone(fmt.Sprint("user", i), "desk"), "tools/call", fmt.Sprint("more", j), mcpauth.ReasonAllowed, 0))
		}
	}
	callers, own := make(map[string]bool), 0
	for _, r := range u.Snapshot() {
		callers[r.Subject] = true
		if !r.Other {
			own++
		}
	}
	require.LessOrEqual(t, own+len(callers), 320)
	require.Greater(t, own+len(callers), 310)
	full := u.Drain()
	allowed, _ = total(full)
	require.Equal(t, uint64(2004+1500), allowed)
	u.Record(t.Context(), decision(uma, "tools/call", "read", mcpauth.ReasonAllowed, 0))
	require.Equal(t, "read", u.Snapshot()[0].Name, "there is room again")

	grouped, err := audit.Group(rows, audit.ByUser)
	require.NoError(t, err)
	allowed, refused = total(grouped)
	require.Equal(t, []uint64{2004, 2000}, []uint64{allowed, refused})
	require.False(t, grouped[len(grouped)-1].Other, "its caller is known")
}

func TestUsageConcurrently(t *testing.T) {
	u := audit.Usage{MaxEntries: 64}
	var drained uint64
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 500 {
				u.Record(context.Background(), decision(someone(fmt.Sprint(i), "c"), "tools/call", fmt.Sprint(j%20), mcpauth.ReasonAllowed, 0))
			}
		})
	}
	for range 50 {
		allowed, _ := total(u.Drain())
		drained += allowed
	}
	wg.Wait()
	allowed, _ := total(u.Drain())
	require.Equal(t, uint64(4000), drained+allowed)
}

func TestHandler(t *testing.T) {
	var u audit.Usage
	u.Record(t.Context(), decision(someone("é\u009b\x1b<\u202e😀", "desk"), "tools/call", "read", mcpauth.ReasonAllowed, 0))
	u.Record(t.Context(), decision(someone("uma", "phone"), "tools/call", "read", mcpauth.ReasonRole, time.Hour))
	h := u.Handler(func(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer ops" })
	get := func(h http.Handler, method, query string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, "/usage"+query, nil)
		r.Header.Set("Authorization", "Bearer ops")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
		return w
	}
	rows := func(query string) []audit.Row {
		w := get(h, "GET", query)
		require.Equal(t, 200, w.Code, w.Body.String())
		require.Equal(t, "application/json", w.Header().Get("Content-Type"))
		require.NotRegexp(t, `[^ -~]`, strings.TrimSuffix(w.Body.String(), "\n"))
		var doc struct{ Rows []audit.Row }
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &doc))
		require.NotNil(t, doc.Rows)
		return doc.Rows
	}
	require.Equal(t, u.Snapshot(), rows(""), "escapes lose nothing")
	require.Len(t, rows("?by=user"), 2)
	require.Equal(t, []audit.Row{{Client: "phone", Refused: 1, First: noon.Add(time.Hour), Last: noon.Add(time.Hour)}}, rows("?by=client&since=2026-07-28T12:30:00Z"))
	require.Equal(t, []audit.Row{{Method: "tools/call", Name: "read", Reason: "allowed", Allowed: 1, First: noon, Last: noon},
		{Method: "tools/call", Name: "read", Reason: "role_missing", Refused: 1, First: noon.Add(time.Hour), Last: noon.Add(time.Hour)}}, rows("?by=operation,reason"))
	require.Empty(t, rows("?since=2027-01-01T00:00:00Z"))

	for _, query := range []string{"?by=", "?by=tool", "?by=user&by=client", "?sinse=2026-07-28T12:00:00Z", "?since=yesterday", "?x=%zz", "?by=" + strings.Repeat("user,", 300), "?a;b"} {
		require.Equal(t, 400, get(h, "GET", query).Code, query)
	}
	w := get(h, "POST", "")
	require.Equal(t, 405, w.Code)
	require.Equal(t, "GET, HEAD", w.Header().Get("Allow"))
	require.Equal(t, 403, get(u.Handler(nil), "GET", "").Code, "nobody, unless somebody says who")
	require.NotContains(t, get(u.Handler(nil), "GET", "").Body.String(), "uma")
	require.Equal(t, 403, get(u.Handler(func(*http.Request) bool { return false }), "POST", "").Code)

	server := httptest.NewServer(u.Handler(func(*http.Request) bool { return true }))
	defer server.Close()
	res, err := http.Head(server.URL)
	require.NoError(t, err)
	res.Body.Close()
	require.Equal(t, 200, res.StatusCode)
	require.Positive(t, res.ContentLength)
}

// FuzzASCII wants that what is escaped is the same JSON.
func FuzzASCII(f *testing.F) {
	f.Add("é\u009b\x1b<\u202e😀\x7f\xff")
	f.Fuzz(func(t *testing.T, s string) {
		document, err := json.Marshal(s)
		require.NoError(t, err)
		var before, after string
		require.NoError(t, json.Unmarshal(document, &before))
		out := audit.ASCII(document)
		require.NoError(t, json.Unmarshal(out, &after))
		require.Equal(t, before, after)
		for _, c := range out {
			require.True(t, c >= 0x20 && c < 0x7f)
		}
	})
}

// An application that no administrator has listed is refused before anybody looks for a rule, so what it names may be
// invented. Whoever registers applications at will would else fill the table, and hide everyone else's counts.
func TestUsage_OfUnlistedApplications(t *testing.T) {
	u := audit.Usage{MaxEntries: 320}
	p := newPeer(t, u.Record, func(cfg *mcpauth.Config) { cfg.Clients = map[string]mcpauth.ClientLimit{"desk": {Unlimited: true}} })
	for i := range 16 {
		token := bearer(p.token("mallory", map[string]any{"client_id": fmt.Sprint("registered-", i)}))
		for j := range 20 {
			require.Equal(t, http.StatusForbidden, p.send(call(fmt.Sprint("invented-", j), "{}"), token))
		}
		require.Equal(t, http.StatusForbidden, p.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":7,"method":"invented/%d"}`, i), token))
	}
	require.Equal(t, http.StatusOK, p.send(call("read", "{}"), bearer(p.token("uma", nil))))
	var names []string
	for _, r := range u.Snapshot() {
		require.NotContains(t, r.Name+r.Method, "invented")
		names = append(names, r.Name)
	}
	require.Contains(t, names, "read", "there is room for the others")
}

// One user with many applications, which anybody can register where clients register themselves, leaves room for others.
func TestUsage_OfOneUserWithManyApplications(t *testing.T) {
	u := audit.Usage{MaxEntries: 320}
	for i := range 400 {
		for _, tool := range []string{"read", "write"} {
			u.Record(t.Context(), decision(someone("mallory", fmt.Sprint("app-", i)), "tools/call", tool, mcpauth.ReasonAllowed, 0))
		}
	}
	require.LessOrEqual(t, len(u.Snapshot()), 21)
	for i := range 100 {
		u.Record(t.Context(), decision(someone(fmt.Sprint("user-", i), "desk"), "tools/call", "read", mcpauth.ReasonAllowed, 0))
	}
	rows, err := audit.Group(u.Snapshot(), audit.ByUser)
	require.NoError(t, err)
	require.Len(t, rows, 1+1+100, "what has no room, mallory, and everyone else")
	allowed, _ := total(rows)
	require.EqualValues(t, 900, allowed)

	u.Drain()
	u.Record(t.Context(), decision(someone("mallory", "again"), "tools/call", "read", mcpauth.ReasonAllowed, 0))
	require.Equal(t, "again", u.Drain()[0].Client, "it begins anew")
}
