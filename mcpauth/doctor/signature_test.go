package doctor_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/doctor"
	"github.com/go-mcpauth/sdk/prm"
)

// sign has the metadata of the world signed by the resource, whose key is at jwks_uri.
func (w *world) sign(t *testing.T, s *prm.Signing, at time.Time) {
	t.Helper()
	w.metadata["jwks_uri"] = w.mcp.URL + "/.well-known/oauth-protected-resource/mcp?keys"
	raw, err := json.Marshal(w.metadata)
	require.NoError(t, err)
	var m prm.Metadata
	require.NoError(t, json.Unmarshal(raw, &m))
	document, err := s.Sign(&m, at)
	require.NoError(t, err)
	w.metadata = members{}
	require.NoError(t, json.Unmarshal(document, &w.metadata))
	set, err := prm.KeySet(&prm.Signing{Key: s.Key, KeyID: s.KeyID})
	require.NoError(t, err)
	w.document = only(func(r *http.Request) bool { return r.URL.RawQuery == "keys" }, func(rw http.ResponseWriter, _ *http.Request, _ http.Handler) {
		writeJSON(rw, json.RawMessage(set))
	})
}

// PRM-14: the doctor verifies what it can, and says what readers of signatures would stumble over.
func TestPRM14_Signature(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(w *world)
		status doctor.Status
		cause  string
		got    string
	}{
		{"not signed", func(w *world) {
			w.metadata = members{"resource": w.resource, "authorization_servers": []string{w.issuer}}
		}, doctor.Skip, "", "not signed"},
		{"signed", func(*world) {}, doctor.Pass, "", "signed by the resource"},
		{"no jwks_uri", func(w *world) { delete(w.metadata, "jwks_uri") }, doctor.Warn, "no-keys", "no jwks_uri"},
		{"keys that nobody serves", func(w *world) { w.document = func(h http.Handler) http.Handler { return h } }, doctor.Warn, "no-keys", "no key set"},
		{"a member changed", func(w *world) { w.metadata["scopes_supported"] = []string{"all"} }, doctor.Warn, "not-verified", "differ in"},
		{"no JWT", func(w *world) { w.metadata["signed_metadata"] = "x" }, doctor.Warn, "malformed", "no JWT"},
		{"no string", func(w *world) { w.metadata["signed_metadata"] = 1 }, doctor.Warn, "malformed", "no JWT"},
		{"expired", func(w *world) { w.sign(w.t, &prm.Signing{Key: w.key}, time.Now().Add(-48*time.Hour)) }, doctor.Warn, "not-verified", "has expired"},
		{"by another party", func(w *world) {
			w.sign(w.t, &prm.Signing{Key: w.key, Issuer: "https://federation.example.com"}, time.Now())
		}, doctor.Skip, "", "federation.example.com"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.sign(t, &prm.Signing{Key: w.key}, time.Now())
			if tc.name == "expired" || tc.name == "by another party" {
				delete(w.metadata, "signed_metadata")
			}
			tc.change(w)
			r := w.run(doctor.Options{})
			noFail(t, r)
			id := "signature"
			if tc.cause != "" {
				id += "/" + tc.cause
			}
			f := find(t, r, id)
			require.Equal(t, tc.status, f.Status, r.String())
			require.Contains(t, f.Got, tc.got)
		})
	}
	w := newWorld(t) // and a server of this library
	url := protected(t, w, true, func(c *mcpauth.Config) {
		c.Metadata = &prm.Metadata{JWKSURI: w.issuer + "/keys", ResourceName: "Notes", Languages: map[string]prm.Localized{"fr": {ResourceName: "Notes en ligne"}}}
		c.MetadataSigning = &prm.Signing{Key: w.key, KeyID: "k1"}
	})
	r := examine(t, doctor.Options{URL: url})
	require.Equal(t, doctor.Pass, find(t, r, "signature").Status, r.String())
	require.Equal(t, doctor.Pass, find(t, r, "languages").Status, r.String())
}

// PRM-10.
func TestPRM10_Languages(t *testing.T) {
	for _, tc := range []struct {
		name   string
		add    members
		status doctor.Status
		got    string
	}{
		{"one language", nil, doctor.Skip, "one language"},
		{"two", members{"resource_name": "Notes", "resource_name#fr": "Carnet"}, doctor.Pass, "fr"},
		{"no plain member", members{"resource_name#fr": "Carnet"}, doctor.Warn, "no plain resource_name"},
		{"no tag", members{"resource_name": "Notes", "resource_name#f_r": "Carnet"}, doctor.Warn, "no language tag"},
		{"twice", members{"resource_name": "Notes", "resource_name#fr": "Carnet", "resource_name#FR": "Cahier"}, doctor.Warn, "only in case"},
		{"a page over http", members{"resource_tos_uri": "https://x.example", "resource_tos_uri#fr": "http://x.example"}, doctor.Warn, "uses http"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.metadata = with(w.metadata, tc.add)
			r := w.run(doctor.Options{})
			noFail(t, r)
			f := find(t, r, map[bool]string{true: "languages/variants", false: "languages"}[tc.status == doctor.Warn])
			require.Equal(t, tc.status, f.Status, r.String())
			require.Contains(t, f.Got, tc.got)
		})
	}
}
