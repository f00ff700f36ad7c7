package main

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDemonstration(t *testing.T) {
	var out, log bytes.Buffer
	require.Zero(t, run(t.Context(), nil, &out, &log), "%s\n%s", out.String(), log.String())
	// In this order.
	for rest, wants := out.String(), []string{
		`< WWW-Authenticate: DPoP algs=`,
		"grant_type=authorization_code", "> DPoP: alg=ES256 htm=POST", "< 200 OK",
		"> Authorization: DPoP (", " ath=", "< 401 Unauthorized", `error="use_dpop_nonce"`, "< DPoP-Nonce: ",
		"> Authorization: DPoP (", " ath=", " nonce=", "< 200 OK",
		"tools/call", `whoami says {`,
		"the same request again", `error="invalid_dpop_proof"`,
		"its token without a proof", "> Authorization: Bearer (", `error="invalid_token"`, "Done:",
	}; len(wants) > 0; wants = wants[1:] {
		_, after, found := strings.Cut(rest, wants[0])
		require.True(t, found, "no %s in what follows\n%s", wants[0], out.String())
		rest = after
	}
	require.Equal(t, 1, strings.Count(out.String(), `error="use_dpop_nonce"`), "one nonce serves all calls")
	require.NotRegexp(t, regexp.MustCompile(`eyJ[A-Za-z0-9_-]{20}`), out.String()+log.String(), "a token or a proof was printed")
}

func TestAServerThatIsRunning(t *testing.T) {
	server, wait, err := start(t.Context(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(wait) // runs after the context has ended
	var out, log bytes.Buffer
	require.Zero(t, run(t.Context(), []string{"-server", server, "-user", "ada"}, &out, &log), "%s\n%s", out.String(), log.String())
	require.Equal(t, 1, run(t.Context(), []string{"-server", server, "-user", "nobody"}, io.Discard, io.Discard))
}

func TestFailsWhereNothingIsProved(t *testing.T) {
	open := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
	defer open.Close()
	require.Error(t, demonstrate(t.Context(), io.Discard, open.URL, "uma"))
	require.ErrorContains(t, (&tracer{}).check(), "no request went through under the scheme DPoP")
}

func TestMistakesOnTheCommandLine(t *testing.T) {
	for args, status := range map[string]int{"-no-such-flag": 2, "extra": 2, "-h": 0} {
		var log bytes.Buffer
		require.Equal(t, status, run(t.Context(), strings.Fields(args), io.Discard, &log), args)
		require.NotEmpty(t, log.String())
	}
}
