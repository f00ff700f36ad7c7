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
