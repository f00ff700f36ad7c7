package doctor_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth/doctor"
)

func TestAWorldThatIsRight(t *testing.T) {
	w := newWorld(t)
	for name, opt := range map[string]doctor.Options{
		"from outside":     {},
		"with a token":     {Token: w.mint(nil)},
		"with a call":      {Token: w.mint(nil), Call: "whoami"},
		"for a page":       {Origin: "https://app.example.com"},
		"with a client":    {ClientID: "app", RedirectURI: "http://127.0.0.1:3000/callback"},
		"for some clients": {Clients: []string{"VS Code", "Go SDK"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := w.run(opt)
			noFail(t, r)
			require.Zero(t, r.Count(doctor.Warn), r.String())
		})
	}
}

// One place that names scopes is enough.
func TestScopesInOnePlace(t *testing.T) {
	for name, change := range map[string]func(*world){
		"in the challenge": func(w *world) { delete(w.metadata, "scopes_supported") },
		"in the metadata":  func(w *world) { w.challengeWith("") },
		"in the second challenge": func(w *world) {
			delete(w.metadata, "scopes_supported")
			w.challengeWith("")
			w.challenge = append(w.challenge, `DPoP algs="ES256", scope="notes:read"`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			change(w)
			require.Equal(t, doctor.Pass, find(t, w.run(doctor.Options{}), "scopes").Status)
		})
	}
}
