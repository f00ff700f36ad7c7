package mcpauthtest_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
)

// retelling is a Base that puts another request into Response.Request, as transports that trace or retry do.
type retelling struct{}

func (retelling) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := http.DefaultTransport.RoundTrip(r.Clone(r.Context()))
	if err == nil {
		res.Request = &http.Request{Method: r.Method, URL: r.URL}
	}
	return res, err
}

// Wherever redirects lead, whatever Base tells of them and whatever the caller calls the host: a bound token
// and its proof stay at the origin.
func TestDPoPTransport_NothingGoesElsewhere(t *testing.T) {
	var got []http.Header
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Clone())
		if r.URL.Path == "/bounce" {
			http.Redirect(w, r, "/again", http.StatusTemporaryRedirect)
		}
	}))
	defer elsewhere.Close()
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL+"/bounce", http.StatusTemporaryRedirect)
	}))
	defer origin.Close()
	there, err := url.Parse(elsewhere.URL)
	require.NoError(t, err)
	key, err := mcpauthtest.NewDPoPKey("")
	require.NoError(t, err)
	for _, base := range []http.RoundTripper{nil, retelling{}} {
		for _, host := range []string{"", there.Host} {
			transport := &mcpauthtest.DPoPTransport{Key: key, Base: base}
			transport.Bind("SECRET")
			r, err := http.NewRequest(http.MethodGet, origin.URL+"/mcp", nil)
			require.NoError(t, err)
			r.Host = host
			r.Header.Set("Authorization", "Bearer SECRET")
			got = nil
			res, err := (&http.Client{Transport: transport}).Do(r)
			require.NoError(t, err)
			res.Body.Close()
			require.Len(t, got, 2)
			for _, h := range got {
				require.NotContains(t, h.Get("Authorization"), "SECRET", "Host %q, Base %T", host, base)
				require.Empty(t, h["Dpop"])
			}
		}
	}
}
